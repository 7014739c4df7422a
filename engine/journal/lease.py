"""Who drives a run: an OS lock that dies with its owner, and a bell that wakes it (I8).

The owner holds `flock` on `locks/<run id>.lock` beside the journal, on a descriptor that no child inherits. A free lock
means that the owner is dead, at once and whatever its pid says now; only across machines, where the lock may not reach,
does the heartbeat in the journal decide. The fencing number, checked inside every commit, is what protects the data.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from functools import cache
from pathlib import Path
from typing import NamedTuple

BEAT_S = 5.0
"""An owner that commits nothing else writes a heartbeat this often: what a crash loses of the driven time."""

STALE_S = 60.0
"""An owner on another machine whose heartbeat is older is dead. Twelve beats: machines stall, clocks differ."""


class Machine(NamedTuple):
    """`boot` is the kernel's id of its last start, or empty: processes that share it share their locks."""

    host: str
    boot: str


@cache
def this_machine() -> Machine:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        boot = ""
    return Machine(socket.gethostname(), boot)


def is_here(host: str | None, boot: str | None) -> bool:
    """Whether an owner's machine is this one (now or before a restart), so that its lock can be asked."""
    here = this_machine()
    return host == here.host or (bool(boot) and boot == here.boot)


def lock_path(folder: Path, run_id: str) -> Path:
    return folder / f"{run_id}.lock"


def bell_path(folder: Path, run_id: str) -> Path:
    return folder / f"{run_id}.bell"


class RunLock:
    """The lock while it is held. Made by `take`."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd

    @classmethod
    def take(cls, folder: Path, run_id: str) -> RunLock | None:
        """The lock, or None when somebody holds it. Raises `OSError` when the folder cannot be used."""
        folder.mkdir(parents=True, exist_ok=True)
        path = lock_path(folder, run_id)
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                return None
            # The owner before may have removed the file after we opened it: then the lock is on a file that nobody else
            # can find, and proves nothing.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(fd), path.stat()):
                    return cls(path, fd)
            os.close(fd)

    def release(self, *, remove: bool = True) -> None:
        """Gives the lock back; `remove` also tidies its file away. Idempotent."""
        if self._fd < 0:
            return
        if remove:
            with contextlib.suppress(OSError):
                self._path.unlink()
        os.close(self._fd)
        self._fd = -1


def is_locked(folder: Path, run_id: str) -> bool:
    """Whether a live process holds the lock. Changes nothing: works in a folder that cannot be written."""
    try:
        fd = os.open(lock_path(folder, run_id), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared, so that two who ask do not see each other. Who wants the lock at this very moment tries again.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


class Bell:
    """A named pipe: who sends a control message writes a byte, and the owner's event loop wakes."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self.fd = fd

    @classmethod
    def hang(cls, folder: Path, run_id: str) -> Bell | None:
        """The bell, or None where the file system has no named pipes."""
        path = bell_path(folder, run_id)
        try:
            with contextlib.suppress(FileExistsError):
                os.mkfifo(path, 0o600)
            # Read and write: there is always a writer, so the pipe never reports its end.
            return cls(path, os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError:
            return None

    def hush(self) -> None:
        """Takes all rings so far."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.fd, 4096):
                pass

    def take_down(self, *, remove: bool = True) -> None:
        if self.fd < 0:
            return
        if remove:
            with contextlib.suppress(OSError):
                self._path.unlink()
        os.close(self.fd)
        self.fd = -1


def ring(folder: Path, run_id: str) -> None:
    """Wakes the owner. Without one there is nothing to do: the message waits in the journal."""
    try:
        fd = os.open(bell_path(folder, run_id), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(fd, b"!")
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EPIPE):
            raise
    finally:
        os.close(fd)


def sweep(folder: Path, run_id: str) -> None:
    """Removes what a dead owner left. The caller holds the lock."""
    with contextlib.suppress(OSError):
        bell_path(folder, run_id).unlink()
