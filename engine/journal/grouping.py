"""Group commit, apart from what a commit is: who adds rows never waits; what came meanwhile goes together (I1)."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias

from engine.errors import EngineBug, LeaseLost, PawlError
from engine.faultpoints import FaultPoint
from engine.values import Row, RunStatus, VersionEnd

CALLBACKS_AT_ONCE = 256
"""Each may start an agent; a thousand in one go would hold up everything else for 30 ms."""


class Retired(NamedTuple):
    call: int


class Acted(NamedTuple):
    control_id: int
    outcome: str


Entry: TypeAlias = Row | VersionEnd | Retired | Acted


class Group:
    """What one commit will hold."""

    __slots__ = ("is_wanted", "rows", "thens", "waiters")

    def __init__(self) -> None:
        self.rows: list[Entry] = []
        self.thens: list[Callable[[], None]] = []
        self.waiters: list[asyncio.Future[None]] = []
        self.is_wanted = False  # a commit without rows: a heartbeat, a changed status


class GroupWriter(ABC):
    """The part of `ports.Writer` that all journals share: order, groups, callbacks, failure."""

    def __init__(self, version: int, fault: FaultPoint) -> None:
        self.version = version
        self._fault = fault
        self._next = Group()
        self._running: Group | None = None
        self._pump: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._is_ended = False
        self._is_forgotten = False
        self._lost: Callable[[Exception], None] | None = None

    @abstractmethod
    async def _commit(self, group: Group) -> None:
        """Makes the group durable. Whatever it raises ends this writer."""

    @abstractmethod
    def _release(self, *, is_tidy: bool) -> None:
        """Gives the lease back. Idempotent. Not tidy: as if the process had died."""

    def add(self, row: Row, then: Callable[[], None] | None = None) -> None:
        if self._is_ended:
            raise EngineBug("a row was added after the version had ended")
        group = self._next
        group.rows.append(row)
        if then is not None:
            group.thens.append(then)
        if self._pump is None:
            self._schedule()

    async def flush(self) -> None:
        if self._failure is not None:
            raise self._failure
        group = self._next if self._next.rows or self._next.is_wanted else self._running
        if group is None:
            return
        waiter = asyncio.get_running_loop().create_future()
        group.waiters.append(waiter)
        await waiter

    async def end(self, end: VersionEnd) -> None:
        self._append(end)
        self._is_ended = True
        try:
            await self.flush()
        finally:
            self._release(is_tidy=self._failure is None)

    async def retire(self, calls: Iterable[int]) -> None:
        for call in calls:
            self._append(Retired(call))
        await self.flush()

    async def acted(self, control_id: int, outcome: str) -> None:
        self._append(Acted(control_id, outcome))
        await self.flush()

    def mark(self, status: RunStatus) -> None:
        self._note_status(status)
        self._want_commit()

    @abstractmethod
    def _note_status(self, status: RunStatus) -> None:
        """Remembers what the next commit writes."""

    def on_lost(self, callback: Callable[[Exception], None]) -> None:
        self._lost = callback
        if self._failure is not None:
            asyncio.get_running_loop().call_soon(callback, self._failure)

    def forget(self) -> None:
        self._is_forgotten = True
        self._fail(LeaseLost("this writer was told to forget its run", hint="pawl resume goes on with the run."))
        self._release(is_tidy=False)

    def _append(self, entry: Entry) -> None:
        if self._is_ended:
            raise EngineBug("the version has ended: nothing more can be written about it")
        self._next.rows.append(entry)
        if self._pump is None:
            self._schedule()

    def _want_commit(self) -> None:
        if self._is_ended:
            return
        self._next.is_wanted = True
        if self._pump is None:
            self._schedule()

    def _schedule(self) -> None:
        if self._failure is None:
            self._pump = asyncio.get_running_loop().create_task(self._commit_groups(), name="journal commits")
        else:
            self._next = Group()

    async def _commit_groups(self) -> None:
        try:
            while True:
                # One turn of the loop: a request's attempt, added by the task that the request woke, shares its flush.
                await asyncio.sleep(0)
                group = self._next
                if not (group.rows or group.is_wanted):
                    break
                self._running, self._next = group, Group()
                await self._commit(group)
                if self._is_forgotten:
                    return
                self._fault("before_callbacks")
                if not await self._tell(group):
                    return
                self._running = None
        except Exception as error:  # noqa: BLE001 - a writer that cannot go on must say so, or its run waits for ever
            self._fail(error)
        finally:
            self._pump = None

    async def _tell(self, group: Group) -> bool:
        """Tells whoever waits for what is durable now; False when the lease was dropped meanwhile."""
        for count, then in enumerate(group.thens, 1):
            then()
            if count % CALLBACKS_AT_ONCE == 0:
                await asyncio.sleep(0)
                if self._is_forgotten:
                    return False
        for waiter in group.waiters:
            if not waiter.done():
                waiter.set_result(None)
        return True

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, PawlError):
            bug = EngineBug(f"the journal's writer broke: {type(error).__name__}: {error}")
            bug.__cause__ = error
            error = bug
        is_first, self._failure = self._failure is None, self._failure or error
        waiters = [*(self._running.waiters if self._running else ()), *self._next.waiters]
        self._running, self._next = None, Group()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(error)
        if self._lost is not None and is_first and not self._is_forgotten:
            self._lost(error)
