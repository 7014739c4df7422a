"""All processes that belong to a command, and whether any is left."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from pathlib import Path

import psutil
from support.pawl import Pawl, until

GONE_WITHIN_S = 3.0


class Family:
    """The processes of one command: its descendants, and whoever inherited its mark in the environment.

    A sandbox child has no environment, a process whose parent has died has no ancestor: neither alone would find all.
    """

    def __init__(self, pawl: Pawl) -> None:
        self.mark = uuid.uuid4().hex
        pawl.environ["CRASH_MARK"] = self.mark
        self._known: dict[int, psutil.Process] = {}

    def look(self, pid: int) -> list[str]:
        """Adds the descendants of `pid` to those that are known; their command lines."""
        lines = []
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(pid).children(recursive=True):
                self._known[process.pid] = process
                with contextlib.suppress(psutil.Error):
                    lines.append(" ".join(process.cmdline()))
        return lines

    def left(self) -> list[str]:
        """Those that still live, with what they are."""
        out = [_told(process) for process in self._known.values() if _lives(process)]
        wanted = f"CRASH_MARK={self.mark}".encode()
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError, psutil.Error):
                process = psutil.Process(int(path.parent.name))
                if wanted in path.read_bytes().split(b"\0") and process.pid != os.getpid() and _lives(process):
                    out.append(_told(process))
        return out

    def must_be_gone(self) -> None:
        began = time.monotonic()
        until(lambda: not self.left() or time.monotonic() - began > GONE_WITHIN_S, "no process is left")
        assert self.left() == []


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def _told(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {process.status()}: {' '.join(process.cmdline())}"
    except psutil.Error:
        return str(process.pid)
