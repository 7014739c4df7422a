"""Calls over the Agent Client Protocol, with an agent that does what a plan says."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from support.clock import ManualClock
from support.trails import MemoryTrail

from engine.agents.acp import PROGRAMS, AcpBackend, missing
from engine.agents.answer import ask_until_valid
from engine.agents.policy import Gate, Policy
from engine.clock import SystemClock
from engine.errors import AgentError, UsageError
from engine.ports import Clock
from engine.settings import PermissionSettings, PriceSettings, ProgramSettings, Settings
from engine.values import AgentDefinition, AgentRequest

AGENT = Path(__file__).parents[2] / "support/acp_agent.py"
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
NO_RULES = PermissionSettings()


class Planned:
    """A backend whose agent follows a plan."""

    def __init__(self, folder: Path, *turns: list[dict[str, Any]], **plan: Any) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        self.plan = folder / "plan.json"
        self.plan.write_text(json.dumps({"turns": turns, **plan}))
        self.progress: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str]] = []
        self.trail = MemoryTrail()
        self.environ = {"PATH": os.environ["PATH"]}
        self.prices: dict[str, PriceSettings] = {}

    def backend(
        self, rules: PermissionSettings = NO_RULES, *, clock: Clock | None = None, has_person: bool = True
    ) -> AcpBackend:
        async def approve(tool: str, argument: str) -> bool:
            self.asked.append((tool, argument))
            return argument != "rm -rf /"

        command = (sys.executable, str(AGENT), str(self.plan))
        return AcpBackend(
            "planned",
            None,
            settings=Settings(
                permissions=rules,
                programs={"planned": ProgramSettings(command, {"GIVEN": "$DEPLOY_TOKEN"})},
                prices=self.prices,
            ),
            environ=self.environ,
            clock=clock or SystemClock(),
            gate=lambda request, emit: Gate(
                Policy.from_settings(rules, is_confined=True), approve if has_person else None
            ),
        )

    def request(self, prompt: str = "Do it.", **fields: Any) -> AgentRequest:
        usual: dict[str, Any] = {"run_id": "r", "call": 1, "identity": b"i" * 32, "attempt": 1}
        return AgentRequest(prompt=prompt, **(usual | {"workspace": str(self.work), "trail": self.trail} | fields))

    async def ask(self, rules: PermissionSettings = NO_RULES, **fields: Any) -> Any:
        return await self.backend(rules).run(self.request(**fields), self.progress.append)

    async def fails(self, **fields: Any) -> AgentError:
        with pytest.raises(AgentError) as caught:
            await self.ask(**fields)
        return caught.value

    def notes(self, name: str) -> list[Any]:
        return [note[name] for note in json.loads(self.plan.with_name("notes.json").read_text()) if name in note]

    def bodies(self, role: str) -> list[dict[str, Any]]:
        return [json.loads(turn.body) for turn in self.trail.turns if turn.role == role]

    def codes(self) -> list[str]:
        return [progress["code"] for progress in self.progress if "code" in progress]


class WatchedClock(ManualClock):
    """Tells when somebody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.is_waited_for = asyncio.Event()

    def call_later(self, seconds: float, callback: Any) -> Any:
        self.is_waited_for.set()
        return super().call_later(seconds, callback)


def edits(path: str, **fields: Any) -> dict[str, Any]:
    tool = {"kind": "edit", "title": f"Edit {path}", "rawInput": {"path": path}, "locations": [{"path": path}]}
    return {"tool": tool, "writes": path, **fields}


def runs(command: Any, **fields: Any) -> dict[str, Any]:
    return {"tool": {"kind": "execute", "title": "run", "rawInput": {"command": command}}, **fields}


async def test_an_answer_and_what_is_on_record(tmp_path: Path) -> None:
    usage = {"inputTokens": 5, "outputTokens": 7, "cachedReadTokens": 3, "totalTokens": 15}
    paid = {"sessionUpdate": "usage_update", "used": 9, "size": 100, "cost": {"amount": 0.5, "currency": "USD"}}
    planned = Planned(tmp_path, usage=usage)
    path = str(planned.work / "a.txt")
    turn = [{"print": "a banner"}, {"say": "I wr"}, {"say": "ite."}, edits(path), {"update": paid}, {"say": "Done."}]
    planned.plan.write_text(json.dumps({"turns": [turn], "usage": usage}))
    answer = await planned.ask(definition=AgentDefinition("d", "", prompt="Be terse."))
    assert answer.value == "Done."
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.cost_usd) == (8, 7, 0.5)
    assert Path(path).read_text() == "written"
    assert planned.notes("cwd") == [str(planned.work)]
    assert [(turn.role, json.loads(turn.body)) for turn in planned.trail.turns] == [
        ("session", {"session": "acp:planned/s-1"}),
        ("user", {"text": "Be terse.\n\nDo it."}),
        ("assistant", {"text": "I write."}),
        ("assistant", {"text": "", "calls": [{"id": "t-1", "name": "edit", "args": {"path": path}}]}),
        ("tool", {"id": "t-1", "name": "edit", "text": "outcome o-allow_once", "ok": True}),
        ("assistant", {"text": "Done."}),
    ]
    assert planned.progress[0] == {"session": "acp:planned/s-1"}
    assert {"tool": "edit"} in planned.progress and {"tool": None} in planned.progress
    assert [one["tokens"] for one in planned.progress if "tokens" in one] == [1, 2, 3]
    assert planned.progress[-1] == {"usage": answer.usage.to_json()}


