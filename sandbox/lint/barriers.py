"""A `parallel()` that waits for all, where the next step needs only its own item (S31)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sandbox.lint.fanouts import mapping, parameters
from sandbox.lint.finding import Finding
from sandbox.lint.meta import first_line_end
from sandbox.lint.nodes import arguments, bare, field
from sandbox.lint.regions import Regions
from sandbox.lint.syntax import FUNCTIONS, Syntax

if TYPE_CHECKING:
    from tree_sitter import Node

_BLOCKS = ("program", "statement_block", "switch_body")


def find_needless_barriers(syntax: Syntax) -> Iterator[Finding]:
    blocks = Regions(syntax, *_BLOCKS, *FUNCTIONS)
    seconds = {}
    for call in (*syntax.calls("parallel"), *syntax.calls("pipeline")):
        source = _source(syntax, call)
        if source is not None:
            seconds[source.id] = call
    for call in syntax.calls("parallel") if seconds else ():
        name = _holder(syntax, call)
        uses = syntax.uses_of(name) if name is not None else []
        if name is None or len(uses) != 1 or uses[0].id not in seconds:
            continue
        second = seconds[uses[0].id]
        if blocks.innermost(name) == blocks.innermost(second):
            yield _finding(syntax, call, syntax.text_of(name), second)


def _holder(syntax: Syntax, call: Node) -> Node | None:
    """`const NAME = await parallel(items.map(…))` → NAME."""
    given = arguments(call)
    if len(given) != 1 or mapping(syntax, bare(given[0])) is None:
        return None
    awaited = call.parent
    declared = awaited.parent if awaited is not None and awaited.type == "await_expression" else None
    if declared is None or declared.type != "variable_declarator":
        return None
    name = field(declared, "name")
    return name if name is not None and name.type == "identifier" else None


def _source(syntax: Syntax, call: Node) -> Node | None:
    """The variable that a fan-out goes over item by item: `parallel(NAME.map(…))`, `pipeline(NAME, …)`."""
    given = arguments(call)
    if not given:
        return None
    first = bare(given[0])
    if syntax.text_of(field(call, "function") or call) == "parallel":
        mapped = mapping(syntax, first)
        if mapped is None or len(parameters(mapped[1])) > 2:  # the third one is the whole list
            return None
        first = mapped[0]
    first = _unfiltered(syntax, bare(first))
    return first if first.type == "identifier" else None


def _unfiltered(syntax: Syntax, node: Node) -> Node:
    """Without `.filter(Boolean)`: a stage can do the same for its own item."""
    callee = field(node, "function") if node.type == "call_expression" else None
    method = field(callee, "property") if callee is not None and callee.type == "member_expression" else None
    if callee is None or method is None or syntax.text_of(method) != "filter":
        return node
    given = arguments(node)
    owner = field(callee, "object")
    is_plain = len(given) == 1 and syntax.text_of(given[0]) == "Boolean"
    return bare(owner) if is_plain and owner is not None else node


def _finding(syntax: Syntax, call: Node, name: str, second: Node) -> Finding:
    line = syntax.text.count(b"\n", 0, second.start_byte) + 1
    return Finding(
        "warning",
        "barrier_without_need",
        "S31",
        call.start_byte,
        first_line_end(syntax, call),
        f"Line {line} goes over `{name}` item by item, and has to wait here for the slowest of all.",
        "Let each go on by itself: await pipeline(items, (item) => agent(`… ${item}`), (found) => agent(`… ${found}`))",
    )
