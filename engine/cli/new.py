"""`pawl new`: has a workflow written, shows it, and does with it what a person says."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.cli.command import Command, Shell, command
from engine.cli.driving import Amount, refuse_inside_agents
from engine.cli.streams import is_terminal, one_line
from engine.options import RunOptions
from engine.values import Json, RunStatus

if TYPE_CHECKING:
    from engine.cli.driver import Launch, Outlets
    from engine.cli.offering import Offer
    from engine.cli.views import View
    from engine.engine import Engine
    from engine.options import RunResult


OTHERWISE = "Say it in other words, use a stronger model (--backend B --model M)"


@dataclass(slots=True)
class Wish:
    """What was asked for on the command line.

    Attributes:
        output: the file that gets the script; None is a free name among the project's workflows.
        runs: it is run once it is written; `args` and `allow` are for that.
    """

    output: Path | None
    runs: bool
    is_yes: bool
    args: Json
    allow: frozenset[str] | None
    options: RunOptions

    @property
    def is_decided(self) -> bool:
        """Nobody need be asked what becomes of the script."""
        return self.output is not None or self.runs or self.is_yes or not self.options.is_interactive


@command("new", example='pawl new "find the functions nobody calls, and check each" --backend openai:gpt-5')
@click.argument("request", metavar='"WHAT"|@FILE|-', required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Save it there; default: a new file in .pawl/workflows.",
)
@click.option("--run", "runs", is_flag=True, help="Run it once it is written.")
@click.option(
    "--yes",
    "is_yes",
    is_flag=True,
    help="Ask nothing: save it; with --run, confirm its size and cost. Never permissions.",
)
@click.option("--args", "args", metavar="JSON|@FILE|-", help="With --run: what it sees as `args`.")
@click.option("--allow", metavar="LIST", help="With --run: host effects permitted, of check, ask, files.")
@click.option("--take", metavar="RUN", help="Go on with what that run of `pawl new` has written.")
@click.option("--backend", metavar="B", help="Who writes it, and with --run its default backend.")
@click.option("--model", metavar="M", help="Likewise, the model.")
@click.option(
    "--budget", type=click.IntRange(0), metavar="TOKENS", help="Output tokens: a cap of the writing, and of the run."
)
@click.option("--max-cost", type=Amount(0), metavar="USD", help="US dollars, likewise.")
@click.option("--run-id", metavar="ID", help="Name the run that writes it.")
def new(
    shell: Shell, *, request: str | None, output: Path | None, take: str | None, run_id: str | None, **flags: Any
) -> int:
    """Write a workflow from a description: a model writes it, code checks and simulates it, you decide."""
    from engine.authoring.saving import refuse_existing
    from engine.cli.inputs import args_value, effects, only_one_stdin, text_value

    refuse_inside_agents()
    if (request is None) == (take is None):
        raise click.UsageError('Say what you want: pawl new "WHAT", or --take RUN.', click.get_current_context())
    only_one_stdin(request, flags["args"], names=("the description", "--args"))
    wish = Wish(
        output,
        flags["runs"],
        flags["is_yes"],
        args_value(flags["args"]),
        effects(flags["allow"]),
        RunOptions(
            backend=flags["backend"],
            model=flags["model"],
            budget_tokens=flags["budget"],
            max_cost_usd=flags["max_cost"],
            is_interactive=is_terminal(sys.stdin) and is_terminal(sys.stderr),
        ),
    )
    if output is not None:
        refuse_existing(output)
    if take is None:
        assert request is not None
        ended = _write(shell, wish, text_value(request, "the description"), run_id)
        if ended.status not in (RunStatus.COMPLETED, RunStatus.FAILED):
            return _stopped(shell, ended)
        take = ended.run_id
    return _decide(shell, wish, asyncio.run(_offered(shell, wish, take)))


def _write(shell: Shell, wish: Wish, request: str, run_id: str | None) -> RunResult:
    """Drives the run that writes."""
    from engine.authoring import generation

    async def prepare(engine: Engine) -> Launch:
        return lambda: generation.start(engine, request, options=wish.options, run_id=run_id)

    return _driven(shell, prepare)


def _driven(shell: Shell, prepare: Callable[[Engine], Any], *, is_told: bool = False) -> RunResult:
    """A run to its end, shown live; its result instead of an exit code.

    Args:
        is_told: its result is for people, as that of `pawl run` is.
    """
    from engine.cli.driver import Outlets, drive, finish, summary

    ends: list[RunResult] = []

    def ended(shell: Shell, outlets: Outlets, result: RunResult, view: View) -> int:
        ends.append(result)
        if is_told:
            outlets.is_events_stdout = shell.out.is_json  # then its object is a part of ours
            return finish(shell, outlets, result, view)
        for line in summary(replace(result, error=None), view.board.reasons):  # what is wrong is told with the script
            shell.out.say(line)
        return result.exit_code

    outlets = Outlets.open(events=None, out=None, fails_degraded=False, is_explained=False)
    code = asyncio.run(drive(shell, outlets, prepare, ended=ended))
    if not ends:  # Ctrl-C twice: the line that goes on from it was printed
        raise click.exceptions.Exit(code)
    return ends[0]


def _stopped(shell: Shell, result: RunResult) -> int:
    """Interrupted, paused or cancelled before there was a script to show."""
    from engine.cli.driver import resume_line

    shell.out.note(f"Go on with: {resume_line(shell, result.run_id)}")
    shell.out.note(f"Then see it with: pawl new --take {result.run_id}")
    if shell.out.is_json:
        from engine.cli.offering import told_of_run

        shell.out.json(told_of_run(result))
    return result.exit_code


async def _offered(shell: Shell, wish: Wish, run: str) -> Offer:
    """What the run has written, shown; and what a person wants done with it."""
    from engine.authoring import generation
    from engine.cli import offering
    from engine.engine import Engine
    from engine.journal.sqlite import SqliteJournal

    async with Engine.open(shell.project, journal=shell.journal) as engine:
        written = await generation.taken(engine, run)
        usage = await engine.journal.mean_usage() if isinstance(engine.journal, SqliteJournal) else {}
        offer = offering.Offer(shell.out, engine.project, engine.settings, usage, wish.options, written)
    if not written.is_ok:
        return offer
    offer.show()
    if not wish.is_decided:
        await offer.ask()
        if offer.choice == "run":
            await offer.ask_for_args(wish)
    return offer


def _decide(shell: Shell, wish: Wish, offer: Offer) -> int:
    """Saves, runs, or leaves it; prints what came of it and returns the exit code."""
    from engine.authoring import saving

    written = offer.written
    if not written.is_ok and offer.choice is None:
        return _failed(shell, offer)
    choice = offer.choice or ("run" if wish.runs else "save")
    if choice == "discard":
        shell.out.note(f"Nothing was saved. It is still on record: pawl new --take {written.run_id}")
        if shell.out.is_json:
            shell.out.json(offer.to_json())
        return 0
    script = written.script or ""
    if wish.output is not None:
        offer.file = saving.save_as(wish.output, script, written)
    else:
        offer.file = saving.save(offer.project, script, written)
    shell.out.note(f"Saved: {offer.shown_path(offer.file)}")
    if choice == "run":
        return _run(shell, wish, offer)
    shell.out.note(f"Run it with: {offer.run_line()}")
    if shell.out.is_json:
        shell.out.json(offer.to_json())
    return 0


def _failed(shell: Shell, offer: Offer) -> int:
    """The model did not get it right, or gave nothing: says what is wrong, and where its last script is."""
    from engine.authoring import saving
    from engine.cli.driver import resume_line
    from engine.cli.failing import for_people
    from engine.errors import PawlError

    written, out = offer.written, shell.out
    error = written.result.error or {}
    if written.script is not None and error.get("code") != "script_threw":  # a cap, say: the model was not at its end
        out.note(for_people(PawlError.from_json(error), out))
        out.note(f"Go on with: {resume_line(shell, written.run_id)}")
    if written.script is not None:
        offer.draft = saving.save_draft(offer.project, written)
        out.note(f"No script that is right after {written.attempts} attempts. What is wrong with the last one:")
        for problem in written.problems:
            out.note(offer.problem_line(problem))
        out.note(f"It is saved, with its problems, in {offer.shown_path(offer.draft)}")
        out.note(f"{OTHERWISE}, or mend the draft.")
    else:
        out.note(f"No script was written: {one_line(str(error.get('message', 'the run has not come so far')))}")
        if written.attempts and error.get("code") == "script_threw":
            out.note(f"{OTHERWISE}. What it said: pawl show {written.run_id} --calls")
        else:
            out.note(f"Go on with: {resume_line(shell, written.run_id)}")
    if out.is_json:
        out.json(offer.to_json())
    return written.result.exit_code or 1


def _run(shell: Shell, wish: Wish, offer: Offer) -> int:
    """Runs the saved script as `pawl run` would; permissions are asked for, or come from --allow (S63)."""
    from engine.errors import PawlError
    from engine.workflows import find

    path = offer.file
    assert path is not None
    options = replace(wish.options, allow=wish.allow)

    async def prepare(engine: Engine) -> Launch:
        from engine.cli.confirming import confirmed

        source = find(str(path.absolute()), engine.project)
        allowed = await confirmed(engine, source, options, shell.out, is_yes=wish.is_yes, args=wish.args)
        return lambda: engine.start(source, args=wish.args, options=allowed)

    try:
        result = _driven(shell, prepare, is_told=True)
    except PawlError as error:
        error.fields.setdefault("file", str(path))  # it was saved, whatever kept it from running
        raise
    if shell.out.is_json:
        shell.out.json({**offer.to_json(), "run": result.to_json()})
    return result.exit_code


COMMANDS: dict[str, Command] = {"new": new}
