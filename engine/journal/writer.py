"""The owner of a run in the journal on disk: its lease, its heartbeat, its ear for control messages (I8)."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from engine.errors import PawlError
from engine.faultpoints import FaultPoint
from engine.journal import lease, reading
from engine.journal.grouping import Group, GroupWriter
from engine.journal.lease import Bell, RunLock
from engine.journal.writing import Pen
from engine.values import Control, RunStatus, VersionEnd

T = TypeVar("T")

POLL_S = 1.0
"""How often an owner looks for control messages by itself: for those from machines that its bell does not reach."""


class Store(Protocol):
    """What a writer needs of its journal."""

    locks: Path
    fault: FaultPoint
    now_ms: Callable[[], int]

    async def read(self, work: Callable[[sqlite3.Connection], T], missing: T) -> T: ...

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T: ...

    def dropped(self, writer: SqliteWriter) -> None: ...


class SqliteWriter(GroupWriter):
    """See `engine.ports.Writer`. Made by `SqliteJournal.create_run` and `resume_run`."""

    def __init__(self, journal: Store, pen: Pen, lock: RunLock) -> None:
        super().__init__(pen.state.version, journal.fault)
        self._journal = journal
        self._pen = pen
        self._lock = lock
        self._status = RunStatus.RUNNING
        self._active_before_ms = pen.state.active_ms
        self._active_s = 0.0
        self._active_since = time.monotonic()
        self._written_at = self._active_since
        self._loop = asyncio.get_running_loop()
        self._on_control: Callable[[], None] | None = None
        self._looks: set[asyncio.Task[None]] = set()
        self._seen_version: int | None = None
        self._bell = Bell.hang(journal.locks, pen.run_id)
        if self._bell is not None:
            self._loop.add_reader(self._bell.fd, self._rang)
        self._ticking = self._loop.call_later(POLL_S, self._tick)

    async def _commit(self, group: Group) -> None:
        end = next((row for row in group.rows if isinstance(row, VersionEnd)), None) if self._is_ended else None
        active_ms = self._active_before_ms + (self._active_so_far_ms() if end is None else end.active_ms)
        status = self._status if end is None else end.status

        def commit(connection: sqlite3.Connection) -> None:
            self._pen.commit(
                connection,
                group.rows,
                now_ms=self._journal.now_ms(),
                active_ms=active_ms,
                status=status,
                fault=self._fault,
            )

        await self._journal.write(commit)
        self._written_at = time.monotonic()

    def _note_status(self, status: RunStatus) -> None:
        """A run that waits for people does not use up its minutes."""
        self._active_s, self._active_since = self._active_so_far_ms() / 1000, time.monotonic()
        self._status = status

    def _active_so_far_ms(self) -> int:
        since = time.monotonic() - self._active_since if self._status is RunStatus.RUNNING else 0.0
        return int((self._active_s + since) * 1000)

    # Control messages

    async def controls(self) -> Sequence[Control]:
        run = self._pen.run
        return await self._journal.read(lambda connection: reading.controls(connection, run), [])

    def on_control(self, callback: Callable[[], None]) -> None:
        self._on_control = callback
        self._seen_version = None
        self._look()

    def _rang(self) -> None:
        if self._bell is not None:
            self._bell.hush()
        if self._on_control is not None:
            self._on_control()

    def _tick(self) -> None:
        self._ticking = self._loop.call_later(POLL_S, self._tick)
        if time.monotonic() - self._written_at >= lease.BEAT_S:
            self._want_commit()
        if self._on_control is not None and not self._looks:
            self._look()

    def _look(self) -> None:
        task = self._loop.create_task(self._look_for_controls(), name="journal look for controls")
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)

    async def _look_for_controls(self) -> None:
        def is_pending(connection: sqlite3.Connection) -> bool:
            # Changes when any other connection commits: usually nothing happened, and this is all that is asked.
            (data_version,) = connection.execute("PRAGMA data_version").fetchone()
            if data_version == self._seen_version:
                return False
            self._seen_version = data_version
            return bool(reading.controls(connection, self._pen.run))

        with contextlib.suppress(PawlError):  # whoever reads or writes next meets the same error, and can say so
            if await self._journal.read(is_pending, False) and self._on_control is not None:
                self._on_control()

    # The end

    def _release(self, *, is_tidy: bool) -> None:
        self._ticking.cancel()
        for task in self._looks:
            task.cancel()
        self._on_control = None
        if self._bell is not None:
            if self._bell.fd >= 0 and not self._loop.is_closed():
                self._loop.remove_reader(self._bell.fd)
            self._bell.take_down(remove=is_tidy)
        self._lock.release(remove=is_tidy)
        self._journal.dropped(self)
