"""S70 and S71 as a script sees them; `sample` answers, and judges nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.runs import Project

from engine.settings import AgentSettings, Settings

CAUGHT = "const caught = async (f) => { try { return await f() } catch (e) { return [e.name, e.code] } };\n"


@pytest.fixture
def permitted(tmp_path: Path) -> Project:
    return Project(tmp_path, Settings(allow=("check",), agents=AgentSettings(goal_rounds=2)))


async def test_S70_full_gives_the_verdicts(permitted: Project) -> None:
    value = await permitted.value("return await agent('x', {goal: 'done', check: 'echo 1', full: true})")
    assert value["value"].startswith("Sample answer")
    assert value["verdicts"] == [
        {
            "met": "met",
            "criteria": [{"criterion": "done", "met": True, "evidence": ""}],
            "reason": "Made up: `sample` judges nothing.",
            "exitCode": 0,
        }
    ]


async def test_S70_a_check_that_fails_throws_once_the_rounds_are_used_up(permitted: Project) -> None:
    value = await permitted.value(CAUGHT + "return await caught(() => agent('x', {check: 'exit 1'}))")
    assert value == ["AgentError", "goal_not_met"]


async def test_S70_the_check_runs_where_the_agent_works(permitted: Project) -> None:
    (permitted.folder / "sub").mkdir()
    (permitted.folder / "sub" / "here").touch()
    value = await permitted.value("return (await agent('x', {check: 'test -e here', cwd: 'sub', full: true})).verdicts")
    assert [one["met"] for one in value] == ["met"]


async def test_S63_S70_a_check_without_permission_throws_and_names_the_flag(project: Project) -> None:
    value: Any = await project.value(
        "try { return await agent('x', {check: 'true'}) } catch (e) { return [e.code, e.message] }"
    )
    assert value == [
        "not_permitted",
        "The option check of agent() needs the permission 'check', which this run does not have. "
        "Run with --allow check, or list it in meta.permissions and confirm it at the start.",
    ]


async def test_S70_goal_and_check_are_part_of_what_was_asked(permitted: Project) -> None:
    first = await permitted.run("return await agent('x', {goal: 'a', check: 'true'})")
    same = await permitted.resume(first.run_id, "return await agent('x', {check: 'true', goal: 'a'})")
    other = await permitted.resume(first.run_id, "return await agent('x', {goal: 'b', check: 'true'})")
    assert (same.agents["reused"], other.agents["reused"]) == (1, 0)


async def test_S71_every_draw_is_paid_for(project: Project) -> None:
    value = await project.value(
        "return (await agent('x', {candidates: 3, full: true})).usage.outputTokens", backend="sample:tokens=7"
    )
    assert value == 21


@pytest.mark.parametrize(("candidates", "shown"), [("0", "0"), ("17", "17"), ("1.5", "1.5"), ("'3'", '"3"')])
async def test_S71_at_most_sixteen(project: Project, candidates: str, shown: str) -> None:
    value: Any = await project.value(
        f"try {{ return await agent('x', {{candidates: {candidates}}}) }} catch (e) {{ return [e.code, e.message] }}"
    )
    assert value == ["invalid_option", f"agent() option 'candidates' must be a whole number from 1 to 16, not {shown}"]
