"""What a run leaves in the project beside its journal, and what becomes of it when the run is deleted.

Outputs of tools that did not fit, and worktrees that hold nothing of their own, go with the run. A worktree with work
that was not merged stays: deleting the record of a run must not delete what somebody still wants.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from engine.errors import PawlError
from engine.values import WorktreeRow
from engine.worktrees import Worktrees

OUTPUTS = Path(".pawl") / "outputs"
"""Below the project's root: a folder for each run, and in it one for each call."""

_UNMERGED = frozenset({"kept", "conflict", "made"})


async def remove(project: Path, run_id: str, rows: Sequence[WorktreeRow]) -> list[WorktreeRow]:
    """Takes away what a deleted run left; returns the worktrees that stay because nobody has merged them.

    Args:
        rows: `Journal.worktrees(run_id)`, read before the run was deleted.
    """
    await asyncio.to_thread(shutil.rmtree, project / OUTPUTS / run_id, ignore_errors=True)
    newest = {row.call: row for row in rows}
    done = [row for row in newest.values() if row.state not in _UNMERGED]
    if done:
        with contextlib.suppress(PawlError):  # the repository is gone: nothing of the run can be in it
            await Worktrees.forget(project, run_id, done)
    return [row for row in newest.values() if row.state in _UNMERGED]