async def test_tokens_without_a_cost_are_priced_or_said_to_have_no_price(tmp_path: Path) -> None:
    usage = {"inputTokens": 1_000_000, "outputTokens": 100_000, "totalTokens": 1_100_000}
    values = [{"name": "m-1", "value": "m-1[high]"}]
    offers = {"configOptions": [{"id": "m", "name": "m", "category": "model", "type": "select", "options": values}]}
    offers["configOptions"][0]["currentValue"] = "m-1[high]"
    planned = Planned(tmp_path, [{"say": "Done."}], usage=usage, offers=offers)
    planned.prices = {"m-1": PriceSettings(input=1.0, output=10.0)}
    assert (await planned.ask(model="m-1[high]")).usage.cost_usd == 2.0
    assert "price_unknown" not in planned.codes()
    assert (await planned.ask()).usage.cost_usd == 2.0
    planned.prices = {}
    assert (await planned.ask()).usage.cost_usd == 0.0
    assert planned.codes()[-1] == "price_unknown"


async def test_what_is_asked_goes_through_the_policy(tmp_path: Path) -> None:
    planned = Planned(tmp_path)
    inside, outside, secret = str(planned.work / "a"), str(tmp_path / "b"), str(planned.work / "keys/c")
    turns = [
        [edits(inside), edits(outside), edits(secret), runs("make"), runs(["bash", "-lc", "rm -rf /"]), runs("ls")]
    ]
    turns[0].append({"tool": {"kind": "other", "title": "deploy_it", "rawInput": {}}})
    planned.plan.write_text(json.dumps({"turns": turns}))
    for number, step in enumerate(turns[0]):
        step["tool"]["toolCallId"] = f"t-{number}"
    planned.plan.write_text(json.dumps({"turns": turns}))
    rules = PermissionSettings(deny=("write_file(keys/**)",), allow=("run_command(ls)",))
    await planned.ask(rules)
    yes, no = "o-allow_once", "o-reject_once"
    assert planned.notes("outcome") == [yes, no, no, yes, no, yes, yes]
    # Commands have no limits of ours here: they are asked about although our own tool's would not be.
    assert planned.asked == [("run_command", "make"), ("run_command", "rm -rf /"), ("mcp.agent.deploy_it", "")]


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        (["allow_always", "reject_always"], "o-allow_always"),
        (["reject_once"], "cancelled"),
        ([], "cancelled"),
    ],
)
async def test_options_without_the_one_that_is_wanted(tmp_path: Path, options: list[str], outcome: str) -> None:
    planned = Planned(tmp_path)
    turn = [edits(str(planned.work / "a"), options=options), {"say": "on"}]
    planned.plan.write_text(json.dumps({"turns": [turn]}))
    assert (await planned.ask()).value == "on"
    assert planned.notes("outcome") == [outcome]


async def test_an_agent_that_stops_when_refused_is_told_to_go_on(tmp_path: Path) -> None:
    planned = Planned(tmp_path, [runs("rm -rf /")], [{"say": "done without"}], stops_when_refused=True)
    assert (await planned.ask()).value == "done without"
    assert planned.notes("prompt")[1] == (
        "run_command(rm -rf /) was not permitted: a person was asked and said no. Do without it.\n"
        "Go on with the task without it, as far as that is possible."
    )


async def test_files_through_us_stay_in_the_workspace(tmp_path: Path) -> None:
    planned = Planned(tmp_path)
    (planned.work / "in.txt").write_text("one\ntwo\nthree\n")
    (planned.work / "link").symlink_to(tmp_path)
    turn = [
        {"read": str(planned.work / "in.txt"), "line": 2},
        {"write": str(planned.work / "new/out.txt"), "text": "made"},
        {"write": str(planned.work / "link/out.txt"), "text": "escaped"},
    ]
    planned.plan.write_text(json.dumps({"turns": [turn]}))
    answer = await planned.ask()
    assert "two\nthree\n" in answer.value and "one" not in answer.value
    assert "not written: " in answer.value
    assert (planned.work / "new/out.txt").read_text() == "made"
    assert not (tmp_path / "out.txt").exists()


