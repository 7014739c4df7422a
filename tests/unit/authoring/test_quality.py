"""benchmarks/authoring: the requests, the checks, the recorded answers; and what it does with a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.authoring import run
from benchmarks.authoring.__main__ import main
from benchmarks.authoring.checks import BASE, CHECKS, failed

REQUESTS = run.requests()
ANSWERED = [request for request in REQUESTS if run.answer_of(request).exists()]


@pytest.fixture(scope="module")
def project() -> Iterator[Path]:
    with run.workspace() as folder:
        yield folder


def test_there_are_requests_of_many_kinds() -> None:
    assert len(REQUESTS) >= 25
    assert len({request.name for request in REQUESTS}) == len(REQUESTS)
    assert len({request.kind for request in REQUESTS}) >= 20


def test_each_check_is_known_and_asked_for() -> None:
    asked = {*BASE, *(name for request in REQUESTS for name in request.checks)}
    assert asked == set(CHECKS)


def test_each_answer_has_a_request() -> None:
    here = Path(run.HERE)
    assert {path.stem for path in (here / "answers").glob("*.js")} == {request.name for request in ANSWERED}
    asked = {*BASE, *(name for request in ANSWERED for name in request.checks)}
    assert asked == set(CHECKS), "each check is passed by an answer"
    assert {path.stem for path in (here / "bad").glob("*.js")} == set(run.bad_answers())


@pytest.mark.parametrize("request_", ANSWERED, ids=lambda request: request.name)
async def test_a_recorded_answer_passes(request_: run.Request, project: Path) -> None:
    row = await run.recorded(request_, project)
    assert (row.failed, row.is_right) == ((), True)


@pytest.mark.parametrize(("name", "fails"), sorted(run.bad_answers().items()))
async def test_a_bad_answer_fails_its_checks(name: str, fails: tuple[str, ...], project: Path) -> None:
    text = (run.HERE / "bad" / f"{name}.js").read_text(encoding="utf-8")
    needs = ("check",) if "permissions" in fails else ()
    found = await failed(text, ("pipeline",) if "pipeline" in fails else (), needs, project=project)
    assert set(fails) <= set(found), found


async def test_a_model_that_never_gets_it_right_is_a_row(project: Path) -> None:
    row = await run.written(REQUESTS[0], project, "sample")
    assert (row.is_right, row.name) == (False, REQUESTS[0].name)
    assert row.rounds > 1 or row.note


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["triage"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1].split()[:5] == ["triage", "yes", "0", "14/14", "0"]
    assert out[-1] == "1 requests: 1 right, 0 of them at the first try; 14 of 14 checks; 0 tokens, $0.00"


def test_without_a_model_a_request_without_an_answer_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["naming"])
    assert "request 'naming' has no recorded answer: name a model with --backend" in capsys.readouterr().err


def test_an_unknown_request_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["nonsense"])
    assert "unknown request 'nonsense'" in capsys.readouterr().err
