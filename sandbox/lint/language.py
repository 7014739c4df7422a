"""Where the text is not the JavaScript that our engine takes: a word for the position that the engine itself names.

Whether a script compiles is for the engine to say; what is found here explains its refusal, and gives the column.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from sandbox.lint.finding import Finding
from sandbox.lint.nodes import field
from sandbox.lint.syntax import Syntax

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_BROKEN = 20
MAX_CHILDREN = 10_000
_CLOSING = {"(": ")", "[": "]", "{": "}", "${": "}", "`": "`", "'": "'", '"': '"'}
_CLOSERS = (")", "]", "}")
_QUOTES = ("'", '"')
_TYPESCRIPT_WORDS = frozenset(
    {"interface", "type", "enum", "as", "satisfies", "declare", "namespace", "abstract", "implements", "readonly"}
)
_TYPED_PLACES = (
    "labeled_statement",
    "lexical_declaration",
    "variable_declaration",
    "variable_declarator",
    "formal_parameters",
    "arrow_function",
)
"""Where an error with a colon in it is a type annotation."""
_TYPESCRIPT_HINT = "Scripts are plain JavaScript: remove type annotations, interfaces, enums, `as` and `satisfies`."
_LINE_SEPARATORS = ("\u2028".encode(), "\u2029".encode())
_TEXT_KINDS = frozenset({"string_fragment", "comment", "html_comment", "regex_pattern", "escape_sequence"})


def find_broken(syntax: Syntax) -> list[Finding]:
    """Where the parser stumbled, and what of this language the engine does not have."""
    found = [_stumble(syntax, node) for node in syntax.broken[:MAX_BROKEN]]
    found += list(_beyond_the_engine(syntax))[:MAX_BROKEN]
    return sorted(found, key=lambda finding: finding.start)


def find_line_separators(syntax: Syntax) -> Iterator[Finding]:
    """U+2028 and U+2029 end a line for the engine and for no editor: its line numbers would be wrong (S06)."""
    for mark in _LINE_SEPARATORS:
        at = syntax.text.find(mark)
        while at >= 0:
            node = syntax.root.descendant_for_byte_range(at, at + len(mark))
            if node is None or node.type not in _TEXT_KINDS:
                yield Finding(
                    "error",
                    "line_separator",
                    "S06",
                    at,
                    at + len(mark),
                    f"U+{ord(mark.decode()):04X} stands between two tokens: an invisible line break.",
                    "Replace it by an ordinary line break or a space.",
                )
            at = syntax.text.find(mark, at + len(mark))


def _stumble(syntax: Syntax, node: Node) -> Finding:
    if node.is_missing:
        return Finding(
            "error", "missing", "S01", node.start_byte, node.start_byte, f"A {node.type} is missing here.", ""
        )
    end = syntax.text.find(b"\n", node.start_byte, node.end_byte)
    end = node.end_byte if end < 0 else end
    lonely = _lonely(node)
    if lonely is not None:
        return _closes_nothing(lonely) if lonely.type in _CLOSERS else _not_closed(lonely)
    word = _typescript_word(syntax, node)
    if word is not None:
        return Finding("error", "typescript", "S01", *word, "This looks like TypeScript.", _TYPESCRIPT_HINT)
    excerpt = " ".join(syntax.text[node.start_byte : end].decode("utf-8", "replace").split())[:40]
    return Finding("error", "syntax", "S01", node.start_byte, end, f"`{excerpt}` does not fit here.", "")


def _lonely(node: Node) -> Node | None:
    """The first closing bracket inside this node that closes nothing, else the last opening one that nothing closes."""
    opened: list[Node] = []
    for child in islice(node.children, MAX_CHILDREN) if node.child_count else (node,):
        if opened and child.type == _CLOSING[opened[-1].type]:
            opened.pop()
        elif child.type in _CLOSING:
            opened.append(child)
        elif child.type in _CLOSERS and not opened:
            return child
    return opened[-1] if opened else None


def _closes_nothing(closing: Node) -> Finding:
    message = f"This {closing.type} closes nothing."
    hint = "Remove it, or add what it closes."
    return Finding("error", "unopened", "S01", closing.start_byte, closing.end_byte, message, hint)


def _not_closed(opening: Node) -> Finding:
    kind = opening.type
    if kind in _QUOTES:
        message = f"The string that starts with this {kind} does not end on its line."
        hint = f"Close it with {kind}, or write text of several lines between backticks."
    else:
        message, hint = f"This {kind} is not closed.", f"Add the {_CLOSING[kind]} that is missing."
    return Finding("error", "unclosed", "S01", opening.start_byte, opening.end_byte, message, hint)


def _typescript_word(syntax: Syntax, node: Node) -> tuple[int, int] | None:
    """Where the `:` that starts a type, or a word that only TypeScript has, is near this place; None without one."""
    around = node.parent or node
    tokens = [*node.children[:8], node.prev_sibling, node.next_sibling, *around.children[:8]]
    for token in tokens:
        if token is not None and token.child_count == 0 and syntax.text_of(token) in _TYPESCRIPT_WORDS:
            return token.start_byte, token.end_byte
    line_start = syntax.text.rfind(b"\n", 0, node.start_byte) + 1
    first = syntax.text[line_start : node.start_byte].split(maxsplit=1)[:1]
    if first and first[0].decode("utf-8", "replace") in _TYPESCRIPT_WORDS:
        at = syntax.text.index(first[0], line_start)
        return at, at + len(first[0])
    if around.type not in _TYPED_PLACES:
        return None
    line_end = syntax.text.find(b"\n", node.start_byte)
    line_end = len(syntax.text) if line_end < 0 else line_end
    colon = syntax.text.find(b":", around.start_byte, line_end)
    return (colon, colon + 1) if colon >= 0 else None


def _beyond_the_engine(syntax: Syntax) -> Iterator[Finding]:
    for node in syntax.all("class_static_block"):
        yield Finding(
            "error",
            "unsupported_syntax",
            "S01",
            node.start_byte,
            node.start_byte + len("static"),
            "Static blocks of classes are newer than this engine.",
            "Assign the static fields after the class instead.",
        )
    for node in syntax.all("binary_expression"):
        left, operator = field(node, "left"), field(node, "operator")
        if left is not None and left.type == "private_property_identifier" and operator and operator.type == "in":
            yield Finding(
                "error",
                "unsupported_syntax",
                "S01",
                left.start_byte,
                node.end_byte,
                "`#field in object` is newer than this engine.",
                "Test it another way, for example with `object instanceof TheClass`.",
            )
    for node in syntax.all("regex_flags"):
        for flag in ("d", "v"):
            at = syntax.text_of(node).find(flag)
            if at >= 0:
                yield Finding(
                    "error",
                    "unsupported_syntax",
                    "S01",
                    node.start_byte + at,
                    node.start_byte + at + 1,
                    f"The regular expression flag `{flag}` is newer than this engine.",
                    "Use the flags g, i, m, s, u, y only.",
                )
