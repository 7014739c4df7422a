"""A syntax tree with its names resolved: what all rules look at.

One walk over the tree collects the nodes by their kind, and which names are declared where. So a rule can ask for the
uses of the *global* `agent` or `Math`, and a script that has a `sleep` of its own is not taken for one that uses ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sandbox.lint.nodes import field, text_of

if TYPE_CHECKING:
    from tree_sitter import Node

    from sandbox.lint.literal import Literal

FUNCTIONS = frozenset(
    {
        "function_declaration",
        "function_expression",
        "generator_function",
        "generator_function_declaration",
        "arrow_function",
        "method_definition",
    }
)
_SCOPES = FUNCTIONS | {
    "program",
    "statement_block",
    "for_statement",
    "for_in_statement",
    "catch_clause",
    "switch_body",
    "class_static_block",
}
_NAMES = frozenset({"identifier", "shorthand_property_identifier"})
_PATTERN_NAMES = frozenset({"identifier", "shorthand_property_identifier_pattern"})


class Scope:
    """Where names are declared. `uses` are the places that mean a name of this very scope."""

    __slots__ = ("is_function", "names", "outer", "uses")

    def __init__(self, outer: Scope | None, *, is_function: bool) -> None:
        self.outer = outer
        self.is_function = is_function
        self.names: set[str] = set()
        self.uses: dict[str, list[Node]] = {}

    def function(self) -> Scope:
        """The scope that a `var` in this one belongs to."""
        scope = self
        while not scope.is_function and scope.outer is not None:
            scope = scope.outer
        return scope


class Syntax:
    """The tree of one script.

    Attributes:
        globals: name → nodes that use it as a global, in the order of the text.
        nodes: kind → nodes of that kind, in the order of the text.
        broken: nodes that the parser could not make sense of, or had to invent.
        literal: what `meta` says, once it was read, or None when it could not be.
    """

    def __init__(self, root: Node, text: bytes) -> None:
        self.root = root
        self.text = text
        self.globals: dict[str, list[Node]] = {}
        self.nodes: dict[str, list[Node]] = {}
        self.broken: list[Node] = []
        self.literal: Literal | None = None
        self._scope_of: dict[int, Scope] = {}
        self._walk()

    @property
    def meta(self) -> dict[str, Any] | None:
        return self.literal.value if self.literal is not None else None

    def is_global(self, identifier: Node) -> bool:
        """Whether a name means a global here, and not something that the script declares."""
        scope = self._scope_of.get(identifier.id)
        name = self.text_of(identifier)
        while scope is not None:
            if name in scope.names:
                return False
            scope = scope.outer
        return True

    def text_of(self, node: Node) -> str:
        return text_of(node, self.text)

    def all(self, *kinds: str) -> Iterator[Node]:
        for kind in kinds:
            yield from self.nodes.get(kind, ())

    def calls(self, *names: str) -> Iterator[Node]:
        """The calls of global functions with these names."""
        for name in names:
            for use in self.globals.get(name, ()):
                call = use.parent
                if call is not None and call.type == "call_expression" and field(call, "function") == use:
                    yield call

    def uses_of(self, declaration: Node) -> list[Node]:
        """Where the variable that this identifier declares is used, without the declaration itself."""
        scope = self._scope_of.get(declaration.id)
        if scope is None:
            return []
        name = self.text_of(declaration)
        owner: Scope | None = scope
        while owner is not None and name not in owner.names:
            owner = owner.outer
        return [use for use in owner.uses.get(name, ()) if use != declaration] if owner else []

    def _walk(self) -> None:
        # A cursor, because `node.children` makes a list and a wrapper for each bracket and comma.
        cursor = self.root.walk()
        scope = Scope(None, is_function=True)
        scopes = [scope]
        used: list[tuple[Node, Scope]] = []
        going_down = True
        while True:
            if going_down:
                node = cursor.node
                assert node is not None
                if node.is_named:
                    kind = node.type
                    if kind in _SCOPES:
                        inner = Scope(scope, is_function=kind in FUNCTIONS or kind == "program")
                        self._declare(node, kind, scope, inner)
                        scope = inner
                        scopes.append(scope)
                    elif kind in _NAMES:
                        used.append((node, scope))
                        self._scope_of[node.id] = scope
                    else:
                        self._declare(node, kind, scope, scope)
                    self.nodes.setdefault(kind, []).append(node)
                if node.is_error or node.is_missing:
                    self.broken.append(node)
                if cursor.goto_first_child():
                    continue
            else:
                node = cursor.node
                assert node is not None
            if node.is_named and node.type in _SCOPES:
                scopes.pop()
                scope = scopes[-1]
            if cursor.goto_next_sibling():
                going_down = True
            elif cursor.goto_parent():
                going_down = False
            else:
                break
        for node, where in used:
            self._resolve(node, where)

    def _declare(self, node: Node, kind: str, outer: Scope, inner: Scope) -> None:
        if kind == "variable_declarator":
            parent = node.parent
            is_var = parent is not None and parent.type == "variable_declaration"
            self._bind(field(node, "name"), outer.function() if is_var else outer)
        elif kind in ("function_declaration", "generator_function_declaration"):
            self._bind(field(node, "name"), outer)
        elif kind in ("function_expression", "generator_function"):
            self._bind(field(node, "name"), inner)
        elif kind == "class_declaration":
            self._bind(field(node, "name"), outer)
        elif kind == "for_in_statement" and field(node, "kind") is not None:
            self._bind(field(node, "left"), inner)
        elif kind == "catch_clause":
            self._bind(field(node, "parameter"), inner)
        elif kind in ("import_clause", "named_imports", "namespace_import"):
            self._bind(node, outer)
        if kind in FUNCTIONS:
            self._bind(field(node, "parameters"), inner)
            self._bind(field(node, "parameter"), inner)

    def _bind(self, pattern: Node | None, scope: Scope) -> None:
        """Declares every name in a pattern; a default value in it declares nothing."""
        pending = [pattern]
        while pending:
            node = pending.pop()
            if node is None:
                continue
            if node.type in _PATTERN_NAMES:
                scope.names.add(self.text_of(node))
            elif node.type in ("assignment_pattern", "object_assignment_pattern"):
                pending.append(field(node, "left"))
            elif node.type == "pair_pattern":
                pending.append(field(node, "value"))
            else:
                pending.extend(node.named_children)

    def _resolve(self, node: Node, where: Scope) -> None:
        name = self.text_of(node)
        scope: Scope | None = where
        while scope is not None:
            if name in scope.names:
                scope.uses.setdefault(name, []).append(node)
                return
            scope = scope.outer
        self.globals.setdefault(name, []).append(node)
