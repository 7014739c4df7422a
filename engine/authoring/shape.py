"""What a script did when it was simulated: phases, the agents in them, how many at once. Folded from events; no IO."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.events import CallRequested, CallSettled, Event, Logged
from engine.values import CallKind, Json, Outcome

LABELS = 3
"""Agents named in a phase; the rest are counted."""
SWALLOWED = "swallowed_error"


@dataclass(slots=True)
class Group:
    """One phase. `effects`: how often which host effect was asked for."""

    title: str | None
    agents: int = 0
    width: int = 0
    labels: list[str] = field(default_factory=list)
    effects: dict[str, int] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)

    def to_json(self) -> dict[str, Json]:
        return {
            "phase": self.title,
            "agents": self.agents,
            "width": self.width,
            "labels": self.labels,
            "effects": self.effects,
        }


@dataclass(slots=True)
class Shape:
    """
    Attributes:
        swallowed: errors that a join turned into null, in the words of the log.
        refused: why calls were refused before they started: `code: text`.
        warnings: codes and texts of other warnings of ours.
    """

    groups: dict[str | None, Group] = field(default_factory=dict)
    swallowed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)

    @property
    def agents(self) -> int:
        return sum(group.agents for group in self.groups.values())

    @property
    def has_read(self) -> bool:
        """Whether it has seen what is in a file."""
        return any(CallKind.READ_FILE in group.effects for group in self.groups.values())

    def fold(self, event: Event) -> None:
        match event:
            case CallRequested(call_kind=CallKind.TIMER):
                pass
            case CallRequested():
                self._requested(event)
            case CallSettled():
                if event.outcome == Outcome.REFUSED:
                    self.refused.append(event.reason or "")
                for group in self.groups.values():
                    group.open.discard(event.call)
            case Logged(level="warning", code=code) if code == SWALLOWED:
                self.swallowed.append(event.text)
            case Logged(level="warning"):
                self.warnings.append((event.code or "", event.text))
            case _:
                pass

    def _requested(self, event: CallRequested) -> None:
        group = self.groups.setdefault(event.phase, Group(event.phase))
        if event.call_kind != CallKind.AGENT:
            group.effects[event.call_kind] = group.effects.get(event.call_kind, 0) + 1
            return
        group.agents += 1
        group.open.add(event.call)
        group.width = max(group.width, len(group.open))
        if len(group.labels) < LABELS:
            group.labels.append(" ".join(event.label.split())[:60])

    def to_json(self) -> list[Json]:
        return [group.to_json() for group in self.groups.values()]
