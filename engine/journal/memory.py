"""A journal without a disk: for `simulate`, and for tests that make thousands of runs.

The same contract as the one on disk (`tests/contract/test_journal.py` runs over both): rows count only once their group
was committed, one turn of the event loop later, so that a writer that is dropped loses what a crash would have lost.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from difflib import get_close_matches
from typing import Any

from engine.errors import EngineBug, JournalError, LeaseLost, UsageError
from engine.faultpoints import FaultPoint, no_fault
from engine.journal import search
from engine.journal.grouping import Acted, Entry, Group, GroupWriter, Retired
from engine.values import (
    NO_USAGE,
    AttemptRow,
    CallKind,
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
    VersionEnd,
    VersionInfo,
    WorktreeRow,
    check_run_id,
)


class _Version:
    """What one version wrote."""

    def __init__(self, number: int, new: NewVersion) -> None:
        self.number = number
        self.new = new
        self.end: VersionEnd | None = None
        self.calls: list[CallRow] = []
        self.deliveries: list[DeliveryRow] = []
        self.loads: list[LoadRow] = []
        self.turns: list[TurnRow] = []
        self.worktrees: list[WorktreeRow] = []
        self.events: list[EventRow] = []
        self.active_ms = 0

    def info(self) -> VersionInfo:
        new = self.new
        return VersionInfo(
            version=self.number,
            script=new.script,
            script_path=new.script_path,
            meta=new.meta,
            args=new.args,
            settings=new.settings,
            engine=new.engine,
            permissions=new.permissions,
            started_at=new.started_at,
            end=self.end,
        )


class _Run:
    """Everything about one run."""

    def __init__(self, run_id: str, name: str, project: str, created_at: int) -> None:
        self.run_id = run_id
        self.name = name
        self.project = project
        self.created_at = created_at
        self.versions: list[_Version] = []
        self.first: dict[int, CallRow] = {}
        self.attempts: list[AttemptRow] = []
        self.settlements: dict[int, SettlementRow] = {}
        self.retired: set[int] = set()
        self.dispatched: set[int] = set()
        self.paid = NO_USAGE
        self.status = RunStatus.RUNNING
        self.owner: MemoryWriter | None = None

    def write(self, version: _Version, entry: Entry) -> None:
        match entry:
            case CallRow():
                version.calls.append(entry)
                self.first.setdefault(entry.call, entry)
            case AttemptRow():
                self.attempts.append(entry)
                if entry.call in self.first and self.first[entry.call].kind == CallKind.AGENT:
                    self.dispatched.add(entry.call)
            case SettlementRow():
                self.settlements[entry.call] = entry
                self.paid += Usage(entry.input_tokens, entry.output_tokens, entry.cost_usd)
            case EventRow():
                version.events.append(entry)
            case DeliveryRow():
                version.deliveries.append(entry)
            case LoadRow():
                version.loads.append(entry)
            case TurnRow():
                version.turns.append(entry)
            case WorktreeRow():
                version.worktrees.append(entry)
            case Retired():
                self.retired.add(entry.call)
            case VersionEnd():
                version.end, version.active_ms, self.status = entry, entry.active_ms, entry.status
            case _:
                raise EngineBug(f"{type(entry).__name__} is no row of a journal")

    def info(self) -> RunInfo:
        newest = self.versions[-1]
        status = self.status if newest.end is not None or self.owner is not None else RunStatus.INTERRUPTED
        return RunInfo(
            run_id=self.run_id,
            name=self.name,
            project=self.project,
            created_at=self.created_at,
            status=status,
            versions=len(self.versions),
            paid=self.paid,
            agents=len(self.dispatched),
            active_ms=sum(version.active_ms for version in self.versions),
            degraded=newest.end is not None and newest.end.degraded,
            owner=None if self.owner is None else "memory",
        )


class MemoryJournal:
    """See `engine.ports.Journal`."""

    def __init__(self, *, fault: FaultPoint = no_fault) -> None:
        self.fault = fault
        self._runs: dict[str, _Run] = {}
        self._controls: dict[int, tuple[str, Control]] = {}
        self._outcomes: dict[int, str] = {}

    async def __aenter__(self) -> MemoryJournal:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        for run in self._runs.values():
            if run.owner is not None:
                run.owner.forget()

    async def create_run(self, run_id: str, *, name: str, project: str, version: NewVersion) -> MemoryWriter:
        check_run_id(run_id)
        if run_id in self._runs:
            raise UsageError(
                f"run {run_id} exists already",
                code="run_exists",
                hint=f"pawl resume {run_id} goes on with it; another --run-id starts a new one.",
                run_id=run_id,
            )
        run = self._runs[run_id] = _Run(run_id, name, project, version.started_at)
        return self._start(run, version)

    async def resume_run(self, run_id: str, version: NewVersion) -> MemoryWriter:
        run = self._run(run_id)
        if run.owner is not None:
            raise JournalError(
                f"run {run_id} is alive: this process drives it",
                code="run_driven",
                hint=f"pawl watch {run_id} follows it, pawl cancel {run_id} stops it.",
                run_id=run_id,
            )
        return self._start(run, version)

    def _start(self, run: _Run, new: NewVersion) -> MemoryWriter:
        version = _Version(len(run.versions) + 1, new)
        run.versions.append(version)
        run.status = RunStatus.RUNNING
        run.owner = MemoryWriter(self, run, version)
        return run.owner

    async def run_info(self, run_id: str) -> RunInfo:
        return self._run(run_id).info()

    async def runs(self) -> AsyncIterator[RunInfo]:
        by_age = sorted(self._runs.values(), key=lambda run: run.created_at)
        for run in reversed(by_age):
            yield run.info()

    async def version(self, run_id: str, version: int | None = None) -> VersionInfo:
        run = self._run(run_id)
        wanted = len(run.versions) if version is None else version
        if not 1 <= wanted <= len(run.versions):
            raise UsageError(
                f"run {run_id} has no version {wanted}: it has {len(run.versions)}",
                code="unknown_version",
                hint=f"pawl show {run_id} lists the versions.",
                run_id=run_id,
                version=wanted,
            )
        return run.versions[wanted - 1].info()

    async def records(self, run_id: str) -> list[Record]:
        run = self._run(run_id)
        attempts: dict[int, AttemptRow] = {}
        for row in run.attempts:
            known = attempts.get(row.call)
            attempts[row.call] = row if known is None else row._replace(attempt=max(row.attempt, known.attempt))
        records = []
        for call in sorted(run.first):
            first, settlement, attempt = run.first[call], run.settlements.get(call), attempts.get(call)
            backend = None if attempt is None else attempt.backend
            if settlement is not None and settlement.backend is not None:
                backend = settlement.backend
            records.append(
                Record(
                    call,
                    first.kind,
                    first.key,
                    first.history,
                    first.occurrence,
                    first.label,
                    call in run.retired,
                    0 if attempt is None else attempt.attempt,
                    backend,
                    settlement,
                )
            )
        return records

    async def calls(self, run_id: str, version: int) -> list[CallRow]:
        run = self._run(run_id)
        rows = [row for v in self._versions(run, version) for row in v.calls]
        return sorted(
            (row if row.content else row._replace(content=run.first[row.call].content) for row in rows),
            key=lambda row: row.number,
        )

    async def settlements(self, run_id: str) -> dict[int, SettlementRow]:
        return dict(self._run(run_id).settlements)

    async def attempts(self, run_id: str) -> list[AttemptRow]:
        return list(self._run(run_id).attempts)

    async def deliveries(self, run_id: str, version: int) -> list[DeliveryRow]:
        return [row for v in self._versions(self._run(run_id), version) for row in v.deliveries]

    async def loads(self, run_id: str, version: int) -> list[LoadRow]:
        return [row for v in self._versions(self._run(run_id), version) for row in v.loads]

    async def events(self, run_id: str, version: int | None = None, after: int = 0) -> list[EventRow]:
        return [row for v in self._versions(self._run(run_id), version) for row in v.events if row.seq > after]

    async def turns(self, run_id: str, call: int | None = None) -> list[TurnRow]:
        return [row for v in self._run(run_id).versions for row in v.turns if call in (None, row.call)]

    async def worktrees(self, run_id: str) -> list[WorktreeRow]:
        return [row for v in self._run(run_id).versions for row in v.worktrees]

    async def search(self, words: str, run_id: str | None = None, *, limit: int = 50) -> list[Found]:
        """By SQLite, like the journal on disk: the texts go into a database that is gone afterwards."""
        runs = list(self._runs.values()) if run_id is None else [self._run(run_id)]
        rows = [(run, v.number, turn) for run in runs for v in run.versions for turn in v.turns]
        connection = sqlite3.connect(":memory:")
        try:
            connection.execute("CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = 'unicode61')")
            search.add(connection, ((at, search.text_of(turn)) for at, (_, _, turn) in enumerate(rows, 1)))
            found = search.matches(connection, words, limit=limit)
        finally:
            connection.close()
        out = []
        for at, snippet in found:
            run, number, turn = rows[at - 1]
            out.append(Found(run.run_id, number, turn.call, turn.attempt, turn.seq, turn.role, turn.at, snippet))
        return out

    async def send_control(self, run_id: str, kind: str, call: int | None = None, value: Json = None) -> Control:
        run = self._run(run_id)
        control = Control(len(self._controls) + 1, kind, call, value, time.time_ns() // 1_000_000)
        self._controls[control.control_id] = (run_id, control)
        if run.owner is not None:
            run.owner.wake()
        return control

    async def control_outcome(self, control_id: int) -> str | None:
        return self._outcomes.get(control_id)

    async def await_outcome(self, control_id: int, *, timeout_s: float) -> str | None:
        """What `acted` said, as soon as it is said; None when nobody acted in time."""
        patient_until = time.monotonic() + timeout_s
        while control_id not in self._outcomes and time.monotonic() < patient_until:  # noqa: ASYNC110 - as on disk
            await asyncio.sleep(0.001)
        return self._outcomes.get(control_id)

    async def is_driven(self, run_id: str) -> bool:
        return self._run(run_id).owner is not None

    async def verify(self, run_id: str | None = None) -> list[dict[str, Any]]:
        if run_id is not None:
            self._run(run_id)
        return []

    def pending(self, run_id: str) -> list[Control]:
        """Control messages for a run that nobody acted on, oldest first."""
        return [c for owner, c in self._controls.values() if owner == run_id and c.control_id not in self._outcomes]

    def act(self, acted: Acted) -> None:
        """Keeps what was said about a control message."""
        if acted.control_id not in self._controls:
            raise EngineBug(f"control message {acted.control_id} does not exist")
        self._outcomes[acted.control_id] = acted.outcome

    def _run(self, run_id: str) -> _Run:
        run = self._runs.get(run_id)
        if run is None:
            near = get_close_matches(run_id, self._runs, 3) or [n for n in self._runs if n.startswith(run_id)][:3]
            raise UsageError(
                f"no run {run_id} in this journal",
                code="unknown_run",
                hint=f"Did you mean {' or '.join(near)}?" if near else "pawl runs lists the runs of this project.",
                run_id=run_id,
                near=near,
            )
        return run

    @staticmethod
    def _versions(run: _Run, version: int | None) -> list[_Version]:
        return [v for v in run.versions if version in (None, v.number)]


class MemoryWriter(GroupWriter):
    """See `engine.ports.Writer`."""

    def __init__(self, journal: MemoryJournal, run: _Run, version: _Version) -> None:
        super().__init__(version.number, journal.fault)
        self._journal = journal
        self._run = run
        self._version = version
        self._on_control: Callable[[], None] | None = None

    async def _commit(self, group: Group) -> None:
        if self._run.owner is not self:
            raise LeaseLost(f"run {self._run.run_id} was taken over", run_id=self._run.run_id)
        self._fault("before_commit")
        for entry in group.rows:
            if isinstance(entry, Acted):
                self._journal.act(entry)
            else:
                self._run.write(self._version, entry)
        self._fault("after_commit")

    def _note_status(self, status: RunStatus) -> None:
        self._run.status = status

    async def controls(self) -> Sequence[Control]:
        return self._journal.pending(self._run.run_id)

    def on_control(self, callback: Callable[[], None]) -> None:
        self._on_control = callback
        if self._journal.pending(self._run.run_id):
            self.wake()

    def wake(self) -> None:
        """There is a control message."""
        if self._on_control is not None:
            asyncio.get_running_loop().call_soon(self._on_control)

    def _release(self, *, is_tidy: bool) -> None:
        self._on_control = None
        if self._run.owner is self:
            self._run.owner = None
