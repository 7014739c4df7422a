"""What a subagent left in its worktree: nothing, or a branch that holds all of it.

Its files are what counts. A subagent with a shell may have committed, switched branches, deleted its branch, removed
the worktree, begun a merge: whatever it did, what its folder holds at the end is what its branch holds, and the branch
stands on what it committed last. Nothing here asks the worktree's own `.git` file for where it belongs.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, field

from engine.values import Json
from engine.worktrees.git import Git
from engine.worktrees.making import Plan, admin_folder, inner_repositories, own_index, remove, tree_of_files
from engine.worktrees.repository import Repository, shown

MOST_FILES = 1000
"""Names of changed files that are reported; a script gets them all in one value. `changed` counts the others too."""
STAT_LINES = 40
STAT_CHARACTERS = 8000


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed between two commits, for people: names, their number, `git diff --stat`."""

    files: list[str] = field(default_factory=list)
    changed: int = 0
    summary: str = ""

    def to_json(self) -> dict[str, Json]:
        return {"files": self.files, "changed": self.changed, "summary": self.summary}


@dataclass(frozen=True, slots=True)
class Left:
    """What `settle` found. `tip` is None when nothing changed and the worktree is gone.

    Attributes:
        inner: repositories that the subagent made inside: their content is in no commit, only in the worktree.
        lost: a commit of the branch that is not below its tip any more: the subagent had left it.
    """

    tip: str | None
    difference: Difference
    inner: list[str]
    lost: str | None

    def to_json(self) -> dict[str, Json]:
        more: dict[str, Json] = {}
        if self.inner:
            more["inner_repositories"] = self.inner
        if self.lost:
            more["lost"] = self.lost
        return {**self.difference.to_json(), **more}


def settle(repository: Repository, git: Git, plan: Plan, message: str) -> Left:
    """Commits what is not committed, brings the branch to it; or takes everything away when nothing changed.

    `git` holds the lock.
    """
    branch_tip = repository.resolve(plan.ref)
    tip, inner = branch_tip or plan.base, list[str]()
    if plan.path.is_dir() and not plan.path.is_symlink():
        tip, inner = _commit_files(repository, git, plan, tip, message)
    if tip == plan.base and not inner:
        remove(repository, git, plan, with_branch=True)
        return Left(None, Difference(), [], None)
    git.text("update-ref", "-m", "pawl: what the subagent left", plan.ref, tip)
    lost = branch_tip
    if branch_tip is None or git.is_so("merge-base", "--is-ancestor", branch_tip, tip):
        lost = None
    return Left(tip, difference(git, plan.base, tip), inner, lost)


def _commit_files(repository: Repository, git: Git, plan: Plan, tip: str, message: str) -> tuple[str, list[str]]:
    admin = admin_folder(repository, plan.path)
    there = git.at(plan.path).using(GIT_DIR=admin or repository.common_dir, GIT_WORK_TREE=plan.path)
    if admin is not None:
        tip = there.maybe("rev-parse", "--verify", "--quiet", "HEAD^{commit}") or tip
    with own_index(admin or repository.common_dir / "none") as index:
        there = there.using(GIT_INDEX_FILE=index)
        if admin is None:
            there.text("read-tree", tip)
        inner = inner_repositories(there)
        tree = tree_of_files(there)
        if tree != git.text("rev-parse", f"{tip}^{{tree}}"):
            tip = repository.identified(git).text("commit-tree", tree, "-p", tip, "-F", "-", given=message.encode())
        if admin is not None:  # what people find there is the branch, with nothing left to commit
            there.text("symbolic-ref", "HEAD", plan.ref)
            beside = admin / "pawl-index"
            shutil.copy2(index, beside)
            os.replace(beside, admin / "index")
            with suppress(FileNotFoundError):
                (admin / "index.lock").unlink()  # of a git of the subagent that was killed with it
    return tip, inner


def difference(git: Git, before: str, after: str) -> Difference:
    """What `after` changes. Names are relative to the top of the repository."""
    how = ("--no-ext-diff", "--no-textconv", "--no-renames")
    names = git.names("diff", *how, "--name-only", "-z", before, after)
    stat = git.text("diff", *how, f"--stat=100,80,{STAT_LINES}", before, after)
    return Difference([shown(name) for name in names[:MOST_FILES]], len(names), shown(stat)[:STAT_CHARACTERS])
