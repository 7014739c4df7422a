"""A goal (S70): an agent may stop when its check passes and an independent judge says that the goal is met; else it
goes on, in its own conversation, with what is missing.

Sits between the executor and any backend, so that every kind of agent can have a goal: it asks, looks, and asks again
as `engine/agents/answer.py` does for a schema. Fails closed: a judge that cannot judge ends the call with an error.

On record before anything is done about it: each run of the check (role `check`), each verdict (role `judge`). What
earlier attempts were told counts: a call has its rounds once, however often it is interrupted.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn, TypeAlias

from engine.agents import verdicts
from engine.agents.answer import adding
from engine.agents.judging import Ask, cut
from engine.agents.verdicts import IMPOSSIBLE, MET, Check, Exhibits
from engine.errors import AgentError
from engine.executors import Emit
from engine.jsontext import written
from engine.settings import AgentSettings
from engine.values import NO_USAGE, AgentAnswer, AgentRequest, Json, Judge, Opinion, Trail, TurnRow, Usage

RunCheck: TypeAlias = Callable[[str, str], Awaitable[dict[str, Json]]]
"""Runs a command in a folder, as the script's `check()` does."""

_ANSWER_CHARACTERS = 4_000
"""Of the worker's answer, when it is shown to the worker again."""


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier attempts left, since the call last ended for its goal.

    Attributes:
        verdicts: oldest first.
        pending: what the worker was still to hear of the last one; empty when it has heard it.
        said: the worker's last words.
        accepted: the mark of the answer with which the goal was met, when nothing came after it.
    """

    verdicts: tuple[dict[str, Json], ...] = ()
    pending: str = ""
    said: str = ""
    accepted: str | None = None

    @staticmethod
    def of(turns: Sequence[TurnRow]) -> Past:
        found: list[dict[str, Json]] = []
        pending, said, accepted = "", "", None
        for turn in turns:
            if turn.role == "judge":
                body = json.loads(turn.body)
                if "verdict" in body:
                    found = [] if body.get("ends") else [*found, body["verdict"]]
                    pending = str(body.get("feedback") or "")
                    accepted = body.get("answer") if body["verdict"]["met"] == MET else None
            elif turn.role in ("user", "assistant"):
                pending, accepted = "", None
                if turn.role == "assistant":
                    said = str(json.loads(turn.body).get("text") or said)
        return Past(tuple(found), pending, said, accepted)


@dataclass(frozen=True, slots=True)
class Goal:
    """What a call asks for, and what it takes to find out whether it has it.

    Attributes:
        condition: in words; None when the check alone decides.
        command: for the check; None when there is none.
        judge: None when there is nothing to judge.
        reopened: the trail with all that is on record by now.
        masked: secrets go out before anything is shown to a judge (I9).
    """

    condition: str | None
    command: str | None
    judge: Judge | None
    run_check: RunCheck
    reopened: Callable[[], Awaitable[Trail]]
    masked: Callable[[Json], Json]
    settings: AgentSettings

    async def pursue(self, ask: Ask, request: AgentRequest, emit: Emit) -> AgentAnswer:
        """Asks the worker until the goal is met.

        Raises:
            AgentError: `goal_not_met` when the rounds are used up, `goal_impossible`, `judge_failed`, whatever the
                worker's backend raises. `fields["usage"]` is what was paid, `fields["meta"]` has the verdicts.
        """
        past = Past.of(request.trail.earlier)
        paid, found = NO_USAGE, list(past.verdicts)
        if past.pending:
            request = replace(request, feedback=(*request.feedback, (cut(past.said, _ANSWER_CHARACTERS), past.pending)))
        try:
            while True:
                answer = await ask(request, adding(paid, emit))
                paid += answer.usage
                emit({"usage": paid.to_json()})
                mark, trail = _mark(answer.value), await self.reopened()
                if mark == Past.of(trail.earlier).accepted:  # met, and interrupted before that was settled
                    break
                request = replace(request, trail=trail, session=answer.session or request.session)
                look = _Look(self, request, answer, mark, adding(paid, emit))
                rounds = 1 + sum(one["met"] != MET for one in found)
                verdict, told, spent = await look.verdict(is_last=rounds >= self.settings.goal_rounds)
                paid += spent
                found.append(verdict)
                if verdict["met"] == MET:
                    break
                if not told:
                    _refuse(verdict, rounds)
                await _may_go_on(paid, emit)
                given = cut(_text(answer.value), _ANSWER_CHARACTERS)
                request = replace(request, trail=await self.reopened(), feedback=(*request.feedback, (given, told)))
        except AgentError as error:
            error.fields["usage"] = (paid + Usage(**error.fields.get("usage", {}))).to_json()
            error.fields["meta"] = {**error.fields.get("meta", {}), **_kept(found)}
            raise
        return replace(answer, usage=paid, meta={**answer.meta, **_kept(found)})


class _Look:
    """At one answer: the check, the judge, and both on record."""

    def __init__(self, goal: Goal, request: AgentRequest, answer: AgentAnswer, mark: str, emit: Emit) -> None:
        self._goal = goal
        self._request = request
        self._answer = answer
        self._mark = mark
        self._emit = emit
        self._paid = NO_USAGE

    async def verdict(self, *, is_last: bool) -> tuple[dict[str, Json], str, Usage]:
        """The verdict, what the worker hears of it (empty when it is not to go on), and what judging cost."""
        goal = self._goal
        check = None if goal.command is None else await self._checked(goal.command)
        body: dict[str, Json] = {}
        if goal.judge is None:
            assert check is not None
            verdict = verdicts.verdict_by_check(check)
        elif goal.judge.is_made_up:
            assert goal.condition is not None
            verdict = verdicts.made_up(goal.condition, check)
        else:
            assert goal.condition is not None
            verdict, body = await self._judged(goal.judge, goal.condition, check)
        if verdict["met"] == MET:
            body["answer"] = self._mark
        elif verdict["met"] == IMPOSSIBLE or is_last:
            body["ends"] = True
        else:
            body["feedback"] = verdicts.feedback(verdict, goal.condition, check)
        body |= {"text": verdicts.text_of(verdict), "verdict": verdict}
        recorded = await self._request.trail.add("judge", body)
        return recorded["verdict"], str(recorded.get("feedback", "")), self._paid

    async def _checked(self, command: str) -> Check:
        self._emit({"tool": "check"})
        try:
            told = await self._goal.run_check(command, self._request.workspace)
        finally:
            self._emit({"tool": None})
        check = Check.of(command, self._goal.masked(told))
        body = {"command": command, "exit_code": check.exit_code, "ok": check.is_passed}
        await self._request.trail.add("check", {**body, "text": f"`{command}` {check.ending}\n{check.output}".rstrip()})
        return check

    async def _judged(
        self, judge: Judge, condition: str, check: Check | None
    ) -> tuple[dict[str, Json], dict[str, Json]]:
        """Asks until a verdict stands on its quotes. What does not is on record, too: it was paid for."""
        trail, settings = self._request.trail, self._goal.settings
        exhibits = Exhibits(
            condition,
            self._request.prompt,
            self._goal.masked(_text(self._answer.value)),
            verdicts.results_of(trail.earlier),
            check,
        )
        wrong: tuple[tuple[str, str], ...] = ()
        while True:
            said = await self._asked(judge, exhibits, wrong)
            body: dict[str, Json] = {"judge": said.judge, "model": said.model, "usage": said.usage.to_json()}
            problem = verdicts.problem_of(said.value, exhibits.quotable(said.shown))
            if problem is None:
                return verdicts.verdict_of(said.value, check), body
            await trail.add("judge", {**body, "text": f"no verdict: {problem}", "said": said.value})
            wrong = (*wrong, (json.dumps(said.value, ensure_ascii=False), problem))
            if len(wrong) >= settings.schema_rounds:
                self._fail(f"the judge failed: no verdict that counts after {len(wrong)} rounds: {problem}", NO_USAGE)

    async def _asked(self, judge: Judge, exhibits: Exhibits, wrong: tuple[tuple[str, str], ...]) -> Opinion:
        await _may_go_on(self._paid, self._emit)
        self._emit({"waiting": "its judge"})
        try:
            said = await judge.ask(exhibits.question, verdicts.SCHEMA, adding(self._paid, self._emit), feedback=wrong)
        except AgentError as error:
            spent = Usage(**error.fields.get("usage", {}))
            await self._request.trail.add("judge", {"text": error.message, "usage": spent.to_json()})
            self._fail(error.message, spent)
        self._paid += said.usage
        return said

    def _fail(self, message: str, spent: Usage) -> NoReturn:
        self._paid += spent
        raise AgentError(
            message,
            code="judge_failed",
            hint="Choose another judge: [agents] judge_model in the config.",
            usage=self._paid.to_json(),
        )


async def _may_go_on(paid: Usage, emit: Emit) -> None:
    """Where a call that has reached a cap is stopped, before it costs more (I6)."""
    emit({"usage": paid.to_json()})
    emit({"turn": 1})
    await asyncio.sleep(0)


def _refuse(verdict: dict[str, Json], rounds: int) -> NoReturn:
    """The goal will not be met."""
    reason = verdict["reason"].rstrip(".")
    if verdict["met"] == IMPOSSIBLE:
        raise AgentError(f"the goal cannot be met: {reason}", code="goal_impossible", verdict=verdict)
    times = f"{rounds} round{'s' if rounds > 1 else ''}"
    raise AgentError(f"the goal is not met after {times}: {reason}", code="goal_not_met", verdict=verdict)


def _kept(found: Sequence[dict[str, Json]]) -> dict[str, Json]:
    return {"verdicts": list(found)} if found else {}


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _mark(value: Json) -> str:
    return hashlib.blake2b(written(value), digest_size=16).hexdigest()
