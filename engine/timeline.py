"""What happened in a run, as events again: what `pawl log` and `pawl watch` print. Pure functions of a `Reading`.

The journal keeps calls, attempts, settlements and log lines, not events; their times put them in order.
"""

from __future__ import annotations

from engine import history
from engine.events import (
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
from engine.history import CallView, Reading, parsed
from engine.values import EventRow


class Follower:
    """Turns successive readings of a version into events, each told once: what `pawl log` and `pawl watch` print.

    The journal keeps calls, attempts, settlements and log lines, not events; their times order them again. Within the
    same millisecond: what was asked before what started before what ended.
    """

    def __init__(self) -> None:
        self._told: set[tuple[str, int, int]] = set()

    def news(self, reading: Reading) -> list[Event]:
        """The events of `reading` that have not been told yet, oldest first."""
        found: list[tuple[int, int, int, Event]] = []

        def tell(key: tuple[str, int, int], rank: int, at: int, event: Event) -> None:
            if key not in self._told:
                self._told.add(key)
                found.append((at, rank, len(found), event))

        start = reading.version.started_at
        tell(("start", 0, 0), 0, start, _started(reading))
        for row in reading.events:
            event = _logged(row)
            if event is not None:
                tell(("log", row.seq, 0), 1, max(start, row.at), event)
        phases = _phase_starts(reading)
        for view in history.calls(reading):
            for rank, at, event in _steps(view, max(start, phases.get(view.phase, 0))):
                tell((event.kind, view.call, rank), rank, at, event)
        found.sort(key=lambda entry: entry[:3])
        events = [entry[3] for entry in found]
        if reading.version.end is not None and ("end", 0, 0) not in self._told:
            self._told.add(("end", 0, 0))
            end = reading.version.end
            events.append(RunEnded(str(end.status), history.result(reading).to_json(), end.ended_at))
        return events


def timeline(reading: Reading) -> list[Event]:
    """Everything that is recorded about a version, as events, oldest first."""
    return Follower().news(reading)


def _started(reading: Reading) -> RunStarted:
    version = reading.version
    phases = version.meta.get("phases")
    titles = [str(p.get("title")) for p in phases if isinstance(p, dict)] if isinstance(phases, list) else []
    return RunStarted(
        run_id=reading.info.run_id,
        version=version.version,
        name=reading.info.name,
        description=str(version.meta.get("description", "")),
        phases=tuple(titles),
        backend=str(version.settings.get("backend") or ""),
        caps=history.caps(version),
        reusable=0,
        at=version.started_at,
    )


def _logged(row: EventRow) -> Event | None:
    body = parsed(row.body) or {}
    if row.kind == PhaseStarted.kind:
        return PhaseStarted(str(body.get("title", "")), row.at)
    if row.kind == RunStatusChanged.kind:
        return RunStatusChanged(str(body.get("status", "")), row.at, body.get("detail"))
    if row.kind == Logged.kind:
        return Logged(
            str(body.get("text", "")),
            row.at,
            str(body.get("level", "info")),
            body.get("code"),
            body.get("call"),
            body.get("line"),
        )
    return None  # a kind that a newer program recorded


def _phase_starts(reading: Reading) -> dict[str | None, int]:
    """When each phase began. A request's time is the script's clock, which stands still between deliveries and starts
    before this version did: without this, a resumed run's calls would be told before their phases."""
    starts: dict[str | None, int] = {}
    for row in reading.events:
        if row.kind == PhaseStarted.kind:
            starts.setdefault((parsed(row.body) or {}).get("title"), row.at)
    return starts


def _steps(view: CallView, start: int) -> list[tuple[int, int, Event]]:
    """Rank, time and event of what happened to a call in this version."""
    asked = max(start, view.requested_at)
    steps: list[tuple[int, int, Event]] = [
        (2, asked, CallRequested(view.call, view.kind, view.title, view.phase, view.lane, asked))
    ]
    if view.started_at is not None and not view.reused:
        began = max(asked, view.started_at)
        steps.append((3, began, CallStarted(view.call, view.attempts, view.backend or "", view.model, began)))
    if view.settled_at is not None:
        at = max(steps[-1][1], view.settled_at)
        steps.append(
            (
                4,
                at,
                CallSettled(
                    call=view.call,
                    outcome=view.outcome,
                    at=at,
                    reused=view.reused,
                    reason=view.reason,
                    model=view.model,
                    input_tokens=view.usage.input_tokens,
                    output_tokens=view.usage.output_tokens,
                    cost_usd=view.usage.cost_usd,
                    duration_ms=view.duration_ms or 0,
                ),
            )
        )
    return steps
