"""The embedded model's neighbourhood: what it is asked, and what is made of its failures. The model itself: contract suite."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from support.schema_strategies import SCHEMAS

from engine.agents import local
from engine.agents.bounding import Bounds, bounded
from engine.agents.definitions import known
from engine.agents.local import LocalBackend
from engine.errors import AgentError
from engine.schemas import check_schema, validator_for
from engine.values import AgentRequest, Usage

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}


class Runtime:
    """Speaks as llama.cpp's server does in this process: chunks to a callback that may stop it."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[dict[str, Any]] = []
        self.stopped = threading.Event()

    def handle_chat_completions(self, call: dict[str, Any], on_chunk: Callable[[dict[str, Any]], bool]) -> None:
        self.calls.append(call)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, dict):
            on_chunk({"error": answer})
            return
        for piece in answer:
            if on_chunk({"choices": [{"delta": {"content": piece}}]}):
                self.stopped.set()
                return
        on_chunk({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}})


def request(**fields: Any) -> AgentRequest:
    usual: dict[str, Any] = {"run_id": "r", "call": 1, "identity": b"i" * 32, "attempt": 1, "workspace": "/"}
    return AgentRequest(**({"prompt": "Say hi"} | usual | fields))


async def ask(runtime: Runtime, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> Any:
    monkeypatch.setattr(local, "_load", lambda _: runtime)
    backend = LocalBackend(Path("model"))
    try:
        return await backend.run(request(**fields), lambda _: None)
    finally:
        await backend.close()


async def test_what_the_model_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime([" Hi", ". "])
    answer = await ask(runtime, monkeypatch, definition=known()["verify"], feedback=(("", "it was empty"),))
    assert (answer.value, answer.usage, answer.model) == ("Hi.", Usage(5, 3), local.MODEL)
    (call,) = runtime.calls
    assert call["messages"] == [
        {"role": "system", "content": known()["verify"].prompt},
        {"role": "user", "content": "Say hi"},
        {"role": "assistant", "content": "…"},
        {"role": "user", "content": "it was empty"},
    ]
    assert "response_format" not in call
    again = Runtime(["x"])
    await ask(again, monkeypatch, definition=known()["verify"], feedback=(("", "it was empty"),), call=9)
    assert again.calls == runtime.calls  # the seed too


async def test_S21_an_object_that_does_not_fit_is_asked_again_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(['{"n": 12'], ['{"n": 4}'])
    answer = await ask(runtime, monkeypatch, schema=SCHEMA)
    assert (answer.value, answer.usage) == ({"n": 4}, Usage(10, 6))
    assert len({call["seed"] for call in runtime.calls}) == 2
    assert runtime.calls[0]["messages"][0]["content"] == "Say hi\n\nAnswer as a JSON object with: n."


async def test_a_grammar_that_cannot_be_made_falls_back_to_any_json(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(ValueError("no grammar"), ['{"n": 4}'])
    assert (await ask(runtime, monkeypatch, schema=SCHEMA)).value == {"n": 4}
    assert [call["response_format"]["type"] for call in runtime.calls] == ["json_schema", "json_object"]


async def test_failures_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    too_long = {"type": "exceed_context_size_error", "n_prompt_tokens": 6031, "n_ctx": 4096, "message": "…"}
    for said, code, message in (
        (too_long, "prompt_too_long", "local: the prompt has 6031 tokens; the demo model takes 4096, answer included"),
        ({"message": "odd"}, "local_failed", "local: odd"),
        (RuntimeError("broken"), "local_failed", "local: the model's runtime failed: broken"),
    ):
        with pytest.raises(AgentError) as caught:
            await ask(Runtime(said), monkeypatch)
        assert (caught.value.code, caught.value.message, caught.value.retryable) == (code, message, False)


async def test_a_cancelled_call_stops_its_thread_and_gives_its_slot_back(monkeypatch: pytest.MonkeyPatch) -> None:
    began, goes_on = threading.Event(), threading.Event()

    def endless() -> Iterator[str]:
        began.set()
        assert goes_on.wait(30)
        while True:
            yield "x"

    runtime = Runtime(endless(), *(["ok"] for _ in range(local.SLOTS + 1)))
    monkeypatch.setattr(local, "_load", lambda _: runtime)
    backend = LocalBackend(Path("model"))
    task = asyncio.create_task(backend.run(request(), lambda _: None))
    assert await asyncio.to_thread(began.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    goes_on.set()
    answers = [backend.run(request(), lambda _: None) for _ in range(local.SLOTS + 1)]
    assert [answer.value for answer in await asyncio.gather(*answers)] == ["ok"] * (local.SLOTS + 1)
    assert runtime.stopped.wait(30)
    await backend.close()


async def test_the_model_is_told_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(["{}"], ["{}"])
    parts = {"kind": {"enum": ["bug", "idea"]}, "why": {"type": "string", "description": "one line"}, "n": True}
    await ask(runtime, monkeypatch, schema={"type": "object", "properties": parts})
    await ask(runtime, monkeypatch, schema={"type": "object"})
    assert [call["messages"][0]["content"] for call in runtime.calls] == [
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
