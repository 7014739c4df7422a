"""What the machine can do at all: the same rows without the engine, the same script without a host.

The *serial floor* is 1 / (1 / inserts + 1 / jobs): how fast calls could go if nothing else had to be done, one after
the other. It moves with the machine's load as the engine does, so ratios to it mean something where absolute numbers do
not.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from engine.assets import stdlib_files
from engine.children import limits
from engine.journal import codec, schema
from engine.settings import Settings
from engine.workflows import ScriptSource
from sandbox import Sandbox

TABLES = ("calls", "attempts", "settlements")
BATCH = 256
"""Calls in one synced commit."""
ANSWER = b'"Sample answer 0123abcd to: Look at part 7.39 of the repository"'

Rows: TypeAlias = dict[str, list[tuple[Any, ...]]]


def recorded_rows(journal: Path) -> Rows:
    """The rows of a journal's calls, as they are on disk."""
    with sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True) as connection:
        return {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}


def inserts(rows: Rows, batch: int = BATCH) -> float:
    """Calls a second: finished rows into an empty journal, `batch` calls a synced commit, from one thread."""
    calls = len(rows["calls"])
    with tempfile.TemporaryDirectory(prefix="pawl-bench-", dir=Path.cwd()) as folder:
        path = Path(folder) / "floor.db"
        connection = sqlite3.connect(path, isolation_level=None)
        schema.prepare_writing(connection, path, "benchmarks")
        began = time.perf_counter()
        for at in range(0, calls, batch):
            connection.execute("BEGIN IMMEDIATE")
            for table in TABLES:
                connection.executemany(codec.INSERT[table], rows[table][at : at + batch])
            connection.execute("COMMIT")
        seconds = time.perf_counter() - began
        connection.close()
    return calls / seconds


async def jobs(script: ScriptSource, calls: int) -> float:
    """Calls a second: the script in a sandbox whose host answers at once, and keeps nothing."""
    sandbox = Sandbox.spawn(limits(Settings().sandbox), stdlib_files())
    try:
        await sandbox.compile(1, script.text)
        config = {
            "seed": "floor",
            "startedAt": 0,
            "caps": {"tokens": None, "costUsd": None, "agents": None, "minutes": None},
            "entries": Settings().limits.entries,
            "resultBytes": 1 << 20,
            "libraryLine": 1_200_000,
        }
        began = time.perf_counter()
        await sandbox.start(1, orjson.dumps(config))
        waiting: list[int] = []
        answered = 0
        is_over = False
        while not is_over:
            chunk = await sandbox.next_chunk()
            for op in orjson.loads(chunk.ops):
                if op[0] == "c":
                    waiting.append(op[1])
                elif op[0] == "f":
                    is_over = True
            if chunk.idle and not is_over:
                await sandbox.deliver(_answers(waiting), stop_on_request=False)
                answered += len(waiting)
                waiting.clear()
        seconds = time.perf_counter() - began
    finally:
        await sandbox.close()
    if answered != calls:
        raise RuntimeError(f"the script made {answered} calls, not {calls}")
    return calls / seconds


def _answers(waiting: Sequence[int]) -> list[tuple[bytes, int]]:
    return [(b'{"i":%d,"t":0,"u":[17,0.0,1],"v":%b}' % (handle, ANSWER), 0) for handle in waiting]


def serial(inserts: float, jobs: float) -> float:
    """Calls a second, if nothing but inserts and jobs had to be done, one after the other."""
    return 1 / (1 / inserts + 1 / jobs)
