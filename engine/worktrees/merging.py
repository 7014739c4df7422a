"""Merges a worktree's branch into the project's current branch: by git, not by a model, whole or not at all (S64).

The merge is computed in git's object store (`git merge-tree`), where conflicts cost nothing and touch nothing. Only
when there are none, and no file that it would change holds changes of the user, are working tree, index and then branch
moved on. Three things make that safe against a kill at any instant: a reference to the commit being brought in
(`refs/pawl/merging`) is there before the first file is touched, and whoever merges next takes a half-done merge back
first; the message of the commit names branch and tip, so a merge that was done is found, not done again; and git itself
runs on to its end when only we are killed (`engine/worktrees/git.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from engine.errors import EngineBug, UsageError
from engine.values import Json, WorktreeRow
from engine.worktrees.git import Git
from engine.worktrees.making import Plan, remove
from engine.worktrees.repository import Repository, safe, shown
from engine.worktrees.settling import difference

MERGING = "refs/pawl/merging"
"""The commit that is being brought in, while it is: one, for merges of a repository come one after another."""

TRAILER = "Pawl-Worktree"

_UNFINISHED = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply")

_NAMED = 10
"""Files that a message names."""


@dataclass(frozen=True, slots=True)
class Merged:
    """How a merge ended. `commit` is None when there was nothing to merge, or conflicts."""

    ok: bool
    commit: str | None = None
    conflicts: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    summary: str = ""

    def to_json(self) -> dict[str, Json]:
        return {
            "ok": self.ok,
            "commit": self.commit,
            "conflicts": self.conflicts,
            "files": self.files,
            "summary": self.summary,
        }

    @staticmethod
    def of(row: WorktreeRow) -> Merged:
        """What the row `merged` or `conflict` says of it."""
        body = orjson.loads(row.body)
        return Merged(body["ok"], body["commit"], body["conflicts"], body["files"], body["summary"])


NOTHING = Merged(ok=True)


def row_of(rows: Iterable[WorktreeRow], branch: str, run_id: str) -> WorktreeRow:
    """The newest row of the worktree that `branch` is of.

    Raises:
        UsageError: `unknown_worktree`, `worktree_in_use`.
    """
    known = [row for row in rows if row.branch == branch]
    if not known:
        raise UsageError(
            f"mergeWorktree({branch!r}): not the branch of a worktree of this run; those are pawl/{safe(run_id)}/…",
            code="unknown_worktree",
            hint="Pass on the `worktree` of what agent() gave with isolation: 'worktree' and full: true.",
        )
    if known[-1].state == "made":
        raise UsageError(
            f"mergeWorktree({branch!r}): call {known[-1].call} still works in it",
            code="worktree_in_use",
            hint="Await the agent first, then merge what it gave.",
        )
    return known[-1]


def merge(repository: Repository, git: Git, plan: Plan, title: str) -> Merged:
    """Merges the branch of `plan`. `git` holds the lock. The branch and the worktree stay.

    Raises:
        UsageError: `merge_in_progress` (the user is in the middle of a merge or rebase), `changes_in_the_way`,
            `worktree_lost` (branch and merge are both gone), `git_too_old`, `no_commit`.
    """
    _refuse_unfinished(repository)
    take_back(repository, git)
    head = repository.head()
    tip = repository.resolve(plan.ref)
    done = _found(git, plan, head, tip)
    if done is not None:
        return _result(git, f"{done}^1", done)
    if tip is None:
        raise UsageError(
            f"mergeWorktree({plan.branch!r}): the branch is gone, and nothing on the current branch says it was merged",
            code="worktree_lost",
            hint="Find its commit with `git reflog` or `git fsck --lost-found`, and make the branch again.",
        )
    if git.is_so("merge-base", "--is-ancestor", tip, head):
        return NOTHING
    tree, conflicts = _tree(repository, git, plan, head, tip)
    if conflicts:
        told = difference(git, plan.base, tip)
        return Merged(ok=False, conflicts=[shown(name) for name in conflicts], files=told.files, summary=told.summary)
    _refuse_changes(repository, git, plan, head, tree)
    # With uncommitted changes taken along, the branch stands on a commit of them that is nobody's: what was done on top
    # is brought in as one commit of its own.
    parents = ("-p", head) if plan.is_dirty else ("-p", head, "-p", tip)
    message = f"{title}\n\n{TRAILER}: {plan.branch} {tip}\n"
    commit = repository.identified(git).text("commit-tree", tree, *parents, "-F", "-", given=message.encode())
    bring_in(repository, git, head, commit, plan.branch)
    return _result(git, head, commit)


def bring_in(repository: Repository, git: Git, head: str, commit: str, branch: str) -> None:
    """Moves working tree, index and current branch from `head` to `commit`; takes it back when that fails."""
    git.text("update-ref", MERGING, commit)
    try:
        git.at(repository.top).text("read-tree", "-m", "-u", head, commit)
        git.text("update-ref", "-m", f"pawl: merge {branch}", "HEAD", commit, head)
    except BaseException:
        take_back(repository, git)
        raise
    git.text("update-ref", "-d", MERGING)


def take_back(repository: Repository, git: Git) -> None:
    """Undoes a merge that was stopped before the branch moved. What the user changed in the meantime stays."""
    commit = repository.resolve(MERGING)
    if commit is None:
        return
    before = git.text("rev-parse", f"{commit}^1")
    if repository.head() == before:
        at_top = git.at(repository.top)
        touched = at_top.names("diff-tree", "-r", "-z", "--no-renames", "--name-only", before, commit)
        in_index = at_top.names("diff-index", "--cached", "-z", "--no-renames", "--name-only", before)
        if not set(touched).isdisjoint(in_index):
            at_top.text("read-tree", "-m", "-u", commit, before)
        _restore(at_top, before, touched, commit)
    git.text("update-ref", "-d", MERGING)


def clear(repository: Repository, git: Git, plan: Plan) -> None:
    """A merged worktree has served: its content is in the project's history now."""
    remove(repository, git, plan, with_branch=True)


