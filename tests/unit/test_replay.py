"""The decision core: what is reused, and which delivery comes next."""

from __future__ import annotations

from typing import Any

import pytest
from support.journals import call_row, settlement_row

from engine.errors import ReplayDiffers
from engine.replay import Batch, EndOfRecord, Execute, ReplayPlan, ResumePlan, Reuse, is_reusable
from engine.values import Record

NONE = bytes(32)


def key(n: int) -> bytes:
    return n.to_bytes(32, "big")


def record(call: int, order: int | None, *, asked: int | None = None, retired: bool = False, **settled: Any) -> Record:
    """A record of a request with key `asked` (its own number by default) and no history."""
    settlement = None if order is None else settlement_row(call, order=order, **settled)
    return Record(call, "agent", key(asked or call), NONE, 0, None, retired, 1, "b", settlement)


def ask(plan: ResumePlan, n: int, handle: int) -> Reuse | Execute:
    return plan.decide(key(n), NONE, plan.occurrence(key(n), NONE), handle=handle)


def test_a_success_is_reused_and_claimed_once() -> None:
    plan = ResumePlan([record(1, 1)])
    first = ask(plan, 1, 10)
    assert isinstance(first, Reuse)
    assert plan.next_batch(9) == Batch([10], False)
    second = ask(plan, 1, 11)
    assert isinstance(second, Execute), "the second request with the same key is another occurrence"
    assert plan.next_batch(9) is None


def test_recorded_results_come_in_recorded_order() -> None:
    plan = ResumePlan([record(1, 3), record(2, 1), record(3, 2)])
    for n in (1, 2, 3):
        ask(plan, n, 10 + n)
    assert plan.next_batch(9) == Batch([12, 13, 11], False)


def test_past_a_record_that_nobody_has_asked_for_the_sandbox_stops_at_each_request() -> None:
    plan = ResumePlan([record(1, 1), record(2, 2), record(3, 3)])
    ask(plan, 1, 11)
    ask(plan, 3, 13)
    assert plan.next_batch(9) == Batch([11], False)
    assert plan.next_batch(9) == Batch([13], True)


def test_what_a_stopped_batch_did_not_deliver_comes_again_after_what_lies_before_it() -> None:
    plan = ResumePlan([record(1, 1), record(2, 2), record(3, 3), record(4, 4)])
    ask(plan, 2, 12)
    ask(plan, 4, 14)
    batch = plan.next_batch(9)
    assert batch == Batch([12, 14], True)
    ask(plan, 3, 13)  # made by the first item
    plan.undelivered(batch, 1)
    assert plan.next_batch(9) == Batch([13, 14], True)


def test_live_results_wait_for_recorded_ones() -> None:
    plan = ResumePlan([record(1, 1)])
    assert isinstance(ask(plan, 2, 12), Execute)
    plan.committed(12)
    ask(plan, 1, 11)
    assert plan.next_batch(9) == Batch([11], False)
    assert plan.next_batch(9) == Batch([12], False)


def test_what_the_script_has_withdrawn_is_never_delivered() -> None:
    plan = ResumePlan([record(1, 1), record(2, 2)])
    ask(plan, 1, 11)
    ask(plan, 2, 12)
    ask(plan, 3, 13)
    plan.committed(13)
    for handle in (11, 13):
        plan.withdrawn(handle)
    assert plan.next_batch(9) == Batch([12], False)
    assert plan.next_batch(9) is None


@pytest.mark.parametrize(
    ("outcome", "reason", "kept", "is_reused"),
    [
        ("ok", None, False, True),
        ("null", "provider_failed: x", False, False),
        ("null", "skipped", False, True),
        ("failed", "schema_invalid: x", False, False),
        ("refused", "limit_agents: x", False, False),
        ("refused", "bad_schema: x", False, True),
        ("null", "timeout: x", True, True),
        ("cancelled", "withdrawn: x", True, False),
    ],
)
def test_which_settlements_are_delivered_again(outcome: str, reason: str | None, kept: bool, is_reused: bool) -> None:
    assert is_reusable(settlement_row(1, outcome=outcome, reason=reason), keep_failures=kept) is is_reused


def test_a_call_that_never_settled_goes_on_under_its_own_number() -> None:
    plan = ResumePlan([record(1, None)])
    decision = ask(plan, 1, 11)
    assert isinstance(decision, Execute)
    assert (decision.open_call, decision.attempts_before, decision.reason) == (1, 1, "unsettled")


def test_a_failed_call_runs_as_a_new_record_with_another_hash() -> None:
    failed = ResumePlan([record(1, 1, outcome="null", reason="timeout: x")])
    again = ask(failed, 1, 11)
    reused = ask(ResumePlan([record(1, 1)]), 1, 11)
    assert isinstance(again, Execute)
    assert (again.open_call, again.reason) == (None, "not_ok")
    assert again.hash != reused.hash


def test_a_retired_record_is_not_reused() -> None:
    decision = ask(ResumePlan([record(1, 1, retired=True)]), 1, 11)
    assert isinstance(decision, Execute)
    assert decision.reason == "rerun"


def test_a_replay_refuses_another_request() -> None:
    rows = [call_row(1, key=key(1), history=NONE, occurrence=0), call_row(2, key=key(2), history=NONE, occurrence=0)]
    plan = ReplayPlan(rows, [1, 2], [record(1, 1), record(2, 2)])
    plan.decide(key(1), NONE, 0, handle=11)
    with pytest.raises(ReplayDiffers) as caught:
        plan.decide(key(3), NONE, 0, handle=12)
    assert caught.value.message == "Request 2 (agent) asks for something else than the recorded one."


def test_a_replay_takes_back_what_a_frame_did_not_deliver() -> None:
    rows = [call_row(n, key=key(n), history=NONE, occurrence=0) for n in (1, 2, 3)]
    plan = ReplayPlan(rows, [2, 3, 1], [record(n, n) for n in (1, 2, 3)])
    for n in (1, 2, 3):
        plan.decide(key(n), NONE, 0, handle=10 + n)
    batch = plan.next_batch(9)
    assert batch == Batch([12, 13, 11], False)
    plan.undelivered(batch, 1)
    assert plan.next_batch(9) == Batch([13, 11], False)
    assert plan.left == 0


def test_I4_a_version_that_was_cut_off_ends_where_its_record_does() -> None:
    plan = ReplayPlan([], [], [], has_ended=False)
    with pytest.raises(EndOfRecord):
        plan.decide(b"k" * 32, b"h" * 32, 0, handle=1)
