"""`pawl run`, `pawl resume`, `pawl replay`: the commands that drive a run to an end."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from engine.cli.command import Command, Shell, command
from engine.cli.streams import is_terminal
from engine.options import ResumeOptions, RunOptions

if TYPE_CHECKING:
    from engine.cli.driver import Launch, Prepare
    from engine.engine import Engine

Body = TypeVar("Body", bound=Callable[..., Any])

_LOOK_AT = "a cap over the whole life of the run, resumes included"


class Amount(click.FloatRange):
    """A number that has an end: click would take `nan`, which no cap ever reaches."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


def _flags_of_a_run(body: Body) -> Body:
    """The flags that `run` and `resume` share. Bodies get them as one dict, `flags`."""
    for option in reversed(
        (
            click.option("--args", "args", metavar="JSON|@FILE|-", help="What the script sees as `args`."),
            click.option("--backend", metavar="B", help="Default backend: local, sample, openai:MODEL, …"),
            click.option("--model", metavar="M", help="Default model of the agents."),
            click.option("--concurrency", type=click.IntRange(1, 1024), metavar="N", help="Agents at once."),
            click.option("--budget", type=click.IntRange(0), metavar="TOKENS", help=f"Output tokens: {_LOOK_AT}."),
            click.option("--max-cost", type=Amount(0), metavar="USD", help="US dollars, likewise."),
            click.option("--max-agents", type=click.IntRange(0), metavar="N", help="Agent calls, likewise."),
            click.option("--max-minutes", type=Amount(0), metavar="M", help="Minutes driven, likewise."),
            click.option("--allow", metavar="LIST", help="Host effects permitted: of check, ask, files."),
            click.option("--detach", is_flag=True, help="Go on in the background; prints the run id."),
            click.option("--yes", is_flag=True, help="Confirm size and cost; never permissions."),
            click.option("--fail-degraded", is_flag=True, help="Exit 1 when the run ends degraded."),
            click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
                         help="Write the result's JSON there, in one piece."),
            click.option("--events", metavar="FILE|-", help="Write events there as JSON Lines."),
        )
    ):  # fmt: skip
        body = option(body)
    return body


@command("run", example="pawl run repo-tour --budget 50000")
@click.argument("script", metavar="SCRIPT|NAME|-")
@_flags_of_a_run
@click.option("--run-id", metavar="ID", help="Name the run; refused when it exists.")
@click.option("--from", "reuse_from", metavar="RUN[@V]", help="A new run that may reuse another's records.")
def run(shell: Shell, *, script: str, run_id: str | None, reuse_from: str | None, **flags: Any) -> int:
    """Run a workflow: a file, a name that `pawl workflows` lists, or a script on standard input."""
    from engine.cli.inputs import args_value, only_one_stdin, script_source

    only_one_stdin(script, flags["args"], names=("the script", "--args"))
    args, options = args_value(flags["args"]), _options(flags)
    piped = script_source(script, Path()) if script == "-" else None  # in the background there is no such input

    async def prepare(engine: Engine) -> Launch:
        from engine.cli.confirming import confirmed

        source = piped or script_source(script, engine.project)
        allowed = await confirmed(engine, source, options, shell.out, is_yes=flags["yes"], args=args)
        return lambda: engine.start(source, args=args, options=allowed, run_id=run_id, reuse_from=reuse_from)

    return _drive(shell, flags, prepare)


@command("resume", example="pawl resume --rerun 'find 2'")
@click.argument("references", metavar="[RUN[@V]]", nargs=-1)
@click.option("--script", metavar="FILE", help="Go on with this text; records that still fit are reused.")
@click.option("--policy", type=click.Choice(["lane", "content", "prefix"]), default="lane", show_default=True,
              help="How records are found.")  # fmt: skip
