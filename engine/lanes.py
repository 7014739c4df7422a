"""Lanes: what each line of work in a script has waited for. Pure; keeps I2 to I4 with `identity` and `replay`.

A lane is a place in the script's structure: the script itself, or a slot of a parallel, pipeline, race, dag or
workflow. The *history* of a request is the set of records delivered so far in its lane, its outer lanes and what joined
into them, as a sum modulo 2**256 of the records' hashes, plus what three rules add (DESIGN; `slot`: a lane of a join):

* W: a slot that is open while no call of its own is pending waits for something of another lane. Until it ends, what it
  had waited for counts in every request's history; when it runs again or ends, it takes over what its waker's lane had
  waited for.
* U: a promise that is used after it settled hands over what its lane had waited for then.
* J: a lane that has joined is its outer lane from then on.

How it is kept. Each lane appends to a `Log` of its own. What a lane had waited for at some moment is then a *prefix* of
a few logs: its own, its outer lanes', and those taken over by W and U. So a past is a map from log to length, like a
vector clock: a union is the larger length, and a hash is a sum of prefix sums. A join appends one block to the outer
log, and the joined logs remember where, so that nothing is counted twice. A request costs the depth of its lane plus
what W and U brought into it, never the length of the run.

The property tests in tests/property hold this to an oracle that never asks the lanes, and to the set-based model of the
same rules (tests/support/lane_model.py).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import TypeAlias

MODULUS = 1 << 256


class Log:
    """What was delivered in one lane, in order: running sums of record hashes, and when each entry came.

    `cause` is the number of the first call in it that was not reused, 0 while there is none: what `--explain` names.
    A log is closed when its lane joins: `into` is then the outer lane's log, whose first `into_length` entries hold all
    of this one.
    """

    __slots__ = ("cause", "into", "into_length", "sums", "taken", "ticks", "total", "up")

    def __init__(self, up: Log | None) -> None:
        self.up = up
        self.cause = 0
        self.total = 0
        self.sums: list[int] | None = None
        self.ticks: list[int] | None = None
        self.taken: Past | None = None
        self.into: Log | None = None
        self.into_length = 0

    def __len__(self) -> int:
        return 0 if self.sums is None else len(self.sums)

    def append(self, amount: int, tick: int) -> None:
        self.total = (self.total + amount) % MODULUS
        if self.sums is None or self.ticks is None:
            self.sums, self.ticks = [], []
        self.sums.append(self.total)
        self.ticks.append(tick)

    def length_at(self, tick: int) -> int:
        return 0 if self.ticks is None else bisect_right(self.ticks, tick)

    def chain(self) -> Iterator[Log]:
        """This log and those of its outer lanes, innermost first."""
        log: Log | None = self
        while log is not None:
            yield log
            log = log.up


Past: TypeAlias = dict[Log, int]
"""Logs and how much of each: what was waited for at some moment."""


def merge(into: Past, other: Past) -> None:
    for log, length in other.items():
        if length > into.get(log, 0):
            into[log] = length


class _Moment:
    """A past that is worked out only if somebody asks: a log at a tick, and what W and U added to it."""

    __slots__ = ("extra", "log", "tick")

    def __init__(self, log: Log, tick: int, extra: Past | None) -> None:
        self.log = log
        self.tick = tick
        self.extra = extra

    def past(self) -> Past:
        out = {log: length for log in self.log.chain() if (length := log.length_at(self.tick))}
        if self.extra:
            merge(out, self.extra)
        return out


class Lane:
    """One lane. `waiting` counts the slots in it and below that are open while no call below them is pending."""

    __slots__ = ("ended", "is_exposed", "is_joined", "is_open", "joins", "log", "outer", "path", "pending", "waiting")

    def __init__(self, path: str, outer: Lane | None, log: Log) -> None:
        self.path = path
        self.outer = outer
        self.log = log
        self.pending = 0
        self.waiting = 0
        self.is_open = False
        self.is_joined = False
        self.is_exposed = False
        self.joins: dict[int, list[Lane]] | None = None
        self.ended: _Moment | None = None

    def is_inside(self, other: Lane) -> bool:
        lane: Lane | None = self
        while lane is not None:
            if lane is other:
                return True
            lane = lane.outer
        return False


class Lanes:
    """The books of one run. Feed it the sandbox's operations in order; ask `history` at each request."""

    def __init__(self) -> None:
        root = Lane("", None, Log(None))
        self._lanes: dict[int, Lane] = {0: root}
        self._root = root
        self._tick = 0
        self._exposed: set[Lane] = set()
        self._exposed_sum = 0
        self._has_taken = False
        self._promises: dict[int, _Moment] = {}

    def path(self, lane: int) -> str:
        """Where the lane is, "" for the script, "/0:2" for slot 2 of its first join."""
        return self._lanes[lane].path

    # ── what the script did ────────────────────────────────────────────────────────────────────────────────────────

    def open(self, first: int, n: int, outer: int, position: int) -> None:
        """A join of `n` slots opened in lane `outer`: lanes `first` to `first + n - 1`."""
        parent = self._live(self._lanes[outer])
        prefix = f"{parent.path}/{position}:"
        slots = [Lane(f"{prefix}{i}", parent, Log(parent.log)) for i in range(n)]
        for i, lane in enumerate(slots):
            lane.is_open = True
            lane.waiting = 1
            self._lanes[first + i] = lane
        if parent.joins is None:
            parent.joins = {}
        parent.joins[first] = slots
        if n:
            self._add_waiting(parent, n)

    def requested(self, lane: int) -> None:
        """A call was asked for in `lane`; ask `history` before this."""
        here: Lane | None = self._lanes[lane]
        stopped = 0  # slots that no longer wait elsewhere, from the innermost out
        while here is not None:
            here.pending += 1
            if here.pending == 1 and here.is_open:
                stopped += 1
            if stopped:
                here.waiting -= stopped
                self._refresh(here)
            here = here.outer

    def withdrawn(self, lane: int) -> None:
        """A call that was asked for in `lane` will never be delivered."""
        here: Lane | None = self._lanes[lane]
        started = 0
        while here is not None:
            here.pending -= 1
            if here.pending == 0 and here.is_open:
                started += 1
            if started:
                here.waiting += started
                self._refresh(here)
            here = here.outer

    def delivered(self, lane: int, call: int, record_hash: int, *, ran_as: int = 0) -> None:
        """The settlement of `call` is about to be handed to the script in `lane`; `ran_as`: its number when it ran."""
        self.withdrawn(lane)
        here = self._lanes[lane]
        self._append(here, record_hash)
        log = self._live(here).log
        log.cause = log.cause or ran_as
        self._promises[call] = self._moment(here)

    def settled(self, promise: int, lane: int) -> None:
        """A promise settled by what ran in `lane`. Told again, it hands over both pasts."""
        moment = self._moment(self._lanes[lane])
        if (before := self._promises.get(promise)) is not None:
            extra = before.past()
            merge(extra, moment.extra or {})
            moment.extra = extra
        self._promises[promise] = moment

    def used(self, promise: int, lane: int) -> None:
        """Rule U."""
        moment = self._promises.get(promise)
        if moment is not None:
            self._take(self._lanes[lane], moment.past())

    def woken(self, slot: int, at: int) -> None:
        """Rule W, first half: `slot` runs again because of what ran in lane `at`."""
        lane, waker = self._lanes[slot], self._lanes[at]
        if not waker.is_inside(lane):
            self._take(lane, self._moment(waker).past())

    def after(self, slot: int, needs: Sequence[int]) -> None:
        """A dag node's slot starts, having waited for what the slots `needs` had waited for when they ended."""
        lane = self._lanes[slot]
        for need in needs:
            moment = self._lanes[need].ended
            if moment is not None:
                self._take(lane, moment.past())

    def ended(self, slot: int, at: int) -> None:
        """Rule W, second half: `slot` will run no more; what ran in lane `at` ended it."""
        lane = self._lanes[slot]
        self._close(lane)
        self.woken(slot, at)
        lane.ended = self._moment(lane)

    def join(self, first: int) -> None:
        """Rule J: the join is decided; its outer lane takes over all that was delivered in any of its slots."""
        slots = self._slots(first)
        if not slots:
            return
        parent = slots[0].outer
        assert parent is not None and parent.joins is not None
        del parent.joins[first]
        outer = self._live(parent)
        closing = list(self._below(slots, is_cancelled=False))
        block = 0
        taken: Past = {}
        for lane in closing:
            block += lane.log.total
            outer.log.cause = outer.log.cause or lane.log.cause
            if lane.log.taken:
                merge(taken, lane.log.taken)
        if block or any(len(lane.log) for lane in closing):
            self._append(outer, block)
        length = len(outer.log)
        own = set(slots)
        for lane in closing:
            lane.log.into, lane.log.into_length = outer.log, length
            if lane in own:
                lane.is_joined = True
                self._refresh(lane)
        for i, lane in enumerate(slots):
            self._lanes[first + i] = outer
            self._close(lane)
            lane.log = outer.log
            if lane.joins:  # still open: from here on joins of the outer lane, found again when that one joins
                for at, inner in lane.joins.items():
                    for below in inner:
                        below.outer = outer
                    outer.joins = outer.joins or {}
                    outer.joins[at] = inner
        for lane in closing:
            # A join that is still open inside a slot goes on, with nothing of its own yet.
            if lane not in own:
                assert lane.outer is not None
                self._forget_exposed(lane)
                lane.log = Log(self._live(lane.outer).log)
        if taken:
            self._take(outer, taken)

    def cancelled(self, first: int) -> None:
        """The slots of the join that have not ended never run again: they and all below them wait for nothing."""
        for lane in self._below(self._slots(first), is_cancelled=True):
            self._close(lane)

    # ── what a request has behind it ───────────────────────────────────────────────────────────────────────────────

    def history(self, lane: int) -> bytes:
        """32 bytes: the set of records that a request made in `lane` now has waited for."""
        log = self._live(self._lanes[lane]).log
        total = self._exposed_sum
        seen: Log | None = log
        if not self._exposed:
            while seen is not None:
                total += seen.total
                seen = seen.up
        else:
            exposed = {x.log for x in self._exposed}
            while seen is not None:
                if seen not in exposed:
                    total += seen.total
                seen = seen.up
        if self._has_taken:
            total += self._taken_sum(log)
        return (total % MODULUS).to_bytes(32, "big")

    def cause(self, lane: int) -> int:
        """The number of a call that `lane` has waited for and that was not reused in this version; 0 for none."""
        log = self._live(self._lanes[lane]).log
        around: list[Log] = [*log.chain(), *(x.log for x in self._exposed)]
        for part in around:
            taken: Past = part.taken or {}
            for each in (part, *taken):
                if each.cause:
                    return each.cause
        return 0

    def _taken_sum(self, log: Log) -> int:
        full = set(log.chain())
        full.update(x.log for x in self._exposed)
        taken: Past = {}
        for part in full:
            if part.taken:
                merge(taken, part.taken)
        total = 0
        for part, length in taken.items():
            if part not in full and not self._is_within(part, full, taken):
                assert part.sums is not None
                total += part.sums[length - 1]
        return total

    @staticmethod
    def _is_within(log: Log, full: set[Log], taken: Past) -> bool:
        """Whether all of a closed `log` is in one that is counted anyway, because it joined into it."""
        here = log
        while here.into is not None:
            if here.into in full or taken.get(here.into, 0) >= here.into_length:
                return True
            here = here.into
        return False

    # ── the machinery ──────────────────────────────────────────────────────────────────────────────────────────────

    def _slots(self, first: int) -> list[Lane]:
        lane = self._lanes.get(first)
        if lane is None or lane.outer is None or lane.outer.joins is None:
            return []
        return lane.outer.joins.get(first, [])

    def _live(self, lane: Lane) -> Lane:
        """The lane that `lane` has become (rule J)."""
        while lane.is_joined:
            assert lane.outer is not None
            lane = lane.outer
        return lane

    def _below(self, slots: list[Lane], *, is_cancelled: bool) -> Iterator[Lane]:
        stack = [s for s in slots if not is_cancelled or s.is_open]
        while stack:
            lane = stack.pop()
            yield lane
            if lane.joins:
                for inner in lane.joins.values():
                    stack.extend(inner)

    def _append(self, lane: Lane, amount: int) -> None:
        lane = self._live(lane)
        self._tick += 1
        lane.log.append(amount, self._tick)
        if lane.is_exposed:
            self._exposed_sum += amount
        else:
            self._refresh(lane)

    def _moment(self, lane: Lane) -> _Moment:
        """What a request in `lane` has behind it now, W and U included."""
        log = self._live(lane).log
        extra: Past | None = None
        if self._has_taken or self._exposed:
            extra = {}
            full = set(log.chain())
            for part in full:
                if part.taken:
                    merge(extra, part.taken)
            for other in self._exposed:
                if other.log not in full and len(other.log):
                    merge(extra, {other.log: len(other.log)})
                if other.log.taken:
                    merge(extra, other.log.taken)
        return _Moment(log, self._tick, extra or None)

    def _take(self, lane: Lane, past: Past) -> None:
        lane = self._live(lane)
        chain = set(lane.log.chain())
        new = {log: n for log, n in past.items() if log not in chain and not self._is_within(log, chain, {})}
        if not new:
            return
        if lane.log.taken is None:
            lane.log.taken = {}
        merge(lane.log.taken, new)
        self._has_taken = True
        self._refresh(lane)

    def _close(self, lane: Lane) -> None:
        if lane.is_open:
            lane.is_open = False
            if lane.pending == 0:
                self._add_waiting(lane, -1)

    def _add_waiting(self, lane: Lane | None, n: int) -> None:
        while lane is not None:
            lane.waiting += n
            self._refresh(lane)
            lane = lane.outer

    def _refresh(self, lane: Lane) -> None:
        """Keeps `_exposed`: the lanes below the root that hold what a slot waiting elsewhere had waited for."""
        if lane is self._root:
            return
        should = lane.waiting > 0 and not lane.is_joined and (lane.log.sums is not None or lane.log.taken is not None)
        if should and not lane.is_exposed:
            lane.is_exposed = True
            self._exposed.add(lane)
            self._exposed_sum += lane.log.total
        elif lane.is_exposed and not should:
            self._forget_exposed(lane)

    def _forget_exposed(self, lane: Lane) -> None:
        if lane.is_exposed:
            lane.is_exposed = False
            self._exposed.discard(lane)
            self._exposed_sum -= lane.log.total
