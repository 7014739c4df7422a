"""`pawl verify`: every record against its checksum, and the records against each other. Finds, never repairs.

Text is taken as bytes, for a flipped bit may have made it something that is no text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from engine.errors import JournalError
from engine.journal import codec, reading, search
from engine.journal.codec import COLUMNS, RUN_SHIFT
from engine.journal.state import FIELDS, State
from engine.values import TurnRow

_MASK = (1 << RUN_SHIFT) - 1


class _Problem(NamedTuple):
    run_id: str | None
    table: str | None
    row: int | str | None
    problem: str


def verify(connection: sqlite3.Connection, run_id: str | None) -> list[dict[str, Any]]:
    """All problems of one run, or of the whole file."""
    connection.text_factory = bytes
    try:
        return [problem._asdict() for problem in _problems(connection, run_id)]
    finally:
        connection.text_factory = str


def _problems(connection: sqlite3.Connection, run_id: str | None) -> Iterator[_Problem]:
    if run_id is None:
        for (line,) in connection.execute("PRAGMA integrity_check").fetchall():
            if line != b"ok":
                yield _Problem(None, None, None, line.decode(errors="replace"))
        (number,) = connection.execute("PRAGMA user_version").fetchone()
        said = connection.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
        if said is None or said[0] != str(number).encode():
            yield _Problem(None, "meta", "format", f"does not agree with the file's header, which says {number}")
        yield from _stored(connection)
        yield from _strays(connection)
    for row in connection.execute("SELECT run, run_id, name, project, created_at, sum FROM runs").fetchall():
        name = row[1].decode(errors="replace") if isinstance(row[1], bytes) else str(row[1])
        if run_id in (None, name):
            yield from _run(connection, row[0], name, row)


def _text(columns: Iterable[Any], blobs: Sequence[int] = ()) -> tuple[Any, ...]:
    """Columns as SQLite would give them with text as text. Raises `UnicodeDecodeError`."""
    return tuple(c.decode() if isinstance(c, bytes) and i not in blobs else c for i, c in enumerate(columns))


def _is_whole(
    table: str, run_id: str, place: int, *, columns: Iterable[Any], blobs: Sequence[int] = (), digest: Any
) -> bool:
    try:
        return bool(codec.checksum(codec.canonical(table, run_id, place, _text(columns, blobs))) == digest)
    except (TypeError, ValueError, AttributeError):
        return False  # a column changed its type, or is no text any more


def _run(connection: sqlite3.Connection, run: int, run_id: str, row: Sequence[Any]) -> Iterator[_Problem]:
    mismatch = "does not fit its checksum"
    if not _is_whole("runs", run_id, 0, columns=row[2:5], digest=row[5]):
        yield _Problem(run_id, "runs", run_id, mismatch)
    log = _Log(connection, run, run_id)
    yield from log.check_rows()
    yield from _words(connection, run, run_id, log.damaged)
    found = connection.execute(f"SELECT {', '.join(FIELDS)}, sum FROM states WHERE run = ?", (run,)).fetchone()
    if found is None:
        yield _Problem(run_id, "states", run_id, "is missing")
    else:
        try:
            current = State(*_text(found[:-1]))
            is_whole = current.sum(run_id) == found[-1]
        except (TypeError, ValueError):
            is_whole = False
        if is_whole:
            yield from log.check_against(current)
        else:
            yield _Problem(run_id, "states", run_id, mismatch)
    for control_id, *columns, digest in connection.execute(
        "SELECT control_id, kind, call, value, created_at, outcome, sum FROM controls WHERE run = ?", (run,)
    ):
        if not _is_whole("controls", run_id, 0, columns=columns, digest=digest):
            yield _Problem(run_id, "controls", control_id, mismatch)


class _Log:
    """The rows of one run, read once."""

    def __init__(self, connection: sqlite3.Connection, run: int, run_id: str) -> None:
        self._connection = connection
        self._where = (run << RUN_SHIFT, (run << RUN_SHIFT) + _MASK)
        self._run_id = run_id
        self.damaged: set[tuple[str, int]] = set()
        self._places: set[int] = set()
        self._mentioned: list[tuple[str, int, int]] = []  # table, place, call
        self._calls: set[int] = set()
        self._paid: list[Any] = [0, 0, 0.0]

    def check_rows(self) -> Iterator[_Problem]:
        stored = {bytes(h) for (h,) in self._connection.execute("SELECT hash FROM stored")}
        orders: dict[int, int] = {}
        for table in COLUMNS:
            texts = [COLUMNS[table].index(name) for name in codec.TEXTS.get(table, ())]
            kinds = "".join(f", typeof({COLUMNS[table][index]}) = 'blob'" for index in texts)
            query = (
                f"SELECT id, {', '.join(COLUMNS[table])}, sum{kinds} FROM {table} WHERE id BETWEEN ? AND ? ORDER BY id"
            )
            keys = [COLUMNS[table].index(name) for name in ("key", "history") if name in COLUMNS[table]]
            width = len(COLUMNS[table])
            for row in self._connection.execute(query, self._where):
                place, columns, digest = row[0] & _MASK, row[1 : width + 1], row[width + 1]
                hashed = [index for index, is_blob in zip(texts, row[width + 2 :], strict=True) if is_blob]
                self._places.add(place)
                if not _is_whole(table, self._run_id, place, columns=columns, blobs=(*keys, *hashed), digest=digest):
                    self.damaged.add((table, place))
                    yield _Problem(self._run_id, table, place, "does not fit its checksum")
                    continue
                for index in hashed:
                    if columns[index] not in stored:
                        problem = f"its {COLUMNS[table][index]} is missing: stored value {columns[index].hex()[:16]}…"
                        yield _Problem(self._run_id, table, place, problem)
                if table == "settlements":
                    self._add_up(columns)
                    order = columns[2]
                    if order and orders.setdefault(order, place) != place:
                        yield _Problem(self._run_id, table, place, f"has the same order {order} as row {orders[order]}")
                if table == "calls":
                    self._calls.add(columns[1])
                elif table in ("attempts", "settlements", "retired", "turns", "worktrees"):
                    self._mentioned.append((table, place, columns[1]))
        for table, place, call in self._mentioned:
            if call not in self._calls:
                yield _Problem(self._run_id, table, place, f"belongs to call {call}, which is not recorded")

    def _add_up(self, settlement: Sequence[Any]) -> None:
        for i, name in enumerate(("input_tokens", "output_tokens", "cost_usd")):
            self._paid[i] += settlement[COLUMNS["settlements"].index(name)]

    def check_against(self, current: State) -> Iterator[_Problem]:
        missing = sorted(set(range(1, current.last + 1)) - self._places)
        if missing:
            problem = f"{len(missing)} rows are missing from its log: {', '.join(map(str, missing[:10]))}"
            yield _Problem(self._run_id, None, missing[0], problem)
        elif len(self._places) != current.last:
            yield _Problem(self._run_id, None, current.last, "there are rows past the end of its log")
        elif self._paid != [current.input_tokens, current.output_tokens, current.cost_usd]:
            yield _Problem(
                self._run_id, "states", self._run_id, f"its totals do not add up: settlements say {self._paid}"
            )


def _words(connection: sqlite3.Connection, run: int, run_id: str, damaged: set[tuple[str, int]]) -> Iterator[_Problem]:
    """The search index against the turns that it was made from. It proves nothing of its own."""
    span = (run << RUN_SHIFT, (run << RUN_SHIFT) + _MASK)
    try:
        rows = connection.execute(
            "SELECT t.id, t.role, typeof(t.body) = 'blob', t.body, w.text FROM turns t LEFT JOIN words w"
            " ON w.rowid = t.id WHERE t.id BETWEEN ? AND ?",
            span,
        )
        for row_id, role, is_hash, body, text in rows:
            if ("turns", row_id & _MASK) in damaged:
                continue
            try:
                plain = reading.stored_value(connection, body) if is_hash else body
                turn = TurnRow(0, 0, 0, _text([role])[0], 0, plain)
                is_whole = text is not None and search.text_of(turn).encode() == text
            except (JournalError, ValueError, TypeError, AttributeError):
                continue  # its stored value is damaged, and has been named
            if not is_whole:
                yield _Problem(run_id, "words", row_id & _MASK, "the search index does not hold what the turn says")
        (strays,) = connection.execute(
            "SELECT COUNT(*) FROM words w WHERE w.rowid BETWEEN ? AND ?"
            " AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.id = w.rowid)",
            span,
        ).fetchone()
    except sqlite3.DatabaseError as error:
        yield _Problem(run_id, "words", None, f"the search index cannot be read ({error})")
        return
    if strays:
        yield _Problem(run_id, "words", None, f"the search index holds {strays} texts of no turn")


def _stored(connection: sqlite3.Connection) -> Iterator[_Problem]:
    for digest, size, data in connection.execute("SELECT hash, size, data FROM stored"):
        try:
            codec.unpack(digest, size, data)
        except (ValueError, TypeError) as error:
            shown = digest.hex()[:16] if isinstance(digest, bytes) else str(digest)
            yield _Problem(None, "stored", shown, str(error))


def _strays(connection: sqlite3.Connection) -> Iterator[_Problem]:
    """Rows of runs that are not there."""
    known = {run for (run,) in connection.execute("SELECT run FROM runs")}
    for table in (*COLUMNS, "states", "controls"):
        run = "run" if table in ("states", "controls") else f"id >> {RUN_SHIFT}"
        for number, count in connection.execute(f"SELECT {run}, COUNT(*) FROM {table} GROUP BY 1"):
            if number not in known:
                yield _Problem(None, table, None, f"{count} rows belong to run number {number}, which is not there")
