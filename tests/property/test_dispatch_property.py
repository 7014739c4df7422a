"""Any order of answers, failures, withdrawals, skips, retries, pauses, time: I6, I7, no call lost or told twice."""

from __future__ import annotations

import asyncio
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.clock import ManualClock, settle_loop

from engine.dispatch import Dispatcher
from engine.errors import AgentError, UsageError
from engine.executors import HostEffect, Job, Patience
from engine.limits import Budget, Caps, DrivenTime
from engine.retrying import RetryPolicy
from engine.values import AgentAnswer, CallKind, Outcome, Usage

ERRORS = [
    AgentError("down", retryable=True),
    AgentError("down for long", retryable=True, retry_after_s=90.0),
    AgentError("too fast", code="rate_limited", retryable=True),
    AgentError("too fast", code="rate_limited", retryable=True, retry_after_s=5.0),
    AgentError("no such model"),
    AgentError("does not fit", code="schema_invalid"),
    AgentError("nothing", code="empty"),
    UsageError("bad path", code="bad_path"),
    ZeroDivisionError("division by zero"),
]


class Scripted:
    def __init__(self):
        self.running: dict[int, asyncio.Future] = {}
        self.first_starts: list[int] = []
        self.most_at_once = 0
        self.is_stubborn: set[int] = set()

    def backend(self, job):
        return job.content["backend"]

    def model(self, job):
        return None

    def check(self, job):
        if job.content["is_bad"]:
            raise UsageError("unknown agentType", code="unknown_agent_type")

    def timeout_s(self, job):
        return 100.0

    def retry_policy(self, job):
        return RetryPolicy(attempts=3)

    def line(self, job):
        return self.backend(job)

    def patience(self, job):
        return Patience()

    async def run(self, job, attempt, emit):
        if attempt == job.attempts_before + 1:
            self.first_starts.append(job.call)
        assert job.call not in self.running, "one attempt of a call at a time"
        future = self.running[job.call] = asyncio.get_running_loop().create_future()
        self.most_at_once = max(self.most_at_once, len(self.running))
        emit({"tokens": 3})
        try:
            return await future
        except asyncio.CancelledError:
            if job.call in self.is_stubborn:
                return AgentAnswer("all the same", Usage(0, 5))
            raise
        finally:
            del self.running[job.call]


