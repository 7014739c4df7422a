"""One agent's process, and the protocol's messages to and from it.

The messages are those of the package `agent-client-protocol`. Here they are the objects that they are on the wire, for
an agent of another version may send more than the package's types know, and must not fail for it. The process is one of
`engine/agents/child_process.py`: nothing of it outlives us.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from engine.agents.acp.programs import AcpProgram
from engine.agents.child_process import ChildProcess
from engine.agents.headless.faults import crashed, fault, quote
from engine.agents.headless.program import table
from engine.errors import AgentError
from engine.ports import Clock
from engine.values import Json

if TYPE_CHECKING:
    from acp.connection import Connection

Handler = Callable[[str, dict[str, Json], bool], Awaitable[dict[str, Json] | None]]
"""What the agent sends: the method, its parameters, whether it is a notification."""

_AUTH_REQUIRED = -32000
_LAST_WORDS_S = 5.0
"""How long a program that has closed its output may take to be gone."""
_SAVE_S = 2.0
_LOOK_S = 0.02
_END_S = 0.5
"""How long one that is not needed any more may take to end by itself: two of three do in 0.2 s, Codex never does."""


class _Pipes:
    """The package's `Transport` over the pipes of a process: a line a message."""

    def __init__(self, child: ChildProcess) -> None:
        self._child = child
        self._lines = child.lines()

    async def send(self, message: dict[str, Any]) -> None:
        self._child.stdin.write(json.dumps(message).encode() + b"\n")
        await self._child.stdin.drain()

    async def receive(self) -> dict[str, Any] | None:
        async for line in self._lines:
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                continue  # what a program prints that is no message: a warning, a banner
            if isinstance(message, dict):
                return message
        return None

    async def close(self) -> None:
        pass  # the process is closed by who started it


class SessionLost(Exception):
    """The agent does not know the session that was asked for."""


class Agent:
    """A started agent that has been greeted.

    Attributes:
        capabilities: what it told of itself.
        login: what to do when its service does not know who asks.
        sessions: the ids of those that were opened.
    """

    def __init__(
        self, program: AcpProgram, child: ChildProcess, connection: Connection, *, clock: Clock, start_s: float
    ) -> None:
        self.capabilities: dict[str, Json] = {}
        self.login = program.login
        self.sessions: list[str] = []
        self._program = program
        self._child = child
        self._connection = connection
        self._clock = clock
        self._start_s = start_s

    @property
    def pid(self) -> int:
        return self._child.pid

    async def greet(self) -> None:
        """Raises `AgentError`: `protocol_mismatch`, `program_hangs`, and what `ask` raises."""
        from acp.meta import PROTOCOL_VERSION

        told = await self.open(
            "initialize",
            {
                "protocolVersion": PROTOCOL_VERSION,
                # No terminals: an agent then runs commands itself, where its sandbox and its permissions are.
                "clientCapabilities": {"fs": {"readTextFile": True, "writeTextFile": True}, "terminal": False},
                "clientInfo": {"name": "pawl", "title": "Pawl", "version": "1"},
            },
        )
        version = told.get("protocolVersion")
        if version != PROTOCOL_VERSION:
            raise AgentError(
                f"{self._program.name}: it speaks version {version} of the Agent Client Protocol; "
                f"expected {PROTOCOL_VERSION}",
                code="protocol_mismatch",
                hint="Install a version of the program that speaks it, or a newer Pawl.",
            )
        self.capabilities = table(told.get("agentCapabilities"))
        if not self.login:
            methods = told.get("authMethods")
            words = [
                str(one.get("description") or one.get("name"))
                for one in (methods if isinstance(methods, list) else [])
                if isinstance(one, dict)
            ]
            self.login = f"Log in with the program itself: {'; or '.join(words)}." if words else ""

    async def open(self, method: str, params: dict[str, Json]) -> dict[str, Json]:
        """A request of the start, which must be answered within `start_s`.

        Raises:
            AgentError: `program_hangs`, and what `ask` raises.
            SessionLost: the agent does not know the session.
        """
        request = asyncio.ensure_future(self.ask(method, params))
        is_late = False

        def give_up() -> None:
            nonlocal is_late
            is_late = True
            request.cancel()

        alarm = self._clock.call_later(self._start_s, give_up)
        try:
            return await request
        except asyncio.CancelledError:
            if not is_late:
                raise
            words = await self._child.error_text()
            said = f"; its last words: {quote(words, from_end=True)}" if words else ""
            raise AgentError(
                f"{self._program.name}: no answer to {method} in {self._start_s:g} s{said}",
                code="program_hangs",
                retryable=True,
                hint=f"Start it by hand to see what it waits for: {' '.join(self._program.command)}",
            ) from None
        finally:
            alarm.cancel()
            request.cancel()

    async def ask(self, method: str, params: dict[str, Json]) -> dict[str, Json]:
        """Raises `AgentError` with the meaning of what the agent says went wrong; `SessionLost` for a session to go on
        with."""
        from acp import RequestError

        try:
            answer = await self._connection.send_request(method, params)
        except RequestError as error:
            raise self._failure(method, error.code, str(error), error.data) from None
        except (ConnectionError, OSError):
            raise await self.end() from None
        return table(answer)

    async def tell(self, method: str, params: dict[str, Json]) -> None:
        """A notification; an agent that is gone is no error."""
        with suppress(ConnectionError, OSError):
            await self._connection.send_notification(method, params)

    async def end(self) -> AgentError:
        """The error of an agent that has closed its output."""
        exited = asyncio.ensure_future(self._child.wait())
        done, _ = await asyncio.wait([exited], timeout=_LAST_WORDS_S)
        if not done:
            exited.cancel()
            return AgentError(
                f"{self._program.name}: it closed its output and did not end", code="program_crashed", retryable=True
            )
        return crashed(self._program.name, exited.result(), await self._child.error_text())

    def _failure(self, method: str, code: int, message: str, data: Json) -> Exception:
        told = table(data)
        details = (
            told.get("details") or told.get("message") or told.get("error") or (data if isinstance(data, str) else "")
        )
        words = f"{message}: {details}" if details and str(details) not in message else message
        if kind := told.get("errorKind") or told.get("errorName"):
            words += f" ({kind})"
        if code != _AUTH_REQUIRED and method in ("session/load", "session/resume"):
            return SessionLost(words)  # agents say it in as many ways as there are agents
        if code == _AUTH_REQUIRED or "Auth" in str(told.get("errorName")):
            return AgentError(
                f"{self._program.name}: its service does not know who asks: {quote(words)}",
                code="provider_refused",
                hint=self.login,
            )
        # What fails before the first prompt is the program's own affair, and may pass: its database was locked.
        return fault(self._program.name, words, login=self.login, is_retryable=method in ("initialize", "session/new"))


