"""Marks: whatever carries one is found and ended."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from engine import marks
from engine.marks import MARK, carriers, end_carriers, new_mark

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the environment of a process")

BECOMES_ANOTHER = 'exec /bin/sh -c "$1" x "$1"'
"""Becomes a new program all the time, and shows no environment for a moment each time."""


def test_what_becomes_another_program_all_the_time_is_ended() -> None:
    mark = new_mark()
    script = 'trap \'\' TERM; setsid -f /bin/sh -c "$1" x "$1"; setsid -f sleep 600'
    subprocess.run(["/bin/sh", "-c", script, "x", BECOMES_ANOTHER], env={**os.environ, MARK: mark}, check=True)
    end_carriers(mark)
    assert carriers(mark) == []


def test_one_look_that_finds_nobody_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fell into the moment of an exec."""
    process = subprocess.Popen(["sleep", "600"])
    looks = iter([[], [process.pid], [], []])
    monkeypatch.setattr(marks, "carriers", lambda mark: next(looks))
    end_carriers("any")
    assert process.wait(10) == -9


def test_who_carries_another_mark_is_left_alone() -> None:
    mark = new_mark()
    other = subprocess.Popen(["sleep", "600"], env={**os.environ, MARK: new_mark()})
    try:
        end_carriers(mark)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
