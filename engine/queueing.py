"""Agents that wait for their turn: first in, first out, but for services that have asked for less.

Owns the order and the pace of each service, nothing else: whether there is a slot and money is the dispatcher's to ask.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from random import Random

from engine.ports import Alarm, Clock
from engine.retrying import Pace
from engine.underway import Live


class _Line:
    """Agents waiting for one service and key. Those that have run before wait in front: they were submitted earlier."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._again: list[tuple[int, Live]] = []
        self._fresh: deque[Live] = deque()

    def add(self, live: Live) -> None:
        live.is_queued = True
        if live.was_started:
            heapq.heappush(self._again, (live.place, live))
        else:
            self._fresh.append(live)

    def head(self) -> Live | None:
        """The next call. Withdrawn ones are only marked, and dropped here."""
        while self._again:
            if (live := self._again[0][1]).is_queued:
                return live
            heapq.heappop(self._again)
        while self._fresh:
            if (live := self._fresh[0]).is_queued:
                return live
            self._fresh.popleft()
        return None


class Queue:
    """The lines of all services.

    Args:
        most: calls that one service runs at once while it does not complain.
        wake: called when a service that asked for a pause may be asked again.
    """

    def __init__(self, *, clock: Clock, most: int, random: Random, wake: Callable[[], None]) -> None:
        self._clock = clock
        self._most = most
        self._random = random
        self._wake = wake
        self._lines: dict[str, _Line] = {}
        self._alarm: Alarm | None = None
        self._due = 0.0

    def add(self, live: Live) -> None:
        line = self._lines.get(live.line)
        if line is None:
            line = self._lines[live.line] = _Line(Pace(self._most, self._random))
        line.add(live)

    def pace(self, live: Live) -> Pace:
        """Of the service that answers this call, which has been in the queue."""
        return self._lines[live.line].pace

    def next(self) -> tuple[Live | None, bool]:
        """The first call whose service has room, else the first of all; and whether its service has room."""
        now = self._clock.monotonic()
        first: Live | None = None
        ready: Live | None = None
        for line in self._lines.values():
            head = line.head()
            if head is None:
                continue
            if first is None or head.place < first.place:
                first = head
            if line.pace.has_room(now):
                if ready is None or head.place < ready.place:
                    ready = head
            elif line.pace.limited_until > now:
                self._wake_at(line.pace.limited_until)
        return (ready, True) if ready is not None else (first, False)

    def _wake_at(self, due: float) -> None:
        """Calls `wake` when the first of the rate limits passes."""
        if self._alarm is not None:
            if self._due <= due:
                return
            self._alarm.cancel()
        self._due = due
        self._alarm = self._clock.call_later(due - self._clock.monotonic(), self._awake)

    def _awake(self) -> None:
        self._alarm = None
        self._wake()

    def stop(self) -> None:
        """Wakes nobody any more."""
        if self._alarm is not None:
            self._alarm.cancel()
