"""The real coding agents, driven by their command lines against a scripted model."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.coding_agents import MODELS, agent_environment, find_program
from support.scripted_model import Asked, Call, Fails, Reply, ScriptedModel, Stalls, Turn

from engine.agents.answer import ask_until_valid
from engine.agents.headless import PROGRAMS, HeadlessBackend
from engine.clock import SystemClock
from engine.errors import AgentError, UsageError
from engine.marks import MARK
from engine.settings import PermissionSettings, PriceSettings, ProgramSettings, Settings
from engine.values import AgentDefinition, AgentRequest, TurnRow, Usage

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


class Record:
    """A trail in memory."""

    def __init__(self, earlier: tuple[TurnRow, ...] = ()) -> None:
        self.earlier = earlier
        self.turns: list[tuple[str, dict[str, Any]]] = []

    async def add(self, role: str, body: dict[str, Any], *, wait: bool = True) -> dict[str, Any]:
        self.turns.append((role, body))
        return body

    def rows(self) -> tuple[TurnRow, ...]:
        return tuple(
            TurnRow(1, 1, number, role, 0, json.dumps(body).encode())
            for number, (role, body) in enumerate(self.turns, 1)
        )

    def texts(self, role: str) -> list[str]:
        return [body.get("text", "") for kind, body in self.turns if kind == role and body.get("text")]


class Agent:
    """One program with a home, a folder to work in and a model."""

    def __init__(self, program: str, folder: Path, model: ScriptedModel) -> None:
        self.program, self.model = program, model
        self.work = folder / "work"
        self.work.mkdir()
        self.environ = agent_environment(program, folder / "home", model)
        self.progress: list[dict[str, Any]] = []
        self.record = Record()

    def backend(self, settings: Settings = Settings()) -> HeadlessBackend:
        return HeadlessBackend(
            self.program, MODELS[self.program], settings=settings, environ=self.environ, clock=SystemClock()
        )

    def request(self, prompt: str = "Do it.", **fields: Any) -> AgentRequest:
        usual: dict[str, Any] = {"run_id": "r", "call": 1, "identity": b"i" * 32, "attempt": 1}
        usual |= {"workspace": str(self.work), "trail": self.record}
        return AgentRequest(prompt=prompt, **(usual | fields))

    async def ask(self, prompt: str = "Do it.", settings: Settings = Settings(), **fields: Any) -> Any:
        return await self.backend(settings).run(self.request(prompt, **fields), self.progress.append)

    def writes(self, name: str = "a.txt", text: str = "hello") -> Call:
        """The call with which this program's model writes a file."""
        if self.program == "codex":
            return Call("exec_command", {"cmd": f"printf %s {text} > {name}"})
        if self.program == "claude":
            return Call("Write", {"file_path": str(self.work / name), "content": text})
        return Call("write", {"filePath": str(self.work / name), "content": text})

    def runs(self, command: str) -> Call:
        if self.program == "codex":
            return Call("exec_command", {"cmd": command})
        return Call("Bash" if self.program == "claude" else "bash", {"command": command, "description": "x"})


@pytest.fixture(params=PROGRAMS)
async def agent(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Agent]:
    find_program(request.param)
    async with ScriptedModel() as model:
        yield Agent(request.param, tmp_path, model)
    assert model.refused == []
    assert _started(tmp_path) == []


