"""`pawl mcp` as a process of its own, and official clients of it: over pipes and over HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from support.pawl import COMMAND, PATIENCE_S, Pawl


@dataclass
class Refused(Exception):
    """What a tool failed with."""

    error: dict[str, Any]


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    """What a tool gives. Raises `Refused` with its error; both are said twice, as a structure and as text."""
    done = await client.call_tool(tool, arguments)
    assert json.loads(done.content[0].text) == done.structured_content  # type: ignore[union-attr]
    if done.is_error:
        raise Refused(done.structured_content["error"])
    return done.structured_content


async def refusal(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The error that a tool ends in."""
    try:
        told = await call(client, tool, **arguments)
    except Refused as refused:
        return refused.error
    raise AssertionError(f"{tool} gave {told}")


@contextlib.asynccontextmanager
async def over_pipes(pawl: Pawl, *flags: str, **environ: str) -> AsyncIterator[Client]:
    """A client whose server is its child, as coding agents start it."""
    server = StdioServerParameters(
        command=COMMAND[0],
        args=[*COMMAND[1:], "mcp", "--backend", "sample", *flags],
        cwd=pawl.folder,
        env={**pawl.environ, **environ},
    )
    async with Client(stdio_client(server)) as client:
        yield client


@dataclass
class Served:
    """A server over HTTP."""

    process: subprocess.Popen[str]
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1].removesuffix("/mcp"))

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)


@contextlib.contextmanager
def over_http(pawl: Pawl, *flags: str, address: str = "0") -> Iterator[Served]:
    with pawl.started("mcp", "--http", address, "--backend", "sample", *flags) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("Serving at http://"), line
        yield Served(process, line.removeprefix("Serving at ").strip())
