"""What subagents may do: rules of the user, by tool and by what the tool is used on.

A rule is `TOOL` or `TOOL(PATTERN)`; deny beats ask beats allow, and what no rule names has a default. Pure: the same
question has the same answer, and nothing is looked up. How patterns match is in `engine/agents/matching.py`.

An allow rule errs on the side of asking, a deny rule on the side of denying. Neither is a fence: a command may do by
other words what a rule forbids. The fence is `engine/agents/confinement.py`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Awaitable, Callable, Iterable
from copy import copy
from dataclasses import dataclass
from enum import StrEnum

from engine.agents.matching import matches_command, matches_name, matches_path, matches_url, plain_parts
from engine.errors import UsageError
from engine.settings import PermissionSettings

TOOLS = ("read_file", "list_files", "grep", "edit_file", "write_file", "run_command", "fetch_url")
MCP = "mcp"
"""All tools of MCP servers; the pattern of a rule is over `SERVER.TOOL`."""

_ALIASES = {
    "read": "read_file",
    "view": "read_file",
    "list": "list_files",
    "ls": "list_files",
    "glob": "list_files",
    "search": "grep",
    "edit": "edit_file",
    "multiedit": "edit_file",
    "write": "write_file",
    "run": "run_command",
    "bash": "run_command",
    "shell": "run_command",
    "fetch": "fetch_url",
    "webfetch": "fetch_url",
}
"""What other programs call them, in lower case."""

_RULE = re.compile(r"\s*([A-Za-z_][\w.*-]*)\s*(?:\((.*)\))?\s*", re.DOTALL)
_MCP_NAME = re.compile(r"mcp(?:__|\.)([\w-]+?)(?:(?:__|\.)([\w.*-]+))?", re.ASCII)


class Verdict(StrEnum):
    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Ruling:
    """`rule` is the one that decided, as the user wrote it, or `default`."""

    verdict: Verdict
    rule: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A parsed rule. `pattern` is None when it is about every use of the tool."""

    text: str
    tool: str
    pattern: str | None

    def covers(self, tool: str, argument: str) -> bool:
        """Whether all of the use is what the rule names: for rules that allow."""
        return self._fits(tool, argument, is_strict=True)

    def touches(self, tool: str, argument: str) -> bool:
        """Whether any part of the use may be what the rule names: for rules that deny or ask."""
        return self._fits(tool, argument, is_strict=False)

    def _fits(self, tool: str, argument: str, *, is_strict: bool) -> bool:
        if tool != self.tool:
            return False
        if self.pattern is None:
            return True
        if tool == "run_command":
            return matches_command(self.pattern, argument, is_strict=is_strict)
        if tool == "fetch_url":
            return matches_url(self.pattern, argument)
        if tool == MCP:
            return matches_name(self.pattern, argument)
        return matches_path(self.pattern, argument, is_strict=is_strict)


def canonical_tool(name: str) -> str:
    """Our name of a tool that goes by ours or by another program's: `Read` → `read_file`, `mcp__git__log` →
    `mcp.git.log`. A pattern stays: `Bash(git:*)` → `run_command(git:*)`.

    Raises:
        UsageError: `unknown_tool`, with the nearest names.
    """
    found = _RULE.fullmatch(name)
    if found is not None:
        tool, pattern = found[1], found[2]
        canonical = _canonical(tool)
        if canonical is not None:
            return canonical if pattern is None or pattern in ("", "*") else f"{canonical}({pattern})"
    word = (found[1] if found is not None else name).lower()
    close: list[str] = difflib.get_close_matches(word, [*TOOLS, *_ALIASES, MCP], n=2)
    said = f"Did you mean {' or '.join(dict.fromkeys(_ALIASES.get(one, one) for one in close))}? " if close else ""
    raise UsageError(
        f"there is no tool {name!r}",
        code="unknown_tool",
        hint=f"{said}Tools are {', '.join(TOOLS)}, and mcp.SERVER.TOOL.",
    )


def _canonical(name: str) -> str | None:
    lower = name.lower()
    if lower in TOOLS or lower == MCP:
        return lower
    if lower in _ALIASES:
        return _ALIASES[lower]
    found = _MCP_NAME.fullmatch(name)
    return f"{MCP}.{found[1]}.{found[2] or '*'}" if found else None


def parse_rule(text: str) -> Rule:
    """Raises `UsageError` (`bad_rule`) that names the rule and what is wrong with it."""
    found = _RULE.fullmatch(text)
    if found is None:
        raise _bad_rule(text, "expected TOOL or TOOL(PATTERN)")
    try:
        tool = canonical_tool(found[1])
    except UsageError as error:
        raise _bad_rule(text, f"{error.message}. {error.hint}") from None
    pattern = found[2]
    if pattern is not None and not pattern.strip():
        raise _bad_rule(text, "the pattern is empty; leave out the parentheses to mean every use")
    if tool.startswith(f"{MCP}."):
        if pattern is not None:
            raise _bad_rule(text, "tools of MCP servers take no pattern of their arguments")
        tool, pattern = MCP, tool.removeprefix(f"{MCP}.")
    return Rule(text, tool, None if pattern in ("*", "**") else pattern)


