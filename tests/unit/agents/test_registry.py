"""What may be named as a backend, and what is said when it cannot run here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.agents import model_store
from engine.agents.registry import Backends, BackendSpec, check_available, list_backends, parse_backend
from engine.agents.sample import SampleOptions
from engine.errors import UsageError
from engine.settings import ProgramSettings, Settings
from engine.values import AgentRequest

FORMS = (
    "sample, sample:latency=50ms,fail=0.01,tokens=200,usd=0.001,seed=7; local; "
    "openai:MODEL (and anthropic:, google:, …: pawl backends lists them); "
    "acp:PROGRAM or acp:PROGRAM:MODEL; cli:PROGRAM or cli:PROGRAM:MODEL"
)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("sample", BackendSpec("sample")),
        (
            "sample:latency=50ms,fail=0.01,tokens=200,usd=0.001,seed=7",
            BackendSpec("sample", sample=SampleOptions(0.05, 0.01, 200, 0.001, 7)),
        ),
        ("sample:latency=2s", BackendSpec("sample", sample=SampleOptions(2.0))),
        ("sample:latency=1.5m, seed=-1", BackendSpec("sample", sample=SampleOptions(90.0, seed=-1))),
        (" local ", BackendSpec("local")),
        ("openai:org/model:tag", BackendSpec("openai", model="org/model:tag")),
        ("anthropic:claude-x", BackendSpec("anthropic", model="claude-x")),
        ("litellm:x/y", BackendSpec("litellm", model="x/y")),  # not of our list: the library knows it
        ("acp:opencode", BackendSpec("acp", program="opencode")),
        ("cli:claude:opus", BackendSpec("cli", program="claude", model="opus")),
    ],
)
def test_a_backend_is_read(text: str, spec: BackendSpec) -> None:
    assert parse_backend(text) == spec


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("smaple", "unknown_backend", f"unknown backend 'smaple': expected one of: {FORMS}"),
        ("", "unknown_backend", f"unknown backend '': expected one of: {FORMS}"),
        ("nobody-has-this:m", "unknown_backend", f"unknown backend 'nobody-has-this:m': expected one of: {FORMS}"),
        ("acp", "bad_backend", "backend 'acp': `acp` needs a program"),
        ("local:big", "bad_backend", "backend 'local:big': `local` takes no options, found 'big'"),
        ("openai", "bad_backend", "backend 'openai': `openai` needs a model"),
        (
            "sample:speed=1",
            "bad_backend",
            "backend 'sample:speed=1': unknown option 'speed': expected latency, fail, tokens, usd, seed, empty",
        ),
        ("sample:seed=1,seed=2", "bad_backend", "backend 'sample:seed=1,seed=2': option 'seed' is given twice"),
        (
            "sample:latency=50",
            "bad_backend",
            "backend 'sample:latency=50': latency=50: expected a time like 50ms, 2s or 1m",
        ),
        ("sample:fail=1.5", "bad_backend", "backend 'sample:fail=1.5': fail=1.5: expected a share from 0 to 1"),
        ("sample:fail=nan", "bad_backend", "backend 'sample:fail=nan': fail=nan: expected a share from 0 to 1"),
        ("sample:tokens=-1", "bad_backend", "backend 'sample:tokens=-1': tokens=-1: expected a whole number from 0"),
        ("sample:usd=inf", "bad_backend", "backend 'sample:usd=inf': usd=inf: expected an amount from 0"),
        ("sample:seed=x", "bad_backend", "backend 'sample:seed=x': seed=x: expected a whole number"),
    ],
)
def test_what_is_no_backend_is_refused(text: str, code: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_backend(text)
    assert (caught.value.code, caught.value.message) == (code, message)
    assert caught.value.hint
    assert caught.value.exit_code == 2


@pytest.fixture
def _nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("engine.agents.registry.find_spec", lambda _: None)


@pytest.mark.usefixtures("_nothing_installed")
def test_local_that_is_not_installed_says_how() -> None:
    with pytest.raises(UsageError) as caught:
        Backends().find("local")
    assert (
        caught.value.message
        == "backend `local` cannot run here: its runtime is not installed and its model is not here"
    )
    assert caught.value.hint == (
        'Run: pip install "pawl-engine[local]" && pawl model pull — or choose another with --backend; see: pawl backends'
    )
    assert caught.value.code == "backend_missing"


async def test_a_service_needs_a_key_or_an_address_of_its_own() -> None:
    with pytest.raises(UsageError) as caught:
        check_available(parse_backend("openai:m"), environ={})
    assert caught.value.message == "backend `openai` cannot run here: no OPENAI_API_KEY or OPENAI_BASE_URL is set"
    assert caught.value.hint == "Run: export OPENAI_API_KEY=…"
    backends = Backends(environ={"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"})
    backends.find("openai:m")
    await backends.close()


def test_a_service_whose_client_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.agents.models.find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        check_available(parse_backend("mistral:m"), environ={"MISTRAL_API_KEY": "k"})
    assert caught.value.message == "backend `mistral` cannot run here: its client is not installed"
    assert caught.value.hint == 'Run: pip install "pawl-engine[providers]" mistralai'


def test_all_backends_are_listed_with_what_they_lack() -> None:
    listed = list_backends(Settings(programs={"mine": ProgramSettings(command=("mine",))}), {"OPENAI_API_KEY": "k"})
    found = {info.name: info for info in listed}
    assert list(found)[:4] == ["sample", "local", "openai", "openai-responses"]
    assert found["sample"].is_available and found["openai"].is_available
    assert (found["anthropic"].is_available, found["anthropic"].install) == (False, "export ANTHROPIC_API_KEY=…")
    assert found["cli:claude"].form == "cli:claude[:MODEL]"
    assert {"acp:opencode", "acp:claude", "acp:codex", "acp:gemini", "cli:claude", "cli:codex", "cli:opencode"} <= set(
        found
    )
    assert {"acp:mine", "cli:mine"} <= set(found)
    assert found["openai"].to_json()["available"] is True


def test_a_model_without_tools_refuses_a_call_that_names_some() -> None:
    with pytest.raises(UsageError) as caught:
        Backends().tools("local", ("grep",))
    assert caught.value.message == "backend `local` has no tools; the call asks for grep"
    assert Backends().tools("local", ()) == ()
    assert Backends().tools("openai:m", ("Read", "Grep", "Read")) == ("read_file", "grep")


def test_rate_limits_count_for_a_service_whatever_the_model() -> None:
    lines = [Backends().line(spec) for spec in ("openai:a", "openai:b", "acp:claude:opus", "sample:seed=1")]
    assert lines == ["openai", "openai", "acp:claude", "sample"]


async def test_a_run_opens_each_backend_once() -> None:
    backends = Backends()
    request = AgentRequest(run_id="r", call=1, identity=b"i" * 32, attempt=1, prompt="p", workspace="/")
    first = await backends.find("sample:seed=1")(request, lambda _: None)
    assert await backends.find("sample:seed=1")(request, lambda _: None) == first
    assert await backends.find("sample:seed=2")(request, lambda _: None) != first
    assert len(backends._open) == 2
    with pytest.raises(UsageError):
        backends.find("nobody")
    await backends.close()
    assert backends._open == {}


def test_naming_a_backend_loads_nothing_heavy() -> None:
    code = (
        "import sys, engine.agents.registry as r; r.parse_backend('local'); r.Backends().find('sample');"
        "sys.exit(any(name in sys.modules for name in ('httpx', 'jsonschema', 'xllamacpp', 'pydantic', 'pydantic_ai', 'acp', 'mcp', 'yaml')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_model_is_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert model_store.where() == tmp_path / "pawl" / "models" / model_store.FILE
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the standard says: ignore it
    monkeypatch.setenv("HOME", str(tmp_path))
    assert model_store.folder() == tmp_path / ".cache" / "pawl" / "models"
