"""Goals (S70) of the real coding agents, by the real command line: they go on in their own session, and they judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.agents_service import ModelService
from support.coding_agents import MODELS, agent_environment, find_program
from support.judging import HEAD
from support.pawl import ROOT, Pawl, until
from support.scripted_model import Asked, Call, Holds

COMMANDS = {
    "cli:claude": "claude",
    "cli:codex": "codex",
    "cli:opencode": "opencode",
    "acp:claude": "claude-agent-acp",
    "acp:codex": "codex-acp",
    "acp:opencode": "opencode",
}
VERDICTS: dict[str, dict[str, Any]] = {
    "not met": {"criteria": [{"criterion": "two", "met": False, "evidence": "I said one"}], "reason": "Say two."},
    "met": {"criteria": [{"criterion": "two", "met": True, "evidence": "I said two"}], "reason": ""},
}


def judged(asked: Asked) -> Any:
    """The verdict on what was said, in the way in which the program that is asked gives an object."""
    met = "met" if "I said two" in asked.text else "not met"
    value = {**VERDICTS[met], "verdict": met}
    tool = next((name for name in asked.tools if "StructuredOutput" in name or "submit_result" in name), None)
    if tool is None:
        return json.dumps(value)
    return "Submitted." if asked.results else Call(tool, value)


def answer(asked: Asked) -> Any:
    if "You are an independent judge." in asked.text:
        return judged(asked)
    if "Say two." in asked.text:
        return "I said two."
    return "I said one." if "Count to two." in asked.text else "A title"


@pytest.mark.parametrize("backend", COMMANDS)
def test_S70_a_coding_agent_goes_on_until_its_judge_is_content(backend: str, tmp_path: Path) -> None:
    find_program(COMMANDS[backend])
    program = backend.partition(":")[2]
    with ModelService(answer) as service:
        environ = agent_environment(program, tmp_path / "home", service)  # type: ignore[arg-type]
        pawl = Pawl(tmp_path / "project")
        pawl.environ = {**environ, "PYTHONPATH": str(ROOT)}  # nothing of the person who runs the tests
        script = pawl.script(
            "return await agent('Count to two.', {goal: 'It said two.', check: 'true', full: true})\n", head=HEAD
        )
        flags = ("--json", "--quiet", "--run-id", "r", "--allow", "check", "--backend", f"{backend}:{MODELS[program]}")
        done = pawl("run", script, *flags)
        assert done.code == 0, done
        got = done.json["result"]
        assert got["value"] == "I said two.", got["reason"]
        assert [(one["met"], one["exitCode"]) for one in got["verdicts"]] == [("not met", 0), ("met", 0)]
        told = [
            asked for asked in service.requests if "Say two." in asked.text and "independent judge" not in asked.text
        ]
        assert "I said one." in told[0].text, "the conversation was not continued"
        assert not list((tmp_path / "home/tmp").glob("pawl-judge-*"))
        shown = pawl("show", "r", "--call", "1", "--transcript").out
        assert "not met: Say two." in shown


@pytest.mark.parametrize("backend", ["cli:claude", "acp:opencode"])
def test_S70_a_coding_agent_that_was_killed_at_its_judge_goes_on_in_its_session(backend: str, tmp_path: Path) -> None:
    find_program(COMMANDS[backend])
    program = backend.partition(":")[2]
    judges = [0]

    def answers(asked: Asked) -> Any:
        if "You are an independent judge." in asked.text:
            judges[0] += 1
            if judges[0] == 1:
                return Holds(never)
        return answer(asked)

    with ModelService(answers) as service:
        never = service.event()
        pawl = Pawl(tmp_path / "project")
        pawl.environ = {**agent_environment(program, tmp_path / "home", service), "PYTHONPATH": str(ROOT)}  # type: ignore[arg-type]
        script = pawl.script("return await agent('Count to two.', {goal: 'It said two.', full: true})\n", head=HEAD)
        flags = ("--json", "--quiet", "--run-id", "r", "--backend", f"{backend}:{MODELS[program]}")
        with pawl.started("run", script, *flags) as process:
            until(lambda: judges[0] == 1, "the judge is asked")
            process.kill()
            process.wait()
        done = pawl("resume", "r", "--json", "--quiet")
        assert done.code == 0, done
        got = done.json["result"]
        assert got["value"] == "I said two.", got["reason"]
        assert [one["met"] for one in got["verdicts"]] == ["not met", "met"]
        again = next(asked for asked in service.requests if "This is attempt 2" in asked.text)
        assert "I said one." in again.text, "the conversation was not continued"
