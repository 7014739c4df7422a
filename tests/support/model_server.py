"""A service with the OpenAI chat protocol on the loopback interface that says what a test tells it to.

Header and body leave in one send: two sends cost 40 ms of delayed acknowledgement each.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reply:
    """One response. `cut` sends only that many bytes and closes; `stall` sends nothing and waits for the client to go."""

    body: Any = None
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    cut: int | None = None
    stall: bool = False

    def encode(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        lines = [f"HTTP/1.1 {self.status} X", f"Content-Length: {len(body)}", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def says(content: Any, *, finish: str = "stop", refusal: str | None = None, model: str = "fake-1") -> Reply:
    """A chat completion that used 7 input and 11 output tokens."""
    message = {"role": "assistant", "content": content, "refusal": refusal}
    return Reply(
        {
            "id": "c1",
            "object": "chat.completion",
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 11, "total_tokens": 18},
        }
    )


def fails(status: int, message: str, *, code: str | None = None, **headers: str) -> Reply:
    """An error as the protocol words it; `retry_after="2"` becomes the header `retry-after`."""
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Reply({"error": {"message": message, "code": code}}, status, pairs)


STALLS = Reply(stall=True)


@dataclass
class ModelServer:
    """Answers with `replies` in order, then with `then` for ever. `async with` gives it a port."""

    replies: list[Reply] = field(default_factory=list)
    then: Callable[[dict[str, Any]], Reply] = lambda _: says("ok")
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0

    async def __aenter__(self) -> ModelServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        async with asyncio.timeout(10):
            while self.connections:
                self.left.clear()
                await self.left.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            # The other side may go at any moment: that is what some tests are about.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            self.connections -= 1
            self.left.set()
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its reply; False when the connection is to end."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        self.requests.append(body)
        self.headers.append(headers)
        self.asked.set()
        reply = self.replies.pop(0) if self.replies else self.then(body)
        if reply.stall:
            await reader.read(1)  # ends when the client does
            return False
        data = reply.encode()
        writer.write(data if reply.cut is None else data[: reply.cut])
        await writer.drain()
        return reply.cut is None
