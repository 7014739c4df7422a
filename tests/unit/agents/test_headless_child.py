"""Programs that are talked with over pipes: long lines, last words, and nothing left behind, also when we are killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from engine.agents import child_process
from engine.agents.child_process import ChildProcess

ROOT = Path(__file__).resolve().parents[3]


def is_alive(pid: int) -> bool:
    """Whether it lives on: one that was killed may need a moment to be gone."""
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return False
    _, alive = psutil.wait_procs([process], timeout=5)
    return bool(alive) and process.status() != psutil.STATUS_ZOMBIE


async def start(script: str, cwd: Path, *words: str) -> ChildProcess:
    return await ChildProcess.start(["/bin/sh", "-c", script, "sh", *words], cwd=str(cwd), environment=dict(os.environ))


async def test_lines_and_last_words(tmp_path: Path) -> None:
    async with await start('cat; printf "no end"; echo why >&2; exit 3', tmp_path) as child:
        await child.send(b"one\n\n" + b"x" * 300_000 + b"\n")
        lines = [line async for line in child.lines()]
        assert await child.wait() == 3
        assert await child.error_text() == "why"
    assert [len(line) for line in lines] == [3, 0, 300_000, 6]


async def test_a_line_that_is_too_long_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "LINE_BYTES", 1000)
    async with await start("cat", tmp_path) as child:
        await child.send(b"a\n" + b"x" * 200_000 + b"\nb\n" + b"y" * 1001 + b"\nc")
        assert [line async for line in child.lines()] == [b"a", b"b", b"c"]


async def test_is_talked_with(tmp_path: Path) -> None:
    async with await start("while read word; do echo got $word; done", tmp_path) as child:
        for word in (b"one", b"two"):
            child.stdin.write(word + b"\n")
            assert await child.stdout.readline() == b"got " + word + b"\n"


async def test_who_does_not_read_is_no_error(tmp_path: Path) -> None:
    async with await start("exit 0", tmp_path) as child:
        await child.send(b"x" * 1_000_000)
        assert await child.wait() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
async def test_what_it_leaves_running_ends_with_it(tmp_path: Path) -> None:
    """Also in a session of its own, and although it holds the pipe."""
    async with await start("setsid tail -f /dev/null & echo $!", tmp_path) as child:
        pids = [int(line) async for line in child.lines()]
        await child.wait()
    assert len(pids) == 1
    assert not is_alive(pids[0])


async def test_a_program_that_is_stopped_may_save_itself(tmp_path: Path) -> None:
    script = 'trap "echo saved > saved; exit 0" TERM; echo ready; while :; do tail -f /dev/null & wait; done'
    with pytest.raises(RuntimeError):  # noqa: PT012 the block is the test
        async with await start(script, tmp_path) as child:
            await child.stdout.readline()
            raise RuntimeError
    assert (tmp_path / "saved").read_text() == "saved\n"


_OWNER = """
import asyncio, os, sys
from engine.agents.child_process import ChildProcess
async def main():
    words = ["/bin/sh", "-c", "echo $$; setsid tail -f /dev/null & echo $!; tail -f /dev/null"]
    child = await ChildProcess.start(words, cwd=sys.argv[1], environment=dict(os.environ))
    for _ in range(2):
        print((await child.stdout.readline()).decode().strip(), flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_nothing_is_left_when_we_are_killed(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", _OWNER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout:
        processes = [psutil.Process(int(owner.stdout.readline())) for _ in range(2)]
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        _, alive = psutil.wait_procs(processes, timeout=20)
    assert alive == []


async def test_a_command_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        await ChildProcess.start(["true"], cwd=str(tmp_path / "nowhere"), environment={})
    async with await ChildProcess.start(
        ["no-such-command"], cwd=str(tmp_path), environment={"PATH": "/bin:/usr/bin"}
    ) as child:
        assert await child.wait() == 127
    with pytest.raises(ValueError, match="null byte"):
        await ChildProcess.start(["a\0b"], cwd=str(tmp_path), environment={})


async def test_cancelled_while_it_runs(tmp_path: Path) -> None:
    pid = 0

    async def run() -> None:
        nonlocal pid
        async with await start("echo ready; tail -f /dev/null", tmp_path) as child:
            pid = child.pid
            async for _ in child.lines():
                ready.set()

    ready = asyncio.Event()
    task = asyncio.ensure_future(run())
    await ready.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_alive(pid)
