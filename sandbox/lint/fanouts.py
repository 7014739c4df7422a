"""Fan-outs: where one function is called for many items, and asks an agent each time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from sandbox.lint.calls import members, options_of
from sandbox.lint.nodes import arguments, bare, field
from sandbox.lint.regions import is_inside
from sandbox.lint.syntax import Syntax

if TYPE_CHECKING:
    from tree_sitter import Node

_FUNCTIONS = ("arrow_function", "function_expression")


class FanOut(NamedTuple):
    """A callback that a fan-out calls for each item.

    Attributes:
        whole: the call of `parallel` or `pipeline`.
        items: what is fanned out over: the receiver of `.map`, the first argument of `pipeline`, or `Array.from(…)`.
        callback: gets an item.
        stage: of `pipeline`, from 0; for `parallel` always 0.
        agent: the call of `agent` that the callback is, when it is nothing else.
    """

    whole: Node
    items: Node
    callback: Node
    stage: int
    agent: Node | None


def fan_outs(syntax: Syntax) -> Iterator[FanOut]:
    for call in syntax.calls("parallel"):
        mapped = mapping(syntax, bare(given[0])) if (given := arguments(call)) else None
        if mapped is not None:
            yield FanOut(call, *mapped, 0, _asked(syntax, mapped[1], depth=2))
    for call in syntax.calls("pipeline"):
        given = arguments(call)
        for number, node in enumerate(given[1:]):
            stage = bare(node)
            if stage.type in _FUNCTIONS:
                yield FanOut(call, bare(given[0]), stage, number, _asked(syntax, stage, depth=1))


def mapping(syntax: Syntax, node: Node) -> tuple[Node, Node] | None:
    """(items, callback) of `items.map(callback)` and of `Array.from(items, callback)`."""
    if node.type != "call_expression":
        return None
    callee, given = field(node, "function"), arguments(node)
    if callee is None or callee.type != "member_expression" or not given:
        return None
    owner, method = field(callee, "object"), field(callee, "property")
    if owner is None or method is None:
        return None
    name = syntax.text_of(method)
    if name == "map" and bare(given[0]).type in _FUNCTIONS:
        return owner, bare(given[0])
    if name == "from" and syntax.text_of(owner) == "Array" and len(given) == 2 and bare(given[1]).type in _FUNCTIONS:
        return node, bare(given[1])
    return None


def parameters(callback: Node) -> list[Node]:
    single = field(callback, "parameter")
    if single is not None:
        return [single]
    listed = field(callback, "parameters")
    return [node for node in listed.named_children if node.type != "comment"] if listed is not None else []


def returned(function: Node) -> Node | None:
    """What a function gives when that is all that it does: `x => VALUE`, `x => { return VALUE }`."""
    body = field(function, "body")
    if body is None:
        return None
    if body.type != "statement_block":
        return bare(body)
    statements = [node for node in body.named_children if node.type != "comment"]
    if len(statements) == 1 and statements[0].type == "return_statement" and statements[0].named_child_count == 1:
        return bare(statements[0].named_children[0])
    return None


def called_agent(syntax: Syntax, node: Node | None) -> Node | None:
    """`agent(…)` or `await agent(…)` → the call."""
    if node is not None and node.type == "await_expression" and node.named_child_count:
        node = bare(node.named_children[-1])
    if node is None or node.type != "call_expression":
        return None
    callee = field(node, "function")
    is_agent = callee is not None and callee.type == "identifier" and syntax.text_of(callee) == "agent"
    return node if is_agent and callee is not None and syntax.is_global(callee) else None


def may_be_null(syntax: Syntax, call: Node) -> bool:
    """Whether `agent(…)` certainly gives the bare value: with `full` it gives an object always."""
    given = arguments(call)
    if len(given) < 2:
        return len(given) == 1 and given[0].type != "spread_element"
    options = options_of(call, 1)
    if options is None or any(child.type == "spread_element" for child in options.named_children):
        return False
    return "full" not in {name for name, _, _ in members(syntax, options)}


def beside_the_label(syntax: Syntax, call: Node, node: Node) -> bool:
    """Whether `node` lies in a part of `agent(…)` that changes the answer: not in its label or phase."""
    options = options_of(call, 1)
    for name, _, value in members(syntax, options) if options is not None else ():
        if name in ("label", "phase") and value is not None and is_inside(node, value):
            return False
    return True


def _asked(syntax: Syntax, callback: Node, *, depth: int) -> Node | None:
    """The agent that a callback asks, through as many functions: `item => () => agent(…)`."""
    node: Node | None = callback
    for _ in range(depth):
        if node is None or node.type not in _FUNCTIONS:
            return None
        node = returned(node)
    return called_agent(syntax, node)
