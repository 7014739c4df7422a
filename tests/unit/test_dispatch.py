"""The dispatcher with a clock that is turned by hand and executors that do what the test says."""

from __future__ import annotations

import asyncio
from random import Random

import orjson
import pytest
from support.clock import ManualClock, settle_loop

from engine.dispatch import Dispatcher, Settled
from engine.errors import AgentError, EngineBug, LimitReached, UsageError
from engine.executors import HostEffect, Job, Patience
from engine.limits import Budget, Caps, DrivenTime
from engine.retrying import RetryPolicy
from engine.values import AgentAnswer, AttemptRow, CallKind, Outcome, Usage

SPENT = Usage(10, 100, 0.5)
NO_CAPS = Caps()


class Scripted:
    """An agent executor whose attempts wait until the test ends them."""

    def __init__(self, *, timeout_s=60.0, attempts=3, patience=None):
        self.timeout = timeout_s
        self.kept_patience = patience or Patience()
        self.attempts = attempts
        self.waiting: dict[int, asyncio.Future] = {}
        self.started: list[tuple[int, int]] = []
        self.cancelled: list[int] = []
        self.emits = {}

    def backend(self, job):
        return job.content.get("backend", "scripted")

    def model(self, job):
        return job.content.get("model")

    def check(self, job):
        if job.content.get("bad"):
            raise UsageError("agentType 'x' is not known", code="unknown_agent_type")

    def timeout_s(self, job):
        return self.timeout

    def retry_policy(self, job):
        return RetryPolicy(attempts=self.attempts).changed_by(job.content.get("retry"))

    def line(self, job):
        return self.backend(job)

    def patience(self, job):
        return self.kept_patience

    async def run(self, job, attempt, emit):
        self.started.append((job.call, attempt))
        self.emits[job.call] = emit
        future = self.waiting[job.call] = asyncio.get_running_loop().create_future()
        try:
            return await future
        except asyncio.CancelledError:
            self.cancelled.append(job.call)
            raise

    def answer(self, call, value="done", usage=SPENT):
        self.waiting[call].set_result(AgentAnswer(value, usage, "scripted-1"))

    def fail(self, call, error):
        self.waiting[call].set_exception(error)


class Bench:
    """A dispatcher with everything that it talks to."""

    def __init__(self, *, caps=NO_CAPS, concurrency=2, executor=None, effects=None, hold_commits=False, **budget):
        self.clock = ManualClock()
        self.agents = executor or Scripted()
        self.driven = DrivenTime(self.clock.monotonic)
        self.budget = Budget(caps, driven=self.driven, **budget)
        self.settled: list[Settled] = []
        self.rows: list[AttemptRow] = []
        self.told: list[tuple[int, dict]] = []
        self.commits: list = []
        self.hold_commits = hold_commits
        self.dispatcher = Dispatcher(
            executors={CallKind.AGENT: self.agents, **(effects or {})},
            budget=self.budget,
            clock=self.clock,
            concurrency=concurrency,
            begin=self.begin,
            settled=self.settled.append,
            progress=lambda call, body: self.told.append((call, body)),
            random=Random(1),
        )

    def begin(self, row, then):
        self.rows.append(row)
        if self.hold_commits:
            self.commits.append(then)
        else:
            asyncio.get_running_loop().call_soon(then)

    def submit(self, *calls, kind=CallKind.AGENT, attempts_before=0, due_ms=None, **content):
        for call in calls:
            self.dispatcher.submit(
                Job(call, kind, {"prompt": "?", **content}, bytes(32), attempts_before=attempts_before, due_ms=due_ms)
            )

    def outcomes(self):
        return [(s.call, s.outcome, s.reason) for s in self.settled]

    @property
    def running(self):
        return [call for call, future in self.agents.waiting.items() if not future.done()]


