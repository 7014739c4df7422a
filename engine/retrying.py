"""When to try again, and how fast to ask: pure decisions, no waiting.

Transient errors are retried with growing pauses (S26). Rate limits are not failures: they slow a whole backend down.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from engine.values import Json

LONGEST_PAUSE_S = 60.0
"""Doubling stops here. A provider that wants longer says so with `Retry-After`, which is always kept to."""

_JITTER = 0.25
"""A pause is up to a quarter shorter or longer, so that calls that failed together do not come back together."""


def pause_s(base_s: float, failures: int, random: Random) -> float:
    """Seconds to wait after the `failures`-th failure in a row, from 1: `base_s` doubling, with jitter."""
    # The exponent is capped before the power is taken: a call may fail thousands of times against a rate limit.
    doubled: float = min(LONGEST_PAUSE_S, base_s * 2.0 ** min(failures - 1, 32))
    return doubled * random.uniform(1 - _JITTER, 1 + _JITTER)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a call's backend is started for transient errors, the first time included."""

    attempts: int = 3
    backoff_s: float = 1.0

    def changed_by(self, option: Json) -> RetryPolicy:
        """This policy with what the call's `retry` option says: `{attempts?, backoffSeconds?}`."""
        if not isinstance(option, dict):
            return self
        return RetryPolicy(
            attempts=max(1, int(option.get("attempts", self.attempts))),
            backoff_s=max(0.0, float(option.get("backoffSeconds", self.backoff_s))),
        )


class Pace:
    """How many calls one backend may run at once, learned from its rate limits.

    Halves when the backend says "too fast", grows by one for each round of calls that got through, as TCP does. Calls
    that were under way together are told together; they halve the pace once.
    """

    def __init__(self, most: int, random: Random) -> None:
        self.most = most
        self.running = 0
        self.limited_until = 0.0  # monotonic seconds; nobody starts before
        self._allowed = float(most)
        self._slowed_at = -1.0
        self._in_a_row = 0
        self._random = random

    @property
    def allowed(self) -> int:
        return int(self._allowed)

    def has_room(self, now: float) -> bool:
        return self.running < self.allowed and now >= self.limited_until

    def passed(self) -> None:
        """A call got through."""
        self._in_a_row = 0
        if self._allowed < self.most:
            self._allowed = min(float(self.most), self._allowed + 1 / self._allowed)

    def limited(self, *, started: float, now: float, retry_after_s: float | None) -> None:
        """A call that began at `started` was told that there are too many."""
        if started > self._slowed_at:
            self._slowed_at = now
            self._in_a_row += 1
            self._allowed = max(1.0, self._allowed / 2)
        elif retry_after_s is None:
            return  # told together with another, whose pause is running
        wait_s = retry_after_s if retry_after_s is not None else pause_s(1.0, self._in_a_row, self._random)
        self.limited_until = max(self.limited_until, now + wait_s)
