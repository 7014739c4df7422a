"""Why a call is reused, or runs: the lines of `--explain` (I3). Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable

import orjson

from engine.calls import OpenCall, short
from engine.options import Explained
from engine.replay import Execute, Reuse
from engine.values import CallRow, Json

_REASONS = {
    "sample": "its record was made by the sample backend, or the other way round",
    "unsettled": "it was asked for and has no result yet",
    "rerun": "its record was retired",
    "prefix": "a call before it was not in the journal (policy prefix)",
}


class Explainer:
    """Fed with each request in order.

    Args:
        before: the requests of the version that is gone on from, for naming what was changed.
    """

    def __init__(self, before: Iterable[CallRow]) -> None:
        self.lines: list[Explained] = []
        self._before: dict[tuple[str, str], deque[CallRow]] = defaultdict(deque)
        for row in before:
            self._before[row.lane, row.kind].append(row)

    def add(
        self, call: OpenCall, lane: str, content: dict[str, Json], decision: Reuse | Execute, *, key: bytes, cause: int
    ) -> None:
        """`cause` is the number of a call that this one waited for and that ran again, 0 for none."""
        there = self._before.get((lane, str(call.kind)))
        before = there.popleft() if there else None
        label = call.label or short(content)
        if isinstance(decision, Reuse):
            self.lines.append(Explained(call.number, label, True, "reused", "the journal has its result"))
            return
        reason = decision.reason
        if reason == "new" and before is not None and before.key != key:
            reason, detail = "request", _difference(before, content)
        elif reason == "new":
            detail = "nothing like it is in the journal"
        elif reason == "history":
            detail = (
                f"it waited for call {cause}, which ran again" if cause else "it waited for other calls than before"
            )
        elif reason == "not_ok":
            row = decision.like.settlement if decision.like else None
            detail = "its last result was no success" + (f" ({row.reason or row.outcome})" if row else "")
        else:
            detail = _REASONS[reason]
        self.lines.append(Explained(call.number, label, False, reason, detail))


def _difference(before: CallRow, content: dict[str, Json]) -> str:
    was = orjson.loads(before.content) if before.content else {}
    fields = sorted(name for name in was.keys() | content.keys() if was.get(name) != content.get(name))
    if not fields:
        return "the definition that its agentType names has changed"
    names = ", ".join(f"'{name}'" for name in fields)
    return f"{names} of its request {'is' if len(fields) == 1 else 'are'} not as in call {before.number} before"
