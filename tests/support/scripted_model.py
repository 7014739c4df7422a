"""A model service on the loopback interface that says what a script tells it to, in the shapes of three services.

`/v1/chat/completions` and `/v1/responses` (OpenAI), `/v1/messages` (Anthropic): streamed or whole, with tool calls and
schemas; the script is the same for all. What it is asked is checked as the real services check it, so that a client
that loses a tool's result fails here too. `tests/unit/test_scripted_model.py` holds it to the services' own clients.

    async with ScriptedModel([Call("read_file", {"path": "a"}), "Done."]) as model:
        ...  # point a client at model.url (http://127.0.0.1:PORT/v1) or, for Anthropic's, at model.origin
    assert model.requests[1].results[0].text == "the file"
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from support.model_shapes import SHAPES, Shape
from support.model_values import Asked, BadRequest, Call, Message, Refuse, Reply, Result, Say

__all__ = [
    "Asked",
    "Call",
    "Cuts",
    "Fails",
    "Garbage",
    "Holds",
    "Message",
    "Refuse",
    "Reply",
    "Result",
    "Say",
    "ScriptedModel",
    "Stalls",
]


@dataclass(frozen=True)
class Fails:
    """An error in the service's own words. `after_tokens`: a stream begins well, and the error comes in its middle."""

    status: int
    message: str = "scripted failure"
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    after_tokens: int | None = None


@dataclass(frozen=True)
class Stalls:
    """Sends `after_tokens` pieces of text, then nothing, until the client goes. With 0, or unstreamed: nothing at all."""

    after_tokens: int = 0


@dataclass(frozen=True)
class Cuts:
    """Closes the connection after `after_bytes` of the body; with 0 before the head."""

    after_bytes: int = 0
    reply: Reply = field(default_factory=lambda: Reply("This sentence will not be heard to its end, however long."))


@dataclass(frozen=True)
class Garbage:
    """A 200 with a body that is no answer."""

    body: bytes = b'{"unexpected": true}'


@dataclass(frozen=True)
class Holds:
    """Answers when `until` is set, or never if the client goes before."""

    until: asyncio.Event
    reply: Turn = "ok"


Turn = Reply | Fails | Stalls | Cuts | Garbage | Holds | Say | Call | str
"""A text, a `Say` or a `Call` stands for a `Reply` of that one part."""


