"""The `.pawl` folder of a project: what is kept there, and what of it git should not see."""

from __future__ import annotations

import contextlib
from pathlib import Path

FOLDER = ".pawl"
IGNORED = """\
# Written by Pawl. The journal and logs stay on this machine; config.toml and workflows are worth sharing.
/pawl.db*
/logs/
/locks/
"""


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
