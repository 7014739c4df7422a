"""From a sentence to a script: `pawl new`.

A model writes the script; that is the only thing that a model does here. What the project is like, whether the script
is right, what it would do and cost is found out by code. All of it is one run of a workflow of our own (`new.js`), so
it is recorded, shown live and resumed like any other; what code finds out enters that run as the result of a check()
(see `engine.examination`).

Nothing here is imported before it is needed: every command that drives a run knows `examine`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.settings import Settings
from engine.values import Json

if TYPE_CHECKING:
    from engine.authoring.generation import Written
    from engine.events import Event
    from engine.options import RunOptions

__all__ = ["examine", "write"]


async def examine(project: Path, settings: Settings, task: str) -> Json:
    """What check() does in a run of `pawl new`: see `engine.authoring.examining`."""
    from engine.authoring import examining

    return await examining.examine(project, settings, task)


async def write(
    request: str,
    *,
    project: Path | None = None,
    journal: Path | None = None,
    settings: Settings | None = None,
    options: RunOptions | None = None,
    run_id: str | None = None,
    told: Callable[[Event], None] | None = None,
) -> Written:
    """Has a script written for `request`, in words; nothing is saved but the run, and the script is not run.

    Args:
        project: a folder of the project; the current one by default.
        options: backend, model and caps of the run that writes.
        told: gets the run's events.

    Returns:
        The script with what is known of it. When the model did not get it right: its last script with the problems.

    Raises:
        UsageError: no such backend, or no request.
    """
    from engine.authoring import generation
    from engine.engine import Engine
    from engine.options import RunOptions

    async with Engine.open(project, journal=journal, settings=settings, examine=examine) as engine:
        handle = await generation.start(engine, request, options=options or RunOptions(), run_id=run_id)
        async for event in handle.events():
            if told is not None:
                told(event)
        return await generation.written(engine, await handle.result())