def forget(repository: Repository, git: Git, run: str, plans: Sequence[Plan]) -> list[str]:
    """Takes away worktrees and branches of a run that is being deleted; gives the branches that were there."""
    taken = []
    for plan in plans:
        if plan.branch.startswith(f"pawl/{run}/") and plan.path.parent == repository.worktrees / run:
            if repository.resolve(plan.ref) is not None:
                taken.append(plan.branch)
            remove(repository, git, plan, with_branch=True)
    return taken


def _found(git: Git, plan: Plan, head: str, tip: str | None) -> str | None:
    """The commit on the current branch that brought the worktree's branch in: at `tip`, where the branch is there."""
    text = f"{TRAILER}: {plan.branch} {tip or ''}"
    known = git.maybe("log", "-1", "--format=%H", "--fixed-strings", f"--grep={text}", head, "--not", plan.base)
    return known or None


def _tree(repository: Repository, git: Git, plan: Plan, head: str, tip: str) -> tuple[str, list[str]]:
    """The tree of the merge, and the files in conflict."""
    ours, theirs = head, tip
    if plan.is_dirty:
        # The base is the taken-along state, which the current branch knows nothing of: three commits are made for the
        # comparison that stand as if it did.
        who = repository.identified(git)

        def of(commit: str, *parents: str) -> str:
            tree = git.text("rev-parse", f"{commit}^{{tree}}")
            return who.text("commit-tree", tree, *parents, "-m", "compared by Pawl")

        base = of(plan.base)
        ours, theirs = of(head, "-p", base), of(tip, "-p", base)
    ended = git.ended(
        "merge-tree", "--write-tree", "--name-only", "-z", "--no-messages", ours, theirs, fine=(0, 1, 129)
    )
    if ended.returncode == 129:
        raise UsageError(
            "mergeWorktree() needs git 2.38 or newer",
            code="git_too_old",
            hint=f"Update git, or merge by hand: git merge {plan.branch}",
        )
    tree, *conflicts = [os.fsdecode(name) for name in ended.stdout.split(b"\0") if name]
    return tree, conflicts if ended.returncode == 1 else []


