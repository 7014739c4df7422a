"""The worktrees of one run: each made, used, settled and merged, and every step of it on record before the next (S25).

Owns the rows; what git does is in the files beside this one. Blocking work runs in threads, and a cancelled caller
waits for its thread: nothing goes on behind the run's back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import orjson

from engine.errors import UsageError
from engine.jsontext import kept
from engine.ports import Clock, Writer
from engine.threads import in_thread
from engine.values import Json, WorktreeRow
from engine.workspace import Workspace
from engine.worktrees import making, merging, settling
from engine.worktrees.making import Plan
from engine.worktrees.repository import Repository, one_line, safe

_T = TypeVar("_T")


class Worktrees:
    """Gives each isolated call a working copy of its own. One instance serves one version of a run.

    Args:
        recorded: reads the rows of the run's earlier versions.
        takes_dirty: whether a worktree starts with the uncommitted changes of the project.
    """

    def __init__(
        self,
        *,
        project: Path,
        run_id: str,
        writer: Writer,
        clock: Clock,
        recorded: Callable[[], Awaitable[list[WorktreeRow]]],
        takes_dirty: bool = False,
    ) -> None:
        self._project = project
        self._run_id = run_id
        self._writer = writer
        self._clock = clock
        self._recorded = recorded
        self._takes_dirty = takes_dirty
        self._rows: dict[int, WorktreeRow] | None = None
        self._lock = asyncio.Lock()
        self._repository: Repository | None = None

    async def enter(self, call: int, label: str | None = None, cwd: str = ".") -> str:
        """The absolute folder that the subagent works in: fresh from the current HEAD, or the one it was in before.

        Args:
            cwd: a folder below the project's root in the worktree.

        Raises:
            UsageError: no repository, no commit, no place (see `Repository`), `worktree_branch`, git's own failures
                (`git_failed`, `disk_full`…); for `cwd`: `outside_workspace`, `not_a_folder`.
        """
        rows = await self._known()
        named: dict[str, Json] = {"label": label} if label else {}
        async with self._lock:
            repository = await self._found()
            row = rows.get(call)
            if row is not None and row.state not in {"removed", "merged"}:
                plan = _plan_of(row)
                if await in_thread(making.is_ready, repository, plan):
                    if row.state != "made":
                        await self._write(call, "made", plan, named)
                    return self._folder(repository, plan, cwd)
                if row.state == "made" and await in_thread(repository.resolve, plan.ref) is None:
                    plan = await self._planned(repository, call)
            else:
                plan = await self._planned(repository, call)
            # On record first: what a kill leaves half-made is then known to be ours.
            await self._write(call, "made", plan, named)
            try:
                await in_thread(_locked, repository, making.make, plan)
            except BaseException:
                await self._undo(repository, call, plan)
                raise
        try:
            await in_thread(making.fill, repository, plan)
        except BaseException:
            await self._undo(repository, call, plan)
            raise
        return self._folder(repository, plan, cwd)

    async def leave(self, call: int) -> dict[str, Json]:
        """The call is settled or stopped: commits what changed on its branch, or takes the worktree away.

        Returns:
            `{"state", "path", "branch", "base", "files", "changed", "summary"}`, `path` relative to the project's root;
            `state` is `kept`, or `removed` when nothing had changed. `{"state": "removed"}` for a call without one.
        """
        rows = await self._known()
        row = rows.get(call)
        if row is None:
            return {"state": "removed", **_NOTHING}
        repository = await self._found()
        if row.state != "made":
            return self._told(repository, row)
        plan = _plan_of(row)
        body = orjson.loads(row.body)
        message = f"{self._name(row)}\n\nBy call {call} of Pawl's run {self._run_id}.\n"
        async with self._lock:
            left = await in_thread(_locked, repository, settling.settle, plan, message)
            state = "removed" if left.tip is None else "kept"
            row = await self._write(call, state, plan, {**body, **left.to_json()})
        return self._told(repository, row)

    async def merge(self, branch: str, message: str | None = None) -> dict[str, Json]:
        """Merges the branch of a worktree of this run into the project's current branch (see `merging.py`).

        Returns:
            `{"ok", "commit", "conflicts", "files", "summary"}`.

        Raises:
            UsageError: `unknown_worktree`, `worktree_in_use`, and as `merging.merge`.
        """
        rows = await self._known()
        async with self._lock:
            row = merging.row_of(rows.values(), branch, self._run_id)
            if row.state == "removed":
                return merging.NOTHING.to_json()
            repository = await self._found()
            plan = _plan_of(row)
            if row.state == "merged":
                merged = merging.Merged.of(row)
            else:
                title = one_line(message or f"Merge {self._name(row)}")
                merged = await in_thread(_locked, repository, merging.merge, plan, title)
                body = {**orjson.loads(row.body), **merged.to_json()}
                await self._write(row.call, "merged" if merged.ok else "conflict", plan, body)
            if merged.ok:  # again when it was merged already: a kill may have come in between
                await in_thread(_locked, repository, merging.clear, plan)
        return merged.to_json()

    @staticmethod
    async def merge_by_hand(
        project: Path, run_id: str, rows: list[WorktreeRow], call: int, message: str | None = None
    ) -> dict[str, Json]:
        """As `merge`, for a person and a run that nobody drives; leaves no row.

        A resume that merges the same worktree finds the commit on the current branch, and does nothing again.

        Args:
            rows: `Journal.worktrees(run_id)`.
        """
        row = {row.call: row for row in rows}.get(call)
        if row is None:
            raise UsageError(
                f"Call {call} of run {run_id} has no worktree",
                code="unknown_worktree",
                hint=f"pawl show {run_id} lists them.",
            )
        row = merging.row_of([row], row.branch, run_id)
        if row.state == "removed":
            return merging.NOTHING.to_json()
        if row.state == "merged":
            return merging.Merged.of(row).to_json()
        repository = await in_thread(Repository.of, project)
        title = one_line(message or f"Merge {Worktrees._name(row)}")
        merged: merging.Merged = await in_thread(_locked, repository, merging.merge, _plan_of(row), title)
        if merged.ok:
            await in_thread(_locked, repository, merging.clear, _plan_of(row))
        return merged.to_json()

    @staticmethod
    async def forget(project: Path, run_id: str, rows: list[WorktreeRow]) -> list[str]:
        """Takes away what a run left in the project, for `pawl delete` and `pawl gc`; gives what it took: branches.

        Args:
            rows: `Journal.worktrees(run_id)`, read before the run is deleted.
        """
        plans = [_plan_of(row) for row in {(row.call, row.branch): row for row in rows}.values()]
        repository = await in_thread(Repository.of, project)
        taken: list[str] = await in_thread(_locked, repository, merging.forget, safe(run_id), plans)
        return taken

    async def _known(self) -> dict[int, WorktreeRow]:
        if self._rows is None:
            earlier = await self._recorded()
            if self._rows is None:
                self._rows = {row.call: row for row in earlier}
        return self._rows

    async def _found(self) -> Repository:
        if self._repository is None:
            self._repository = await in_thread(Repository.of, self._project)
        return self._repository

    async def _planned(self, repository: Repository, call: int) -> Plan:
        def plan() -> Plan:
            return making.plan(repository, self._run_id, call, takes_dirty=self._takes_dirty)

        return await in_thread(plan)

    async def _undo(self, repository: Repository, call: int, plan: Plan) -> None:
        """It could not be made, or nobody wants it any more. What is still there is found by its row."""
        await in_thread(_locked, repository, merging.clear, plan)
        await self._write(call, "removed", plan, {})

    async def _write(self, call: int, state: str, plan: Plan, body: dict[str, Json]) -> WorktreeRow:
        """Puts a row on record; returns once it is durable."""
        whole = {**body, "dirty": True} if plan.is_dirty else body
        row = WorktreeRow(call, state, str(plan.path), plan.branch, plan.base, self._clock.now_ms(), kept(whole))
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._writer.add(row, lambda: None if durable.done() else durable.set_result(None))
        await durable
        assert self._rows is not None
        self._rows[call] = row
        return row

    def _folder(self, repository: Repository, plan: Plan, cwd: str) -> str:
        root = str(making.work_folder(repository, plan))
        return root if cwd == "." else Workspace(root).folder(cwd)

    @staticmethod
    def _name(row: WorktreeRow) -> str:
        return one_line(orjson.loads(row.body).get("label") or f"Call {row.call}")

    @staticmethod
    def _told(repository: Repository, row: WorktreeRow) -> dict[str, Json]:
        body = orjson.loads(row.body)
        path = Path(row.path)
        shown = path.relative_to(repository.project) if path.is_relative_to(repository.project) else path
        return {
            "state": row.state,
            "path": shown.as_posix(),
            "branch": row.branch,
            "base": row.base,
            **{name: body.get(name, nothing) for name, nothing in _NOTHING.items()},
            **{name: body[name] for name in ("inner_repositories", "lost") if name in body},
        }


_NOTHING: dict[str, Json] = {"files": [], "changed": 0, "summary": ""}


def _plan_of(row: WorktreeRow) -> Plan:
    return Plan(Path(row.path), row.branch, row.base, bool(orjson.loads(row.body).get("dirty")))


def _locked(repository: Repository, work: Callable[..., _T], *more: object) -> _T:
    with repository.lock() as git:
        return work(repository, git, *more)
