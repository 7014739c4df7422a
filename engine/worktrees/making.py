"""Makes the worktree of a call, finds out whether one is whole, and takes one away. All under the repository's lock.

What must be done for one worktree alone (filling it with files) is done outside the lock, so that sixteen fill at once.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from engine.errors import UsageError
from engine.worktrees.git import Git, GitFailed
from engine.worktrees.repository import Repository, safe

READY = "pawl-ready"
"""A file in a worktree's administrative folder: it was made to the end."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a worktree is, or is to be.

    Attributes:
        base: the commit that it starts from; with `is_dirty` one that holds the uncommitted changes of the project.
    """

    path: Path
    branch: str
    base: str
    is_dirty: bool = False

    @property
    def ref(self) -> str:
        return f"refs/heads/{self.branch}"


def plan(repository: Repository, run_id: str, call: int, *, takes_dirty: bool) -> Plan:
    """A place and a branch that nobody has. Nothing is made but the folder above it and, for `takes_dirty`, a commit.

    Raises:
        UsageError: `worktree_branch`: a branch with the name of a folder of ours is in the way.
    """
    head = repository.head()
    run = safe(run_id)
    folder = repository.make_place(run)
    for name in ("pawl", f"pawl/{run}"):
        if repository.resolve(f"refs/heads/{name}") is not None:
            raise UsageError(
                f"No branch can be made below {name}/: there is a branch of the name {name!r}",
                code="worktree_branch",
                hint=f"Rename it: git branch -m {name} another-name",
            )
    base = snapshot(repository, head) if takes_dirty else head
    for number in count(1):
        name = f"{call}" if number == 1 else f"{call}-{number}"
        branch, path = f"pawl/{run}/{name}", folder / name
        if repository.resolve(f"refs/heads/{branch}") is None and not os.path.lexists(path):
            return Plan(path, branch, base, base != head)
    raise AssertionError


def make(repository: Repository, git: Git, plan: Plan) -> None:
    """Makes branch and worktree, without files. `git` holds the lock. What a kill left of the same plan is replaced."""
    remove(repository, git, plan, with_branch=False)
    tip = repository.resolve(plan.ref)
    if tip is None:
        git.text("update-ref", plan.ref, plan.base, "")
    git.text("worktree", "add", "--quiet", "--no-checkout", "--force", plan.path, plan.branch)


def fill(repository: Repository, plan: Plan) -> None:
    """Puts the files there; then the worktree is ready."""
    admin = admin_folder(repository, plan.path)
    if admin is None:
        raise UsageError(f"The worktree {plan.path.name} is gone as soon as it was made", code="worktree_lost")
    Git(plan.path).using(GIT_DIR=admin, GIT_WORK_TREE=plan.path).text("reset", "--quiet", "--hard")
    work_folder(repository, plan).mkdir(parents=True, exist_ok=True)
    (admin / READY).touch()


def is_ready(repository: Repository, plan: Plan) -> bool:
    """Whether it was made to the end and is still there."""
    admin = admin_folder(repository, plan.path)
    return admin is not None and (admin / READY).exists() and work_folder(repository, plan).is_dir()


def work_folder(repository: Repository, plan: Plan) -> Path:
    """The project's own folder in the worktree."""
    return plan.path / repository.prefix if repository.prefix else plan.path


def admin_folder(repository: Repository, path: Path) -> Path | None:
    """The folder in which git keeps what it knows of the worktree, or None when the worktree or that is gone.

    Found from git's side: a `.git` file in the worktree is in the hands of the subagent, and git, when it is missing,
    takes the project itself for the repository that is meant.
    """
    if path.is_symlink() or not path.is_dir():
        return None
    return _known_as(repository, path)


def _known_as(repository: Repository, path: Path) -> Path | None:
    with suppress(OSError):
        for admin in sorted((repository.common_dir / "worktrees").iterdir()):
            with suppress(OSError):
                told = os.fsdecode((admin / "gitdir").read_bytes()).rstrip("\n")
                if os.path.normpath(admin / told) == str(path / ".git"):
                    return admin
    return None


def remove(repository: Repository, git: Git, plan: Plan, *, with_branch: bool) -> None:
    """Takes the worktree away, whatever state it is in, and its branch. `git` holds the lock.

    Not with `git worktree remove`, which refuses what a subagent may have done to it, and not with `prune`, which would
    forget worktrees of people whose disk is not there at the moment.
    """
    admin = _known_as(repository, plan.path)
    if plan.path.is_symlink():
        plan.path.unlink()
    elif plan.path.exists():
        delete_folder(plan.path)
    if admin is not None:
        delete_folder(admin)
    if with_branch:
        git.maybe("update-ref", "-d", plan.ref)
    with suppress(OSError):
        plan.path.parent.rmdir()  # when it was the run's last one


def delete_folder(folder: Path) -> None:
    """Deletes all of it, also what was made read-only. Links are deleted, not followed."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except PermissionError:
        for at, _, _ in os.walk(folder):
            with suppress(OSError):
                os.chmod(at, stat.S_IRWXU)
        shutil.rmtree(folder)


def snapshot(repository: Repository, head: str) -> str:
    """A commit on top of `head` with the project's uncommitted changes and its new files; `head` when there are none.

    In an index of its own: the user's index and stash list are not touched. Repositories inside are left out.
    """
    with own_index(repository.git_dir) as index:
        git = repository.git.at(repository.top).using(GIT_INDEX_FILE=index)
        tree = tree_of_files(git)
        if tree == git.text("rev-parse", f"{head}^{{tree}}"):
            return head
        message = "Uncommitted changes, taken along by Pawl"
        return repository.identified(git).text("commit-tree", tree, "-p", head, "-m", message)


@contextmanager
def own_index(git_dir: Path) -> Iterator[Path]:
    """A copy of an index: what was read of files already need not be read again.

    Its time is copied, too: git looks into files that are as new as the index, and takes others by their time and size.
    """
    with TemporaryDirectory(prefix="pawl-index-") as folder:
        copy = Path(folder) / "index"
        with suppress(FileNotFoundError):
            shutil.copy2(git_dir / "index", copy)
        yield copy


def tree_of_files(git: Git) -> str:
    """The tree of all files in the working tree that are not ignored; the index of `git` is brought up to it."""
    git.text("add", "--all", "--", ".", *(f":(exclude,literal,top){name}" for name in inner_repositories(git)))
    return git.text("write-tree")


def inner_repositories(git: Git) -> list[str]:
    """Folders that are repositories of their own, and no submodules: git would record a commit's id in their place."""
    others = git.names("ls-files", "-z", "--others", "--exclude-standard")
    return sorted(name.rstrip("/") for name in others if name.endswith("/"))


def tried(what: str, error: GitFailed) -> UsageError:
    """The failure with what we were about to do."""
    return UsageError(f"{what}: {error.message}", code=error.code, hint=error.hint)
