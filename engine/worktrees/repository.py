"""The git repository that a project is in: where things are, who we are in it, and its lock."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UsageError
from engine.project import FOLDER
from engine.worktrees.git import Git, GitFailed

LOCK_S = 600.0
"""Waiting for others of the same repository: each holds the lock for the milliseconds that references take."""

_OURS = "Pawl"


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository as seen from a project, which may be a folder far below the top.

    Attributes:
        git: git in the project's folder.
        top: the folder of the project's working tree.
        prefix: the way from there to the project: empty, or `a/b`.
        git_dir: of the project's own working tree; `common_dir` of all of them.
    """

    project: Path
    git: Git
    top: Path
    prefix: str
    git_dir: Path
    common_dir: Path

    @classmethod
    def of(cls, project: Path) -> Repository:
        """Looks at the project's repository.

        Raises:
            UsageError: `not_a_repository`, `bare_repository`, `no_commit`, `repository_not_trusted`, `git_missing`.
        """
        project = Path(os.path.realpath(project))
        git = Git(project)
        try:
            is_inside, git_dir, common_dir = git.text(
                "rev-parse", "--is-inside-work-tree", "--absolute-git-dir", "--git-common-dir"
            ).split("\n")
        except GitFailed as error:
            if error.code != "not_a_repository":
                raise
            raise UsageError(
                "Worktrees need a git repository, and the project is in none.",
                code="not_a_repository",
                hint="Run `git init` and commit once, or leave isolation out.",
            ) from None
        if is_inside != "true":
            raise UsageError(
                "Worktrees need a project with files: this is a bare repository, or the inside of one.",
                code="bare_repository",
                hint="Start the run in a clone or a worktree of it.",
            )
        top, prefix = git.text("rev-parse", "--show-toplevel"), git.text("rev-parse", "--show-prefix")
        common = Path(os.path.realpath(project / common_dir))
        return cls(project, git, Path(os.path.realpath(top)), prefix.rstrip("/"), Path(git_dir), common)

    def head(self) -> str:
        """The commit that the project is at. Raises `UsageError` (`no_commit`)."""
        commit = self.git.maybe("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        if commit is None:
            raise UsageError(
                "Worktrees start from a commit, and this repository has none yet.",
                code="no_commit",
                hint="Commit once: git add -A && git commit -m 'Start'.",
            )
        return commit

    def resolve(self, ref: str) -> str | None:
        """The commit of a full reference name, or None."""
        return self.git.maybe("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")

    @property
    def worktrees(self) -> Path:
        """The folder of all our worktrees. It keeps itself out of git."""
        return self.project / FOLDER / "worktrees"

    def make_place(self, run: str) -> Path:
        """Makes the folder of a run's worktrees and gives it. Never through a link: it might lead anywhere.

        Raises:
            UsageError: `worktree_place`.
        """
        folder = self.project
        for name in (FOLDER, "worktrees", run):
            folder = folder / name
            try:
                folder.mkdir(exist_ok=True)
            except OSError as error:
                raise _no_place(folder.relative_to(self.project), error.strerror or "cannot be made") from None
            if folder.is_symlink():
                raise _no_place(folder.relative_to(self.project), "it is a symbolic link")
            if name == "worktrees":
                ignored = folder / ".gitignore"
                if not ignored.exists():
                    ignored.write_text("*\n", encoding="utf-8")
        return folder

    def identified(self, git: Git) -> Git:
        """`git` with an author: the one that git knows, or ours where it knows none."""
        name = os.environ.get("GIT_AUTHOR_NAME") or git.maybe("config", "user.name")
        email = os.environ.get("GIT_AUTHOR_EMAIL") or git.maybe("config", "user.email")
        who = {"NAME": name or _OURS, "EMAIL": email or "pawl@localhost"}
        return git.using(
            **{f"GIT_{role}_{what}": text for role in ("AUTHOR", "COMMITTER") for what, text in who.items()}
        )

    @contextmanager
    def lock(self) -> Iterator[Git]:
        """Holds the repository's lock across processes; gives a git whose commands keep it, also when we are killed."""
        fd = os.open(self.common_dir / "pawl.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            end = time.monotonic() + LOCK_S
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise UsageError(
                            f"Another process has worked on this repository's worktrees for {LOCK_S:g} s.",
                            code="repository_busy",
                            hint="Look for other runs of this project: pawl runs.",
                        ) from None
                    time.sleep(0.01)  # in a thread of its own, never on the event loop
            yield self.git.holding(fd)
        finally:
            os.close(fd)


def safe(run_id: str) -> str:
    """The run's id as a part of a branch name and of a path: what git does not take is spelled in another way.

    No two ids give the same: `=` is in none of them.
    """
    if run_id.startswith(".") or run_id.endswith((".", ".lock")) or ".." in run_id:
        return run_id.replace(".", "=2e")
    return run_id


def shown(name: str) -> str:
    """A file's name as JSON can hold it."""
    return os.fsencode(name).decode(errors="replace")


def one_line(text: str, most: int = 72) -> str:
    """The start of `text` as the first line of a commit's message."""
    line = re.sub(r"[\x00-\x20\x7f]+", " ", text).strip()
    return line if len(line) <= most else line[: most - 1] + "…"


def _no_place(folder: Path, why: str) -> UsageError:
    return UsageError(
        f"No worktrees can be made in {folder}: {why}",
        code="worktree_place",
        hint=f"Make {folder} a folder that you may write to.",
    )
