"""What an agent asks permission for, in our words, and the answer of our policy to it.

An agent tells a kind (`edit`, `execute`…), a title for people and its tool's raw arguments, in which each agent has its
own names. What cannot be told apart is asked about as a tool of an MCP server is: a person decides, or nobody does and
it is denied.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field

from engine.agents.acp.submit_tool import SERVER, TOOL
from engine.agents.headless.program import rows, table
from engine.agents.policy import MCP, Gate, Verdict, canonical_tool
from engine.agents.tools.failed import ToolFailed
from engine.agents.tools.files import way
from engine.errors import UsageError
from engine.values import Json
from engine.workspace import Workspace

_KINDS = {
    "read": "read_file",
    "edit": "edit_file",
    "delete": "write_file",
    "move": "write_file",
    "search": "grep",
    "execute": "run_command",
    "fetch": "fetch_url",
}
_PATHS = ("file_path", "filePath", "filepath", "abs_path", "path", "notebook_path", "parentDir")
_READING = ("read_file", "grep", "list_files", "glob")
_WRITING = ("edit_file", "write_file")
_OURS = re.compile(rf"(?:mcp[._/: ]*)?(?:__)?{SERVER}[._/: ]+{TOOL}\b|{TOOL}(?: \({SERVER}[^)]*\))?\Z")
_STRICTNESS = {Verdict.ALLOW: 0, Verdict.ASK: 1, Verdict.DENY: 2}

ALLOW = ("allow_once", "allow_always")
REJECT = ("reject_once", "reject_always")


@dataclass(frozen=True, slots=True)
class Use:
    """A use of a tool that an agent wants, in our words. `paths` are absolute; `argument` is for all but files."""

    tool: str
    argument: str = ""
    paths: tuple[str, ...] = ()


def use_of(call: dict[str, Json]) -> Use | None:
    """What a tool call is. None: the tool with which it gives its answer, or thinking."""
    raw, kind, title = table(call.get("rawInput")), str(call.get("kind") or ""), str(call.get("title") or "")
    if kind == "think":
        return None
    if kind not in _KINDS:
        name = _own_name(call) or title
        if _OURS.match(name):
            return None
        return _other(name, title, raw)
    tool = _KINDS[kind]
    if kind == "execute":
        if _OURS.match(title) and "command" not in raw:
            return None  # Codex shows tools of MCP servers as commands
        return Use(tool, _command(raw) or title)
    if kind == "fetch":
        return Use(tool, str(raw.get("url") or raw.get("query") or title))
    if kind == "edit" and _own_name(call).lower() in ("write", "write_file", "create"):
        tool = "write_file"
    return Use(tool, paths=_paths(call, raw))


def _own_name(call: dict[str, Json]) -> str:
    """The agent's own name of its tool, where it tells."""
    told = table(table(call.get("_meta")).get("claudeCode")).get("toolName") or call.get("name")
    return str(told or "")


def _other(name: str, title: str, raw: dict[str, Json]) -> Use:
    try:
        tool = canonical_tool(name)
    except UsageError:
        word = re.sub(r"[^\w-]+", "_", name.strip())[:60].strip("_") or "unknown"
        # opencode asks for a folder outside with the folder as the title.
        folder = (title.removesuffix("/*"),) if title.startswith("/") else ()
        return Use(f"{MCP}.agent.{word}", paths=folder or _paths({}, raw))
    if tool == "run_command":
        return Use(tool, _command(raw))
    if tool == "fetch_url":
        return Use(tool, str(raw.get("url") or ""))
    return Use(tool, paths=_paths({}, raw)) if tool in (*_READING, *_WRITING) else Use(tool)


def _command(raw: dict[str, Json]) -> str:
    command = raw.get("command") or raw.get("cmd")
    if isinstance(command, list):
        words = [str(word) for word in command]
        # `["bash", "-lc", "the command"]`: what counts is the command.
        if len(words) == 3 and words[1] in ("-c", "-lc"):
            return words[2]
        return shlex.join(words)
    return str(command or "")


def _paths(call: dict[str, Json], raw: dict[str, Json]) -> tuple[str, ...]:
    found = [str(place["path"]) for place in rows(call.get("locations")) if place.get("path")]
    found += [str(block["path"]) for block in rows(call.get("content")) if block.get("path")]
    found += [str(raw[name]) for name in _PATHS if isinstance(raw.get(name), str)]
    found += [str(path) for path in table(raw.get("changes"))]
    return tuple(dict.fromkeys(path for path in found if path))


def chosen(options: list[dict[str, Json]], kinds: tuple[str, ...]) -> str | None:
    """The option of the first of these kinds that is offered."""
    for kind in kinds:
        for option in options:
            if option.get("kind") == kind:
                return str(option.get("optionId"))
    return None


@dataclass(slots=True)
class Permissions:
    """What one call may do: the tools that it names, then the policy.

    Attributes:
        denied: reasons given since they were last taken.
    """

    workspace: Workspace
    gate: Gate
    tools: tuple[str, ...] | None
    denied: list[str] = field(default_factory=list)
    _admitted: set[tuple[str, str]] = field(default_factory=set)

    async def admit(self, use: Use) -> str | None:
        """None: go ahead. Otherwise why not, in words for a model."""
        why = await self._admit(use)
        if why is not None:
            self.denied.append(why)
        return why

    async def _admit(self, use: Use) -> str | None:
        if not self._is_named(use.tool):
            return f"{use.tool} is not among the tools of this task. Do without it."
        is_of_files = use.tool in (*_READING, *_WRITING)
        ways = []
        for path in use.paths:
            try:
                ways.append(way(self.workspace, path))
            except ToolFailed as error:
                if not self._names_outside(use.tool, path):
                    return f"{use.tool}({path}): {error} Do without it."
        if not is_of_files:
            return await self._ask(use.tool, use.argument)
        for relative in ways or ([] if use.paths else ["."]):
            if (why := await self._ask(use.tool, relative)) is not None:
                return why
        return None

    def _names_outside(self, tool: str, path: str) -> bool:
        """Whether a rule allows what is outside of the workspace, and has it in mind."""
        return self.gate.policy.names(tool, os.path.normpath(os.path.join(self.workspace.root, path)))

    async def _ask(self, tool: str, argument: str) -> str | None:
        if tool in _WRITING:
            # One to most agents, who do not say which: the stricter of the two rulings counts.
            tool = max(_WRITING, key=lambda name: _STRICTNESS[self.gate.policy.rule(name, argument).verdict])
        key = (tool, argument)
        if key in self._admitted:
            return None
        why = await self.gate.admit(tool, argument)
        if why is None:
            self._admitted.add(key)
        return why

    def _is_named(self, tool: str) -> bool:
        if self.tools is None or tool in self.tools:
            return True
        if tool in _WRITING:
            return any(name in self.tools for name in _WRITING)
        if tool in ("grep", "list_files", "glob"):
            return any(name in self.tools for name in ("grep", "list_files", "glob"))
        if tool.startswith(f"{MCP}."):
            server = tool.split(".")[1]
            return f"{MCP}.{server}.*" in self.tools
        return False
