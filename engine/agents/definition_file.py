"""One agent definition as a file has it: Markdown with front matter, as Claude Code, opencode and Pawl write it. Pure.

The tools of a definition are never widened: what is not understood takes a tool away, and says so. Front matter that is
no YAML because of an unquoted colon, as Claude Code writes it itself, is read as that program reads it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from engine.errors import UsageError
from engine.values import AgentDefinition, Json

MAX_BYTES = 64 << 10
"""Of a file: a prompt of 16,000 tokens is no definition any more."""

TOOLS = ("read_file", "list_files", "grep", "edit_file", "write_file", "run_command", "fetch_url")
"""What an agent has that gives some up: everything of ours. MCP tools it must name."""

CHANGING = ("edit_file", "write_file", "run_command")

BY_PERMISSION = {
    "edit": ("edit_file", "write_file"),
    "bash": ("run_command",),
    "webfetch": ("fetch_url",),
    "read": ("read_file",),
    "glob": ("list_files",),
    "list": ("list_files",),
    "grep": ("grep",),
}
"""opencode's permissions; others of it are about things that we do not have."""

Canonical: TypeAlias = Callable[[str], str]
"""A tool's name in anybody's words → ours. Raises `UsageError` for a tool that we do not have."""

_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,100}\Z")
_FRONT = re.compile(r"---[ \t]*\n(?P<front>.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_PLAIN = re.compile(r"(?P<key>[A-Za-z_][\w-]*):[ \t]+(?P<value>[^\s\"'|>\[{&*!#%@`].*)\Z")
_WORDS = re.compile(r"(?:[^,(]|\([^)]*\)?)+")


class NotUsable(Exception):
    """Why a file is no definition, in a few words."""


@dataclass(slots=True)
class _Grant:
    """Which tools a definition has: `allowed` (None: all there are) without `removed`."""

    canonical: Canonical
    allowed: set[str] | None = None
    removed: set[str] = field(default_factory=set)
    is_narrowed: bool = False
    problems: list[str] = field(default_factory=list)

    def tools(self) -> tuple[str, ...] | None:
        if self.allowed is None and not self.is_narrowed:
            return None
        given = set(TOOLS) if self.allowed is None else self.allowed
        left = {name for name in given if not any(_overlap(name, gone) for gone in self.removed)}
        for name in sorted(given - left - self.removed):
            if "*" in name or name == "mcp":
                self.problems.append(f"{name} is left out: some of its tools are taken away")
        return tuple(sorted(left))

    def allow(self, names: Iterable[str]) -> None:
        for name in names:
            if name == "*":
                return
            self.allowed = self.allowed if self.allowed is not None else set()
            self.allowed.update(self._ours(name, "is left out"))

    def remove(self, names: Iterable[str]) -> None:
        self.is_narrowed = True
        for name in names:
            bare = name.partition("(")[0].strip()
            if bare != name:
                self.problems.append(f"{name}: patterns belong in [permissions]; the whole tool is taken away")
            if bare == "*":
                self.allowed = set()
            else:
                self.removed.update(self._ours(bare, None))

    def _ours(self, name: str, note: str | None) -> Iterator[str]:
        try:
            tool = self.canonical(name)
        except UsageError:
            if note is not None:
                self.problems.append(f"{name} {note}: Pawl has no such tool")
            return
        if "(" in tool:
            self.problems.append(f"{name} is left out: patterns belong in [permissions] of the config")
        else:
            yield tool


def _overlap(one: str, other: str) -> bool:
    """Whether two names mean a tool in common; `mcp` and a `*` mean many. When in doubt, they do."""
    pieces = [("mcp.*" if name == "mcp" else name).partition("*") for name in (one, other)]
    (left, is_left_open, _), (right, is_right_open, _) = pieces
    return (left == right) or bool(
        (is_right_open and left.startswith(right)) or (is_left_open and right.startswith(left))
    )


def read(data: bytes, *, name: str, source: str, canonical: Canonical) -> AgentDefinition:
    """The definition that a file's bytes hold.

    Args:
        name: what it is called when it does not say so itself.
        source: where it is from, for people.

    Raises:
        NotUsable: it cannot be one.
    """
    if len(data) > MAX_BYTES:
        raise NotUsable(f"it is larger than {MAX_BYTES >> 10} KiB")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise NotUsable(f"it is not UTF-8 (byte {error.start + 1})") from None
    front, body = _parts(text)
    if True in (front.get("disable"), front.get("disabled")):
        raise NotUsable("it is disabled: its front matter says so")
    if not body:
        raise NotUsable("it has no prompt: nothing follows the front matter")
    own = _text(front, "name")
    if own is not None and not _NAME.match(own):
        raise NotUsable("name: expected 1 to 100 characters on one line")
    model = _text(front, "model")
    grant = _granted(front, canonical)
    return AgentDefinition(
        name=own or name,
        description=_text(front, "description") or "",
        prompt=body,
        model=None if model == "inherit" else model,
        tools=grant.tools(),
        source=source,
        problems=tuple(grant.problems),
    )


def _parts(text: str) -> tuple[Mapping[str, Json], str]:
    """Front matter and prompt."""
    found = _FRONT.match(text)
    if found is None:
        if re.match(r"---[ \t]*\n", text):
            raise NotUsable("its front matter has no end: expected a line of ---")
        return {}, text.strip()
    front = _yaml(found["front"])
    if front is None:
        front = {}
    if not isinstance(front, dict):
        raise NotUsable("its front matter is no list of fields: expected lines such as name: reviewer")
    return front, text[found.end() :].strip()


def _yaml(text: str) -> Json:
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = error
    try:
        return yaml.safe_load("\n".join(_quoted(line) for line in text.split("\n")))
    except (yaml.YAMLError, ValueError, RecursionError):
        mark = getattr(problem, "problem_mark", None)
        place = "" if mark is None else f" (line {mark.line + 2})"
        what = getattr(problem, "problem", None) or type(problem).__name__
        raise NotUsable(f"its front matter is not YAML: {what}{place}") from None


def _quoted(line: str) -> str:
    """A line `key: text: more` with quotes around the text."""
    found = _PLAIN.match(line)
    if found is None or ":" not in found["value"]:
        return line
    value = found["value"].rstrip().replace("'", "''")
    return f"{found['key']}: '{value}'"


def _text(front: Mapping[str, Json], key: str) -> str | None:
    value = front.get(key)
    if value is None:
        return None
    if isinstance(value, bool | int | float):  # an unquoted word that YAML takes for something else
        raise NotUsable(f"{key}: expected text, found {value!r}; put it in quotes")
    if not isinstance(value, str):
        raise NotUsable(f"{key}: expected text, found a {'list' if isinstance(value, list) else type(value).__name__}")
    return value.strip() or None


def _granted(front: Mapping[str, Json], canonical: Canonical) -> _Grant:
    grant = _Grant(canonical)
    if "tools" in front:
        tools = front["tools"]
        if isinstance(tools, dict):
            _switched(grant, tools)
        else:
            grant.allow(names := _names("tools", tools))
            if not names:
                grant.allowed = set()
                grant.problems.append("tools is empty: it gets none")
    for key in ("disallowedTools", "disallowed-tools"):
        if front.get(key) is not None:
            grant.remove(_names(key, front[key]))
    if front.get("permissionMode") == "plan":
        grant.remove(CHANGING)
    if "permission" in front:
        _permitted(grant, front["permission"])
    return grant


def _names(key: str, value: Json) -> list[str]:
    """`Read, Bash(git log:*)`, or a list."""
    parts = _WORDS.findall(value) if isinstance(value, str) else [] if value is None else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise NotUsable(f"{key}: expected names separated by commas, or a list of names")
    return [name for part in parts if (name := part.strip())]


def _switched(grant: _Grant, tools: Mapping[Json, Json]) -> None:
    """opencode's `tools: {write: false}`."""
    for name, value in tools.items():
        if not isinstance(name, str) or not isinstance(value, bool):
            raise NotUsable(f"tools: {name}: expected true or false")
    grant.remove(name for name, is_on in tools.items() if not is_on)
    if grant.allowed is not None:  # "*": false
        grant.allow(name for name, is_on in tools.items() if is_on and name != "*")
    grant.is_narrowed = any(not is_on for is_on in tools.values())


def _permitted(grant: _Grant, permission: Json) -> None:
    """opencode's `permission`: a word for everything, or one for each kind of tool, or for patterns of it."""
    rules = permission if isinstance(permission, dict) else {"*": permission}
    everything = _word(rules.get("*", "allow"))
    for kind, tools in BY_PERMISSION.items():
        word = _word(rules[kind]) if kind in rules else everything
        if word != "allow":
            grant.remove(tools)
        if word == "ask":
            grant.problems.append(f"permission {kind}: only [permissions] of the config can ask; the tool is left out")
    if everything != "allow" or any(_word(rules[kind]) != "allow" for kind in rules if kind not in BY_PERMISSION):
        grant.is_narrowed = True  # of MCP tools, it has those that it names


def _word(rule: Json) -> str:
    """`allow`, `deny`, or `ask` for whatever lies between."""
    words = set(rule.values()) if isinstance(rule, dict) else {rule}
    if words == {"allow"}:
        return "allow"
    return "deny" if words == {"deny"} else "ask"
