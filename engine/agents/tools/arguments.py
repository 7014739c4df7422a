"""Checks the arguments that a model gave against a tool's parameters, in words that it can act on.

By hand for our own tools' few keywords: `jsonschema` costs 60 ms to import and its messages quote the whole value.
What it does not know it lets pass; MCP servers judge their own arguments.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from engine.values import Json

_KINDS: dict[str, tuple[str, Callable[[Json], bool]]] = {
    "string": ("a string", lambda value: isinstance(value, str)),
    "integer": ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "number": ("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool)),
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
    "array": ("a list", lambda value: isinstance(value, list)),
    "object": ("an object", lambda value: isinstance(value, dict)),
}


def misfit(args: Json, parameters: dict[str, Any]) -> str | None:
    """The first problem: field, expected, found. None when the arguments fit."""
    if not isinstance(args, dict):
        return f"expected arguments as an object, found {_shown(args)}"
    properties: dict[str, Any] = parameters.get("properties", {})
    for name in parameters.get("required", ()):
        if name not in args:
            return f"expected the field {name!r} ({_expected(properties.get(name, {}))}), found none"
    for name, value in args.items():
        if name not in properties:
            if parameters.get("additionalProperties") is False:
                near = difflib.get_close_matches(name, properties, n=1)
                known = f"did you mean {near[0]!r}?" if near else f"fields are {', '.join(properties)}"
                return f"there is no field {name!r}; {known}"
        elif problem := _problem(value, properties[name]):
            return f"field {name!r}: expected {problem}, found {_shown(value)}"
    return None


def _problem(value: Json, schema: dict[str, Any]) -> str | None:
    kind = _KINDS.get(schema.get("type", "")) if isinstance(schema.get("type"), str) else None
    if kind is not None and not kind[1](value):
        return kind[0]
    if isinstance(value, str) and len(value) < schema.get("minLength", 0):
        return "a string that is not empty"
    if "enum" in schema and value not in schema["enum"]:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value < schema.get("minimum", value):
            return f"{schema['minimum']} or more"
        if value > schema.get("maximum", value):
            return f"{schema['maximum']} or less"
        if "exclusiveMinimum" in schema and not value > schema["exclusiveMinimum"]:
            return f"more than {schema['exclusiveMinimum']}"
    return None


def _expected(schema: dict[str, Any]) -> str:
    kind = _KINDS.get(schema.get("type", "")) if isinstance(schema.get("type"), str) else None
    return kind[0] if kind else "any value"


def _shown(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
