"""Where `export const meta = {…}` is, and what it says (S02, S03). What its members mean is the host's business."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.lint.finding import Finding, Problem
from sandbox.lint.literal import Literal
from sandbox.lint.nodes import field
from sandbox.lint.syntax import Syntax

if TYPE_CHECKING:
    from tree_sitter import Node

EXAMPLE = "export const meta = { name: 'my-workflow', description: 'What it does, in one sentence.' };"
_BEFORE = ("hash_bang_line", "comment", "html_comment")


def read_meta(syntax: Syntax) -> Literal:
    """Returns the literal. Raises `Problem` when it is not there, not first, or not a literal."""
    statements = [child for child in syntax.root.named_children if child.type not in _BEFORE]
    if not statements:
        raise _problem(0, 0, "The script has no statements; it must start with its meta.")
    first = statements[0]
    declarator = _meta_of(syntax, first)
    if declarator is None:
        for statement in statements[1:]:
            if _meta_of(syntax, statement) is not None:
                raise _problem(
                    statement.start_byte,
                    first_line_end(syntax, statement),
                    "meta must be the first statement; only a `#!` line and comments may stand before it.",
                    "Move `export const meta = {…}` to the top.",
                )
        raise _problem(
            first.start_byte,
            first_line_end(syntax, first),
            "The first statement must be `export const meta = {…}`; this is something else.",
            f"Start the script with: {EXAMPLE}",
        )
    if first.type != "export_statement":
        raise _problem(
            first.start_byte,
            declarator.start_byte,
            "meta must be exported.",
            "Write: export const meta = {…}",
        )
    declaration = field(first, "declaration")
    assert declaration is not None
    keyword = declaration.child(0)
    if keyword is None or keyword.type != "const":
        raise _problem(
            declaration.start_byte, declarator.start_byte, "meta must be a `const`.", "Write: export const meta = {…}"
        )
    declarators = [child for child in declaration.named_children if child.type == "variable_declarator"]
    if len(declarators) > 1:
        other = declarators[1]
        raise _problem(
            other.start_byte,
            other.end_byte,
            "Nothing but meta may be declared in its statement.",
            "End the statement after meta and declare the other name in one of its own, without `export`.",
        )
    value = field(declarator, "value")
    if value is None or value.type != "object":
        where = value or declarator
        raise Problem(
            Finding(
                "error",
                "meta_not_literal",
                "S03",
                where.start_byte,
                where.end_byte,
                "meta must be an object literal.",
                f"Write: {EXAMPLE}",
            )
        )
    return Literal(syntax.text, value)


def meta_answer(literal: Literal) -> dict[str, Any]:
    """What the host gets: the value, and where each member and each key of it is."""
    return {
        "value": literal.value,
        "places": [[list(path), *place] for path, place in literal.places.items()],
        "keys": [[list(path), *place] for path, place in literal.keys.items()],
    }


def repeated_keys(syntax: Syntax, literal: Literal) -> list[Finding]:
    return [
        Finding(
            "warning",
            "meta_repeated_key",
            "S03",
            node.start_byte,
            node.end_byte,
            f"The key {syntax.text_of(node)} occurs twice in the same object; the last one counts.",
            "Remove one of them.",
        )
        for node in literal.repeated
    ]


def first_line_end(syntax: Syntax, node: Node) -> int:
    """The end of a node, or of its first line: an underline is for one line."""
    line_end = syntax.text.find(b"\n", node.start_byte, node.end_byte)
    return node.end_byte if line_end < 0 else line_end


def _meta_of(syntax: Syntax, statement: Node) -> Node | None:
    """The declarator of `meta`, if this statement declares it, exported or not."""
    declaration = field(statement, "declaration") if statement.type == "export_statement" else statement
    if declaration is None or declaration.type not in ("lexical_declaration", "variable_declaration"):
        return None
    for child in declaration.named_children:
        name = field(child, "name") if child.type == "variable_declarator" else None
        if name is not None and syntax.text_of(name) == "meta":
            return child
    return None


def _problem(start: int, end: int, message: str, hint: str = f"Write: {EXAMPLE}") -> Problem:
    return Problem(Finding("error", "meta_missing", "S02", start, end, message, hint))
