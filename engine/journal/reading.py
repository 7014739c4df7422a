"""Questions to the journal, as plain functions of a connection. Each runs inside one read transaction.

What reaches a script or decides what is reused is checked against its checksum on the way (`records`); the rest is
proved by `pawl verify`.
"""

from __future__ import annotations

import difflib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from engine.errors import JournalError, UsageError
from engine.journal import codec, state
from engine.journal.codec import COLUMNS, RUN_SHIFT
from engine.journal.state import State
from engine.values import (
    AttemptRow,
    CallKind,
    CallRow,
    Control,
    DeliveryRow,
    EventRow,
    LoadRow,
    Outcome,
    Record,
    SettlementRow,
    TurnRow,
    VersionInfo,
    WorktreeRow,
)

_MASK = (1 << RUN_SHIFT) - 1


class RunRow(NamedTuple):
    run: int
    run_id: str
    name: str
    project: str
    created_at: int
    state: State


class ModelUsage(NamedTuple):
    """What one answered agent call of a model used on average, over `calls` of them."""

    calls: int
    input_tokens: float
    output_tokens: float
    cost_usd: float


def unknown_run(connection: sqlite3.Connection | None, run_id: str) -> UsageError:
    near: list[str] = []
    if connection is not None:
        names = [name for (name,) in connection.execute("SELECT run_id FROM runs ORDER BY run DESC LIMIT 10000")]
        near = difflib.get_close_matches(run_id, names, 3) or [n for n in names if n.startswith(run_id)][:3]
    return UsageError(
        f"no run {run_id} in this journal",
        code="unknown_run",
        hint=f"Did you mean {' or '.join(near)}?" if near else "pawl runs lists the runs of this project.",
        run_id=run_id,
        near=near,
    )


