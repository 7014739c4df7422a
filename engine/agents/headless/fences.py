"""What a coding agent may do, in words that each program's adapter turns into the program's own.

From two sides: the tools that the call or its agent definition names, and the rules of `[permissions]`. A headless
program can ask nobody, so a rule that asks denies. Where neither side says anything, the program's own settings do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from engine.settings import PermissionSettings

READING = ("read_file", "list_files", "glob", "grep")
EDITING = ("edit_file", "write_file")
TOOLS = (*READING, *EDITING, "run_command", "fetch_url")

_OTHER_NAMES = {
    "read": "read_file",
    "ls": "list_files",
    "list": "list_files",
    "edit": "edit_file",
    "multiedit": "edit_file",
    "write": "write_file",
    "bash": "run_command",
    "webfetch": "fetch_url",
}
_RULE = re.compile(r"([^()\s]+)(?:\((.*)\))?\Z", re.DOTALL)


def canonical(name: str) -> str:
    """Our name of a tool that another program's user calls `Read` or `bash`."""
    return _OTHER_NAMES.get(name.lower(), name)


@dataclass(frozen=True, slots=True)
class Fence:
    """See the module.

    Attributes:
        named: the tools that the call is narrowed to, or None.
        denied: tools that a rule forbids whatever they are used for.
        allowed: tools that a rule allows whatever they are used for.
        patterns: `(verb, tool, pattern)` with the verb `allow` or `deny`; denials are last, for they win.
        has_asks: a rule that asks was made one that denies.
    """

    named: frozenset[str] | None = None
    denied: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    patterns: tuple[tuple[str, str, str], ...] = ()
    has_asks: bool = False

    @staticmethod
    def of(tools: tuple[str, ...] | None, rules: PermissionSettings) -> Fence:
        named = None if tools is None else frozenset(canonical(name) for name in tools)
        allowed, allow_patterns = _read(rules.allow)
        denied, deny_patterns = _read((*rules.ask, *rules.deny))
        patterns = [("allow", *pattern) for pattern in allow_patterns]
        patterns += [("deny", *pattern) for pattern in deny_patterns]
        return Fence(named, denied, allowed - denied, tuple(patterns), bool(rules.ask))

    def may(self, tool: str) -> bool:
        """Whether neither the call nor a rule rules the tool out."""
        return tool not in self.denied and (self.named is None or tool in self.named)

    def may_any(self, tools: tuple[str, ...]) -> bool:
        return any(self.may(tool) for tool in tools)

    @property
    def has_rules(self) -> bool:
        return bool(self.denied or self.allowed or self.patterns)

    def denials(self) -> list[str]:
        """The rules that deny a part of what a tool does, as they were written."""
        return [f"{tool}({pattern})" for verb, tool, pattern in self.patterns if verb == "deny"]


def _read(rules: tuple[str, ...]) -> tuple[frozenset[str], list[tuple[str, str]]]:
    """Tools that are meant whole, and tools with a pattern. `*` stands for any part of a tool's name."""
    whole: set[str] = set()
    patterns: list[tuple[str, str]] = []
    for rule in rules:
        found = _RULE.match(rule.strip())
        if found is None:
            continue  # `engine/agents/policy.py` refuses it with a message
        name, pattern = canonical(found[1]), found[2]
        tools = [tool for tool in TOOLS if fnmatchcase(tool, name)] or [name]
        if pattern is None or pattern in ("*", "**"):
            whole.update(tools)
        else:
            patterns += [(tool, pattern) for tool in tools]
    return frozenset(whole), patterns
