from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.runs import Project

from engine.engine import Engine
from engine.errors import UsageError
from engine.settings import Settings


async def test_the_log_has_a_line_for_what_matters_to_an_operator(tmp_path: Path) -> None:
    log = tmp_path / "pawl.log"
    project = Project(tmp_path, Settings(log=str(log)))
    await project.run("await parallel([() => { throw new Error('no') }]); await agent('x')", run_id="one")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["run_started", "warning", "run_ended"]
    assert {line["run_id"] for line in lines} == {"one"}
    assert lines[1]["level"] == "warning"
    assert lines[2]["status"] == "completed"


async def test_calls_are_logged_on_demand(tmp_path: Path) -> None:
    log = tmp_path / "pawl.log"
    await Project(tmp_path, Settings(log=str(log), log_calls=True)).run("await agent('x')")
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events == ["run_started", "call_started", "call_settled", "run_ended"]


def test_a_log_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        Engine.open(tmp_path, settings=Settings(log=str(tmp_path / "no" / "pawl.log")))
    assert (
        caught.value.message
        == f"the log {str(tmp_path / 'no' / 'pawl.log')!r} cannot be written: No such file or directory"
    )
