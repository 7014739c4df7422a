"""What the dispatcher knows of a call that was submitted and is not settled, and how one ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from engine.errors import PawlError
from engine.executors import Executor, Job
from engine.ports import Alarm
from engine.values import NO_USAGE, AgentAnswer, CallKind, Json, Outcome, Usage


class Settled(NamedTuple):
    """How a call ended. `value` is JSON text (UTF-8), empty when there is none; `error` is `PawlError.to_json()`.

    Attributes:
        usage: what all attempts of this version cost together.
        meta: `attempts` (on record, over the life of the run), `duration_ms` (from submission), and, when there were
            any, `retries` (why each earlier attempt did not do); `failure`: the code of what ended a null.
    """

    call: int
    outcome: Outcome
    value: bytes
    reason: str | None
    error: dict[str, Json] | None
    backend: str | None
    model: str | None
    usage: Usage
    meta: dict[str, Json]


class Halt(IntEnum):
    """Why a running attempt was told to stop; a higher one overrules a lower one."""

    STALL = 1
    TIMEOUT = 2
    RETRY = 3
    LIMIT = 4
    MINUTES = 5
    SKIP = 6
    INTERRUPT = 7
    CANCEL = 8


KEPT = (Halt.STALL, Halt.TIMEOUT, Halt.LIMIT, Halt.MINUTES, Halt.INTERRUPT)
"""When an attempt answers although it was told to stop for one of these, the answer is kept: it has been paid for."""


@dataclass(slots=True, eq=False)
class Live:
    """A job that was submitted and is not settled: in a queue, in a pause, or in an attempt."""

    job: Job
    executor: Executor
    backend: str
    line: str  # whose rate limits count for it
    place: int  # in the order of submission
    submitted: float
    attempt: int  # attempts on record; the current one's number while there is one
    model: str | None = None  # as asked for: what reservations go by
    answered_by: str | None = None
    is_queued: bool = False
    is_started: bool = False  # the current attempt is put on record, or runs
    is_done: bool = False
    has_reserved: bool = False
    is_told: bool = False  # that it waits for room in the budget
    task: asyncio.Task[AgentAnswer] | None = None
    alarm: Alarm | None = None  # the attempt's time-out, a pause's end, or a timer
    stall: Alarm | None = None  # looks whether the attempt has fallen silent
    halt: Halt | None = None
    halt_reason: str = ""
    refusal: PawlError | None = None  # the cap that it was stopped for
    more: dict[str, Json] = field(default_factory=dict)  # what an attempt that failed left: its worktree
    started: float = 0.0  # the current attempt
    last_sign: float = 0.0  # of life: tells slow from hung
    is_talking: bool = False  # in the middle of an answer: not before its first token, not in a tool
    failures: int = 0
    limited_s: float = 0.0  # waited for rate limits
    usage: Usage = NO_USAGE  # of attempts that ended
    so_far: Usage = NO_USAGE  # of the current attempt, as far as it told
    retries: list[str] = field(default_factory=list)

    @property
    def is_agent(self) -> bool:
        return self.job.kind is CallKind.AGENT

    @property
    def was_started(self) -> bool:
        return self.attempt > self.job.attempts_before

    @property
    def mean_of(self) -> str:
        """Whose mean usage says what to reserve."""
        return self.model or self.backend

    def silence(self) -> None:
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None
        if self.stall is not None:
            self.stall.cancel()
            self.stall = None