async def test_S47_calls_start_first_in_first_out_within_the_cap():
    bench = Bench(concurrency=2)
    bench.submit(1, 2, 3, 4)
    await settle_loop()
    assert bench.running == [1, 2]
    bench.agents.answer(2)
    await settle_loop()
    assert bench.running == [1, 3]
    bench.agents.answer(1)
    await settle_loop()
    assert bench.agents.started == [(1, 1), (2, 1), (3, 1), (4, 1)]
    assert bench.outcomes() == [(2, Outcome.OK, None), (1, Outcome.OK, None)]
    assert await bench.dispatcher.stop() == [3, 4]


async def test_S26_an_attempt_is_on_record_before_the_backend_is_called():
    bench = Bench(hold_commits=True)
    bench.submit(1, model="m")
    await settle_loop()
    assert bench.rows == [AttemptRow(1, 1, "scripted", "m", 1_000_000)]
    assert bench.agents.started == []
    bench.commits[0]()
    await settle_loop()
    assert bench.agents.started == [(1, 1)]
    bench.agents.answer(1, {"a": 1})
    await settle_loop()
    assert bench.settled == [
        Settled(
            1, Outcome.OK, b'{"a":1}', None, None, "scripted", "scripted-1", SPENT, {"attempts": 1, "duration_ms": 0}
        )
    ]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("half \ud83d of one", '"half \ufffd of one"'),  # it is no text, and must not end the run
        ("two halves \ud83d\ude00", '"two halves \U0001f600"'),
        ({"n": 1 << 70}, '{"n":1180591620717411303424}'),
    ],
)
async def test_an_answer_that_is_hardly_json_is_settled_as_text_that_can_be_read(answer, text):
    bench = Bench()
    bench.submit(1)
    await settle_loop()
    bench.agents.answer(1, answer)
    await settle_loop()
    assert bench.settled[0].value.decode() == text
    orjson.loads(bench.settled[0].value)
    await bench.dispatcher.stop()


async def test_a_call_withdrawn_while_its_attempt_is_put_on_record_never_reaches_the_backend():
    bench = Bench(hold_commits=True, concurrency=1)
    bench.submit(1, 2)
    await settle_loop()
    bench.dispatcher.cancel(1, "race decided")
    assert bench.settled == [], "nothing is told from inside a method"
    await settle_loop()
    assert bench.outcomes() == [(1, Outcome.CANCELLED, "race decided")]
    for commit in bench.commits:
        commit()
    await settle_loop()
    assert bench.agents.started == [(2, 1)], "the slot was free at once"
    await bench.dispatcher.stop()


async def test_S26_transient_errors_are_retried_twice_with_growing_pauses_and_all_usage_counts():
    bench = Bench()
    bench.submit(1)
    pauses = []
    for attempt in (1, 2):
        await settle_loop()
        assert bench.agents.started[-1] == (1, attempt)
        bench.agents.fail(1, AgentError("HTTP 503", code="unavailable", retryable=True, usage={"output_tokens": 7}))
        await settle_loop()
        pauses.append(bench.clock.next_due())
        await bench.clock.advance(pauses[-1])
    assert 0.75 <= pauses[0] <= 1.25 and 1.5 <= pauses[1] <= 2.5
    bench.agents.fail(1, AgentError("HTTP 503", code="unavailable", retryable=True))
    await settle_loop()
    assert bench.outcomes() == [(1, Outcome.NULL, "provider_failed: HTTP 503 (3 attempts)")]
    assert bench.settled[0].value == b"null"
    assert bench.settled[0].usage == Usage(0, 14)
    assert bench.settled[0].meta["attempts"] == 3
    assert bench.settled[0].meta["retries"] == ["unavailable: HTTP 503"] * 2
    assert bench.budget.paid == Usage(0, 14) and bench.budget.agents == 1
    assert [row.attempt for row in bench.rows] == [1, 2, 3]


