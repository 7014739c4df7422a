"""Counts of one version: the `agents` object, what was paid, whether it is degraded and why. Pure."""

from __future__ import annotations

from engine.calls import OpenCall
from engine.values import NO_USAGE, CallKind, Outcome, Usage


class Tally:
    """Fed by the run loop; read when the version ends."""

    def __init__(self) -> None:
        self.total = 0
        self.live = 0
        self.reused = 0
        self.failed = 0
        self.null = 0
        self.refused = 0
        self.usage = NO_USAGE
        self.reasons: dict[str, int] = {}

    def requested(self, call: OpenCall) -> None:
        if call.kind is CallKind.AGENT:
            self.total += 1

    def started(self, call: OpenCall) -> None:
        """The first attempt of this version begins."""
        if call.kind is CallKind.AGENT:
            self.live += 1

    def settled(self, usage: Usage) -> None:
        self.usage = self.usage + usage

    def delivered(self, call: OpenCall) -> None:
        row = call.settlement
        if row is None or call.kind is not CallKind.AGENT:
            return
        if call.is_reused:
            self.reused += 1
        if row.outcome == Outcome.NULL:
            self.null += 1
            if row.reason != "skipped":
                self.degrade("null")
        elif row.outcome == Outcome.FAILED:
            self.failed += 1
            self.degrade("failed")
        elif row.outcome == Outcome.REFUSED:
            self.refused += 1
            self.degrade("refused")

    def degrade(self, why: str) -> None:
        self.reasons[why] = self.reasons.get(why, 0) + 1

    @property
    def is_degraded(self) -> bool:
        return bool(self.reasons)

    def counts(self) -> dict[str, int]:
        return {
            "total": self.total,
            "live": self.live,
            "reused": self.reused,
            "failed": self.failed,
            "null": self.null,
            "refused": self.refused,
        }
