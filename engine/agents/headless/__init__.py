"""Coding agents by their command lines: `cli:claude`, `cli:codex`, `cli:opencode`, and templates of `[programs]`.

A call is one start of the program, without a terminal and without anybody to ask. Its stream of events is put on record
as it comes, its session's id as soon as it is known, so that feedback and a further attempt go on in the same
conversation. The program gets our environment without secrets, but for those that it needs itself; it and all that it
has started are gone when the call ends (`engine/agents/child_process.py`).
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from engine.agents.child_process import ChildProcess
from engine.agents.environment import for_subagents
from engine.agents.headless.claude import Claude
from engine.agents.headless.codex import Codex
from engine.agents.headless.faults import crashed
from engine.agents.headless.fences import Fence
from engine.agents.headless.opencode import Opencode
from engine.agents.headless.plain import Template, is_template
from engine.agents.headless.program import Launch, Program, Sign, Stream, Task
from engine.agents.headless.wording import prompt_for
from engine.errors import AgentError, UsageError
from engine.ports import Clock
from engine.settings import Settings
from engine.values import AgentAnswer, AgentRequest, Json, Usage

PROGRAMS = ("claude", "codex", "opencode")
"""Built in."""

_LINGER_S = 10.0
"""How long a program may live on after its last word: it saves its session."""
_LOST_SESSION = re.compile(
    r"no conversation found|no rollout found|session.{0,40}not found|notfounderror", re.IGNORECASE
)
_OURS = re.compile(r"\$(\w+)")

Emit = Callable[[dict[str, Json]], None]


class HeadlessBackend:
    """See the module.

    Args:
        program: a built-in name, or one of `settings.programs`.
        model: what to ask for when a call does not say.

    Raises:
        UsageError: `unknown_program`, `backend_missing`.
    """

    def __init__(
        self, program: str, model: str | None, *, settings: Settings, environ: Mapping[str, str], clock: Clock
    ) -> None:
        self.name = f"cli:{program}"
        self._program = _program(program, settings, environ)
        if (problem := missing(program, settings, environ)) is not None:
            why, install = problem
            raise UsageError(
                f"backend `{self.name}` cannot run here: {why}",
                code="backend_missing",
                hint=f"Run: {install}",
                install=install,
            )
        self._binary = shutil.which(self._program.command[0], path=environ.get("PATH"))
        self._model = model
        self._settings = settings
        self._clock = clock
        self._environment = _environment(self._program, program, settings, environ)
        self._spent: dict[str, Usage] = {}
        self._helps: str | None = None

    async def run(self, request: AgentRequest, emit: Emit) -> AgentAnswer:
        fence = self._fence(request)
        if fence.has_asks:
            emit(
                {
                    "notice": f"{self.name} can ask nobody: the rules of [permissions] that ask deny",
                    "code": "ask_denies",
                }
            )
        if self._program.name in ("claude", "opencode") and fence.may("run_command") and "run_command" in fence.unasked:
            emit(
                {
                    "notice": f"{self.name} runs commands without limits of ours, so that they have to be allowed: "
                    '[permissions] allow = ["run_command"]',
                    "code": "commands_not_allowed",
                }
            )
        session = self._own_session(request.session)
        try:
            return await self._start(request, emit, fence, session)
        except AgentError as error:
            if session is None or not _LOST_SESSION.search(error.message):
                raise
            notice = f"{self.name} has lost the conversation of an earlier attempt: it begins anew"
            emit({"notice": notice, "code": "session_lost"})
            return await self._start(request, emit, fence, None)

    async def close(self) -> None:
        """Nothing lives longer than its call."""

    # ── before the start ───────────────────────────────────────────────────────────────────────────────────────────

    def check_tools(self, tools: tuple[str, ...]) -> None:
        """Raises `UsageError` (`tools_unsupported`) when the program cannot be held to these tools."""
        if (why := self._program.check(Fence.of(tools, self._settings.permissions))) is not None:
            raise UsageError(
                f"{self.name} cannot be held to the tools {', '.join(tools) or '(none)'}: {why}",
                code="tools_unsupported",
                hint="Name other tools, or use another backend.",
            )

    def _fence(self, request: AgentRequest) -> Fence:
        try:
            fence = Fence.of(request.tools, self._settings.permissions)
        except UsageError as error:
            raise AgentError(f"{self.name}: {error.message}", code=error.code, hint=error.hint) from None
        if (why := self._program.check(fence)) is not None:
            raise AgentError(
                f"{self.name} cannot be held to what this call may do: {why}",
                code="tools_unsupported",
                hint="Change `tools` or the agent definition, or use another backend.",
            )
        return fence

    def _own_session(self, handle: str | None) -> str | None:
        """The program's id of a session; None when it was another backend's."""
        owner, _, session = (handle or "").rpartition("/")
        return session if owner == self.name and session else None

    async def _effort(self, effort: str | None) -> str | None:
        """The effort, unless this version of the program has no flag for it."""
        if effort is None or self._program.name != "claude":
            return effort
        if self._helps is None:
            assert self._binary is not None
            command = [self._binary, *self._program.command[1:], "--help"]
            async with await ChildProcess.start(command, cwd="/", environment=self._environment) as child:
                child.stdin.close()
                self._helps = "\n".join([line.decode("utf-8", "replace") async for line in child.lines()])
        return effort if "--effort" in self._helps else None

    # ── one start ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _start(self, request: AgentRequest, emit: Emit, fence: Fence, session: str | None) -> AgentAnswer:
        program = self._program
        is_own_schema = request.schema is not None and program.takes_schema(request.schema)
        text = prompt_for(request, is_continued=session is not None, names_schema=not is_own_schema)
        asked = await request.trail.add("user", {"text": text})
        effort = await self._effort(request.effort)
        if request.effort is not None and effort is None:
            emit({"notice": f"{self.name}: this version takes no effort", "code": "no_effort"})
        with tempfile.TemporaryDirectory(prefix="pawl-") as folder:
            task = Task(
                prompt=str(asked["text"]),
                cwd=request.workspace,
                folder=folder,
                fence=fence,
                system=request.definition.prompt if request.definition is not None else "",
                model=request.model or self._model,
                effort=effort,
                schema=request.schema if is_own_schema else None,
                session=session,
            )
            launch = program.launch(task)
            for name, content in launch.files.items():
                Path(folder, name).write_text(content, encoding="utf-8")
            stream = program.stream()
            stream.model = task.model or stream.model
            await self._follow(stream, launch, request, emit)
        usage = self._own_usage(stream, request)
        emit({"usage": usage.to_json()})
        if stream.failure is not None:
            stream.failure.fields["usage"] = usage.to_json()
            raise stream.failure
        return AgentAnswer(
            "" if stream.value is None else stream.value,
            usage,
            model=stream.model,
            session=self._handle(stream),
        )

    async def _follow(self, stream: Stream, launch: Launch, request: AgentRequest, emit: Emit) -> None:
        """Starts the program and takes what it tells until it is gone. The end is in `stream`."""
        assert self._binary is not None
        command = [self._binary, *self._program.command[1:], *launch.words]
        environment = {**self._environment, **launch.environment}
        try:
            child = await ChildProcess.start(command, cwd=request.workspace, environment=environment)
        except (OSError, ValueError) as error:
            said = (error.strerror if isinstance(error, OSError) else None) or "its command holds a NUL"
            raise AgentError(f"{self.name} cannot be started: {said}", code="program_not_started") from None
        async with child:
            await child.send(launch.stdin.encode("utf-8", "replace"))
            session: str | None = None
            alarm = None
            try:
                async for line in child.lines():
                    await self._take(stream, line, request, emit)
                    if stream.session != session:
                        session = stream.session
                        await self._record_session(stream, request, emit)
                    if stream.is_done and alarm is None:
                        alarm = self._clock.call_later(_LINGER_S, child.kill)
            finally:
                if alarm is not None:
                    alarm.cancel()
            exit_code = await child.wait()
            if stream.failure is None and not stream.is_done and (exit_code != 0 or stream.value is None):
                stream.failure = crashed(self._program.name, exit_code, await child.error_text())
        if stream.is_unpriced and stream.usage != Usage():
            self._price(stream, emit)
        if stream.is_total and stream.is_done and stream.failure is None:
            await self._record_session(stream, request, emit)

    async def _take(self, stream: Stream, line: bytes, request: AgentRequest, emit: Emit) -> None:
        text = line.decode("utf-8", "replace")
        event: Json = None
        if stream.has_events and text.startswith("{"):
            try:
                event = json.loads(text)
            except (ValueError, RecursionError):
                event = None
        if not isinstance(event, dict):
            stream.read_text(text)
            return
        for told in stream.read(event):
            if isinstance(told, Sign):
                emit(told.progress)
            else:
                await request.trail.add(told.role, told.body)

    # ── sessions and what they cost ────────────────────────────────────────────────────────────────────────────────

    def _handle(self, stream: Stream) -> str | None:
        return None if stream.session is None else f"{self.name}/{stream.session}"

    async def _record_session(self, stream: Stream, request: AgentRequest, emit: Emit) -> None:
        handle = self._handle(stream)
        body: dict[str, Json] = {"session": handle}
        if stream.is_total and stream.is_done:
            body["usage"] = stream.usage.to_json()
        emit({"session": handle})
        await request.trail.add("session", body)

    def _price(self, stream: Stream, emit: Emit) -> None:
        """A cap on money holds for a program that tells tokens alone, too."""
        from engine.prices import Prices, price_unknown

        usage, model = stream.usage, stream.model or ""
        usd = Prices(self._settings.prices).cost_usd(
            stream.service,
            model,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=stream.cached_tokens,
        )
        if usd is None:
            emit(price_unknown(self.name, model))
        else:
            stream.usage = replace(usage, cost_usd=usd)

    def _own_usage(self, stream: Stream, request: AgentRequest) -> Usage:
        """What this start has paid, of a program that tells what its session has paid since it began.

        An earlier start that was interrupted told nothing, so that it is counted now.
        """
        handle = self._handle(stream)
        if not stream.is_total or handle is None or not stream.is_done or stream.usage == Usage():
            return stream.usage
        before = self._spent.get(handle) or _recorded_usage(handle, request)
        self._spent[handle] = stream.usage
        return Usage(
            max(0, stream.usage.input_tokens - before.input_tokens),
            max(0, stream.usage.output_tokens - before.output_tokens),
            max(0.0, stream.usage.cost_usd - before.cost_usd),
        )


def missing(program: str, settings: Settings, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Why a program cannot run here, and what to type; None when it can. Raises `UsageError` (`unknown_program`)."""
    found = _program(program, settings, environ)
    if shutil.which(found.command[0], path=environ.get("PATH")):
        return None
    install = found.install or f"install {found.command[0]}, or correct [programs.{program}] in the config"
    return f"there is no program {found.command[0]!r} on the PATH", install


