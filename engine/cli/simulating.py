"""`pawl simulate`: what a script would do, without a model, and what that might cost."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli import wording
from engine.cli.command import Command, Shell, command
from engine.cli.streams import one_line
from engine.options import RunOptions
from engine.settings import EstimateSettings
from engine.values import CallKind, Json, RunStatus

if TYPE_CHECKING:
    from engine.cli.board import Board
    from engine.events import Event
    from engine.journal.reading import ModelUsage

SIMULATED = "sample"


@dataclass(slots=True)
class Widths:
    """How many agent calls of each phase are open at once, at most."""

    open: dict[str | None, set[int]]
    most: dict[str | None, int]
    total: dict[str | None, int]

    @classmethod
    def empty(cls) -> Widths:
        return cls({}, {}, {})

    def fold(self, event: Event) -> None:
        from engine.events import CallRequested, CallSettled

        if isinstance(event, CallRequested) and event.call_kind == CallKind.AGENT:
            calls = self.open.setdefault(event.phase, set())
            calls.add(event.call)
            self.total[event.phase] = self.total.get(event.phase, 0) + 1
            self.most[event.phase] = max(self.most.get(event.phase, 0), len(calls))
        elif isinstance(event, CallSettled):
            for calls in self.open.values():
                calls.discard(event.call)

    def to_json(self) -> list[dict[str, Json]]:
        return [{"phase": p, "agents": self.total[p], "width": self.most[p]} for p in self.total]


@command("simulate", example='pawl simulate review --args \'{"path": "src"}\'')
@click.argument("script", metavar="SCRIPT|NAME|-")
@click.option("--args", "args", metavar="JSON|@FILE|-", help="What the script sees as `args`.")
@click.option("--allow", metavar="LIST", help="With it, files are looked at only when the list has files.")
async def simulate(shell: Shell, script: str, args: str | None, allow: str | None) -> int:
    """Run with the sample backend in a journal that is thrown away; show phases, widths and an estimate of the cost."""
    from engine import history
    from engine.cli.board import Board
    from engine.cli.driver import summary
    from engine.cli.inputs import args_value, effects, only_one_stdin, script_source
    from engine.cli.reading import journal, project_of
    from engine.engine import Engine

    only_one_stdin(script, args, names=("the script", "--args"))
    project = project_of(shell)
    source, given = script_source(script, project), args_value(args)
    options = RunOptions(backend=SIMULATED, allow=effects(allow))
    board, widths = Board(), Widths.empty()
    with tempfile.TemporaryDirectory(prefix="pawl-simulate-") as folder:
        async with Engine.open(project, journal=Path(folder) / "pawl.db") as engine:
            handle = await engine.start(source, args=given, options=options, simulate=True)
            async for event in handle.events():
                board.fold(event)
                widths.fold(event)
            result = await handle.result()
            calls = history.calls(await history.read(engine.journal, handle.run_id))
            settings = engine.settings
    async with journal(shell) as recorded:
        usage = {model: one for model, one in (await recorded.mean_usage()).items() if model != SIMULATED}
    agents = [view.content for view in calls if view.kind == CallKind.AGENT]
    asked = [
        content.get("model") or settings.model for content in agents for _ in range(content.get("candidates") or 1)
    ]
    told = estimate(asked, usage, settings.estimate) | {"agents": len(agents)}
    if shell.out.is_json:
        shell.out.json(
            {
                "name": board.started.name if board.started else source.name,
                "status": str(result.status),
                "result": result.result,
                "error": result.error,
                "degraded": result.degraded,
                "agents": result.agents["total"],
                "phases": widths.to_json(),
                "estimate": told,
            }
        )
        return result.exit_code
    _print(shell, board, widths, told)
    if result.status is not RunStatus.COMPLETED or result.degraded:
        for line in summary(result, board.reasons):
            shell.out.note(line)
    return result.exit_code


def _print(shell: Shell, board: Board, widths: Widths, told: Mapping[str, Json]) -> None:
    if board.started is not None:
        shell.out.print(f"{one_line(board.started.name)}: {one_line(board.started.description)}")
    for row in widths.to_json():
        title = one_line(row["phase"] or "agents")
        shell.out.print(f"  {title}: {wording.count(row['agents'], 'agent')}, {row['width']:,} at once")
    if not widths.total:
        shell.out.print("  no agents")
        return
    cost = wording.money(told["cost_usd"])
    shell.out.print(
        f"Estimate: {wording.count(told['agents'], 'agent')}, {told['input_tokens']:,} tokens in, "
        f"{told['output_tokens']:,} out, {cost}\n  from {told['source_text']}.\n"
        "  Made-up answers take other branches than real ones; retries and follow-up rounds are not in it."
    )


def estimate(asked: Sequence[str | None], usage: Mapping[str, ModelUsage], table: EstimateSettings) -> dict[str, Json]:
    """Tokens and cost of agent calls.

    A call counts as the mean of the recorded calls of its model in this project, else of all of them, else as the
    settings' table says.

    Args:
        asked: the model of each call; None where none was named.
    """
    totals, seen = [0.0, 0.0, 0.0], sum(one.calls for one in usage.values())
    for model, calls in Counter(asked).items():
        for place, amount in enumerate(_means(usage.get(str(model)), usage, table)):
            totals[place] += calls * amount
    source = "journal" if seen else "settings"
    recorded = f"the usage of {wording.count(seen, 'recorded call')} in this project's journal"
    return {
        "agents": len(asked),
        "input_tokens": round(totals[0]),
        "output_tokens": round(totals[1]),
        "cost_usd": round(totals[2], 6),
        "source": source,
        "source_text": recorded if seen else "the settings' table ([estimate] in config.toml): nothing is recorded yet",
    }


def _means(
    known: ModelUsage | None, usage: Mapping[str, ModelUsage], table: EstimateSettings
) -> tuple[float, float, float]:
    if known is not None:
        return known.input_tokens, known.output_tokens, known.cost_usd
    if calls := sum(one.calls for one in usage.values()):
        return (
            sum(one.calls * one.input_tokens for one in usage.values()) / calls,
            sum(one.calls * one.output_tokens for one in usage.values()) / calls,
            sum(one.calls * one.cost_usd for one in usage.values()) / calls,
        )
    cost = table.input_tokens * table.usd_per_million_input + table.output_tokens * table.usd_per_million_output
    return table.input_tokens, table.output_tokens, cost / 1_000_000


COMMANDS: dict[str, Command] = {"simulate": simulate}