async def test_S26_retry_after_is_kept_to_and_the_retry_option_overrides():
    bench = Bench()
    bench.submit(1, retry={"attempts": 2, "backoffSeconds": 30})
    await settle_loop()
    bench.agents.fail(1, AgentError("busy", retryable=True, retry_after_s=17.0))
    await settle_loop()
    assert bench.told == [(1, {"waiting": "retry", "until": 1_017_000})]
    await bench.clock.advance(16.9)
    assert len(bench.agents.started) == 1
    await bench.clock.advance(0.2)
    assert len(bench.agents.started) == 2
    bench.agents.fail(1, AgentError("busy", retryable=True))
    await settle_loop()
    assert bench.outcomes() == [(1, Outcome.NULL, "provider_failed: busy (2 attempts)")]


async def test_S23_a_permanent_failure_is_null_at_once_with_its_reason():
    bench = Bench()
    bench.submit(1)
    await settle_loop()
    bench.agents.fail(1, AgentError("HTTP 401: no such key"))
    await settle_loop()
    assert bench.outcomes() == [(1, Outcome.NULL, "provider_failed: HTTP 401: no such key")]


async def test_S23_out_of_time_is_null_and_the_attempt_is_stopped_first():
    bench = Bench(executor=Scripted(timeout_s=90))
    bench.submit(1)
    await settle_loop()
    bench.agents.emits[1]({"tokens": 40})
    await bench.clock.advance(89.9)
    assert bench.settled == []
    await bench.clock.advance(0.2)
    assert bench.agents.cancelled == [1]
    assert bench.outcomes() == [(1, Outcome.NULL, "timeout: no answer within 1.5 minutes")]
    assert bench.settled[0].usage == Usage(0, 40), "what it told is paid for"


async def test_S23_a_skipped_agent_is_null_running_or_queued():
    bench = Bench(concurrency=1)
    bench.submit(1, 2)
    await settle_loop()
    assert bench.dispatcher.skip(2) and bench.dispatcher.skip(1)
    assert not bench.dispatcher.skip(99)
    await settle_loop()
    assert sorted(bench.outcomes()) == [(1, Outcome.NULL, "skipped"), (2, Outcome.NULL, "skipped")]
    assert not bench.dispatcher.skip(1)


async def test_S20_an_empty_answer_is_null_with_its_reason():
    bench = Bench()
    bench.submit(1)
    await settle_loop()
    bench.agents.fail(1, AgentError("the answer was empty twice", code="empty"))
    await settle_loop()
    assert bench.outcomes() == [(1, Outcome.NULL, "empty: the answer was empty twice")]


async def test_S21_used_up_schema_rounds_throw_the_last_validation_error():
    bench = Bench()
    bench.submit(1)
    await settle_loop()
    error = AgentError("answer does not fit the schema: $.n: expected number", code="schema_invalid")
    bench.agents.fail(1, error)
    await settle_loop()
    assert bench.settled[0].outcome is Outcome.FAILED
    assert bench.settled[0].error == error.to_json()


async def test_S22_S24_what_cannot_work_is_refused_before_a_start_and_costs_nothing():
    bench = Bench()
    bench.submit(1, bad=True)
    assert bench.settled == []
    await settle_loop()
    assert bench.outcomes() == [(1, Outcome.REFUSED, "unknown_agent_type: agentType 'x' is not known")]
    assert bench.rows == [] and bench.budget.agents == 0


@pytest.mark.parametrize("broken", [ZeroDivisionError("division by zero"), asyncio.CancelledError()])
async def test_a_bug_of_a_backend_fails_the_call_and_nothing_else(broken):
    bench = Bench()
    bench.submit(1, 2)
    await settle_loop()
    if isinstance(broken, asyncio.CancelledError):
        bench.agents.waiting[1].cancel()
        what = "CancelledError: the backend cancelled itself"
    else:
        bench.agents.fail(1, broken)
        what = "ZeroDivisionError: division by zero"
    await settle_loop()
    assert bench.settled[0].outcome is Outcome.FAILED
    assert bench.settled[0].error["code"] == "engine_bug"
    assert bench.settled[0].error["message"] == f"agent by scripted broke: {what}"
    bench.agents.answer(2)
    await settle_loop()
    assert bench.settled[1].outcome is Outcome.OK


