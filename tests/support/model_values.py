"""What is said to and by a scripted model, in no service's shape. See `support.scripted_model`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class BadRequest(Exception):
    """What a real service answers with status 400."""


@dataclass(frozen=True)
class Say:
    text: str


@dataclass(frozen=True)
class Refuse:
    """The model declines, in its service's way of declining."""

    text: str = "I can't help with that."


@dataclass(frozen=True)
class Call:
    """A tool call. `args` as text is sent as it is, JSON or not. Without an id it gets one that no other call has."""

    name: str
    args: Mapping[str, Any] | str = field(default_factory=dict)
    id: str | None = None


@dataclass(frozen=True)
class Reply:
    """One answer of the model.

    Attributes:
        parts: a text, a part, or several parts: parallel tool calls.
        usage: input tokens (`cached` of them from the cache) and output tokens.
        model: what the service says answered; None repeats what was asked for.
        finish: `stop`, `tool_calls`, `length`, `content_filter`, or None for what fits the parts.
    """

    parts: str | Say | Call | Refuse | Sequence[Say | Call | Refuse | str] = ()
    usage: tuple[int, int] = (7, 11)
    model: str | None = None
    finish: str | None = None
    cached: int = 0

    @staticmethod
    def of(turn: Any) -> Reply:
        return turn if isinstance(turn, Reply) else Reply(turn)

    def all_parts(self) -> list[Say | Call | Refuse]:
        single = isinstance(self.parts, str | Say | Call | Refuse)
        parts: Any = [self.parts] if single else self.parts
        return [Say(part) if isinstance(part, str) else part for part in parts]

    def why(self) -> str:
        if self.finish is not None:
            return self.finish
        return "tool_calls" if any(isinstance(part, Call) for part in self.all_parts()) else "stop"


@dataclass(frozen=True)
class Result:
    """A tool's result, as the client sent it back."""

    id: str
    text: str
    is_error: bool = False


@dataclass(frozen=True)
class Message:
    """`role` is `user`, `assistant` or `tool` (whose results are in `results`). System messages are in `Asked.system`."""

    role: str
    text: str = ""
    calls: tuple[Call, ...] = ()
    results: tuple[Result, ...] = ()


@dataclass(frozen=True)
class Asked:
    """One request.

    Attributes:
        api: `chat`, `responses` or `messages`.
        tools: name to JSON Schema of its arguments (empty for tools without one).
        schema: of the answer that is wanted, or None.
        raw: the body.
    """

    api: str
    model: str
    system: str
    messages: tuple[Message, ...]
    tools: dict[str, dict[str, Any]]
    schema: dict[str, Any] | None
    is_streamed: bool
    headers: dict[str, str]
    raw: dict[str, Any]

    @property
    def prompt(self) -> str:
        """The newest text of the user."""
        return next(
            (message.text for message in reversed(self.messages) if message.role == "user" and message.text), ""
        )

    @property
    def text(self) -> str:
        """All that users and the model said: what a script tells conversations apart by."""
        return "\n".join(message.text for message in self.messages if message.text)

    @property
    def results(self) -> tuple[Result, ...]:
        """Of the newest tool calls: those after the last answer of the model."""
        out: list[Result] = []
        for message in reversed(self.messages):
            if message.role == "assistant":
                break
            out[:0] = message.results
        return tuple(out)

    @property
    def turn(self) -> int:
        """How many answers of the model the conversation holds."""
        return sum(message.role == "assistant" for message in self.messages)
