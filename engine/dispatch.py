"""Carries out calls: one call's way through queue, slot, attempts, retries, time-out, budget, to one settlement.

Owns what runs now and nothing durable. It never looks at lanes or identities, never delivers, never touches the
sandbox. Keeps I6 (caps) and I7 (every null, refusal and retry has a reason), and leaves no task or process behind.

How an attempt's end becomes the call's outcome:

| what happened                                    | outcome   | the script gets       | reason on record     |
|--------------------------------------------------|-----------|-----------------------|----------------------|
| an answer                                        | ok        | the value             |                      |
| `AgentError`, code `empty`                       | null      | null                  | `empty: …`           |
| `AgentError`, code `schema_invalid`              | failed    | that error            | its code and message |
| `AgentError`, code `goal_…`, `judge_failed`      | failed    | that error            | its code and message |
| `AgentError`, `retryable`, attempts left         | goes on   |                       | in `meta.retries`    |
| `AgentError`, code `rate_limited`                | goes on   | (slower: see `Pace`)  | in `meta.retries`    |
| silent in the middle of an answer (a stall)      | goes on   | (as if retryable)     | in `meta.retries`    |
| told to wait for longer than is allowed          | null      | null                  | `provider_failed: …` |
| any other `AgentError`                           | null      | null                  | `provider_failed: …` |
| out of time, or `AgentError` with code `timeout` | null      | null                  | `timeout: …`         |
| skipped by a person                              | null      | null                  | `skipped`            |
| another `PawlError` (bad path, cap while it ran) | failed    | that error            | its code and message |
| anything else raised: a bug of the backend       | failed    | error `engine_bug`    | its code and message |
| refused before a start: cap, schema, option      | refused   | that error            | its code and message |
| withdrawn by `cancel`                            | cancelled | nothing               | as given             |
| at a cap on tokens or money between two turns    | failed    | error `limit_…`       | its code and message |
| cut off by `stop`                                | none      | nothing; asked again by a resume             ||

Only agents are timed from here; a host effect keeps its own time.

An attempt is one start of a backend, on record before the backend is called (S26). The number of attempts that an agent
has on record also says whether the agents cap has counted it: the first one counts, in whichever version (S46).

Everything is plain objects: queued calls cost no task and no future, a running one costs one task and one alarm.
`settled` is never called from inside a method of the dispatcher, always from the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import TypeAlias

from engine.errors import AgentError, EngineBug, PawlError
from engine.executors import Emit, Executor, HostEffect, Job
from engine.jsontext import written
from engine.limits import Budget
from engine.ports import Alarm, Clock
from engine.queueing import Queue
from engine.retrying import pause_s
from engine.underway import KEPT, Halt, Live, Settled
from engine.values import NO_USAGE, AgentAnswer, AttemptRow, CallKind, Json, Outcome, Usage

__all__ = ["Dispatcher", "Job", "Settled"]

Begin: TypeAlias = Callable[[AttemptRow, Callable[[], None]], None]

_LONGEST_NAP_S = 60.0
"""A timer looks at the wall clock this often: a machine that was suspended must not sleep the same time again."""


_FAIL = frozenset({"schema_invalid", "goal_not_met", "goal_impossible", "judge_failed"})
"""What an agent's error throws: there was an answer, and it did not do. Null would hide that (S21, S70)."""

_SLICE = 256
"""Calls started or refused in one turn of the event loop: some milliseconds."""


