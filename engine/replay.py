"""The decision core: is a request answered from the journal, and which delivery comes next. Pure and total, no IO.

Keeps I2 to I4. Two plans share one face. `ResumePlan` looks records up by identity (or by a weaker policy) and delivers
what it finds in recorded order; live results come after. `ReplayPlan` follows one version's own list and refuses the
first request that is not in it.

The order (DESIGN): recorded results are delivered in their recorded order; one whose request has not been made is
passed over once the script is idle; a live result is delivered only when no recorded one can be. So a batch goes out
without a stop only as far as no unclaimed record lies before it; past such a gap the sandbox stops after the first item
that made requests, and the plan looks again.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from engine.errors import ReplayDiffers
from engine.identity import call_identity, record_hash
from engine.options import Policy
from engine.values import CallRow, Outcome, Record, SettlementRow


class Reuse(NamedTuple):
    """The request is answered by `record`; its hash joins the history when it is delivered. A foreign one is another
    run's and must be made this run's own first."""

    record: Record
    hash: int
    is_foreign: bool = False


class Execute(NamedTuple):
    """The request must run.

    Attributes:
        open_call: the record's number when an earlier attempt was started or queued and never settled, else None.
        attempts_before: attempts made for this identity in the life of the run.
        reason: `new`, `unsettled`, `not_ok`, `rerun`, `prefix`, `history`, or `request`; what `--explain` prints.
        like: a record that the explanation compares with, or None.
        goes_on_from: the number of a record of an agent that was stopped short: this one has its conversation.
    """

    open_call: int | None
    attempts_before: int
    hash: int
    reason: str
    like: Record | None
    goes_on_from: int | None = None


class EndOfRecord(Exception):
    """A replay has come to where the recorded version was cut off."""


class Batch(NamedTuple):
    """Deliveries that may go to the sandbox in one frame, in this order."""

    calls: list[int]
    stop_on_request: bool


def is_sample(backend: str | None) -> bool:
    """Whether a backend is the one without a model: only it reuses what it made."""
    return backend is not None and backend.partition(":")[0] == "sample"


def is_reusable(settlement: SettlementRow | None, *, keep_failures: bool) -> bool:
    """Whether a resume delivers this settlement again. What succeeded, always; what a person skipped, and a refusal for
    a bad schema, too: asking again changes nothing. Other failures only when the caller keeps them."""
    if settlement is None or settlement.outcome == Outcome.CANCELLED:
        return False
    if settlement.outcome == Outcome.OK or keep_failures:
        return True
    code = (settlement.reason or "").split(":", 1)[0]
    return code in ("skipped", "bad_schema")


STOPPED_SHORT = frozenset(
    {
        "rate_limited",
        "provider_connection",
        "provider_quota",
        "provider_timeout",
        "provider_unavailable",
        "stalled",
        "too_many_turns",
    }
)
"""Failures that say nothing of the agent's work so far: it was stopped, it had not failed."""


def stopped_short(record: Record) -> bool:
    """Whether an agent was stopped in the middle of its work, by a cap, by time, or by its service. When it is asked
    again, it need not begin at the beginning."""
    settlement = record.settlement
    if settlement is None or record.kind != "agent":
        return False
    code = (settlement.reason or "").split(":", 1)[0]
    if settlement.outcome == Outcome.FAILED:
        return code.startswith("limit_")
    if settlement.outcome != Outcome.NULL:
        return False
    return code == "timeout" or orjson.loads(settlement.meta or b"{}").get("failure") in STOPPED_SHORT


def generations(records: Iterable[Record]) -> dict[tuple[bytes, int], int]:
    """For each record that is not the first with its identity: how many there were before it."""
    seen: dict[bytes, int] = {}
    out: dict[tuple[bytes, int], int] = {}
    for record in records:
        identity = call_identity(record.key, record.history, record.occurrence)
        before = max(seen.get(identity, 0), _generation(record))
        seen[identity] = before + 1
        if before:
            out[identity, record.call] = before
    return out


def _generation(record: Record) -> int:
    """0 for the first record with an identity; one that was taken over kept its own."""
    if record.settlement is None or b'"generation"' not in record.settlement.meta:
        return 0
    return int(orjson.loads(record.settlement.meta)["generation"])


def _with_generation(record: Record, generation: int) -> Record:
    assert record.settlement is not None
    meta = {**orjson.loads(record.settlement.meta or b"{}"), "generation": generation}
    return record._replace(settlement=record.settlement._replace(meta=orjson.dumps(meta)))


@dataclass(slots=True)
class _Known:
    """All records with one identity: the newest counts, the others make its generation."""

    record: Record
    generation: int
    attempts: int


