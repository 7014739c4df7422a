"""The real coding agents over the Agent Client Protocol, against a scripted model."""

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
from support.trails import MemoryTrail

from engine.agents.acp import AcpBackend
from engine.agents.answer import ask_until_valid
from engine.agents.policy import Gate, Policy
from engine.clock import SystemClock
from engine.errors import AgentError, UsageError
from engine.marks import MARK
from engine.settings import PermissionSettings, Settings
from engine.values import AgentDefinition, AgentRequest

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
COMMANDS = {"opencode": "opencode", "claude": "claude-agent-acp", "codex": "codex-acp"}
NO_RULES = PermissionSettings()
ANYTHING = PermissionSettings(allow=("run_command",))


class Agent:
    """One program with a home, a folder to work in and a model."""

    def __init__(self, program: str, folder: Path, model: ScriptedModel) -> None:
        self.program, self.model = program, model
        self.work = folder / "work"
        self.work.mkdir()
        self.environ = agent_environment(program, folder / "home", model)
        self.progress: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str]] = []
        self.says = True
        self.trail = MemoryTrail()

    def backend(self, permissions: PermissionSettings = NO_RULES, **more: Any) -> AcpBackend:
        async def approve(tool: str, argument: str) -> bool:
            self.asked.append((tool, argument))
            return self.says

        return AcpBackend(
            self.program,
            MODELS[self.program],
            settings=Settings(permissions=permissions),
            environ=self.environ,
            clock=SystemClock(),
            gate=lambda request, emit: Gate(Policy.from_settings(permissions, is_confined=True), approve),
            **more,
        )

    def request(self, prompt: str = "Do it.", **fields: Any) -> AgentRequest:
        usual: dict[str, Any] = {"run_id": "r", "call": 1, "identity": b"i" * 32, "attempt": 1}
        usual |= {"workspace": str(self.work), "trail": self.trail}
        return AgentRequest(prompt=prompt, **(usual | fields))

    async def ask(self, prompt: str = "Do it.", permissions: PermissionSettings = NO_RULES, **fields: Any) -> Any:
        return await self.backend(permissions).run(self.request(prompt, **fields), self.progress.append)

    def plays(self, *turns: Any, then: Turn = "ok") -> None:
        """The model's turns of the conversation, apart from what the programs ask it besides: a title."""
        left = list(turns)

        def choose(asked: Asked) -> Turn:
            if not asked.tools:
                return "A title"
            turn = left.pop(0) if left else then
            return turn(asked) if callable(turn) else turn

        self.model.then = choose

    def writes(self, name: str = "a.txt", text: str = "hello", folder: Path | None = None) -> Call:
        """The call with which this program's model writes a file."""
        if self.program == "codex":
            return Call("exec_command", {"cmd": f"printf %s {text} > {name}"})
        path = str((folder or self.work) / name)
        if self.program == "claude":
            return Call("Write", {"file_path": path, "content": text})
        return Call("write", {"filePath": path, "content": text})

    def runs(self, command: str) -> Call:
        if self.program == "codex":
            return Call("exec_command", {"cmd": command})
        return Call("Bash" if self.program == "claude" else "bash", {"command": command, "description": "x"})

    def bodies(self, role: str) -> list[dict[str, Any]]:
        return [json.loads(turn.body) for turn in self.trail.turns if turn.role == role]

    def texts(self, role: str) -> list[str]:
        return [body["text"] for body in self.bodies(role) if body.get("text")]

    def codes(self) -> list[str]:
        return [progress["code"] for progress in self.progress if "code" in progress]


@pytest.fixture(params=COMMANDS)
async def agent(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Agent]:
    find_program(COMMANDS[request.param])
    async with ScriptedModel() as model:
        agent = Agent(request.param, tmp_path, model)
        yield agent
    assert model.refused == []
    assert started(agent) == []


def started(agent: Agent) -> list[str]:
    """Living processes that were started for a test."""
    home = agent.environ["HOME"]
    found = []
    for process in psutil.process_iter():
        try:
            environ = process.environ()
            if MARK in environ and environ.get("HOME") == home and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def submits(value: dict[str, Any]) -> Any:
    """The model's turn that calls the tool for the result, under the name that the program gives it."""

    def turn(asked: Asked) -> Call:
        (name,) = [name for name in asked.tools if "submit_result" in name]
        return Call(name, value)

    return turn


