"""What code can say of a project and of a script: the two things that check() does in a run of `pawl new`.

A script is checked, and when it can run at all it is simulated: with answers, with empty lists, with failures, in a
journal that is thrown away. Nothing that it asks for is done (S63): the answers are made up, commands, questions and
writes are answered, files are read. What is wrong is told in words that a model can mend its script by; what a script
has read must not come to a model that way where rules say what subagents may read.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import NamedTuple

from engine.authoring import scouting
from engine.authoring.shape import Shape
from engine.checks import CheckReport
from engine.engine import Engine
from engine.errors import PawlError, ScriptError, UsageError
from engine.journal.memory import MemoryJournal
from engine.options import UNSET, RunOptions, RunResult
from engine.settings import Settings
from engine.values import Json, RunStatus
from engine.workflows import ScriptSource

LOOK = "look"
EXAMINE = "examine"
"""`examine`, a newline, the script."""

MOST_AGENTS = 300
"""Of a simulation, where neither the script nor the settings say less: made-up lists are short, so a script that wants
more has no bound."""
TIME_S = 20.0
"""For one simulation; an honest one takes a tenth of a second."""
MOST_PROBLEMS = 20
SHOWN = ("name", "description", "phases", "permissions", "args", "limits")
"""Of a script's meta: what a person is shown."""

HELD_BACK = ("goal_not_met", "goal_impossible", "judge_failed")
"""Codes of what made-up judges say: no mistake of the script."""

CRASHES = ("TypeError", "ReferenceError", "RangeError", "SyntaxError", "InternalError", "URIError")
"""Errors that nobody throws on purpose. Another one without a code is a script that says it cannot go on."""


class Story(NamedTuple):
    """One simulation: the `sample` backend that answers, and what happens there, in words.

    Attributes:
        is_outage: agents fail there; a script may say that it cannot go on.
        has_args: also args that may be left out are given.
    """

    backend: str
    what: str
    is_outage: bool = False
    has_args: bool = False


STORIES = (
    Story("sample:seed=1", "when every agent answers"),
    Story("sample:seed=2", "with other args and answers", has_args=True),
    Story("sample:seed=3,empty=1", "when every list in an answer is empty"),
    Story("sample:seed=4,fail=1", "when no agent answers (each gives null)", is_outage=True),
    Story("sample:seed=5,fail=0.5", "when half of the agents give null", is_outage=True),
    Story(
        "sample:seed=6,fail=0.25,empty=0.5",
        "when some agents give null and some lists are empty",
        is_outage=True,
        has_args=True,
    ),
)


_SLOT = re.compile(r"slot \d+")


@dataclass(frozen=True, slots=True)
class Problem:
    """
    Attributes:
        is_error: the script cannot be taken as it is; else it is a warning.
        code: stable; a diagnostic's, an error's, or `crashes`, `fails`, `too_many_agents`, `too_slow`.
        seen: the simulation that it was seen in, in words.
    """

    is_error: bool
    code: str
    text: str
    line: int | None = None
    seen: str = ""

    def to_json(self) -> dict[str, Json]:
        return {
            "severity": "error" if self.is_error else "warning",
            "code": self.code,
            "text": f"Simulated {self.seen}: {self.text}" if self.seen else self.text,
            "line": self.line,
        }


@dataclass(slots=True)
class Examined:
    """What is known of a script.

    Attributes:
        shape: of the simulation with the most agents.
        agents: what the simulations made at most; `cap`: what a run of it may make.
    """

    meta: dict[str, Json] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    shape: Shape = field(default_factory=Shape)
    cap: int | None = None

    @property
    def is_ok(self) -> bool:
        return not any(problem.is_error for problem in self.problems)

    def to_json(self) -> dict[str, Json]:
        """As it is recorded, and as the script that asked gets it."""
        return {
            "ok": self.is_ok,
            "problems": [problem.to_json() for problem in self.problems[:MOST_PROBLEMS]],
            "meta": {key: self.meta[key] for key in SHOWN if key in self.meta},
            "shape": self.shape.to_json(),
            "agents": {"simulated": self.shape.agents, "most": self.cap},
        }


async def examine(project: Path, settings: Settings, task: str) -> Json:
    """Does `look`, or `examine` with a script below it. Raises `UsageError` for any other task."""
    word, _, text = task.partition("\n")
    if word == LOOK:
        return await asyncio.to_thread(scouting.report, project)
    if word == EXAMINE:
        return (await examined(project, settings, text)).to_json()
    raise UsageError(f"check() knows no task {word!r} here", code="unknown_task")


async def examined(project: Path, settings: Settings, text: str) -> Examined:
    """Checks a script and, when it has no error, simulates it."""
    found = Examined()
    source = ScriptSource(text=text, path=None, name="script.js")
    async with Engine(project, MemoryJournal(), replace(settings, log=None)) as engine:
        try:
            report = await engine.check(text, file=source.name)
        except ScriptError as error:
            found.problems.append(Problem(True, error.code, "\n".join(filter(None, (error.message, error.hint)))))
            return found
        found.meta = report.meta or {}
        found.problems += _diagnosed(report)
        found.cap = _cap(found.meta, settings)
        if found.is_ok:
            for number, story in enumerate(STORIES):
                await _play(engine, source, story, number, found)
                if any(problem.code == "too_slow" or problem.code.startswith("sandbox_") for problem in found.problems):
                    break  # five more times the same would take minutes
    return found


