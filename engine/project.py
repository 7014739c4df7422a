"""Where a project and its repository begin; what its `.pawl` folder holds, and what of it git should not see."""

from __future__ import annotations

import contextlib
from pathlib import Path

FOLDER = ".pawl"
IGNORED = """\
# Written by Pawl. What runs leave stays on this machine; config.toml and workflows are worth sharing.
/pawl.db*
/logs/
/locks/
/outputs/
/drafts/
/worktrees/
"""


def project_root(start: Path | None = None) -> Path:
    """The nearest folder at or above `start` (the current one) with `.pawl` or a repository, else `start` itself."""
    start = (start or Path.cwd()).absolute()
    for folder in (start, *start.parents):
        if (folder / FOLDER).is_dir() or _is_repository(folder):
            return folder
    return start


def repository_root(project: Path) -> Path:
    """The nearest repository at or above `project`, else `project` itself."""
    project = project.absolute()
    return next((folder for folder in (project, *project.parents) if _is_repository(folder)), project)


def _is_repository(folder: Path) -> bool:
    """As git sees it: in a worktree `.git` is a file; an empty folder of that name is nothing (codex makes such)."""
    git = folder / ".git"
    return git.is_file() or (git / "HEAD").exists()


def keep_out_of_git(project: Path, journal: Path | None) -> None:
    """Writes `.pawl/.gitignore` unless one is there, if that is where the journal is.

    A folder that cannot be written is the journal's to complain of.
    """
    folder = project / FOLDER
    if journal is None or journal.parent != folder:
        return
    with contextlib.suppress(OSError):
        folder.mkdir(exist_ok=True)
        with (folder / ".gitignore").open("x", encoding="utf-8") as file:
            file.write(IGNORED)
