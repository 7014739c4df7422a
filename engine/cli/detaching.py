"""`--detach`: the same run in a process of its own, which outlives the terminal.

The parent waits for one line through a pipe: the run's id once it has its lease, or the error that kept it from
starting, and answers with the exit code of that. A fork, not a new program: script, args and flags have been read and
checked by now, and no thread or event loop exists yet.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.command import Shell
from engine.cli.failing import as_pawl_error
from engine.errors import EngineBug, PawlError
from engine.values import Json

if TYPE_CHECKING:
    from engine.engine import RunHandle

Drive = Callable[[Callable[["RunHandle"], None]], int]
"""Drives the run; calls what it is given once the run has its lease."""


def detached(shell: Shell, drive: Drive) -> int:
    """Runs `drive` in the background. Returns in the parent only; the child leaves with the run's exit code."""
    from engine.cli.reading import project_of

    logs = project_of(shell) / ".pawl" / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        _child(logs, writer, drive)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        line = stream.readline()
    if not line:
        raise EngineBug(
            "the background process ended before the run had started", hint=f"Please report it with {_newest(logs)}."
        )
    told = json.loads(line)
    if "error" in told:
        raise PawlError.from_json(told["error"])
    shell.out.say(f"Running in the background; its output: {told['log']}. Look with: pawl watch {told['run_id']}")
    shell.out.json({"run_id": told["run_id"]})
    return 0


def _child(logs: Path, writer: int, drive: Drive) -> None:
    """The background process: a session of its own, no terminal, output into a log file named after the run."""
    os.setsid()
    os.set_inheritable(writer, False)
    log = logs / f"starting-{os.getpid()}.log"
    null, file = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(null, 0)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(null)
    os.close(file)
    has_started = False

    def tell(value: Json) -> None:
        os.write(writer, json.dumps(value).encode() + b"\n")
        os.close(writer)

    def started(handle: RunHandle) -> None:
        nonlocal has_started
        has_started = True
        named = logs / f"{handle.run_id}.log"
        log.rename(named)
        tell({"run_id": handle.run_id, "log": str(named)})

    code = 1
    try:
        code = drive(started)
    except BaseException as error:
        if not isinstance(error, Exception):
            raise
        failure = as_pawl_error(error)
        code = failure.exit_code
        sys.stderr.write(f"Error: {failure.message}\n")
        if not has_started:
            tell({"error": failure.to_json()})
            log.unlink(missing_ok=True)
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)  # the parent's frames are below us: nothing of them may run twice


def _newest(logs: Path) -> str:
    found = sorted(logs.glob("starting-*.log"), key=lambda path: path.stat().st_mtime)
    return str(found[-1]) if found else str(logs)