async def test_answers_and_really_writes(agent: Agent) -> None:
    agent.plays(Reply(["I write.", agent.writes()]), "It is written.")
    answer = await agent.ask("Write a.txt.", definition=AgentDefinition("d", "", prompt="You are terse."))
    assert answer.value == "It is written."
    assert (agent.work / "a.txt").read_text() == "hello"
    assert answer.usage.input_tokens >= 7 and answer.usage.output_tokens >= 11
    asked = next(asked for asked in agent.model.requests if asked.tools)
    assert "Write a.txt." in asked.text
    assert "You are terse." in asked.system + asked.text
    # On record: where to go on, what it was asked, what it said and did, what came of it.
    assert agent.bodies("session") == [{"session": answer.session}]
    assert {"session": answer.session} in agent.progress
    assert agent.texts("user")[0].endswith("Write a.txt.")
    assert agent.texts("assistant")[-2:] == ["I write.", "It is written."]
    (call,) = [call for body in agent.bodies("assistant") for call in body.get("calls") or ()]
    (result,) = agent.bodies("tool")
    assert (result["id"], result["ok"]) == (call["id"], True)
    assert "hello" in json.dumps(call["args"])
    assert any(progress.get("tokens") for progress in agent.progress)
    assert [told for told in agent.progress if "notice" not in told][-1] == {"usage": answer.usage.to_json()}


async def test_what_the_policy_denies_is_not_done(agent: Agent) -> None:
    agent.plays(Reply([agent.writes()]), "I could not.", then="I could not.")
    answer = await agent.ask(permissions=PermissionSettings(deny=("edit_file", "write_file")))
    assert answer.value == "I could not."
    assert not (agent.work / "a.txt").exists()


async def test_a_person_is_asked(agent: Agent) -> None:
    """Codex runs commands in its own sandbox, and asks before it leaves that."""
    command = f"touch {agent.work}/b.txt"
    call = agent.runs(command)
    if agent.program == "codex":
        call = Call(call.name, {**call.args, "sandbox_permissions": "require_escalated", "justification": "x"})
    agent.plays(Reply([call]), "done", Reply([call]), "refused", then="refused")
    answer = await agent.ask()
    assert (answer.value, (agent.work / "b.txt").exists()) == ("done", True)
    assert agent.asked == [("run_command", command)]
    (agent.work / "b.txt").unlink()
    agent.says = False
    answer = await agent.ask()
    assert (answer.value, (agent.work / "b.txt").exists()) == ("refused", False)


async def test_is_held_to_the_tools_that_a_call_names(agent: Agent) -> None:
    agent.plays(Reply([agent.writes()]), "tried", then="tried")
    answer = await agent.ask(tools=("read_file",), is_named_tools=True)
    assert answer.value == "tried"
    assert not (agent.work / "a.txt").exists()


async def test_stays_in_the_workspace(agent: Agent, tmp_path: Path) -> None:
    if agent.program == "codex":
        pytest.skip("its own sandbox keeps it there")
    agent.plays(Reply([agent.writes("out.txt", folder=tmp_path)]), "tried", then="tried")
    answer = await agent.ask()
    assert answer.value == "tried"
    assert not (tmp_path / "out.txt").exists()
    assert agent.asked == []


async def test_answers_with_an_object(agent: Agent) -> None:
    """What does not fit is corrected while the agent still works."""
    agent.plays(submits({"n": "three"}), submits({"n": 3}), "Submitted.")
    answer = await ask_until_valid(agent.backend(), agent.request(schema=SCHEMA), agent.progress.append, rounds=2)
    assert answer.value == {"n": 3}
    results = [result.text for asked in agent.model.requests for result in asked.results]
    assert any("Not accepted: " in text and "three" in text for text in results)
    assert agent.asked == []


async def test_is_reminded_of_the_object(agent: Agent) -> None:
    agent.plays("I am done.", submits({"n": 4}), "Submitted.")
    answer = await agent.ask(schema=SCHEMA)
    assert answer.value == {"n": 4}
    assert "there is no result yet" in agent.texts("user")[1]


async def test_goes_on_in_the_same_conversation_after_feedback(agent: Agent) -> None:
    agent.plays("no", "never", submits({"n": 5}), "Submitted.")
    answer = await ask_until_valid(agent.backend(), agent.request(schema=SCHEMA), agent.progress.append, rounds=3)
    assert answer.value == {"n": 5}
    last = agent.model.requests[-1]
    assert "Do it." in last.text and "That answer does not do" in last.text, "the conversation was not continued"


async def test_a_refused_key_says_what_to_do(agent: Agent) -> None:
    agent.model.then = lambda _: Fails(401, "Incorrect API key provided")
    with pytest.raises(AgentError) as caught:
        await agent.ask()
    assert (caught.value.code, caught.value.retryable) == ("provider_refused", False)
    assert caught.value.message.startswith(f"{agent.program}: ")
    assert caught.value.hint != ""


