"""A pure literal in the tree → the JSON value it stands for, without ever evaluating anything (S03).

Evaluating would be shorter and wrong: a getter hangs the reader, a call reaches whatever the realm has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.lint.finding import Finding, Problem
from sandbox.lint.nodes import field, text_of

if TYPE_CHECKING:
    from tree_sitter import Node

"".encode("utf-16-le")  # loads the codec while files can still be opened

MAX_DEPTH = 64
_WORDS = {"true": True, "false": False, "null": None}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}
_COMMENTS = ("comment", "html_comment")
_NAMES_OF_KINDS = {
    "identifier": "a variable",
    "undefined": "`undefined`",
    "shorthand_property_identifier": "a shorthand property",
    "spread_element": "a spread",
    "computed_property_name": "a computed key",
    "method_definition": "a method",
    "call_expression": "a call",
    "new_expression": "a `new` expression",
    "member_expression": "a property access",
    "subscript_expression": "a property access",
    "binary_expression": "an operator",
    "ternary_expression": "a condition",
    "template_substitution": "a `${}` in a template",
    "arrow_function": "a function",
    "function_expression": "a function",
    "await_expression": "an `await`",
    "regex": "a regular expression",
    "parenthesized_expression": "a parenthesis",
    "unary_expression": "an operator",
    "assignment_expression": "an assignment",
    "class": "a class",
}

Path = tuple[str | int, ...]


class Literal:
    """A value read from the text, with the place of everything in it.

    Attributes:
        places: path in the value → byte range; `()` is the whole. A key's own place is under the path of its value
            with `None` after it in `keys`.
        keys: path of a member → byte range of its key.
        repeated: byte ranges of keys that occurred before in the same object.
    """

    def __init__(self, text: bytes, node: Node) -> None:
        self._text = text
        self.places: dict[Path, tuple[int, int]] = {}
        self.keys: dict[Path, tuple[int, int]] = {}
        self.repeated: list[Node] = []
        self.value = self._read(node, ())

    def _read(self, node: Node, path: Path) -> Any:
        if len(path) > MAX_DEPTH:
            raise self._refuse(node, f"it is nested more than {MAX_DEPTH} deep")
        self.places[path] = (node.start_byte, node.end_byte)
        kind = node.type
        if kind in _WORDS:
            return _WORDS[kind]
        if kind == "string":
            return self._string(node)
        if kind == "template_string":
            return self._string(node)
        if kind == "number":
            return self._number(node)
        if kind == "unary_expression":
            argument = field(node, "argument")
            operator = field(node, "operator")
            if argument is None or operator is None or operator.type != "-" or argument.type != "number":
                raise self._not_pure(node)
            return -self._number(argument)
        if kind == "array":
            return self._array(node, path)
        if kind == "object":
            return self._object(node, path)
        raise self._not_pure(node)

    def _array(self, node: Node, path: Path) -> list[Any]:
        out: list[Any] = []
        had_comma = True
        for child in node.children:
            if child.type in _COMMENTS or child.type in ("[", "]"):
                continue
            if child.type == ",":
                if had_comma:
                    raise self._refuse(child, "an array with a hole is no JSON value")
                had_comma = True
                continue
            out.append(self._read(child, (*path, len(out))))
            had_comma = False
        return out

    def _object(self, node: Node, path: Path) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for child in node.named_children:
            if child.type in _COMMENTS:
                continue
            if child.type != "pair":
                raise self._not_pure(child)
            key_node, value_node = field(child, "key"), field(child, "value")
            if key_node is None or value_node is None:
                raise self._not_pure(child)
            key = self._key(key_node)
            if key == "__proto__":
                raise self._refuse(key_node, "`__proto__` sets the prototype; it is no ordinary key")
            if key in out:
                self.repeated.append(key_node)
            inner = (*path, key)
            self.keys[inner] = (key_node.start_byte, key_node.end_byte)
            out[key] = self._read(value_node, inner)
        return out

    def _key(self, node: Node) -> str:
        if node.type == "property_identifier":
            text = self._text_of(node)
            if "\\" in text:
                raise self._refuse(node, "a key with an escape in it is not quoted")
            return text
        if node.type == "string":
            return self._string(node)
        if node.type == "number":
            number = self._number(node)
            return str(number)
        raise self._not_pure(node)

    def _string(self, node: Node) -> str:
        out: list[str] = []
        for child in node.named_children:
            if child.type == "string_fragment":
                out.append(self._text_of(child))
            elif child.type == "escape_sequence":
                out.append(self._escape(child))
            elif child.type not in _COMMENTS:
                raise self._not_pure(child)
        # Two \u escapes may be the halves of one character; utf-16 joins them and refuses a half that stands alone.
        text = "".join(out)
        try:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            raise self._refuse(node, "it holds half of a surrogate pair, which no file can hold") from None

    def _escape(self, node: Node) -> str:
        body = self._text_of(node)[1:]
        if body[:1] in ("x", "u"):
            digits = body[1:].strip("{}")
            try:
                return chr(int(digits, 16))
            except (ValueError, OverflowError):
                raise self._refuse(node, f"`\\{body}` is no character") from None
        if body in ("\n", "\r\n", "\r", "\u2028", "\u2029"):
            return ""
        if body[:1].isdigit() and body != "0":
            raise self._refuse(node, "octal escapes are not allowed")
        return _ESCAPES.get(body, body)

    def _number(self, node: Node) -> int | float:
        text = self._text_of(node).replace("_", "").lower()
        try:
            if text[:2] in ("0x", "0o", "0b"):
                value: int | float = int(text, 0)
                value = value if value < 2**53 else float(value)
            else:
                value = float(text)
                if value.is_integer() and abs(value) < 2**53:
                    value = int(value)
        except (ValueError, OverflowError):
            raise self._refuse(node, "only numbers that JSON has are allowed") from None
        if value == float("inf"):
            raise self._refuse(node, "the number is too large")
        return value

    def _text_of(self, node: Node) -> str:
        return text_of(node, self._text)

    def _not_pure(self, node: Node) -> Problem:
        name = _NAMES_OF_KINDS.get(node.type, f"a {node.type.replace('_', ' ')}")
        excerpt = " ".join(self._text_of(node).split())
        excerpt = excerpt if len(excerpt) <= 40 else excerpt[:37] + "..."
        return self._refuse(node, f"{name} is not allowed: {excerpt}")

    def _refuse(self, node: Node, why: str) -> Problem:
        return Problem(
            Finding(
                "error",
                "meta_not_literal",
                "S03",
                node.start_byte,
                node.end_byte,
                f"meta must be a pure literal, because it is read without running the script; {why}.",
                "Write the value itself: strings, numbers, true, false, null, objects and arrays of them.",
            )
        )
