"""The embedded model's neighbourhood: what it is asked, and what is made of its failures. The model itself: contract suite."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from support.schema_strategies import SCHEMAS
from support.scripted_model import Fails, Holds, ScriptedModel, Turn
from support.trails import MemoryTrail

from engine.agents import local
from engine.agents.bounding import Bounds, bounded
from engine.agents.definitions import known
from engine.agents.judging import Bench, Seat
from engine.agents.local import LocalBackend
from engine.clock import SystemClock
from engine.errors import AgentError
from engine.schemas import check_schema, validator_for
from engine.settings import AgentSettings
from engine.values import AgentRequest

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}


@asynccontextmanager
async def served(monkeypatch: pytest.MonkeyPatch, *replies: Turn) -> AsyncIterator[tuple[LocalBackend, ScriptedModel]]:
    """The backend with a scripted service in place of the library's own, which speaks the same protocol."""
    async with ScriptedModel(list(replies)) as model:
        monkeypatch.setattr(local, "_load", lambda path, key: SimpleNamespace(listening_address=model.origin))
        backend = LocalBackend(Path("model"))
        try:
            yield backend, model
        finally:
            await backend.close()


def request(**fields: Any) -> AgentRequest:
    usual: dict[str, Any] = {"run_id": "r", "call": 1, "identity": b"i" * 32, "attempt": 1, "workspace": "/"}
    return AgentRequest(**({"prompt": "Say hi"} | usual | fields))


def ignore(_: dict[str, Any]) -> None:
    pass


async def test_what_the_model_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"definition": known()["verify"], "feedback": (("", "it was empty"),)}
    async with served(monkeypatch, " Hi. ", "x") as (backend, model):
        answer = await backend.run(request(**given), ignore)
        await backend.run(request(**given, call=9), ignore)
    assert (answer.value, answer.model) == ("Hi.", local.MODEL)
    first, second = model.requests
    assert first.system == known()["verify"].prompt
    assert first.messages[0].text.startswith("Say hi")
    assert "That does not do: it was empty. Answer again." in first.messages[-1].text
    assert first.tools == {} and first.schema is None
    assert first.raw == second.raw  # the seed too
    assert first.raw["cache_prompt"] is False and first.raw["max_tokens"] == local.ANSWER_TOKENS


async def test_it_says_once_that_it_has_no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    async with served(monkeypatch, "a") as (backend, _):
        await backend.run(request(), told.append)
    assert told[0] == {"notice": local.NO_TOOLS, "code": "no_tools"}


async def test_what_is_said_is_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    trail = MemoryTrail()
    async with served(monkeypatch, "Hi.") as (backend, _):
        await backend.run(request(trail=trail), ignore)
    assert [(turn.role, trail.text(turn)) for turn in trail.turns] == [("user", "Say hi"), ("assistant", "Hi.")]


async def test_S21_an_object_that_does_not_fit_is_asked_again_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {**SCHEMA, "properties": {**SCHEMA["properties"], "why": {"type": "string"}}}
    async with served(monkeypatch, '{"n": 0}', '{"n": 4}') as (backend, model):
        assert (await backend.run(request(schema=schema), ignore)).value == {"n": 4}
    longest = [one.schema["properties"]["why"]["maxLength"] for one in model.requests if one.schema is not None]
    assert longest == [240, 80]
    assert model.requests[0].messages[0].text == "Say hi\n\nAnswer as a JSON object with: n, why."