def _started(folder: Path) -> list[str]:
    """Living processes that a backend has started for an agent whose home is in this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            environ = process.environ()
            is_ours = MARK in environ and environ.get("HOME", "").startswith(str(folder))
            if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


async def test_answers_and_really_writes(agent: Agent) -> None:
    agent.model.replies = [Reply(["I write.", agent.writes()]), "It is written."]
    answer = await agent.ask("Write a.txt.", definition=AgentDefinition("d", "", prompt="You are terse."))
    assert answer.value == "It is written."
    assert (agent.work / "a.txt").read_text() == "hello"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (14, 22)
    asked = agent.model.requests[0]
    assert asked.prompt.strip().endswith("Write a.txt.")
    assert "You are terse." in asked.system + asked.text
    # On record: what it was asked, what it said and did, what came of it, and where to go on.
    assert agent.record.texts("user") == ["Write a.txt."]
    assert agent.record.texts("assistant") == ["I write.", "It is written."]
    (call,) = [call for _, body in agent.record.turns for call in body.get("calls") or ()]
    (result,) = [body for role, body in agent.record.turns if role == "tool"]
    assert (result["id"], result["ok"]) == (call["id"], True)
    assert next(body for role, body in agent.record.turns if role == "session") == {"session": answer.session}
    assert {"session": answer.session} in agent.progress
    assert agent.progress[-1] == {"usage": answer.usage.to_json()}


async def test_answers_with_an_object(agent: Agent) -> None:
    def then(asked: Asked) -> Turn:
        return Call("StructuredOutput", {"n": 3}) if "StructuredOutput" in asked.tools else '{"n": 3}'

    agent.model.then = then
    answer = await ask_until_valid(agent.backend(), agent.request(schema=SCHEMA), agent.progress.append, rounds=2)
    assert answer.value == {"n": 3}
    if agent.program == "codex":
        assert agent.model.requests[0].schema == SCHEMA
    if agent.program == "opencode":
        assert '"integer"' in agent.model.requests[0].prompt


async def test_goes_on_in_the_same_conversation_after_feedback(agent: Agent) -> None:
    agent.model.replies = ["not an object"]
    agent.model.then = lambda asked: (
        Call("StructuredOutput", {"n": 4})
        if "StructuredOutput" in asked.tools and "does not do" in asked.text
        else '{"n": 4}'
        if "does not do" in asked.text
        else "still not"
    )
    answer = await ask_until_valid(agent.backend(), agent.request(schema=SCHEMA), agent.progress.append, rounds=3)
    assert answer.value == {"n": 4}
    last = agent.model.requests[-1]
    assert "Do it." in last.text and "not an object" in last.text, "the conversation was not continued"
    asks = len(agent.model.requests)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7 * asks, 11 * asks)


async def test_a_models_failure_is_an_error_with_a_code(agent: Agent) -> None:
    agent.model.then = lambda _: Fails(400, "the key is wrong") if agent.program == "claude" else Fails(401, "bad key")
    with pytest.raises(AgentError) as caught:
        await agent.ask()
    assert (caught.value.code, caught.value.retryable) == ("provider_refused", False)
    assert caught.value.message.startswith(f"{agent.program}: ")


async def test_a_rate_limit_may_be_tried_again(agent: Agent) -> None:
    agent.model.then = lambda _: Fails(429, "slow down", headers={"retry-after": "0"})
    with pytest.raises(AgentError) as caught:
        await agent.ask()
    assert (caught.value.code, caught.value.retryable) == ("rate_limited", True)


async def test_cancelled_leaves_no_process(agent: Agent, tmp_path: Path) -> None:
    """Also none of those that it moved into a session of their own: what its shell started."""
    begun = agent.work / "begun"
    os.mkfifo(begun)
    agent.model.replies = [Reply(agent.runs("tail -f /dev/null & echo yes > begun; tail -f /dev/null"))]
    agent.model.then = lambda _: Stalls()
    rules = PermissionSettings(allow=("run_command",))
    task = asyncio.ensure_future(agent.ask(settings=Settings(permissions=rules)))
    assert await asyncio.wait_for(asyncio.to_thread(begun.read_text), 60) == "yes\n"
    assert len(_started(tmp_path)) >= 3
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert _started(tmp_path) == []


async def test_an_interrupted_call_goes_on(agent: Agent) -> None:
    """The second attempt has the first one's conversation, and knows that it may be half done."""
    agent.model.replies = [Reply(["First I write.", agent.writes()])]
    agent.model.then = lambda _: Stalls()
    task = asyncio.ensure_future(agent.ask("Write two files."))
    async with asyncio.timeout(60):
        while len(agent.model.requests) < 2:
            agent.model.asked.clear()
            await agent.model.asked.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    earlier = agent.record.rows()
    session = [body["session"] for role, body in agent.record.turns if role == "session"][-1]

    agent.model.replies = [Reply([agent.writes("b.txt")]), "Both are written."]
    agent.record = Record(earlier)
    answer = await agent.ask("Write two files.", attempt=2, session=session)
    assert answer.value == "Both are written."
    assert (agent.work / "b.txt").read_text() == "hello"
    assert answer.session == session
    last = agent.model.requests[-1]
    assert "First I write." in last.text
    assert "This is attempt 2 at the task below." in last.text
    assert answer.usage.output_tokens >= 22


