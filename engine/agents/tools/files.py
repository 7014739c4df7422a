"""Opening, reading and replacing files of the workspace: what the file tools share.

A tool asks the policy with the way that a path really leads, links resolved (`way`), and then opens that way and no
other: when a folder was swapped for a link in between, it leads somewhere else, and nothing is opened.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from engine.agents.tools.failed import ToolFailed
from engine.errors import UsageError
from engine.workspace import Place, Workspace, is_hidden

FILE_BYTES = 16 << 20
"""The largest file that is read whole or written. Above this, commands do better."""

SKIPPED = frozenset(
    ("node_modules", "__pycache__", ".venv", "venv", ".tox", ".nox", ".mypy_cache", ".ruff_cache", ".pytest_cache")
)
"""Folders of packages and caches: many files, and none that anybody means."""

_PATH_CHARACTERS, _PATH_PARTS = 4096, 200
"""The system's own limit, and a bound on the folders that are open at a time while one is walked."""

_RENAMING = threading.Lock()
"""Between a last look at a file and its replacement no other tool of ours replaces one."""

_T = TypeVar("_T")


def way(workspace: Workspace, path: str) -> str:
    """Where `path` leads, from the root, links resolved; `.` is the root. It may not exist.

    Raises:
        ToolFailed: out of the workspace, or through something that is no folder.
    """
    parts = path.split("/")
    if len(path) > _PATH_CHARACTERS or len(parts) > _PATH_PARTS:
        raise ToolFailed(f"{path[:60]}… is too long for a path: {len(path):,} characters, {len(parts):,} folders.")
    if any(map(is_hidden, parts)):
        raise ToolFailed(f"{path}: .git and .pawl are not there for file tools.")
    with told(path):
        try:
            with workspace.place(path) as place:
                return "/".join(place.parts) or "."
        except FileNotFoundError:
            # A folder on the way is missing. Whoever writes makes it; whoever reads is told when opening.
            return workspace.missing_way(path)


@contextmanager
def at(workspace: Workspace, admitted: str, *, makes_folders: bool = False) -> Iterator[Place]:
    """The place of a way that was admitted. Raises `ToolFailed` when it leads elsewhere by now."""
    with told(admitted), workspace.place(admitted, makes_folders=makes_folders) as place:
        if ("/".join(place.parts) or ".") != admitted:
            raise ToolFailed(f"{admitted}: changed while it was looked at. Try again.")
        yield place


def open_file(workspace: Workspace, admitted: str) -> int:
    """An open file to read from. Raises `ToolFailed`; never waits for the other end of a pipe."""
    with at(workspace, admitted) as place:
        if place.name == ".":
            raise ToolFailed(f"{admitted} is a folder. list_files shows what is in it.")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        there = os.stat(place.name, dir_fd=place.folder_fd, follow_symlinks=False)
        _refuse_other_kinds(there, admitted)  # before opening: opening some devices does things
        fd = os.open(place.name, flags, dir_fd=place.folder_fd)
        try:
            _refuse_other_kinds(os.fstat(fd), admitted)
        except BaseException:
            os.close(fd)
            raise
        return fd


