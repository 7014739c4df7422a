"""The real clock. Everything that waits takes a `Clock`, so that tests turn time by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from engine.ports import Alarm


class SystemClock:
    """Wall time for records, monotonic time for waits."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Alarm:
        return asyncio.get_running_loop().call_later(seconds, callback)