def run_number(connection: sqlite3.Connection, run_id: str) -> int:
    """Raises `UsageError` (`unknown_run`, with near names)."""
    row = connection.execute("SELECT run FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if row is None:
        raise unknown_run(connection, run_id)
    return int(row[0])


def run_rows(connection: sqlite3.Connection, run_id: str | None = None) -> list[RunRow]:
    """One run, or all of them, newest first."""
    where, parameters = ("", ()) if run_id is None else ("WHERE r.run_id = ?", (run_id,))
    rows = connection.execute(
        f"SELECT r.run, r.run_id, r.name, r.project, r.created_at, s.sum, {state.SELECT}"
        f" FROM runs r JOIN states s ON s.run = r.run {where} ORDER BY r.created_at DESC, r.run DESC",
        parameters,
    )
    return [RunRow._make((*row[:5], state.proved(State(*row[6:]), row[5], row[1]))) for row in rows]


def span(connection: sqlite3.Connection, run: int, version: int | None = None) -> tuple[int, int]:
    """The ids between which the rows of a run, or of one of its versions, lie: one owner at a time writes the log."""
    low, high = run << RUN_SHIFT, (run << RUN_SHIFT) + _MASK
    if version is None:
        return low, high
    starts = dict(
        connection.execute("SELECT version, id FROM versions WHERE id BETWEEN ? AND ? ORDER BY id", (low, high))
    )
    if version not in starts:
        return low, low
    return starts[version], starts.get(version + 1, high + 1) - 1


_SELECT = {
    table: f"SELECT id, {', '.join(columns)}, sum FROM {table} WHERE id BETWEEN ? AND ? {{}} ORDER BY id"
    for table, columns in COLUMNS.items()
}


def stored_value(connection: sqlite3.Connection, digest: bytes) -> bytes:
    """A large value. Raises `JournalError` (`journal_damaged`)."""
    row = connection.execute("SELECT size, data FROM stored WHERE hash = ?", (digest,)).fetchone()
    name = f"stored value {digest.hex()[:16]}…"
    if row is None:
        raise damaged_record(f"{name} is missing")
    try:
        return codec.unpack(digest, *row)
    except (ValueError, TypeError) as error:
        raise damaged_record(f"{name} {error}") from None


def damaged_record(problem: str, **fields: object) -> JournalError:
    return JournalError(
        f"the journal is damaged: {problem}",
        code="journal_damaged",
        hint="pawl verify lists what is damaged. pawl resume --rerun CALL asks again what a damaged record held.",
        **fields,
    )


def _reader(connection: sqlite3.Connection) -> Callable[[Any], Any]:
    """Makes a text column bytes again, wherever it lies."""

    def read(column: str | bytes | None) -> bytes | None:
        if isinstance(column, str):
            return column.encode()
        return None if column is None else stored_value(connection, column)

    return read


def version(connection: sqlite3.Connection, run: int, run_id: str, number: int | None) -> VersionInfo:
    """Raises `UsageError` (`unknown_version`)."""
    where = span(connection, run)
    read = _reader(connection)
    found = {row[1]: row[1:-1] for row in proved(connection, "versions", run_id, where)}
    wanted = max(found, default=0) if number is None else number
    if wanted not in found:
        raise UsageError(
            f"run {run_id} has no version {wanted}: it has {len(found)}",
            code="unknown_version",
            hint=f"pawl show {run_id} lists the versions.",
            run_id=run_id,
            version=wanted,
        )
    columns = _with_texts(read, "versions", found[wanted])
    ends = [row[1:-1] for row in proved(connection, "ends", run_id, where) if row[1] == wanted]
    end = codec.version_end(_with_texts(read, "ends", ends[-1])) if ends else None
    return codec.version_info(columns, end)


def _with_texts(read: Callable[[Any], Any], table: str, columns: Sequence[Any]) -> list[Any]:
    texts = codec.TEXTS[table]
    return [read(value) if name in texts else value for name, value in zip(COLUMNS[table], columns, strict=True)]


def records(connection: sqlite3.Connection, run: int, run_id: str) -> list[Record]:
    """See `ports.Journal.records`. Raises `JournalError` when a record does not fit its checksum."""
    where = span(connection, run)
    settled = _checked_settlements(connection, run_id, where)
    attempts: dict[int, tuple[int, str]] = {}
    for call, attempt, backend in connection.execute(
        "SELECT call, attempt, backend FROM attempts WHERE id BETWEEN ? AND ? ORDER BY id", where
    ):
        attempts[call] = (max(attempt, attempts[call][0]) if call in attempts else attempt, backend)
    retired = {c for (c,) in connection.execute("SELECT call FROM retired WHERE id BETWEEN ? AND ?", where)}
    found: dict[int, Record] = {}
    no_attempt = (0, None)
    for row in proved(connection, "calls", run_id, where):
        call = row[2]
        if call in found:
            continue  # a later version asked the same again
        count, backend = attempts.get(call, no_attempt)
        settlement = settled.get(call)
        found[call] = Record(
            call,
            row[4],
            row[6],
            row[7],
            row[8],
            row[9],
            call in retired,
            count,
            backend if settlement is None or settlement.backend is None else settlement.backend,
            settlement,
        )
    return [found[call] for call in sorted(found)]


def proved(
    connection: sqlite3.Connection, table: str, run_id: str, where: tuple[int, int], condition: str = ""
) -> Iterator[Sequence[Any]]:
    """Rows (id, columns, checksum) of a table between two ids, in order, each checked against its checksum."""
    is_whole_row = codec.prover(table, run_id)
    for row in connection.execute(_SELECT[table].format(condition), where):
        try:
            is_whole = is_whole_row(row)
        except (TypeError, ValueError):
            is_whole = False
        if not is_whole:
            raise damaged_record(
                f"row {row[0] & _MASK} of {table} of run {run_id} does not fit its checksum",
                run_id=run_id,
                table=table,
                row=row[0] & _MASK,
            )
        yield row


def _checked_settlements(
    connection: sqlite3.Connection, run_id: str, where: tuple[int, int]
) -> dict[int, SettlementRow]:
    """The newest settlement of each call."""
    found: dict[int, SettlementRow] = {}
    for row in proved(connection, "settlements", run_id, where):
        value, error, meta = row[5], row[7], row[14]
        found[row[2]] = SettlementRow(
            row[2],
            row[3],
            row[4],
            value.encode() if type(value) is str else stored_value(connection, value),
            row[6],
            error.encode() if type(error) is str else stored_value(connection, error),
            row[8],
            row[9],
            row[10],
            row[11],
            row[12],
            row[13],
            meta.encode() if type(meta) is str else stored_value(connection, meta),
        )
    return found


def settlements(connection: sqlite3.Connection, run: int, run_id: str) -> dict[int, SettlementRow]:
    return _checked_settlements(connection, run_id, span(connection, run))


def calls(connection: sqlite3.Connection, run: int, run_id: str, number: int) -> list[CallRow]:
    read = _reader(connection)
    rows = [CallRow(*row[2:-1]) for row in proved(connection, "calls", run_id, span(connection, run, number))]
    wanted = {row.call for row in rows if not row.content}
    first: dict[int, Any] = {}
    if wanted:
        for call, content in connection.execute(
            "SELECT call, content FROM calls WHERE id BETWEEN ? AND ? AND content <> '' ORDER BY id",
            span(connection, run),
        ):
            if call in wanted:
                first.setdefault(call, content)
    rows.sort(key=lambda row: row.number)
    return [row._replace(content=read(row.content or first.get(row.call, ""))) for row in rows]


def attempts(connection: sqlite3.Connection, run: int, run_id: str) -> list[AttemptRow]:
    return [AttemptRow(*row[2:-1]) for row in proved(connection, "attempts", run_id, span(connection, run))]


def deliveries(connection: sqlite3.Connection, run: int, run_id: str, number: int) -> list[DeliveryRow]:
    read = _reader(connection)
    rows = proved(connection, "deliveries", run_id, span(connection, run, number))
    return [DeliveryRow(row[2], tuple(json.loads(read(row[3])))) for row in rows]


def loads(connection: sqlite3.Connection, run: int, run_id: str, number: int) -> list[LoadRow]:
    read = _reader(connection)
    rows = proved(connection, "loads", run_id, span(connection, run, number))
    return [LoadRow._make((*row[2:5], read(row[5]), read(row[6]))) for row in rows]


def events(connection: sqlite3.Connection, run: int, run_id: str, number: int | None, after: int) -> list[EventRow]:
    read = _reader(connection)
    rows = proved(connection, "events", run_id, span(connection, run, number), f"AND seq > {int(after)}")
    return [EventRow._make((*row[2:5], read(row[5]))) for row in rows]


def turns(connection: sqlite3.Connection, run: int, run_id: str, call: int | None) -> list[TurnRow]:
    read = _reader(connection)
    condition = "" if call is None else f"AND call = {int(call)}"
    rows = proved(connection, "turns", run_id, span(connection, run), condition)
    return [TurnRow._make((*row[2:7], read(row[7]))) for row in rows]


def worktrees(connection: sqlite3.Connection, run: int, run_id: str) -> list[WorktreeRow]:
    read = _reader(connection)
    rows = proved(connection, "worktrees", run_id, span(connection, run))
    return [WorktreeRow._make((*row[2:8], read(row[8]))) for row in rows]


def controls(connection: sqlite3.Connection, run: int) -> list[Control]:
    rows = connection.execute(
        "SELECT control_id, kind, call, value, created_at FROM controls"
        " WHERE run = ? AND outcome IS NULL ORDER BY control_id",
        (run,),
    )
    return [Control(i, kind, call, json.loads(value), created_at) for i, kind, call, value, created_at in rows]


def control_outcome(connection: sqlite3.Connection, control_id: int) -> str | None:
    row = connection.execute("SELECT outcome FROM controls WHERE control_id = ?", (control_id,)).fetchone()
    return None if row is None else row[0]


def mean_usage(connection: sqlite3.Connection) -> dict[str, ModelUsage]:
    """By model (by backend where none is known), over all answered agent calls of all runs; not those of `sample`."""
    agents: dict[tuple[int, int], None] = {
        (row_id >> RUN_SHIFT, call): None
        for row_id, call in connection.execute("SELECT id, call FROM calls WHERE kind = ?", (str(CallKind.AGENT),))
    }
    sums: dict[str, list[float]] = {}
    for row_id, call, name, *used in connection.execute(
        "SELECT id, call, COALESCE(model, backend), input_tokens, output_tokens, cost_usd FROM settlements"
        " WHERE outcome = ? AND backend IS NOT NULL AND backend <> 'sample' AND backend NOT LIKE 'sample:%'",
        (str(Outcome.OK),),
    ):
        if (row_id >> RUN_SHIFT, call) in agents:
            totals = sums.setdefault(name, [0, 0.0, 0.0, 0.0])
            for i, amount in enumerate((1, *used)):
                totals[i] += amount
    return {name: ModelUsage(int(n), i / n, o / n, c / n) for name, (n, i, o, c) in sorted(sums.items())}
