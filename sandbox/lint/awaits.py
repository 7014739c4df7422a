"""A promise that is used as if it were its result, or that nobody waits for (S15)."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING

from sandbox.lint.finding import Finding
from sandbox.lint.meta import first_line_end
from sandbox.lint.nodes import field
from sandbox.lint.syntax import Syntax
from sandbox.lint.words import PROMISING

if TYPE_CHECKING:
    from tree_sitter import Node

_CHAINING = ("then", "catch", "finally")
_TELLING = ("log", "String", "Number", "Boolean", "JSON.stringify", "JSON.parse", "console.log", "Object.keys")
"""Functions that want a value; a promise given to them is a slip."""
_LOGICAL = ("&&", "||", "??")


class _Fate(Enum):
    """What becomes of a promise."""

    TAKEN = "somebody may wait for it"
    DROPPED = "nobody waits for it"
    USED = "it is used as a value"


def find_missing_awaits(syntax: Syntax) -> Iterator[Finding]:
    for name in sorted(PROMISING):
        for call in syntax.calls(name):
            yield from _look(syntax, call, name)


def _look(syntax: Syntax, call: Node, name: str) -> Iterator[Finding]:
    fate, holder = _fate(syntax, call)
    if fate is _Fate.DROPPED:
        yield _warn(syntax, call, f"Nobody waits for this {name}(): it is cut off when the script ends.")
    elif fate is _Fate.USED:
        yield _warn(syntax, call, f"{name}() gives a promise, and it is used here as if it were its result.")
    elif holder is not None:
        uses = syntax.uses_of(holder)
        variable = syntax.text_of(holder)
        if not uses:
            yield _warn(syntax, call, f"Nobody waits for this {name}(): `{variable}` is never used.")
        elif all(_fate(syntax, use)[0] is _Fate.USED for use in uses):
            line = syntax.text.count(b"\n", 0, uses[0].start_byte) + 1
            yield _warn(
                syntax, call, f"{name}() gives a promise, and line {line} uses `{variable}` as if it were the result."
            )


def _fate(syntax: Syntax, node: Node) -> tuple[_Fate, Node | None]:
    """What happens to the value of `node`; with the identifier of the variable that takes it, if one does."""
    while True:
        parent = node.parent
        if parent is None:
            return _Fate.TAKEN, None
        kind = parent.type
        if kind == "parenthesized_expression":
            outer = parent.parent
            if outer is not None and outer.type in ("if_statement", "while_statement", "do_statement"):
                return _Fate.USED, None
            node = parent
        elif kind == "ternary_expression":
            if field(parent, "condition") == node:
                return _Fate.USED, None
            node = parent
        elif kind == "binary_expression":
            operator = field(parent, "operator")
            if operator is None or operator.type not in _LOGICAL or field(parent, "left") == node:
                return _Fate.USED, None
            node = parent
        elif kind == "member_expression":
            chained = _chained(syntax, parent)
            if chained is None:
                return _Fate.USED, None
            node = chained
        elif kind in ("subscript_expression", "template_substitution", "spread_element"):
            is_index = kind == "subscript_expression" and field(parent, "index") == node
            return _Fate.TAKEN if is_index else _Fate.USED, None
        elif kind == "unary_expression":
            operator = field(parent, "operator")
            is_void = operator is not None and operator.type == "void"
            return _Fate.TAKEN if is_void else _Fate.USED, None
        elif kind == "for_in_statement":
            is_async = any(child.type == "await" for child in parent.children[:2])
            is_source = field(parent, "right") == node
            return _Fate.USED if is_source and not is_async else _Fate.TAKEN, None
        elif kind == "arguments":
            return _Fate.USED if _wants_values(syntax, parent) else _Fate.TAKEN, None
        elif kind == "expression_statement":
            return _Fate.DROPPED, None
        elif kind == "variable_declarator":
            name = field(parent, "name")
            if name is None or name == node:
                return _Fate.TAKEN, None
            return (_Fate.TAKEN, name) if name.type == "identifier" else (_Fate.USED, None)
        elif kind == "assignment_expression":
            left = field(parent, "left")
            is_pattern = left is not None and left != node and left.type in ("object_pattern", "array_pattern")
            return _Fate.USED if is_pattern else _Fate.TAKEN, None
        else:
            return _Fate.TAKEN, None


def _chained(syntax: Syntax, member: Node) -> Node | None:
    """The call of `.then(…)` and the like, whose value is again a promise."""
    method = field(member, "property")
    call = member.parent
    if method is None or call is None or call.type != "call_expression" or syntax.text_of(method) not in _CHAINING:
        return None
    return call if field(call, "function") == member else None


def _wants_values(syntax: Syntax, given: Node) -> bool:
    call = given.parent
    callee = field(call, "function") if call is not None and call.type == "call_expression" else None
    return callee is not None and syntax.text_of(callee) in _TELLING


def _warn(syntax: Syntax, call: Node, message: str) -> Finding:
    end = first_line_end(syntax, call)
    whole = call  # with any `.then(…)` after it
    while whole.parent is not None and whole.parent.type == "member_expression":
        chained = _chained(syntax, whole.parent)
        if chained is None:
            break
        whole = chained
    line = " ".join(syntax.text[whole.start_byte : first_line_end(syntax, whole)].decode("utf-8", "replace").split())
    line = line if len(line) <= 80 else line[:77] + "..."
    is_alone = whole.parent is not None and whole.parent.type in ("variable_declarator", "expression_statement")
    hint = f"Write: await {line}" if is_alone else f"Write: (await {line})"
    return Finding("warning", "missing_await", "S15", call.start_byte, end, message, hint)
