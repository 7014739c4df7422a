"""check(): real commands, real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from engine.clock import SystemClock
from engine.effects import Checks, Workspace
from engine.errors import UsageError
from engine.executors import Job
from engine.processes import KEPT_BYTES
from engine.values import CallKind


def check(tmp_path, command, **options):
    job = Job(1, CallKind.CHECK, {"command": command, **options}, b"")
    return Checks(Workspace(tmp_path), SystemClock()).run(job, lambda body: None)


HOST = """
import asyncio, sys
from engine.clock import SystemClock
from engine.processes import run_shell
command = "sleep 600 & echo $$ $! > pids; wait"
asyncio.run(run_shell(command, cwd=sys.argv[1], timeout_s=600, clock=SystemClock()))
"""


async def until(holds, seconds=5.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "did not happen in time"
        await asyncio.sleep(0.01)


def is_gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_S60_the_exit_code_and_both_streams(tmp_path):
    assert await check(tmp_path, "echo out; echo err >&2; exit 3") == {
        "ok": False,
        "exitCode": 3,
        "stdout": "out\n",
        "stderr": "err\n",
    }
    assert await check(tmp_path, "true") == {"ok": True, "exitCode": 0, "stdout": "", "stderr": ""}
    assert (await check(tmp_path, "kill -TERM $$"))["exitCode"] == 128 + signal.SIGTERM
    assert (await check(tmp_path, "no-such-command-here"))["exitCode"] == 127


async def test_S60_one_string_in_a_session_of_its_own_with_nothing_to_read(tmp_path, monkeypatch):
    monkeypatch.setenv("OWN_VALUE", "kept")
    seen = await check(
        tmp_path, 'cat; echo "$OWN_VALUE|$0|$#"; ps -o sid= -p $$ | tr -d " "; echo $$; ls /proc/$$/fd | tr "\\n" " "'
    )
    shell, session, own, descriptors = seen["stdout"].splitlines()
    assert shell == "kept|/bin/sh|0"
    assert session == own != str(os.getsid(0))
    assert descriptors.split() == ["0", "1", "2"], "the guard's pipe is not the command's"


async def test_S60_jobs_of_the_command_know_nothing_of_the_guard(tmp_path):
    assert await check(tmp_path, "jobs; sleep 0.05 & wait; echo done", timeoutMinutes=0.1) == {
        "ok": True,
        "exitCode": 0,
        "stdout": "done\n",
        "stderr": "",
    }


async def test_S60_cwd_is_inside_the_workspace(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").symlink_to("/")
    assert (await check(tmp_path, "pwd", cwd="in"))["stdout"] == f"{tmp_path}/in\n"
    assert (await check(tmp_path, "pwd"))["stdout"] == f"{tmp_path}\n"
    for cwd, message in (
        ("..", "'..' leads out of the workspace"),
        ("out", "'out' leads out of the workspace"),
        ("none", "'none' is not a folder of the workspace: No such file or directory"),
    ):
        with pytest.raises(UsageError) as caught:
            await check(tmp_path, "pwd", cwd=cwd)
        assert caught.value.message == message


async def test_S60_each_stream_is_cut_at_a_mebibyte_with_a_mark_and_the_command_does_not_block(tmp_path):
    seen = await check(tmp_path, "yes ä | head -c 3000001; exec >&2; head -c 1048577 /dev/zero")
    mark = "\n[cut: 1,048,576 of 3,000,001 bytes]\n"
    assert seen["ok"] and seen["stdout"].endswith(mark)
    assert len(seen["stdout"].removesuffix(mark).encode()) in (KEPT_BYTES - 1, KEPT_BYTES), "no half character"
    assert "\ufffd" not in seen["stdout"]
    assert seen["stderr"] == "\0" * KEPT_BYTES + "\n[cut: 1,048,576 of 1,048,577 bytes]\n"


async def test_S60_bytes_that_are_no_text_are_replaced(tmp_path):
    assert (await check(tmp_path, r"printf '\377a'"))["stdout"] == "\ufffda"


async def test_S60_out_of_time_kills_the_whole_group_and_keeps_what_was_written(tmp_path):
    seen = await check(tmp_path, "sleep 600 & echo $!; sleep 600", timeoutMinutes=0.005)
    assert seen == {
        "ok": False,
        "exitCode": None,
        "stdout": seen["stdout"],
        "stderr": "\n[killed: not done within 0.005 minutes]\n",
    }
    await until(lambda: is_gone(int(seen["stdout"])))


async def test_S60_what_the_command_left_behind_is_killed_when_it_ends(tmp_path):
    seen = await check(tmp_path, "(trap '' TERM HUP; sleep 600) & echo $!")
    assert seen["ok"]
    await until(lambda: is_gone(int(seen["stdout"])))


async def test_S60_a_process_that_left_the_group_does_not_hold_the_answer_up(tmp_path):
    started = time.monotonic()
    seen = await check(tmp_path, "setsid sleep 8 & echo started", timeoutMinutes=1)
    assert seen["stdout"] == "started\n" and time.monotonic() - started < 6


async def test_S36_a_withdrawn_check_leaves_no_process(tmp_path):
    task = asyncio.create_task(check(tmp_path, "echo $$ > pid; sleep 600 & echo $! > child; wait"))
    await until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().endswith("\n"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert is_gone(int((tmp_path / "pid").read_text()))
    await until(lambda: is_gone(int((tmp_path / "child").read_text())))


async def test_S60_nothing_of_a_command_outlives_a_killed_host(tmp_path):
    host = subprocess.Popen(  # noqa: ASYNC220 - starting it is all that blocks
        [
            sys.executable,
            "-c",
            HOST,
            str(tmp_path),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    pids = tmp_path / "pids"
    await until(lambda: pids.exists() and pids.read_text().endswith("\n"), 20)
    host.send_signal(signal.SIGKILL)
    host.wait()
    for pid in pids.read_text().split():
        await until(lambda pid=int(pid): is_gone(pid), 3)


async def test_a_command_that_cannot_start_is_an_error_without_host_paths(tmp_path):
    for command, said in (("a\0b", "it holds a NUL or half a character"), ("x" * 3_000_000, "Argument list too long")):
        with pytest.raises(UsageError) as caught:
            await check(tmp_path, command)
        assert caught.value.message == f"The command of check() cannot be started: {said}"
        assert caught.value.code == "command_failed_to_start"


async def test_many_checks_at_once_leave_no_descriptor_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    seen = await asyncio.gather(*(check(tmp_path, f"exit {n}") for n in range(12)))
    assert [one["exitCode"] for one in seen] == list(range(12))
    await until(lambda: len(os.listdir("/proc/self/fd")) <= before)
