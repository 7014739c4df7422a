"""The lock, the bell, and how rows are grouped: the parts of a lease without a journal."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

import pytest
from support.journals import attempt_row, call_row, new_version

from engine.journal import lease
from engine.journal.lease import Bell, RunLock
from engine.journal.memory import MemoryJournal


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    assert not lease.is_locked(folder, "run")
    first = RunLock.take(folder, "run")
    assert first is not None
    assert RunLock.take(folder, "run") is None
    assert lease.is_locked(folder, "run")
    assert not lease.is_locked(folder, "other")
    first.release()
    first.release()
    assert not lease.is_locked(folder, "run")
    assert list(folder.iterdir()) == []


def test_a_lock_on_a_file_that_was_removed_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = RunLock.take(tmp_path, "run")
    assert before is not None
    really, opened = fcntl.flock, []

    def flock(fd: int, operation: int) -> None:
        opened.append(os.fstat(fd).st_ino)
        if len(opened) == 1:
            before.release()  # between our open and our lock, the owner before removes the file that we opened
        really(fd, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    lock = RunLock.take(tmp_path, "run")
    assert lock is not None
    assert len(opened) == 2
    assert os.stat(lease.lock_path(tmp_path, "run")).st_ino == opened[1]
    lock.release()


def test_a_lock_is_not_inherited(tmp_path: Path) -> None:
    lock = RunLock.take(tmp_path, "run")
    assert lock is not None
    assert not os.get_inheritable(lock._fd)
    lock.release()


def test_a_lock_of_a_dead_owner_is_free_and_its_file_may_stay(tmp_path: Path) -> None:
    lock = RunLock.take(tmp_path, "run")
    assert lock is not None
    lock.release(remove=False)
    assert lease.lock_path(tmp_path, "run").exists()
    assert not lease.is_locked(tmp_path, "run")
    again = RunLock.take(tmp_path, "run")
    assert again is not None
    again.release()


def test_ringing_where_nobody_listens_does_nothing(tmp_path: Path) -> None:
    lease.ring(tmp_path, "run")
    bell = Bell.hang(tmp_path, "run")
    assert bell is not None
    bell.take_down(remove=False)
    lease.ring(tmp_path, "run")
    lease.sweep(tmp_path, "run")
    assert list(tmp_path.iterdir()) == []


def test_a_bell_takes_any_number_of_rings(tmp_path: Path) -> None:
    bell = Bell.hang(tmp_path, "run")
    assert bell is not None
    lease.ring(tmp_path, "run")
    os.write(bell.fd, b"!" * 1_000_000)  # as many as a pipe holds: a full one has been heard already
    lease.ring(tmp_path, "run")
    bell.hush()
    with pytest.raises(BlockingIOError):
        os.read(bell.fd, 1)
    bell.take_down()
    bell.take_down()


def test_machines_are_told_apart() -> None:
    here = lease.this_machine()
    assert lease.is_here(here.host, "other boot")
    assert lease.is_here("another name of it", here.boot) == bool(here.boot)
    assert not lease.is_here("far", "other boot")
    assert not lease.is_here("far", "")
    assert not lease.is_here(None, None)


async def test_a_request_and_its_attempt_share_a_commit() -> None:
    commits: list[str] = []
    async with MemoryJournal(fault=commits.append) as journal:
        writer = await journal.create_run("run", name="n", project="p", version=new_version())

        async def dispatch() -> None:
            writer.add(attempt_row(1))

        writer.add(call_row(1))
        task = asyncio.create_task(dispatch())
        await writer.flush()
        await task
        assert len(await journal.attempts("run")) == 1
    assert commits.count("before_commit") == 1


async def test_rows_that_come_during_a_commit_go_into_the_next() -> None:
    commits: list[str] = []
    async with MemoryJournal(fault=commits.append) as journal:
        writer = await journal.create_run("run", name="n", project="p", version=new_version())

        def add_five(start: int) -> None:
            for call in range(start, start + 5):
                writer.add(call_row(call))

        writer.add(call_row(1), lambda: add_five(2))
        await writer.flush()
        await writer.flush()
        assert len(await journal.calls("run", 1)) == 6
    assert commits.count("before_commit") == 2