async def test_S36_cancel_stops_the_attempt_and_books_what_it_cost_so_far():
    bench = Bench()
    bench.submit(1)
    await settle_loop()
    bench.agents.emits[1]({"usage": {"input_tokens": 5, "output_tokens": 6, "cost_usd": 0.25}})
    bench.dispatcher.cancel(1, "race decided")
    bench.dispatcher.cancel(1, "again")
    await settle_loop()
    assert bench.agents.cancelled == [1]
    assert bench.outcomes() == [(1, Outcome.CANCELLED, "race decided")]
    assert bench.settled[0].usage == bench.budget.paid == Usage(5, 6, 0.25)
    assert bench.budget.reserved() == Usage()


async def test_S36_cancel_wins_over_an_answer_of_the_same_moment_but_its_cost_counts():
    bench = Bench()
    bench.submit(1)
    await settle_loop()
    bench.agents.answer(1)
    bench.dispatcher.cancel(1, "race decided")
    await settle_loop()
    assert bench.outcomes() == [(1, Outcome.CANCELLED, "race decided")]


async def test_retry_abandons_the_attempt_and_starts_another_that_is_not_a_second_agent():
    bench = Bench()
    bench.submit(1)
    assert not bench.dispatcher.retry(1), "nothing runs yet"
    await settle_loop()
    assert bench.dispatcher.retry(1)
    await settle_loop()
    assert bench.agents.started == [(1, 1), (1, 2)]
    bench.agents.answer(1)
    await settle_loop()
    assert bench.outcomes() == [(1, Outcome.OK, None)]
    assert bench.settled[0].meta["retries"] == ["retried by a person"]
    assert bench.budget.agents == 1


async def test_retry_in_a_pause_starts_at_once():
    bench = Bench()
    bench.submit(1)
    await settle_loop()
    bench.agents.fail(1, AgentError("busy", retryable=True, retry_after_s=3600))
    await settle_loop()
    assert bench.dispatcher.retry(1)
    await settle_loop()
    assert bench.agents.started == [(1, 1), (1, 2)]
    assert bench.clock.pending() == 1, "only the new attempt's time-out is left"
    await bench.dispatcher.stop()
    assert bench.clock.pending() == 0


async def test_pause_starts_no_more_and_lets_running_ones_finish():
    bench = Bench(concurrency=1)
    bench.submit(1, 2)
    await settle_loop()
    bench.dispatcher.pause()
    assert bench.dispatcher.running() == [1]
    bench.agents.answer(1)
    await settle_loop()
    assert bench.dispatcher.running() == [] and bench.agents.started == [(1, 1)]
    assert await bench.dispatcher.stop() == []
    assert bench.outcomes() == [(1, Outcome.OK, None)]


async def test_stop_cuts_off_what_runs_books_its_cost_and_leaves_no_task():
    before = asyncio.all_tasks()
    bench = Bench(concurrency=2)
    bench.submit(1, 2, 3)
    await settle_loop()
    bench.agents.emits[2]({"tokens": 9})
    assert await bench.dispatcher.stop() == [1, 2]
    assert bench.settled == [] and asyncio.all_tasks() == before
    assert bench.budget.paid == Usage(0, 9) and bench.budget.reserved() == Usage()
    with pytest.raises(EngineBug, match=r"^call 4 was submitted after stop\(\)$"):
        bench.submit(4)


class Stubborn(Scripted):
    """Finishes its answer when it is told to stop."""

    async def run(self, job, attempt, emit):
        try:
            return await super().run(job, attempt, emit)
        except asyncio.CancelledError:
            return AgentAnswer("finished all the same", SPENT)


async def test_an_attempt_that_answers_although_it_was_interrupted_is_settled():
    bench = Bench(executor=Stubborn())
    bench.submit(1)
    await settle_loop()
    assert await bench.dispatcher.stop() == []
    assert bench.outcomes() == [(1, Outcome.OK, None)]
    assert bench.budget.paid == SPENT


