"""How commands that only look get at the journal: a folder without one has no runs and gets no file by a look."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.command import Shell

if TYPE_CHECKING:
    from engine.ports import Journal


def journal_path(shell: Shell) -> Path:
    """The journal that the flags, variables and the current folder mean."""
    if shell.journal is not None:
        return shell.journal
    from engine.workflows import project_root

    return (shell.project or project_root()) / ".pawl" / "pawl.db"


@contextlib.asynccontextmanager
async def journal(shell: Shell) -> AsyncIterator[Journal]:
    """The journal, open for reading; an empty one in memory where there is no file."""
    path = journal_path(shell)
    opened: Journal
    if path.exists():
        from engine.journal.sqlite import SqliteJournal

        opened = await SqliteJournal.open(path, read_only=True)
    else:
        from engine.journal.memory import MemoryJournal

        opened = MemoryJournal()
    try:
        yield opened
    finally:
        await opened.close()
