"""What a script may have done on the host besides asking agents: commands, files, questions, merges (S60–S64).

Each effect is a coroutine function around one call's content; `host_effects` makes the executors. Whether a script may
use them at all is decided before a call gets here.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.effects.ask import Questions
from engine.effects.check import Checks, checked, passed
from engine.effects.files import Files
from engine.effects.merge import Mergeable, Merges, nothing_merged
from engine.executors import Emit, HostEffect, Job
from engine.ports import Clock
from engine.values import CallKind, Json
from engine.workspace import Workspace

__all__ = [
    "Checks",
    "Files",
    "Merges",
    "Questions",
    "Workspace",
    "checked",
    "host_effects",
    "passed",
    "simulated_effects",
]


def host_effects(
    workspace: Workspace, questions: Questions, clock: Clock, worktrees: Mergeable
) -> dict[CallKind, HostEffect]:
    """The executors of everything but agents. Keep `questions` to answer them.

    Args:
        worktrees: of this version of the run.
    """
    files = Files(workspace)
    return {
        CallKind.MERGE: HostEffect(Merges(worktrees).run),
        CallKind.CHECK: HostEffect(Checks(workspace, clock).run),
        CallKind.ASK: HostEffect(questions.run, name="person"),
        CallKind.READ_FILE: HostEffect(files.read),
        CallKind.WRITE_FILE: HostEffect(files.write),
        CallKind.GLOB: HostEffect(files.glob),
        CallKind.EXISTS: HostEffect(files.exists),
    }


def simulated_effects(workspace: Workspace, sample: Callable[[Json], Json]) -> dict[CallKind, HostEffect]:
    """The executors of `pawl simulate`: files are looked at, everything that would act is answered, not done (S63).

    Args:
        sample: gives a value that fits a JSON Schema.
    """
    files = Files(workspace)

    async def check(job: Job, emit: Emit) -> Json:
        return passed()

    async def ask(job: Job, emit: Emit) -> Json:
        content = job.content
        if "default" in content:
            return content["default"]
        if content.get("choices"):
            return content["choices"][0]
        return sample(content["schema"]) if content.get("schema") else "yes"

    async def write(job: Job, emit: Emit) -> Json:
        return True

    async def merge(job: Job, emit: Emit) -> Json:
        return nothing_merged()

    return {
        CallKind.MERGE: HostEffect(merge, name="simulated"),
        CallKind.CHECK: HostEffect(check, name="simulated"),
        CallKind.ASK: HostEffect(ask, name="simulated"),
        CallKind.READ_FILE: HostEffect(files.read),
        CallKind.WRITE_FILE: HostEffect(write, name="simulated"),
        CallKind.GLOB: HostEffect(files.glob),
        CallKind.EXISTS: HostEffect(files.exists),
    }