class Dispatcher:
    """Carries out jobs, first in, first out. One instance serves one version of a run.

    Only agents take a slot of `concurrency` and room in the budget; other kinds start at once.
    """

    def __init__(
        self,
        *,
        executors: Mapping[CallKind, Executor],
        budget: Budget,
        clock: Clock,
        concurrency: int,
        begin: Begin,
        settled: Callable[[Settled], None],
        progress: Callable[[int, dict[str, Json]], None],
        random: Random | None = None,
    ) -> None:
        """
        Args:
            begin: puts an attempt on record and then calls back, on the event loop.
            settled: called exactly once for each job, but for those that `stop` cut off or dropped.
            progress: what a running call tells, and `{"waiting": why, "until": ms}` from here.
            random: for jitter only.
        """
        self._executors: dict[CallKind, Executor] = {CallKind.TIMER: HostEffect(_kept_here, name="timer"), **executors}
        self._budget = budget
        self._clock = clock
        self._concurrency = concurrency
        self._begin = begin
        self._settled = settled
        self._progress = progress
        self._random = random or Random()
        self._queue = Queue(clock=clock, most=concurrency, random=self._random, wake=self._pump_soon)
        self._live: dict[int, Live] = {}
        self._tasks: set[asyncio.Task[AgentAnswer]] = set()
        self._slots_taken = 0
        self._questions = 0
        self._places = 0
        self._pump_is_due = False
        self._is_paused = False
        self._is_stopped = False
        self._cut_off: list[int] = []
        self._minutes_alarm: Alarm | None = None
        budget.driven.start()

    # What the run loop calls.

    def submit(self, job: Job) -> None:
        """Takes a job over. Agents queue; other kinds start as soon as their attempt is on record."""
        if self._is_stopped or job.call in self._live:
            raise EngineBug(f"call {job.call} was submitted {'after stop()' if self._is_stopped else 'twice'}")
        executor = self._executors[job.kind]
        live = Live(job, executor, "", "", self._places, self._clock.monotonic(), job.attempts_before)
        self._places += 1
        self._live[job.call] = live
        self._questions += job.kind is CallKind.ASK
        self._watch_minutes()
        try:
            live.backend, live.model = executor.backend(job), executor.model(job)
            live.line = executor.line(job)
            executor.check(job)
        except PawlError as error:
            self._refuse(live, error, is_soon=True)
            return
        if live.is_agent:
            self._enqueue(live)
        elif job.kind is CallKind.TIMER:
            self._nap(live, self._clock.monotonic() + self._timer_left_s(live), is_first=True)
        else:
            self._start(live)

    def cancel(self, call: int, reason: str) -> None:
        """Withdraws a call. It settles as cancelled, with the usage so far, once nothing of it is left."""
        self._stop_call(call, Halt.CANCEL, reason)

    def skip(self, call: int) -> bool:
        """A person wants no answer from this call: it settles as null. False when it is not here (any more)."""
        return self._stop_call(call, Halt.SKIP, "skipped")

    def retry(self, call: int) -> bool:
        """Abandons the current attempt, or the pause after it, and starts another. False when there is neither."""
        live = self._live.get(call)
        if live is None or not live.was_started or live.is_queued:
            return False
        if live.task is not None:
            return self._stop_call(call, Halt.RETRY, "retried by a person")
        if not live.is_started:
            live.silence()
            self._enqueue(live)
        return True

    def pause(self) -> None:
        """Starts no more agents. Attempts that run go on to their end; `running` says when there are none left."""
        self._is_paused = True

    def running(self) -> list[int]:
        """Calls with an attempt under way that ends by itself (not a question), in order of submission."""
        return [call for call, live in self._live.items() if live.is_started and live.job.kind is not CallKind.ASK]

    def only_questions(self) -> bool:
        """Whether nothing but people can move the run on: every call that is left is a question."""
        return 0 < self._questions == len(self._live)

    async def stop(self) -> list[int]:
        """Stops everything, waits until nothing is left, and gives the calls that were started and cut off.

        They get no settlement, so that a resume asks them again; what they cost so far is in the budget. An attempt
        that came to its end all the same is settled: it has been paid for. Calls that were only queued are dropped.
        """
        self._is_stopped = True
        for call in list(self._live):
            self._stop_call(call, Halt.INTERRUPT, "interrupted")
        while self._tasks:
            await asyncio.wait(self._tasks)
            await asyncio.sleep(0)  # the done callbacks, which empty the set
        await asyncio.sleep(0)  # settlements that were put off to the next turn of the loop
        self._queue.stop()
        if self._minutes_alarm is not None:
            self._minutes_alarm.cancel()
        self._budget.driven.stop()
        return sorted(self._cut_off)

    # The queue.

    def _enqueue(self, live: Live) -> None:
        self._queue.add(live)
        self._pump_soon()

    def _pump_soon(self) -> None:
        if not self._pump_is_due:
            self._pump_is_due = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        """Starts or refuses what can be, in order; at most a slice, so that the loop stays responsive."""
        self._pump_is_due = False
        for _ in range(_SLICE):
            if self._is_paused or self._is_stopped:
                return
            live, is_ready = self._queue.next()
            if live is None:
                return
            refusal = self._budget.refusal(is_counted=live.attempt > 0)
            if refusal is not None:
                self._refuse(live, refusal)
            elif not is_ready or self._slots_taken >= self._concurrency or not self._reserve(live):
                return
            else:
                live.is_queued = False
                self._slots_taken += 1
                self._queue.pace(live).running += 1
                self._start(live)
        self._pump_soon()

    def _reserve(self, live: Live) -> bool:
        if not live.has_reserved:
            live.has_reserved = self._budget.reserve(live.job.call, live.mean_of, is_counted=live.attempt > 0)
            if not live.has_reserved and not live.is_told:
                live.is_told = True
                self._progress(live.job.call, {"waiting": "room in the budget"})
        return live.has_reserved

    # One attempt.

    def _start(self, live: Live) -> None:
        live.attempt += 1
        live.is_started = True
        row = AttemptRow(live.job.call, live.attempt, live.backend, live.model, self._clock.now_ms())
        self._begin(row, partial(self._call, live))

    def _call(self, live: Live) -> None:
        """The attempt is on record: calls the backend, unless the call was withdrawn in the meantime."""
        if live.is_done:
            return
        live.started = live.last_sign = self._clock.monotonic()
        live.is_talking = False
        attempt = live.attempt
        task = asyncio.get_running_loop().create_task(
            live.executor.run(live.job, attempt, partial(self._emit, live, attempt))
        )
        live.task = task
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, live))
        timeout_s = live.executor.timeout_s(live.job)
        if timeout_s is not None:
            reason = f"timeout: no answer within {_minutes(timeout_s)}"
            live.alarm = self._clock.call_later(
                timeout_s, partial(self._stop_call, live.job.call, Halt.TIMEOUT, reason)
            )

    def _emit(self, live: Live, attempt: int, body: dict[str, Json]) -> None:
        if live.attempt != attempt or live.task is None:
            return  # a late word of an attempt that is over
        live.last_sign = self._clock.monotonic()
        self._watch(live, body)
        if "session" in body:
            live.job.session = body["session"]
        if "usage" in body:
            live.so_far = _usage(body["usage"])
        elif "tokens" in body:
            live.so_far = Usage(live.so_far.input_tokens, int(body["tokens"]), live.so_far.cost_usd)
        if "turn" in body:
            self._hold_to_caps(live)
            return
        self._progress(live.job.call, body)

    def _hold_to_caps(self, live: Live) -> None:
        """An agent is about to ask its model again: past a cap on tokens or money it may not (I6). What it has said so
        far is paid for and on record; it is stopped before it costs more."""
        if not live.has_reserved:
            return
        self._budget.tell(live.job.call, live.so_far)
        refusal = self._budget.overrun()
        if refusal is not None:
            live.refusal = refusal
            self._stop_call(live.job.call, Halt.LIMIT, refusal.message)

    def _watch(self, live: Live, body: dict[str, Json]) -> None:
        """Tells slow from hung: once an answer has begun, it may not fall silent. Nothing runs before the first token,
        during a tool call, or while the backend says that it waits."""
        live.is_talking = "tokens" in body and not body.get("waiting")
        if live.is_talking and live.stall is None:
            stall_s = live.executor.patience(live.job).stall_s
            if stall_s is not None:
                live.stall = self._clock.call_later(stall_s, partial(self._look_for_stall, live, live.attempt, stall_s))

    def _look_for_stall(self, live: Live, attempt: int, stall_s: float) -> None:
        live.stall = None
        if live.task is None or live.attempt != attempt or not live.is_talking:
            return
        left_s = stall_s - (self._clock.monotonic() - live.last_sign)
        if left_s > 0:  # one alarm a stretch of silence, not one a token
            live.stall = self._clock.call_later(left_s, partial(self._look_for_stall, live, attempt, stall_s))
        else:
            self._stop_call(live.job.call, Halt.STALL, f"silent for {_minutes(stall_s)} in the middle of its answer")

    def _ended(self, live: Live, task: asyncio.Task[AgentAnswer]) -> None:
        """An attempt came to its end, whichever: books it and decides what becomes of the call."""
        self._tasks.discard(task)
        live.task = None
        live.is_started = False
        live.silence()
        answer: AgentAnswer | None = None
        error: BaseException | None = None
        if task.cancelled():
            # Without a halt of ours, something inside the backend cancelled it: a bug there, as any other exception.
            error = asyncio.CancelledError("the backend cancelled itself")
        elif (error := task.exception()) is None:
            answer = task.result()
        self._book(live, answer, error)
        if live.is_agent:
            self._free_slot(live)

        is_kept = answer is not None and live.halt in KEPT
        if live.halt is not None and not is_kept:
            self._halted(live)
        elif answer is not None:
            self._answered(live, answer)
        else:
            assert error is not None
            self._failed(live, error)

    def _book(self, live: Live, answer: AgentAnswer | None, error: BaseException | None) -> None:
        usage = live.so_far
        if answer is not None:
            usage = answer.usage
        elif isinstance(error, PawlError) and "usage" in error.fields:
            # What the last round told before it broke may not be in it.
            usage = max(usage, _usage(error.fields["usage"]), key=lambda told: (told.output_tokens, told.cost_usd))
        live.usage = usage if live.usage is NO_USAGE else live.usage + usage
        live.so_far = NO_USAGE
        live.more = error.fields.pop("meta", {}) if isinstance(error, AgentError) else {}
        if live.has_reserved:
            self._budget.spend(live.job.call, usage)

    def _free_slot(self, live: Live) -> None:
        self._slots_taken -= 1
        self._queue.pace(live).running -= 1
        self._pump_soon()

    def _answered(self, live: Live, answer: AgentAnswer) -> None:
        if live.is_agent:
            self._queue.pace(live).passed()
        live.answered_by = answer.model
        self._finish(live, Outcome.OK, value=written(answer.value), more=answer.meta)

    def _failed(self, live: Live, error: BaseException) -> None:
        if not isinstance(error, AgentError):
            if not isinstance(error, PawlError):
                error = _bug(live, error)
            self._finish(live, Outcome.FAILED, error=error)
        elif error.code == "rate_limited" and live.is_agent:
            self._slow_down(live, error)
        elif error.code in _FAIL:
            self._finish(live, Outcome.FAILED, error=error)
        elif error.code in ("empty", "timeout"):
            self._finish(live, Outcome.NULL, reason=f"{error.code}: {error.message}")
        elif error.retryable and (pause := self._pause_after(live, error)) is not None:
            live.retries.append(f"{error.code}: {error.message}")
            self._tell_waiting(live, "retry", pause)
            live.alarm = self._clock.call_later(pause, partial(self._back, live))
        else:
            tries = f" ({live.failures} attempts)" if live.failures > 1 else ""
            patience = self._too_long(live, error) if error.retryable else ""
            self._finish(
                live,
                Outcome.NULL,
                reason=f"provider_failed: {error.message}{tries}{patience}",
                more={"failure": error.code},
            )

    def _pause_after(self, live: Live, error: AgentError) -> float | None:
        """Seconds to wait before another attempt, or None when this was the last one."""
        live.failures += 1
        policy = live.executor.retry_policy(live.job)
        if live.failures >= policy.attempts or self._too_long(live, error):
            return None
        if error.retry_after_s is not None:
            return error.retry_after_s
        return pause_s(policy.backoff_s, live.failures, self._random)

    def _slow_down(self, live: Live, error: AgentError) -> None:
        """A rate limit is not a failure (it costs no attempt of the policy), but patience ends: one time-out's worth of
        waiting. A single wait that the provider asks for is kept to, unless it is longer than people allow."""
        now = self._clock.monotonic()
        if too_long := self._too_long(live, error):
            reason = f"provider_failed: {error.message}{too_long}"
            self._finish(live, Outcome.NULL, reason=reason, more={"failure": error.code})
            return
        patience_s = live.executor.timeout_s(live.job)
        if patience_s is not None and live.limited_s >= patience_s:
            reason = f"provider_failed: still rate limited after {_minutes(live.limited_s)} of waiting: {error.message}"
            self._finish(live, Outcome.NULL, reason=reason, more={"failure": error.code})
            return
        pace = self._queue.pace(live)
        pace.limited(started=live.started, now=now, retry_after_s=error.retry_after_s)
        wait_s = max(0.0, pace.limited_until - now)
        live.limited_s += wait_s
        live.retries.append(f"rate_limited: {error.message}")
        self._tell_waiting(live, "rate limit", wait_s)
        self._enqueue(live)

    def _too_long(self, live: Live, error: AgentError) -> str:
        """What is said when a provider asks for more patience than people allow; empty when it does not."""
        wait_s, longest_s = error.retry_after_s, live.executor.patience(live.job).wait_s
        if wait_s is None or longest_s is None or wait_s <= longest_s:
            return ""
        return (
            f"; it asks for {_minutes(wait_s)} of patience, more than the setting agents.longest_wait_minutes. "
            "Resume later, or set agents.wait_for_resets"
        )

    def _tell_waiting(self, live: Live, why: str, seconds: float) -> None:
        self._progress(live.job.call, {"waiting": why, "until": self._clock.now_ms() + round(seconds * 1000)})

    def _back(self, live: Live) -> None:
        live.alarm = None
        self._enqueue(live)

    # Ends.

    def _stop_call(self, call: int, halt: Halt, reason: str) -> bool:
        """Stops what runs of a call; it ends when its task has. What does not run ends here."""
        live = self._live.get(call)
        if live is None:
            return False
        is_first = live.halt is None
        if is_first or halt > live.halt:  # type: ignore[operator]
            live.halt, live.halt_reason = halt, reason
        if live.task is None:
            if live.is_started:  # being put on record
                live.is_started = False
                if live.is_agent:
                    self._free_slot(live)
            self._halted(live, is_soon=True)
        elif is_first:
            live.task.cancel()
        return True

    def _halted(self, live: Live, *, is_soon: bool = False) -> None:
        """Nothing of a halted call runs any more: gives it the end that the halt asked for."""
        halt, reason = live.halt, live.halt_reason
        if halt is Halt.STALL:
            live.halt = None
            self._failed(live, AgentError(reason, code="stalled", retryable=True))
        elif halt is Halt.RETRY:
            live.halt = None
            live.retries.append(reason)
            if live.is_agent:
                self._enqueue(live)
            else:
                self._start(live)
        elif halt is Halt.LIMIT:
            self._finish(live, Outcome.FAILED, error=live.refusal, is_soon=is_soon)
        elif halt is Halt.MINUTES:
            self._finish(live, Outcome.FAILED, error=self._budget.refusal(is_counted=True), is_soon=is_soon)
        elif halt is Halt.INTERRUPT:
            if live.was_started:
                self._cut_off.append(live.job.call)
            self._close(live)
        elif halt is Halt.CANCEL:
            self._finish(live, Outcome.CANCELLED, reason=reason, is_soon=is_soon)
        else:
            self._finish(live, Outcome.NULL, reason=reason, is_soon=is_soon)

    def _refuse(self, live: Live, error: PawlError, *, is_soon: bool = False) -> None:
        """Ends a call that may not start. One that had started in this version has failed; it was not refused."""
        if live.was_started:
            self._finish(live, Outcome.FAILED, error=error)
            return
        reason = f"{error.code}: {error.message}"
        self._finish(live, Outcome.REFUSED, error=error, reason=reason, is_soon=is_soon)

    def _finish(
        self,
        live: Live,
        outcome: Outcome,
        *,
        value: bytes = b"",
        reason: str | None = None,
        error: PawlError | None = None,
        more: dict[str, Json] | None = None,
        is_soon: bool = False,
    ) -> None:
        if outcome is Outcome.OK and live.is_agent:
            self._budget.learn(live.mean_of, live.usage)
        self._close(live)
        if error is not None and reason is None:
            reason = f"{error.code}: {error.message}"
        meta: dict[str, Json] = {
            "attempts": live.attempt,
            "duration_ms": round((self._clock.monotonic() - live.submitted) * 1000),
        }
        if live.retries:
            meta["retries"] = live.retries
        meta |= live.more | (more or {})
        settled = Settled(
            live.job.call,
            outcome,
            b"null" if outcome is Outcome.NULL else value,
            reason,
            None if error is None else error.to_json(),
            live.backend if live.was_started else None,
            (live.answered_by or live.model) if live.was_started else None,
            live.usage,
            meta,
        )
        if is_soon:
            asyncio.get_running_loop().call_soon(self._settled, settled)
        else:
            self._settled(settled)

    def _close(self, live: Live) -> None:
        """Forgets a call; nothing of it may run any more."""
        live.is_done = True
        live.is_queued = False
        live.silence()
        del self._live[live.job.call]
        self._questions -= live.job.kind is CallKind.ASK
        if live.has_reserved:
            self._budget.close(live.job.call)
            self._pump_soon()
        if not self._is_stopped:
            self._watch_minutes()

    # Time.

    def _timer_left_s(self, live: Live) -> float:
        return max(0.0, ((live.job.due_ms or 0) - self._clock.now_ms()) / 1000)

    def _nap(self, live: Live, until: float, *, is_first: bool = False) -> None:
        """Waits for a timer by both clocks: it is due when the first says so. A machine may sleep through the one, and
        somebody may turn the other back."""
        left_s = min(self._timer_left_s(live), until - self._clock.monotonic())
        if left_s <= 0 and not is_first:
            self._finish(live, Outcome.OK, value=b"null")
        else:
            live.alarm = self._clock.call_later(min(max(0.0, left_s), _LONGEST_NAP_S), partial(self._nap, live, until))

    def _watch_minutes(self) -> None:
        """Keeps the stopwatch: it stands while only people can move the run on. Arms the alarm of the minutes cap."""
        driven = self._budget.driven
        if self.only_questions() and driven.is_running:
            driven.stop()
            if self._minutes_alarm is not None:
                self._minutes_alarm.cancel()
                self._minutes_alarm = None
        elif not self.only_questions():
            driven.start()
            if self._minutes_alarm is None and (left_s := self._budget.minutes_left_s()):
                self._minutes_alarm = self._clock.call_later(left_s, self._minutes_are_up)

    def _minutes_are_up(self) -> None:
        """The minutes cap was reached: agents that run are stopped and fail, those in the queue are refused."""
        self._minutes_alarm = None
        refusal = self._budget.refusal(is_counted=True)
        if refusal is None or refusal.code != "limit_minutes":
            self._watch_minutes()  # the stopwatch stood for a while
            return
        for live in [live for live in self._live.values() if live.is_agent and not live.is_queued]:
            self._stop_call(live.job.call, Halt.MINUTES, refusal.message)
        self._pump_soon()


async def _kept_here(job: Job, emit: Emit) -> Json:
    raise EngineBug(f"timer {job.call} was started as an attempt")


def _bug(live: Live, error: BaseException) -> EngineBug:
    name = type(error).__name__
    return EngineBug(
        f"{live.job.kind} by {live.backend} broke: {name}: {error}",
        hint="This is a bug of the backend or of Pawl; please report it with the run's `pawl show`.",
        exception=name,
    )


def _usage(told: Json) -> Usage:
    if isinstance(told, Usage):
        return told
    return Usage(int(told.get("input_tokens", 0)), int(told.get("output_tokens", 0)), float(told.get("cost_usd", 0.0)))


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:g} minutes" if seconds >= 60 else f"{seconds:g} s"
