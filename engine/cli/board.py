"""Where a run stands, folded from its events: what the live view draws and the summary tells. No IO, no rich.

A run may make 100,000 calls, so what is kept per finished call is a counter; only open calls and the last few finished
ones of a phase are kept whole.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from engine.events import (
    WARNINGS_THAT_DEGRADE,
    CallProgressed,
    CallRequested,
    CallSettled,
    CallStarted,
    Event,
    Logged,
    PhaseStarted,
    RunEnded,
    RunStarted,
    RunStatusChanged,
)
from engine.values import NO_USAGE, CallKind, Json, Outcome, Usage

KEPT_PER_PHASE = 8
KEPT_REASONS = 20
BAD = (Outcome.NULL, Outcome.FAILED, Outcome.REFUSED)


@dataclass(slots=True)
class Line:
    """One call as it is drawn. `state` is `queued`, `running`, `waiting`, or an `Outcome`."""

    call: int
    kind: str
    label: str
    phase: str | None
    state: str = "queued"
    started_at: int | None = None
    duration_ms: int = 0
    attempt: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    is_reused: bool = False
    detail: str = ""


@dataclass(slots=True)
class Phase:
    """A group of the tree. `open` holds its unfinished calls in the order they were made; `done` its last finished."""

    title: str | None
    total: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reused: int = 0
    open: dict[int, Line] = field(default_factory=dict)
    done: deque[Line] = field(default_factory=lambda: deque(maxlen=KEPT_PER_PHASE))

    @property
    def finished(self) -> int:
        return sum(self.outcomes.values())


@dataclass(slots=True)
class Board:
    """The state of one version of a run.

    Attributes:
        questions: calls that wait for a person, with what is asked.
        reasons: why the run is degraded so far, at most `KEPT_REASONS`; `bad` counts all of them.
        usage: what this version has paid so far.
    """

    started: RunStarted | None = None
    ended: RunEnded | None = None
    status: str = "running"
    phases: dict[str | None, Phase] = field(default_factory=dict)
    lines: dict[int, Line] = field(default_factory=dict)
    questions: dict[int, dict[str, Json]] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    bad: int = 0
    reused: int = 0
    usage: Usage = NO_USAGE

    def fold(self, event: Event) -> None:
        """Takes `event` in."""
        match event:
            case CallRequested():
                self._requested(event)
            case CallStarted():
                if line := self.lines.get(event.call):
                    line.state, line.started_at, line.attempt, line.detail = "running", event.at, event.attempt, ""
            case CallProgressed():
                self._progressed(event)
            case CallSettled():
                self._settled(event)
            case PhaseStarted():
                self._phase(event.title)
            case Logged(code=code) if code in WARNINGS_THAT_DEGRADE:
                self._degraded(event.text)
            case RunStarted():
                self.started = event
                for title in event.phases:
                    self._phase(title)
            case RunStatusChanged():
                self.status = event.status
            case RunEnded():
                self.ended, self.status = event, event.status
            case _:
                pass

    def open_questions(self) -> list[int]:
        """Calls of `ask()` without an answer, whether or not they got as far as being asked."""
        return [line.call for line in self.lines.values() if line.kind == CallKind.ASK]

    def _phase(self, title: str | None) -> Phase:
        return self.phases.setdefault(title, Phase(title))

    def _requested(self, event: CallRequested) -> None:
        if event.call_kind == CallKind.TIMER:
            return  # a tree of sleeps tells nobody anything
        line = Line(event.call, event.call_kind, event.label, event.phase)
        phase = self._phase(event.phase)
        phase.total += 1
        self.lines[event.call] = phase.open[event.call] = line

    def _progressed(self, event: CallProgressed) -> None:
        line = self.lines.get(event.call)
        if line is None:
            return
        if event.tokens is not None:
            line.tokens = event.tokens
        if event.question is not None:
            self.questions[event.call] = event.question
            line.state = "waiting"
        elif event.is_answered:
            self.questions.pop(event.call, None)
            line.state = "running"
        line.detail = event.waiting or event.tool or line.detail

    def _settled(self, event: CallSettled) -> None:
        self.questions.pop(event.call, None)
        if not event.reused:
            self.usage += Usage(event.input_tokens, event.output_tokens, event.cost_usd)
        line = self.lines.pop(event.call, None)
        if line is None:
            return
        line.state, line.is_reused, line.duration_ms = event.outcome, event.reused, event.duration_ms
        line.tokens, line.cost_usd = event.output_tokens, event.cost_usd
        line.detail = event.reason or ""
        phase = self._phase(line.phase)
        phase.open.pop(event.call, None)
        phase.outcomes[event.outcome] += 1
        phase.reused += event.reused
        self.reused += event.reused and line.kind == CallKind.AGENT
        phase.done.append(line)
        if line.kind == CallKind.AGENT and event.outcome in BAD and not (event.reason or "").startswith("skipped"):
            self._degraded(f"call {line.call} ({line.label}) {event.outcome}: {event.reason or 'no reason given'}")

    def _degraded(self, reason: str) -> None:
        self.bad += 1
        if len(self.reasons) < KEPT_REASONS:
            self.reasons.append(reason)
