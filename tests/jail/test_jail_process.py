"""A running sandbox seen from outside: what the kernel says of it, what it holds, that it never outlives its host."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.tiny_library import LIBRARY, LIMITS, ops_of_turn, sandbox_of, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

WAITS = 'await call("something")'


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def is_there(pid: int) -> bool:
    try:
        return not status_of(pid)["State"].startswith(("Z", "X"))
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_the_kernel_confines_a_waiting_script() -> None:
    async with sandbox_of(WAITS) as sandbox:
        await sandbox.start(1, b"{}")
        assert await ops_of_turn(sandbox) == [[1, "something"]]
        status = status_of(sandbox.pid)
        assert (status["Seccomp"], status["NoNewPrivs"], status["Threads"]) == ("2", "1", "1")
        assert sandbox.info.level == "seccomp"


async def test_it_holds_its_own_pipe_and_nothing_else() -> None:
    leaked = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leaked, True)  # as a careless library of the host might
    try:
        async with sandbox_of(WAITS) as sandbox:
            await sandbox.start(1, b"{}")
            await ops_of_turn(sandbox)
            folder = Path(f"/proc/{sandbox.pid}/fd")
            held = {path.name: os.readlink(path) for path in folder.iterdir()}
            assert list(held) == ["3"] and held["3"].startswith("socket:")
            assert os.readlink(f"/proc/{sandbox.pid}/cwd") == "/"
            environment = Path(f"/proc/{sandbox.pid}/environ").read_bytes().split(b"\0")
            assert {entry.split(b"=")[0] for entry in environment} <= {b"TZ", b"LC_ALL", b"LD_LIBRARY_PATH", b""}
    finally:
        os.close(leaked)


async def test_its_limits_are_the_kernels() -> None:
    async with sandbox_of(WAITS) as sandbox:
        text = Path(f"/proc/{sandbox.pid}/limits").read_text()
        limits = {line[:26].strip(): line[26:].split()[:2] for line in text.splitlines()}
        assert limits["Max address space"] == [str(2 * LIMITS.memory_bytes + (256 << 20))] * 2
        for name in ("core file size", "file size", "open files", "processes", "locked memory"):
            assert limits[f"Max {name}"] == ["0", "0"]
        assert int(limits["Max cpu time"][0]) <= 4


async def test_a_waiting_script_uses_no_cpu() -> None:
    async with sandbox_of(WAITS) as sandbox:
        await sandbox.start(1, b"{}")
        await ops_of_turn(sandbox)
        before = Path(f"/proc/{sandbox.pid}/stat").read_text().split()[13:15]
        began = time.monotonic()
        await until(lambda: time.monotonic() - began > 0.3)
        assert Path(f"/proc/{sandbox.pid}/stat").read_text().split()[13:15] == before


HOST = """\
import asyncio, sys
from sandbox import Limits, Sandbox
from support.tiny_library import LIBRARY, ops_of_turn
async def main():
    sandboxes = []
    for source in sys.argv[1:]:
        sandbox = Sandbox.spawn(Limits(cpu_turn_s=600), LIBRARY)
        await sandbox.compile(1, source)
        await sandbox.start(1, b"{}")
        if "while" not in source:
            await ops_of_turn(sandbox)
        sandboxes.append(sandbox)
    print([s.pid for s in sandboxes], flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.mark.parametrize("source", [WAITS, "while (true) {}"], ids=["waiting", "computing"])
async def test_nothing_is_left_three_seconds_after_the_host_was_killed(source: str) -> None:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}"}
    host = subprocess.Popen([sys.executable, "-c", HOST, source, WAITS], stdout=subprocess.PIPE, env=environment)  # noqa: ASYNC220
    assert host.stdout is not None
    with host.stdout:
        pids = json.loads(host.stdout.readline())
        assert len(pids) == 2 and all(map(is_there, pids))
        host.send_signal(signal.SIGKILL)
        host.wait()
        await until(lambda: not any(map(is_there, pids)), within_s=3.0)


async def test_close_leaves_no_process_and_no_zombie() -> None:
    async with sandbox_of(WAITS) as sandbox:
        pid = sandbox.pid
        await sandbox.close()
        assert not Path(f"/proc/{pid}").exists()
        await sandbox.close()


def test_a_sandbox_starts_before_any_event_loop() -> None:
    import asyncio

    from sandbox import Sandbox

    sandbox = Sandbox.spawn(LIMITS, LIBRARY)

    async def use() -> object:
        await sandbox.compile(1, "return 3")
        await sandbox.start(1, b"{}")
        ops = await ops_of_turn(sandbox)
        await sandbox.close()
        return ops

    assert asyncio.run(use()) == [["end", True, 3]]
