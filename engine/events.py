"""What a run tells while it lives. Typed, frozen, cheap; silent while a replay repeats what was already told.

Every event has `kind` (its stable name in `--events` and `pawl log`) and `to_json()`. The run loop is the only
producer.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, TypeAlias

from engine.values import Json

WARNINGS_THAT_DEGRADE = frozenset({"swallowed_error", "dependency_failed", "not_awaited"})
"""Codes of logged warnings that make a run degraded, beside what its agents' outcomes say."""


@dataclass(frozen=True, slots=True)
class _Event:
    kind: ClassVar[str] = ""

    def to_json(self) -> dict[str, Json]:
        """`{"event": kind, …fields that are not None}`."""
        out: dict[str, Json] = {"event": self.kind}
        for f in fields(self):
            value = getattr(self, f.name)
            if value is not None:
                out[f.name] = value
        return out


@dataclass(frozen=True, slots=True)
class RunStarted(_Event):
    """The script was accepted and is about to run. `phases`: titles in `meta.phases`, in order."""

    kind: ClassVar[str] = "run_started"
    run_id: str
    version: int
    name: str
    description: str
    phases: tuple[str, ...]
    backend: str
    caps: dict[str, Json]
    reusable: int  # records of earlier versions that this one may reuse
    at: int


@dataclass(frozen=True, slots=True)
class PhaseStarted(_Event):
    kind: ClassVar[str] = "phase"
    title: str
    at: int


@dataclass(frozen=True, slots=True)
class Logged(_Event):
    """A `log()` line, or a warning of ours (`level` is then `warning`, `code` its stable name)."""

    kind: ClassVar[str] = "log"
    text: str
    at: int
    level: str = "info"
    code: str | None = None
    call: int | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class CallRequested(_Event):
    """The script asked for something. `call` is the CALL of the command line: its number in this version."""

    kind: ClassVar[str] = "call_requested"
    call: int
    call_kind: str
    label: str
    phase: str | None
    lane: str
    at: int


@dataclass(frozen=True, slots=True)
class CallStarted(_Event):
    kind: ClassVar[str] = "call_started"
    call: int
    attempt: int
    backend: str
    model: str | None
    at: int


@dataclass(frozen=True, slots=True)
class CallProgressed(_Event):
    """`tokens` so far, the `tool` it runs, or what it is `waiting` for (a rate limit, a person).

    A `question` is open until the call settles, or until `is_answered`.
    """

    kind: ClassVar[str] = "call_progress"
    call: int
    at: int
    tokens: int | None = None
    tool: str | None = None
    waiting: str | None = None
    question: dict[str, Json] | None = None
    is_answered: bool | None = None


@dataclass(frozen=True, slots=True)
class CallSettled(_Event):
    """How a call ended; `outcome` is a value of `Outcome`. `reused`: found in the journal, nobody was asked."""

    kind: ClassVar[str] = "call_settled"
    call: int
    outcome: str
    at: int
    reused: bool = False
    reason: str | None = None
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    duration_ms: int = 0


@dataclass(frozen=True, slots=True)
class RunStatusChanged(_Event):
    """`running` to `waiting` (only people can move it on) and back; after a control, `pausing` and `cancelling`."""

    kind: ClassVar[str] = "status"
    status: str
    at: int
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class RunEnded(_Event):
    """The last event. `result` is the object that `pawl run --json` prints."""

    kind: ClassVar[str] = "run_ended"
    status: str
    result: dict[str, Json]
    at: int


Event: TypeAlias = (
    RunStarted
    | PhaseStarted
    | Logged
    | CallRequested
    | CallStarted
    | CallProgressed
    | CallSettled
    | RunStatusChanged
    | RunEnded
)
