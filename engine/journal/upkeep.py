"""Deleting runs and giving space back. The caller holds the locks of the runs it deletes."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from engine.journal import codec, reading, search


class Freed(NamedTuple):
    """What was deleted: runs, stored values, and by how many bytes the file (with its log) became smaller."""

    run_ids: tuple[str, ...]
    values: int
    bytes: int


def delete(connection: sqlite3.Connection, path: Path, run_ids: Sequence[str]) -> Freed:
    """Deletes runs and every stored value that nothing refers to, in one transaction, then gives the space back."""
    before, forgotten = _size(path), 0
    connection.execute("BEGIN IMMEDIATE")
    try:
        for run_id in run_ids:
            run = reading.run_number(connection, run_id)
            span = reading.span(connection, run)
            for table in codec.COLUMNS:
                connection.execute(f"DELETE FROM {table} WHERE id BETWEEN ? AND ?", span)
            forgotten += search.forget(connection, span)
            for table in ("controls", "states", "runs"):
                connection.execute(f"DELETE FROM {table} WHERE run = ?", (run,))
        used = referenced(connection)
        unused = [(h,) for (h,) in connection.execute("SELECT hash FROM stored") if h not in used]
        connection.executemany("DELETE FROM stored WHERE hash = ?", unused)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    if run_ids or unused:
        # The runs are gone; what follows only makes the file smaller. It needs room and quiet, and on a full disk the
        # journal must still get its free pages back.
        with contextlib.suppress(sqlite3.Error):
            if forgotten:
                search.purge(connection)
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return Freed(tuple(run_ids), len(unused), max(0, before - _size(path)))


def referenced(connection: sqlite3.Connection) -> set[bytes]:
    """Hashes of all stored values that a row refers to."""
    used: set[bytes] = set()
    for table, columns in codec.TEXTS.items():
        for column in columns:
            used.update(
                h for (h,) in connection.execute(f"SELECT {column} FROM {table} WHERE typeof({column}) = 'blob'")
            )
    return used


def _size(path: Path) -> int:
    files = (path, path.with_name(path.name + "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
