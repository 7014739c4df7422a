"""What a commit of a run's owner does, on the connection's thread: one transaction for a whole group of rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from engine.errors import EngineBug
from engine.faultpoints import FaultPoint
from engine.journal import codec, search, state
from engine.journal.grouping import Acted, Entry, Retired
from engine.journal.state import State
from engine.values import (
    AttemptRow,
    CallKind,
    CallRow,
    DeliveryRow,
    EventRow,
    Json,
    LoadRow,
    NewVersion,
    RunStatus,
    SettlementRow,
    TurnRow,
    VersionEnd,
    WorktreeRow,
)


class _Prepared(NamedTuple):
    rows: dict[str, list[codec.Columns]]
    acted: list[Acted]
    dispatched: list[int]
    stored: list[tuple[bytes, int, bytes]]
    words: list[tuple[int, str]]


class Pen:
    """Everything that the owner of a run needs to write: its place in the log, its fence, the totals so far.

    Only ever used on the writing connection's thread, after it was made.
    """

    def __init__(self, run: int, run_id: str, state: State) -> None:
        self.run = run
        self.run_id = run_id
        self.state = state
        self._encoder = codec.Encoder(run, run_id, state.version)
        self._agents: set[int] = set()  # agent calls of this version that were not dispatched so far

    def commit(
        self,
        connection: sqlite3.Connection,
        entries: Sequence[Entry | NewVersion],
        *,
        now_ms: int,
        active_ms: int,
        status: RunStatus,
        fault: FaultPoint,
    ) -> None:
        """Writes `entries` in one synced transaction.

        Raises:
            LeaseLost: somebody else drives the run: nothing was written.
        """
        new, prepared = self._prepared(entries, now_ms=now_ms, active_ms=active_ms, status=status)
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._insert(connection, new, prepared)
            fault("before_commit")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._written(new, prepared)
        fault("after_commit")

    def write(
        self,
        connection: sqlite3.Connection,
        entries: Sequence[Entry | NewVersion],
        *,
        now_ms: int,
        active_ms: int,
        status: RunStatus,
    ) -> None:
        """The same as part of a transaction of the caller's."""
        new, prepared = self._prepared(entries, now_ms=now_ms, active_ms=active_ms, status=status)
        self._insert(connection, new, prepared)
        self._written(new, prepared)

    def _written(self, new: State, prepared: _Prepared) -> None:
        self.state = new
        self._agents.difference_update(prepared.dispatched)

    def _prepared(
        self, entries: Sequence[Entry | NewVersion], *, now_ms: int, active_ms: int, status: RunStatus
    ) -> tuple[State, _Prepared]:
        """All that can be done before the database is locked for others: checksums, compression."""
        new = replace(self.state, beat_at=now_ms, active_ms=active_ms, status=str(status))
        words: list[tuple[int, str]] = []
        rows, acted, dispatched = self._encoded(entries, new, words)
        stored, self._encoder.stored = self._encoder.stored, {}
        packed = [(digest, len(data), codec.pack(data)) for digest, data in stored.items()]
        return new, _Prepared(rows, acted, dispatched, packed, words)

    def _insert(self, connection: sqlite3.Connection, new: State, prepared: _Prepared) -> None:
        # First of all the fence: the places that our rows would take may be another owner's by now.
        state.update(connection, self.run, self.run_id, new, fence=self.state.fence)
        connection.executemany("INSERT OR IGNORE INTO stored (hash, size, data) VALUES (?, ?, ?)", prepared.stored)
        for table, full in prepared.rows.items():
            connection.executemany(codec.INSERT[table], full)
        if prepared.words:
            search.add(connection, prepared.words)
        for message in prepared.acted:
            act(connection, self.run_id, message)

    def _encoded(
        self, entries: Sequence[Entry | NewVersion], new: State, words: list[tuple[int, str]]
    ) -> tuple[dict[str, list[codec.Columns]], list[Acted], list[int]]:
        """Full rows by table, in order; messages acted on; agent calls dispatched. `new` takes in what they add up to,
        `words` what people may search for.

        Changes nothing else but by adding to sets, for a commit that found the database busy does all this again.
        """
        encoder, place = self._encoder, new.last
        dispatched: list[int] = []
        rows: dict[str, list[codec.Columns]] = {}
        acted: list[Acted] = []
        for entry in entries:
            match entry:
                case CallRow():
                    table, columns = "calls", encoder.call(entry)
                    if entry.kind == CallKind.AGENT:
                        self._agents.add(entry.call)
                case AttemptRow():
                    table, columns = "attempts", encoder.attempt(entry)
                    if entry.attempt == 1 and entry.call in self._agents:
                        dispatched.append(entry.call)
                case SettlementRow():
                    table, columns = "settlements", encoder.settlement(entry)
                    new.input_tokens += entry.input_tokens
                    new.output_tokens += entry.output_tokens
                    new.cost_usd += entry.cost_usd
                case EventRow():
                    table, columns = "events", encoder.event(entry)
                case DeliveryRow():
                    table, columns = "deliveries", encoder.delivery(entry)
                case LoadRow():
                    table, columns = "loads", encoder.load(entry)
                case TurnRow():
                    table, columns = "turns", encoder.turn(entry)
                    words.append(((self.run << codec.RUN_SHIFT) + place + 1, search.text_of(entry)))
                case WorktreeRow():
                    table, columns = "worktrees", encoder.worktree(entry)
                case Retired():
                    table, columns = "retired", (new.version, entry.call)
                case NewVersion():
                    table, columns = "versions", encoder.new_version(entry)
                case VersionEnd():
                    table, columns = "ends", encoder.end(entry)
                    new.status, new.degraded = str(entry.status), int(entry.degraded)
                    new.disown()
                case Acted():
                    acted.append(entry)
                    continue
                case _:
                    raise EngineBug(f"{type(entry).__name__} is no row of a journal")
            place += 1
            rows.setdefault(table, []).append(encoder.sealed(table, place, columns))
        new.last = place
        new.agents += len(dispatched)
        return rows, acted, dispatched


def control_sum(run_id: str, columns: Sequence[Any]) -> bytes:
    """The checksum of a control message; `columns`: kind, call, value, created_at, outcome."""
    return codec.checksum(codec.canonical("controls", run_id, 0, columns))


def send(
    connection: sqlite3.Connection,
    run: int,
    run_id: str,
    *,
    kind: str,
    call: int | None,
    value: Json,
    now_ms: int,
) -> int:
    """Writes a control message; returns its id."""
    columns = (kind, call, codec.json_text(value).decode(), now_ms, None)
    cursor = connection.execute(
        "INSERT INTO controls (run, kind, call, value, created_at, outcome, sum) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (run, *columns, control_sum(run_id, columns)),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def act(connection: sqlite3.Connection, run_id: str, acted: Acted) -> None:
    """Marks a control message as acted on."""
    row = connection.execute(
        "SELECT kind, call, value, created_at FROM controls WHERE control_id = ?", (acted.control_id,)
    ).fetchone()
    if row is None:
        raise EngineBug(f"control message {acted.control_id} does not exist")
    connection.execute(
        "UPDATE controls SET outcome = ?, sum = ? WHERE control_id = ?",
        (acted.outcome, control_sum(run_id, (*row, acted.outcome)), acted.control_id),
    )
