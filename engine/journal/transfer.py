"""A run as one file: JSON Lines, each line `[checksum, record]`, where the checksum is over the record's own text.

The first record is `["pawl export", format, run id]`, the last `["end", number of records between]`. Between them:
the run and its state, the large values, then every row of its log in the canonical form that the journal itself checks,
so that a row keeps its checksum from the machine that wrote it to the one that reads it. Control messages stay behind:
they are for a process, not a part of what happened.
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from engine.errors import JournalError, PawlError, UsageError
from engine.journal import codec, reading, schema, search, state
from engine.journal.codec import COLUMNS, RUN_SHIFT
from engine.journal.state import FIELDS, State
from engine.values import RUN_ID, RunStatus

_HEADER = "pawl export"
_MISFITS = (ValueError, TypeError, LookupError, AttributeError, OverflowError, sqlite3.IntegrityError)
"""What a record that passes its checksum, but was not written by an export, may make the code below raise."""
_MASK = (1 << RUN_SHIFT) - 1


def run_sum(run_id: str, name: str, project: str, created_at: int) -> bytes:
    """The checksum of a row of `runs`."""
    return codec.checksum(codec.canonical("runs", run_id, 0, (name, project, created_at)))


def insert_run(connection: sqlite3.Connection, run_id: str, name: str, project: str, created_at: int) -> int:
    """Writes a row of `runs`; returns the run's number."""
    cursor = connection.execute(
        "INSERT INTO runs (run_id, name, project, created_at, sum) VALUES (?, ?, ?, ?, ?)",
        (run_id, name, project, created_at, run_sum(run_id, name, project, created_at)),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def export_run(connection: sqlite3.Connection, run: int, run_id: str, path: Path) -> int:
    """Writes the run to `path`, which appears only when it is whole. Returns the number of records."""
    partial = path.with_name(f"{path.name}.part-{os.getpid()}")
    try:
        try:
            with partial.open("wb") as file:
                count = 0
                file.write(_line(orjson.dumps((_HEADER, schema.newest_format(), run_id))))
                for record in _records(connection, run, run_id):
                    file.write(_line(record))
                    count += 1
                file.write(_line(orjson.dumps(("end", count))))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror or error}", code="unwritable", hint="Choose another file with -o."
        ) from error
    return count


def _line(record: bytes) -> bytes:
    return b'["%s",%s]\n' % (codec.checksum(record).hex().encode(), record)


def _records(connection: sqlite3.Connection, run: int, run_id: str) -> Iterator[bytes]:
    row = reading.run_rows(connection, run_id)[0]
    current = row.state
    current.disown()
    yield codec.canonical("runs", run_id, 0, (row.name, row.project, row.created_at))
    yield orjson.dumps(("states", run_id, 0, *current.columns()))
    sent: set[bytes] = set()
    for table in COLUMNS:
        texts = [COLUMNS[table].index(name) for name in codec.TEXTS.get(table, ())]
        for row_id, *columns, _sum in reading.proved(connection, table, run_id, reading.span(connection, run)):
            for index in texts:
                digest = columns[index]
                if isinstance(digest, bytes) and digest not in sent:
                    sent.add(digest)
                    plain = reading.stored_value(connection, digest)
                    yield orjson.dumps(
                        ("stored", base64.b64encode(codec.pack(plain)).decode(), len(plain), digest.hex())
                    )
            yield codec.canonical(table, run_id, row_id & _MASK, columns)


def import_run(connection: sqlite3.Connection, path: Path) -> str:
    """Takes the run in, in one transaction. Returns its id."""
    try:
        with path.open("rb") as file:
            connection.execute("BEGIN IMMEDIATE")
            try:
                run_id = _Import(connection, path).take(file)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror or error}", code="unreadable", hint="Check the name of the file."
        ) from error
    return run_id