@dataclass
class ScriptedModel:
    """Answers with `replies` in order, then with what `then` makes of the request. `async with` gives it a port.

    Attributes:
        requests: what was asked, in order of arrival; requests that were refused as wrong are in `refused` instead.
        refused: what was wrong with them.
        asked: set with each request; clear it to wait for the next. `left`: set when a client has closed a connection.
    """

    replies: list[Turn] = field(default_factory=list)
    then: Callable[[Asked], Turn | Awaitable[Turn]] = lambda _: "ok"
    models: Sequence[str] = ("fake-1",)
    requests: list[Asked] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0

    async def __aenter__(self) -> ScriptedModel:
        self._problem: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._problem is not None:
            raise self._problem  # what `then` raised: the client got a 500 for it

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await _body(reader, headers)
        path = target.partition("?")[0].rstrip("/")
        if method == "GET" and path.endswith("/models"):
            writer.write(_whole(200, _models(self.models)))
            return True
        if method == "POST" and path.endswith("/messages/count_tokens"):
            writer.write(_whole(200, {"input_tokens": len(body) // 4}))
            return True
        shape = next((shape for ending, shape in SHAPES.items() if path.endswith(ending)), None)
        if method != "POST" or shape is None:
            writer.write(
                _whole(404, {"error": {"message": f"no such address: {method} {path}"}}, is_head=method == "HEAD")
            )
            return True
        try:
            asked = shape.read(json.loads(body), headers)
        except (BadRequest, ValueError, LookupError, TypeError, AttributeError) as error:
            what = str(error) if isinstance(error, BadRequest) else f"cannot be read: {type(error).__name__}: {error}"
            self.refused.append(what)
            writer.write(_whole(400, shape.error(400, what, None)))
            return True
        self.requests.append(asked)
        self.asked.set()
        return await self._reply(asked, shape, await self._choose(asked), reader, writer)

    async def _choose(self, asked: Asked) -> Turn:
        try:
            turn = self.replies.pop(0) if self.replies else self.then(asked)
            return await turn if inspect.isawaitable(turn) else turn
        except Exception as error:  # noqa: BLE001 the test's own error: raised again when the service ends
            self._problem = error
            return Fails(500, f"the script failed: {type(error).__name__}: {error}")

    async def _reply(
        self, asked: Asked, shape: Shape, turn: Turn, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if isinstance(turn, Holds):
            gone, held = asyncio.ensure_future(reader.read(1)), asyncio.ensure_future(turn.until.wait())
            try:
                await asyncio.wait([gone, held], return_when=asyncio.FIRST_COMPLETED)
            finally:
                gone.cancel()
                held.cancel()
            if not turn.until.is_set():
                return False
            await asyncio.gather(gone, return_exceptions=True)
            return await self._reply(asked, shape, turn.reply, reader, writer)
        if isinstance(turn, Garbage):
            writer.write(_head(200, len(turn.body)) + turn.body)
        elif isinstance(turn, Fails) and (turn.after_tokens is None or not asked.is_streamed):
            writer.write(_whole(turn.status, shape.error(turn.status, turn.message, turn.code), turn.headers))
        elif isinstance(turn, Stalls) and not (asked.is_streamed and turn.after_tokens):
            await reader.read(1)  # ends when the client does
            return False
        elif asked.is_streamed:
            return await self._stream(asked, shape, turn, reader, writer)
        else:
            reply = turn.reply if isinstance(turn, Cuts) else Reply.of(turn)
            data = _whole(200, shape.whole(reply, asked))
            if isinstance(turn, Cuts):
                start = data.index(b"\r\n\r\n") + 4
                writer.write(data[: start + turn.after_bytes] if turn.after_bytes else b"")
                await writer.drain()
                return False
            writer.write(data)
        await writer.drain()
        return True

    async def _stream(
        self, asked: Asked, shape: Shape, turn: Turn, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Each event is a chunk and a send of its own; the head leaves with the first."""
        stop_after = turn.after_tokens if isinstance(turn, Stalls | Fails) else None
        left = turn.after_bytes if isinstance(turn, Cuts) else None
        words = "word " * (stop_after + 1 if stop_after is not None else 0)
        reply = turn.reply if isinstance(turn, Cuts) else Reply.of(words if stop_after is not None else turn)
        waiting, tokens = _head(200, None), 0
        for event in shape.stream(reply, asked):
            if stop_after is not None and event.is_token:
                if tokens == stop_after:
                    break
                tokens += 1
            data = event.encode()
            if left is not None:
                data = data[:left]
                left -= len(data)
                if not data:
                    return False
            writer.write(waiting + b"%x\r\n%s\r\n" % (len(data), data))
            waiting = b""
            await writer.drain()
        if isinstance(turn, Stalls):
            await reader.read(1)
            return False
        if isinstance(turn, Fails):
            data = shape.error_event(turn.status, turn.message, turn.code).encode()
            writer.write(waiting + b"%x\r\n%s\r\n" % (len(data), data))
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return left is None


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    pieces = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        pieces.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(pieces)


def _head(status: int, length: int | None, headers: Mapping[str, str] = {}) -> bytes:
    lines = [f"HTTP/1.1 {status} X", "request-id: req_scripted"]
    if length is None:
        lines += ["Content-Type: text/event-stream; charset=utf-8", "Transfer-Encoding: chunked"]
    else:
        lines += ["Content-Type: application/json", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _whole(status: int, body: Any, headers: Mapping[str, str] = {}, *, is_head: bool = False) -> bytes:
    data = json.dumps(body).encode()
    return _head(status, len(data), headers) + (b"" if is_head else data)


def _models(names: Sequence[str]) -> dict[str, Any]:
    """What both services would say, in one."""
    made = {"object": "model", "type": "model", "created": 1, "created_at": "2026-01-01T00:00:00Z", "owned_by": "test"}
    rows = [{"id": name, "display_name": name, **made} for name in names]
    return {"object": "list", "data": rows, "has_more": False, "first_id": names[0], "last_id": names[-1]}
