"""The wait for candidates, and the choice among them, by a clock that is turned by hand (S71)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, ToolCallPart, ToolReturnPart, UserPromptPart
from support.clock import ManualClock, settle_loop
from support.trails import MemoryTrail

from engine.agents.candidates import Candidates, Draw, Purse, recent
from engine.agents.conversation import Conversation
from engine.errors import AgentError
from engine.settings import AgentSettings
from engine.values import AgentRequest, Opinion, Usage


class FirstIsBest:
    """A judge that takes proposal 1; what it was shown is in `shown`."""

    is_made_up = False

    def __init__(self) -> None:
        self.shown: list[str] = []

    async def ask(self, question, schema, emit, *, feedback=()):
        self.shown.append(question(4_000))
        emit({"usage": Usage(1, 1).to_json()})
        return Opinion({"choice": 1, "reason": "the first"}, self.shown[-1], "judge", usage=Usage(1, 1))


class Step:
    """One step with draws that the test lets go, one by one."""

    def __init__(self, count: int, *, identity: bytes = b"i" * 32, **settings: Any) -> None:
        self.clock = ManualClock()
        self.judge = FirstIsBest()
        self.told: list[dict[str, Any]] = []
        self.purse = Purse()
        self.trail = MemoryTrail()
        request = AgentRequest(
            "r", 1, identity, 1, prompt="Do it.", workspace="/", candidates=count, judge=self.judge, trail=self.trail
        )
        self.candidates = Candidates(
            request, AgentSettings(**settings), self.clock, purse=self.purse, emit=self.told.append
        )
        self.ends: list[asyncio.Future[Any]] = []
        self.cut_off: list[int] = []

    async def start(self) -> asyncio.Task[Draw]:
        loop = asyncio.get_running_loop()
        self.ends = [loop.create_future() for _ in range(self.candidates._request.candidates)]
        conversation = await Conversation.open(self.trail, "Do it.", system="", is_again=False)
        task = asyncio.ensure_future(self.candidates.drawn(self._draw, conversation))
        await settle_loop()
        return task

    async def _draw(self, number: int) -> Draw:
        try:
            said = await self.ends[number]
        except asyncio.CancelledError:
            self.cut_off.append(number)
            raise
        self.purse.pay(Usage(10, 1))
        return Draw(number, ModelResponse(parts=[TextPart(said)]), Usage(10, 1))

    async def end(self, number: int, said: str | Exception) -> None:
        if isinstance(said, Exception):
            self.ends[number].set_exception(said)
        else:
            self.ends[number].set_result(said)
        await settle_loop()


async def test_S71_all_are_waited_for_while_patience_lasts():
    step = Step(3)
    task = await step.start()
    await step.end(2, "c")
    await step.clock.advance(29)
    await step.end(0, "a")
    assert not task.done()
    await step.end(1, "b")
    assert (await task).response.text in "abc"
    assert step.cut_off == []
    assert step.clock.pending() == 0


async def test_S71_a_quorum_is_enough_when_patience_ends():
    step = Step(4)
    task = await step.start()
    await step.end(0, "a")
    await step.clock.advance(29.9)
    await step.end(3, "d")  # two of four
    assert not task.done()
    await step.clock.advance(0.1)
    assert (await task).response.text in "ad"
    assert step.cut_off == [1, 2]
    assert step.trail.text(step.trail.turns[-1]).splitlines()[1] == "0 failed, 2 came too late"


async def test_S71_without_a_quorum_whatever_is_there_is_enough_after_as_long_again():
    step = Step(4, candidates_wait_s=5)
    task = await step.start()
    await step.clock.advance(1_000)  # nothing runs before the first
    await step.end(1, "b")
    await step.clock.advance(9.9)
    assert not task.done()
    await step.clock.advance(0.1)
    assert (await task).response.text == "b"
    assert step.judge.shown == []


async def test_S71_a_quorum_after_patience_has_ended_is_taken_at_once():
    step = Step(3, candidates_quorum=0.6)
    task = await step.start()
    await step.end(1, "b")
    await step.clock.advance(31)
    assert not task.done()
    await step.end(2, "c")
    assert (await task).response.text in "bc"


async def test_S71_the_error_that_may_pass_is_the_step_s_when_all_fail():
    step = Step(2)
    task = await step.start()
    await step.end(0, AgentError("refused", code="provider_refused"))
    await step.end(1, AgentError("busy", code="rate_limited", retryable=True))
    with pytest.raises(AgentError, match="busy"):
        await task


async def test_S71_a_bug_in_a_draw_is_not_taken_for_a_bad_draw():
    step = Step(2)
    task = await step.start()
    await step.end(0, "a")
    await step.end(1, ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        await task


async def test_S71_an_empty_proposal_is_no_choice():
    step = Step(2)
    task = await step.start()
    await step.end(0, "  ")
    await step.end(1, "b")
    assert (await task).response.text == "b"
    assert step.judge.shown == []


async def test_S71_cancelled_it_leaves_no_draw_behind():
    step = Step(3)
    task = await step.start()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert step.cut_off == [0, 1, 2]
    assert step.clock.pending() == 0


async def order_shown(identity: bytes) -> str:
    step = Step(5, identity=identity)
    task = await step.start()
    for number in (4, 2, 0, 1, 3):  # whichever comes first
        await step.end(number, "abcde"[number])
    await task
    return "".join(part.split("\n")[1] for part in step.judge.shown[0].split("Proposal ")[1:])


async def test_S71_the_order_is_shuffled_by_the_call_and_the_same_again():
    orders = [await order_shown(bytes([n]) * 32) for n in range(8)]
    assert orders == [await order_shown(bytes([n]) * 32) for n in range(8)]
    assert len(set(orders)) > 3
    assert all(sorted(order) == list("abcde") for order in orders)


def test_S71_the_end_of_the_conversation_is_kept_and_the_rest_said_to_be_left_out():
    messages = [ModelRequest(parts=[UserPromptPart("The task.")])]
    for n in range(20):
        messages.append(ModelResponse(parts=[TextPart(f"Step {n}."), ToolCallPart("look", {"n": n}, "c")]))
        messages.append(ModelRequest(parts=[ToolReturnPart("look", f"saw {n} " + "x" * 300, "c")]))
    text = recent(messages, 2_000)
    assert text.startswith("[earlier turns are left out]")
    assert "saw 19" in text and 'Step 19.\ncalls look {"n": 19}' in text and "saw 10" not in text
    assert len(text) < 2_200
