"""`sample`: the same question, the same answer; failures where a hash says so."""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import Any

import pytest

from engine.agents.definitions import known
from engine.agents.sample import SampleBackend, SampleOptions
from engine.errors import AgentError
from engine.schemas import validator_for
from engine.values import AgentAnswer, AgentRequest, Usage

PLAIN = SampleOptions()
SCHEMA = {"type": "object", "properties": {"findings": {"type": "array", "items": {"type": "string"}}}}


def request(**fields: Any) -> AgentRequest:
    usual: dict[str, Any] = {"run_id": "r", "call": 1, "identity": b"i" * 32, "attempt": 1, "workspace": "/"}
    return AgentRequest(**({"prompt": "Find bugs\nin all files"} | usual | fields))


async def ask(options: SampleOptions = PLAIN, **fields: Any) -> AgentAnswer:
    return await SampleBackend(options).run(request(**fields), lambda _: None)


async def test_an_answer_never_changes() -> None:
    """Golden: other programs' expectations and our own recorded runs rest on it."""
    assert await ask() == AgentAnswer("Sample answer dd71fded to: Find bugs", Usage(6, 10), model="sample")


@pytest.mark.parametrize(
    "other",
    [{"run_id": "s"}, {"call": 9}, {"identity": b"j" * 32}, {"attempt": 2}, {"workspace": "/w"}, {"label": "l"}],
)
async def test_where_it_was_asked_does_not_matter(other: dict[str, Any]) -> None:
    assert await ask(**other) == await ask()


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "Find bugs\nin some files"},
        {"model": "m"},
        {"effort": "high"},
        {"definition": known()["verify"]},
        {"feedback": (("a", "b"),)},
    ],
)
async def test_what_was_asked_does(other: dict[str, Any]) -> None:
    assert (await ask(**other)).value != (await ask()).value
    assert (await ask(SampleOptions(seed=1))).value != (await ask()).value


async def test_options_set_usage_and_time() -> None:
    answer = await ask(SampleOptions(tokens=200, usd=0.25))
    assert answer.usage == Usage(6, 200, 0.25)
    slow = asyncio.create_task(ask(SampleOptions(latency_s=3600)))
    await asyncio.sleep(0)
    assert not slow.done()
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow


async def test_failures_are_a_share_and_stay_where_they_are() -> None:
    async def fails(identity: bytes, attempt: int, seed: int = 7) -> bool:
        try:
            await ask(SampleOptions(fail=0.1, seed=seed), identity=identity, attempt=attempt, prompt=str(attempt))
        except AgentError:
            return True
        return False

    identities = [hashlib.sha256(str(n).encode()).digest() for n in range(2_000)]
    first = [await fails(identity, 1) for identity in identities]
    assert 140 < sum(first) < 260
    assert [await fails(identity, 1) for identity in identities] == first
    assert [await fails(identity, 2) for identity in identities] != first
    assert [await fails(identity, 1, seed=8) for identity in identities] != first


async def test_a_failure_is_permanent_and_says_whose_wish_it_was() -> None:
    with pytest.raises(AgentError) as caught:
        await ask(SampleOptions(fail=1), attempt=3)
    assert caught.value.message == "sample: attempt 3 fails, as sample:fail=1 asks for"
    assert (caught.value.code, caught.value.retryable) == ("sample_failed", False)


async def test_S21_objects_fit_the_schema_and_differ() -> None:
    answers = [(await ask(schema=SCHEMA, prompt=str(n))).value for n in range(20)]
    assert all(validator_for(SCHEMA).problem(value) is None for value in answers)
    assert len({str(value) for value in answers}) > 10


async def test_empty_answers_have_no_entries_that_the_schema_can_do_without() -> None:
    some = {"type": "array", "minItems": 1, "items": {"type": "object", "properties": {"more": {"type": "array"}}}}
    schema = {
        "type": "object",
        "required": ["none", "some"],
        "properties": {"none": {"type": "array", "items": {"type": "string"}}, "some": some},
    }
    for n in range(20):
        value = (await ask(SampleOptions(empty=1), schema=schema, prompt=str(n))).value
        assert validator_for(schema).problem(value) is None
        assert value["none"] == [] and value["some"] != []
        assert all(entry.get("more", []) == [] for entry in value["some"])


async def test_a_schema_without_an_example_is_an_honest_error() -> None:
    with pytest.raises(AgentError) as caught:
        await ask(schema={"type": "object", "not": {}})
    assert caught.value.message == "sample: found no value that satisfies the schema"
    assert (caught.value.code, caught.value.retryable) == ("sample_schema", False)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "array", "minItems": 10**9},
        {"type": "string", "minLength": 10**9},
        {"type": "object", "minProperties": 10**9},
        {"type": "array", "minItems": 3000, "items": {"type": "array", "minItems": 3000}},
    ],
)
async def test_I5_a_schema_that_asks_for_too_much_takes_no_time(part: dict[str, Any]) -> None:
    started = time.process_time()
    with pytest.raises(AgentError):
        await ask(schema={"type": "object", "properties": {"a": part}, "required": ["a"]})
    assert time.process_time() - started < 5


def test_the_built_in_kinds_of_agent() -> None:
    assert sorted(known()) == ["explore", "general", "verify"]
    assert all(definition.description and definition.prompt for definition in known().values())


async def test_what_is_empty_stays_so_when_an_attempt_is_made_again() -> None:
    """A run that was killed ends as it would have."""
    half = SampleOptions(empty=0.5)
    for number in range(20):
        question = {"schema": SCHEMA, "prompt": f"question {number}"}
        assert await ask(half, **question) == await ask(half, **question, attempt=2)
