"""`pawl runs`, `show`, `log`, `diff`, `verify`: what is recorded. They read, never write, and need no lease."""

from __future__ import annotations

from typing import Any

import click

from engine.cli.command import Command, Shell, command


@command("runs", example="pawl runs --json")
@click.option("--limit", type=click.IntRange(1), default=None, metavar="N", help="Only the newest N.")
async def runs(shell: Shell, limit: int | None) -> None:
    """List the runs of this project, newest first."""
    from engine import overview
    from engine.cli import wording
    from engine.cli.reading import journal
    from engine.cli.streams import one_line, table

    found = []
    async with journal(shell) as opened:
        async for info in opened.runs():
            found.append(info)
            if limit is not None and len(found) >= limit:
                break
    if shell.out.is_json:
        shell.out.json({"runs": [overview.listed(info) for info in found]})
        return
    if not found:
        shell.out.print("No runs yet. Start one with: pawl run repo-tour")
        return
    rows = [
        (
            info.run_id,
            str(info.status) + (" (degraded)" if info.degraded else ""),
            wording.when(info.created_at),
            str(info.versions),
            f"{info.agents:,}",
            wording.money(info.paid.cost_usd),
            one_line(info.name, 40),
        )
        for info in found
    ]
    shell.out.print(
        table(rows, head=("RUN", "STATUS", "STARTED", "VERSIONS", "AGENTS", "COST", "WORKFLOW"), right=(3, 4, 5))
    )


@command("show", example="pawl show RUN --calls")
@click.argument("reference", metavar="RUN[@V]")
@click.option("--calls", "with_calls", is_flag=True, help="List every call.")
@click.option("--call", "number", type=click.IntRange(1), metavar="N", help="Everything about one call.")
@click.option("--transcript", "with_transcript", is_flag=True, help="With --call: what its subagent said and did.")
async def show(shell: Shell, reference: str, with_calls: bool, number: int | None, with_transcript: bool) -> None:
    """Show one run: how it stands, what it cost, why anything is null."""
    from engine import conversations, history, overview
    from engine.cli import showing
    from engine.cli.reading import journal, journal_path

    if with_transcript and number is None:
        raise click.UsageError("--transcript needs --call N.", click.get_current_context())
    async with journal(shell) as opened:
        reading = await history.read(opened, reference)
        turns = await conversations.turns_of(opened, reading, number) if with_transcript and number else []
    if number is not None:
        view = history.find_call(reading, number)
        if shell.out.is_json:
            told: dict[str, Any] = {"run_id": reading.info.run_id, "version": reading.version.version}
            told |= view.details()
            if with_transcript:
                told["transcript"] = conversations.transcript(turns)
            shell.out.json(told)
        elif with_transcript:
            shell.out.print("\n".join(showing.transcript_lines(view, turns)))
        else:
            shell.out.print("\n".join(showing.call_lines(view)))
        return
    told = overview.shown(reading, with_calls=with_calls)
    told["journal"] = str(journal_path(shell))
    if shell.out.is_json:
        shell.out.json(told)
    else:
        shell.out.print("\n".join(showing.run_lines(reading, told)))


@command("search", example="pawl search connection refused --run RUN")
@click.argument("words", metavar="WORDS…", nargs=-1, required=True)
@click.option("--run", "reference", metavar="RUN", help="Only in this run.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, metavar="N", help="At most N.")
async def search(shell: Shell, words: tuple[str, ...], reference: str | None, limit: int) -> None:
    """Search what subagents were asked, said, and did with their tools; newest first.

    All words must occur, anywhere in a turn. "a phrase" in quotes as it stands; begin* is any word that begins so.
    """
    from engine import conversations
    from engine.cli import showing
    from engine.cli.reading import journal

    async with journal(shell) as opened:
        hits = await conversations.search(opened, " ".join(words), reference, limit=limit)
    if shell.out.is_json:
        shell.out.json({"hits": [hit.to_json() for hit in hits], "limit": limit})
    elif not hits:
        shell.out.print("Nothing found.")
    else:
        shell.out.print("\n".join(showing.hit_lines(hits)))


@command("log", example="pawl log RUN --json")
@click.argument("reference", metavar="RUN[@V]")
async def log(shell: Shell, reference: str) -> None:
    """Print the events of a run. With --json: JSON Lines, the form of `run --events`."""
    from engine import history, timeline
    from engine.cli.board import Board
    from engine.cli.reading import journal
    from engine.cli.views import plain_line

    async with journal(shell) as opened:
        reading = await history.read(opened, reference)
    board = Board()
    for event in timeline.timeline(reading):
        if shell.out.is_json:
            shell.out.json(event.to_json())
            continue
        line = plain_line(event, board)
        board.fold(event)
        if line is not None:
            shell.out.print(line)
    if not shell.out.is_json and reading.version.end is not None:
        shell.out.print(f"-- {reading.status}")


@command("diff", example="pawl diff RUN@1 RUN@2")
@click.argument("left", metavar="RUN[@V]")
@click.argument("right", metavar="RUN[@V]")
@click.option("--all", "is_all", is_flag=True, help="List what is the same, too.")
async def diff(shell: Shell, left: str, right: str, is_all: bool) -> None:
    """Compare what two runs asked and got, call by call."""
    from engine import difference, history
    from engine.cli import showing
    from engine.cli.reading import journal

    async with journal(shell) as opened:
        ours, theirs = await history.read(opened, left), await history.read(opened, right)
    found = difference.differences(ours, theirs)
    if shell.out.is_json:
        shell.out.json(difference.to_json(ours, theirs, found))
    else:
        shell.out.print("\n".join(showing.difference_lines(ours, theirs, found, is_all=is_all)))


@command("verify", example="pawl verify")
@click.argument("reference", metavar="[RUN]", required=False)
async def verify(shell: Shell, reference: str | None) -> int:
    """Check every stored record against its checksum. Exits 6 when one does not fit."""
    from engine.cli.reading import journal
    from engine.errors import JournalError
    from engine.history import parse_reference

    run_id = parse_reference(reference)[0] if reference is not None else None
    async with journal(shell) as opened:
        if run_id is not None:
            await opened.run_info(run_id)
        problems = await opened.verify(run_id)
    if shell.out.is_json:
        shell.out.json({"ok": not problems, "problems": problems})
    elif not problems:
        shell.out.print("Every record fits its checksum.")
    else:
        for problem in problems:
            shell.out.print(_problem(problem))
        shell.out.print(f"{len(problems)} damaged. Nothing was changed; what is intact can be saved: pawl export RUN")
    return JournalError.exit_code if problems else 0


def _problem(problem: dict[str, Any]) -> str:
    return f"{problem.get('run_id') or '-'}: {problem.get('table')} row {problem.get('row')}: {problem.get('problem')}"


COMMANDS: dict[str, Command] = {
    "runs": runs,
    "show": show,
    "search": search,
    "log": log,
    "diff": diff,
    "verify": verify,
}
