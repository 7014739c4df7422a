"""What a person agrees to before a run starts: host effects (never by `--yes`), and a run that was large last time.

Without a terminal nobody can be asked: a large run is refused with the flag that allows it, and effects that were not
allowed stay off (their calls throw and name the flag, S63).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.cli import wording
from engine.cli.asking import prompt
from engine.cli.inputs import EFFECTS
from engine.cli.streams import Output, one_line
from engine.errors import UsageError
from engine.options import RunOptions
from engine.settings import ConfirmSettings
from engine.values import RunInfo

if TYPE_CHECKING:
    from engine.engine import Engine
    from engine.workflows import ScriptSource

MEANING = {
    "check": "run shell commands on this machine",
    "files": "read and write files of the project",
    "ask": "ask you questions",
}
RUNS_LOOKED_AT = 50
FREE_BACKENDS = ("sample",)


async def confirmed(
    engine: Engine, script: ScriptSource, options: RunOptions, out: Output, *, is_yes: bool
) -> RunOptions:
    """`options` with what the person allowed.

    Raises:
        UsageError: `not_confirmed`: a person said no, or nobody could be asked.
    """
    options = await _with_effects(engine, script, options, out)
    if not is_yes:
        await _confirm_size(engine, script, options, out)
    return options


async def _with_effects(engine: Engine, script: ScriptSource, options: RunOptions, out: Output) -> RunOptions:
    if options.allow is not None or "permissions" not in script.text:  # the word is free to look for, a parse is not
        return options
    report = await engine.check(script.text, file=script.name)
    asked = (report.meta or {}).get("permissions") or []
    granted = set(engine.settings.allow)
    missing = [effect for effect in asked if effect in EFFECTS and effect not in granted]
    if not missing:
        return options
    if not options.is_interactive:
        out.say(f"warning: {script.name} asks for {', '.join(missing)}; not allowed: --allow {','.join(missing)}")
        return options
    out.note(f"{one_line(script.name)} asks to:")
    for effect in missing:
        out.note(f"  {effect}: {MEANING[effect]}")
    answer = await _choice("Allow for this run? [y]es, [n]o (run without), [q]uit: ", "ynq")
    if answer == "q":
        raise UsageError("not started: you said quit", code="not_confirmed")
    return replace(options, allow=frozenset(granted | set(missing))) if answer == "y" else options


async def _confirm_size(engine: Engine, script: ScriptSource, options: RunOptions, out: Output) -> None:
    """A run is large when its last one in this project was. A cap that was given on the command line is consent."""
    backend = (options.backend or engine.settings.backend or "local").partition(":")[0]
    if backend in FREE_BACKENDS or options.max_agents is not None or options.max_cost_usd is not None:
        return
    limits = engine.settings.confirm
    last = await _last_run(engine, script, limits)
    if last is None or not _is_large(last, limits):
        return
    size = f"its last run made {wording.count(last.agents, 'agent call')} for {wording.money(last.paid.cost_usd)}"
    if not options.is_interactive:
        raise UsageError(
            f"{script.name} is a large workflow: {size}",
            code="not_confirmed",
            hint="Confirm with --yes, or cap it: --max-agents N, --max-cost USD.",
        )
    if await _choice(f"Large workflow: {size}. Start? [y/n]: ", "yn") != "y":
        raise UsageError("not started: you said no", code="not_confirmed")


async def _last_run(engine: Engine, script: ScriptSource, limits: ConfirmSettings) -> RunInfo | None:
    recent: list[RunInfo] = []
    async for info in engine.journal.runs():
        recent.append(info)
        if len(recent) >= RUNS_LOOKED_AT:
            break
    if not any(_is_large(info, limits) for info in recent):  # spares most starts the parse
        return None
    name = ((await engine.check(script.text, file=script.name)).meta or {}).get("name")
    return next((info for info in recent if info.name == name), None)


def _is_large(info: RunInfo, limits: ConfirmSettings) -> bool:
    return info.agents > limits.agents or info.paid.cost_usd > limits.cost_usd


async def _choice(question: str, letters: str) -> str:
    """One of `letters`; the last one when the input ends."""
    while True:
        typed = await prompt(question)
        if typed is None:
            return letters[-1]
        if (letter := typed.strip().lower()[:1]) and letter in letters:
            return letter
