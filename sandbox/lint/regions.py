"""Which node of some kinds a place of the text lies in, without climbing the tree again for each question.

`Node.parent` of tree-sitter walks down from the root each time; asked in a loop, that is what makes a rule quadratic.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

    from sandbox.lint.syntax import Syntax


class Regions:
    """The nodes of some kinds as nested ranges of the text."""

    def __init__(self, syntax: Syntax, *kinds: str) -> None:
        self.nodes = sorted(syntax.all(*kinds), key=lambda node: (node.start_byte, -node.end_byte))
        self._starts = [node.start_byte for node in self.nodes]
        self._ends = [node.end_byte for node in self.nodes]
        self._outer: list[int] = []
        open_: list[int] = []
        for number, start in enumerate(self._starts):
            while open_ and self._ends[open_[-1]] <= start:
                open_.pop()
            self._outer.append(open_[-1] if open_ else -1)
            open_.append(number)

    def around(self, node: Node) -> Iterator[Node]:
        """The nodes that `node` lies in, the innermost first; itself not among them."""
        start, end = node.start_byte, node.end_byte
        number = bisect_right(self._starts, start) - 1
        while number >= 0:
            is_itself = self._starts[number] == start and self._ends[number] == end
            if self._ends[number] >= end and not is_itself:
                yield self.nodes[number]
            number = self._outer[number]

    def innermost(self, node: Node) -> Node | None:
        return next(self.around(node), None)


def is_inside(node: Node, outer: Node) -> bool:
    return outer.start_byte <= node.start_byte and node.end_byte <= outer.end_byte


def inside(nodes: list[Node], outer: Node) -> list[Node]:
    """Those of `nodes`, which are in the order of the text, that lie in `outer`."""
    first = bisect_right(nodes, outer.start_byte - 1, key=lambda node: node.start_byte)
    last = bisect_right(nodes, outer.end_byte - 1, key=lambda node: node.start_byte)
    return [node for node in nodes[first:last] if node.end_byte <= outer.end_byte]
