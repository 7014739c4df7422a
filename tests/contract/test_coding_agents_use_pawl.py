"""Real coding agents that use Pawl: they find the skill, call the server's tools, and read the whole of a result."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from support.coding_agents import MODELS, agent_environment, find_program
from support.pawl import COMMAND, HEAD, PATIENCE_S, ROOT, Pawl
from support.scripted_model import Asked, Call, Reply, ScriptedModel, Turn

SCRIPT = HEAD + "const it = await agent('x')\nreturn {it, words: Array.from({length: 400}, (_, n) => `word ${n}`)}\n"
SERVER = [*COMMAND, "mcp", "--backend", "sample"]
PAGE = 3_000


class Model:
    """Plays an agent that is asked for a workflow: starts it, waits, reads page by page, and tells what it read."""

    def __init__(self) -> None:
        self.run = ""
        self.text = ""
        self.first: Asked | None = None

    def __call__(self, asked: Asked) -> Turn:
        if not any(name.endswith("run_workflow") for name in asked.tools):
            return "a title"  # what programs ask beside the task
        self.first = self.first or asked
        told = self._told(asked)
        if told is None:
            return self._call(asked, "run_workflow", script=SCRIPT, args={"n": 1}, run_id="from-an-agent")
        if "next" in told and "status" not in told:
            self.run = told["run_id"]
            return self._call(asked, "wait_for_run", run_id=self.run)
        if "has_ended" in told:
            return self._call(asked, "run_result", run_id=self.run, limit=PAGE)
        self.text += told["text"]
        if told["next"] is not None:
            return self._call(asked, "run_result", run_id=self.run, offset=told["next"], limit=PAGE)
        return f"The run {self.run} gave {len(json.loads(self.text)['words'])} words."

    def _call(self, asked: Asked, tool: str, **arguments: Any) -> Reply:
        name = next(name for name in asked.tools if name.endswith(tool))
        return Reply([Call(name, arguments)])

    def _told(self, asked: Asked) -> dict[str, Any] | None:
        """The JSON of the newest tool result that is one of ours."""
        if not asked.results:
            return None
        text = asked.results[-1].text
        found = re.search(r"\{.*\}", text, re.DOTALL)
        assert found is not None, text
        told: dict[str, Any] = json.loads(found[0])
        return told


def command_of(program: str, config: Path) -> tuple[list[str], dict[str, str]]:
    """How a program is started with a task and with our server; and what its environment needs for that."""
    binary = find_program(program)
    if program == "claude":
        config.write_text(json.dumps({"mcpServers": {"pawl": {"command": SERVER[0], "args": SERVER[1:]}}}))
        words = ["-p", "Run it.", "--model", MODELS[program], "--mcp-config", str(config), "--strict-mcp-config"]
        return [binary, *words, "--allowedTools", "mcp__pawl"], {}
    if program == "codex":
        words = ["exec", "--skip-git-repo-check", "--sandbox", "read-only"]
        words += ["-c", f"mcp_servers.pawl.command={json.dumps(SERVER[0])}"]
        words += ["-c", f"mcp_servers.pawl.args={json.dumps(SERVER[1:])}"]
        words += ["-c", f"mcp_servers.pawl.env={{PYTHONPATH={json.dumps(str(ROOT))}}}"]
        words += ["-c", 'mcp_servers.pawl.default_tools_approval_mode="approve"']
        return [binary, *words, "Run it."], {}
    return [binary, "run", "Run it."], {}


@pytest.mark.parametrize("program", ["claude", "codex", "opencode"])
async def test_an_agent_runs_a_workflow_and_reads_all_of_its_result(program: str, tmp_path: Path) -> None:
    find_program(program)
    pawl = Pawl(tmp_path / "project")
    assert pawl("skill", "install", "--for", program).code == 0
    model = Model()
    async with ScriptedModel(then=model) as service:
        command, more = command_of(program, tmp_path / "mcp.json")
        environ = agent_environment(program, tmp_path / "agent-home", service) | more
        if program == "opencode":
            config = json.loads(environ["OPENCODE_CONFIG_CONTENT"])
            config["mcp"] = {"pawl": {"type": "local", "command": SERVER, "environment": {"PYTHONPATH": str(ROOT)}}}
            environ["OPENCODE_CONFIG_CONTENT"] = json.dumps(config)
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=pawl.folder,
            env=environ | {"PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 2 * PATIENCE_S)
        assert service.refused == []
    assert b"The run from-an-agent gave 400 words." in out, (out, err)
    shown = pawl("show", "from-an-agent", "--json").json
    assert (shown["status"], shown["args"], shown["owner"]) == ("completed", {"n": 1}, None)
    assert json.loads(model.text) == shown["result"]
    # It knows the skill before it is asked for anything.
    assert model.first is not None
    assert "Runs workflows of many subagents with Pawl" in json.dumps(model.first.raw), os.fspath(tmp_path)