def _refuse_unfinished(repository: Repository) -> None:
    there = next((name for name in _UNFINISHED if (repository.git_dir / name).exists()), None)
    if there is not None or repository.git.text("ls-files", "--unmerged"):
        raise UsageError(
            "mergeWorktree(): a merge, rebase, cherry-pick or revert of yours is not finished in this project",
            code="merge_in_progress",
            hint="Finish it or abort it (git status says how), then resume the run.",
        )


def _refuse_changes(repository: Repository, git: Git, plan: Plan, head: str, tree: str) -> None:
    """Refuses when a file that the merge would change holds changes of the user, or stands where a new one comes."""
    at_top = git.at(repository.top)
    touched = at_top.names("diff-tree", "-r", "-z", "--no-renames", "--name-only", head, tree)
    if not touched:
        return
    dirty = set(at_top.names("diff-index", "-z", "--no-renames", "--name-only", head))
    dirty |= set(at_top.names("diff-files", "-z", "--no-renames", "--name-only"))
    known = set(at_top.names("ls-tree", "-r", "-z", "--name-only", head))
    in_the_way = [name for name in touched if name in dirty or (name not in known and _blocks(repository.top, name))]
    really = [name for name in in_the_way if name not in dirty or _differs(at_top, head, name)]
    if really:
        named = ", ".join(shown(name) for name in really[:_NAMED])
        more = f" and {len(really) - _NAMED} more" if len(really) > _NAMED else ""
        raise UsageError(
            f"mergeWorktree({plan.branch!r}) would overwrite changes of yours that are not committed: {named}{more}",
            code="changes_in_the_way",
            hint="Commit or stash them, then resume the run; the branch is kept.",
            files=[shown(name) for name in really],
        )


def _blocks(top: Path, name: str) -> bool:
    """Whether something that git does not know stands where `name` is to come, or where a folder above it must be."""
    path = top / name
    if os.path.lexists(path):
        return True
    for above in path.parents:
        if above == top:
            return False
        if os.path.lexists(above):
            return not above.is_dir() or above.is_symlink()
    raise EngineBug(f"{name!r} is not below the top of the repository")


def _differs(git: Git, head: str, name: str) -> bool:
    """Whether a file that may have changed has: `diff-files` also names those that were only touched."""
    in_index = git.is_so(
        "diff", "--no-ext-diff", "--no-textconv", "--quiet", "--cached", head, "--", f":(literal){name}"
    )
    in_files = git.is_so("diff", "--no-ext-diff", "--no-textconv", "--quiet", "--", f":(literal){name}")
    return not (in_index and in_files)


def _restore(git: Git, before: str, touched: list[str], commit: str) -> None:
    """After a power cut in the middle of writing: files that hold the start of what was being brought in, or nothing,
    get their old content; any other change is the user's."""
    known = set(git.names("ls-tree", "-r", "-z", "--name-only", before))
    for name in touched:
        path, is_new = git.folder / name, name not in known
        if not is_new and not _differs(git, before, name):
            continue
        new = git.ended("cat-file", "blob", f"{commit}:{name}", fine=(0, 128)).stdout
        with suppress(OSError):
            if not new.startswith(_held(path)):
                continue
            if not is_new:
                git.text("checkout-index", "--force", "--", name)
            elif os.path.lexists(path):
                path.unlink()


def _held(path: Path) -> bytes:
    """What is in a file, or where a link leads; nothing for one that is not there."""
    if path.is_symlink():
        return os.fsencode(path.readlink())
    return path.read_bytes() if path.exists() else b""


def _result(git: Git, before: str, commit: str) -> Merged:
    told = difference(git, before, commit)
    return Merged(ok=True, commit=git.text("rev-parse", commit), files=told.files, summary=told.summary)
