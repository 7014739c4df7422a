"""What two runs asked and got, call by call: `pawl diff`. Pure functions of two readings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from engine import history
from engine.history import CallView, Reading, parsed
from engine.values import Json


@dataclass(frozen=True, slots=True)
class Difference:
    """One line of `pawl diff`.

    Attributes:
        change: `same`; `answer`: the same request got another answer; `request`: another request in the same place;
            `left`, `right`: only there.
        fields: what differs: members of the request, or `outcome`, `value`, `error`, `reason` of the answer.
    """

    change: str
    left: CallView | None
    right: CallView | None
    fields: tuple[tuple[str, Json, Json], ...] = ()

    def to_json(self) -> dict[str, Json]:
        one = self.left or self.right
        assert one is not None
        return {
            "change": self.change,
            "kind": one.kind,
            "label": one.label,
            "title": one.title,
            "lane": one.lane,
            "left": self.left.call if self.left else None,
            "right": self.right.call if self.right else None,
            "fields": [{"field": name, "left": left, "right": right} for name, left, right in self.fields],
        }


def differences(left: Reading, right: Reading) -> list[Difference]:
    """What two versions asked and got, call by call, in the order of the left one; what only the right asked last.

    Calls with the same key belong together, those of the same lane first; then what is left, by kind, lane and label.
    """
    ours, theirs = history.calls(left), history.calls(right)
    pairs: dict[int, CallView] = {}
    free = list(theirs)
    rules: tuple[Callable[[CallView], Any], ...] = (
        lambda v: (v.row.key, v.lane, v.label),
        lambda v: (v.row.key, v.lane),
        lambda v: (v.row.key,),
        lambda v: (v.kind, v.lane, v.label),
        lambda v: (v.kind, v.lane),
    )
    for rule in rules:
        waiting: dict[Any, list[CallView]] = defaultdict(list)
        for view in reversed(free):
            waiting[rule(view)].append(view)
        for view in ours:
            if view.call not in pairs and waiting[rule(view)]:
                pairs[view.call] = waiting[rule(view)].pop()
        taken = {view.call for view in pairs.values()}
        free = [view for view in theirs if view.call not in taken]
    told = [
        _difference(view, pairs[view.call]) if view.call in pairs else Difference("left", view, None) for view in ours
    ]
    return told + [Difference("right", None, view) for view in free]


def _difference(left: CallView, right: CallView) -> Difference:
    if left.row.key != right.row.key:
        before, after = left.content, right.content
        changed = _changed(before, after, sorted(before.keys() | after.keys()))
        return Difference("request", left, right, changed)
    changed = _changed(_answer(left), _answer(right), ("outcome", "value", "error", "reason"))
    return Difference("answer" if changed else "same", left, right, changed)


def _answer(view: CallView) -> dict[str, Json]:
    found = view.settlement
    return {
        "outcome": view.outcome,
        "value": parsed(found.value) if found else None,
        "error": parsed(found.error) if found else None,
        "reason": view.reason,
    }


def _changed(
    before: Mapping[str, Json], after: Mapping[str, Json], names: Iterable[str]
) -> tuple[tuple[str, Json, Json], ...]:
    return tuple((n, before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n))


def to_json(left: Reading, right: Reading, found: Iterable[Difference]) -> dict[str, Json]:
    """`pawl diff --json`."""
    found = list(found)
    ours, theirs = history.result(left), history.result(right)
    return {
        "left": {"run_id": ours.run_id, "version": ours.version, "status": str(ours.status)},
        "right": {"run_id": theirs.run_id, "version": theirs.version, "status": str(theirs.status)},
        "counts": {
            change: sum(one.change == change for one in found)
            for change in ("same", "answer", "request", "left", "right")
        },
        "same_script": left.version.script == right.version.script,
        "same_args": left.version.args == right.version.args,
        "same_result": ours.result == theirs.result,
        "calls": [one.to_json() for one in found],
    }
