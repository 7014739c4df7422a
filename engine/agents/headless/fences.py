"""What a coding agent may do, in words that each program's adapter turns into the program's own.

From two sides: the tools that the call or its agent definition names, and the policy (`engine/agents/policy.py`). A
headless program can ask nobody: what a rule asks about is denied, and so is what would be asked about by default,
unless the program itself limits it. Rules about MCP servers are about those of `[mcp]`, which these programs do not
get.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.agents.policy import MCP, canonical_tool, parse_rule
from engine.settings import PermissionSettings

READING = ("read_file", "list_files", "grep")
EDITING = ("edit_file", "write_file")


@dataclass(frozen=True, slots=True)
class Fence:
    """See the module.

    Attributes:
        named: the tools that the call is narrowed to, or None.
        denied: tools that a rule forbids whatever they are used for.
        allowed: tools that a rule allows whatever they are used for.
        unasked: tools that nothing forbids and that somebody would have to be asked about.
        patterns: `(verb, tool, pattern)` with the verb `allow` or `deny`; denials are last, for they win.
        has_asks: a rule that asks was made one that denies.
    """

    named: frozenset[str] | None = None
    denied: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    unasked: frozenset[str] = frozenset({"run_command", "fetch_url"})
    patterns: tuple[tuple[str, str, str], ...] = ()
    has_asks: bool = False

    @staticmethod
    def of(tools: tuple[str, ...] | None, rules: PermissionSettings) -> Fence:
        """Raises `UsageError`: `bad_rule`, `unknown_tool`."""
        named = None if tools is None else frozenset(canonical_tool(name) for name in tools)
        allowed, allow_patterns = _read(rules.allow)
        denied, deny_patterns = _read((*rules.ask, *rules.deny))
        patterns = [("allow", *pattern) for pattern in allow_patterns]
        patterns += [("deny", *pattern) for pattern in deny_patterns]
        return Fence(
            named=named,
            denied=denied,
            allowed=allowed - denied,
            unasked=frozenset({"run_command", "fetch_url"}) - allowed - denied,
            patterns=tuple(patterns),
            has_asks=bool(rules.ask),
        )

    def may(self, tool: str) -> bool:
        """Whether neither the call nor a rule rules the tool out."""
        return tool not in self.denied and (self.named is None or tool in self.named)

    def denials(self) -> list[str]:
        """The rules that deny a part of what a tool does, as they were written."""
        return [f"{tool}({pattern})" for verb, tool, pattern in self.patterns if verb == "deny"]


def _read(rules: tuple[str, ...]) -> tuple[frozenset[str], list[tuple[str, str]]]:
    """Tools that are meant whole, and tools with a pattern."""
    read = [rule for rule in map(parse_rule, rules) if rule.tool != MCP]
    whole = frozenset(rule.tool for rule in read if rule.pattern is None)
    return whole, [(rule.tool, rule.pattern) for rule in read if rule.pattern is not None]
