"""The books of lanes, by hand: one rule a test. The property tests compare them with a model of sets."""

from __future__ import annotations

from engine.lanes import Lanes

A, B, C = 10**70, 3 * 10**70, 7 * 10**70


def amount(lanes: Lanes, lane: int) -> int:
    return int.from_bytes(lanes.history(lane), "big")


def give(lanes: Lanes, lane: int, call: int, record: int, **more: int) -> None:
    lanes.requested(lane)
    lanes.delivered(lane, call, record, **more)


def two_slots() -> Lanes:
    """Slots 1 and 2 of a join in the script's own lane; each has a call pending, so that neither waits elsewhere."""
    lanes = Lanes()
    lanes.open(1, 2, 0, 0)
    lanes.requested(1)
    lanes.requested(2)
    return lanes


def test_a_request_has_behind_it_what_its_lane_and_its_outer_lanes_waited_for() -> None:
    lanes = Lanes()
    give(lanes, 0, 1, A)
    lanes.open(1, 1, 0, 0)
    give(lanes, 1, 2, B)
    lanes.requested(1)
    assert (amount(lanes, 0), amount(lanes, 1)) == (A, A + B)


def test_siblings_do_not_wait_for_each_other() -> None:
    lanes = two_slots()
    give(lanes, 1, 1, A)
    assert (amount(lanes, 1), amount(lanes, 2)) == (A, 0)


def test_a_join_hands_everything_to_its_outer_lane_and_its_slots_are_that_lane() -> None:
    lanes = two_slots()
    lanes.delivered(1, 1, A)
    lanes.delivered(2, 2, B)
    lanes.ended(1, 1)
    lanes.ended(2, 2)
    lanes.join(1)
    give(lanes, 2, 3, C)  # a continuation that comes late
    assert amount(lanes, 0) == amount(lanes, 1) == A + B + C


def test_W_a_slot_that_waits_for_another_lane_counts_for_all() -> None:
    lanes = two_slots()
    lanes.delivered(1, 1, A)  # slot 1 has nothing pending now: it waits for something of slot 2
    assert amount(lanes, 2) == A
    lanes.requested(1)
    assert amount(lanes, 2) == 0


def test_W_a_slot_that_ends_takes_over_what_its_waker_had_waited_for() -> None:
    lanes = two_slots()
    give(lanes, 2, 2, B)
    lanes.ended(1, 2)
    assert amount(lanes, 1) == B


def test_U_a_promise_used_late_hands_over_what_its_lane_had_waited_for_when_it_settled() -> None:
    lanes = two_slots()
    give(lanes, 1, 1, A)
    lanes.settled(9, 1)
    give(lanes, 1, 2, B)
    lanes.used(9, 2)
    assert amount(lanes, 2) == A


def test_a_node_starts_from_what_the_nodes_that_it_needs_ended_with() -> None:
    lanes = two_slots()
    give(lanes, 1, 1, A)
    lanes.ended(1, 1)
    lanes.after(2, [1])
    assert amount(lanes, 2) == A


def test_a_record_that_came_by_two_ways_counts_once() -> None:
    lanes = two_slots()
    lanes.delivered(1, 1, A)
    lanes.used(1, 2)
    lanes.ended(1, 1)
    lanes.delivered(2, 2, B)
    lanes.used(1, 2)
    lanes.ended(2, 1)
    lanes.join(1)
    assert amount(lanes, 0) == A + B


def test_withdrawn_slots_wait_for_nothing() -> None:
    lanes = two_slots()
    lanes.delivered(1, 1, A)
    lanes.cancelled(1)
    assert amount(lanes, 2) == 0


def test_a_join_left_open_in_a_slot_that_joined_is_taken_along_when_the_outer_lane_joins() -> None:
    """Regression: its records were counted twice, from the log that had joined and from the one that took it over."""
    lanes = Lanes()
    lanes.open(1, 1, 0, 0)
    lanes.open(2, 1, 1, 0)
    lanes.open(3, 1, 2, 0)  # nobody awaits it
    give(lanes, 3, 1, A)
    lanes.ended(2, 2)
    lanes.join(2)
    lanes.ended(1, 1)
    lanes.join(1)
    assert amount(lanes, 0) == amount(lanes, 3) == A


def test_a_path_counts_positions_in_the_outer_lane_only() -> None:
    lanes = Lanes()
    lanes.open(1, 3, 0, 0)
    lanes.open(4, 1, 3, 1)
    assert [lanes.path(lane) for lane in (0, 3, 4)] == ["", "/0:2", "/0:2/1:0"]


def test_the_cause_is_the_first_call_behind_a_request_that_ran_again() -> None:
    lanes = Lanes()
    give(lanes, 0, 1, A)
    assert lanes.cause(0) == 0
    give(lanes, 0, 2, B, ran_as=7)
    give(lanes, 0, 3, C, ran_as=8)
    assert lanes.cause(0) == 7
