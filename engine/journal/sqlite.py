"""The journal in one SQLite file: WAL, synced commits in groups, one lease a run (I1, I8).

Each journal has up to two connections, each on a thread of its own: one that writes and one that reads, so that loading
a long run never holds up a commit. Both are opened when first needed, and reading never makes a file, needs a lease or
waits for a writer.

Source: facts about group commit, thread hops and flushes are in docs/decisions/0003-journal.md.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

from engine.errors import JournalError, UsageError
from engine.faultpoints import FaultPoint, no_fault
from engine.journal import failures, lease, proof, reading, schema, search, state, transfer, upkeep, writing
from engine.journal.connection import ConnectionThread, T, Work
from engine.journal.lease import RunLock
from engine.journal.reading import ModelUsage, RunRow
from engine.journal.state import State
from engine.journal.upkeep import Freed
from engine.journal.writer import SqliteWriter
from engine.journal.writing import Pen
from engine.values import (
    AttemptRow,
    CallRow,
    Control,
    DeliveryRow,
    EventRow,
    Found,
    Json,
    LoadRow,
    NewVersion,
    Record,
    RunInfo,
    RunStatus,
    SettlementRow,
    TurnRow,
    Usage,
    VersionInfo,
    WorktreeRow,
    check_run_id,
)

LOCK_PATIENCE_S = 0.25
"""How long a resume tries for the lock: somebody may hold it only to ask, or be just about to give it back."""

PROGRAM = "pawl"


def _system_now_ms() -> int:
    return time.time_ns() // 1_000_000


class SqliteJournal:
    """See `engine.ports.Journal`. Opens nothing until it is used; `close` it, or use it with `async with`.

    Args:
        path: the file, made with its folder by the first write.
        busy_s: how long to wait for other processes that write. A healthy one holds the lock for milliseconds.
        now_ms: wall time, for what is recorded.
        fault: for tests: called at named points of a commit.
    """

    def __init__(
        self,
        path: Path,
        *,
        busy_s: float = 60.0,
        now_ms: Callable[[], int] = _system_now_ms,
        fault: FaultPoint = no_fault,
    ) -> None:
        self.path = Path(os.path.abspath(path))
        self.locks = self.path.parent / "locks"
        self.now_ms = now_ms
        self.fault = fault
        self._reading = ConnectionThread(self.path, busy_s=busy_s, prepare=schema.prepare_reading)
        self._writing = ConnectionThread(self.path, busy_s=busy_s, prepare=_prepare_writing)
        self._writers: set[SqliteWriter] = set()

    async def __aenter__(self) -> SqliteJournal:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Drops the leases still held, as a crash would, and closes the file."""
        for writer in list(self._writers):
            writer.forget()
        await self._reading.close()
        await self._writing.close()

    # Starting and going on

    async def create_run(self, run_id: str, *, name: str, project: str, version: NewVersion) -> SqliteWriter:
        check_run_id(run_id)
        await self.read(lambda connection: _check_is_new(connection, run_id), None)

        def begin(connection: sqlite3.Connection) -> Pen:
            _check_is_new(connection, run_id)
            run = transfer.insert_run(connection, run_id, name, project, version.started_at)
            fresh = State.new(self.now_ms())
            state.insert(connection, run, run_id, fresh)
            return Pen(run, run_id, fresh)

        return await self._take(run_id, begin, version)

    async def resume_run(self, run_id: str, version: NewVersion) -> SqliteWriter:
        await self._row(run_id)

        def begin(connection: sqlite3.Connection) -> Pen:
            run = reading.run_number(connection, run_id)
            current = state.read(connection, run, run_id)
            if self._is_driven_elsewhere(current):
                raise _run_driven(run_id, current)
            return Pen(run, run_id, current)

        return await self._take(run_id, begin, version)

    async def _take(self, run_id: str, begin: Work[Pen], version: NewVersion) -> SqliteWriter:
        """Takes the lock, then the fence (the other way round, a loser would already have fenced the winner off)."""
        lock = await self._lock(run_id)
        try:
            pen = await self.write(lambda connection: self._start_version(connection, begin, version))
        except BaseException:
            lock.release()
            raise
        lease.sweep(self.locks, run_id)
        writer = SqliteWriter(self, pen, lock)
        self._writers.add(writer)
        return writer

    def _start_version(self, connection: sqlite3.Connection, begin: Work[Pen], version: NewVersion) -> Pen:
        """One transaction: begin, the next fence, the version's row."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            pen = begin(connection)
            fence, here = pen.state.fence, lease.this_machine()
            pen.state.fence += 1
            pen.state.version += 1
            pen.state.host, pen.state.boot, pen.state.pid = here.host, here.boot, os.getpid()
            pen.state.degraded = 0
            pen = Pen(pen.run, pen.run_id, pen.state)
            state.update(connection, pen.run, pen.run_id, pen.state, fence=fence)
            pen.write(
                connection, [version], now_ms=self.now_ms(), active_ms=pen.state.active_ms, status=RunStatus.RUNNING
            )
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return pen

    async def _lock(self, run_id: str) -> RunLock:
        patient_until = time.monotonic() + LOCK_PATIENCE_S
        while True:
            try:
                lock = RunLock.take(self.locks, run_id)
            except OSError as error:
                raise failures.from_os(error, self.path) from error
            if lock is not None:
                return lock
            if time.monotonic() > patient_until:
                rows = await self._rows(run_id)
                raise _run_driven(run_id, rows[0].state if rows else None)
            await asyncio.sleep(0.01)

    # Reading

    async def run_info(self, run_id: str) -> RunInfo:
        return self._info(await self._row(run_id))

    async def runs(self) -> AsyncIterator[RunInfo]:
        for row in await self._rows():
            yield self._info(row)

    async def version(self, run_id: str, version: int | None = None) -> VersionInfo:
        return await self._of_run(run_id, lambda c, run: reading.version(c, run, run_id, version))

    async def records(self, run_id: str) -> list[Record]:
        return await self._of_run(run_id, lambda c, run: reading.records(c, run, run_id))

    async def calls(self, run_id: str, version: int) -> list[CallRow]:
        return await self._of_run(run_id, lambda c, run: reading.calls(c, run, run_id, version))

    async def settlements(self, run_id: str) -> dict[int, SettlementRow]:
        return await self._of_run(run_id, lambda c, run: reading.settlements(c, run, run_id))

    async def attempts(self, run_id: str) -> list[AttemptRow]:
        return await self._of_run(run_id, lambda c, run: reading.attempts(c, run, run_id))

    async def deliveries(self, run_id: str, version: int) -> list[DeliveryRow]:
        return await self._of_run(run_id, lambda c, run: reading.deliveries(c, run, run_id, version))

    async def loads(self, run_id: str, version: int) -> list[LoadRow]:
        return await self._of_run(run_id, lambda c, run: reading.loads(c, run, run_id, version))

    async def events(self, run_id: str, version: int | None = None, after: int = 0) -> list[EventRow]:
        return await self._of_run(run_id, lambda c, run: reading.events(c, run, run_id, version, after))

    async def turns(self, run_id: str, call: int | None = None) -> list[TurnRow]:
        return await self._of_run(run_id, lambda c, run: reading.turns(c, run, run_id, call))

    async def worktrees(self, run_id: str) -> list[WorktreeRow]:
        return await self._of_run(run_id, lambda c, run: reading.worktrees(c, run, run_id))

    async def search(self, words: str, run_id: str | None = None, *, limit: int = 50) -> list[Found]:
        if run_id is not None:
            return await self._of_run(
                run_id, lambda c, run: search.find(c, words, span=reading.span(c, run), limit=limit)
            )
        return await self.read(lambda c: search.find(c, words, limit=limit), [])

    async def mean_usage(self) -> dict[str, ModelUsage]:
        """What an answered agent call used on average, by model, over all runs: for estimates."""
        return await self.read(reading.mean_usage, {})

    async def is_driven(self, run_id: str) -> bool:
        return self._is_driven((await self._row(run_id)).state, run_id)

    async def verify(self, run_id: str | None = None) -> list[dict[str, Any]]:
        if run_id is not None:
            await self._row(run_id)
        return await self.read(lambda connection: proof.verify(connection, run_id), [])

    # Steering

    async def send_control(self, run_id: str, kind: str, call: int | None = None, value: Json = None) -> Control:
        await self._row(run_id)
        now_ms = self.now_ms()

        def send(connection: sqlite3.Connection) -> int:
            run = reading.run_number(connection, run_id)
            return writing.send(connection, run, run_id, kind=kind, call=call, value=value, now_ms=now_ms)

        control_id = await self.write(send)
        lease.ring(self.locks, run_id)
        return Control(control_id, kind, call, value, now_ms)

    async def control_outcome(self, control_id: int) -> str | None:
        return await self.read(lambda c: reading.control_outcome(c, control_id), None)

    async def await_outcome(self, control_id: int, *, timeout_s: float) -> str | None:
        """What `acted` said, as soon as it is said; None when nobody acted in time."""
        patient_until = time.monotonic() + timeout_s
        # Whoever acts is another process: there is no event to wait for.
        while (outcome := await self.control_outcome(control_id)) is None:
            if time.monotonic() >= patient_until:
                break
            await asyncio.sleep(0.02)
        return outcome

    # The journal's own life

    async def delete_runs(self, run_ids: Iterable[str]) -> Freed:
        """Deletes runs and what only they refer to.

        Raises:
            UsageError: `unknown_run`: nothing is deleted then.
            JournalError: `run_driven`: nothing is deleted then.
        """
        wanted = list(dict.fromkeys(run_ids))
        for run_id in wanted:
            await self._of_run(run_id, lambda _connection, run: run)
        locks: list[RunLock] = []
        try:
            for run_id in wanted:
                locks.append(await self._lock(run_id))
            for run_id in wanted:
                await self._check_not_driven_elsewhere(run_id)
            freed = await self.write(lambda connection: upkeep.delete(connection, self.path, wanted))
            for run_id in wanted:
                lease.sweep(self.locks, run_id)
        finally:
            for lock in locks:
                lock.release()
        return freed

    async def old_runs(self, older_than_ms: int) -> list[str]:
        """Runs that nobody drives and that were last written more than `older_than_ms` ago, newest first."""
        limit = self.now_ms() - older_than_ms
        rows = await self._rows()
        return [r.run_id for r in rows if r.state.beat_at < limit and not self._is_driven(r.state, r.run_id)]

    async def gc(self, older_than_ms: int | None = None) -> Freed:
        """Deletes old runs (None: no run), and stored values that nothing refers to; gives the space back."""
        if not self.path.exists():
            return Freed((), 0, 0)
        return await self.delete_runs([] if older_than_ms is None else await self.old_runs(older_than_ms))

    async def export_run(self, run_id: str, path: Path) -> int:
        """Writes a run to a file of its own; returns how many records it holds. See `transfer`."""
        return await self._of_run(run_id, lambda c, run: transfer.export_run(c, run, run_id, path))

    async def import_run(self, path: Path) -> str:
        """Takes in what `export_run` wrote; returns the run's id. All of it or nothing.

        Raises:
            UsageError: `run_exists`, `not_an_export`.
            JournalError: `export_damaged`, `export_newer`.
        """
        return await self.write(lambda connection: transfer.import_run(connection, path))

    def dropped(self, writer: SqliteWriter) -> None:
        """The writer gave its lease back."""
        self._writers.discard(writer)

    # Connections

    async def read(self, work: Work[T], missing: T) -> T:
        """The result of `work` on one snapshot; `missing` when there is no journal yet."""
        if not self.path.exists():
            return missing

        def snapshot(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

        uri = self.path.as_uri()
        # `immutable` last: it is right only where nothing can change the file, and it does not look at a -wal file.
        uris = [f"{uri}?mode=rw", f"{uri}?mode=ro"]
        if not _has_wal(self.path):
            uris.append(f"{uri}?mode=ro&immutable=1")
        try:
            return await self._reading.run(uris, snapshot)
        except JournalError as error:
            if error.code == "journal_empty":
                return missing
            if error.code != "journal_older":
                raise
            await self._bring_up(error)
        return await self._reading.run(uris, snapshot)

    async def _bring_up(self, older: JournalError) -> None:
        """Brings the file to the newest format. Raises `older` where it may not be written: that says what to do."""
        try:
            await self.write(lambda _connection: None)
        except JournalError as error:
            if failures.is_read_only(error.__cause__):
                raise older from error
            raise

    async def write(self, work: Work[T]) -> T:
        """The result of `work` on the writing connection. It begins and commits itself."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise failures.from_os(error, self.path) from error
        return await self._writing.run([f"{self.path.as_uri()}?mode=rwc"], work)

    async def _rows(self, run_id: str | None = None) -> list[RunRow]:
        nothing: list[RunRow] = []
        return await self.read(lambda connection: reading.run_rows(connection, run_id), nothing)

    async def _row(self, run_id: str) -> RunRow:
        def find(connection: sqlite3.Connection) -> RunRow:
            reading.run_number(connection, run_id)
            rows = reading.run_rows(connection, run_id)
            if not rows:
                raise reading.damaged_record(f"run {run_id} has no state", run_id=run_id)
            return rows[0]

        row = await self.read(find, None)
        if row is None:
            raise reading.unknown_run(None, run_id)
        return row

    async def _of_run(self, run_id: str, work: Callable[[sqlite3.Connection, int], T]) -> T:
        result = await self.read(lambda c: (work(c, reading.run_number(c, run_id)),), None)
        if result is None:
            raise reading.unknown_run(None, run_id)
        return result[0]

    # Who drives

    def _is_driven(self, current: State, run_id: str) -> bool:
        if current.host is None:
            return False
        if lease.is_here(current.host, current.boot):
            return lease.is_locked(self.locks, run_id)
        return self._is_driven_elsewhere(current)

    def _is_driven_elsewhere(self, current: State) -> bool:
        """By a machine whose locks we may not see: its heartbeat decides."""
        if current.host is None or lease.is_here(current.host, current.boot):
            return False
        return self.now_ms() - current.beat_at < lease.STALE_S * 1000

    async def _check_not_driven_elsewhere(self, run_id: str) -> None:
        try:
            current = (await self._row(run_id)).state
        except JournalError:
            return  # a run whose state is damaged can still be deleted
        if self._is_driven_elsewhere(current):
            raise _run_driven(run_id, current)

    def _info(self, row: RunRow) -> RunInfo:
        current = row.state
        status = RunStatus(current.status)
        is_driven = self._is_driven(current, row.run_id)
        if status in (RunStatus.RUNNING, RunStatus.WAITING) and not is_driven:
            status = RunStatus.INTERRUPTED
        return RunInfo(
            run_id=row.run_id,
            name=row.name,
            project=row.project,
            created_at=row.created_at,
            status=status,
            versions=current.version,
            paid=Usage(current.input_tokens, current.output_tokens, current.cost_usd),
            agents=current.agents,
            active_ms=current.active_ms,
            degraded=bool(current.degraded),
            owner=f"{current.host}:{current.pid}" if is_driven else None,
            extra={"updated_at": current.beat_at},
        )


def _prepare_writing(connection: sqlite3.Connection, path: Path) -> None:
    schema.prepare_writing(connection, path, PROGRAM)


def _check_is_new(connection: sqlite3.Connection, run_id: str) -> None:
    if connection.execute("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)).fetchone():
        raise UsageError(
            f"run {run_id} exists already",
            code="run_exists",
            hint=f"pawl resume {run_id} goes on with it; another --run-id starts a new one.",
            run_id=run_id,
        )


def _has_wal(path: Path) -> bool:
    try:
        return path.with_name(path.name + "-wal").stat().st_size > 0
    except OSError:
        return False


def _run_driven(run_id: str, current: State | None) -> JournalError:
    host, pid = (current.host, current.pid) if current is not None else (None, None)
    who = f"process {pid} on {host} drives it" if pid is not None else "another process drives it"
    return JournalError(
        f"run {run_id} is alive: {who}",
        code="run_driven",
        hint=f"pawl watch {run_id} follows it, pawl cancel {run_id} stops it.",
        run_id=run_id,
        host=host,
        pid=pid,
    )
