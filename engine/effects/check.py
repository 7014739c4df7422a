"""check(command): the exit code is the truth that an agent's word is not (S60)."""

from __future__ import annotations

from engine.errors import UsageError
from engine.executors import Emit, Job
from engine.ports import Clock
from engine.processes import run_shell
from engine.values import Json
from engine.workspace import Workspace

TIMEOUT_MINUTES = 10.0
"""Without `timeoutMinutes`: longer than most test suites, shorter than an agent's own time."""


class Checks:
    """Runs commands on the host, in the workspace, with the environment of the person who runs Pawl."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        self._workspace = workspace
        self._clock = clock

    async def run(self, job: Job, emit: Emit) -> Json:
        """See `checked`. Raises `UsageError`: `outside_workspace`, `not_a_folder` for `cwd`, too."""
        content = job.content
        cwd = self._workspace.folder(content.get("cwd") or ".")
        minutes = float(content.get("timeoutMinutes") or TIMEOUT_MINUTES)
        return await checked(content["command"], cwd=cwd, minutes=minutes, clock=self._clock)


async def checked(command: str, *, cwd: str, minutes: float, clock: Clock) -> dict[str, Json]:
    """`{ok, exitCode, stdout, stderr}` of a command in a folder. Out of time: `ok` false, `exitCode` null, and `stderr`
    ends in a line that says so; what was written until then is there.

    Raises:
        UsageError: `command_failed_to_start`.
    """
    try:
        ended = await run_shell(command, cwd=cwd, timeout_s=minutes * 60, clock=clock)
    except (OSError, ValueError) as error:
        said = (error.strerror if isinstance(error, OSError) else None) or "it holds a NUL or half a character"
        raise UsageError(f"The command of check() cannot be started: {said}", code="command_failed_to_start") from None
    stderr = ended.stderr
    if ended.exit_code is None:
        stderr += f"\n[killed: not done within {minutes:g} minutes]\n"
    return {"ok": ended.exit_code == 0, "exitCode": ended.exit_code, "stdout": ended.stdout, "stderr": stderr}


def passed() -> dict[str, Json]:
    """What a command is taken for where nothing is run (S63)."""
    return {"ok": True, "exitCode": 0, "stdout": "", "stderr": ""}