class _Import:
    """One import: reads line by line, trusts nothing."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._number = 0
        self._run = 0
        self._state: State | None = None
        self._turns: list[int] = []

    def take(self, lines: Iterator[bytes]) -> str:
        run_id = self._header(next(lines, b""))
        count = 0
        places: set[int] = set()
        for line in lines:
            record, text = self._record(line)
            if record[0] == "end":
                written = record[-1]
                if written != count:
                    raise self._damaged(f"it holds {count} records where {written} were written")
                if next(lines, None) is not None:
                    raise self._damaged("it goes on after its end")
                if self._state is None or places != set(range(1, self._state.last + 1)):
                    raise self._damaged("records are missing")
                self._check_readable(run_id)
                return run_id
            count += 1
            try:
                self._insert(run_id, record, text, places)
            except _MISFITS as error:
                raise self._damaged(f"line {self._number} does not fit ({error})") from error
        raise self._damaged(f"it breaks off after {count} records")

    def _header(self, line: bytes) -> str:
        try:
            record, _ = self._record(line)
        except JournalError:
            record = []
        match record:
            case [kind, int() as format_number, str() as run_id] if kind == _HEADER and RUN_ID.match(run_id):
                pass
            case _:
                raise UsageError(
                    f"{self._path} is no export of a run",
                    code="not_an_export",
                    hint="pawl export RUN -o FILE writes one.",
                )
        if format_number > schema.newest_format():
            raise JournalError(
                f"{self._path} has format {format_number}; this program knows formats up to {schema.newest_format()}",
                code="export_newer",
                hint="Update Pawl.",
                expected=schema.newest_format(),
                found=format_number,
            )
        if self._connection.execute("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)).fetchone():
            raise UsageError(
                f"run {run_id} exists already in this journal",
                code="run_exists",
                hint=f"pawl delete {run_id} removes it; or import into another file with --journal.",
                run_id=run_id,
            )
        return run_id

    def _record(self, line: bytes) -> tuple[list[Any], bytes]:
        """A line's record, and its text, proved by its checksum."""
        self._number += 1
        digits, text = line[2:34], line[36:-2]
        is_framed = line[:2] == b'["' and line[34:36] == b'",' and line[-2:] == b"]\n"
        if not is_framed or codec.checksum(text).hex().encode() != digits:
            raise self._damaged(f"line {self._number} does not fit its checksum")
        try:
            record = json.loads(text)
        except ValueError:
            record = None
        if not (isinstance(record, list) and record):
            raise self._damaged(f"line {self._number} holds no record")
        return record, text

    def _insert(self, run_id: str, record: Sequence[Any], text: bytes, places: set[int]) -> None:
        table, *rest = record
        connection = self._connection
        if table == "stored":
            data, size, digest = base64.b64decode(rest[0], validate=True), rest[1], bytes.fromhex(rest[2])
            codec.unpack(digest, size, data)
            connection.execute("INSERT OR IGNORE INTO stored (hash, size, data) VALUES (?, ?, ?)", (digest, size, data))
            return
        owner, place, *columns = rest
        if owner != run_id:
            raise ValueError(f"a record of {owner}")
        if table == "runs":
            self._run = insert_run(connection, run_id, *columns)
        elif table == "states":
            self._state = State(**dict(zip(FIELDS, columns, strict=True)))
            state.insert(connection, self._run, run_id, self._state)
        else:
            if place in places:
                raise ValueError(f"place {place} twice")
            places.add(place)
            full = ((self._run << RUN_SHIFT) + place, *codec.revived(table, columns), codec.checksum(text))
            connection.execute(codec.INSERT[table], full)
            if table == "turns":
                self._turns.append(full[0])

    def _check_readable(self, run_id: str) -> None:
        """Reads all that was taken in: what passes its checksums may still be something that no journal ever wrote."""
        connection, run = self._connection, self._run
        try:
            current = state.read(connection, run, run_id)
            RunStatus(current.status)
            for number in range(1, current.version + 1):
                reading.version(connection, run, run_id, number)
                reading.calls(connection, run, run_id, number)
                reading.deliveries(connection, run, run_id, number)
                reading.loads(connection, run, run_id, number)
            reading.events(connection, run, run_id, None, 0)
            for tree in reading.worktrees(connection, run, run_id):
                json.loads(tree.body).items()
            turns = reading.turns(connection, run, run_id, None)
            search.add(connection, zip(sorted(self._turns), map(search.text_of, turns), strict=True))
            reading.records(connection, run, run_id)
        except (*_MISFITS, PawlError) as error:
            raise self._damaged(f"it cannot be read ({error})") from error

    def _damaged(self, problem: str) -> JournalError:
        return JournalError(
            f"the export {self._path} is damaged: {problem}; nothing was imported",
            code="export_damaged",
            hint="Export the run again, or copy the file again.",
            path=str(self._path),
        )
