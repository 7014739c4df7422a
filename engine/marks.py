"""Finds what a command started, wherever it went: all of it carries a mark in its environment.

A process group is not enough: a program can move what it starts into a session of its own, where a group's signal does
not reach; tools of coding agents do. The environment is inherited, and nobody takes a mark off by accident. Linux;
elsewhere no carriers are found, and the group is what is killed.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

MARK = "PAWLED_BY"
"""The variable. Not `PAWL_…`: those are settings."""

_LOOKS = 2 if sys.platform == "linux" else 0
_PAUSE_S = 0.005
_GONE_S = 5.0
"""How long killed processes may take to go: longer only when the system itself hangs."""


def new_mark() -> str:
    """A value of `MARK` that nobody else has."""
    return secrets.token_hex(16)


def carriers(mark: str) -> list[int]:
    """The pids of living processes that carry the mark."""
    if sys.platform != "linux":
        return []
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone by now, or another user's
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def kill_carriers(mark: str) -> int:
    """Kills once who carries the mark. How many there were."""
    found = carriers(mark)
    for pid in found:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return len(found)


def end_carriers(mark: str) -> None:
    """Kills who carries the mark until there is nobody; blocks, some milliseconds as a rule.

    Two looks in a row have to find none: a process that is just becoming another program shows no environment.
    """
    until = time.monotonic() + _GONE_S
    seen_none = 0
    while seen_none < _LOOKS and time.monotonic() < until:
        time.sleep(_PAUSE_S)
        seen_none = 0 if kill_carriers(mark) else seen_none + 1
