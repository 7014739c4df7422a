"""A run that this process drives, as its caller holds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from engine.events import Event
from engine.options import RunResult
from engine.run import RunLoop
from engine.values import RunStatus


class RunHandle:
    """A version of a run that this process drives. Made by `Engine`; `result()` must be awaited in the end."""

    def __init__(self, run_id: str, version: int) -> None:
        self.run_id = run_id
        self.version = version
        self._told: list[Event] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._is_over = False
        self._loop: RunLoop | None = None
        self._task: asyncio.Task[RunResult] | None = None

    async def events(self) -> AsyncIterator[Event]:
        """What the run tells, from the start of this version to `RunEnded`. Any number of readers."""
        at = 0
        while True:
            while at < len(self._told):
                yield self._told[at]
                at += 1
            if self._is_over:
                return
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    async def result(self) -> RunResult:
        """How it ended.

        Raises:
            JournalError: the journal or the lease was lost; what was committed is safe.
        """
        assert self._task is not None
        return await asyncio.shield(self._task)

    def interrupt(self, *, status: RunStatus = RunStatus.INTERRUPTED) -> None:
        """Starts no more agents, stops the running ones, ends the version as `status`. Resumable."""
        if self._loop is not None:
            self._loop.want(status)

    def kill(self) -> None:
        """Stops at once, without writing down how it ended: as good as a crash, and as harmless."""
        if self._task is not None:
            self._task.cancel()

    def tell(self, event: Event) -> None:
        """Passes an event on to all readers."""
        self._told.append(event)
        if self._waiters:
            self._wake_readers()

    def _wake_readers(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def attach(self, loop: RunLoop, task: asyncio.Task[RunResult]) -> None:
        """Ties the handle to what it steers."""
        self._loop, self._task = loop, task
        task.add_done_callback(self._over)

    def when_over(self, callback: Callable[[], None]) -> None:
        """Calls `callback` once, when the version is over."""
        if self._task is not None:
            self._task.add_done_callback(lambda _: callback())

    async def ended(self) -> None:
        """Returns when the version is over, however it ended."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def _over(self, _: object) -> None:
        self._is_over = True
        self._wake_readers()