@pytest.mark.parametrize(
    ("stop", "outcome", "reason"),
    [
        (lambda d: d.skip(1), Outcome.NULL, "skipped"),
        (lambda d: d.cancel(1, "race decided"), Outcome.CANCELLED, "race decided"),
        (lambda d: (d.skip(1), d.cancel(1, "race decided")), Outcome.CANCELLED, "race decided"),
        (lambda d: (d.cancel(1, "race decided"), d.skip(1)), Outcome.CANCELLED, "race decided"),
        (lambda d: (d.retry(1), d.skip(1)), Outcome.NULL, "skipped"),
    ],
)
async def test_an_answer_that_nobody_wants_any_more_is_dropped_but_paid_for(stop, outcome, reason):
    bench = Bench(executor=Stubborn())
    bench.submit(1)
    await settle_loop()
    stop(bench.dispatcher)
    await settle_loop()
    assert bench.outcomes() == [(1, outcome, reason)]
    assert bench.settled[0].usage == bench.budget.paid == SPENT


async def test_a_retry_drops_the_answer_of_the_attempt_that_it_abandons():
    bench = Bench(executor=Stubborn())
    bench.submit(1)
    await settle_loop()
    bench.dispatcher.retry(1)
    await settle_loop()
    assert bench.settled == [] and bench.agents.started == [(1, 1), (1, 2)]
    bench.agents.answer(1, "the second")
    await settle_loop()
    assert bench.settled[0].value == b'"the second"' and bench.settled[0].usage == SPENT + SPENT


async def test_S23_an_answer_in_the_moment_of_the_time_out_is_kept():
    bench = Bench(executor=Stubborn(timeout_s=10))
    bench.submit(1)
    await bench.clock.advance(11)
    assert bench.outcomes() == [(1, Outcome.OK, None)]


async def test_S47_the_cap_is_over_all_backends():
    bench = Bench(concurrency=2)
    bench.submit(1, backend="a")
    bench.submit(2, backend="b")
    bench.submit(3, backend="a")
    bench.submit(4, backend="b")
    await settle_loop()
    assert bench.running == [1, 2]
    bench.agents.answer(2)
    await settle_loop()
    assert bench.running == [1, 3], "first in, first out, whichever backend"
    await bench.dispatcher.stop()


async def test_rate_limits_slow_the_backend_down_and_cost_no_attempt():
    bench = Bench(concurrency=4)
    bench.submit(*range(1, 9))
    await settle_loop()
    for call in (1, 2, 3):
        bench.agents.fail(call, AgentError("HTTP 429", code="rate_limited", retryable=True, retry_after_s=20.0))
    await settle_loop()
    assert bench.running == [4], "nobody starts while the limit holds"
    assert not bench.dispatcher.retry(1), "it waits in the queue, where nobody can hurry it"
    assert (1, {"waiting": "rate limit", "until": 1_020_000}) in bench.told
    await bench.clock.advance(20.1)
    assert bench.agents.started[4:] == [(1, 2)], "half as many at once; the oldest first"
    for _ in range(12):
        for call in bench.running:
            bench.agents.answer(call)
        await settle_loop()
    assert sorted(bench.outcomes()) == [(call, Outcome.OK, None) for call in range(1, 9)]
    assert next(s for s in bench.settled if s.call == 1).meta["retries"] == ["rate_limited: HTTP 429"]


async def test_the_patience_with_rate_limits_ends_but_a_long_wait_that_was_asked_for_is_kept_to():
    bench = Bench(executor=Scripted(timeout_s=60))
    bench.submit(1)
    await settle_loop()
    bench.agents.fail(1, AgentError("HTTP 429", code="rate_limited", retryable=True, retry_after_s=3 * 3600))
    await bench.clock.advance(3 * 3600 + 1)
    assert bench.agents.started == [(1, 1), (1, 2)]
    bench.agents.fail(1, AgentError("HTTP 429", code="rate_limited", retryable=True))
    await settle_loop()
    assert bench.outcomes() == [
        (1, Outcome.NULL, "provider_failed: still rate limited after 180 minutes of waiting: HTTP 429")
    ]