async def test_a_grammar_that_cannot_be_made_falls_back_to_any_object(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(monkeypatch, Fails(400, "failed to parse grammar"), '{"n": 4}') as (backend, model):
        assert (await backend.run(request(schema=SCHEMA), ignore)).value == {"n": 4}
    assert model.requests[1].schema == {"type": "object"}


async def test_failures_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    too_long = Fails(400, "request (6031 tokens) exceeds the available context size (4096 tokens)")
    for said, code, message in (
        (
            too_long,
            "prompt_too_long",
            "local: the prompt is too long: the service refused with 400: request (6031 tokens) exceeds the available "
            "context size (4096 tokens); the demo model takes 4096 tokens, answer included",
        ),
        (Fails(500, "odd"), "provider_unavailable", "local: the service failed with 500: odd"),
    ):
        async with served(monkeypatch, said) as (backend, _):
            with pytest.raises(AgentError) as caught:
                await backend.run(request(), ignore)
        assert (caught.value.code, caught.value.message) == (code, message)


async def test_a_cancelled_call_gives_its_slot_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(monkeypatch, Holds(asyncio.Event())) as (backend, model):
        task = asyncio.create_task(backend.run(request(), ignore))
        await asyncio.wait_for(model.asked.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(model.left.wait(), 30)  # the service is told by its connection
        answers = [backend.run(request(), ignore) for _ in range(local.SLOTS + 1)]
        assert [answer.value for answer in await asyncio.gather(*answers)] == ["ok"] * (local.SLOTS + 1)


async def test_the_model_is_told_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"kind": {"enum": ["bug", "idea"]}, "why": {"type": "string", "description": "one line"}, "n": True}
    async with served(monkeypatch, "{}", "{}") as (backend, model):
        await backend.run(request(schema={"type": "object", "properties": parts}), ignore)
        await backend.run(request(schema={"type": "object"}), ignore)
    assert [one.messages[0].text for one in model.requests] == [
        "Say hi\n\nAnswer as a JSON object with: kind (one of bug, idea), why (one line), n.",
        "Say hi\n\nAnswer as a JSON object.",
    ]


def test_everything_gets_an_end() -> None:
    schema = {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "long": {"type": "string", "minLength": 500},
            "any": {},
            "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            "list": {"type": "array", "items": {"type": "boolean"}, "minItems": 7},
            "score": {"type": "number", "exclusiveMinimum": 0, "maximum": 9.5},
            "line": {"type": "integer"},
            "half": {"type": "number", "multipleOf": 0.5, "minimum": 1, "maximum": 2},
            "id": {"type": "string", "pattern": r"^[A-Z]\d+$"},
            "day": {"type": "string", "format": "date"},
            "kind": {"type": "string", "enum": ["a", "b"]},
        },
        "not": {"required": ["x"]},
    }
    assert bounded(schema, Bounds()) == {
        "type": "object",
        "properties": {
            "text": {"type": "string", "minLength": 0, "maxLength": 240},
            "long": {"type": "string", "minLength": 500, "maxLength": 540},
            "any": {"type": "string", "minLength": 0, "maxLength": 240},
            "tags": {
                "type": "array",
                "items": {"type": "string", "minLength": 0, "maxLength": 240},
                "minItems": 0,
                "maxItems": 1,
            },
            "list": {"type": "array", "items": {"type": "boolean"}, "minItems": 7, "maxItems": 7},
            "score": {"type": "integer", "minimum": 1, "maximum": 9},
            "line": {"type": "integer", "minimum": 0, "maximum": 1000},
            "half": {"enum": [1, 1.5, 2]},
            "id": {"type": "string", "pattern": "^[A-Z]([0-9]){1,13}$"},
            "day": {"type": "string", "format": "date"},
            "kind": {"enum": ["a", "b"]},
        },
        "additionalProperties": False,
    }


def test_what_stands_beside_branches_is_written_into_them() -> None:
    line = {"type": "integer", "minimum": 0, "maximum": 1000}
    schema = {
        "type": "object",
        "properties": {"at": {"$ref": "#/$defs/place"}},
        "required": ["at", "by"],
        "minProperties": 4,
        "allOf": [{"properties": {"n": {"type": "integer"}}, "required": ["n"]}],
        "oneOf": [{"properties": {"kind": {"const": "a"}}, "required": ["kind"]}, {"$ref": "#/$defs/b"}],
        "$defs": {
            "place": {"type": "object", "properties": {"line": {"type": "integer"}, "in": {"$ref": "#/$defs/place"}}},
            "b": {"properties": {"kind": {"const": "b"}}, "required": ["kind"]},
        },
    }
    copy = bounded(schema, Bounds())
    for branch in copy["anyOf"]:
        assert set(branch["required"]) == set(branch["properties"]) == {"at", "by", "n", "kind"}
    assert [branch["properties"]["kind"] for branch in copy["anyOf"]] == [{"const": "a"}, {"const": "b"}]
    assert copy["$defs"]["place"] == {
        "type": "object",
        "properties": {"line": line, "in": {"$ref": "#/$defs/place"}},
        "additionalProperties": False,
    }


@given(schema=SCHEMAS)
def test_a_bounded_copy_is_a_schema(schema: dict[str, Any]) -> None:
    copy = bounded(schema, Bounds())
    check_schema({"allOf": [True], **copy})
    validator_for(copy).problem({})


async def test_S71_agents_do_not_wait_for_their_own_judges_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(monkeypatch) as (backend, model):
        model.then = lambda asked: (
            '{"reason": "x", "choice": 1}' if "You choose" in asked.text else f"answer {len(model.requests)}"
        )

        def asks(call: int) -> AgentRequest:
            asked = request(call=call, candidates=2)
            judge = Bench([Seat("local", backend.run)], asked, AgentSettings(), SystemClock())
            return replace(asked, judge=judge)

        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(backend.run(asks(call), ignore) for call in range(2 * local.SLOTS)))
    assert all(answer.value.startswith("answer") for answer in answers)
    assert len({asked.raw["seed"] for asked in model.requests if "You choose" not in asked.text}) == 2


FREED_AT_ONCE = """
from engine.agents import local, model_store
for _ in range(3):
    server = local._load(model_store.where(), "key")
    del server
"""


@pytest.mark.local_model
def test_a_model_that_is_freed_right_after_it_was_loaded_is_gone() -> None:
    """In a process of its own: it hung for ever when the library's loop had not begun yet."""
    subprocess.run([sys.executable, "-c", FREED_AT_ONCE], timeout=120, check=True)
