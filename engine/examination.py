"""The one effect that only our own workflow has: to look at the project, and at a script that a model wrote.

`pawl new` is a run like any other, so what it does beside asking a model must be recorded and replayed, too. Its
check() is carried out by `engine.authoring`, not by a shell: what is recorded in the journal is what was found.
The word that marks such a run is recorded with its permissions and can be given by nobody: neither `--allow` nor a
config takes it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from engine.errors import UsageError
from engine.executors import Emit, HostEffect, Job
from engine.settings import Settings
from engine.values import Json

EXAMINE = "examine"
"""Among the permissions of a run: its check() is ours, and never a command, whatever else it is allowed."""

Examine: TypeAlias = Callable[[Path, Settings, str], Awaitable[Json]]
"""(project, settings, what to do) → what was found. Nothing that it is given may be run on this machine."""


def examiner(examine: Examine | None, project: Path, settings: Settings) -> HostEffect:
    """The executor of check() in a run that has `EXAMINE`."""

    async def run(job: Job, emit: Emit) -> Json:
        if examine is None:
            raise UsageError(
                "This run writes a workflow (pawl new), and this engine was opened without what that needs.",
                code="no_examiner",
                hint="Go on with it by `pawl resume`, or open the engine with examine=engine.authoring.examine.",
            )
        return await examine(project, settings, str(job.content["command"]))

    return HostEffect(run, name="pawl")