class ResumePlan:
    """Decides for a run, or a resume, of a version."""

    def __init__(
        self,
        records: Iterable[Record] = (),
        *,
        policy: Policy = "lane",
        keep_failures: bool = False,
        foreign: Iterable[Record] = (),
    ) -> None:
        """`foreign` are records of another run (`--from`) that requests may take over."""
        self._policy = policy
        self._keep_failures = keep_failures
        self._known: dict[bytes, _Known] = {}
        self._by_key: dict[bytes, list[Record]] = defaultdict(list)
        # No number of ours is negative; what another run has tried counts for none of our caps.
        others = [record._replace(call=-record.call, attempts=0) for record in foreign]
        for record in [*others, *records]:
            identity = call_identity(record.key, record.history, record.occurrence)
            before = self._known.get(identity)
            if before is None:
                self._known[identity] = _Known(record, _generation(record), record.attempts)
            else:
                before.record = record
                before.generation += 1
                before.attempts = max(before.attempts, record.attempts)  # they are numbered over the life of the run
        reusable = []
        for known in self._known.values():
            if not known.record.retired and is_reusable(known.record.settlement, keep_failures=keep_failures):
                assert known.record.settlement is not None
                reusable.append((known.record.settlement.order, known.record.call))
            self._by_key[known.record.key].append(known.record)
        for same in self._by_key.values():
            same.sort(key=lambda r: r.settlement.order if r.settlement else 1 << 62)
        reusable.sort()
        self._orders = reusable
        self._unclaimed = {call for _, call in reusable}
        self._cursor = 0
        self._ready: list[tuple[int, int, int]] = []  # order, record, delivery handle
        self._taken: list[tuple[int, int, int]] = []  # of the batch that may stop early
        self._gone: set[int] = set()
        self._live: deque[int] = deque()
        self._occurrences: dict[tuple[bytes, bytes], int] = {}
        self._key_counts: dict[bytes, int] = {}
        self._missed = False

    @property
    def reusable(self) -> int:
        """Records that could still be claimed."""
        return len(self._unclaimed)

    def occurrence(self, key: bytes, history: bytes) -> int:
        """The n-th request of this version with this key and history, from 0."""
        pair = (key, history)
        n = self._occurrences.get(pair, 0)
        self._occurrences[pair] = n + 1
        return n

    def decide(
        self,
        key: bytes,
        history: bytes,
        occurrence: int,
        *,
        handle: int,
        rerun: bool = False,
        by_sample: bool | None = None,
    ) -> Reuse | Execute:
        """Looks for the record of a request.

        Args:
            handle: what `next_batch` will name it by.
            rerun: `cache: 'rerun'`.
            by_sample: whether the `sample` backend would answer it now; None for what is no agent.
        """
        identity = call_identity(key, history, occurrence)
        known = self._known.get(identity)
        found = known.record if known else None
        if self._policy == "content" and (found is None or found.call not in self._unclaimed):
            found = self._nth_of_key(key)
        elif self._policy == "prefix" and self._missed:
            found = None
        is_other_kind = (
            found is not None
            and found.kind == "agent"
            and by_sample is not None
            and is_sample(found.backend) != by_sample
        )
        if found is not None and found.call in self._unclaimed and not rerun and not is_other_kind:
            self._unclaimed.discard(found.call)
            assert found.settlement is not None
            heapq.heappush(self._ready, (found.settlement.order, found.call, handle))
            generation = known.generation if known and known.record is found else 0
            is_foreign = found.call < 0
            if is_foreign and generation:
                found = _with_generation(found, generation)
            return Reuse(found, record_hash(identity, generation), is_foreign)
        self._missed = True
        if known is None:
            like = next(iter(self._by_key.get(key, ())), None)
            return Execute(None, 0, record_hash(identity, 0), "history" if like else "new", like)
        record = known.record
        again = record_hash(identity, known.generation + 1)
        if is_other_kind:
            return Execute(None, known.attempts, again, "sample", record)
        if record.settlement is None and not record.retired and not rerun and record.call > 0:
            return Execute(record.call, known.attempts, record_hash(identity, known.generation), "unsettled", record)
        reason = "rerun" if rerun or record.retired else "prefix" if found is None else "not_ok"
        goes_on = reason == "not_ok" and record.call > 0 and stopped_short(record)
        return Execute(None, known.attempts, again, reason, record, record.call if goes_on else None)

    def _nth_of_key(self, key: bytes) -> Record | None:
        """Policy `content`: the n-th request with a key takes the n-th record of that key."""
        for record in self._by_key.get(key, ()):
            if record.call in self._unclaimed:
                return record
        return None

    def committed(self, handle: int) -> None:
        """A live result is durable; it may be delivered after all that came before it."""
        self._live.append(handle)

    def withdrawn(self, handle: int) -> None:
        """The script has withdrawn this request: never deliver it."""
        self._gone.add(handle)

    def has_recorded(self) -> bool:
        """Whether a recorded result can be delivered now: then nothing is dispatched and nothing live delivered."""
        while self._ready and self._ready[0][2] in self._gone:
            heapq.heappop(self._ready)
        return bool(self._ready)

    def next_batch(self, most: int) -> Batch | None:
        """What the script, which is idle, gets next; None when there is nothing yet.

        Each handle is given out once; of a batch that stopped early the rest must be given back with `undelivered`.
        """
        if self.has_recorded():
            return self._recorded_batch(most)
        calls: list[int] = []
        while self._live and len(calls) < most:
            handle = self._live.popleft()
            if handle not in self._gone:
                calls.append(handle)
        return Batch(calls, bool(self._unclaimed)) if calls else None

    def _recorded_batch(self, most: int) -> Batch:
        orders = self._orders
        while self._cursor < len(orders) and orders[self._cursor][1] not in self._unclaimed:
            self._cursor += 1
        gap = orders[self._cursor][0] if self._cursor < len(orders) else 1 << 62
        calls: list[int] = []
        while self._ready and len(calls) < most and self._ready[0][0] < gap:
            handle = heapq.heappop(self._ready)[2]
            if handle not in self._gone:
                calls.append(handle)
        if calls:
            return Batch(calls, False)
        self._taken = []
        while self._ready and len(self._taken) < most:
            entry = heapq.heappop(self._ready)
            if entry[2] not in self._gone:
                self._taken.append(entry)
        return Batch([entry[2] for entry in self._taken], True)

    def undelivered(self, batch: Batch, consumed: int) -> None:
        """Takes back what a batch that stopped early did not deliver."""
        rest = batch.calls[consumed:]
        recorded = {entry[2]: entry for entry in self._taken}
        for handle in reversed(rest):
            if handle in recorded:
                heapq.heappush(self._ready, recorded[handle])
            else:
                self._live.appendleft(handle)
        self._taken = []


