"""Items that are left out without a word (S41)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from sandbox.lint.fanouts import fan_outs
from sandbox.lint.finding import Finding
from sandbox.lint.nodes import arguments, bare, field
from sandbox.lint.regions import Regions, inside
from sandbox.lint.syntax import FUNCTIONS, Syntax
from sandbox.lint.words import ASKING

if TYPE_CHECKING:
    from tree_sitter import Node

_MOST = 100
"""Slices that are looked at: each costs a look over its function."""


def find_silent_caps(syntax: Syntax) -> Iterator[Finding]:
    worked_on = {node.id for node in _worked_on(syntax)}
    if not worked_on:
        return
    functions = Regions(syntax, *FUNCTIONS)
    told = {_id(functions.innermost(call)) for call in syntax.calls("log")}
    sliced = ((call, source) for call in syntax.all("call_expression") if (source := _capped(syntax, call)) is not None)
    for call, source in islice(((call, source) for call, source in sliced if _feeds(syntax, call, worked_on)), _MOST):
        around = functions.innermost(call)
        if _id(around) not in told and not _is_counted(syntax, source, around):
            shown = source if len(source) <= 30 and "\n" not in source else "items"
            yield Finding(
                "warning",
                "silent_cap",
                "S41",
                call.start_byte,
                call.end_byte,
                "What is cut off here is left out, and nobody hears of it.",
                f"Say it: if ({shown}.length > most) log(`${{{shown}.length - most}} are left out (most: ${{most}})`)",
            )


def _worked_on(syntax: Syntax) -> Iterator[Node]:
    """Lists whose items each get an agent."""
    for fan_out in fan_outs(syntax):
        if fan_out.stage == 0:
            yield bare(fan_out.items)
    for call in syntax.calls("pipeline"):  # also with stages that are named functions
        if given := arguments(call):
            yield bare(given[0])
    asking = sorted(syntax.calls(*ASKING), key=lambda node: node.start_byte)
    for loop in syntax.all("for_in_statement"):
        listed, body = field(loop, "right"), field(loop, "body")
        if listed is not None and body is not None and inside(asking, body):
            yield bare(listed)


def _capped(syntax: Syntax, call: Node) -> str | None:
    """The text of what `.slice(0, n)` takes the beginning of, where n is a number or a name."""
    callee, given = field(call, "function"), arguments(call)
    if callee is None or callee.type != "member_expression" or len(given) != 2:
        return None
    owner, method = field(callee, "object"), field(callee, "property")
    if owner is None or method is None or syntax.text_of(method) != "slice" or syntax.text_of(given[0]) != "0":
        return None
    most = bare(given[1])
    if most.type not in ("number", "identifier", "member_expression") or syntax.text_of(most) in ("0", "1"):
        return None
    return None if ".length" in syntax.text_of(most) else syntax.text_of(owner)


def _feeds(syntax: Syntax, call: Node, worked_on: set[int]) -> bool:
    """Whether agents work on what is left: at once, or through one variable."""
    if call.id in worked_on:
        return True
    declared = call.parent
    if declared is None or declared.type != "variable_declarator":
        return False
    name = field(declared, "name")
    if name is None or name.type != "identifier":
        return False
    return any(use.id in worked_on for use in syntax.uses_of(name))


def _is_counted(syntax: Syntax, source: str, around: Node | None) -> bool:
    """Whether the same function looks at how many there were, or takes the rest as well."""
    if len(source) > 200:
        return True
    text = syntax.text_of(around if around is not None else syntax.root)
    name = re.escape(source)
    return re.search(rf"(?<![\w$.]){name}(\.length\b|\.slice\(\s*[^0\s])", text) is not None


def _id(function: Node | None) -> int:
    return function.id if function is not None else 0
