"""Budgets, one rule at a time."""

from __future__ import annotations

import pytest

from engine.errors import EngineBug
from engine.limits import Budget, Caps, DrivenTime
from engine.values import Usage


class Time:
    now = 0.0

    def __call__(self):
        return self.now


def budget(caps, **more):
    return Budget(caps, driven=DrivenTime(Time()), **more)


def start(one, call, model="m", *, is_counted=False):
    assert one.refusal(is_counted=is_counted) is None
    return one.reserve(call, model, is_counted=is_counted)


def test_S48_reserves_1000_tokens_before_a_call_with_the_model_has_finished_then_the_mean():
    one = budget(Caps(tokens=100_000))
    assert start(one, 1) and one.reserved() == Usage(0, 1000)
    one.spend(1, Usage(5, 300, 0.2))
    one.close(1)
    one.learn("m", Usage(5, 300, 0.2))
    one.learn("m", Usage(5, 101, 0.4))
    assert start(one, 2) and one.reserved() == Usage(0, 201, pytest.approx(0.3)), "rounded up"
    assert start(one, 3, "other") and one.reserved().output_tokens == 1201


def test_S48_reserves_at_most_what_is_left_so_that_one_call_alone_always_starts():
    one = budget(Caps(tokens=10, cost_usd=1.0), paid=Usage(0, 9, 0.75))
    one.learn("m", Usage(0, 5000, 3.0))
    assert start(one, 1) and one.reserved() == Usage(0, 1, 0.25)
    assert not start(one, 2), "waits: the first may give back"
    one.close(1)
    assert one.reserved() == Usage()
    assert start(one, 2)


def test_S48_real_usage_replaces_the_reservation():
    one = budget(Caps(tokens=2000))
    assert start(one, 1) and start(one, 2) and not start(one, 3)
    one.spend(1, Usage(0, 400))
    assert one.reserved() == Usage(0, 1600), "an attempt that ended is paid for and no longer reserved"
    assert not start(one, 3)
    one.close(1)
    assert one.paid == Usage(0, 400) and one.reserved() == Usage(0, 1000)
    assert start(one, 3) and one.reserved() == Usage(0, 1600), "600 were left"


@pytest.mark.parametrize(
    ("caps", "more", "code", "message", "hint"),
    [
        (
            Caps(tokens=500),
            {"paid": Usage(0, 1234)},
            "limit_tokens",
            "The run has spent 1,234 of at most 500 output tokens.",
            "Resume with a higher --budget (now 500).",
        ),
        (
            Caps(cost_usd=2.5),
            {"paid": Usage(0, 0, 2.5)},
            "limit_cost",
            "The run has spent $2.5000 of at most $2.5000.",
            "Resume with a higher --max-cost (now 2.5).",
        ),
        (
            Caps(agents=1000),
            {"agents": 1000},
            "limit_agents",
            "The run has started 1,000 of at most 1,000 agents.",
            "Resume with a higher --max-agents (now 1000).",
        ),
        (
            Caps(agents=0),
            {},
            "limit_agents",
            "The run has started 0 of at most 0 agents.",
            "Resume with a higher --max-agents (now 0).",
        ),
    ],
)
def test_S43_S46_a_refusal_says_the_numbers_and_the_flag(caps, more, code, message, hint):
    error = budget(caps, **more).refusal(is_counted=False)
    assert (error.code, error.message, error.hint, error.exit_code) == (code, message, hint, 3)


def test_S43_minutes_are_driven_ones():
    time = Time()
    driven = DrivenTime(time, before_ms=30_000)
    one = Budget(Caps(minutes=1), driven=driven)
    driven.start()
    driven.start()
    time.now = 20.0
    driven.stop()
    driven.stop()
    time.now = 500.0
    assert driven.ms() == 50_000 and one.minutes_left_s() == 10.0
    assert one.refusal(is_counted=False) is None
    driven.start()
    time.now = 510.0
    error = one.refusal(is_counted=True)
    assert (error.code, error.message) == ("limit_minutes", "The run has been driven for 1.00 of at most 1 minutes.")
    assert one.minutes_left_s() == 0.0


def test_S46_agents_are_counted_once_in_the_life_of_a_run():
    one = budget(Caps(agents=2), agents=1)
    assert start(one, 1, is_counted=True) and one.agents == 1
    assert start(one, 2) and one.agents == 2
    assert one.refusal(is_counted=False).code == "limit_agents"
    assert one.refusal(is_counted=True) is None


def test_without_caps_everything_starts():
    one = budget(Caps(), paid=Usage(0, 10**12, 1e9), agents=10**6)
    assert all(start(one, call) for call in range(100))
    assert one.minutes_left_s() is None


def test_one_who_knows_prices_may_reserve_money_for_the_first_call():
    one = budget(Caps(cost_usd=1.0), first_call=lambda model: Usage(0, 1000, 0.4))
    assert start(one, 1) and start(one, 2) and start(one, 3)
    assert one.reserved().cost_usd == pytest.approx(1.0) and not start(one, 4)


def test_a_call_reserves_once():
    one = budget(Caps())
    start(one, 1)
    with pytest.raises(EngineBug, match=r"^call 1 reserved twice$"):
        one.reserve(1, "m", is_counted=True)
