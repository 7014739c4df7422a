"""A provider agent's conversation: what a model is shown, what is on record, and how an interrupted one goes on.

Every turn goes through the trail, and what comes back from there is what the model sees: secrets are masked in both.
The turns hold messages in the library's own form (`native`), so that reasoning, tool calls and ids survive a crash.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from engine.jsontext import widened
from engine.values import Json, Trail, TurnRow

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelResponse

SUBMIT = "submit_answer"
"""The tool whose arguments are a structured answer."""

HALF_DONE = (
    "This call was interrupted before its result was recorded: it may have been done in whole, in part or not at all. "
    "Look before you do it again."
)
GOES_ON = (
    "You were interrupted here and go on now. What is above is what you know to be done; anything later may be half "
    "done. Look at the state of things before you rely on it, then finish the task."
)
BEGINS_AGAIN = (
    "Somebody began with this task before you and was interrupted; what they did to files may be half done. Look at "
    "the state of things before you rely on it.\n\n"
)


class Conversation:
    """Messages in the library's form, each on record in the order in which it was said. `open` makes one."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self.messages: list[ModelMessage] = []
        self.is_continued = False
        self.unread: ModelResponse | None = None  # an answer on record that nobody has looked at yet
        self._has_submitted = False

    @classmethod
    async def open(cls, trail: Trail, prompt: str, *, system: str, is_again: bool) -> Conversation:
        """The conversation of earlier attempts, or a new one that begins with `prompt`.

        Args:
            is_again: an earlier attempt was started, whether or not it left anything to go on from.
        """
        out = cls(trail)
        if _can_go_on(trail.earlier):
            out._restore(trail.earlier, system)
            out.is_continued = True
            if (answer := out._answer_on_record()) is not None:
                out.unread = answer
                return out
            await out._close_open_calls()
            if orjson.loads(trail.earlier[-1].body).get("text") != GOES_ON:  # interrupted twice in the same place
                await out.say(GOES_ON)
        else:
            await out._say_first((BEGINS_AGAIN if is_again else "") + prompt, system)
        return out

    async def say(self, text: str) -> None:
        """Tells the model something: its task, feedback, a note."""
        from pydantic_ai.messages import ModelRequest, UserPromptPart

        self.unread = None  # it was looked at: this is what came of it
        body = await self._trail.add("user", {"text": text}, wait=False)
        part = UserPromptPart(content=str(body["text"]))
        last = self.messages[-1] if self.messages else None
        if isinstance(last, ModelRequest):
            last.parts = [*last.parts, part]
        else:
            self.messages.append(ModelRequest(parts=[part], instructions=self._instructions()))

    async def note(self, role: str, body: dict[str, Json]) -> None:
        """Puts something on record that the model is not shown."""
        await self._trail.add(role, body, wait=False)

    async def heard(self, response: ModelResponse, usage: dict[str, Json]) -> None:
        """Puts on record what a model said, before anything that it asks for is done."""
        calls = [{"id": c.tool_call_id, "name": c.tool_name, "args": _args(c.args)} for c in response.tool_calls]
        native = native_of(response)
        body: dict[str, Json] = {"text": response.text or "", "native": native, "usage": usage}
        if calls:
            body["calls"] = calls
        if response.model_name:
            body["model"] = response.model_name
        recorded = await self._trail.add("assistant", body, wait=bool(calls))  # on disk before a tool acts
        self.messages.append(
            response if recorded["native"] == native else _revived(_unsigned(recorded["native"]))  # secrets went out
        )

    async def result(self, call_id: str, name: str, text: str, *, ok: bool) -> None:
        """Puts a tool's result on record and shows it to the model."""
        from pydantic_ai.messages import ModelRequest, ToolReturnPart

        body = await self._trail.add("tool", {"id": call_id, "name": name, "text": text, "ok": ok}, wait=False)
        # The id as it is on record: a mask may have changed it, in the call as here.
        part = ToolReturnPart(tool_name=name, content=str(body["text"]), tool_call_id=str(body["id"]))
        last = self.messages[-1]
        if isinstance(last, ModelRequest):
            last.parts = [*last.parts, part]
        else:
            self.messages.append(ModelRequest(parts=[part], instructions=self._instructions()))

    def shorten(self) -> bool:
        """Makes room when the model takes no more: the oldest large results go, the newest stay. False: none left."""
        from pydantic_ai.messages import ModelRequest, ToolReturnPart

        cut = "[cut to make room: call the tool again if you need this]"
        large = [
            (message, at, part)
            for message in self.messages[:-1]
            if isinstance(message, ModelRequest)
            for at, part in enumerate(message.parts)
            if isinstance(part, ToolReturnPart) and len(str(part.content)) > 4 * len(cut)
        ]
        for message, at, part in large[: (len(large) + 1) // 2]:
            parts = list(message.parts)
            parts[at] = ToolReturnPart(tool_name=part.tool_name, content=cut, tool_call_id=part.tool_call_id)
            message.parts = parts
        return bool(large)

    async def _say_first(self, text: str, system: str) -> None:
        from pydantic_ai.messages import ModelRequest, UserPromptPart

        body = await self._trail.add("user", {"text": text}, wait=False)
        self.messages = [ModelRequest(parts=[UserPromptPart(content=str(body["text"]))], instructions=system or None)]

    def _instructions(self) -> str | None:
        from pydantic_ai.messages import ModelRequest

        first = self.messages[0] if self.messages else None
        return first.instructions if isinstance(first, ModelRequest) else None

    def _restore(self, turns: Sequence[TurnRow], system: str) -> None:
        from pydantic_ai.messages import ModelRequest, ToolReturnPart, UserPromptPart

        for turn in turns:
            body = orjson.loads(turn.body)
            if turn.role == "assistant":
                self.messages.append(_revived(body["native"]))
                self._has_submitted = False
                continue
            if turn.role == "user":
                part: Any = UserPromptPart(content=body["text"])
            elif turn.role == "tool":
                part = ToolReturnPart(tool_name=body["name"], content=body["text"], tool_call_id=body["id"])
            else:
                continue
            self._has_submitted = turn.role == "tool" and body["name"] == SUBMIT and bool(body["ok"])
            if self.messages and isinstance(last := self.messages[-1], ModelRequest):
                last.parts = [*last.parts, part]
            else:
                self.messages.append(ModelRequest(parts=[part], instructions=system or None))

    def _answer_on_record(self) -> ModelResponse | None:
        """The text, or the accepted object, with which the conversation ends: the interruption was after it."""
        from pydantic_ai.messages import ModelResponse

        last = self.messages[-2 if self._has_submitted else -1]
        if self._has_submitted:
            return last if isinstance(last, ModelResponse) else None
        return last if isinstance(last, ModelResponse) and not last.tool_calls and (last.text or "").strip() else None

    async def _close_open_calls(self) -> None:
        """Results for the tool calls that have none on record: a service refuses a call without one."""
        from pydantic_ai.messages import ModelRequest, ModelResponse, ToolReturnPart

        open_calls: dict[str, str] = {}
        for message in self.messages:
            if isinstance(message, ModelResponse):
                open_calls = {call.tool_call_id: call.tool_name for call in message.tool_calls}
            elif isinstance(message, ModelRequest):
                for part in message.parts:
                    if isinstance(part, ToolReturnPart):
                        open_calls.pop(part.tool_call_id, None)
        for call_id, name in open_calls.items():
            await self.result(call_id, name, HALF_DONE, ok=False)


def _can_go_on(turns: Sequence[TurnRow]) -> bool:
    """Whether there is a model's answer in the library's form; without one there is nothing to go on from."""
    said = [turn for turn in turns if turn.role == "assistant"]
    return bool(said) and all("native" in orjson.loads(turn.body) for turn in said)


def native_of(response: ModelResponse) -> Json:
    """The library's form. Arguments of tools are in it as values, not as JSON text: in text a secret may be escaped,
    which no mask would find, and a mask might cut the text where it is no JSON any more."""
    from pydantic_ai.messages import ModelMessagesTypeAdapter

    native = orjson.loads(ModelMessagesTypeAdapter.dump_json([response]))[0]
    for part in native["parts"]:
        if part.get("part_kind") == "tool-call" and isinstance(args := _args(part["args"]), dict):
            part["args"] = args
    return native


def sound(response: ModelResponse) -> ModelResponse:
    """A response whose texts are text. Half of a surrogate pair becomes U+FFFD, two halves that a service sent apart
    become their character. Raises `TypeError` for one whose parts are of no kind that the library knows: it takes
    what a service sends as it is."""
    for part in response.parts:
        if part.part_kind not in ("text", "thinking", "tool-call"):
            continue
        for name in ("content", "args", "tool_name", "tool_call_id"):
            value = getattr(part, name, None)
            if isinstance(value, dict) and name == "args":
                value = json.loads(widened(value))
            elif isinstance(value, str):
                value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            elif value is not None:
                raise TypeError(f"{part.part_kind}: {name} is {type(value).__name__}")
            if value is not None:
                setattr(part, name, value)
    if not isinstance(response.model_name, str | None):
        raise TypeError(f"the model's name is {type(response.model_name).__name__}")
    return response


def _revived(native: Json) -> ModelMessage:
    from pydantic_ai.messages import ModelMessagesTypeAdapter

    return ModelMessagesTypeAdapter.validate_json(orjson.dumps([native]))[0]


def _unsigned(native: Json) -> Json:
    """Without reasoning: a service refuses reasoning whose text is not the one that it signed."""
    return {**native, "parts": [part for part in native["parts"] if part.get("part_kind") != "thinking"]}


def _args(args: str | dict[str, Any] | None) -> Json:
    if isinstance(args, str):
        try:
            return orjson.loads(args)
        except orjson.JSONDecodeError:
            return args
    return args or {}
