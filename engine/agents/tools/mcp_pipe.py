"""The two directions of an MCP server that is a program: a JSON message a line.

Shaped like the streams of the library, over a process of ours, which does not outlive us; the library's own start
leaves behind what ignores the end of its input.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING

from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter

if TYPE_CHECKING:
    from typing import Self

    from engine.agents.child_process import ChildProcess


class _Stream:
    async def aclose(self) -> None:
        """The process is closed by whoever started it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class Incoming(_Stream):
    """What the server says. A line that is no message is an error of that line, as in the library.

    Attributes:
        ended: set when it says nothing more.
    """

    def __init__(self, process: ChildProcess) -> None:
        self._lines = process.lines()
        self.ended = asyncio.Event()

    async def receive(self) -> SessionMessage | Exception:
        return await self.__anext__()

    def __aiter__(self) -> Incoming:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            # A flood of lines that are there already is read without waiting: others get their turn.
            await asyncio.sleep(0)
            while not (line := await self._lines.__anext__()).strip():
                continue
        except StopAsyncIteration:
            self.ended.set()
            raise
        try:
            return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
        except ValueError as error:
            return error


class Outgoing(_Stream):
    """What the server is told."""

    def __init__(self, process: ChildProcess) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    async def send(self, item: SessionMessage, /) -> None:
        data = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        async with self._turn:
            self._process.stdin.write(data.encode() + b"\n")
            await self._process.stdin.drain()
