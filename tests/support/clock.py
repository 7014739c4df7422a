"""A clock that only moves when a test says so."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count


class ManualAlarm:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class ManualClock:
    """`advance` fires what becomes due, in order of due time, and lets the event loop settle after each."""

    def __init__(self, start_ms: int = 1_000_000) -> None:
        self._start_ms = start_ms
        self._now = 0.0
        self._alarms: list[tuple[float, int, ManualAlarm]] = []
        self._ties = count()

    def now_ms(self) -> int:
        return self._start_ms + round(self._now * 1000)

    def monotonic(self) -> float:
        return self._now

    def call_later(self, seconds: float, callback: Callable[[], object]) -> ManualAlarm:
        alarm = ManualAlarm(callback)
        heapq.heappush(self._alarms, (self._now + max(0.0, seconds), next(self._ties), alarm))
        return alarm

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        alarm = self.call_later(seconds, lambda: None if woken.done() else woken.set_result(None))
        try:
            await woken
        finally:
            alarm.cancel()

    def next_due(self) -> float | None:
        """Seconds until the next alarm that was not cancelled."""
        while self._alarms and self._alarms[0][2].callback is None:
            heapq.heappop(self._alarms)
        return self._alarms[0][0] - self._now if self._alarms else None

    def pending(self) -> int:
        """Alarms that have neither fired nor been cancelled."""
        return sum(alarm.callback is not None for _, _, alarm in self._alarms)

    async def advance(self, seconds: float) -> None:
        """Moves time on by `seconds`."""
        end = self._now + seconds
        await settle_loop()
        while (due := self.next_due()) is not None and self._now + due <= end:
            at, _, alarm = heapq.heappop(self._alarms)
            self._now = max(self._now, at)
            callback, alarm.callback = alarm.callback, None
            assert callback is not None
            callback()
            await settle_loop()
        self._now = end


async def settle_loop(turns: int = 12) -> None:
    """Lets everything that is ready run. Callbacks chain a few deep: task step, done callback, pump, next task."""
    for _ in range(turns):
        await asyncio.sleep(0)
