"""What a person agrees to before a run starts: host effects (never by `--yes`), and a run that is large: by its last
run in this project, or, where it has none, by a quick simulation.

Without a terminal nobody can be asked: a large run is refused with the flag that allows it, and effects that were not
allowed stay off (their calls throw and name the flag, S63).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.cli import wording
from engine.cli.asking import prompt
from engine.cli.inputs import EFFECTS
from engine.cli.streams import Output, one_line
from engine.errors import UsageError
from engine.options import UNSET, RunOptions
from engine.settings import ConfirmSettings
from engine.values import Json, RunInfo
from engine.workflows import folder_dialect

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
UNPROJECTED = (*FREE_BACKENDS, "local")
"""A first run on these costs nothing but time."""

_USES_FILES = re.compile(r"\b(readFile|writeFile|glob|exists)\s*\(")
_NAMED = re.compile(r"\bname\s*:\s*(?P<quote>['\"`])(?P<name>[^\n]*?)(?P=quote)")


async def confirmed(
    engine: Engine, script: ScriptSource, options: RunOptions, out: Output, *, is_yes: bool, args: Json = UNSET
) -> RunOptions:
    """`options` with what the person allowed.

    Args:
        args: what the script will see.

    Raises:
        UsageError: `not_confirmed`: a person said no, or nobody could be asked.
    """
    options = await _with_effects(engine, script, options, out)
    if not is_yes:
        await _confirm_size(engine, script, args, options)
    return options


async def _with_effects(engine: Engine, script: ScriptSource, options: RunOptions, out: Output) -> RunOptions:
    is_mimo = folder_dialect(script.path) == "mimo"
    # The words are free to look for, a parse is not.
    if options.allow is not None or not (is_mimo or "permissions" in script.text or "mimo" in script.text):
        return options
    report = await engine.check(script.text, file=script.name)
    meta = report.meta or {}
    asked = [effect for effect in meta.get("permissions") or [] if isinstance(effect, str)]
    is_mimo = is_mimo if meta.get("dialect") is None else meta["dialect"] == "mimo"
    if is_mimo and "files" not in asked and _USES_FILES.search(script.text):
        asked.append("files")  # MiMo Code asks nobody
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


async def _confirm_size(engine: Engine, script: ScriptSource, args: Json, options: RunOptions) -> None:
    """A cap that was given on the command line is consent."""
    backend = (options.backend or engine.settings.backend or "local").partition(":")[0]
    caps = (options.max_agents, options.max_cost_usd, options.budget_tokens)
    if backend in FREE_BACKENDS or any(cap is not None for cap in caps):
        return
    limits = engine.settings.confirm
    last = await _last_run(engine, script, limits)
    if last is not None:
        size = _size_of(last, limits)
    else:
        size = None if backend in UNPROJECTED else await _projected_size(engine, script, args, options)
    if size is None:
        return
    if not options.is_interactive:
        raise UsageError(
            f"{script.name} is a large workflow: {size}",
            code="not_confirmed",
            hint="Confirm with --yes, or cap it: --max-agents N, --max-cost USD.",
        )
    if await _choice(f"Large workflow: {size}. Start? [y/n]: ", "yn") != "y":
        raise UsageError("not started: you said no", code="not_confirmed")


def _size_of(last: RunInfo, limits: ConfirmSettings) -> str | None:
    """How large the last run was, in words; None when it was not."""
    if not _is_large(last, limits):
        return None
    tokens = last.paid.input_tokens + last.paid.output_tokens
    made = f"its last run made {wording.count(last.agents, 'agent call')} for {wording.money(last.paid.cost_usd)}"
    return f"{made} and used {tokens:,} tokens" if tokens > limits.tokens else made


async def _projected_size(engine: Engine, script: ScriptSource, args: Json, options: RunOptions) -> str | None:
    """How large a first run may get, in words; None when it seems not to."""
    from engine.cli.projecting import projected

    limits = engine.settings.confirm
    found = await projected(engine, script, args, options, enough=limits.agents)
    if found is None or not (
        found.agents > limits.agents or found.tokens > limits.tokens or found.cost_usd > limits.cost_usd
    ):
        return None
    calls = f"{wording.count(found.agents, 'agent call')}{'' if found.is_whole else ' and wanted more'}"
    return (
        f"it has no run here to go by, and with made-up answers it made {calls}: about {found.tokens:,} tokens for "
        f"{wording.money(found.cost_usd)}, by {found.basis}"
    )


async def _last_run(engine: Engine, script: ScriptSource, limits: ConfirmSettings) -> RunInfo | None:
    recent: list[RunInfo] = []
    async for info in engine.journal.runs():
        recent.append(info)
        if len(recent) >= RUNS_LOOKED_AT:
            break
    if any(_is_large(info, limits) for info in recent):
        name = ((await engine.check(script.text, file=script.name)).meta or {}).get("name")
    else:  # spares most starts the parse: whichever it was, it was not large
        named = _NAMED.search(script.text)
        name = named["name"] if named is not None else None
    return next((info for info in recent if info.name == name), None)


def _is_large(info: RunInfo, limits: ConfirmSettings) -> bool:
    tokens = info.paid.input_tokens + info.paid.output_tokens
    return info.agents > limits.agents or info.paid.cost_usd > limits.cost_usd or tokens > limits.tokens


async def _choice(question: str, letters: str) -> str:
    """One of `letters`; the last one when the input ends."""
    while True:
        typed = await prompt(question)
        if typed is None:
            return letters[-1]
        if (letter := typed.strip().lower()[:1]) and letter in letters:
            return letter
