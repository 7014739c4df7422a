"""Real git repositories for tests: seeded with files, without any of the machine's own git settings."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engine.clock import SystemClock
from engine.values import Row, WorktreeRow
from engine.worktrees import Worktrees

CLEAN = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "A. Tester",
    "GIT_AUTHOR_EMAIL": "tester@example.org",
    "GIT_COMMITTER_NAME": "A. Tester",
    "GIT_COMMITTER_EMAIL": "tester@example.org",
}
"""Variables that keep the settings of whoever runs the tests out."""


@dataclass
class Repository:
    """A repository in `folder`, and git in it as a person uses it."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, files: dict[str, str]) -> Repository:
        """A repository with one commit of `files` on `main`."""
        folder.mkdir(parents=True, exist_ok=True)
        repository = cls(folder)
        repository.git("init", "--quiet", "--initial-branch", "main")
        repository.commit(files, "Start")
        return repository

    def git(self, *words: str, at: Path | str = ".") -> str:
        done = subprocess.run(
            ["git", *words],
            cwd=self.folder / at,
            env={**os.environ, **CLEAN},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"git {' '.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout.rstrip("\n")

    def write(self, files: dict[str, str], *, at: Path | str = ".") -> None:
        for name, text in files.items():
            path = self.folder / at / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def commit(self, files: dict[str, str], message: str, *, at: Path | str = ".") -> str:
        self.write(files, at=at)
        self.git("add", "--all", at=at)
        self.git("commit", "--quiet", "--message", message, at=at)
        return self.git("rev-parse", "HEAD", at=at)

    def read(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def show(self, ref: str, name: str) -> str:
        return self.git("show", f"{ref}:{name}")

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    @property
    def status(self) -> list[str]:
        return self.git("status", "--porcelain", "--untracked-files=all").splitlines()

    @property
    def branches(self) -> list[str]:
        return self.git("for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines()

    @property
    def worktrees(self) -> list[str]:
        """The folders of all worktrees but the main one, as far as git knows."""
        listed = self.git("worktree", "list", "--porcelain").splitlines()
        return [line.removeprefix("worktree ") for line in listed if line.startswith("worktree ")][1:]


@dataclass
class Pen:
    """A `Writer` that keeps rows in memory, durable at once; shared by the versions of a run."""

    rows: list[WorktreeRow] = field(default_factory=list)
    version: int = 1

    def add(self, row: Row, then: Callable[[], None] | None = None) -> None:
        assert isinstance(row, WorktreeRow)
        self.rows.append(row)
        if then is not None:
            asyncio.get_running_loop().call_soon(then)

    @property
    def states(self) -> list[tuple[int, str]]:
        return [(row.call, row.state) for row in self.rows]


def worktrees(project: Path, pen: Pen, *, run_id: str = "run", takes_dirty: bool = False) -> Worktrees:
    """What a version of a run has: with the rows that earlier versions wrote with the same pen."""

    async def recorded() -> list[WorktreeRow]:
        return list(pen.rows)

    return Worktrees(
        project=project,
        run_id=run_id,
        writer=pen,  # type: ignore[arg-type]  # all of it that is used
        clock=SystemClock(),
        recorded=recorded,
        takes_dirty=takes_dirty,
    )
