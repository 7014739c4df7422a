"""What a script tells the people who watch it: its phases and its result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sandbox.lint.calls import members, options_of
from sandbox.lint.finding import Finding
from sandbox.lint.nodes import arguments, bare, field
from sandbox.lint.syntax import FUNCTIONS, Syntax
from sandbox.lint.words import ASKING, near

if TYPE_CHECKING:
    from tree_sitter import Node


def find_unknown_phases(syntax: Syntax) -> Iterator[Finding]:
    """Titles that `meta.phases` does not announce; they are shown in a group of their own (S40)."""
    announced = _announced(syntax)
    if not announced:
        return
    for node in _titles(syntax):
        title = syntax.text_of(node)[1:-1]
        if title and "\\" not in title and title not in announced:
            yield Finding(
                "warning",
                "unknown_phase",
                "S40",
                node.start_byte,
                node.end_byte,
                f"meta.phases announces no phase {title!r}; it gets a group of its own.{near(title, announced)}",
                f"Announced are: {', '.join(announced)}.",
            )


def find_result_not_returned(syntax: Syntax) -> Iterator[Finding]:
    """A script that asks agents and returns nothing: its result is null (S01)."""
    works = next((call for name in ASKING for call in syntax.calls(name)), None)
    if works is None or any(_is_of_the_script(node) for node in syntax.all("return_statement")):
        return
    end = len(syntax.text.rstrip())
    start = syntax.text.rfind(b"\n", 0, end) + 1
    yield Finding(
        "warning",
        "result_not_returned",
        "S01",
        start,
        end,
        "The script returns nothing, so the result of its run is null.",
        "End it with what the run is for, for example: return { summary };",
    )


def _announced(syntax: Syntax) -> tuple[str, ...]:
    phases = (syntax.meta or {}).get("phases")
    titles = [phase.get("title") for phase in phases if isinstance(phase, dict)] if isinstance(phases, list) else []
    return tuple(title for title in titles if isinstance(title, str) and title)


def _titles(syntax: Syntax) -> Iterator[Node]:
    for call in syntax.calls("phase"):
        given = arguments(call)
        if given and bare(given[0]).type == "string":
            yield bare(given[0])
    for call in syntax.calls("agent"):
        options = options_of(call, 1)
        for name, _, value in members(syntax, options) if options is not None else ():
            if name == "phase" and value is not None and value.type == "string":
                yield value


def _is_of_the_script(node: Node) -> bool:
    """Whether a `return` ends the script and not a function in it."""
    above = node.parent
    while above is not None:
        if above.type in FUNCTIONS:
            return False
        above = above.parent
    return field(node, "argument") is not None or node.named_child_count > 0
