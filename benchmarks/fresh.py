"""What needs a process of its own: the start of `pawl run`, and memory."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

PAWL = (sys.executable, "-m", "engine.cli.main")
ONE_AGENT = 'export const meta = { name: "one", description: "One agent" };\nreturn await agent("Say hello");\n'
IMPORTS = "import asyncio, sqlite3, json, hashlib"
LONGEST_S = 60


def first_agent() -> float:
    """Seconds from the start of the `pawl run` process until it says that its first agent has been started."""
    with tempfile.TemporaryDirectory(prefix="pawl-bench-", dir=Path.cwd()) as folder:
        (Path(folder) / "one.js").write_text(ONE_AGENT, encoding="utf-8")
        command = [*PAWL, "run", "one.js", "--backend", "sample", "--yes", "--quiet", "--events", "-"]
        began = time.perf_counter()
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, env=_environment()) as pawl:
            assert pawl.stdout is not None
            seconds = None
            for line in pawl.stdout:
                if b'"call_started"' in line:
                    seconds = time.perf_counter() - began
                    break
            pawl.stdout.read()
        if seconds is None or pawl.returncode != 0:
            raise RuntimeError(f"pawl run ended with {pawl.returncode} and started no agent")
    return seconds


def bare_start(*, imports: bool) -> float:
    """Seconds for a Python process that does nothing, or that imports what no engine like this can do without."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS if imports else "pass"], check=True, env=_environment())
    return time.perf_counter() - began


def memory(calls: int) -> dict[str, float]:
    """Megabytes that `calls` pending calls add to `host` and `child`, over the `baseline` of a run with one."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fresh", str(calls)],
        check=True,
        stdout=subprocess.PIPE,
        timeout=LONGEST_S,
        env=_environment(),
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


@cache
def _byte_code() -> str:
    """A folder for compiled modules, as every installed program has them, whatever the environment says."""
    folder = tempfile.mkdtemp(prefix="pawl-bench-pyc-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    root = str(Path(__file__).resolve().parent.parent)
    return {**kept, "PYTHONPATH": root, "PYTHONPYCACHEPREFIX": _byte_code()}


async def _held(calls: int) -> tuple[float, float]:
    """Megabytes of this process and of its child while `calls` calls are pending, all of them on record."""
    import psutil

    from benchmarks import runs, workflows
    from engine.events import CallRequested

    async with runs.project() as (engine, journal):
        handle = await engine.start(workflows.fan(calls), options=runs.options(256, f"{runs.BACKEND}:latency=600s"))
        made = 0
        async for event in handle.events():
            made += isinstance(event, CallRequested)
            if made == calls:
                break
        with sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True) as connection:
            # Nobody tells a stranger about a commit.
            while connection.execute("SELECT count(*) FROM calls").fetchone()[0] < calls:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        here = psutil.Process()
        host, child = here.memory_info().rss, sum(p.memory_info().rss for p in here.children(recursive=True))
        handle.interrupt()
        await handle.result()
    return host / 1e6, child / 1e6


async def _memory(calls: int) -> dict[str, float]:
    host, child = await _held(1)
    full_host, full_child = await _held(calls)
    return {"host": full_host - host, "child": full_child - child, "baseline": host + child}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_memory(int(sys.argv[1])))))
