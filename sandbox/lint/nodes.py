"""What one node of a syntax tree says by itself, without the names around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node


def field(node: Node, name: str) -> Node | None:
    return node.child_by_field_name(name)


def text_of(node: Node, text: bytes) -> str:
    """The node's own part of the script's `text`."""
    return text[node.start_byte : node.end_byte].decode("utf-8", "replace")


def arguments(call: Node) -> list[Node]:
    """The arguments of a call, without comments; empty for a tagged template."""
    found = field(call, "arguments")
    if found is None or found.type != "arguments":
        return []
    return [child for child in found.named_children if child.type not in ("comment", "html_comment")]


def bare(node: Node) -> Node:
    """The node inside any parentheses around it."""
    while node.type == "parenthesized_expression" and node.named_child_count:
        inner = [child for child in node.named_children if child.type != "comment"]
        if len(inner) != 1:
            break
        node = inner[0]
    return node
