"""What MCP servers say, as models may be shown it: names, schemas and results, cut and checked."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.agents.tools.failed import ToolFailed
from engine.agents.tools.tool import ToolSpec
from engine.errors import UsageError

if TYPE_CHECKING:
    from mcp import ClientSession

MOST_TOOLS = 200
_MOST_PAGES = 20
_DESCRIPTION_CHARACTERS = 4000
_SCHEMA_CHARACTERS = 50_000
_NAME_CHARACTERS = 64
"""What services take for the name of a tool."""


@dataclass(frozen=True, slots=True)
class ServerTool:
    """A tool of a server. `name` is the server's own word for it; `spec.name` what the model calls."""

    server: str
    name: str
    spec: ToolSpec


async def listed(session: ClientSession, server: str) -> list[ServerTool]:
    """The tools of a server, as many as anybody may want."""
    from mcp.types import PaginatedRequestParams

    found: dict[str, ServerTool] = {}
    cursor: str | None = None
    for _ in range(_MOST_PAGES):
        page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor) if cursor else None)
        for tool in page.tools:
            if len(found) < MOST_TOOLS and tool.name:
                name = shown_name(server, tool.name)
                if name not in found:
                    found[name] = ServerTool(server, tool.name, await _spec(name, tool))
        cursor = page.next_cursor
        if not cursor:
            break
    return list(found.values())


def shown_name(server: str, tool: str) -> str:
    """`server__tool`, in the characters and the length that services take; two never become one."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", f"{server}__{tool}")
    if plain == f"{server}__{tool}" and len(plain) <= _NAME_CHARACTERS:
        return plain
    mark = hashlib.blake2b(f"{server}__{tool}".encode(errors="replace"), digest_size=4).hexdigest()
    return f"{plain[: _NAME_CHARACTERS - 9]}_{mark}"


async def _spec(name: str, tool: Any) -> ToolSpec:
    from engine.schemas import check_schema

    schema = tool.input_schema
    try:
        is_usable = len(json.dumps(schema)) <= _SCHEMA_CHARACTERS
        if is_usable:
            await asyncio.to_thread(check_schema, schema)
    except (UsageError, ValueError, RecursionError):
        is_usable = False
    if not is_usable:
        schema = {"type": "object"}  # the server judges the arguments in any case
    hints = tool.annotations
    return ToolSpec(
        name,
        (tool.description or tool.title or tool.name)[:_DESCRIPTION_CHARACTERS],
        {"type": "object", **schema},
        is_read_only=bool(hints and hints.read_only_hint),
    )


def text_of(result: Any, server: str, tool: str) -> str:
    """A result's text; what is no text is named. Raises `ToolFailed` with the words of one that failed."""
    pieces = [_piece(block) for block in getattr(result, "content", None) or ()]
    structured = getattr(result, "structured_content", None)
    if not any(pieces) and structured is not None:
        pieces = [json.dumps(structured, ensure_ascii=False)]
    text = "\n".join(piece for piece in pieces if piece)
    if getattr(result, "is_error", False):
        raise ToolFailed(text or f"{server}.{tool} failed and did not say why.")
    return text or "[no output]"


def _piece(block: Any) -> str:
    if block.type == "text":
        return str(block.text)
    if block.type == "resource":
        return getattr(block.resource, "text", None) or f"[{block.resource.uri}: not text]"
    if block.type == "resource_link":
        return f"[{block.name}: {block.uri}]"
    return f"[{block.type}, {getattr(block, 'mime_type', 'unknown')}: not shown]"


def said(error: BaseException) -> str:
    """The words of the innermost error of a group, in one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join((str(error) or type(error).__name__).split())[:500]