class ReplayPlan:
    """Follows one version of a run exactly. Every request must be the recorded one, in the recorded order (I4)."""

    def __init__(
        self,
        calls: Sequence[CallRow],
        deliveries: Iterable[int],
        records: Iterable[Record],
        *,
        has_ended: bool = True,
    ) -> None:
        """`has_ended`: the script came to its end then. A version that was cut off may have lost its last requests."""
        self._has_ended = has_ended
        self._calls = calls
        self._deliveries = list(deliveries)
        self._records = {record.call: record for record in records}
        self._generations = generations(self._records.values())
        self._next_call = 0
        self._next_delivery = 0
        self._handles: dict[int, int] = {}
        self._occurrences: dict[tuple[bytes, bytes], int] = {}
        self.reusable = len(calls)

    def occurrence(self, key: bytes, history: bytes) -> int:
        n = self._occurrences.get((key, history), 0)
        self._occurrences[key, history] = n + 1
        return n

    def decide(
        self,
        key: bytes,
        history: bytes,
        occurrence: int,
        *,
        handle: int,
        rerun: bool = False,
        by_sample: bool | None = None,
    ) -> Reuse:
        number = self._next_call + 1
        if number > len(self._calls):
            if not self._has_ended:
                raise EndOfRecord
            raise ReplayDiffers(
                f"Request {number} was not made in the recorded run, which ended after {len(self._calls)} requests.",
                call=number,
            )
        row = self._calls[self._next_call]
        self._next_call += 1
        if row.key != key:
            raise ReplayDiffers(
                f"Request {number} ({row.kind}) asks for something else than the recorded one.", call=number
            )
        if (row.history, row.occurrence) != (history, occurrence):
            raise ReplayDiffers(
                f"Request {number} ({row.kind}) has waited for other calls than the recorded one.", call=number
            )
        self._handles[row.call] = handle
        self.reusable -= 1
        record = self._records[row.call]
        identity = call_identity(key, history, occurrence)
        return Reuse(record, record_hash(identity, self._generations.get((identity, row.call), 0)))

    def committed(self, handle: int) -> None:
        raise AssertionError("a replay runs nothing")

    def withdrawn(self, handle: int) -> None:
        """Withdrawn requests are in no list of deliveries."""

    def has_recorded(self) -> bool:
        return self._next_delivery < len(self._deliveries) and self._deliveries[self._next_delivery] in self._handles

    def next_batch(self, most: int) -> Batch | None:
        calls: list[int] = []
        while self.has_recorded() and len(calls) < most:
            calls.append(self._handles.pop(self._deliveries[self._next_delivery]))
            self._next_delivery += 1
        return Batch(calls, False) if calls else None

    def undelivered(self, batch: Batch, consumed: int) -> None:
        """Takes back what did not fit, or had to wait for a workflow's text."""
        for handle in reversed(batch.calls[consumed:]):
            self._next_delivery -= 1
            self._handles[self._deliveries[self._next_delivery]] = handle

    @property
    def left(self) -> int:
        """Recorded requests that were not made."""
        return len(self._calls) - self._next_call
