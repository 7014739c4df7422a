"""The tools of MCP servers that the config names: programs that speak over pipes, or addresses (streamable HTTP).

A run has one connection to each server, held by a task of its own, and opened when a call first wants it. Whatever a
server does, nobody waits longer than the times below, and what it says is cut and checked before a model service sees
it: one bad schema in a request would fail all of it. A server's process gets no secrets but those that its config
names, and does not outlive us.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from engine.agents.environment import for_subagents
from engine.agents.tools.failed import ToolFailed
from engine.agents.tools.mcp_shapes import ServerTool, listed, said, text_of
from engine.settings import McpServerSettings, SecretSettings
from engine.values import Json

if TYPE_CHECKING:
    from mcp import ClientSession

OPEN_S = 30.0
"""Start, greeting and list of tools: a program that is downloaded first must be installed beforehand."""
CALL_S = 600.0
"""One call of a tool."""
CLOSE_S = 5.0
MOST_STARTS = 3
"""Of one server in a run: one that keeps dying is left alone."""
_ANSWER_BYTES = 16 << 20

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))", re.ASCII)


class McpServers:
    """See the module.

    Args:
        settings: by name of the server.
        environ: ours; `$NAME` in the settings is taken from it.
        secret_names: patterns of variables that programs do not get.
    """

    def __init__(
        self,
        settings: Mapping[str, McpServerSettings],
        *,
        environ: Mapping[str, str],
        secret_names: tuple[str, ...] = SecretSettings().environment,
        cwd: str = ".",
    ) -> None:
        self._connections = {name: _Connection(name, one, environ, secret_names, cwd) for name, one in settings.items()}

    def names(self) -> list[str]:
        return list(self._connections)

    async def tools(self, server: str) -> list[ServerTool]:
        """The tools of a server, connected when it was not yet. Raises `ToolFailed` with why it cannot be used."""
        return await self._connections[server].tools()

    async def call(self, tool: ServerTool, args: Json) -> str:
        """What the tool answers, as text. Raises `ToolFailed`."""
        return await self._connections[tool.server].call(tool.name, args)

    async def close(self) -> None:
        """Ends all connections and processes."""
        await asyncio.gather(*(connection.close() for connection in self._connections.values()))


class _Connection:
    """One server. The session lives in one task, as its library wants; calls come from others."""

    def __init__(
        self,
        name: str,
        settings: McpServerSettings,
        environ: Mapping[str, str],
        secret_names: tuple[str, ...],
        cwd: str,
    ) -> None:
        self._name = name
        self._settings = settings
        self._environ = environ
        self._secret_names = secret_names
        self._cwd = cwd
        self._opening = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._session: ClientSession | None = None
        self._tools: list[ServerTool] = []
        self._starts = 0
        self._problem = ""

    async def tools(self) -> list[ServerTool]:
        async with self._opening:
            if self._session is None:
                if self._task is not None:
                    await asyncio.wait({self._task}, timeout=CLOSE_S)
                await self._open()
            return self._tools

    async def call(self, tool: str, args: Json) -> str:
        await self.tools()  # connects again when it has ended since
        session, task = self._session, self._task
        if session is None or task is None:
            raise self._failed(f"is gone: {self._problem or 'the connection has ended'}")
        asked = asyncio.ensure_future(session.call_tool(tool, args, read_timeout_seconds=CALL_S))
        asked.add_done_callback(lambda done: done.cancelled() or done.exception())  # somebody has looked at it
        try:
            await asyncio.wait({asked, task}, timeout=CALL_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not asked.done():
                asked.cancel()
                await asyncio.wait({asked}, timeout=CLOSE_S)
        if asked.cancelled() or not asked.done():
            if task.done():
                raise self._failed(f"ended while {tool} ran: {self._problem or 'the connection is closed'}")
            raise self._failed(f"gave no answer to {tool} within {CALL_S:g} s")
        if error := asked.exception():
            await asyncio.sleep(0)  # the task that holds the connection hears of its end
            raise self._failed(f"could not do {tool}: {said(error)}")
        return text_of(asked.result(), self._name, tool)

    async def close(self) -> None:
        task, self._task, self._session = self._task, None, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task}, timeout=CLOSE_S)

    async def _open(self) -> None:
        if self._starts >= MOST_STARTS:
            raise self._failed(f"cannot be used, tried {self._starts} times: {self._problem}")
        self._starts, self._problem = self._starts + 1, ""
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = self._task = asyncio.create_task(self._serve(ready))
        try:
            await asyncio.wait({ready, task}, timeout=OPEN_S, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not ready.done():
            if not task.done():
                self._problem = f"not ready within {OPEN_S:g} s"
                task.cancel()
                await asyncio.wait({task}, timeout=CLOSE_S)
            raise self._failed(f"cannot be used: {self._problem}")

    async def _serve(self, ready: asyncio.Future[None]) -> None:
        try:
            from mcp import ClientSession
        except ImportError:
            self._problem = "the package `mcp` is not installed; install pawl-engine[mcp]"
            return
        try:
            async with self._streams() as (incoming, outgoing, ended), ClientSession(incoming, outgoing) as session:
                await session.initialize()
                self._tools = await listed(session, self._name)
                self._session = session
                ready.set_result(None)
                await ended.wait()
                self._session = None
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - groups of errors, of a library that talks with a stranger
            self._problem = self._problem or said(error)
        finally:
            self._session = None

    @asynccontextmanager
    async def _streams(self) -> AsyncIterator[tuple[Any, Any, asyncio.Event]]:
        """What it sends, what it is sent, and an event for its end."""
        settings = self._settings
        own = {name: self._expanded(value) for name, value in settings.environment.items()}
        if settings.url is not None:
            from mcp.client.streamable_http import streamable_http_client
            from mcp.shared._httpx_utils import create_mcp_http_client

            headers = {name: self._expanded(value) for name, value in settings.headers.items()}
            async with (
                create_mcp_http_client(headers=headers) as client,
                streamable_http_client(
                    self._expanded(settings.url), http_client=client, max_sse_event_size=_ANSWER_BYTES
                ) as (incoming, outgoing),
            ):
                yield incoming, outgoing, asyncio.Event()
            return
        from engine.agents.child_process import ChildProcess
        from engine.agents.tools.mcp_pipe import Incoming, Outgoing

        environment = {**for_subagents(self._environ, self._secret_names), **own}
        async with await ChildProcess.start(settings.command, cwd=self._cwd, environment=environment) as process:
            pipe = Incoming(process)
            try:
                yield pipe, Outgoing(process), pipe.ended
            except BaseException:
                if pipe.ended.is_set():
                    words = await process.error_text()
                    self._problem = (
                        f"it ended with exit code {await process.wait()}{': ' if words else ''}{words[-500:]}"
                    )
                raise
            else:
                if pipe.ended.is_set() and (words := await process.error_text()):
                    self._problem = f"it ended: {words[-500:]}"

    def _expanded(self, value: str) -> str:
        def known(found: re.Match[str]) -> str:
            name = found[1] or found[2]
            if name not in self._environ:
                raise ToolFailed(f"its settings name the variable {name}, which is not set")
            return self._environ[name]

        return _VARIABLE.sub(known, value)

    def _failed(self, problem: str) -> ToolFailed:
        return ToolFailed(f"The MCP server {self._name} {problem}. Do without it.")