def _bad_rule(text: str, problem: str) -> UsageError:
    return UsageError(
        f"permission rule {text!r}: {problem}",
        code="bad_rule",
        hint="Correct it below [permissions] in config.toml; docs/permissions.md has the rules.",
        rule=text,
    )


def check_rules(settings: PermissionSettings) -> None:
    """Raises `UsageError` (`bad_rule`) for the first rule that cannot be used."""
    for text in (*settings.deny, *settings.ask, *settings.allow):
        parse_rule(text)


class Policy:
    """The rules of a project. Ask it with a canonical tool name and the tool's main argument: a path relative to the
    workspace, a command line, a URL, nothing for `mcp.SERVER.TOOL`."""

    def __init__(
        self, *, deny: Iterable[str] = (), ask: Iterable[str] = (), allow: Iterable[str] = (), is_confined: bool
    ) -> None:
        self._deny = tuple(map(parse_rule, deny))
        self._ask = tuple(map(parse_rule, ask))
        self._allow = tuple(map(parse_rule, allow))
        self._is_confined = is_confined

    @classmethod
    def from_settings(cls, settings: PermissionSettings, *, is_confined: bool) -> Policy:
        """Args: is_confined: whether commands run in limits of the file system. Raises `UsageError` (`bad_rule`)."""
        return cls(deny=settings.deny, ask=settings.ask, allow=settings.allow, is_confined=is_confined)

    def unconfined(self) -> Policy:
        """The same rules for commands that have no limits of the file system."""
        other = copy(self)
        other._is_confined = False
        return other

    def rule(self, tool: str, argument: str) -> Ruling:
        tool, argument = _of_mcp(tool, argument)
        for verdict, rules in ((Verdict.DENY, self._deny), (Verdict.ASK, self._ask)):
            for rule in rules:
                if rule.touches(tool, argument):
                    return Ruling(verdict, rule.text)
        for rule in self._allow:
            if rule.covers(tool, argument):
                return Ruling(Verdict.ALLOW, rule.text)
        if together := self._allowed_together(tool, argument):
            return Ruling(Verdict.ALLOW, together)
        return Ruling(self._default(tool), "default")

    def _allowed_together(self, tool: str, argument: str) -> str | None:
        """The rules that allow a line of several commands, each of them one."""
        parts = plain_parts(argument) if tool == "run_command" else None
        used = [next((rule.text for rule in self._allow if rule.covers(tool, part)), None) for part in parts or ()]
        return ", ".join(dict.fromkeys(rule for rule in used if rule)) if used and None not in used else None

    def names(self, tool: str, argument: str) -> bool:
        """Whether it is allowed by a rule that has this argument in mind, not every use of the tool."""
        ruling = self.rule(tool, argument)
        return ruling.verdict is Verdict.ALLOW and any(
            rule.text == ruling.rule and rule.pattern is not None for rule in self._allow
        )

    def _default(self, tool: str) -> Verdict:
        if tool in ("fetch_url", MCP) or tool not in TOOLS:
            return Verdict.ASK
        if tool == "run_command" and not self._is_confined:
            return Verdict.ASK
        return Verdict.ALLOW


def _of_mcp(tool: str, argument: str) -> tuple[str, str]:
    return (MCP, tool.removeprefix(f"{MCP}.")) if tool.startswith(f"{MCP}.") else (tool, argument)


Approve = Callable[[str, str], Awaitable[bool]]
"""Asks a person: the tool, its main argument."""


class Gate:
    """The policy of one call, and the person who may be asked. Without one, what would be asked is denied."""

    def __init__(self, policy: Policy, approve: Approve | None) -> None:
        self.policy = policy
        self._approve = approve

    def unconfined(self) -> Gate:
        """The same for a program of its own: the limits that our tool has for commands are not its."""
        return Gate(self.policy.unconfined(), self._approve)

    async def admit(self, tool: str, argument: str) -> str | None:
        """None: go ahead. Otherwise why not, in words for a model."""
        ruling = self.policy.rule(tool, argument)
        if ruling.verdict is Verdict.ALLOW:
            return None
        shown = _shown(tool, argument)
        if ruling.verdict is Verdict.DENY:
            return f"{shown} is denied by the permission rule {ruling.rule!r}. Do without it."
        if self._approve is None:
            return (
                f"{shown} needs a person's permission, and this run has no terminal; "
                f"allow it with [permissions] allow = [{_rule_for(tool, argument)}]. Do without it."
            )
        if await self._approve(tool, argument):
            return None
        return f"{shown} was not permitted: a person was asked and said no. Do without it."


def _shown(tool: str, argument: str) -> str:
    short = argument if len(argument) <= 200 else f"{argument[:200]}…"
    return f"{tool}({short})" if argument else tool


def _rule_for(tool: str, argument: str) -> str:
    """A rule that would allow it, as TOML has it; without the argument where that is long or has signs of patterns."""
    is_plain = argument and len(argument) <= 80 and not re.search(r'[*?\[\]{}"\\\n]', argument)
    return f'"{tool}({argument})"' if is_plain and not tool.startswith(f"{MCP}.") else f'"{tool}"'
