"""mergeWorktree(worktree): a subagent's branch into the project's current branch, by git and not by a model (S64)."""

from __future__ import annotations

from typing import Protocol

from engine.executors import Emit, Job
from engine.values import Json


class Mergeable(Protocol):
    """What merges: `engine.worktrees.Worktrees`."""

    async def merge(self, branch: str, message: str | None = None) -> dict[str, Json]: ...


def nothing_merged() -> Json:
    """What a worktree that nothing was changed in gives, and every one in a simulation."""
    return {"ok": True, "commit": None, "conflicts": [], "files": [], "summary": ""}


class Merges:
    """The merges of one version of a run."""

    def __init__(self, worktrees: Mergeable) -> None:
        self._worktrees = worktrees

    async def run(self, job: Job, emit: Emit) -> Json:
        """`{ok, commit, conflicts, files, summary}`: with conflicts `ok` is false and nothing has been touched.

        Done again when it was cut off, and finds what it had done: the effect is the same once and twice.

        Raises:
            UsageError: `unknown_worktree`, `worktree_in_use`, `merge_in_progress`, `changes_in_the_way`…: see
                `engine/worktrees/merging.py`.
        """
        branch = job.content["branch"]
        if branch is None:
            return nothing_merged()
        return await self._worktrees.merge(branch, job.content.get("message"))