def _diagnosed(report: CheckReport) -> Iterator[Problem]:
    for one in report.diagnostics:
        yield Problem(one.severity == "error", one.code, one.render(report.file), one.line)


def _cap(meta: dict[str, Json], settings: Settings) -> int | None:
    """The most agents that a run of it may make."""
    asked = (meta.get("limits") or {}).get("agents")
    caps = [int(cap) for cap in (asked, settings.limits.agents) if isinstance(cap, int | float)]
    return min(caps, default=None)


async def _play(engine: Engine, source: ScriptSource, story: Story, number: int, found: Examined) -> None:
    """Simulates one story and adds what went wrong, once each."""
    most = min(MOST_AGENTS, found.cap or MOST_AGENTS)
    options = RunOptions(backend=story.backend, max_agents=most)
    shape = Shape()
    try:
        args = _args(found.meta, number, needed_only=not story.has_args)
        handle = await engine.start(source, args=args, options=options, simulate=True)
    except PawlError as error:
        _add(found, [Problem(True, error.code, f"it does not start: {error.message}", seen=story.what)])
        return
    result = None
    try:
        async with asyncio.timeout(TIME_S):
            async for event in handle.events():
                shape.fold(event)
            result = await handle.result()
    except TimeoutError:
        text = f"it had not ended after {TIME_S:g} s and {shape.agents} agents. Bound its loops."
        _add(found, [Problem(True, "too_slow", text, seen=story.what)])
    finally:
        handle.kill()
        await handle.ended()
    if shape.agents > found.shape.agents or not found.shape.groups:
        found.shape = shape
    if result is not None:
        rules = engine.settings.permissions
        is_discreet = bool(rules.deny or rules.ask) and shape.has_read
        _add(found, (_withheld(one) if is_discreet else one for one in _problems(result, shape, story, most)))


def _args(meta: dict[str, Json], seed: int, *, needed_only: bool) -> Json:
    """Args that fit what the script declares; none when it declares nothing, or needs nothing."""
    schema = meta.get("args")
    if not isinstance(schema, dict) or (needed_only and schema.get("type") == "object" and not schema.get("required")):
        return UNSET
    from engine.agents.shaping import NoExample, example
    from engine.schemas import validator_for

    try:
        return example(validator_for(schema), Random(seed))
    except NoExample:
        return UNSET


def _problems(result: RunResult, shape: Shape, story: Story, most: int) -> Iterator[Problem]:
    """What one simulation says against the script."""
    error = result.error or {}
    code = str(error.get("code", ""))
    if code.startswith("limit_") or any(reason.startswith("limit_") for reason in shape.refused):
        text = (
            f"it made {most} agents and wanted more. Bound its loops and lists, log what is left out, and set "
            "meta.limits.agents to the most that it may need."
        )
        yield Problem(True, "too_many_agents", text, seen=story.what)
        return
    for reason in shape.refused:
        name, _, text = reason.partition(": ")
        yield Problem(True, name, f"a call is refused: {text}", seen=story.what)
    for text in shape.swallowed:
        if any(f": {name}: " in text for name in CRASHES):
            yield Problem(True, "crashes", f"an error became a null: {text}", seen=story.what)
    if result.status is RunStatus.FAILED:
        yield from _failure(error, story, is_told=bool(shape.refused))
    for name, text in shape.warnings:
        if name in ("not_awaited", "promise_not_thunk", "unknown_option"):
            yield Problem(False, name, text, seen=story.what)


def _failure(error: dict[str, Json], story: Story, *, is_told: bool) -> Iterator[Problem]:
    """The error that ended a simulation. `is_told`: the call that it came from was named already."""
    fields = error.get("fields") or {}
    code, thrown = str(error.get("code", "")), str(fields.get("thrown_code") or "")
    is_ours = code != "script_threw" or (thrown != "" and thrown not in HELD_BACK)
    is_crash = is_ours or fields.get("name") in CRASHES
    if (is_ours and is_told) or not (is_crash or not (story.is_outage or thrown)):
        return
    name = (thrown or code) if is_ours else "crashes" if is_crash else "fails"
    yield Problem(is_crash, name, f"the script fails: {_with_place(error)}", fields.get("line"), seen=story.what)


def _withheld(problem: Problem) -> Problem:
    """A problem without the words of the error, which may be those of a file."""
    if problem.code == "too_many_agents":
        return problem
    place = f" in line {problem.line}" if problem.line else ""
    text = (
        f"an error ({problem.code}){place}. What it says is withheld: the script reads files, and rules of this "
        "project say what may be read."
    )
    return replace(problem, text=text)


def _with_place(error: dict[str, Json]) -> str:
    fields = error.get("fields") or {}
    place = f" (line {fields['line']})" if fields.get("line") else ""
    excerpt = "".join(f"\n    {line}" for line in str(fields.get("excerpt") or "").splitlines())
    return f"{error.get('message', 'no reason given')}{place}{excerpt}"


def _add(found: Examined, problems: Iterable[Problem]) -> None:
    """Adds what is not known yet: one mistake shows in many simulations, in the same place."""
    known = {_mark(problem) for problem in found.problems}
    for problem in problems:
        if _mark(problem) not in known:
            known.add(_mark(problem))
            found.problems.append(problem)


def _mark(problem: Problem) -> tuple[str, int | str]:
    return problem.code, problem.line or _SLOT.sub("slot", problem.text)