async def test_a_lost_conversation_begins_anew(agent: Agent) -> None:
    lost = {"opencode": "ses_" + "f" * 26}.get(agent.program, "11111111-1111-4111-8111-111111111111")
    answer = await agent.ask(attempt=2, session=f"cli:{agent.program}/{lost}")
    assert answer.value == "ok"
    assert "session_lost" in [progress.get("code") for progress in agent.progress]
    another = await agent.ask(attempt=2, session="acp:claude/some-session")
    assert another.value == "ok"


async def test_is_held_to_reading(agent: Agent) -> None:
    """A tool that the call does not name cannot be used, whatever the model asks for."""
    agent.model.replies = [Reply([agent.writes()]), "tried"]
    tools = ("read_file", "grep") if agent.program != "codex" else ("read_file",)
    answer = await agent.ask(tools=tools, is_named_tools=True)
    assert answer.value == "tried"
    assert not (agent.work / "a.txt").exists()


async def test_a_rule_that_denies_is_kept(agent: Agent) -> None:
    agent.model.replies = [Reply([agent.runs("echo x > c.txt")]), "tried"]
    rules = PermissionSettings(deny=("run_command",))
    answer = await agent.ask(settings=Settings(permissions=rules))
    assert answer.value == "tried"
    assert not (agent.work / "c.txt").exists()


async def test_gets_no_secrets_but_its_own(agent: Agent) -> None:
    agent.environ |= {"DEPLOY_TOKEN": "hidden-from-agents", "PLAIN": "seen"}
    agent.model.replies = [Reply([agent.runs("env > seen.txt")]), "done"]
    await agent.ask(settings=Settings(permissions=PermissionSettings(allow=("run_command",))))
    seen = (agent.work / "seen.txt").read_text()
    assert "PLAIN=seen" in seen
    assert "hidden-from-agents" not in seen


async def test_codex_is_priced_by_us_once(tmp_path: Path) -> None:
    """It tells the tokens of its session since it began: what an earlier start has paid is not paid again."""
    find_program("codex")
    settings = Settings(prices={"scripted-model": PriceSettings(input=1e6, output=0.0)})
    async with ScriptedModel() as model:
        agent = Agent("codex", tmp_path, model)
        first = await agent.ask(settings=settings)
        earlier, agent.record = agent.record.rows(), Record(agent.record.rows())
        assert earlier[-1].role == "session"
        second = await agent.ask(settings=settings, attempt=2, session=first.session)
        unpriced = await agent.ask()
    assert first.usage == Usage(7, 11, 7.0)
    assert second.usage == Usage(7, 11, 7.0)
    assert unpriced.usage == Usage(7, 11, 0.0)
    assert [progress["code"] for progress in agent.progress if "notice" in progress] == ["price_unknown"]


def test_a_missing_program_says_how_to_get_it() -> None:
    with pytest.raises(UsageError) as caught:
        HeadlessBackend("claude", None, settings=Settings(), environ={"PATH": "/nowhere"}, clock=SystemClock())
    error = caught.value
    assert error.code == "backend_missing"
    assert error.message == "backend `cli:claude` cannot run here: there is no program 'claude' on the PATH"
    assert error.hint == "Run: npm install -g @anthropic-ai/claude-code"


async def test_a_template_of_the_config(tmp_path: Path) -> None:
    """Any program: here a shell that says what it was given."""
    script = 'printf "%s|%s|%s|" "$1" "$2" "$SECRET_KEY"; cat'
    command = ("sh", "-c", script, "x", "{model}", "{cwd}")
    settings = Settings(programs={"mine": ProgramSettings(command, {"SECRET_KEY": "$MY_API_KEY"})})
    environ = {"PATH": os.environ["PATH"], "MY_API_KEY": "k1", "OTHER_API_KEY": "k2"}
    backend = HeadlessBackend("mine", "m1", settings=settings, environ=environ, clock=SystemClock())
    request = AgentRequest("r", 1, b"i" * 32, 1, "the prompt {model}", str(tmp_path))
    answer = await backend.run(request, lambda _: None)
    assert answer.value == f"m1|{tmp_path}|k1|the prompt {{model}}"
