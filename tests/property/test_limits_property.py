"""I6 under any order of events: what is reserved never passes a cap, and nothing reserved is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.limits import Budget, Caps, DrivenTime
from engine.values import Usage

# Costs are multiples of 1/64, which floats hold exactly: the oracle compares sums with `==`.
usages = st.builds(Usage, st.integers(0, 50), st.integers(0, 400), st.integers(0, 64).map(lambda n: n / 64))
models = st.sampled_from(["a", "b"])


class Budgets(RuleBasedStateMachine):
    """Calls come, wait their turn, start, pay in attempts, end. The oracle keeps its own books."""

    @initialize(
        tokens=st.none() | st.integers(1, 3000),
        cents=st.none() | st.integers(1, 200),
        agents=st.none() | st.integers(0, 12),
    )
    def start(self, tokens, cents, agents):
        self.caps = Caps(tokens=tokens, cost_usd=None if cents is None else cents / 64, agents=agents)
        self.budget = Budget(self.caps, driven=DrivenTime(lambda: 0.0))
        self.next_call = 1
        self.queue: list[tuple[int, str]] = []
        self.open: dict[int, tuple[str, Usage, Usage]] = {}  # model, reserved at the start, paid so far
        self.paid = Usage()
        self.started: list[int] = []
        self.overrun = Usage()  # what closed and open calls paid above what they had reserved

    def pump(self):
        while self.queue:
            call, model = self.queue[0]
            if self.budget.refusal(is_counted=False) is not None:
                self.queue.pop(0)
                continue
            before = self.budget.reserved()
            if not self.budget.reserve(call, model, is_counted=False):
                assert self.open, "a call waits for a reservation that exists"
                assert self.budget.reserved() == before
                return
            held = Usage(
                0,
                self.budget.reserved().output_tokens - before.output_tokens,
                self.budget.reserved().cost_usd - before.cost_usd,
            )
            self.queue.pop(0)
            self.started.append(call)
            self.open[call] = (model, held, Usage())
            if self.caps.tokens is not None:
                assert self.paid.output_tokens + self.budget.reserved().output_tokens <= max(
                    self.caps.tokens, self.paid.output_tokens
                )

    @rule(model=models)
    def submit(self, model):
        self.queue.append((self.next_call, model))
        self.next_call += 1
        self.pump()

    @precondition(lambda self: self.open)
    @rule(data=st.data(), usage=usages)
    def an_attempt_ends(self, data, usage):
        call = data.draw(st.sampled_from(sorted(self.open)))
        model, held, spent = self.open[call]
        self.budget.spend(call, usage)
        self.paid += usage
        self.open[call] = (model, held, spent + usage)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), is_finished=st.booleans())
    def a_call_ends(self, data, is_finished):
        call = data.draw(st.sampled_from(sorted(self.open)))
        model, held, spent = self.open.pop(call)
        self.budget.close(call)
        if is_finished:
            self.budget.learn(model, spent)
        self.overrun += Usage(
            0, max(0, spent.output_tokens - held.output_tokens), max(0.0, spent.cost_usd - held.cost_usd)
        )
        self.pump()

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def a_waiting_call_is_withdrawn(self, data):
        self.queue.remove(data.draw(st.sampled_from(self.queue)))
        self.pump()

    @invariant()
    def caps_hold(self):
        if not hasattr(self, "caps"):
            return
        overrun = self.overrun
        for _, held, spent in self.open.values():
            overrun += Usage(
                0, max(0, spent.output_tokens - held.output_tokens), max(0.0, spent.cost_usd - held.cost_usd)
            )
        if self.caps.tokens is not None:
            assert self.paid.output_tokens <= self.caps.tokens + overrun.output_tokens, "I6"
        if self.caps.cost_usd is not None:
            assert self.paid.cost_usd <= self.caps.cost_usd + overrun.cost_usd + 1e-9, "I6"
        if self.caps.agents is not None:
            assert self.budget.agents <= self.caps.agents
        assert self.budget.paid.output_tokens == self.paid.output_tokens
        assert self.budget.agents == len(self.started)
        assert self.started == sorted(self.started), "first in, first out"

    @invariant()
    def nothing_leaks(self):
        if hasattr(self, "caps"):
            left = sum(max(0, held.output_tokens - spent.output_tokens) for _, held, spent in self.open.values())
            is_capped = self.caps.tokens is not None or self.caps.cost_usd is not None
            assert self.budget.reserved().output_tokens == (left if is_capped else 0)
            if not self.open:
                assert self.budget.reserved() == Usage()
                assert not self.queue, "with nothing open, every call has started or was refused"


TestBudgets = Budgets.TestCase


@given(st.lists(st.tuples(usages, models), max_size=20), st.integers(1, 2000))
def test_I6_one_call_alone_always_starts_while_anything_is_left(history, cap):
    budget = Budget(Caps(tokens=cap), driven=DrivenTime(lambda: 0.0))
    for call, (usage, model) in enumerate(history):
        if budget.refusal(is_counted=False) is None:
            assert budget.reserve(call, model, is_counted=False)
            budget.spend(call, usage)
            budget.close(call)
            budget.learn(model, usage)
        else:
            assert budget.paid.output_tokens >= cap
