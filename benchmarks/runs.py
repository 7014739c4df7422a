"""Runs of the real engine, with everything in: checksums, masking, leases, validation, synced commits."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from engine.engine import Engine
from engine.events import CallStarted
from engine.options import RunOptions, RunResult
from engine.settings import Settings
from engine.values import RunStatus
from engine.workflows import ScriptSource

BACKEND = "sample"
SEVERAL = 1024
"""Agents at once, where the script's own width is what limits."""


@asynccontextmanager
async def project() -> AsyncIterator[tuple[Engine, Path]]:
    """An engine with a journal of its own on the local disk, and that journal."""
    with tempfile.TemporaryDirectory(prefix="pawl-bench-", dir=Path.cwd()) as folder:
        (Path(folder) / ".pawl").mkdir()  # a project of its own, not a part of the one around it
        journal = Path(folder) / "pawl.db"
        async with Engine.open(Path(folder), journal=journal, settings=Settings()) as engine:
            yield engine, journal


def options(concurrency: int = SEVERAL, backend: str = BACKEND) -> RunOptions:
    return RunOptions(backend=backend, concurrency=concurrency, max_agents=1_000_000)


async def live(
    engine: Engine, script: ScriptSource, *, concurrency: int = SEVERAL, backend: str = BACKEND
) -> RunResult:
    """A new run; `seconds` of its result is from the first turn of the script to the end on record."""
    handle = await engine.start(script, options=options(concurrency, backend))
    result = await handle.result()
    if result.status is not RunStatus.COMPLETED or result.degraded:
        raise RuntimeError(f"the run ended as {result.status}: {result.error}")
    return result


async def replayed(engine: Engine, run_id: str) -> RunResult:
    """The run again, from its journal alone: loading it, and every request and delivery checked."""
    return await engine.replay(run_id)


async def first_live_call(engine: Engine, run_id: str, script: ScriptSource) -> float:
    """Seconds from `resume` to the start of the first call that the journal does not answer."""
    began = time.perf_counter()
    handle = await engine.resume(run_id, script=script)
    seconds = None
    async for event in handle.events():
        if isinstance(event, CallStarted) and seconds is None:
            seconds = time.perf_counter() - began
    result = await handle.result()
    if seconds is None or result.agents["live"] != 1:
        raise RuntimeError(f"one call should have run, not {result.agents}")
    return seconds


class Pulse:
    """The longest time that the event loop kept a callback waiting, as the clock says and as CPU of its thread.

    The clock also counts what other programs took of the machine, the CPU does not.
    """

    EVERY_S = 0.001

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.longest_cpu_s = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def __enter__(self) -> Pulse:
        self._beat(time.perf_counter(), time.thread_time())
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def _beat(self, due: float, cpu: float) -> None:
        now, used = time.perf_counter(), time.thread_time()
        self.longest_s = max(self.longest_s, now - due)
        self.longest_cpu_s = max(self.longest_cpu_s, used - cpu)
        self._handle = asyncio.get_running_loop().call_later(self.EVERY_S, self._beat, now + self.EVERY_S, used)
