"""What a run tells: events to whoever listens, and the ones worth keeping to the journal.

Phases, log lines, warnings and changes of status are kept; what happens to single calls is in the journal's own rows,
so those events are only passed on, and not even made when nobody listens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import orjson

from engine.calls import OpenCall, short
from engine.events import (
    WARNINGS_THAT_DEGRADE,
    CallProgressed,
    CallRequested,
    CallSettled,
    CallStarted,
    Event,
    Logged,
    PhaseStarted,
)
from engine.ports import Clock, Writer
from engine.tally import Tally
from engine.values import AttemptRow, EventRow, Json, SettlementRow

MOST_SAID = 100_000
"""Log lines, phases and the library's warnings that one version of a run keeps: more than anybody reads."""
MOST_SAID_CHARACTERS = 32 << 20
"""The same, of their texts together: a script in a loop must not fill a disk with what it says."""


class Masks(Protocol):
    """What a run needs of `engine.masking.Masker`."""

    def mask_json(self, value: Json) -> tuple[Json, Sequence[object]]: ...


class Teller:
    """Fed by the run loop. `emit` gets every event; None when nobody listens."""

    def __init__(
        self, writer: Writer, clock: Clock, masker: Masks, tally: Tally, emit: Callable[[Event], None] | None
    ) -> None:
        self.emit = emit
        self._writer = writer
        self._clock = clock
        self._masker = masker
        self._tally = tally
        self._kept = 0
        self._said = 0
        self._said_characters = 0
        self._is_full = False
        self._noticed: set[tuple[str, str]] = set()

    def mask(self, text: str) -> str:
        return str(self._masker.mask_json(text)[0])

    def keep(self, event: Event) -> None:
        """Writes an event down and passes it on."""
        self._kept += 1
        self._writer.add(EventRow(self._kept, event.kind, self._clock.now_ms(), orjson.dumps(event.to_json())))
        if self.emit is not None:
            self.emit(event)

    def said(self, level: str, text: str, *, code: str | None, line: int | None) -> None:
        """A line of the script's log(), or a warning of the library (`code`) about what the script does."""
        if code in WARNINGS_THAT_DEGRADE:
            self._tally.degrade(code)
        if self._has_room(text):
            self.keep(Logged(self.mask(text), self._clock.now_ms(), level=level, code=code, line=line))

    def phase(self, title: str) -> None:
        if self._has_room(title):
            self.keep(PhaseStarted(self.mask(title), self._clock.now_ms()))

    def _has_room(self, text: str) -> bool:
        """Whether the script's next line is kept. The first that is not leaves one warning in its place."""
        if self._is_full:
            return False
        self._said += 1
        self._said_characters += len(text)
        self._is_full = self._said > MOST_SAID or self._said_characters > MOST_SAID_CHARACTERS
        if self._is_full:
            self.warn(
                f"The script said more than {MOST_SAID:,} lines or {MOST_SAID_CHARACTERS >> 20} MiB with log() and "
                "phase(); from here on its lines are neither shown nor kept. Write large output to a file.",
                code="log_full",
            )
        return not self._is_full

    def warn(self, text: str, *, code: str | None, call: int | None = None, line: int | None = None) -> None:
        """A warning of ours; some make the run degraded."""
        if code in WARNINGS_THAT_DEGRADE:
            self._tally.degrade(code)
        self.keep(Logged(self.mask(text), self._clock.now_ms(), level="warning", code=code, call=call, line=line))

    def notice(self, text: str, *, code: str) -> None:
        """Something about a backend that is the same for many calls: said once a run."""
        if (code, text) not in self._noticed:
            self._noticed.add((code, text))
            self.warn(text, code=code)

    def requested(self, call: OpenCall, content: dict[str, Json], *, phase: str | None, lane: str) -> None:
        if self.emit is not None:
            shown = call.label or short(content)
            self.emit(CallRequested(call.number, str(call.kind), shown, phase, lane, self._clock.now_ms()))

    def started(self, call: OpenCall, row: AttemptRow) -> None:
        if self.emit is not None:
            self.emit(CallStarted(call.number, row.attempt, row.backend, row.model, row.started_at))

    def progressed(self, call: OpenCall, body: dict[str, Json]) -> None:
        if self.emit is None:
            return
        tokens, tool, waiting = body.get("tokens"), body.get("tool"), body.get("waiting")
        # A model's words: the name of a tool that it made up, what it wants to be permitted (I9).
        tool = self.mask(str(tool)) if tool else None
        question = self._masker.mask_json(body["question"])[0] if body.get("question") is not None else None
        self.emit(
            CallProgressed(
                call.number,
                self._clock.now_ms(),
                tokens=tokens if isinstance(tokens, int) else None,
                tool=tool,
                waiting=str(waiting) if waiting else None,
                question=question,
                is_answered=True if "question" in body and body["question"] is None else None,
            )
        )

    def settled(self, call: OpenCall, row: SettlementRow) -> None:
        """Only for what is durable: who was told that a call is done may rely on it."""
        if self.emit is None:
            return
        meta = orjson.loads(row.meta) if row.meta else {}
        self.emit(
            CallSettled(
                call.number,
                str(row.outcome),
                row.settled_at,
                reused=call.is_reused,
                reason=row.reason,
                model=row.model,
                input_tokens=row.input_tokens,
                output_tokens=row.output_tokens,
                cost_usd=row.cost_usd,
                duration_ms=int(meta.get("duration_ms", 0)),
            )
        )
