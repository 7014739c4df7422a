"""What every backend promises (`engine/ports.py`, `Backend`), over the real ones; HTTP against a server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from support.scripted_model import Asked, Call, ScriptedModel, Stalls, Turn
from support.trails import MemoryTrail

from engine.agents import model_store
from engine.agents.answer import ask_until_valid
from engine.agents.local import LocalBackend
from engine.agents.loop import SUBMIT, NoTools
from engine.agents.provider import ProviderBackend
from engine.agents.sample import SampleBackend, SampleOptions
from engine.agents.shaping import example
from engine.ports import Backend
from engine.prices import Prices
from engine.schemas import validator_for
from engine.settings import AgentSettings
from engine.values import AgentDefinition, AgentRequest

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "verdict": {"enum": ["holds", "does not hold"]},
        "score": {"type": "number", "minimum": 0, "maximum": 10},
        "notes": {"type": "array", "items": {"type": "string", "maxLength": 30}, "minItems": 1, "maxItems": 3},
        "where": {"type": "object", "properties": {"line": {"type": "integer", "minimum": 1}}, "required": ["line"]},
    },
    "required": ["verdict", "score", "notes"],
    "additionalProperties": False,
}


def request(prompt: str = "Say one short sentence.", **fields: Any) -> AgentRequest:
    usual: dict[str, Any] = {"run_id": "r", "call": 1, "identity": b"i" * 32, "attempt": 1, "workspace": "/"}
    return AgentRequest(prompt=prompt, **(usual | fields))


def ignore(_: dict[str, Any]) -> None:
    pass


Opened = Callable[..., Any]


@asynccontextmanager
async def _sample(*, slow: bool = False) -> AsyncIterator[Backend]:
    yield SampleBackend(SampleOptions(latency_s=3600 if slow else 0))


@asynccontextmanager
async def _local(*, slow: bool = False) -> AsyncIterator[Backend]:
    yield LocalBackend(model_store.where())


def _fake_model(asked: Asked) -> Turn:
    from random import Random

    if SUBMIT not in asked.tools:
        return f"An answer to: {asked.messages[-1].text}"
    return Call(SUBMIT, example(validator_for(asked.tools[SUBMIT]), Random(1)))


class _Bench:
    """No tools: the tools have suites of their own."""

    async def tools(self, request: AgentRequest, emit: Any) -> NoTools:
        return NoTools()


@asynccontextmanager
async def _provider(service: str, *, slow: bool = False) -> AsyncIterator[Backend]:
    async with ScriptedModel(then=lambda asked: Stalls() if slow else _fake_model(asked)) as model:
        variables = {"OPENAI_BASE_URL": model.url, "ANTHROPIC_BASE_URL": model.origin}
        backend = ProviderBackend(
            service,
            "fake-1",
            environ={**variables, "OPENAI_API_KEY": "key-of-a-test", "ANTHROPIC_API_KEY": "key-of-a-test"},
            settings=AgentSettings(),
            prices=Prices(),
            bench=_Bench(),
        )
        try:
            yield backend
        finally:
            await backend.close()


@pytest.fixture(
    params=["sample", pytest.param("local", marks=pytest.mark.local_model), "openai", "openai-responses", "anthropic"]
)
def opened(request: pytest.FixtureRequest) -> Opened:
    if request.param == "local" and not model_store.is_present():
        if request.config.getoption("--require-model"):
            pytest.fail("the embedded model is not here: pawl model pull")
        pytest.skip("the embedded model is not here: pawl model pull")
    made = {"sample": _sample, "local": _local}
    return made[request.param] if request.param in made else partial(_provider, request.param)


async def test_S20_text_comes_back_with_what_it_cost(opened: Opened) -> None:
    async with opened() as backend:
        answer = await backend.run(request(), ignore)
        await backend.close()
    assert isinstance(answer.value, str)
    assert answer.value.strip()
    assert answer.model
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0


async def test_S21_an_answer_fits_the_schema(opened: Opened) -> None:
    async with opened() as backend:
        answer = await ask_until_valid(backend, request("Judge: water is wet.", schema=SCHEMA), ignore, rounds=5)
        await backend.close()
    assert validator_for(SCHEMA).problem(answer.value) is None


async def test_the_same_question_gets_the_same_answer(opened: Opened) -> None:
    async with opened() as backend:
        first = await backend.run(request(), ignore)
        again = await backend.run(request(call=7, identity=b"j" * 32, run_id="other"), ignore)
        await backend.close()
    assert again.value == first.value


async def test_calls_run_at_once_and_keep_apart(opened: Opened) -> None:
    prompts = [f"Repeat the number {n}." for n in range(4)]
    async with opened() as backend:
        answers = await asyncio.gather(*(backend.run(request(prompt), ignore) for prompt in prompts))
        await backend.close()
    assert all(answer.value.strip() for answer in answers)


async def test_what_was_said_is_on_record_in_order(opened: Opened) -> None:
    trail = MemoryTrail()
    async with opened() as backend:
        answer = await backend.run(request(trail=trail), ignore)
        await backend.close()
    if backend.name != "sample":  # it says nothing that anybody would look up
        assert [(turn.role, turn.seq) for turn in trail.turns] == [("user", 1), ("assistant", 2)]
        assert trail.text(trail.turns[1]).strip() == answer.value.strip()


async def test_a_definition_and_feedback_are_taken(opened: Opened) -> None:
    definition = AgentDefinition(name="verify", description="…", prompt="Be brief.")
    asked = request(definition=definition, feedback=(("maybe", "at /: expected object, found text"),))
    async with opened() as backend:
        answer = await backend.run(asked, ignore)
        await backend.close()
    assert answer.value.strip()


async def test_a_cancelled_call_stops(opened: Opened) -> None:
    """Cancelled while it works, the call ends at once, and nothing of it goes on after `close`."""
    async with opened(slow=True) as backend:
        started = asyncio.Event()
        task = asyncio.create_task(
            backend.run(request("Tell a long story of a cat, a dog and a bird."), _sets(started))
        )
        if backend.name == "local":
            await asyncio.wait_for(started.wait(), 60)  # the first tokens are there
        else:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)
        await asyncio.wait_for(backend.close(), 30)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_close_may_come_first_and_twice(opened: Opened) -> None:
    async with opened() as backend:
        await backend.close()
        await backend.close()


def _sets(event: asyncio.Event) -> Callable[[dict[str, Any]], None]:
    return lambda _: event.set()
