"""Opening the file: is it a journal, of which format, and how an older one becomes a newer one.

Runs on the connection's own thread. A format is the number of the newest file in `migrations`; each file takes a
journal from the format before to its own, all of them in one transaction.
"""

from __future__ import annotations

import sqlite3
import time
from functools import cache
from pathlib import Path

from engine.errors import JournalError
from engine.journal import failures

APPLICATION_ID = 0x5041574C
"""`PAWL` in the header of the file, where `file` and SQLite's tools look for it."""

MIGRATIONS = Path(__file__).with_name("migrations")


@cache
def migrations(folder: Path = MIGRATIONS) -> tuple[Path, ...]:
    """The migration files in order: the first makes format 1."""
    return tuple(sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql")))


def newest_format() -> int:
    return len(migrations())


def statements(script: str) -> list[str]:
    """The statements of an SQL file, so that they can run inside one transaction of ours."""
    found, pending = [], ""
    for line in script.splitlines():
        pending += line.partition("--")[0].rstrip() + "\n"
        if sqlite3.complete_statement(pending):
            found.append(pending.strip())
            pending = ""
    if pending.strip():
        raise ValueError(f"unfinished statement: {pending.strip()[:80]}")
    return found


def found_format(connection: sqlite3.Connection, path: Path) -> int:
    """The file's format; 0 when nothing is in it yet.

    Raises:
        JournalError: `not_a_journal`, `journal_newer`.
    """
    (format_number,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        if application == 0 and format_number == 0 and not connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
            return 0
        raise JournalError(
            f"{path} is an SQLite database, but not a journal of Pawl",
            code="not_a_journal",
            hint="Choose another file with --journal.",
            path=str(path),
        )
    if format_number > newest_format():
        raise JournalError(
            f"the journal {path} has format {format_number}; this program knows formats up to {newest_format()}",
            code="journal_newer",
            hint="Update Pawl, or use another file with --journal.",
            path=str(path),
            expected=newest_format(),
            found=format_number,
        )
    return int(format_number)


def prepare_reading(connection: sqlite3.Connection, path: Path) -> None:
    """Raises `JournalError` unless the file can be read as it is."""
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    found = found_format(connection, path)
    if found == 0:
        raise JournalError(f"nothing is in {path} yet", code="journal_empty", path=str(path))
    if found < newest_format():
        raise JournalError(
            f"the journal {path} has format {found}; it must be brought to format {newest_format()} before it is read",
            code="journal_older",
            hint="Run any command that may write to it, for example pawl gc, or copy it to a folder you may write to.",
            path=str(path),
            expected=newest_format(),
            found=found,
        )


def prepare_writing(connection: sqlite3.Connection, path: Path, program: str) -> None:
    """Makes the journal, or brings it to the newest format."""
    connection.execute("PRAGMA trusted_schema = OFF")
    found = found_format(connection, path)
    # Before the first table exists: WAL is a property of the file, kept from then on.
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise failures.unwritable(path, f"its file system cannot do write-ahead logging (it offers {mode!r})")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    if found == newest_format():
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        _migrate(connection, found_format(connection, path), program)  # again: another process may have been quicker
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _migrate(connection: sqlite3.Connection, found: int, program: str) -> None:
    for file in migrations()[found:]:
        for statement in statements(file.read_text(encoding="utf-8")):
            connection.execute(statement)
    if found == 0:
        connection.execute("INSERT INTO meta VALUES ('created_by', ?)", (program,))
        connection.execute("INSERT INTO meta VALUES ('created_at', ?)", (str(time.time_ns() // 1_000_000),))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('format', ?)", (str(newest_format()),))
    connection.execute(f"PRAGMA user_version = {newest_format()}")