def _refuse_other_kinds(there: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(there.st_mode):
        raise ToolFailed(f"{path} is a folder. list_files shows what is in it.")
    if not stat.S_ISREG(there.st_mode):
        raise ToolFailed(f"{path} is not a regular file (a pipe, socket or device).")


def is_folder(workspace: Workspace, admitted: str) -> bool:
    """Raises `ToolFailed` when nothing is there."""
    with at(workspace, admitted) as place:
        return stat.S_ISDIR(os.stat(place.name, dir_fd=place.folder_fd, follow_symlinks=False).st_mode)


def entries(workspace: Workspace, admitted: str) -> list[tuple[str, bool]]:
    """Names in a folder, sorted, and whether each is a folder; without what is hidden. Raises `ToolFailed`."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    with at(workspace, admitted) as place:
        fd = os.open(place.name, flags, dir_fd=place.folder_fd)
    try:
        with os.scandir(fd) as scan:
            return sorted(
                (os.fsencode(one.name).decode("utf-8", "replace"), one.is_dir(follow_symlinks=False))
                for one in scan
                if not is_hidden(one.name)
            )
    finally:
        os.close(fd)


def walk(workspace: Workspace, folder: str) -> Iterator[str]:
    """Ways to all regular entries below a folder, without following links, without folders that are `SKIPPED`."""
    todo = [folder]
    while todo:
        here = todo.pop()
        prefix = "" if here == "." else here + "/"
        try:
            found = entries(workspace, here)
        except ToolFailed:
            continue  # gone by now, or not ours to read
        todo += [prefix + name for name, is_dir in reversed(found) if is_dir and name not in SKIPPED]
        yield from (prefix + name for name, is_dir in found if not is_dir)


def read_bytes(workspace: Workspace, admitted: str) -> bytes:
    """All of a file of `FILE_BYTES` at most. Raises `ToolFailed`."""
    with os.fdopen(open_file(workspace, admitted), "rb") as file:
        data = file.read(FILE_BYTES + 1)
    if len(data) > FILE_BYTES:
        raise ToolFailed(f"{admitted} has more than {FILE_BYTES >> 20} MiB. Look at parts of it with run_command.")
    return data


def text_of(data: bytes, path: str) -> str:
    """Raises `ToolFailed` for what is no text."""
    if b"\0" in data[:8192]:
        raise ToolFailed(f"{path} is a binary file ({len(data):,} bytes).")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ToolFailed(f"{path} is not UTF-8 text (byte {error.start:,} of {len(data):,}).") from None


def replace(workspace: Workspace, admitted: str, data: bytes, *, only_if: bytes | None = None) -> bool:
    """Puts `data` at a way, whole or not at all; folders are made, a file's mode is kept. True: it is a new file.

    Written beside it and renamed over it: a reader sees the old or the new, and a hard link elsewhere keeps the old.

    Args:
        only_if: what the file must still hold.
    """
    if len(data) > FILE_BYTES:
        raise ToolFailed(f"{admitted}: more than {FILE_BYTES >> 20} MiB. Write it in parts, or with run_command.")
    with at(workspace, admitted, makes_folders=True) as place:
        if place.name == ".":
            raise ToolFailed(f"{admitted} is a folder.")
        mode: int | None = None
        with suppress(FileNotFoundError):
            there = os.stat(place.name, dir_fd=place.folder_fd, follow_symlinks=False)
            _refuse_other_kinds(there, admitted)
            mode = stat.S_IMODE(there.st_mode) & 0o777  # setuid is not handed on to what a model wrote
        beside = f".pawl-{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(beside, flags, 0o666, dir_fd=place.folder_fd)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                if mode is not None:
                    os.fchmod(fd, mode)
            with _RENAMING:
                _refuse_changed(workspace, admitted, only_if)
                os.replace(beside, place.name, src_dir_fd=place.folder_fd, dst_dir_fd=place.folder_fd)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside, dir_fd=place.folder_fd)
            raise
    return mode is None


def _refuse_changed(workspace: Workspace, path: str, expected: bytes | None) -> None:
    if expected is not None and read_bytes(workspace, path) != expected:
        raise ToolFailed(f"{path} changed while it was edited. Read it again.")


@contextmanager
def told(path: str) -> Iterator[None]:
    """Turns what the system says into words that name the model's path and no other."""
    try:
        yield
    except UsageError as error:
        raise ToolFailed(f"{error.message}. {error.hint}".rstrip()) from None
    except FileNotFoundError:
        raise ToolFailed(f"{path} does not exist. list_files shows what is there.") from None
    except OSError as error:
        what = "is a folder" if error.errno == errno.EISDIR else (error.strerror or "cannot be used").lower()
        raise ToolFailed(f"{path}: {what}.") from None
