"""Starts `pawl` as a program of its own and reads the JSON that it prints: runs must outlive the server.

With `--detach` the program checks, takes the run's lease, leaves the run to a session of its own and ends. It is the
same command that a person types, so that there is one way to start a run.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.errors import AgentError, EngineBug, PawlError
from engine.serving.terms import Terms
from engine.values import Json

PATIENCE_S = 120.0
"""For a start or a simulation. A start takes some 0.3 s; a simulation of 1,000 agents a second."""

_ROOT = str(Path(__file__).resolve().parents[2])
_STARTER = "import sys; sys.path.append(sys.argv.pop(1)); from engine.cli.main import main; main()"
"""Never `-m`: that would look for our modules in the folder of a stranger's project first."""


@contextmanager
def args_file(value: Json) -> Iterator[str]:
    """`@FILE` with `value` as JSON: a word of a command line is too short for some, and in everybody's sight."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="pawl-args-", suffix=".json") as file:
        json.dump(value, file, ensure_ascii=False)
        file.flush()
        yield f"@{file.name}"


async def pawl(
    terms: Terms, command: str, subject: str, flags: Sequence[str], *, stdin: str | None = None
) -> dict[str, Json]:
    """The object that `pawl COMMAND FLAGS --json -- SUBJECT` prints: a subject that begins with `-` is no flag.

    Raises:
        PawlError: what it failed with, as it told it; `too_slow` after `PATIENCE_S`.
    """
    words = [command, *flags, "--json", f"--project={terms.project}", f"--journal={terms.journal}", "--", subject]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-c", _STARTER, _ROOT, *words),
        cwd=terms.project,
        env=dict(os.environ),
        stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C, or a client that ends all of its group, is for the server
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            out, said = await process.communicate(None if stdin is None else stdin.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        raise AgentError(
            f"`pawl {command}` was not done within {PATIENCE_S:g} s",
            code="too_slow",
            hint="Look with list_runs whether it has started; then try again.",
        ) from None
    return _told(command, out, said)


def _told(command: str, out: bytes, said: bytes) -> dict[str, Json]:
    try:
        told = json.loads(out)
    except ValueError:
        tail = said.decode(errors="replace")[-500:]
        raise EngineBug(f"`pawl {command}` gave no JSON: {tail or 'it said nothing'}") from None
    error = told.get("error")
    if error is not None and "estimate" not in told:  # a simulation that failed has told what it is for
        raise PawlError.from_json(error)
    assert isinstance(told, dict)
    return told