class Dispatching(RuleBasedStateMachine):
    @initialize(
        concurrency=st.integers(1, 4),
        tokens=st.none() | st.integers(1, 4000),
        agents=st.none() | st.integers(1, 10),
        minutes=st.none() | st.integers(1, 30),
        backends=st.integers(1, 2),
    )
    def start(self, concurrency, tokens, agents, minutes, backends):
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.agents = Scripted()
        self.concurrency, self.backends = concurrency, backends
        self.settled, self.submitted, self.withdrawn, self.commits = [], [], set(), []
        self.budget = Budget(
            Caps(tokens=tokens, agents=agents, minutes=minutes), driven=DrivenTime(self.clock.monotonic)
        )
        self.answers: dict[int, asyncio.Future] = {}

        async def ask(job, emit):
            return await self.answers.setdefault(job.call, self.loop.create_future())

        async def make():
            return Dispatcher(
                executors={CallKind.AGENT: self.agents, CallKind.ASK: HostEffect(ask)},
                budget=self.budget,
                clock=self.clock,
                concurrency=concurrency,
                begin=lambda row, then: self.commits.append(then),
                settled=self.settled.append,
                progress=lambda call, body: None,
                random=Random(7),
            )

        self.dispatcher = self.loop.run_until_complete(make())
        self.is_paused = False

    def turn(self, act=lambda: None):
        async def do():
            told = len(self.settled)
            result = act()
            assert len(self.settled) == told, "nothing is told from inside a method"
            await settle_loop()
            return result

        return self.loop.run_until_complete(do())

    def commit(self):
        commits, self.commits = self.commits, []
        self.turn(lambda: [self.loop.call_soon(then) for then in commits])

    @rule(
        kind=st.sampled_from([CallKind.AGENT] * 4 + [CallKind.TIMER, CallKind.ASK]),
        backend=st.integers(0, 1),
        before=st.integers(0, 1),
        is_bad=st.sampled_from([False] * 9 + [True]),
        wait_ms=st.integers(0, 300_000),
        is_stubborn=st.booleans(),
    )
    def submit(self, *, kind, backend, before, is_bad, wait_ms, is_stubborn):
        call = len(self.submitted) + 1
        content = {"backend": f"b{backend % self.backends}", "is_bad": is_bad}
        job = Job(call, kind, content, b"", attempts_before=before, due_ms=self.clock.now_ms() + wait_ms)
        self.submitted.append(job)
        if is_stubborn:
            self.agents.is_stubborn.add(call)
        self.turn(lambda: self.dispatcher.submit(job))

    @rule()
    def commit_what_waits(self):
        self.commit()

    @precondition(lambda self: self.agents.running)
    @rule(data=st.data(), tokens=st.integers(0, 900))
    def answer(self, data, tokens):
        call = data.draw(st.sampled_from(sorted(self.agents.running)))
        self.turn(lambda: self.agents.running[call].set_result(AgentAnswer("x", Usage(0, tokens))))

    @precondition(lambda self: self.agents.running)
    @rule(data=st.data(), error=st.sampled_from(ERRORS))
    def fail(self, data, error):
        call = data.draw(st.sampled_from(sorted(self.agents.running)))
        self.turn(lambda: self.agents.running[call].set_exception(error))

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def a_person_answers(self, data):
        future = self.answers.pop(data.draw(st.sampled_from(sorted(self.answers))))
        self.turn(lambda: None if future.done() else future.set_result("yes"))

    @precondition(lambda self: self.submitted)
    @rule(data=st.data(), how=st.sampled_from(["cancel", "skip", "retry"]))
    def steer(self, data, how):
        call = data.draw(st.integers(1, len(self.submitted)))
        if how == "cancel":
            self.withdrawn.add(call)
            self.turn(lambda: self.dispatcher.cancel(call, "withdrawn"))
        else:
            self.turn(lambda: getattr(self.dispatcher, how)(call))

    @precondition(lambda self: self.agents.running)
    @rule(data=st.data())
    def an_answer_and_a_withdrawal_at_once(self, data):
        call = data.draw(st.sampled_from(sorted(self.agents.running)))
        self.withdrawn.add(call)

        def both():
            self.agents.running[call].set_result(AgentAnswer("x", Usage(0, 10)))
            self.dispatcher.cancel(call, "withdrawn")

        self.turn(both)

    @rule(seconds=st.floats(0.1, 200.0))
    def time_passes(self, seconds):
        self.loop.run_until_complete(self.clock.advance(seconds))

    @invariant()
    def each_call_ends_once_with_a_reason(self):
        if not hasattr(self, "loop"):
            return
        calls = [settled.call for settled in self.settled]
        assert len(calls) == len(set(calls))
        for settled in self.settled:
            if settled.outcome is not Outcome.OK:
                assert settled.reason, "I7"
            assert (settled.error is not None) == (settled.outcome in (Outcome.FAILED, Outcome.REFUSED))
            if settled.outcome is Outcome.REFUSED:
                assert settled.usage == Usage()
            if settled.outcome is Outcome.CANCELLED:
                assert settled.call in self.withdrawn

    @invariant()
    def caps_and_order_hold(self):
        if not hasattr(self, "loop"):
            return
        assert self.agents.most_at_once <= self.concurrency
        if self.budget.caps.agents is not None:
            assert self.budget.agents <= self.budget.caps.agents
        for backend in range(self.backends):
            first = [c for c in self.agents.first_starts if self.submitted[c - 1].content["backend"] == f"b{backend}"]
            assert first == sorted(first), "first in, first out"

    @rule(is_final=st.sampled_from([False] * 30 + [True]))
    def pause(self, is_final):
        if is_final:
            self.is_paused = True
            self.dispatcher.pause()

    def teardown(self):
        if not hasattr(self, "loop"):
            return
        try:
            if not self.is_paused:
                self.run_dry()
            cut_off = self.loop.run_until_complete(self.dispatcher.stop())
            calls = {settled.call for settled in self.settled}
            assert not calls & set(cut_off)
            if not self.is_paused:
                assert calls == {job.call for job in self.submitted}, "nobody waits for ever"
            assert not self.agents.running and not asyncio.all_tasks(self.loop)
            assert self.clock.pending() == 0
            assert self.budget.reserved() == Usage()
            paid = sum((settled.usage.output_tokens for settled in self.settled), 0)
            assert self.budget.paid.output_tokens >= paid
            if not cut_off:
                assert self.budget.paid.output_tokens == paid
        finally:
            self.loop.close()

    def run_dry(self):
        """Everybody answers from now on: every call must end."""
        for _ in range(400):
            if len(self.settled) == len(self.submitted):
                return
            self.commit()
            for call in sorted(self.agents.running):
                self.turn(lambda call=call: self.agents.running[call].set_result(AgentAnswer("x", Usage(0, 1))))
            for call in sorted(self.answers):
                future = self.answers.pop(call)
                if not future.done():
                    self.turn(lambda future=future: future.set_result("yes"))
            if (due := self.clock.next_due()) is not None:
                self.loop.run_until_complete(self.clock.advance(due))


Dispatching.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestDispatching = Dispatching.TestCase