async def test_a_rate_limit_may_be_tried_again(agent: Agent) -> None:
    """Codex ends its turn then as if all were well."""
    agent.model.then = lambda _: Fails(429, "Rate limit reached", headers={"retry-after": "0"})
    with pytest.raises(AgentError) as caught:
        await agent.ask()
    assert (caught.value.code, caught.value.retryable) == ("rate_limited", True)


async def test_cancelled_leaves_no_process(agent: Agent) -> None:
    begun = agent.work / "begun"
    os.mkfifo(begun)
    agent.plays(Reply([agent.runs("tail -f /dev/null & echo yes > begun; tail -f /dev/null")]), then=Stalls())
    task = asyncio.ensure_future(agent.ask(permissions=ANYTHING))
    assert await asyncio.wait_for(asyncio.to_thread(begun.read_text), 60) == "yes\n"
    assert len(started(agent)) >= 3
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert started(agent) == []


async def test_an_interrupted_call_goes_on(agent: Agent) -> None:
    """The second attempt has the first one's conversation, and knows that it may be half done."""
    agent.plays(Reply(["First I write.", agent.writes()]), then=Stalls())
    task = asyncio.ensure_future(agent.ask("Write two files."))
    async with asyncio.timeout(60):
        while not any(asked.results for asked in agent.model.requests):
            agent.model.asked.clear()
            await agent.model.asked.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    session = agent.bodies("session")[-1]["session"]

    agent.plays(Reply([agent.writes("b.txt")]), "Both are written.")
    agent.trail = agent.trail.reopened()
    answer = await agent.ask("Write two files.", attempt=2, session=session)
    assert answer.value == "Both are written."
    assert (agent.work / "b.txt").read_text() == "hello"
    assert answer.session == session
    last = agent.model.requests[-1]
    assert "First I write." in last.text
    assert "This is attempt 2 at the task below." in last.text


async def test_a_lost_conversation_begins_anew(agent: Agent) -> None:
    await agent.trail.add("assistant", {"text": "I have read the plan."})
    agent.trail = agent.trail.reopened()
    lost = {"opencode": "ses_" + "f" * 26}.get(agent.program, "11111111-1111-4111-8111-111111111111")
    agent.plays("ok")
    answer = await agent.ask(attempt=2, session=f"acp:{agent.program}/{lost}")
    assert answer.value == "ok"
    assert "session_lost" in agent.codes()
    assert "It said: I have read the plan." in agent.texts("user")[-1]


async def test_sessions_in_two_folders_are_kept_apart(agent: Agent, tmp_path: Path) -> None:
    """Two calls at once, each with a schema of its own: what one submits is not the other's."""
    other = tmp_path / "other"
    other.mkdir()

    def then(asked: Asked) -> Turn:
        if not asked.tools:
            return "A title"
        if asked.results:
            return "Submitted."
        return submits({"n": 1 if "number one" in asked.text else 2})(asked)

    agent.model.then = then
    backend = agent.backend()
    requests = [
        agent.request("Submit number one.", schema=SCHEMA),
        agent.request("Submit number two.", schema=SCHEMA, workspace=str(other), trail=MemoryTrail()),
        agent.request("Submit number two.", schema=SCHEMA, trail=MemoryTrail()),
    ]
    answers = await asyncio.gather(*(backend.run(one, agent.progress.append) for one in requests))
    assert [answer.value for answer in answers] == [{"n": 1}, {"n": 2}, {"n": 2}]


async def test_gets_no_secrets_but_its_own(agent: Agent) -> None:
    agent.environ |= {"DEPLOY_TOKEN": "hidden-from-agents", "PLAIN": "seen"}
    agent.plays(Reply([agent.runs("env > seen.txt")]), "done")
    await agent.ask(permissions=ANYTHING)
    seen = (agent.work / "seen.txt").read_text()
    assert "PLAIN=seen" in seen
    assert "hidden-from-agents" not in seen


async def test_an_unknown_model_is_refused(agent: Agent) -> None:
    if agent.program != "opencode":
        pytest.skip("it takes any name")
    with pytest.raises(AgentError) as caught:
        await agent.ask(model="scripted/other")
    assert caught.value.code == "provider_refused"
    assert caught.value.message.startswith(
        "acp:opencode: it has no model 'scripted/other'; near to it are scripted/scri"
    )


def test_a_missing_program_says_how_to_get_it() -> None:
    with pytest.raises(UsageError) as caught:
        AcpBackend(
            "claude",
            None,
            settings=Settings(),
            environ={"PATH": "/nowhere"},
            clock=SystemClock(),
            gate=lambda request, emit: Gate(Policy(is_confined=False), None),
        )
    error = caught.value
    assert error.code == "backend_missing"
    assert error.message == "backend `acp:claude` cannot run here: there is no program 'claude-agent-acp' on the PATH"
    assert error.hint == "Run: npm install -g @agentclientprotocol/claude-agent-acp"
