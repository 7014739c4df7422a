"""What SQLite and the file system say, as `JournalError`s that say what to do."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from engine.errors import JournalError

_READ_ONLY = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code, or -1 where the driver gives none (text that is no UTF-8)."""
    return getattr(error, "sqlite_errorcode", -1) & 0xFF if hasattr(error, "sqlite_errorcode") else -1


def is_busy(error: sqlite3.Error) -> bool:
    return primary_code(error) in _BUSY


def is_read_only(error: BaseException | None) -> bool:
    """Whether SQLite refused to write at all, whatever was to be written."""
    return isinstance(error, sqlite3.Error) and primary_code(error) in _READ_ONLY


def damaged(path: Path, problem: str, **fields: object) -> JournalError:
    return JournalError(
        f"the journal {path} is damaged: {problem}",
        code="journal_damaged",
        hint="pawl verify lists what is damaged; what is whole can be saved with pawl export.",
        path=str(path),
        **fields,
    )


def unwritable(path: Path, problem: str) -> JournalError:
    return JournalError(
        f"the journal {path} cannot be used: {problem}",
        code="journal_unwritable",
        hint="Check the folder, its permissions and the disk, or choose another file with --journal.",
        path=str(path),
    )


def full(path: Path) -> JournalError:
    return JournalError(
        f"the journal {path} cannot grow: the disk, the quota or the file size limit is used up",
        code="journal_full",
        hint="Make room (pawl gc --older-than 30d removes old runs), then pawl resume.",
        path=str(path),
    )


def from_sqlite(error: sqlite3.Error, path: Path) -> JournalError:
    """The `JournalError` for what SQLite raised while it used the file at `path`."""
    code = primary_code(error)
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _cannot_grow(path)):
        return full(path)
    if code in _DAMAGED or (code == -1 and "UTF-8" in str(error)):
        return damaged(path, str(error))
    if code in _BUSY:
        return JournalError(
            f"the journal {path} is locked by another process, which has not let go of it for too long",
            code="journal_locked",
            hint="Find the process (lsof on the file shows it) and end it, then try again.",
            path=str(path),
        )
    if code in _READ_ONLY:
        return unwritable(path, f"{error} (read-only, missing, or not permitted)")
    return unwritable(path, str(error))


def from_os(error: OSError, path: Path) -> JournalError:
    """The `JournalError` for what the operating system refused while it used `path`."""
    if error.errno in _DISK_FULL:
        return full(path)
    return unwritable(path, error.strerror or str(error))


def _cannot_grow(path: Path) -> bool:
    """SQLite calls a full file an IO error when the limit is not the disk's. Another byte tells which it was."""
    probe = path.with_name(f"{path.name}-probe-{os.getpid()}")
    try:
        size = max((p.stat().st_size for p in (path, path.with_name(path.name + "-wal")) if p.exists()), default=0)
        fd = os.open(probe, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            os.pwrite(fd, b"\0" * 4096, size)
        finally:
            os.close(fd)
    except OSError as error:
        return error.errno in _DISK_FULL
    finally:
        probe.unlink(missing_ok=True)
    return False
