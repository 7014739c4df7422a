"""A copy of a schema that a small model can be held to while it writes: everything has an end, nothing is exotic.

Without bounds a small model fills a string until its context is full. The copy is stricter than the schema where it can
be (a bounded number becomes a whole number in the same range) and laxer where a grammar cannot follow (`not`, `if`,
`contains`); the answer is validated against the real schema afterwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.patterns import compile_pattern
from engine.values import Json

_COPIED = ("type", "enum", "const", "required", "description", "title", "$anchor")
_GRAMMAR_FORMATS = ("date", "time", "date-time", "uuid")
_FORMAT_PATTERNS = {
    "email": r"^[a-z]{1,12}@[a-z]{1,12}\.com$",
    "uri": r"^https://[a-z]{1,16}\.com/[a-z]{0,16}$",
    "hostname": r"^[a-z]{1,16}\.com$",
    "ipv4": r"^10\.[0-9]\.[0-9]\.[0-9]$",
}
_MAX_ENUMERATED = 50
_USUAL_RANGE = 1_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a string and an array may hold where the schema leaves it open; whether patterns are followed."""

    characters: int = 240
    items: int = 4
    has_patterns: bool = True


def bounded(schema: Json, bounds: Bounds) -> Json:
    """The copy. Raises nothing that the schema's own shape could cause once `check_schema` let it pass."""
    if not isinstance(schema, dict):
        return schema if isinstance(schema, bool) else True
    out = {key: schema[key] for key in _COPIED if key in schema}
    for key in ("$defs", "definitions", "properties"):
        if key in schema:
            out[key] = {name: bounded(part, bounds) for name, part in schema[key].items() if part is not False}
    for key in ("allOf", "anyOf", "oneOf"):
        if key in schema:
            out[key] = [bounded(part, bounds) for part in schema[key] if part is not False]
    if "$ref" in schema:
        out["$ref"] = schema["$ref"]
    if "const" in out or "enum" in out:
        out.pop("type", None)  # a grammar takes the values as they are
        return out
    kinds = out.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if "string" in kinds:
        _bound_string(schema, out, bounds)
    if "array" in kinds:
        _bound_array(schema, out, bounds)
    if {"integer", "number"} & set(kinds):
        _bound_number(schema, out, kinds)
    if "object" in kinds:
        # A key of its own invention is the model's first mistake; where the schema asks for some, let it.
        extra = schema.get("additionalProperties")
        out["additionalProperties"] = bounded(extra, bounds) if isinstance(extra, dict) else False
        out.setdefault("properties", {})
    if not kinds and not (out.keys() & {"$ref", "allOf", "anyOf", "oneOf", "properties"}):
        out.update({"type": "string", "maxLength": bounds.characters})
    return out


def _bound_string(schema: dict[str, Json], out: dict[str, Json], bounds: Bounds) -> None:
    pattern = schema.get("pattern") or _FORMAT_PATTERNS.get(schema.get("format", ""))
    plain = compile_pattern(pattern).plain() if bounds.has_patterns and pattern else None
    if plain is not None:
        out["pattern"] = f"^{plain}$"
    elif bounds.has_patterns and schema.get("format") in _GRAMMAR_FORMATS:
        out["format"] = schema["format"]
    else:
        least = schema.get("minLength", 0)
        out["minLength"] = least
        out["maxLength"] = min(schema.get("maxLength", math.inf), max(bounds.characters, least + 40))


def _bound_array(schema: dict[str, Json], out: dict[str, Json], bounds: Bounds) -> None:
    prefix = schema.get("prefixItems")
    if prefix:
        out["prefixItems"] = [bounded(part, bounds) for part in prefix]
        return
    least = schema.get("minItems", 0)
    out["items"] = bounded(schema.get("items", True), bounds)
    out["minItems"] = least
    # A grammar cannot see that two items are the same.
    usual = 1 if schema.get("uniqueItems") else bounds.items
    out["maxItems"] = min(schema.get("maxItems", math.inf), max(usual, least))


def _bound_number(schema: dict[str, Json], out: dict[str, Json], kinds: list[str]) -> None:
    """Grammars keep whole numbers in a range, not decimals."""
    low = max((_whole(schema, key) for key in ("minimum", "exclusiveMinimum")), default=-math.inf)
    high = -max((_whole(schema, key) for key in ("maximum", "exclusiveMaximum")), default=-math.inf)
    step = schema.get("multipleOf")
    if low > high or len(kinds) > 1 or (math.isinf(low) and math.isinf(high) and not step and "integer" not in kinds):
        return
    if step:
        first = 0 if math.isinf(low) else math.ceil(low / step)
        last = first + _MAX_ENUMERATED if math.isinf(high) else math.floor(high / step)
        multiples = [round(at * step, 9) for at in range(first, min(last, first + _MAX_ENUMERATED) + 1)]
        if multiples:
            out.pop("type")
            out["enum"] = [int(m) if float(m).is_integer() else m for m in multiples]
        return
    # An open end invites rows of digits.
    if math.isinf(low):
        low = min(0, high - _USUAL_RANGE)
    out.update({"type": "integer", "minimum": int(low), "maximum": int(min(high, low + _USUAL_RANGE))})


def _whole(schema: dict[str, Json], key: str) -> float:
    """The smallest whole number that a lower bound lets in; for an upper bound, the largest, negated."""
    value = schema.get(key)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return -math.inf
    signed = value if "inimum" in key else -value
    whole = math.ceil(signed)
    return whole + 1 if key.startswith("exclusive") and whole == signed else whole
