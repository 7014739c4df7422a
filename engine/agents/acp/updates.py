"""What an agent tells while it works: onto the record, in order, and into progress.

Updates come as fragments: pieces of text, a tool's call whose arguments follow, its result. They are put together here.
One task writes them down one after another; whoever answers a permission waits until the call is on record, so that
what may be half done is known after an interruption.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

from engine.agents.headless.program import rows, table
from engine.executors import Emit
from engine.values import Json, Trail

_CHARACTERS_PER_TOKEN = 4
_ENDED = ("completed", "failed")
_SHOWN_CHARACTERS = 100_000
"""Of a tool's result on record: the agent has it all; people read its beginning."""


@dataclass(slots=True)
class _Call:
    """A use of a tool, as far as it has been told."""

    id: str
    body: dict[str, Json] = field(default_factory=dict)
    is_recorded: bool = False
    is_ended: bool = False

    def learn(self, told: dict[str, Json]) -> None:
        for name, value in told.items():
            if value not in (None, {}, []) or name not in self.body:
                self.body[name] = value

    @property
    def name(self) -> str:
        meta = table(table(self.body.get("_meta")).get("claudeCode"))
        return str(meta.get("toolName") or self.body.get("name") or self.body.get("kind") or "tool")

    @property
    def is_complete(self) -> bool:
        """Whether its arguments have been told."""
        return bool(self.body.get("rawInput")) and self.body.get("status") != "pending"

    def asked(self) -> dict[str, Json]:
        args = self.body.get("rawInput") or {"title": self.body.get("title")}
        return {"id": self.id, "name": self.name, "args": args}

    def result(self) -> str:
        parts = [_text_of(block) for block in rows(self.body.get("content"))]
        output = self.body.get("rawOutput")
        if not any(parts) and output is not None:
            inner = table(output).get("output") or table(output).get("error") or output
            parts = [inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False)]
        exited = table(table(self.body.get("_meta")).get("terminal_exit")).get("exit_code")
        if exited is not None:
            parts.append(f"exit code {exited}")
        return "\n".join(part for part in parts if part)[:_SHOWN_CHARACTERS]


def _text_of(block: dict[str, Json]) -> str:
    if block.get("type") == "content":
        inner = table(block.get("content"))
        return str(inner.get("text") or f"[{inner.get('type')}]")
    return f"changed {block.get('path')}" if block.get("type") == "diff" else ""


