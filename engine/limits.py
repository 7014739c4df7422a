"""What a run may spend, and who may start now: budgets with reservation (S43, S46, S48).

Pure but for the clock that is passed in. Keeps I6: a call reserves before it starts, never more than what is left, so
`paid + reserved` passes a cap only by what calls really cost above what they had reserved.

A budget starts from what all earlier versions of the run paid. Nothing here waits or queues: the dispatcher asks in
first-in-first-out order, and asks again after each settlement.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.errors import EngineBug, LimitReached
from engine.values import NO_USAGE, Usage

FIRST_CALL = Usage(output_tokens=1000)
"""What a call reserves before any call with its model has finished (S48). Its cost is unknown then, so 0."""


@dataclass(frozen=True, slots=True)
class Caps:
    """Caps over the life of a run; None is no cap. Tokens are output tokens, minutes are driven ones."""

    tokens: int | None = None
    cost_usd: float | None = None
    agents: int | None = None
    minutes: float | None = None


class DrivenTime:
    """A stopwatch: milliseconds that a process drove the run, without waits for people (S43)."""

    def __init__(self, monotonic: Callable[[], float], *, before_ms: int = 0) -> None:
        self._monotonic = monotonic
        self._total_s = before_ms / 1000
        self._since: float | None = None

    @property
    def is_running(self) -> bool:
        return self._since is not None

    def start(self) -> None:
        if self._since is None:
            self._since = self._monotonic()

    def stop(self) -> None:
        self._total_s = self._seconds()
        self._since = None

    def _seconds(self) -> float:
        return self._total_s + (0.0 if self._since is None else self._monotonic() - self._since)

    def ms(self) -> int:
        return round(self._seconds() * 1000)


class Budget:
    """Admits calls to a run while `paid + reserved < total`.

    The life of a call: `refusal` (is it hopeless?), `reserve` (may it start now?), for each attempt any number of
    `tell` and one `spend`, then one `close`.
    An agent is counted when it first reserves, once in the life of the run: a retry, and a call that an earlier
    version started already, is the same agent.

    Attributes:
        paid: everything that was paid in all versions, failed and cancelled attempts included.
        agents: calls dispatched in all versions.
        driven: the stopwatch behind the minutes cap.
    """

    def __init__(
        self,
        caps: Caps,
        *,
        driven: DrivenTime,
        paid: Usage = NO_USAGE,
        agents: int = 0,
        first_call: Callable[[str], Usage] = lambda model: FIRST_CALL,
    ) -> None:
        """`first_call` says what to reserve before a model has finished a call; one who knows prices may add a cost."""
        self.caps = caps
        self.paid = paid
        self.agents = agents
        self.driven = driven
        self._first_call = first_call
        self._reserved: dict[int, Usage] = {}
        # Kept beside the dict so that admission costs the same with one or with 1,024 calls running. Cost is summed
        # anew whenever nothing is reserved, so that rounding errors of floats cannot pile up.
        self._running: dict[int, Usage] = {}
        self._reserved_tokens = 0
        self._reserved_usd = 0.0
        self._learned: dict[str, tuple[int, Usage]] = {}

    def refusal(self, *, is_counted: bool) -> LimitReached | None:
        """Why no settlement of another call can make room for a call, or None while one can.

        Args:
            is_counted: the call is an agent that the agents cap has counted already.
        """
        return self._refusal(self.paid, is_counted=is_counted)

    def overrun(self) -> LimitReached | None:
        """Why no running call may go on to another turn: what was paid and what the running attempts have used so far
        reach a cap on tokens or money. None while they do not."""
        if not self._running or (self.caps.tokens is None and self.caps.cost_usd is None):
            return None
        return self._refusal(sum(self._running.values(), self.paid), is_counted=True)

    def _refusal(self, paid: Usage, *, is_counted: bool) -> LimitReached | None:
        caps = self.caps
        if caps.agents is not None and not is_counted and self.agents >= caps.agents:
            return LimitReached(
                f"The run has started {self.agents:,} of at most {caps.agents:,} agents.",
                code="limit_agents",
                hint=f"Resume with a higher --max-agents (now {caps.agents}).",
                spent=self.agents,
                total=caps.agents,
            )
        if caps.tokens is not None and paid.output_tokens >= caps.tokens:
            return LimitReached(
                f"The run has spent {paid.output_tokens:,} of at most {caps.tokens:,} output tokens.",
                code="limit_tokens",
                hint=f"Resume with a higher --budget (now {caps.tokens}).",
                spent=paid.output_tokens,
                total=caps.tokens,
            )
        if caps.cost_usd is not None and paid.cost_usd >= caps.cost_usd:
            return LimitReached(
                f"The run has spent ${paid.cost_usd:.4f} of at most ${caps.cost_usd:.4f}.",
                code="limit_cost",
                hint=f"Resume with a higher --max-cost (now {caps.cost_usd:g}).",
                spent=round(paid.cost_usd, 9),
                total=caps.cost_usd,
            )
        if caps.minutes is not None and self.driven.ms() >= caps.minutes * 60_000:
            minutes = self.driven.ms() / 60_000
            return LimitReached(
                f"The run has been driven for {minutes:.2f} of at most {caps.minutes:g} minutes.",
                code="limit_minutes",
                hint=f"Resume with a higher --max-minutes (now {caps.minutes:g}).",
                spent=round(minutes, 3),
                total=caps.minutes,
            )
        return None

    def reserve(self, call: int, model: str, *, is_counted: bool) -> bool:
        """Whether `call` may start now; then its reservation is made. False: wait until another call closes.

        Only after `refusal` gave None. One call alone always starts, as it reserves at most what is left.
        """
        if call in self._reserved:
            raise EngineBug(f"call {call} reserved twice")
        share = self._share(model)
        if share is None:
            return False
        self._set(call, share)
        if not is_counted:
            self.agents += 1
        return True

    def _share(self, model: str) -> Usage | None:
        """What a call with `model` reserves now, or None while there is no room. Without a cap, nobody makes room."""
        caps = self.caps
        if caps.tokens is None and caps.cost_usd is None:
            return NO_USAGE
        want = self._mean(model)
        tokens, usd = want.output_tokens, want.cost_usd
        if caps.tokens is not None:
            tokens = min(tokens, left := caps.tokens - self.paid.output_tokens - self._reserved_tokens)
            if left <= 0:
                return None
        if caps.cost_usd is not None:
            usd = min(usd, left_usd := caps.cost_usd - self.paid.cost_usd - self._reserved_usd)
            if left_usd <= 0:
                return None
        return Usage(0, tokens, usd)

    def tell(self, call: int, usage: Usage) -> None:
        """What the running attempt of an open call has used so far. One that has used more than it had reserved holds
        that much from now on: what it took is no room for others."""
        self._running[call] = usage
        held = self._reserved[call]
        if held is not NO_USAGE:
            tokens, usd = max(held.output_tokens, usage.output_tokens), max(held.cost_usd, usage.cost_usd)
            self._set(call, Usage(0, tokens, usd))

    def spend(self, call: int, usage: Usage) -> None:
        """Books what an attempt of an open call cost; its reservation shrinks by as much."""
        self._running.pop(call, None)
        self.paid += usage
        held = self._reserved[call]
        if held is not NO_USAGE:
            tokens = max(0, held.output_tokens - usage.output_tokens)
            self._set(call, Usage(0, tokens, max(0.0, held.cost_usd - usage.cost_usd)))

    def close(self, call: int) -> None:
        """Gives the rest of the reservation back. What was really paid is booked by `spend`."""
        held = self._reserved.pop(call)
        self._reserved_tokens -= held.output_tokens
        self._reserved_usd = self._reserved_usd - held.cost_usd if self._reserved else 0.0

    def learn(self, model: str, usage: Usage) -> None:
        """Counts a call that ran to its end into the mean of `model`; also those of earlier versions of the run."""
        count, total = self._learned.get(model, (0, NO_USAGE))
        self._learned[model] = (count + 1, total + usage)

    def reserved(self) -> Usage:
        """What is reserved now, over all open calls."""
        return Usage(0, self._reserved_tokens, self._reserved_usd)

    def minutes_left_s(self) -> float | None:
        """Seconds of driven time until the minutes cap; None without one."""
        if self.caps.minutes is None:
            return None
        return max(0.0, self.caps.minutes * 60 - self.driven.ms() / 1000)

    def _mean(self, model: str) -> Usage:
        learned = self._learned.get(model)
        if learned is None:
            return self._first_call(model)
        count, total = learned
        return Usage(0, -(-total.output_tokens // count), total.cost_usd / count)

    def _set(self, call: int, usage: Usage) -> None:
        held = self._reserved.get(call, NO_USAGE)
        self._reserved[call] = usage
        self._reserved_tokens += usage.output_tokens - held.output_tokens
        self._reserved_usd += usage.cost_usd - held.cost_usd
