"""A goal's rounds, and what of them an interrupted call finds again (S70)."""

from __future__ import annotations

from typing import Any

import pytest
from support.trails import MemoryTrail

from engine.agents.answer import adding
from engine.agents.goals import Goal, Past
from engine.errors import AgentError
from engine.settings import AgentSettings
from engine.values import AgentAnswer, AgentRequest, Opinion, Usage

GO_ON = {"verdict": "not met", "criteria": [{"criterion": "c", "met": False, "evidence": ""}], "reason": "Go on."}


def met(quote: str) -> dict[str, Any]:
    return {"verdict": "met", "criteria": [{"criterion": "c", "met": True, "evidence": quote}], "reason": ""}


class Killed(BaseException):
    """The process is gone."""


class Scene:
    """A worker and a judge that say what they are told to; every step of theirs is in `log`."""

    def __init__(self, *, says: list[Any], judges: list[Any], checks: list[int] | None = None, **settings: Any) -> None:
        self.trail = MemoryTrail()
        self.says, self.judges, self.checks = says, judges, checks or []
        self.log: list[str] = []
        self.heard: list[str] = []
        self.told: list[dict[str, Any]] = []
        self.settings = AgentSettings(**settings)

    is_made_up = False

    async def worker(self, request: AgentRequest, emit: Any) -> AgentAnswer:
        self.log.append("worker")
        self.heard += [problem for _, problem in request.feedback[-1:]]
        said = self.says.pop(0)
        if isinstance(said, BaseException):
            raise said
        await request.trail.add("user", {"text": "asked"})
        await request.trail.add("assistant", {"text": said})
        emit({"usage": Usage(1, 1).to_json()})
        return AgentAnswer(said, Usage(1, 1), session="s")

    async def ask(self, question: Any, schema: Any, emit: Any, *, feedback: Any = ()) -> Opinion:
        self.log.append("judge")
        said = self.judges.pop(0)
        if isinstance(said, BaseException):
            raise said
        return Opinion(said, question(40_000), "judge", usage=Usage(10, 10))

    async def check(self, command: str, folder: str) -> dict[str, Any]:
        self.log.append(f"check in {folder}")
        code = self.checks.pop(0)
        return {"ok": code == 0, "exitCode": code, "stdout": "out", "stderr": ""}

    async def attempt(self, *, goal: str | None = "c", check: str | None = None) -> AgentAnswer:
        """One attempt, in this process or another: what is on record is all that it knows."""
        self.trail = self.trail.reopened()

        async def reopened() -> MemoryTrail:
            trail = MemoryTrail(self.trail.turns)
            trail.turns = self.trail.turns
            return trail

        pursuit = Goal(
            condition=goal,
            command=check,
            judge=None if goal is None else self,
            run_check=self.check,
            reopened=reopened,
            masked=lambda value: value,
            settings=self.settings,
        )
        request = AgentRequest("r", 1, b"i" * 32, 1, prompt="Do.", workspace="/w", trail=self.trail)
        return await pursuit.pursue(self.worker, request, adding(Usage(), self.told.append))

    async def failure(self, **given: Any) -> AgentError:
        with pytest.raises(AgentError) as caught:
            await self.attempt(**given)
        return caught.value


async def test_S70_rounds_until_it_is_met_and_all_of_them_paid():
    scene = Scene(says=["one", "two"], judges=[GO_ON, met("two")], checks=[1, 0])
    answer = await scene.attempt(check="t")
    assert scene.log == ["worker", "check in /w", "judge"] * 2
    assert (answer.value, answer.usage) == ("two", Usage(22, 22))
    assert [one["met"] for one in answer.meta["verdicts"]] == ["not met", "met"]
    assert scene.heard[0].startswith("the goal is not met yet.\n\nnot met: Go on.")
    # A cap is looked at before each judge, and before each further round; a check costs nothing.
    kept = [told for told in scene.told if "usage" in told or "turn" in told]
    assert ["turn" if "turn" in told else told["usage"]["output_tokens"] for told in kept] == [
        1,
        1,
        1,
        "turn",
        11,
        "turn",
        12,
        12,
        12,
        "turn",
    ]