@click.option("--keep-failures", is_flag=True, help="Reuse nulls and failures too.")
@click.option("--rerun", multiple=True, metavar="LABEL|CALL…", help="Ask these again.")
@click.option("--explain", is_flag=True, help="Say for each call: reused, or why not.")
@_flags_of_a_run
def resume(
    shell: Shell,
    *,
    references: tuple[str, ...],
    script: str | None,
    policy: Any,
    keep_failures: bool,
    rerun: tuple[str, ...],
    explain: bool,
    **flags: Any,
) -> int:
    """Go on with a run; what is not given is as recorded. Without RUN: the latest that can be resumed."""
    from engine.cli.inputs import args_value, only_one_stdin, script_source

    only_one_stdin(script, flags["args"], names=("--script", "--args"))
    if len(references) > 1:  # `resume RUN --rerun a b`: what follows the first value is left over as arguments
        if not rerun:
            raise click.UsageError(f"Got unexpected extra argument ({references[1]})", click.get_current_context())
        rerun += references[1:]
    reference = references[0] if references else None
    args, options = args_value(flags["args"]), _options(flags)
    how = ResumeOptions(policy=policy, keep_failures=keep_failures, rerun=rerun, explain=explain)
    piped = script_source(script, Path()) if script == "-" else None

    async def prepare(engine: Engine) -> Launch:
        source = piped if script in ("-", None) else script_source(script, engine.project)
        return lambda: engine.resume(reference, script=source, args=args, options=options, how=how)

    return _drive(shell, flags, prepare, is_explained=explain)


@command("replay", example="pawl replay RUN")
@click.argument("reference", metavar="RUN[@V]")
async def replay(shell: Shell, reference: str) -> int:
    """Run the script again from the journal alone; no agent is called. Exits 7 when something differs."""
    from engine.cli.driver import summary
    from engine.engine import Engine

    async with Engine.open(shell.project, journal=shell.journal) as engine:
        result = await engine.replay(reference)
    for line in summary(result):
        shell.out.say(line)
    if shell.out.is_json:
        shell.out.json(result.to_json())
    else:
        from engine.cli.driver import shown_result

        shell.out.print(shown_result(result.result))
    return 0  # it repeated what was recorded, whatever that was; a difference was raised


def _options(flags: dict[str, Any]) -> RunOptions:
    from engine.cli.inputs import effects

    return RunOptions(
        backend=flags["backend"],
        model=flags["model"],
        concurrency=flags["concurrency"],
        budget_tokens=flags["budget"],
        max_cost_usd=flags["max_cost"],
        max_agents=flags["max_agents"],
        max_minutes=flags["max_minutes"],
        allow=effects(flags["allow"]),
        is_interactive=not flags["detach"] and is_terminal(sys.stdin) and is_terminal(sys.stderr),
        is_detached=flags["detach"],
    )


def _drive(shell: Shell, flags: dict[str, Any], prepare: Prepare, *, is_explained: bool = False) -> int:
    """Drives in this process, or in one of its own with `--detach`."""
    import asyncio

    from engine.cli.driver import Outlets, drive

    refuse_inside_agents()

    outlets = Outlets.open(
        events=flags["events"], out=flags["out"], fails_degraded=flags["fail_degraded"], is_explained=is_explained
    )
    if not flags["detach"]:
        return asyncio.run(drive(shell, outlets, prepare))
    from engine.cli.detaching import detached

    return detached(shell, lambda told: asyncio.run(drive(shell, outlets, prepare, told=told)))


def refuse_inside_agents() -> None:
    """Subagents can't start workflows: a script's own `workflow()` shares its caps, a command of an agent has none."""
    import os

    from engine.agents.environment import INSIDE_AGENT

    if os.environ.get(INSIDE_AGENT):
        from engine.errors import UsageError

        raise UsageError(
            "a subagent cannot start or resume workflows",
            code="inside_agent",
            hint="Do the task yourself; a script starts other workflows with workflow().",
        )


COMMANDS: dict[str, Command] = {"run": run, "resume": resume, "replay": replay}
