"""A judge's patience: what is asked again, in how much room, and when the next model judges (S70)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.clock import ManualClock, settle_loop

from engine.agents.judging import Bench, Seat
from engine.errors import AgentError
from engine.settings import AgentSettings
from engine.values import AgentAnswer, AgentRequest, Usage

WORKER = AgentRequest("r", 1, b"i" * 32, 3, prompt="Work.", workspace="/somewhere", session="s", model="big")


class Model:
    """Says what it is told to, in order; the last for ever."""

    def __init__(self, *says: Any) -> None:
        self.says = list(says)
        self.requests: list[AgentRequest] = []

    async def __call__(self, request: AgentRequest, emit: Any) -> AgentAnswer:
        self.requests.append(request)
        emit({"session": "of the judge"})
        emit({"tool": "x"})
        emit({"usage": Usage(1, 1).to_json()})
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if callable(said):
            raise said()
        return AgentAnswer(said, Usage(5, 5), model="judge-1")


def failed(code: str, *, retryable: bool = True, after: float | None = None) -> Callable[[], AgentError]:
    return lambda: AgentError(
        f"it broke: {code}", code=code, retryable=retryable, retry_after_s=after, usage=Usage(2, 2).to_json()
    )


async def opinion(*models: Model, **seat: Any) -> Any:
    clock, told = ManualClock(), list[dict[str, Any]]()
    bench = Bench([Seat(f"seat-{n}", model, **seat) for n, model in enumerate(models)], WORKER, AgentSettings(), clock)
    task = asyncio.ensure_future(bench.ask(lambda room: "q" * room, {"type": "object"}, told.append))
    while not task.done():
        await settle_loop()
        if not task.done():
            due = clock.next_due()
            assert due is not None
            await clock.advance(due)
    return task, clock, told


async def test_S70_a_judge_is_asked_in_a_conversation_of_its_own():
    model = Model({"ok": 1})
    task, _, told = await opinion(model)
    said = task.result()
    assert (said.value, said.judge, said.model, said.usage) == ({"ok": 1}, "seat-0", "judge-1", Usage(5, 5))
    (asked,) = model.requests
    assert (asked.session, asked.tools, asked.definition, asked.attempt) == (None, (), None, 1)
    assert told == [{"usage": Usage(1, 1).to_json()}]  # the call's session and tools are the worker's


async def test_S70_what_passes_is_asked_again_and_all_of_it_is_paid():
    model = Model(failed("provider_unavailable"), failed("provider_unavailable"), {"ok": 1})
    task, clock, told = await opinion(model)
    assert task.result().usage == Usage(9, 9)
    assert 2.2 < clock.monotonic() < 3.8  # 1 s, doubling, with jitter
    assert sum(body.get("waiting") == "its judge" for body in told) == 2


async def test_S70_a_judge_that_stays_down_has_failed():
    task, _, _ = await opinion(Model(failed("provider_unavailable")))
    with pytest.raises(AgentError) as caught:
        task.result()
    assert caught.value.message == "the judge failed: seat-0: it broke: provider_unavailable"
    assert (caught.value.code, caught.value.retryable) == ("judge_failed", False)
    assert caught.value.fields["usage"] == Usage(6, 6).to_json()


async def test_S70_a_rate_limit_is_waited_for_as_long_as_people_allow():
    patient = Model(*[failed("rate_limited", after=100.0)] * 8, {"ok": 1})
    task, clock, _ = await opinion(patient)
    assert task.result().value == {"ok": 1} and clock.monotonic() == 800
    task, clock, _ = await opinion(Model(failed("rate_limited", after=100.0)))
    assert task.exception() is not None and clock.monotonic() == 900


async def test_S70_the_next_model_judges_when_one_fails_for_good():
    first, second = Model(failed("provider_quota", retryable=False)), Model({"ok": 2})
    task, _, _ = await opinion(first, second)
    assert (task.result().judge, task.result().usage) == ("seat-1", Usage(7, 7))
    assert len(first.requests) == 1


async def test_S70_a_judge_with_less_room_is_shown_less():
    model = Model(failed("context_exceeded"), failed("prompt_too_long"), {"ok": 1})
    task, clock, _ = await opinion(model)
    assert [len(request.prompt) for request in model.requests] == [40_000, 20_000, 10_000]
    assert len(task.result().shown) == 10_000
    assert clock.monotonic() == 0
    task, _, _ = await opinion(Model(failed("context_exceeded", retryable=False)))
    assert task.exception() is not None


async def test_S70_a_program_that_judges_is_in_an_empty_folder():
    seen: list[tuple[bool, list[Any]]] = []

    class Looks(Model):
        async def __call__(self, request: AgentRequest, emit: Any) -> AgentAnswer:
            folder = Path(request.workspace)
            seen.append((folder.is_dir(), list(folder.iterdir())))
            return await super().__call__(request, emit)

    model = Looks({"ok": 1})
    await opinion(model, acts=True)
    assert seen == [(True, [])]
    assert not Path(model.requests[0].workspace).exists()
