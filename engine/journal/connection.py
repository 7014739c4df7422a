"""One SQLite connection on a thread of its own: the only file that knows aiosqlite.

What is done with a connection is a plain function of it; here it gets its thread, its patience with other processes,
and errors that say what to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import aiosqlite

from engine.errors import JournalError
from engine.journal import failures

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class ConnectionThread:
    """Opened when it is first used.

    Args:
        busy_s: how long to wait for other processes that write.
        prepare: looks at the file, or makes it, before anything else is done with it.
    """

    def __init__(self, path: Path, *, busy_s: float, prepare: Callable[[sqlite3.Connection, Path], None]) -> None:
        self._path = path
        self._busy_s = busy_s
        self._prepare = prepare
        self._db: aiosqlite.Connection | None = None
        self._opening = asyncio.Lock()
        self._is_closed = False

    async def run(self, uris: Sequence[str], work: Work[T]) -> T:
        """The result of `work`, done in one hop. `uris` are tried in order when the connection is not open yet.

        Raises:
            JournalError: for whatever SQLite says.
        """
        if self._is_closed:
            raise JournalError(f"the journal {self._path} was closed", code="journal_closed")
        if self._db is None:
            await self._open(uris)
        assert self._db is not None
        return await self._hop(self._db, work)

    async def _open(self, uris: Sequence[str]) -> None:
        async with self._opening:
            for position, uri in enumerate(uris):
                if self._db is not None:
                    return
                try:
                    self._db = await self._opened(uri)
                except JournalError as error:
                    if error.code != "journal_unwritable" or position == len(uris) - 1:
                        raise

    async def _opened(self, uri: str) -> aiosqlite.Connection:
        db = aiosqlite.connect(uri, uri=True, isolation_level=None, timeout=self._busy_s, cached_statements=64)
        # A forced exit must not wait for a connection that nobody closed.
        db._thread.daemon = True
        try:
            await db
        except sqlite3.Error as error:
            raise failures.from_sqlite(error, self._path) from error
        try:
            await self._hop(db, lambda connection: self._prepare(connection, self._path))
        except BaseException:
            await db.close()
            raise
        return db

    async def _hop(self, db: aiosqlite.Connection, work: Work[T]) -> T:
        # aiosqlite's public API needs a hop for every statement; a group of rows, or a query with all its reading, is
        # one. This is the only place that uses what is behind it.
        result: T = await db._execute(self._patiently, db._conn, work)  # type: ignore[no-untyped-call]
        return result

    def _patiently(self, connection: sqlite3.Connection, work: Work[T]) -> T:
        """Runs `work` (on the thread). A busy database is waited for: SQLite's own wait does not cover every case."""
        patient_until = time.monotonic() + self._busy_s
        while True:
            try:
                return work(connection)
            except sqlite3.Error as error:
                if connection.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                if failures.is_busy(error) and time.monotonic() < patient_until:
                    time.sleep(0.005)
                    continue
                raise failures.from_sqlite(error, self._path) from error

    async def close(self) -> None:
        self._is_closed = True
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(sqlite3.Error):
                await db.close()
