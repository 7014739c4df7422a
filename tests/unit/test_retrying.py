"""When to try again, and how fast to ask."""

from __future__ import annotations

from random import Random

import pytest

from engine.retrying import Pace, RetryPolicy, pause_s


@pytest.mark.parametrize("seed", range(20))
def test_S26_pauses_double_with_jitter_and_stop_growing(seed):
    random = Random(seed)
    for failures in range(1, 8):
        usual = min(60.0, 2.0 ** (failures - 1))
        assert 0.75 * usual <= pause_s(1.0, failures, random) <= 1.25 * usual
    assert pause_s(1.0, 10_000, random) <= 75.0
    assert pause_s(0.0, 3, random) == 0.0


def test_S26_jitter_spreads_what_failed_together():
    random = Random(0)
    assert len({pause_s(1.0, 1, random) for _ in range(100)}) == 100


def test_S26_the_retry_option_overrides_one_or_both():
    policy = RetryPolicy(attempts=3, backoff_s=1.0)
    assert policy.changed_by(None) == policy
    assert policy.changed_by({}) == policy
    assert policy.changed_by({"attempts": 1}) == RetryPolicy(1, 1.0)
    assert policy.changed_by({"backoffSeconds": 0}) == RetryPolicy(3, 0.0)
    assert policy.changed_by({"attempts": 7, "backoffSeconds": 0.5}) == RetryPolicy(7, 0.5)


def test_a_pace_halves_once_for_calls_told_together_and_grows_back_one_a_round():
    pace = Pace(16, Random(0))
    for _ in range(5):
        pace.limited(started=0.0, now=10.0, retry_after_s=4.0)
    assert pace.allowed == 8 and pace.limited_until == 14.0
    assert not pace.has_room(13.9) and pace.has_room(14.0)
    pace.limited(started=15.0, now=20.0, retry_after_s=None)
    assert pace.allowed == 4
    rounds = []
    for _ in range(4):
        for _ in range(pace.allowed + 1):
            pace.passed()
        rounds.append(pace.allowed)
    assert rounds == [5, 6, 7, 8]
    for _ in range(1000):
        pace.passed()
    assert pace.allowed == 16


def test_a_pace_never_stops_a_backend_for_good():
    pace = Pace(4, Random(0))
    for turn in range(50):
        pace.limited(started=turn * 100.0, now=turn * 100.0 + 1, retry_after_s=None)
    assert pace.allowed == 1
    assert pace.limited_until <= 49 * 100 + 1 + 75.0