async def test_an_object_that_does_not_fit_is_refused_at_once(tmp_path: Path) -> None:
    planned = Planned(tmp_path, [{"submit": {"n": "x"}}, {"submit": {"n": 3}}, {"say": "Done."}])
    answer = await planned.ask(schema=SCHEMA)
    assert answer.value == {"n": 3}
    (first, *_) = [body["text"] for body in planned.bodies("assistant")]
    assert first.startswith("Not accepted: ") and "Correct it and call submit_result again." in first
    assert planned.notes("tools")[0][0]["inputSchema"] == SCHEMA


async def test_the_last_object_that_fits_is_the_answer(tmp_path: Path) -> None:
    planned = Planned(tmp_path, [{"submit": {"n": 1}}, {"submit": {"n": 2}}, {"submit": {}}])
    assert (await planned.ask(schema=SCHEMA)).value == {"n": 2}


async def test_who_submits_nothing_is_reminded_once(tmp_path: Path) -> None:
    planned = Planned(tmp_path, [{"say": "Done."}], [{"submit": {"n": 4}}])
    assert (await planned.ask(schema=SCHEMA)).value == {"n": 4}
    assert planned.notes("prompt")[1].startswith(
        "You ended your turn, but there is no result yet: `submit_result` was not called."
    )


async def test_an_object_as_text_is_an_answer_too(tmp_path: Path) -> None:
    planned = Planned(tmp_path, [{"say": 'Here: {"n": 5}'}])
    answer = await ask_until_valid(planned.backend(), planned.request(schema=SCHEMA), lambda _: None, rounds=2)
    assert answer.value == {"n": 5}
    assert len(planned.notes("prompt")) == 1


async def test_who_never_submits_fails_the_schema(tmp_path: Path) -> None:
    planned = Planned(tmp_path)
    with pytest.raises(AgentError) as caught:
        await ask_until_valid(planned.backend(), planned.request(schema=SCHEMA), lambda _: None, rounds=2)
    assert caught.value.code == "schema_invalid"


async def test_a_further_attempt_goes_on_in_the_session(tmp_path: Path) -> None:
    planned = Planned(tmp_path, [{"say": "Go on."}], capabilities={"loadSession": True})
    await planned.trail.add("assistant", {"text": "", "calls": [{"id": "1", "name": "Bash", "args": {"c": "make"}}]})
    planned.trail = planned.trail.reopened()
    answer = await planned.ask(attempt=2, session="acp:planned/s-1")
    assert (answer.value, answer.session) == ("Go on.", "acp:planned/s-1")
    (prompt,) = planned.notes("prompt")
    assert prompt == (
        "This is attempt 2 at the task below. An earlier one was started and did not finish, so that its work may be "
        'half done: look at what is there before you go on. It is not known how these ended:\n- Bash {"c": "make"}\n\n'
        "Go on with the task:\n\nDo it."
    )
    assert [body["text"] for body in planned.bodies("assistant")[1:]] == ["Go on."], "what was told again is no answer"
    assert planned.codes() == ["no_usage"]


@pytest.mark.parametrize("plan", [{}, {"capabilities": {"loadSession": True}, "knows": []}], ids=["cannot", "lost"])
async def test_a_session_that_cannot_be_continued_begins_anew(tmp_path: Path, plan: dict[str, Any]) -> None:
    planned = Planned(tmp_path, [{"say": "Done."}], **plan)
    await planned.trail.add("assistant", {"text": "I looked around."})
    await planned.trail.add("tool", {"id": "1", "name": "Read", "text": "some text", "ok": True})
    planned.trail = planned.trail.reopened()
    assert (await planned.ask(attempt=3, session="acp:planned/s-9")).value == "Done."
    assert "session_lost" in planned.codes()
    assert "It said: I looked around.\nResult: some text\n\nThe task:\n\nDo it." in planned.notes("prompt")[0]


async def test_mode_model_and_effort_are_set_where_they_are_offered(tmp_path: Path) -> None:
    def option(name: str, category: str, *values: str) -> dict[str, Any]:
        choices = [{"value": value, "name": value} for value in values]
        shape = {"id": name, "name": name, "category": category, "type": "select", "options": choices}
        return {**shape, "currentValue": values[0]}

    offers = {"configOptions": [option("m", "model", "small", "large"), option("e", "thought_level", "low", "xhigh")]}
    planned = Planned(tmp_path, [{"say": "ok"}], offers=offers)
    await planned.ask(model="large", effort="max")
    assert planned.notes("option") == [["m", "large"], ["e", "xhigh"]]
    await planned.ask(effort="medium")
    assert "no_effort" in planned.codes()
    error = await planned.fails(model="larg")
    assert error.message == "acp:planned: it has no model 'larg'; near to it are large"


