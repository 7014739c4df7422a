"""How commands that only look get at the journal. Looking makes no file, so a folder without one just has no runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.command import Shell

if TYPE_CHECKING:
    from engine.journal.sqlite import SqliteJournal


def project_of(shell: Shell) -> Path:
    """`--project`, else the nearest folder at or above the current one with `.pawl` or `.git`, else the current one."""
    from engine.project import project_root

    return project_root(shell.project or Path.cwd())


def journal_path(shell: Shell) -> Path:
    """The journal that the flags, variables and the current folder mean."""
    return shell.journal or project_of(shell) / ".pawl" / "pawl.db"


def journal(shell: Shell) -> SqliteJournal:
    """The journal; an async context manager that closes it."""
    from engine.journal.sqlite import SqliteJournal

    return SqliteJournal(journal_path(shell))
