"""The rules of `engine.lanes`, with plain sets: slow, and easy to compare with DESIGN. Takes the same operations.

A history here is the set of records itself; `history` gives the sum of their hashes, which is what the real one must
give, whatever it keeps in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.lanes import MODULUS, Lanes

Records = frozenset[int]


class LaneModel:
    """A record is named by the call that was delivered."""

    def __init__(self) -> None:
        self._outer: dict[int, int | None] = {0: None}
        self._own: dict[int, set[int]] = {0: set()}
        self._joined: set[int] = set()
        self._open: set[int] = set()
        self._pending: dict[int, int] = {}
        self._size: dict[int, int] = {}
        self._past_of_promise: dict[int, Records] = {}
        self._past_at_end: dict[int, Records] = {}
        self._hashes: dict[int, int] = {}

    # ── structure ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _chain(self, lane: int) -> list[int]:
        out, here = [], lane if lane is not None else None
        while here is not None:
            out.append(here)
            here = self._outer[here]
        return out

    def _real(self, lane: int) -> int:
        """Rule J."""
        while lane in self._joined:
            outer = self._outer[lane]
            assert outer is not None
            lane = outer
        return lane

    def _below(self, lanes: Iterable[int]) -> set[int]:
        tops = set(lanes)
        return {lane for lane in self._outer if tops & set(self._chain(lane))}

    def _waits_elsewhere(self, slot: int) -> bool:
        return not any(n and slot in self._chain(lane) for lane, n in self._pending.items())

    def _base(self, lane: int) -> set[int]:
        return set().union(*(self._own[self._real(each)] for each in self._chain(lane)))

    def past(self, lane: int) -> Records:
        """Everything that a request in `lane` has waited for: its own line, and by rule W that of idle open slots."""
        others = [self._base(slot) for slot in self._open if self._waits_elsewhere(slot)]
        return frozenset(self._base(lane).union(*others))

    def _add(self, lane: int, records: Iterable[int]) -> None:
        self._own[self._real(lane)].update(records)

    # ── the operations ─────────────────────────────────────────────────────────────────────────────────────────────

    def open(self, first: int, n: int, outer: int, position: int) -> None:
        self._size[first] = n
        for lane in range(first, first + n):
            self._outer[lane] = self._real(outer)
            self._own[lane] = set()
            self._open.add(lane)

    def requested(self, lane: int) -> None:
        self._pending[lane] = self._pending.get(lane, 0) + 1

    def withdrawn(self, lane: int) -> None:
        self._pending[lane] -= 1

    def delivered(self, lane: int, call: int, record_hash: int, *, ran_as: int = 0) -> None:
        self._pending[lane] -= 1
        self._hashes[call] = record_hash
        self._add(lane, {call})
        self._past_of_promise[call] = self.past(lane)

    def settled(self, promise: int, lane: int) -> None:
        self._past_of_promise[promise] = self.past(lane) | self._past_of_promise.get(promise, frozenset())

    def used(self, promise: int, lane: int) -> None:
        """Rule U."""
        self._add(lane, self._past_of_promise.get(promise, ()))

    def woken(self, slot: int, at: int) -> None:
        """Rule W."""
        if slot not in self._chain(at) and slot not in self._chain(self._real(at)):
            self._add(slot, self.past(at))

    def after(self, slot: int, needs: Sequence[int]) -> None:
        for need in needs:
            self._add(slot, self._past_at_end.get(need, ()))

    def ended(self, slot: int, at: int) -> None:
        self._open.discard(slot)
        self.woken(slot, at)
        self._past_at_end[slot] = self.past(slot)

    def join(self, first: int) -> None:
        slots = range(first, first + self._size[first])
        for lane in sorted(self._below(slots)):
            outer = self._outer[first]
            assert outer is not None
            if lane not in self._joined:
                self._add(outer, self._own[lane])
                self._own[lane] = set()
        self._joined.update(slots)
        self._open.difference_update(slots)

    def cancelled(self, first: int) -> None:
        slots = range(first, first + self._size[first])
        self._open -= self._below(slot for slot in slots if slot in self._open)

    def history(self, lane: int) -> bytes:
        return (sum(self._hashes[call] for call in self.past(lane)) % MODULUS).to_bytes(32, "big")


class CheckedLanes(Lanes):
    """The real books, which stop at the first history that is not the model's. Give it to a run loop."""

    asked = 0

    def __init__(self) -> None:
        super().__init__()
        self.model = LaneModel()
        self.told: list[tuple[object, ...]] = []

    def history(self, lane: int) -> bytes:
        CheckedLanes.asked += 1
        found = super().history(lane)
        assert found == self.model.history(lane), (
            f"the history of a request in lane {self.path(lane)} is not {sorted(self.model.past(lane))}; "
            f"after {self.told}"
        )
        return found

    def open(self, first: int, n: int, outer: int, position: int) -> None:
        self.told.append(("open", first, n, outer))
        super().open(first, n, outer, position)
        self.model.open(first, n, outer, position)

    def requested(self, lane: int) -> None:
        self.told.append(("requested", lane))
        super().requested(lane)
        self.model.requested(lane)

    def withdrawn(self, lane: int) -> None:
        self.told.append(("withdrawn", lane))
        super().withdrawn(lane)
        if self.told[-1] != ("withdrawn", lane) or not self._is_delivering:
            self.model.withdrawn(lane)

    _is_delivering = False

    def delivered(self, lane: int, call: int, record_hash: int, *, ran_as: int = 0) -> None:
        self.told.append(("delivered", lane, call))
        self._is_delivering = True
        super().delivered(lane, call, record_hash, ran_as=ran_as)
        self._is_delivering = False
        self.model.delivered(lane, call, record_hash)

    def settled(self, promise: int, lane: int) -> None:
        self.told.append(("settled", promise, lane))
        super().settled(promise, lane)
        self.model.settled(promise, lane)

    def used(self, promise: int, lane: int) -> None:
        self.told.append(("used", promise, lane))
        super().used(promise, lane)
        self.model.used(promise, lane)

    def woken(self, slot: int, at: int) -> None:
        self.told.append(("woken", slot, at))
        super().woken(slot, at)
        if not self._is_ending:
            self.model.woken(slot, at)

    _is_ending = False

    def after(self, slot: int, needs: Sequence[int]) -> None:
        self.told.append(("after", slot, *needs))
        super().after(slot, needs)
        self.model.after(slot, needs)

    def ended(self, slot: int, at: int) -> None:
        self.told.append(("ended", slot, at))
        self._is_ending = True
        super().ended(slot, at)
        self._is_ending = False
        self.model.ended(slot, at)

    def join(self, first: int) -> None:
        self.told.append(("join", first))
        super().join(first)
        self.model.join(first)

    def cancelled(self, first: int) -> None:
        self.told.append(("cancelled", first))
        super().cancelled(first)
        self.model.cancelled(first)
