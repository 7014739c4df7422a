"""What a workflow that has not run here may come to: a quick simulation before a run that costs something.

It decides whether a person is asked, so it may be wrong, but it must be quick and harmless: made-up answers, nothing
that acts, files looked at only where the run may look at them, no trace in the journal or the log.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import PawlError
from engine.options import RunOptions
from engine.values import CallKind, Json

if TYPE_CHECKING:
    from engine.engine import Engine
    from engine.journal.reading import ModelUsage
    from engine.workflows import ScriptSource

TIME_S = 0.1
"""For the script, once it runs (some 30 ms later). Enough for 400 calls one after the other, or 1,000 at once."""

FEW = 10
"""Agent calls that are not worth a look into the journal, whatever each of them may cost."""

_REPEATS = re.compile(r"=>|\b(?:for|while|do|function|eval)\b")
_CALLED = re.compile(r"([A-Za-z_$][\w$]*)\s*\(")
_PLAIN = frozenset({"agent", "phase", "log", "if", "stringify", "parse", "join", "trim", "slice", "String"})
_LOOKS = re.compile(r"\b(?:readFile|glob|exists)\b")


@dataclass(frozen=True, slots=True)
class Projection:
    """
    Attributes:
        is_whole: the simulation came to an end; else the script wanted more.
        basis: where usage and prices are taken from, for people.
    """

    agents: int
    is_whole: bool
    tokens: int
    cost_usd: float
    basis: str


async def projected(
    engine: Engine, script: ScriptSource, args: Json, options: RunOptions, *, enough: int
) -> Projection | None:
    """None when the script is small, or cannot be simulated: what is wrong with it is for the run to say.

    Args:
        enough: agent calls above which it need not go on.
    """
    from engine.cli.simulating import estimate

    granted = engine.settings.allow if options.allow is None else options.allow
    if is_small(script.text) or ("files" not in granted and _LOOKS.search(script.text)):
        return None  # without a right to look, the run will end there, too
    reached = await _reached(engine, script, args, options, enough)
    if reached is None or reached[0] <= min(enough, FEW):
        return None
    agents, is_whole = reached
    settings = engine.settings
    told = estimate([options.model or settings.model] * agents, await _usage(engine), settings.estimate)
    tokens = told["input_tokens"] + told["output_tokens"]
    return Projection(agents, is_whole, tokens, told["cost_usd"], told["source_text"])


def is_small(text: str) -> bool:
    """Whether a script plainly makes only the calls that are written in it, and few of them."""
    if _REPEATS.search(text):
        return False
    called = _CALLED.findall(text)
    return called.count("agent") < FEW and _PLAIN.issuperset(called)


async def _reached(
    engine: Engine, script: ScriptSource, args: Json, options: RunOptions, enough: int
) -> tuple[int, bool] | None:
    """How many agent calls the script makes, and whether those are all."""
    from engine.cli.simulating import SIMULATED
    from engine.engine import Engine
    from engine.events import CallRequested
    from engine.journal.memory import MemoryJournal

    agents = 0
    async with Engine(engine.project, MemoryJournal(), replace(engine.settings, log=None)) as simulation:
        try:
            made_up = RunOptions(backend=SIMULATED, model=options.model)
            handle = await simulation.start(script, args=args, options=made_up, simulate=True)
        except PawlError:
            return None
        try:
            async with asyncio.timeout(TIME_S):
                async for event in handle.events():
                    if isinstance(event, CallRequested) and event.call_kind == CallKind.AGENT:
                        agents += 1
                        if agents > enough:
                            return agents, False
        except TimeoutError:
            return agents, False
        finally:
            handle.kill()
            await handle.ended()
    return agents, True


async def _usage(engine: Engine) -> dict[str, ModelUsage]:
    from engine.journal.sqlite import SqliteJournal

    return await engine.journal.mean_usage() if isinstance(engine.journal, SqliteJournal) else {}