async def test_a_limited_backend_does_not_hold_up_another():
    bench = Bench(concurrency=4)
    bench.submit(1, backend="a")
    await settle_loop()
    bench.agents.fail(1, AgentError("HTTP 429", code="rate_limited", retryable=True, retry_after_s=60.0))
    await settle_loop()
    bench.submit(2, backend="a")
    bench.submit(3, backend="b")
    await settle_loop()
    assert bench.running == [3]
    await bench.dispatcher.stop()


async def test_S46_the_agents_cap_refuses_the_next_call_even_while_all_slots_are_taken():
    bench = Bench(caps=Caps(agents=2), concurrency=2)
    bench.submit(1, 2, 3)
    await settle_loop()
    assert bench.running == [1, 2]
    assert bench.settled[0].outcome is Outcome.REFUSED
    assert (
        bench.settled[0].error
        == LimitReached(
            "The run has started 2 of at most 2 agents.",
            code="limit_agents",
            hint="Resume with a higher --max-agents (now 2).",
            spent=2,
            total=2,
        ).to_json()
    )
    assert bench.settled[0].reason == "limit_agents: The run has started 2 of at most 2 agents."
    await bench.dispatcher.stop()


async def test_S46_a_call_that_an_earlier_version_started_is_not_counted_twice():
    bench = Bench(caps=Caps(agents=1), agents=1)
    bench.submit(1, attempts_before=1)
    await settle_loop()
    assert bench.agents.started == [(1, 2)] and bench.budget.agents == 1
    await bench.dispatcher.stop()


async def test_S48_a_call_waits_while_a_reservation_can_be_given_back_and_is_refused_when_none_can():
    bench = Bench(caps=Caps(tokens=1000), concurrency=8)
    bench.submit(1, 2, 3)
    await settle_loop()
    assert bench.running == [1] and bench.settled == []
    assert bench.told == [(2, {"waiting": "room in the budget"})]
    bench.agents.answer(1, usage=Usage(0, 400))
    await settle_loop()
    assert bench.running == [2, 3], "each reserves the mean, 400, and at most what is left"
    bench.agents.answer(2, usage=Usage(0, 700))
    await settle_loop()
    bench.submit(4)
    await settle_loop()
    assert bench.settled[-1].reason == "limit_tokens: The run has spent 1,100 of at most 1,000 output tokens."
    await bench.dispatcher.stop()


async def test_a_retry_does_not_start_past_a_cap():
    bench = Bench(caps=Caps(cost_usd=1.0))
    bench.submit(1)
    await settle_loop()
    bench.agents.fail(1, AgentError("cut off", retryable=True, usage={"cost_usd": 1.5}))
    await bench.clock.advance(2)
    assert bench.settled[0].outcome is Outcome.FAILED, "it was started, so it was not refused"
    assert bench.settled[0].error["code"] == "limit_cost"
    assert bench.settled[0].usage == Usage(0, 0, 1.5)


async def test_S43_the_minutes_cap_stops_what_runs_and_refuses_what_waits():
    bench = Bench(caps=Caps(minutes=2), concurrency=1, executor=Scripted(timeout_s=3600))
    bench.submit(1, 2)
    await settle_loop()
    await bench.clock.advance(119)
    assert bench.settled == []
    await bench.clock.advance(2)
    assert [(s.call, s.outcome, s.error["code"]) for s in sorted(bench.settled)] == [
        (1, Outcome.FAILED, "limit_minutes"),
        (2, Outcome.REFUSED, "limit_minutes"),
    ]
    assert bench.agents.cancelled == [1]