async def test_S43_S70_an_answer_that_needs_no_judge_is_not_stopped_at_a_cap():
    scene = Scene(says=["one"], judges=[], checks=[0])
    await scene.attempt(goal=None, check="t")
    assert not any("turn" in told for told in scene.told)


async def test_S70_killed_after_the_verdict_that_accepts_nobody_is_asked_again():
    scene = Scene(says=["one"], judges=[met("one")])
    await scene.attempt()

    async def answers_from_the_record(request: AgentRequest, emit: Any) -> AgentAnswer:
        scene.log.append("record")
        return AgentAnswer("one")

    scene.worker = answers_from_the_record  # type: ignore[method-assign]
    answer = await scene.attempt()
    assert scene.log == ["worker", "judge", "record"]
    assert [one["met"] for one in answer.meta["verdicts"]] == ["met"]


async def test_S70_an_answer_that_was_worked_for_again_is_judged_again():
    scene = Scene(says=["one", "one"], judges=[met("one"), met("one")])
    await scene.attempt()
    await scene.attempt()
    assert scene.log == ["worker", "judge"] * 2


async def test_S70_killed_before_the_worker_heard_it_hears_it_first():
    scene = Scene(says=["one", Killed(), "two"], judges=[GO_ON, met("two")])
    with pytest.raises(Killed):
        await scene.attempt()
    past = Past.of(scene.trail.turns)
    assert past.said == "one" and past.pending.startswith("the goal is not met yet.")
    await scene.attempt()
    assert scene.heard[0] == scene.heard[1]
    assert scene.log == ["worker", "judge", "worker", "worker", "judge"]


async def test_S70_rounds_of_earlier_attempts_count():
    scene = Scene(says=["1", "2", Killed(), "3"], judges=[GO_ON] * 3, goal_rounds=3)
    with pytest.raises(Killed):
        await scene.attempt()
    error = await scene.failure()
    assert (error.code, error.message) == ("goal_not_met", "the goal is not met after 3 rounds: Go on")
    assert len(error.fields["meta"]["verdicts"]) == 3
    assert error.fields["usage"] == Usage(11, 11).to_json()


async def test_S70_a_call_that_ended_for_its_goal_has_its_rounds_anew():
    scene = Scene(says=["1", "2", "3", "4"], judges=[GO_ON] * 4, goal_rounds=2)
    assert (await scene.failure()).code == "goal_not_met"
    error = await scene.failure()
    assert len(error.fields["meta"]["verdicts"]) == 2
    assert len(scene.log) == 8


async def test_S70_a_judge_that_fails_is_paid_for_and_no_pass():
    down = AgentError("the judge failed: x: down", code="judge_failed", usage=Usage(5, 5).to_json())
    scene = Scene(says=["one"], judges=[down])
    error = await scene.failure()
    assert (error.code, error.retryable) == ("judge_failed", False)
    assert error.fields["usage"] == Usage(6, 6).to_json()
    assert scene.trail.text(scene.trail.turns[-1]) == "the judge failed: x: down"


async def test_S70_verdicts_that_do_not_count_use_up_no_rounds_of_the_worker():
    scene = Scene(says=["one"], judges=[met("made up"), met("also made up"), met("one")], goal_rounds=1)
    answer = await scene.attempt()
    assert answer.usage == Usage(31, 31)
    assert [one["met"] for one in answer.meta["verdicts"]] == ["met"]


async def test_S70_what_the_worker_fails_with_is_its_own_with_the_verdicts_so_far():
    down = AgentError("no service", code="provider_unavailable", retryable=True, usage=Usage(2, 2).to_json())
    scene = Scene(says=["one", down], judges=[GO_ON])
    error = await scene.failure()
    assert (error.code, error.retryable) == ("provider_unavailable", True)
    assert error.fields["usage"] == Usage(13, 13).to_json()
    assert len(error.fields["meta"]["verdicts"]) == 1
