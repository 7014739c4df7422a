"""What the tools do, without a protocol: arguments in, JSON out, `PawlError` for all that a client can mend.

Clients are strangers: arguments are held to the schemas that they were shown, scripts are found inside the project and
the folders of workflows only, and nothing is done that the person's terms do not cover.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

from engine import history, overview
from engine.agents.environment import INSIDE_AGENT
from engine.engine import Engine
from engine.errors import PawlError, RunStateError, UsageError
from engine.options import UNSET, RunOptions
from engine.serving import pages
from engine.serving.declared import BY_NAME, USUAL_PAGE, USUAL_WAIT_S
from engine.serving.launching import args_file, pawl
from engine.serving.terms import Terms, allowed_again, caps_of_new, caps_of_resumed, flags_of
from engine.setup import recorded
from engine.values import CallKind, Json, RunStatus
from engine.workflows import SUFFIXES, ScriptSource, list_workflows, resolve_child

Confirm = Callable[[Engine, ScriptSource, RunOptions, Json], Awaitable[None]]
"""Raises `UsageError` (`not_confirmed`) when a run of the script with these options and args is large."""

Tell = Callable[[float, float, str], Awaitable[None]]
"""Hears how far a run is: steps done, steps known, a sentence."""

MOST_AT_ONCE = 4
"""Starts, checks and simulations at once: each takes processes of its own."""
LOOK_EVERY_S = 0.25
SHARE_OF_TIME = 10
"""Reading a long run takes a while; no more than a tenth of a wait is spent on it."""

_NOT_INSIDE_AGENTS = frozenset({"run_workflow", "resume_run", "answer_question", "cancel_run"})


async def _tell_nobody(done: float, total: float, message: str) -> None:
    """For a client that did not ask."""


class Desk:
    """See the module. One for all clients of a server."""

    def __init__(self, terms: Terms, confirm: Confirm) -> None:
        self._terms = terms
        self._confirm = confirm
        self._slots = asyncio.Semaphore(MOST_AT_ONCE)
        self._starting: set[asyncio.Task[dict[str, Json]]] = set()

    async def call(self, name: str, arguments: dict[str, Json], tell: Tell = _tell_nobody) -> dict[str, Json]:
        """What the tool `name` gives. Raises `PawlError`."""
        _refuse_misfits(name, arguments)
        if name in _NOT_INSIDE_AGENTS:
            _refuse_inside_agents()
        match name:
            case "read_guide":
                return {"guide": await self.guide()}
            case "list_workflows":
                return await self._list_workflows()
            case "check_workflow":
                return await self._check(arguments)
            case "simulate_workflow":
                return await self._simulate(arguments)
            case "run_workflow":
                return await self._whole(self._run(arguments))
            case "resume_run":
                return await self._whole(self._resume(arguments))
            case "list_runs":
                return await self._list_runs(arguments.get("limit", 20))
            case "run_status":
                return pages.status(await self._read(arguments["run_id"]))
            case "wait_for_run":
                return await self._wait(arguments["run_id"], arguments.get("timeout_seconds", USUAL_WAIT_S), tell)
            case "run_result":
                reading = await self._read(arguments["run_id"])
                return pages.page(reading, arguments.get("offset", 0), arguments.get("limit", USUAL_PAGE))
            case "cancel_run":
                return await self._cancel(arguments["run_id"])
            case _:
                return await self._answer(arguments["run_id"], arguments["call"], arguments["answer"])

    async def guide(self) -> str:
        """How to write workflows, for a model."""
        from engine.authoring.guide import guide

        return await asyncio.to_thread(guide, self._terms.project)

    # ── scripts ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _list_workflows(self) -> dict[str, Json]:
        found = await asyncio.to_thread(list_workflows, self._terms.project, start=self._terms.project)
        told = [
            {
                "name": one.name,
                "description": one.description,
                "when_to_use": one.when_to_use,
                "origin": one.origin,
                "problem": one.problem,
            }
            for one in found
            if one.shadowed_by is None
        ]
        return {"workflows": told}

    async def _check(self, arguments: dict[str, Json]) -> dict[str, Json]:
        source = await self._source(arguments)
        async with self._slots, self._engine() as engine:
            report = await engine.check(source.text, file=source.name, portable=arguments.get("portable", False))
        return report.to_json()

    async def _simulate(self, arguments: dict[str, Json]) -> dict[str, Json]:
        source = await self._source(arguments)
        with ExitStack() as files:
            flags = [_allow_flag(self._terms.allow), *_args_flags(arguments, files)]
            async with self._slots:
                told = await pawl(self._terms, "simulate", _subject(source), flags, stdin=_piped(source))
        told.pop("result", None)  # made up, and of any length
        return told

    async def _source(self, arguments: dict[str, Json]) -> ScriptSource:
        """The script that the arguments mean.

        Raises:
            UsageError: `unknown_workflow`, `outside_workspace`, `unreadable`; ScriptError: it is no text.
        """
        if (text := arguments.get("script")) is not None:
            return ScriptSource(text, None, "script.js")
        name, path = arguments.get("name"), arguments.get("path")
        if name is not None:
            if any(sign in name for sign in ("/", "\\", "\0")) or name.startswith("."):
                raise _unknown(name)
            return await resolve_child(name, self._terms.project)  # as a script's own words: no name is a file
        if not str(path).endswith(SUFFIXES):
            raise UsageError(f"{path!r} is no script: expected a path ending in .js or .mjs", code="unknown_workflow")
        return await resolve_child({"scriptPath": path}, self._terms.project)

    # ── runs ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _whole(self, start: Any) -> dict[str, Json]:
        """A start goes through although its client goes: half a start would be a run that nobody was told of."""
        task = asyncio.ensure_future(start)
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # somebody has looked at it
        told: dict[str, Json] = await asyncio.shield(task)
        return told

    async def _run(self, arguments: dict[str, Json]) -> dict[str, Json]:
        terms = self._terms
        source = await self._source(arguments)
        options = RunOptions(
            backend=arguments.get("backend") or terms.backend,
            model=arguments.get("model") or terms.model,
            allow=terms.allow,
        )
        async with self._slots:
            async with self._engine() as engine:
                meta = (await engine.check(source.text, file=source.name)).meta or {}
                caps = caps_of_new(terms, arguments, meta)
                if not terms.is_confirmed:
                    await self._confirm(engine, source, options, arguments.get("args", UNSET))
            with ExitStack() as files:
                flags = _common(caps, terms.allow, options) + _args_flags(arguments, files)
                if (run_id := arguments.get("run_id")) is not None:
                    flags.append(f"--run-id={run_id}")
                told = await pawl(terms, "run", _subject(source), flags, stdin=_piped(source))
        return _started(told)

    async def _resume(self, arguments: dict[str, Json]) -> dict[str, Json]:
        terms, run_id = self._terms, arguments["run_id"]
        before = recorded((await self._read(run_id)).version)
        caps = caps_of_resumed(terms, arguments, before.to_json())
        kept = RunOptions(backend=arguments.get("backend"), model=arguments.get("model"))
        is_changed = "script" in arguments or "args" in arguments
        allow = allowed_again(terms, before.allow, is_changed=is_changed)
        async with self._slots:
            with ExitStack() as files:
                flags = _common(caps, allow, kept) + _args_flags(arguments, files)
                flags += ["--script=-"] if "script" in arguments else []
                flags += [f"--rerun={one}" for one in arguments.get("rerun", ())]
                told = await pawl(terms, "resume", run_id, flags, stdin=arguments.get("script"))
        return _started(told)

    async def _list_runs(self, limit: int) -> dict[str, Json]:
        found: list[dict[str, Json]] = []
        async with self._engine() as engine:
            async for info in engine.journal.runs():
                if len(found) == limit:
                    return {"runs": found, "more": True}
                found.append(overview.listed(info))
        return {"runs": found, "more": False}

    async def _read(self, run_id: str) -> history.Reading:
        async with self._engine() as engine:
            return await history.read(engine.journal, run_id)

    async def _wait(self, run_id: str, timeout_s: float, tell: Tell) -> dict[str, Json]:
        until, told = time.monotonic() + timeout_s, -1
        async with self._engine() as engine:
            while True:
                began = time.monotonic()
                reading = await history.read(engine.journal, run_id)
                done, total, message = pages.progress(reading)
                if done > told:
                    told = done
                    await tell(done, total, message)
                now = time.monotonic()
                if not reading.is_live or reading.status is RunStatus.WAITING or now >= until:
                    return pages.status(reading)
                await asyncio.sleep(min(until - now, max(LOOK_EVERY_S, SHARE_OF_TIME * (now - began))))

    async def _cancel(self, run_id: str) -> dict[str, Json]:
        async with self._engine() as engine:
            return {"run_id": run_id, "outcome": await engine.control(run_id, "cancel")}

    async def _answer(self, run_id: str, call: int, answer: Json) -> dict[str, Json]:
        async with self._engine() as engine:
            view = history.find_call(await history.read(engine.journal, run_id), call)
            if view.kind != CallKind.ASK:
                raise RunStateError(
                    f"Call {call} of run {run_id} is no question: it is {view.kind}().",
                    code="not_a_question",
                    hint="run_status lists the questions. What a subagent asks for, a person allows: pawl answer.",
                )
            return {"run_id": run_id, "outcome": await engine.control(run_id, "answer", call, answer)}

    def _engine(self) -> Engine:
        return Engine.open(self._terms.project, journal=self._terms.journal, settings=self._terms.settings)


def _refuse_misfits(name: str, arguments: dict[str, Json]) -> None:
    """Raises `UsageError` (`unknown_tool`, `bad_arguments`): the schema's word, before anything is done."""
    from engine.schemas import validator_for

    tool = BY_NAME.get(name)
    if tool is None:
        raise UsageError(f"there is no tool {name!r}", code="unknown_tool", hint=f"There are: {', '.join(BY_NAME)}.")
    try:
        json.dumps(arguments, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: the arguments cannot be JSON: {error}", code="bad_arguments") from None
    given = [word for word in ("script", "name", "path") if word in arguments]
    if tool.takes_script and len(given) != 1:
        raise UsageError(
            f"{name} takes exactly one of script, name, path; found {' and '.join(given) or 'none'}",
            code="bad_arguments",
            hint="A whole text is `script`, a name of list_workflows is `name`, a file of the project is `path`.",
        )
    if (problem := validator_for(tool.input).problem(arguments)) is not None:
        raise UsageError(f"{name}: {problem}", code="bad_arguments", hint="The tool's schema says what fits.")


def _refuse_inside_agents() -> None:
    """A subagent of Pawl gets no runs of its own, whichever way it asks, and steers none."""
    if os.environ.get(INSIDE_AGENT):
        raise UsageError(
            "a subagent cannot start or steer workflows",
            code="inside_agent",
            hint="Do the task yourself; a script starts other workflows with workflow().",
        )


def _args_flags(arguments: dict[str, Json], files: ExitStack) -> list[str]:
    return [f"--args={files.enter_context(args_file(arguments['args']))}"] if "args" in arguments else []


def _allow_flag(allow: frozenset[str]) -> str:
    """Always given: the config may have been written by the client since the server read it."""
    return f"--allow={','.join(sorted(allow))}"


def _subject(source: ScriptSource) -> str:
    """What `pawl run` is given: the file, so that its place is on record, or `-`."""
    return str(source.path or "-")


def _piped(source: ScriptSource) -> str | None:
    return source.text if source.path is None else None


def _common(caps: dict[str, float], allow: frozenset[str], options: RunOptions) -> list[str]:
    """The flags that `run` and `resume` share. `--yes`: whether the run is too large has been settled here."""
    flags = ["--detach", "--yes", _allow_flag(allow), *flags_of(caps)]
    flags += [f"--backend={options.backend}"] if options.backend is not None else []
    return flags + ([f"--model={options.model}"] if options.model is not None else [])


def _started(told: dict[str, Json]) -> dict[str, Json]:
    return {"run_id": told["run_id"], "next": f"wait_for_run with run_id {told['run_id']}"}


def _unknown(name: str) -> PawlError:
    return UsageError(
        f"there is no workflow {name[:100]!r}",
        code="unknown_workflow",
        hint="list_workflows lists them; a file of the project is given as `path`.",
    )