def _program(name: str, settings: Settings, environ: Mapping[str, str]) -> Program:
    own = settings.programs.get(name)
    if own is not None and own.command and (name not in PROGRAMS or is_template(own)):
        return Template(name, own.command[:1], own.command[1:], own.output)
    if name == "claude":
        return Claude()
    if name == "codex":
        return Codex.by(environ)
    if name == "opencode":
        return Opencode()
    raise UsageError(
        f"backend `cli:{name}`: no such program: expected one of {', '.join((*PROGRAMS, *settings.programs))}",
        code="unknown_program",
        hint=f"Describe it in the config: [programs.{name}]",
    )


def _environment(program: Program, name: str, settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Ours without secrets, but for the program's own, and what `[programs]` adds."""
    keep = [key for key in environ if any(fnmatchcase(key, pattern) for pattern in program.secrets)]
    kept = for_subagents(environ, settings.secrets.environment, keep)
    for key in program.dropped:
        kept.pop(key, None)
    own = settings.programs.get(name)
    for key, value in (own.environment if own is not None else {}).items():
        kept[key] = _OURS.sub(lambda found: environ.get(found[1], ""), value)
    return kept


def _recorded_usage(handle: str, request: AgentRequest) -> Usage:
    """What the record says a session had cost when it was last told."""
    for turn in reversed(request.trail.earlier):
        if turn.role == "session":
            body = json.loads(turn.body)
            if body.get("session") == handle and isinstance(body.get("usage"), dict):
                return Usage(**body["usage"])
    return Usage()