class Updates:
    """The updates of one call. Use `async with`; what goes wrong with the record comes out of `settle` and of its end.

    Attributes:
        cost_usd: what the agent says that its process has spent, or None.
        is_heard: whether updates count: not while an earlier conversation is told again.
        has_spoken: whether the agent has said something since it last used a tool.
        failure: what the program itself said of a failure that it does not tell as one, or None.
    """

    def __init__(self, trail: Trail, emit: Emit, *, tells_of_calls: bool, marks_model: bool) -> None:
        self.cost_usd: float | None = None
        self.is_heard = False
        self.has_spoken = False
        self.failure: str | None = None
        self._marks_model = marks_model
        self._own_words = ""
        self._trail = trail
        self._emit = emit
        self._tells_of_calls = tells_of_calls
        self._queue: asyncio.Queue[dict[str, Json]] = asyncio.Queue()
        self._calls: dict[str, _Call] = {}
        self._message: Json = None
        self._texts: list[str] = []
        self._said = ""
        self._characters = 0
        self._turns = 1
        self._running: list[str] = []
        self._writing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Updates:
        self._writing = asyncio.ensure_future(self._write())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._writing is not None
        self._writing.cancel()
        await asyncio.gather(self._writing, return_exceptions=True)

    def take(self, update: dict[str, Json]) -> None:
        """Never waits: updates are taken in the order in which they arrive."""
        if self.is_heard:
            self._queue.put_nowait(update)

    async def settle(self) -> None:
        """Returns when all that was taken is on record. Raises what made that impossible."""
        assert self._writing is not None
        joined = asyncio.ensure_future(self._queue.join())
        try:
            await asyncio.wait([joined, self._writing], return_when=asyncio.FIRST_COMPLETED)
            if self._writing.done():
                self._writing.result()
        finally:
            joined.cancel()

    async def record_call(self, told: dict[str, Json]) -> dict[str, Json]:
        """Puts a call that is asked about on record; returns all that is known of it."""
        await self.settle()
        call = self._call(told)
        await self._record(call)
        return call.body

    async def finish_turn(self) -> str:
        """Puts the last words on record and returns the last message, whatever came after it."""
        await self.settle()
        await self._end_message()
        for call in self._calls.values():
            await self._record(call)
        said, self._said = self._said, ""
        return said

    # ── one after another ──────────────────────────────────────────────────────────────────────────────────────────

    async def _write(self) -> None:
        while True:
            update = await self._queue.get()
            await self._take(update)
            self._queue.task_done()

    async def _take(self, update: dict[str, Json]) -> None:
        match update.get("sessionUpdate"):
            case "agent_message_chunk":
                await self._chunk(update)
            case "agent_thought_chunk":
                self._count(str(table(update.get("content")).get("text") or ""))
            case "tool_call" | "tool_call_update":
                await self._tool(update)
            case "session_info_update":
                # Codex tells a service's failure as a message, and ends its turn as if all were well.
                status = table(table(table(update.get("_meta")).get("codex")).get("threadStatus")).get("type")
                if status == "systemError":
                    self.failure = ""
            case "usage_update":
                cost = table(update.get("cost"))
                amount = cost.get("amount")
                if cost.get("currency") == "USD" and isinstance(amount, int | float):
                    self.cost_usd = float(amount)

    async def _chunk(self, update: dict[str, Json]) -> None:
        content = table(update.get("content"))
        text = str(content.get("text") or "")
        if self._marks_model and not update.get("messageId"):
            self._own_words = text.strip() or self._own_words
            if self.failure is not None:
                self.failure = self._own_words
            return
        if self._texts and update.get("messageId") != self._message:
            await self._end_message()
        if text:
            self._message = update.get("messageId")
            self._texts.append(text)
            self.has_spoken = True
            self._count(text)

    def _count(self, text: str) -> None:
        self._characters += len(text)
        self._emit({"tokens": max(1, self._characters // _CHARACTERS_PER_TOKEN)})
        if not self._tells_of_calls:
            self._emit({"tool": None})  # it may write a long argument now, and is silent while it does

    async def _end_message(self) -> None:
        if self._texts:
            self._said = "".join(self._texts)
            self._texts.clear()
            await self._trail.add("assistant", {"text": self._said})

    def _call(self, told: dict[str, Json]) -> _Call:
        name = str(told.get("toolCallId") or "")
        call = self._calls.setdefault(name, _Call(name))
        call.learn(told)
        return call

    async def _tool(self, update: dict[str, Json]) -> None:
        call = self._call(update)
        if call.is_ended:
            return
        if call.id not in self._running:
            self._running.append(call.id)
            self.has_spoken = False
            await self._end_message()
        self._emit({"tool": call.name})
        status = update.get("status")
        if call.is_complete or status in _ENDED:
            await self._record(call)
        if status in _ENDED:
            call.is_ended = True
            body: dict[str, Json] = {"id": call.id, "name": call.name, "text": call.result()}
            await self._trail.add("tool", {**body, "ok": status == "completed"})
            self._running.remove(call.id)
            last = self._calls[self._running[-1]].name if self._running else None
            self._emit({"tool": last})
            self._turns += 1
            self._emit({"turn": self._turns})  # its model is asked again now

    async def _record(self, call: _Call) -> None:
        if not call.is_recorded:
            call.is_recorded = True
            await self._trail.add("assistant", {"text": "", "calls": [call.asked()]})
