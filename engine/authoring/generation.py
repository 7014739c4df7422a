"""The run that writes a script: starts it, and reads from the journal what it wrote.

The guide goes into the run's args: it is recorded, so a resume shows the model the same words, also after an update.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from engine import history
from engine.authoring.examining import EXAMINE as TASK
from engine.authoring.guide import HERE, brief, guide
from engine.engine import Engine, make_run_id
from engine.errors import UsageError
from engine.examination import EXAMINE
from engine.handle import RunHandle
from engine.options import RunOptions, RunResult
from engine.values import CallKind, Json, Outcome, RunStatus
from engine.workflows import ScriptSource

REPEATS = 5
"""How often problems are shown to the model after its first script."""
MOST_OF_A_REQUEST = 20_000
LOOKS = ("read_file", "list_files", "grep")
"""What a model of a provider may look further with: none of it changes or runs anything."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a run of `pawl new` gave.

    Attributes:
        result: of the run, as every run has one.
        request: as it is on record: with its secrets masked.
        script: the newest script; None when there was none.
        is_ok: it has no error; else `problems` says what is wrong with it.
        problems: each `{severity, code, text, line}`; of a good script, warnings.
        meta: name, description, phases, permissions of the script.
        shape: of its largest simulation: phases with agents, width, labels and effects.
        agents: `{simulated, most}`.
        attempts: answers that the model gave.
    """

    run_id: str
    result: RunResult
    request: str
    started_at: int
    script: str | None = None
    is_ok: bool = False
    problems: tuple[dict[str, Json], ...] = ()
    meta: dict[str, Json] | None = None
    shape: tuple[dict[str, Json], ...] = ()
    agents: dict[str, Json] | None = None
    notes: str = ""
    attempts: int = 0

    @property
    def name(self) -> str:
        return str((self.meta or {}).get("name") or "workflow")


async def start(engine: Engine, request: str, *, options: RunOptions, run_id: str | None = None) -> RunHandle:
    """Starts the run.

    Raises:
        UsageError: `no_request`, `too_long`; no such backend, or one that is not installed.
    """
    request = request.strip()
    if not request:
        raise UsageError("no request was given", code="no_request", hint='Say what you want: pawl new "WHAT".')
    if len(request) > MOST_OF_A_REQUEST:
        raise UsageError(
            f"the request has {len(request):,} characters: at most {MOST_OF_A_REQUEST:,} are taken",
            code="too_long",
            hint="Name files that hold the rest: the agents can read them.",
        )
    kind = (options.backend or engine.settings.backend or "local").partition(":")[0]
    run_id = run_id or make_run_id(_now())
    args: dict[str, Json] = {
        "run": run_id,
        "request": request,
        "guide": brief() if kind == "local" else guide(engine.project),
        "repeats": REPEATS,
        "isBrief": kind == "local",
        "tools": None if kind in ("local", "sample", "acp", "cli") else list(LOOKS),
    }
    marked = replace(options, allow=frozenset({EXAMINE}))
    return await engine.start(_script(), args=args, options=marked, run_id=run_id)


async def written(engine: Engine, result: RunResult) -> Written:
    """What the run has written by now: of one that failed or stopped, its newest script.

    Raises:
        UsageError: `not_authored`: the run is none of `pawl new`.
    """
    return _of(await history.read(engine.journal, result.run_id), result)


async def taken(engine: Engine, reference: str) -> Written:
    """What an earlier run of `pawl new` has written. Raises `UsageError`: `unknown_run`, `not_authored`."""
    reading = await history.read(engine.journal, reference)
    told = history.result(reading)
    return _of(reading, told)


def _of(reading: history.Reading, result: RunResult) -> Written:
    if EXAMINE not in reading.version.permissions:
        raise UsageError(
            f"Run {reading.info.run_id} is none of `pawl new`.",
            code="not_authored",
            hint="`pawl runs` lists all runs; those that write workflows are called pawl-new.",
        )
    args = history.parsed(reading.version.args) if reading.version.args else {}
    base = Written(result.run_id, result, str(args.get("request", "")), reading.versions[0].started_at)
    views = history.calls(reading)
    looks = [
        view
        for view in views
        if view.kind == CallKind.CHECK and str(view.content.get("command", "")).startswith(f"{TASK}\n")
    ]
    attempts = sum(view.kind == CallKind.AGENT and view.outcome == Outcome.OK for view in views)
    if not looks:
        return replace(base, attempts=attempts)
    if result.status is RunStatus.COMPLETED and isinstance(result.result, dict):
        return _with(base, str(result.result["script"]), result.result, attempts)
    newest = looks[-1]
    found = history.parsed(newest.settlement.value) if newest.settlement and newest.settlement.value else {}
    script = str(newest.content["command"]).partition("\n")[2]
    return replace(_with(base, script, found, attempts), is_ok=False)


def _with(base: Written, script: str, found: dict[str, Json], attempts: int) -> Written:
    return replace(
        base,
        script=script,
        is_ok=bool(found.get("ok")),
        problems=tuple(found.get("problems") or ()),
        meta=found.get("meta") or {},
        shape=tuple(found.get("shape") or ()),
        agents=found.get("agents") or {},
        notes=str(found.get("notes") or ""),
        attempts=attempts,
    )


def _script() -> ScriptSource:
    path = Path(HERE, "new.js")
    return ScriptSource(text=path.read_text(encoding="utf-8"), path=path, name=path.name)


def _now() -> int:
    import time

    return int(time.time() * 1000)
