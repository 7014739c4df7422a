"""Answers that are used as if nobody could fail to give them (S23).

Only what is certain is told: one look at the answer anywhere is taken for care.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sandbox.lint.fanouts import fan_outs, may_be_null, parameters
from sandbox.lint.finding import Finding
from sandbox.lint.meta import first_line_end
from sandbox.lint.nodes import arguments, bare, field
from sandbox.lint.regions import Regions
from sandbox.lint.syntax import Syntax

if TYPE_CHECKING:
    from tree_sitter import Node

_EACH = ("map", "flatMap", "filter", "forEach", "some", "every", "find", "findIndex")
_ACCESS = ("member_expression", "subscript_expression")


def find_unhandled_nulls(syntax: Syntax) -> Iterator[Finding]:
    tries = Regions(syntax, "try_statement")
    for call in syntax.calls("agent"):
        if may_be_null(syntax, call) and not _is_caught(tries, call):
            yield from _of_answer(syntax, call)
    seen = set()
    for fan_out in fan_outs(syntax):
        given = arguments(fan_out.whole)
        is_last = fan_out.callback == bare(given[-1]) or len(given) == 1
        if fan_out.agent is None or not is_last or fan_out.whole.id in seen or _is_caught(tries, fan_out.whole):
            continue
        if may_be_null(syntax, fan_out.agent):
            seen.add(fan_out.whole.id)
            yield from _of_list(syntax, fan_out.whole)


def _is_caught(tries: Regions, node: Node) -> bool:
    return tries.innermost(node) is not None


def _of_answer(syntax: Syntax, call: Node) -> Iterator[Finding]:
    value = _awaited(call)
    if value is None or value.parent is None:
        return
    parent = value.parent
    if _is_access(parent, value):
        what = " ".join(syntax.text_of(parent).split())
        yield _finding(syntax, call, f"Write: {_short(what.replace(').', ')?.').replace(')[', ')?.['))}")
    elif parent.type == "variable_declarator" and (name := field(parent, "name")) is not None:
        if name.type in ("object_pattern", "array_pattern"):
            yield _finding(
                syntax,
                call,
                f"Write: const answer = await agent(…); if (answer === null) …; then {_short(syntax.text_of(name))}",
            )
        elif name.type == "identifier" and _is_trusted(syntax, syntax.uses_of(name)):
            shown = syntax.text_of(name)
            yield _finding(syntax, call, f"Look first: if ({shown} === null) return …, or write {shown}?.….")


def _of_list(syntax: Syntax, call: Node) -> Iterator[Finding]:
    value = _awaited(call)
    parent = value.parent if value is not None else None
    if value is None or parent is None:
        return
    if parent.type != "variable_declarator":
        if _is_mapped_blindly(syntax, value):
            yield _finding(syntax, call, "Write: (await …).filter(Boolean), and log how many are missing.", "A slot")
        return
    name = field(parent, "name")
    if name is None or name.type != "identifier":
        return
    uses = syntax.uses_of(name)
    shown = syntax.text_of(name)
    # `results.length` and the like say nothing; every other use has to be blind.
    telling = [use for use in uses if not _is_length(syntax, use)]
    if telling and all(_is_mapped_blindly(syntax, use) for use in telling):
        yield _finding(
            syntax, call, f"Write: const found = {shown}.filter(Boolean), and log how many are missing.", "A slot"
        )


def _awaited(call: Node) -> Node | None:
    """`await call`, with the parentheses around it."""
    node = call.parent
    if node is None or node.type != "await_expression":
        return None
    while node.parent is not None and node.parent.type == "parenthesized_expression":
        outer = node.parent.parent
        if outer is not None and outer.type in ("if_statement", "while_statement", "do_statement", "switch_statement"):
            return None
        node = node.parent
    return node


def _is_access(parent: Node, value: Node) -> bool:
    return parent.type in _ACCESS and field(parent, "object") == value and field(parent, "optional_chain") is None


def _is_trusted(syntax: Syntax, uses: list[Node]) -> bool:
    """Whether a variable is taken apart, and never looked at in any other way."""
    is_taken = False
    for use in uses:
        parent = use.parent
        if parent is None:
            return False
        outer = parent.parent
        is_spread = parent.type == "spread_element" and outer is not None and outer.type != "object"
        is_walked = parent.type == "for_in_statement" and field(parent, "right") == use
        if _is_access(parent, use) or is_walked or is_spread:
            is_taken = True
        elif parent.type != "template_substitution":
            return False
    return is_taken


def _is_length(syntax: Syntax, use: Node) -> bool:
    parent = use.parent
    name = field(parent, "property") if parent is not None and _is_access(parent, use) else None
    return name is not None and syntax.text_of(name) == "length"


def _is_mapped_blindly(syntax: Syntax, value: Node) -> bool:
    """`value.map(x => x.y)`, `for (const x of value) x.y`."""
    parent = value.parent
    if parent is None:
        return False
    if parent.type == "for_in_statement" and field(parent, "right") == value:
        left = field(parent, "left")
        return left is not None and _is_blind(syntax, left)
    call = parent.parent
    method = field(parent, "property") if _is_access(parent, value) else None
    if method is None or call is None or call.type != "call_expression" or syntax.text_of(method) not in _EACH:
        return False
    given = arguments(call)
    callback = bare(given[0]) if given else None
    taken = parameters(callback) if callback is not None and callback.type == "arrow_function" else []
    return bool(taken) and _is_blind(syntax, taken[0])


def _is_blind(syntax: Syntax, item: Node) -> bool:
    if item.type in ("object_pattern", "array_pattern"):
        return True
    return item.type == "identifier" and _is_trusted(syntax, syntax.uses_of(item))


def _finding(syntax: Syntax, call: Node, hint: str, what: str = "The answer") -> Finding:
    return Finding(
        "warning",
        "unhandled_null",
        "S23",
        call.start_byte,
        first_line_end(syntax, call),
        f"{what} is null when nobody answered, and it is taken apart without a look.",
        hint,
    )


def _short(text: str, most: int = 100) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
