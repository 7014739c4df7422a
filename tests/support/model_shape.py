"""What the shapes of three services share. See `support.scripted_model`."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from support.model_values import Asked, BadRequest, Call, Reply

_IDS = itertools.count(1)
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}\Z")
_PIECES = 3
"""A text or a call's arguments come in at least so many pieces when there is that much of it."""


@dataclass(frozen=True)
class Event:
    """One server-sent event; `is_token` when it carries a piece of text."""

    data: dict[str, Any] | str
    name: str | None = None
    is_token: bool = False

    def encode(self) -> bytes:
        data = self.data if isinstance(self.data, str) else json.dumps(self.data)
        return ((f"event: {self.name}\n" if self.name else "") + f"data: {data}\n\n").encode()


class Shape(Protocol):
    def read(self, body: dict[str, Any], headers: dict[str, str]) -> Asked: ...
    def whole(self, reply: Reply, asked: Asked) -> dict[str, Any]: ...
    def stream(self, reply: Reply, asked: Asked) -> Iterator[Event]: ...
    def error(self, status: int, message: str, code: str | None) -> dict[str, Any]: ...
    def error_event(self, status: int, message: str, code: str | None) -> Event: ...


def new_id(prefix: str) -> str:
    return f"{prefix}_{next(_IDS):06}"


def pieces(text: str) -> list[str]:
    words = re.findall(r"\S*\s*", text)[:-1] if " " in text else []
    if len(words) >= _PIECES:
        return words
    size = max(1, -(-len(text) // _PIECES))
    return [text[at : at + size] for at in range(0, len(text), size)]


def args_text(call: Call) -> str:
    return call.args if isinstance(call.args, str) else json.dumps(call.args)


def text_of(content: Any) -> str:
    """The words of a content in any of the forms that the services take."""
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(str(part.get("text") or part.get("refusal") or "") for part in content if isinstance(part, dict))


def tools_by_name(pairs: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {}
    for name, schema in pairs:
        if not _TOOL_NAME.match(name):
            raise BadRequest(f"Invalid tool name {name!r}: expected {_TOOL_NAME.pattern}")
        if name in out:
            raise BadRequest(f"Tool names must be unique: {name!r}")
        out[name] = schema
    return out


def known_role(role: str, roles: Sequence[str]) -> str:
    if role not in roles:
        raise BadRequest(f"Invalid role {role!r}: expected one of {', '.join(roles)}")
    return role


def openai_error(status: int, message: str, code: str | None) -> dict[str, Any]:
    kind = {401: "authentication_error", 429: "rate_limit_error"}.get(status, "invalid_request_error")
    kind = "server_error" if status >= 500 else "insufficient_quota" if code == "insufficient_quota" else kind
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