async def test_S43_minutes_do_not_run_while_only_people_can_move_the_run_on():
    answered = asyncio.Event()

    async def ask(job, emit):
        await answered.wait()
        return "yes"

    bench = Bench(caps=Caps(minutes=2), executor=Scripted(timeout_s=3600), effects={CallKind.ASK: HostEffect(ask)})
    bench.submit(1, kind=CallKind.ASK)
    await bench.clock.advance(3600)
    assert bench.driven.ms() == 0
    assert bench.dispatcher.only_questions() and bench.dispatcher.running() == [], "a pause does not wait for people"
    bench.submit(2)
    assert not bench.dispatcher.only_questions()
    await bench.clock.advance(60)
    assert bench.dispatcher.running() == [2]
    answered.set()
    await settle_loop()
    assert bench.outcomes() == [(1, Outcome.OK, None)]
    assert bench.driven.ms() == 60_000
    await bench.clock.advance(61)
    assert bench.settled[-1].error["code"] == "limit_minutes"


async def test_S27_a_timer_is_due_by_the_wall_clock_and_leaves_no_attempt():
    bench = Bench()
    bench.submit(1, kind=CallKind.TIMER, due_ms=1_000_000 + 7_200_000)
    bench.submit(2, kind=CallKind.TIMER, due_ms=1)
    bench.submit(3, kind=CallKind.TIMER, due_ms=1_005_000)
    assert bench.settled == []
    await settle_loop()
    bench.dispatcher.cancel(3, "clearTimeout")
    await bench.clock.advance(7_199)
    assert bench.outcomes() == [(3, Outcome.CANCELLED, "clearTimeout"), (2, Outcome.OK, None)]
    await bench.clock.advance(1)
    assert bench.settled[2][:5] == (1, Outcome.OK, b"null", None, None)
    assert bench.rows == [] and bench.clock.pending() == 0


async def test_a_host_effect_takes_no_slot_and_its_error_is_thrown():
    async def read(job, emit):
        raise UsageError("'../x' is outside the workspace", code="outside_workspace")

    bench = Bench(concurrency=1, effects={CallKind.READ_FILE: HostEffect(read)})
    bench.submit(1)
    bench.submit(2, kind=CallKind.READ_FILE)
    await settle_loop()
    assert bench.running == [1]
    assert bench.outcomes() == [(2, Outcome.FAILED, "outside_workspace: '../x' is outside the workspace")]
    assert bench.settled[0].backend == "host"
    await bench.dispatcher.stop()


async def test_a_session_that_a_backend_told_goes_to_the_next_attempt():
    bench = Bench()
    job = Job(1, CallKind.AGENT, {"prompt": "?"}, bytes(32))
    bench.dispatcher.submit(job)
    await settle_loop()
    stale = bench.agents.emits[1]
    stale({"session": "s-1"})
    assert job.session == "s-1" and bench.told == [(1, {"session": "s-1"})]
    bench.dispatcher.retry(1)
    await settle_loop()
    stale({"session": "late"})
    assert job.session == "s-1", "a late word of an attempt that is over"
    await bench.dispatcher.stop()


async def test_the_same_call_twice_is_a_bug():
    bench = Bench()
    bench.submit(1)
    with pytest.raises(EngineBug, match=r"^call 1 was submitted twice$"):
        bench.submit(1)
    await bench.dispatcher.stop()


# Slow, hung, busy.


async def test_silence_in_the_middle_of_an_answer_ends_the_attempt_and_the_call_is_asked_again():
    bench = Bench(executor=Scripted(timeout_s=3600, patience=Patience(stall_s=120)))
    bench.submit(1)
    await settle_loop()
    bench.agents.emits[1]({"tokens": 1})
    await bench.clock.advance(100)
    bench.agents.emits[1]({"tokens": 2})
    await bench.clock.advance(100)
    assert bench.agents.cancelled == []  # 100 s after the last sign of life
    await bench.clock.advance(21)
    assert bench.agents.cancelled == [1]
    await bench.clock.advance(10)  # the pause before the retry
    bench.agents.answer(1)
    await settle_loop()
    (done,) = bench.settled
    assert done.outcome is Outcome.OK
    assert done.meta["retries"] == ["stalled: silent for 2 minutes in the middle of its answer"]


