"""ask(), and what `simulate` answers instead of acting."""

from __future__ import annotations

import asyncio

import pytest
from support.clock import ManualClock, settle_loop

from engine.effects import Questions, Workspace, simulated_effects
from engine.errors import AgentError, UsageError
from engine.executors import Job
from engine.values import CallKind


class Asking:
    def __init__(self, **content):
        self.clock = ManualClock()
        self.told = []
        self.questions = Questions(
            self.clock, lambda value, schema: None if isinstance(value, int) else "$: expected integer"
        )
        self.content = {"question": "Go on?", **content}
        job = Job(7, CallKind.ASK, self.content, b"")
        self.task = asyncio.create_task(self.questions.run(job, self.told.append))


async def test_S61_a_question_is_told_and_waits_for_its_answer():
    asking = Asking()
    await settle_loop()
    assert asking.told == [{"waiting": "a person", "question": asking.content}]
    assert asking.questions.open() == {7: asking.content}
    asking.questions.answer(7, {"any": "thing"})
    assert await asking.task == {"any": "thing"}
    assert asking.questions.open() == {}
    with pytest.raises(UsageError, match=r"^Call 7 waits for no answer\.$"):
        asking.questions.answer(7, 1)


async def test_S61_an_answer_that_does_not_fit_leaves_the_question_open():
    asking = Asking(choices=["yes", "no", 1])
    await settle_loop()
    with pytest.raises(UsageError, match=r'^"maybe" is not an answer to call 7: expected one of "yes", "no", 1$'):
        asking.questions.answer(7, "maybe")
    with pytest.raises(UsageError, match=r"^true is not an answer"):
        asking.questions.answer(7, True)
    asking.questions.answer(7, 1)
    assert await asking.task == 1


async def test_S61_an_answer_fits_the_schema():
    asking = Asking(schema={"type": "integer"})
    await settle_loop()
    with pytest.raises(UsageError, match=r"^This is not an answer to call 7: \$: expected integer$"):
        asking.questions.answer(7, "three")
    asking.questions.answer(7, 3)
    with pytest.raises(UsageError, match=r"^Call 7 waits for no answer"):
        asking.questions.answer(7, 4)
    assert await asking.task == 3


async def test_S61_after_the_time_the_default_or_nothing():
    asking = Asking(timeoutMinutes=2, default=None)
    await asking.clock.advance(119)
    assert not asking.task.done()
    await asking.clock.advance(2)
    assert await asking.task is None

    asking = Asking(timeoutMinutes=2)
    await asking.clock.advance(121)
    with pytest.raises(AgentError, match=r"^nobody answered within 2 minutes$") as caught:
        await asking.task
    assert caught.value.code == "timeout"


async def test_S61_a_withdrawn_question_is_gone():
    asking = Asking(timeoutMinutes=5)
    await settle_loop()
    asking.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking.task
    assert asking.questions.open() == {} and asking.clock.pending() == 0


async def test_S63_simulate_answers_what_would_act_and_looks_at_files(tmp_path):
    effects = simulated_effects(Workspace(tmp_path), lambda schema: {"from": schema})
    (tmp_path / "here").write_text("text")

    async def do(kind, **content):
        return (await effects[kind].run(Job(1, kind, content, b""), 1, lambda body: None)).value

    assert await do(CallKind.CHECK, command="touch no") == {"ok": True, "exitCode": 0, "stdout": "", "stderr": ""}
    assert await do(CallKind.WRITE_FILE, path="no", text="x") is True
    assert await do(CallKind.ASK, question="?", default=0, choices=["a"]) == 0
    assert await do(CallKind.ASK, question="?", choices=["a", "b"]) == "a"
    assert await do(CallKind.ASK, question="?", schema={"type": "object"}) == {"from": {"type": "object"}}
    assert await do(CallKind.ASK, question="?") == "yes"
    assert await do(CallKind.READ_FILE, path="here") == "text"
    assert await do(CallKind.GLOB, pattern="*") == ["here"]
    assert await do(CallKind.EXISTS, path="no") is False