async def test_cancelled_tells_the_agent(tmp_path: Path) -> None:
    """opencode says that its turn ended well: who cancelled knows better."""
    planned = Planned(tmp_path, [{"say": "begun"}, {"wait": True}], cancel_reason="end_turn")
    begun = asyncio.Event()

    def emit(progress: dict[str, Any]) -> None:
        if "tokens" in progress:
            begun.set()

    task = asyncio.ensure_future(planned.backend().run(planned.request(), emit))
    await asyncio.wait_for(begun.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert planned.notes("cancelled") == [True]


async def test_another_version_of_the_protocol(tmp_path: Path) -> None:
    error = await Planned(tmp_path, protocol=2).fails()
    assert error.code == "protocol_mismatch"
    assert error.message == "planned: it speaks version 2 of the Agent Client Protocol; expected 1"


async def test_an_agent_that_hangs_at_its_start(tmp_path: Path) -> None:
    planned = Planned(tmp_path, hangs="initialize")
    clock = WatchedClock()
    task = asyncio.ensure_future(planned.backend(clock=clock).run(planned.request(), lambda _: None))
    await asyncio.wait_for(clock.is_waited_for.wait(), 30)
    await clock.advance(60)
    with pytest.raises(AgentError) as caught:
        await task
    assert (caught.value.code, caught.value.retryable) == ("program_hangs", True)
    assert caught.value.message.startswith("planned: no answer to initialize in 60 s")


async def test_who_is_not_logged_in_is_told_how(tmp_path: Path) -> None:
    auth = [{"id": "login", "name": "Log in", "description": "Run `planned login` in the terminal"}]
    error = await Planned(tmp_path, auth=auth).fails()
    assert (error.code, error.retryable) == ("provider_refused", False)
    assert error.hint == "Log in with the program itself: Run `planned login` in the terminal."


@pytest.mark.parametrize(
    ("step", "code", "retryable", "message"),
    [
        (
            {"exit": 3, "stderr": "boom\n"},
            "program_crashed",
            True,
            "planned: the program ended with exit code 3 without an answer; its last words: boom",
        ),
        ({"error": [-32603, "Rate limit reached", None]}, "rate_limited", True, "planned: Rate limit reached"),
        (
            {"error": [-32603, "Internal error", {"details": "insufficient_quota"}]},
            "provider_quota",
            False,
            "planned: Internal error: insufficient_quota",
        ),
        ({"stop": "refusal"}, "provider_refusal", False, "planned: the model refused"),
        (
            {"stop": "max_turn_requests"},
            "too_many_turns",
            False,
            "planned: it was stopped after the most requests that it may make",
        ),
        ({"stop": "cancelled"}, "program_failed", False, "planned: it stopped by itself in the middle of its task"),
    ],
    ids=["crash", "rate limit", "quota", "refusal", "turns", "stopped"],
)
async def test_failures(tmp_path: Path, step: dict[str, Any], code: str, retryable: bool, message: str) -> None:
    error = await Planned(tmp_path, [step]).fails()
    assert (error.code, error.retryable, error.message) == (code, retryable, message)
    assert error.fields["usage"] == {"input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0}


async def test_updates_that_nobody_knows_are_no_error(tmp_path: Path) -> None:
    long = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "x" * (3 << 20)}}
    planned = Planned(tmp_path, [{"update": {"sessionUpdate": "moon_phase"}}, {"update": {}}, {"update": long}])
    assert len((await planned.ask()).value) == 3 << 20


async def test_gets_no_secrets_but_those_that_it_is_given(tmp_path: Path) -> None:
    turn = [
        {"environment": "GIVEN"},
        {"say": " "},
        {"environment": "DEPLOY_TOKEN"},
        {"say": " "},
        {"environment": "PAWL_INSIDE_AGENT"},
    ]
    planned = Planned(tmp_path, turn)
    planned.environ["DEPLOY_TOKEN"] = "hidden-from-agents"
    assert (await planned.ask()).value == "hidden-from-agents None 1"


async def test_a_stranger_is_not_held_to_tools(tmp_path: Path) -> None:
    error = await Planned(tmp_path).fails(tools=("read_file",), is_named_tools=True)
    assert error.code == "tools_unsupported"
    assert error.message == (
        "acp:planned cannot be held to what this call may do: an agent of [programs] need not ask before it uses a tool"
    )


def test_an_unknown_program_names_those_that_there_are() -> None:
    settings = Settings(programs={"mine": ProgramSettings(("mine",))})
    with pytest.raises(UsageError) as caught:
        missing("other", settings, {})
    assert caught.value.message == (
        "backend `acp:other`: no such program: expected one of opencode, claude, codex, gemini, mine"
    )
    assert [missing(name, settings, {"PATH": ""}) is None for name in (*PROGRAMS, "mine")] == [False] * 5
