"""What a script uses that other runtimes of the dialect refuse or do not have (S12)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sandbox.lint.calls import members, options_of
from sandbox.lint.finding import Finding
from sandbox.lint.meta import first_line_end
from sandbox.lint.nodes import arguments, field
from sandbox.lint.syntax import Syntax
from sandbox.lint.words import JOIN_OPTIONS, MORE_AGENT_OPTIONS

if TYPE_CHECKING:
    from tree_sitter import Node

_GLOBALS = {
    **dict.fromkeys(("sleep", "setTimeout", "clearTimeout"), "S27"),
    **dict.fromkeys(("race", "dag"), "S35"),
    "check": "S60",
    "ask": "S61",
    **dict.fromkeys(("readFile", "writeFile", "glob", "exists"), "S62"),
    "mergeWorktree": "S64",
    **dict.fromkeys(("vote", "judgePanel", "bestOf", "loopUntilDry", "retry", "tournament", "mapReduce"), "S72"),
    **dict.fromkeys(
        ("URL", "URLSearchParams", "TextEncoder", "TextDecoder", "structuredClone", "queueMicrotask", "console"), "S09"
    ),
}
_STATICS = {
    "Math": {"random": "S10"},
    "Date": {"now": "S11"},
    "Object": {"hasOwn": "S09", "groupBy": "S09"},
    "Map": {"groupBy": "S09"},
    "Promise": {"withResolvers": "S09"},
    "budget": {"costUsd": "S43", "agents": "S43", "minutes": "S43"},
}
_METHODS = frozenset(
    {
        *("at", "findLast", "findLastIndex", "toSorted", "toReversed", "toSpliced", "with"),
        *("union", "intersection", "difference", "symmetricDifference", "isSubsetOf", "isSupersetOf", "isDisjointFrom"),
    }
)
"""Newer than ES2021; `flat`, `fromEntries`, `replaceAll` and the like are everywhere."""
_META = {"args": "S05", "limits": "S05", "permissions": "S05", "dialect": "S16"}
_INSTEAD = {
    "S10": "Other runtimes refuse it. Vary by the index of the item instead.",
    "S11": "Other runtimes refuse it. Take the time in through args instead.",
    "S05": "Other runtimes ignore it.",
}


def find_unportable(syntax: Syntax) -> Iterator[Finding]:
    for name, rule in _GLOBALS.items():
        for use in syntax.globals.get(name, ()):
            yield _warn(syntax, use, rule, name)
    yield from _statics(syntax)
    yield from _clock(syntax)
    yield from _methods(syntax)
    yield from _options(syntax)
    yield from _causes(syntax)
    if syntax.literal is not None:
        for (key, *rest), (start, end) in syntax.literal.keys.items():
            if not rest and key in _META:
                yield _found(start, end, _META[str(key)], f"meta.{key}")


def _statics(syntax: Syntax) -> Iterator[Finding]:
    for owner, names in _STATICS.items():
        for use in syntax.globals.get(owner, ()):
            member = use.parent
            if member is None or member.type != "member_expression" or field(member, "object") != use:
                continue
            method = field(member, "property")
            name = syntax.text_of(method) if method is not None else ""
            if name in names:
                yield _warn(syntax, member, names[name], f"{owner}.{name}")


def _clock(syntax: Syntax) -> Iterator[Finding]:
    for use in syntax.globals.get("Date", ()):
        made = use.parent
        if made is None:
            continue
        if made.type == "new_expression" and field(made, "constructor") == use and not arguments(made):
            yield _warn(syntax, made, "S11", "new Date() without arguments")
        elif made.type == "call_expression" and field(made, "function") == use:
            yield _warn(syntax, made, "S11", "Date()")


def _methods(syntax: Syntax) -> Iterator[Finding]:
    for call in syntax.all("call_expression"):
        callee = field(call, "function")
        method = field(callee, "property") if callee is not None and callee.type == "member_expression" else None
        if method is not None and syntax.text_of(method) in _METHODS:
            yield _warn(syntax, method, "S09", f".{syntax.text_of(method)}()")


def _options(syntax: Syntax) -> Iterator[Finding]:
    for call in syntax.calls("agent"):
        options = options_of(call, 1)
        for name, key, _ in members(syntax, options) if options is not None else ():
            if name in MORE_AGENT_OPTIONS:
                yield _warn(syntax, key, MORE_AGENT_OPTIONS[name], f"the option `{name}` of agent()")
    for primitive in ("parallel", "pipeline"):
        for call in syntax.calls(primitive):
            last = len(arguments(call)) - 1
            options = options_of(call, last) if last > 0 else None
            for name, key, _ in members(syntax, options) if options is not None else ():
                if name in JOIN_OPTIONS:
                    yield _warn(syntax, key, "S34", f"the option `{name}` of {primitive}()")


def _causes(syntax: Syntax) -> Iterator[Finding]:
    for name in ("Error", "TypeError", "RangeError"):
        for use in syntax.globals.get(name, ()):
            made = use.parent
            if made is None or made.type not in ("new_expression", "call_expression"):
                continue
            options = options_of(made, 1)
            for key_name, key, _ in members(syntax, options) if options is not None else ():
                if key_name == "cause":
                    yield _warn(syntax, key, "S09", "`cause` of an error")


def _warn(syntax: Syntax, node: Node, rule: str, what: str) -> Finding:
    return _found(node.start_byte, first_line_end(syntax, node), rule, what)


def _found(start: int, end: int, rule: str, what: str) -> Finding:
    return Finding(
        "warning",
        "not_portable",
        rule,
        start,
        end,
        f"Not portable: {what} is not part of what all runtimes of the dialect have.",
        _INSTEAD.get(rule, "Other runtimes do not have it; leave it out if the script is to run there too."),
    )
