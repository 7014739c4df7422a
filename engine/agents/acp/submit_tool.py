"""How a coding agent gives an object: by a tool of its own, whose input is the schema that the call asks for.

The protocol has no place for a schema. So each call offers an MCP server with the one tool `submit_result`. What is
submitted is validated at once and what is wrong with it is the tool's result, so that the agent corrects it while it
still works. The last value that fits is the answer.

The server speaks MCP over a socket in a private folder; the agent starts `relay.py`, which joins that to its pipes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import TracebackType

import orjson

from engine.agents.answer import fitted
from engine.values import Json

SERVER = "pawl"
TOOL = "submit_result"

_RELAY = Path(__file__).with_name("relay.py")
_LINE_BYTES = 64 << 20
_PATH_BYTES = 100
"""Of a socket's path: the system takes 108 with its end, others 104."""
_KNOWN_VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")

_NO_METHOD, _NO_TOOL = -32601, -32602


class SubmitTool:
    """The tool of one call. Use `async with`.

    Attributes:
        value: the last one that fits, or None.
        problem: what was wrong with the last one that did not, since then.
    """

    def __init__(self, schema: dict[str, Json]) -> None:
        self.value: Json = None
        self.problem: str | None = None
        self._schema = schema
        self._folder = ""
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> SubmitTool:
        folder = tempfile.mkdtemp(prefix="pawl-")
        if len(os.fsencode(folder)) > _PATH_BYTES - 7:
            os.rmdir(folder)
            folder = tempfile.mkdtemp(prefix="pawl-", dir="/tmp")
        self._folder = folder
        self._server = await asyncio.start_unix_server(self._connected, self._path, limit=_LINE_BYTES)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _path(self) -> str:
        return f"{self._folder}/submit"

    def server(self) -> dict[str, Json]:
        """What `session/new` is told of it."""
        return {"name": SERVER, "command": sys.executable, "args": ["-I", "-S", str(_RELAY), self._path], "env": []}

    # ── the server ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        try:
            with contextlib.suppress(
                ConnectionError, ValueError, asyncio.CancelledError
            ):  # ValueError: a line too long
                while line := await reader.readline():
                    answer = await self._answer(line)
                    if answer is not None:
                        writer.write(orjson.dumps(answer) + b"\n")
                        await writer.drain()
        finally:
            self._talks.discard(talk)
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Json] | None:
        try:
            asked = orjson.loads(line)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(asked, dict) or "id" not in asked or "method" not in asked:
            return None  # a notification, or nothing that waits for an answer
        params = asked.get("params")
        params = params if isinstance(params, dict) else {}
        body: dict[str, Json]
        match asked["method"]:
            case "initialize":
                body = {"result": _greeting(params.get("protocolVersion"))}
            case "ping":
                body = {"result": {}}
            case "tools/list":
                body = {"result": {"tools": [self._tool()]}}
            case "tools/call" if params.get("name") == TOOL:
                body = {"result": await self._submitted(params.get("arguments"))}
            case "tools/call":
                body = {"error": {"code": _NO_TOOL, "message": f"there is no tool {params.get('name')!r}"}}
            case method:
                body = {"error": {"code": _NO_METHOD, "message": f"there is no method {method!r}"}}
        return {"jsonrpc": "2.0", "id": asked["id"], **body}

    def _tool(self) -> dict[str, Json]:
        return {
            "name": TOOL,
            "description": "Submits the result of your task. Call it when the task is done; its arguments are the "
            "result itself. When they do not fit, it says why: correct them and call it again.",
            # Some clients ask for the type at the root, which a schema may leave out.
            "inputSchema": {"type": "object", **self._schema},
        }

    async def _submitted(self, value: Json) -> dict[str, Json]:
        value, problem = await fitted(self._schema, {} if value is None else value)
        if problem is None:
            self.value, self.problem = value, None
            return _said("Accepted. You are done: end your turn with one short sentence.")
        self.problem = problem
        return _said(f"Not accepted: {problem}. Correct it and call {TOOL} again.", is_error=True)


def _greeting(version: Json) -> dict[str, Json]:
    return {
        "protocolVersion": version if version in _KNOWN_VERSIONS else _KNOWN_VERSIONS[0],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": SERVER, "version": "1"},
    }


def _said(text: str, *, is_error: bool = False) -> dict[str, Json]:
    return {"content": [{"type": "text", "text": text}], "isError": is_error}
