"""`pawl export`, `import`, `delete`, `gc`: the journal's own life."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.command import Command, Shell, command

if TYPE_CHECKING:
    from engine.journal.sqlite import SqliteJournal
    from engine.journal.upkeep import Freed
    from engine.values import WorktreeRow

DAY_MS = 24 * 3600 * 1000


@command("export", example="pawl export RUN -o run.pawl")
@click.argument("reference", metavar="RUN")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Default: RUN.pawl in the current folder.")  # fmt: skip
async def export(shell: Shell, reference: str, output: Path | None) -> None:
    """Write a run with all its versions into one file, for another journal or an archive."""
    from engine.cli.reading import journal
    from engine.history import parse_reference

    run_id, _ = parse_reference(reference)
    path = output or Path(f"{run_id}.pawl")
    async with journal(shell) as opened:
        records = await opened.export_run(run_id, path)
    if shell.out.is_json:
        shell.out.json({"run_id": run_id, "file": str(path), "records": records})
    else:
        shell.out.print(f"wrote {records:,} records of {run_id} to {path}")


@command("import", example="pawl import run.pawl")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
async def import_(shell: Shell, file: Path) -> None:
    """Read a run that `pawl export` wrote: all of it or nothing."""
    from engine.cli.reading import journal

    async with journal(shell) as opened:
        run_id = await opened.import_run(file)
    if shell.out.is_json:
        shell.out.json({"run_id": run_id, "file": str(file)})
    else:
        shell.out.print(f"imported {run_id}: pawl show {run_id}")


@command("delete", example="pawl delete RUN")
@click.argument("references", metavar="RUN…", nargs=-1, required=True)
async def delete(shell: Shell, references: tuple[str, ...]) -> None:
    """Delete runs with all their versions. One that a live process drives is refused, and then none is deleted."""
    from engine.cli.reading import journal
    from engine.errors import UsageError
    from engine.history import parse_reference

    for reference in references:
        if parse_reference(reference)[1] is not None:
            raise UsageError(
                f"{reference!r} names one version: a run is deleted as a whole",
                code="bad_run_id",
                hint=f"pawl delete {reference.partition('@')[0]}",
            )
    async with journal(shell) as opened:
        await _delete(shell, opened, references)


@command("gc", example="pawl gc --older-than 30d")
@click.option("--older-than", metavar="AGE", help="Delete runs that were last written before that: 12h, 30d, 2w.")
async def gc(shell: Shell, older_than: str | None) -> None:
    """Delete stored values that nothing refers to, and with --older-than old runs that nobody drives."""
    from engine.cli.inputs import days
    from engine.cli.reading import journal

    age_ms = None if older_than is None else int(days(older_than) * DAY_MS)
    async with journal(shell) as opened:
        if age_ms is None:
            _tell(shell, await opened.gc(), [])
        else:
            await _delete(shell, opened, await opened.old_runs(age_ms))


async def _delete(shell: Shell, opened: SqliteJournal, run_ids: Sequence[str]) -> None:
    """Deletes runs, and what they left in the project."""
    from engine import leftovers
    from engine.errors import JournalError

    left: dict[str, tuple[Path, list[WorktreeRow]]] = {}
    for run_id in run_ids:
        with contextlib.suppress(JournalError):  # a damaged run can be deleted; what it left is then unknown
            left[run_id] = Path((await opened.run_info(run_id)).project), await opened.worktrees(run_id)
    freed = await opened.delete_runs(run_ids) if run_ids else await opened.gc()
    unmerged: list[WorktreeRow] = []
    for run_id in freed.run_ids:
        if run_id in left:
            project, rows = left[run_id]
            unmerged += await leftovers.remove(project, run_id, rows)
    _tell(shell, freed, unmerged)


def _tell(shell: Shell, freed: Freed, unmerged: Sequence[WorktreeRow]) -> None:
    from engine.cli import wording

    if shell.out.is_json:
        kept = [{"branch": row.branch, "path": row.path} for row in unmerged]
        shell.out.json({"deleted": list(freed.run_ids), "values": freed.values, "bytes": freed.bytes, "unmerged": kept})
        return
    for run_id in freed.run_ids:
        shell.out.print(f"deleted {run_id}")
    for row in unmerged:
        shell.out.print(f"kept {row.path}, branch {row.branch}: it holds work that was not merged; to drop it:")
        shell.out.print(f"     git worktree remove --force {shlex.quote(row.path)} && git branch -D {row.branch}")
    shell.out.print(f"{wording.count(len(freed.run_ids), 'run')} deleted, {wording.size(freed.bytes)} given back")


COMMANDS: dict[str, Command] = {"export": export, "import": import_, "delete": delete, "gc": gc}