@pytest.mark.parametrize(
    "last", [None, {"tool": "run_command"}, {"usage": {"output_tokens": 3}}, {"waiting": "a person"}]
)
async def test_no_time_runs_before_the_first_token_in_a_tool_between_turns_or_in_a_wait(last):
    bench = Bench(executor=Scripted(timeout_s=36_000, patience=Patience(stall_s=120)))
    bench.submit(1)
    await settle_loop()
    if last is not None:
        bench.agents.emits[1]({"tokens": 1})
        bench.agents.emits[1](last)
    await bench.clock.advance(10_000)
    assert bench.agents.cancelled == []
    bench.agents.answer(1)
    await settle_loop()
    assert bench.settled[0].outcome is Outcome.OK


async def test_an_answer_that_arrives_while_a_stalled_attempt_is_stopped_is_kept():
    class Late(Scripted):
        async def run(self, job, attempt, emit):
            try:
                return await super().run(job, attempt, emit)
            except asyncio.CancelledError:
                return AgentAnswer("late", SPENT, "scripted-1")

    bench = Bench(executor=Late(timeout_s=3600, patience=Patience(stall_s=10)))
    bench.submit(1)
    await settle_loop()
    bench.agents.emits[1]({"tokens": 1})
    await bench.clock.advance(11)
    await settle_loop()
    assert [(done.outcome, done.value) for done in bench.settled] == [(Outcome.OK, b'"late"')]


@pytest.mark.parametrize("code", ["rate_limited", "provider_unavailable"])
async def test_I7_a_longer_wait_than_people_allow_is_null_with_the_reason(code):
    bench = Bench(executor=Scripted(timeout_s=36_000, patience=Patience(wait_s=900)))
    bench.submit(1)
    await settle_loop()
    bench.agents.fail(1, AgentError("usage limit", code=code, retryable=True, retry_after_s=5 * 3600))
    await settle_loop()
    (done,) = bench.settled
    assert done.outcome is Outcome.NULL
    assert done.reason.startswith("provider_failed: usage limit")
    if code == "rate_limited":
        assert done.reason == (
            "provider_failed: usage limit; it asks for 300 minutes of patience, more than the setting "
            "agents.longest_wait_minutes. Resume later, or set agents.wait_for_resets"
        )


async def test_what_an_answer_brings_along_is_kept_with_it():
    bench = Bench()
    bench.submit(1)
    await settle_loop()
    bench.agents.waiting[1].set_result(AgentAnswer("x", SPENT, "m", meta={"worktree": {"branch": "b"}}))
    await settle_loop()
    assert bench.settled[0].meta["worktree"] == {"branch": "b"}


async def test_I6_an_agent_of_many_turns_is_stopped_at_a_cap_before_its_next_turn():
    bench = Bench(caps=Caps(tokens=1000), concurrency=2)
    bench.submit(1)
    await settle_loop()
    tell = bench.agents.emits[1]
    tell({"turn": 1})
    tell({"usage": {"output_tokens": 600}})
    tell({"turn": 2})
    await settle_loop()
    assert bench.agents.cancelled == []
    tell({"usage": {"output_tokens": 1200}})
    assert bench.agents.cancelled == []  # what it says now may be its answer, and is paid for
    tell({"turn": 3})
    await settle_loop()
    (done,) = bench.settled
    assert (done.outcome, done.error["code"]) == (Outcome.FAILED, "limit_tokens")
    assert done.error["message"] == "The run has spent 1,200 of at most 1,000 output tokens."
    assert bench.budget.paid.output_tokens == 1200


async def test_I6_what_running_agents_have_used_is_no_room_for_others():
    bench = Bench(caps=Caps(tokens=3000), concurrency=4)
    bench.submit(1)
    await settle_loop()
    bench.agents.emits[1]({"turn": 1})
    bench.agents.emits[1]({"usage": {"output_tokens": 3000}})
    bench.agents.emits[1]({"turn": 2})
    bench.submit(2)
    await settle_loop()
    assert bench.outcomes()[0][1] is Outcome.FAILED
    assert bench.agents.started == [(1, 1)]