@asynccontextmanager
async def started(
    program: AcpProgram,
    binary: str,
    *,
    cwd: str,
    environment: Mapping[str, str],
    handler: Handler,
    clock: Clock,
    start_s: float,
) -> AsyncIterator[Agent]:
    """A started and greeted agent, which is gone when this ends.

    Raises:
        AgentError: `program_not_started`, `protocol_mismatch`, `program_hangs`, `program_crashed`.
    """
    from acp.connection import Connection

    async def handle(method: str, params: Json, is_notification: bool) -> dict[str, Json] | None:
        return await handler(method, table(params), is_notification)

    try:
        child = await ChildProcess.start([binary, *program.command[1:]], cwd=cwd, environment=environment)
    except (OSError, ValueError) as error:
        said = (error.strerror if isinstance(error, OSError) else None) or "its command holds a NUL"
        raise AgentError(f"{program.name} cannot be started: {said}", code="program_not_started") from None
    async with child:
        connection = Connection(handle, _Pipes(child))
        try:
            agent = Agent(program, child, connection, clock=clock, start_s=start_s)
            await agent.greet()
            yield agent
            # It saves its session while it ends: a further round goes on with that.
            if program.saves_late:
                await finished(_all_saved(agent, child, clock), clock=clock, limit_s=_SAVE_S)
            child.stdin.close()
            await finished(child.wait(), clock=clock, limit_s=_END_S)
        finally:
            await connection.close()


async def _all_saved(agent: Agent, child: ChildProcess, clock: Clock) -> None:
    """Ends the sessions, and waits for the programs that hold them: they write what was said some time after."""
    for session in agent.sessions:
        await agent.ask("session/close", {"sessionId": session})
    while child.companions():
        await clock.sleep(_LOOK_S)


async def finished(work: Coroutine[Any, Any, Any], *, clock: Clock, limit_s: float) -> bool:
    """Whether `work` was done within `limit_s`; it is cancelled then. For last words that nobody waits for long."""
    task = asyncio.ensure_future(work)
    alarm = clock.call_later(limit_s, task.cancel)
    try:
        await asyncio.wait([task])
        return not task.cancelled() and task.exception() is None
    finally:
        alarm.cancel()
        task.cancel()
