"""The judge model: a second opinion in a conversation of its own, for goals (S70) and for candidates (S71).

It is asked one question at a time, answers with an object, and has no tools: what it may go by is in the question. It
never sees the worker's conversation as its own. What fails for a moment is asked again here, not by the dispatcher: the
worker's work is done, and must not be done again because its judge was busy.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeAlias

from engine.agents.answer import adding
from engine.errors import AgentError
from engine.executors import Emit
from engine.ports import Clock
from engine.retrying import pause_s
from engine.settings import AgentSettings
from engine.values import NO_USAGE, AgentAnswer, AgentRequest, Json, Opinion, Usage

ROOM_CHARACTERS = 40_000
"""Of a question to begin with, some 10,000 tokens: half of it, and half again, for a model that takes less."""
_LEAST_ROOM = 1_500
_NO_ROOM = ("context_exceeded", "prompt_too_long")

Ask: TypeAlias = Callable[[AgentRequest, Emit], Awaitable[AgentAnswer]]
"""Asks one backend until the answer fits the request or the rounds are used up (`engine/agents/answer.py`)."""
Question: TypeAlias = Callable[[int], str]
"""The question in at most so many characters."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A model that may judge.

    Attributes:
        name: for people: `openai:gpt-5-mini`.
        tools: what it is held to; a program that cannot be held to none gets those that only read.
        acts: it is a program that works in a folder: it is given an empty one.
        is_made_up: `sample`, which judges nothing.
    """

    name: str
    ask: Ask
    model: str | None = None
    tools: tuple[str, ...] = ()
    acts: bool = False
    is_made_up: bool = False


@dataclass(frozen=True, slots=True)
class Bench:
    """The models that may judge for one call, best first: the next is asked when one fails for good. A `Judge`.

    Attributes:
        request: of the worker: whose call it is.
    """

    seats: Sequence[Seat]
    request: AgentRequest
    settings: AgentSettings
    clock: Clock
    random: Random = field(default_factory=Random)

    @property
    def is_made_up(self) -> bool:
        return self.seats[0].is_made_up

    async def ask(
        self, question: Question, schema: dict[str, Json], emit: Emit, *, feedback: tuple[tuple[str, str], ...] = ()
    ) -> Opinion:
        """See `engine.values.Judge`."""
        paid, problems = NO_USAGE, list[str]()
        for seat in self.seats:
            try:
                said = await self._asked(seat, question, schema, _heard(adding(paid, emit)), feedback)
            except AgentError as error:
                paid += Usage(**error.fields.get("usage", {}))
                problems.append(f"{seat.name}: {error.message}")
                continue
            return replace(said, usage=paid + said.usage)
        raise AgentError(f"the judge failed: {'; '.join(problems)}", code="judge_failed", usage=paid.to_json())

    async def _asked(
        self, seat: Seat, question: Question, schema: dict[str, Json], emit: Emit, feedback: tuple[tuple[str, str], ...]
    ) -> Opinion:
        """Asks one model, with patience for what passes and in less room where there is not so much."""
        paid, room, failures, waited_s = NO_USAGE, ROOM_CHARACTERS, 0, 0.0
        while True:
            shown = question(room)
            try:
                answer = await self._once(seat, shown, schema, adding(paid, emit), feedback)
                return Opinion(answer.value, shown, seat.name, answer.model, paid + answer.usage)
            except AgentError as error:
                paid += Usage(**error.fields.get("usage", {}))
                error.fields["usage"] = paid.to_json()
                if error.code in _NO_ROOM and room // 2 >= _LEAST_ROOM:
                    room //= 2
                    continue
                failures += 1
                pause = self._pause_s(error, failures, waited_s)
                if pause is None:
                    raise
            waited_s += pause
            emit({"waiting": "its judge", "until": self.clock.now_ms() + round(pause * 1000)})
            await self.clock.sleep(pause)

    async def _once(
        self, seat: Seat, shown: str, schema: dict[str, Json], emit: Emit, feedback: tuple[tuple[str, str], ...]
    ) -> AgentAnswer:
        worker = self.request
        with ExitStack() as stack:
            folder = worker.workspace
            if seat.acts:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="pawl-judge-"))
            request = AgentRequest(
                run_id=worker.run_id,
                call=worker.call,
                identity=worker.identity,
                attempt=1,
                prompt=shown,
                workspace=folder,
                schema=schema,
                model=seat.model,
                label=worker.label,
                feedback=feedback,
                tools=seat.tools,
            )
            return await seat.ask(request, emit)

    def _pause_s(self, error: AgentError, failures: int, waited_s: float) -> float | None:
        """Seconds before the judge is asked again, or None when it has failed. A rate limit is no failure, but patience
        with it ends, too."""
        settings = self.settings
        longest_s = 60 * settings.longest_wait_minutes
        pause = error.retry_after_s
        if pause is None:
            pause = pause_s(settings.backoff_s, failures, self.random)
        is_limited = error.code == "rate_limited"
        if not error.retryable or waited_s + pause > longest_s or (failures >= settings.attempts and not is_limited):
            return None
        return pause


def _heard(emit: Emit) -> Emit:
    """The judge's progress is the call's; its session and its tools are not."""

    def pass_on(body: dict[str, Json]) -> None:
        if "session" not in body and "tool" not in body:
            emit(body)

    return pass_on


def cut(text: str, most: int) -> str:
    """The beginning and the end of a text that is longer than `most` characters."""
    if len(text) <= most:
        return text
    head = most // 3
    tail = max(0, most - head)
    return f"{text[:head]}\n[… {len(text) - head - tail:,} characters are left out …]\n{text[len(text) - tail :]}"
