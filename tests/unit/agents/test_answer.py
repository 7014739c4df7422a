"""Asking until the answer will do: empty ones once more (S20), wrong ones with feedback (S21), usage summed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.agents.answer import ask_until_valid, parse_json
from engine.errors import AgentError
from engine.values import AgentAnswer, AgentRequest, Json, Usage

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
REFERRING = {"$ref": "#/$defs/root", "$defs": {"root": SCHEMA}}


class Scripted:
    """Says the given values in order; each costs 1 input and 2 output tokens."""

    name = "scripted"

    def __init__(self, *values: Any) -> None:
        self.values = list(values)
        self.requests: list[AgentRequest] = []

    async def run(self, request: AgentRequest, emit: Callable[[dict[str, Json]], None]) -> AgentAnswer:
        self.requests.append(request)
        emit({"tokens": 2})
        value = self.values.pop(0)
        if isinstance(value, Exception):
            raise value
        return AgentAnswer(value, Usage(1, 2, 0.5), model="m", session=f"s{len(self.requests)}")

    async def close(self) -> None:
        pass


def request(schema: dict[str, Any] | None = None) -> AgentRequest:
    return AgentRequest(run_id="r", call=1, identity=b"i" * 32, attempt=1, prompt="p", workspace="/", schema=schema)


async def ask(
    backend: Scripted, schema: dict[str, Any] | None = None, rounds: int = 5
) -> tuple[AgentAnswer, list[Any]]:
    told: list[Any] = []
    return await ask_until_valid(backend, request(schema), told.append, rounds=rounds), told


async def failure(backend: Scripted, schema: dict[str, Any] | None = None, rounds: int = 5) -> AgentError:
    with pytest.raises(AgentError) as caught:
        await ask(backend, schema, rounds)
    return caught.value


async def test_S20_the_text_is_returned_as_it_is() -> None:
    answer, told = await ask(Scripted(" Text \n"))
    assert answer == AgentAnswer(" Text \n", Usage(1, 2, 0.5), model="m", session="s1")
    assert told == [{"tokens": 2}]


async def test_S20_an_empty_answer_is_asked_again_once() -> None:
    backend = Scripted(" \n", "text")
    answer, _ = await ask(backend)
    assert answer == AgentAnswer("text", Usage(2, 4, 1.0), model="m", session="s2")
    assert backend.requests[1].feedback == (("", "The answer was empty. Give the answer as your message."),)
    error = await failure(Scripted("", None, "too late"))
    assert (error.code, error.message) == ("empty", "the agent gave an empty answer twice")
    assert error.fields["usage"] == {"input_tokens": 2, "output_tokens": 4, "cost_usd": 1.0}


@pytest.mark.parametrize("schema", [SCHEMA, REFERRING])
async def test_S21_a_wrong_answer_is_asked_again_with_the_reason(schema: dict[str, Any]) -> None:
    backend = Scripted("no json", {"n": "x"}, '{"n": 3}')
    answer, told = await ask(backend, schema)
    assert answer == AgentAnswer({"n": 3}, Usage(3, 6, 1.5), model="m", session="s3")
    assert [asked.session for asked in backend.requests] == [None, "s1", "s2"]
    first, second = backend.requests[2].feedback
    assert first[0] == "no json"
    assert first[1].startswith("the answer is not JSON: ")
    assert second == ('{"n": "x"}', 'at /n: expected integer, found "x"')
    assert told == [
        {"tokens": 2},
        {"usage": {"input_tokens": 1, "output_tokens": 2, "cost_usd": 0.5}},
        {"tokens": 4},
        {"usage": {"input_tokens": 2, "output_tokens": 4, "cost_usd": 1.0}},
        {"tokens": 6},
    ]


async def test_S21_used_up_rounds_throw_with_the_last_problem() -> None:
    error = await failure(Scripted({"n": "a"}, {"n": None}, {"n": 3}), SCHEMA, rounds=2)
    assert error.code == "schema_invalid"
    assert error.message == "no answer fits the schema after 2 rounds: at /n: expected integer, found null"
    assert not error.retryable
    assert error.fields["usage"] == {"input_tokens": 2, "output_tokens": 4, "cost_usd": 1.0}


async def test_an_error_later_on_keeps_what_was_paid() -> None:
    error = await failure(Scripted("", AgentError("down", code="x", retryable=True)))
    assert (error.message, error.retryable) == ("down", True)
    assert error.fields["usage"] == {"input_tokens": 1, "output_tokens": 2, "cost_usd": 0.5}
    told = AgentError("refused", usage={"input_tokens": 1, "output_tokens": 1, "cost_usd": 0.0})
    error = await failure(Scripted("", told))
    assert error.fields["usage"] == {"input_tokens": 2, "output_tokens": 3, "cost_usd": 0.5}


@pytest.mark.parametrize(
    "text",
    [
        '{"n": 1}',
        ' {"n": 1}\n',
        '```json\n{"n": 1}\n```',
        '```\n{"n": 1}\n```',
        'Here it is:\n```json\n{"n": 1}\n```\nDone.',
        'The answer is {"n": 1}. I hope it helps.',
    ],
)
def test_json_is_found_in_text(text: str) -> None:
    assert parse_json(text) == {"n": 1}


@pytest.mark.parametrize("text", ["", "none", "{", "} {", "```", "{'n': 1}", "[" * 5000])
def test_text_without_json_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_json(text)
