"""readFile, writeFile, glob, exists (S62). All in threads: a file may be on a slow disk.

A thread cannot be stopped, so a withdrawn call waits for its thread: nothing goes on behind the run's back.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from engine.effects.globbing import find
from engine.errors import UsageError
from engine.executors import Emit, Job
from engine.threads import in_thread
from engine.values import Json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.workspace import Workspace

FILE_BYTES = 16 << 20
"""The largest file that a script can read or write; what crosses into the sandbox is a JSON string of it."""

_T = TypeVar("_T")


class Files:
    """The file effects of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def read(self, job: Job, emit: Emit) -> Json:
        """The text at `path`, or None when nothing is there.

        Raises:
            UsageError: `outside_workspace`, `not_a_file`, `not_text`, `file_too_large`, `file_error`.
        """
        return await in_thread(self.read_text, job.content["path"])

    async def write(self, job: Job, emit: Emit) -> Json:
        """Puts `text` at `path`, whole or not at all, and gives True. Folders are made, a file's mode is kept."""
        await in_thread(self.write_text, job.content["path"], job.content["text"])
        return True

    async def exists(self, job: Job, emit: Emit) -> Json:
        """Whether a file or folder is at `path`."""
        return await in_thread(self.is_there, job.content["path"])

    async def glob(self, job: Job, emit: Emit) -> Json:
        """The files that match `pattern`, sorted. See `engine/effects/globbing.py`."""
        withdrawn = threading.Event()
        try:
            return await in_thread(
                find, self._workspace, job.content["pattern"], withdrawn.is_set, cancel=withdrawn.set
            )
        except OSError as error:
            raise _file_error("glob", job.content["pattern"], error) from None

    def read_text(self, path: str) -> str | None:
        with _told("readFile", path):
            try:
                with self._workspace.place(path) as place:
                    # O_NONBLOCK: opening a pipe must not wait for its other end.
                    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                    fd = os.open(place.name, flags, dir_fd=place.folder_fd)
            except (FileNotFoundError, NotADirectoryError):
                return None
            with os.fdopen(fd, "rb") as file:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise _not_a_file("readFile", path)
                data = file.read(FILE_BYTES + 1)
        if len(data) > FILE_BYTES:
            raise _too_large("readFile", path)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise UsageError(
                f"readFile({path!r}): not UTF-8 text (byte {error.start})",
                code="not_text",
                hint="Let an agent or a check() look at files that are not text.",
            ) from None

    def write_text(self, path: str, text: str) -> None:
        data = text.encode(errors="replace")  # half a surrogate pair is no text; the script's side refuses it already
        if len(data) > FILE_BYTES:
            raise _too_large("writeFile", path)
        with _told("writeFile", path), self._workspace.place(path, makes_folders=True) as place:
            if place.name == ".":
                raise _not_a_file("writeFile", path)
            _replace(place.folder_fd, place.name, data, path)

    def is_there(self, path: str) -> bool:
        with _told("exists", path):
            try:
                with self._workspace.place(path) as place:
                    os.stat(place.name, dir_fd=place.folder_fd, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                return False
        return True


def _replace(folder_fd: int, name: str, data: bytes, path: str) -> None:
    """Writes beside the file, syncs, and renames over it: a reader and a crash see the old text or the new one."""
    mode: int | None = None
    with suppress(FileNotFoundError):
        there = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        if not stat.S_ISREG(there.st_mode):
            raise _not_a_file("writeFile", path)
        mode = stat.S_IMODE(there.st_mode)
    beside = f".pawl-{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(beside, flags, 0o666, dir_fd=folder_fd)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            if mode is not None:
                os.fchmod(fd, mode)
            os.fsync(fd)
        os.replace(beside, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside, dir_fd=folder_fd)
        raise


@contextmanager
def _told(what: str, path: str) -> Iterator[None]:
    """Turns what the system says into an error that names the script's path and no other."""
    try:
        yield
    except OSError as error:
        raise _file_error(what, path, error) from None


def _file_error(what: str, path: str, error: OSError) -> UsageError:
    if error.errno == errno.EISDIR:
        return _not_a_file(what, path)
    return UsageError(f"{what}({path!r}): {error.strerror or 'cannot be done'}", code="file_error")


def _not_a_file(what: str, path: str) -> UsageError:
    return UsageError(f"{what}({path!r}): not a file", code="not_a_file", hint="Use glob() to see what is there.")


def _too_large(what: str, path: str) -> UsageError:
    return UsageError(f"{what}({path!r}): more than {FILE_BYTES >> 20} MiB", code="file_too_large")
