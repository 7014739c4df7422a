"""The keywords of JSON Schema: which hold schemas, and what may stand behind each. Unknown ones say nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TypeAlias

from engine.values import Json

# Where schemas are inside a schema. IN_PLACE ones look at the same value, so a circle of them never ends.
IN_PLACE_LISTS = ("allOf", "anyOf", "oneOf")
IN_PLACE = ("not", "if", "then", "else")
DEEPER = (
    "additionalProperties",
    "propertyNames",
    "contains",
    "unevaluatedProperties",
    "unevaluatedItems",
    "additionalItems",
)
DEEPER_MAPS = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")

TYPES: dict[str, type | tuple[type, ...]] = {
    "null": type(None),
    "boolean": bool,
    "string": str,
    "array": list,
    "object": dict,
    "number": (int, float),
    "integer": (int, float),
}


_Is: TypeAlias = Callable[[Json], bool]


def _is_schema(value: Json) -> bool:
    return isinstance(value, (dict, bool))


def is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value: Json) -> bool:
    return is_number(value) and value >= 0 and value == int(value)


def _is_text(value: Json) -> bool:
    return isinstance(value, str)


def _is_names(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_schemas(value: Json) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_schema, value))


def _is_schema_map(value: Json) -> bool:
    return isinstance(value, dict) and all(map(_is_schema, value.values()))


def _is_type(value: Json) -> bool:
    names = value if isinstance(value, list) and value else [value]
    return all(isinstance(name, str) and name in TYPES for name in names)


_A_SCHEMA = (_is_schema, "a schema (an object, true or false)", '{ type: "string" }')
_A_MAP = (_is_schema_map, "an object of schemas", '{ name: { type: "string" } }')
_A_LIST = (_is_schemas, "a list of schemas", '[{ type: "string" }, { type: "null" }]')
_A_COUNT = (_is_count, "a whole number from 0", "3")
_A_NUMBER = (is_number, "a number", "10")
_A_FLAG = (lambda value: isinstance(value, bool), "true or false", "true")
_A_TEXT = (_is_text, "a string", '"…"')

_SHAPES: dict[str, tuple[_Is, str, str]] = {
    **dict.fromkeys((*IN_PLACE, *DEEPER), _A_SCHEMA),
    **dict.fromkeys(DEEPER_MAPS, _A_MAP),
    **dict.fromkeys((*IN_PLACE_LISTS, "prefixItems"), _A_LIST),
    **dict.fromkeys(
        (
            "minLength",
            "maxLength",
            "minItems",
            "maxItems",
            "minProperties",
            "maxProperties",
            "minContains",
            "maxContains",
        ),
        _A_COUNT,
    ),
    **dict.fromkeys(("minimum", "maximum"), _A_NUMBER),
    # Draft 4 has true and false here.
    **dict.fromkeys(
        ("exclusiveMinimum", "exclusiveMaximum"), (lambda v: is_number(v) or isinstance(v, bool), "a number", "0")
    ),
    **dict.fromkeys(("$ref", "$dynamicRef", "$id", "$anchor", "$dynamicAnchor", "pattern", "format"), _A_TEXT),
    "uniqueItems": _A_FLAG,
    "multipleOf": (lambda value: is_number(value) and value > 0, "a number above 0", "5"),
    "type": (_is_type, f"one or more of {', '.join(TYPES)}", '"string"'),
    "required": (_is_names, "a list of keys", '["name"]'),
    "enum": (lambda value: isinstance(value, list), "a list of values", '["low", "high"]'),
    "items": (lambda value: _is_schema(value) or _is_schemas(value) or value == [], "a schema", '{ type: "string" }'),
    "dependentRequired": (
        lambda value: isinstance(value, dict) and all(map(_is_names, value.values())),
        "an object of lists of keys",
        '{ card: ["address"] }',
    ),
    "dependencies": (
        lambda value: isinstance(value, dict) and all(_is_schema(v) or _is_names(v) for v in value.values()),
        "an object of lists of keys or schemas",
        '{ card: ["address"] }',
    ),
}


def misshapen(schema: dict[str, Json], draft: str) -> Iterator[tuple[str, str, str]]:
    """Keywords with values that they cannot have: keyword, what is wrong, a corrected line."""
    for keyword, value in schema.items():
        if keyword == "items" and isinstance(value, list) and draft == "Draft202012Validator":
            yield keyword, "a list of schemas is called prefixItems", '{ prefixItems: [{ type: "string" }] }'
        elif keyword.startswith("exclusive") and isinstance(value, bool) and draft != "Draft4Validator":
            yield keyword, f"expected a number, found {show(value)}", f"{{ {keyword}: 0 }}"
        elif keyword in _SHAPES:
            is_right, expected, correction = _SHAPES[keyword]
            if not is_right(value):
                problem = f"expected {expected}, found {show(value)}"
                yield keyword, problem, f"{{ {keyword}: {correction} }}"


def show(value: Json, most: int = 120) -> str:
    """`value` as JSON, short enough for a message."""
    return cut(json.dumps(value, ensure_ascii=False, default=str), most)


def cut(text: str, most: int = 120) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def escape(step: str) -> str:
    """A key as a step of a JSON pointer."""
    return step.replace("~", "~0").replace("/", "~1")
