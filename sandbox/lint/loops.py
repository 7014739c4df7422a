"""Loops around agents that only an agent's answer can end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from sandbox.lint.finding import Finding
from sandbox.lint.meta import first_line_end
from sandbox.lint.nodes import bare, field
from sandbox.lint.regions import inside
from sandbox.lint.syntax import Syntax
from sandbox.lint.words import ASKING

if TYPE_CHECKING:
    from tree_sitter import Node

_COMPARING = frozenset({"<", ">", "<=", ">=", "==", "===", "!=", "!==", "%"})
_USES_UP = re.compile(
    r"\.(shift|pop|next|splice|delete|now)\s*\(|\bbudget\b|\bask\s*\(|\.(length|size)\s*(>|>=|===)\s*[A-Z_a-z1-9]"
)
"""What a loop may be bounded by without a counter: it takes items off a list, time, the budget, a person, a size."""
_ENOUGH = re.compile(r"^!?\(?\s*[\w.]+\.(length|size)\s*<=?\s*[\w.]+\s*\)?$")
"""A condition that ends a loop once enough was found, and never when nothing is."""
_PLAIN = re.compile(r"^[\s()!&|]*(true|1|[A-Za-z_$][\w$]*(\??\.[A-Za-z_$][\w$]*)*)[\s()]*"
                    r"((&&|\|\||===|!==|==|!=)[\s()!]*(true|false|null|undefined|'[^']*'|\"[^\"]*\""
                    r"|[A-Za-z_$][\w$]*(\??\.[A-Za-z_$][\w$]*)*)[\s()]*)*$")  # fmt: skip
"""Names, properties and words only: no call, no arithmetic."""
_COUNTED = re.compile(r"^([A-Za-z_$][\w$]*)\s*<=?\s*[\w$.]+$")
_MOST_OF_A_CONDITION = 300
_MOST = 300
"""Loops that are looked at: each costs a look over its text."""


def find_unbounded_loops(syntax: Syntax) -> Iterator[Finding]:
    asking = sorted((*syntax.calls(*ASKING), *_indirectly(syntax)), key=lambda node: node.start_byte)
    if not asking:
        return
    counted = _Counters(syntax)
    for loop in islice(syntax.all("while_statement", "do_statement", "for_statement"), _MOST):
        if inside(asking, loop) and _is_endless(syntax, loop, counted) and not counted.bound(loop):
            yield Finding(
                "warning",
                "unbounded_loop",
                "S46",
                loop.start_byte,
                first_line_end(syntax, loop),
                "Nothing but an agent's answer ends this loop, and an agent may never give that answer.",
                "Count the rounds: for (let round = 1; round <= 5; round++) { …; if (answer?.done) break }",
            )


def _indirectly(syntax: Syntax) -> Iterator[Node]:
    """Calls of the script's own functions that ask agents."""
    direct = sorted(syntax.calls(*ASKING), key=lambda node: node.start_byte)
    for function in syntax.all("function_declaration"):
        name = field(function, "name")
        if name is None or not inside(direct, function):
            continue
        for use in syntax.uses_of(name):
            call = use.parent
            if call is not None and call.type == "call_expression" and field(call, "function") == use:
                yield call


def _is_endless(syntax: Syntax, loop: Node, counted: _Counters) -> bool:
    condition = field(loop, "condition")
    if loop.type == "for_statement":
        if condition is not None and condition.type != "empty_statement":
            return False
    elif condition is None or not (
        _is_an_answer(syntax, bare(condition), loop) or counted.starts_over(loop, bare(condition))
    ):
        return False
    return _USES_UP.search(syntax.text_of(loop)) is None


def _is_an_answer(syntax: Syntax, condition: Node, loop: Node) -> bool:
    """Whether a condition is always true, or of the kind that what an agent says decides."""
    text = syntax.text_of(condition)
    if len(text) > _MOST_OF_A_CONDITION:
        return False
    if text in ("true", "1") or _ENOUGH.match(text):
        return True
    if not _PLAIN.match(text) or re.search(r"[\w$]\s*\(", text):
        return False
    # What the loop itself steps along (`node = node.next`) has an end.
    body = syntax.text_of(loop)
    names = re.findall(r"(?<![.\w$'\"])[A-Za-z_$][\w$]*", text)
    return not any(re.search(rf"(?<![.\w$]){re.escape(name)}\s*=\s*{re.escape(name)}\b", body) for name in names)


def _is_sum(node: Node) -> bool:
    operator = field(node, "operator") if node.type == "binary_expression" else None
    return operator is not None and operator.type in ("+", "-", "*")


class _Counters:
    """Variables that are counted up or down, where that is, and where they are compared."""

    def __init__(self, syntax: Syntax) -> None:
        self._syntax = syntax
        self._steps: list[Node] = []
        for node in syntax.all("update_expression"):
            if (name := field(node, "argument")) is not None and name.type == "identifier":
                self._steps.append(name)
        for node in syntax.all("augmented_assignment_expression"):
            if (name := field(node, "left")) is not None and name.type == "identifier":
                self._steps.append(name)
        self._resets: list[Node] = []
        for node in syntax.all("assignment_expression"):
            left, right = field(node, "left"), field(node, "right")
            if left is None or right is None or left.type != "identifier":
                continue
            word = rf"\b{re.escape(syntax.text_of(left))}\b"
            is_step = _is_sum(right) and re.search(word, syntax.text_of(right)) is not None
            (self._steps if is_step else self._resets).append(left)
        for nodes in (self._steps, self._resets):
            nodes.sort(key=lambda node: node.start_byte)
        self._tests = sorted(self._compared(), key=lambda node: node.start_byte)

    def bound(self, loop: Node) -> bool:
        """Whether a counter that the loop does not set back is stepped and looked at in it."""
        text_of = self._syntax.text_of
        reset = {text_of(node) for node in inside(self._resets, loop)}
        stepped = {text_of(node) for node in inside(self._steps, loop)} - reset
        if not stepped:
            return False
        return any(
            re.search(rf"(?<![.\w$]){re.escape(name)}\b", text_of(test))
            for test in inside(self._tests, loop)
            for name in stepped
        )

    def starts_over(self, loop: Node, condition: Node) -> bool:
        """Whether a condition is that of a counter that the loop sets back: `dry < 2`, with `dry = 0` in it."""
        told = _COUNTED.match(self._syntax.text_of(condition))
        if told is None:
            return False
        names = [{self._syntax.text_of(node) for node in inside(nodes, loop)} for nodes in (self._steps, self._resets)]
        return all(told[1] in known for known in names)

    def _compared(self) -> Iterator[Node]:
        for node in self._syntax.all("binary_expression"):
            operator = field(node, "operator")
            if operator is not None and operator.type in _COMPARING and node.end_byte - node.start_byte < 400:
                yield node
        for node in self._syntax.all("while_statement", "do_statement"):
            condition = field(node, "condition")
            if condition is not None and condition.end_byte - condition.start_byte < 400:
                yield condition
