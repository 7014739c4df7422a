"""A run that this process drives, as its caller holds it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from engine.events import Event
from engine.options import RunResult
from engine.run import RunLoop
from engine.values import RunStatus

KEPT_EVENTS = 1000
"""From a version's start, for readers that do not come at once. All of them would be three objects a call in memory,
for nobody; what is worth keeping is in the journal."""


class _Reader:
    """Events told and not read yet."""

    def __init__(self, told: list[Event]) -> None:
        self.told = deque(told)
        self._waiter: asyncio.Future[None] | None = None

    def tell(self, event: Event) -> None:
        self.told.append(event)
        self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter


class RunHandle:
    """A version of a run that this process drives. Made by `Engine`; `result()` must be awaited in the end."""

    def __init__(self, run_id: str, version: int, *, log: Callable[[Event], None] | None = None) -> None:
        """`log` is given every event, beside the readers."""
        self.run_id = run_id
        self.version = version
        self._log = log
        self._first: list[Event] = []
        self._latest: Event | None = None
        self._readers: list[_Reader] = []
        self._is_over = False
        self._loop: RunLoop | None = None
        self._task: asyncio.Task[RunResult] | None = None

    async def events(self) -> AsyncIterator[Event]:
        """What the run tells, from the start of this version to `RunEnded`. Any number of readers.

        A reader that comes after more than `KEPT_EVENTS` of them gets what is told from then on, at least `RunEnded`.
        """
        is_complete = len(self._first) <= KEPT_EVENTS
        reader = _Reader(self._first if is_complete else [])
        if self._is_over and not is_complete and self._latest is not None:
            reader.told.append(self._latest)
        self._readers.append(reader)
        self._listen()
        try:
            while True:
                while reader.told:
                    yield reader.told.popleft()
                if self._is_over:
                    return
                await reader.wait()
        finally:
            self._readers.remove(reader)

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
        self._latest = event
        if self._log is not None:
            self._log(event)
        if len(self._first) <= KEPT_EVENTS:
            self._first.append(event)
        for reader in self._readers:
            reader.tell(event)
        if not self._readers:
            self._listen()

    def _listen(self) -> None:
        """Events that nobody would get to see need not even be made."""
        if self._loop is not None:
            has_audience = self._readers or self._log is not None or len(self._first) <= KEPT_EVENTS
            self._loop.told_to(self.tell if has_audience else None)

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
        for reader in self._readers:
            reader.wake()
