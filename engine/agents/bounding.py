"""A copy of a schema that a small model can be held to while it writes: everything has an end, nothing is exotic.

Without bounds a small model fills a string until its context is full. The copy is stricter than the schema where it can
be (a bounded number becomes a whole number in the same range) and laxer where a grammar cannot follow (`not`, `if`,
`contains`); the answer is validated against the real schema afterwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from engine.patterns import compile_pattern
from engine.references import References
from engine.values import Json

_COPIED = ("type", "enum", "const", "required", "description", "title")
_GRAMMAR_FORMATS = ("date", "time", "date-time", "uuid")
_FORMAT_PATTERNS = {
    "email": r"^[a-z]{1,12}@[a-z]{1,12}\.com$",
    "uri": r"^https://[a-z]{1,16}\.com/[a-z]{0,16}$",
    "hostname": r"^[a-z]{1,16}\.com$",
    "ipv4": r"^10\.[0-9]\.[0-9]\.[0-9]$",
}
_SAYS_MORE = frozenset(
    ("type", "properties", "required", "additionalProperties", "items", "allOf", "anyOf", "oneOf", "enum", "const")
)
"""Keywords beside a `$ref` or `anyOf` that a grammar must not miss."""
_MAX_CHAIN = 20
_MAX_ENUMERATED = 50
_USUAL_RANGE = 1_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a string and an array may hold where the schema leaves it open; whether patterns are followed."""

    characters: int = 240
    items: int = 4
    has_patterns: bool = True


def bounded(schema: dict[str, Json], bounds: Bounds) -> dict[str, Json]:
    """The copy of a schema that `check_schema` let pass."""
    copy: dict[str, Json] = _Copier(References(schema), bounds).copy(schema)
    return copy


class _Copier:
    """Copies one schema. What `allOf` and the branches of `anyOf` say beside other keywords is written out: grammar
    makers read those alone."""

    def __init__(self, references: References, bounds: Bounds) -> None:
        self._references = references
        self._bounds = bounds

    def copy(self, schema: Json) -> Json:
        if not isinstance(schema, dict):
            return schema if isinstance(schema, bool) else True
        out: dict[str, Json]
        if "$ref" in schema and not schema.keys() & _SAYS_MORE:
            out = {"$ref": self._references.pointer(schema["$ref"])}
        else:
            merged = self.merged(schema)
            branches = merged.pop("anyOf", None)
            out = self.plain(merged) if branches is None else {"anyOf": self.spread(merged, branches)}
        for key in ("$defs", "definitions"):
            if key in schema:
                out[key] = {name: self.copy(part) for name, part in schema[key].items()}
        return out

    def merged(self, schema: dict[str, Json], chain: int = 0) -> dict[str, Json]:
        """`schema` and what its `allOf` and `$ref` add, in one; branches under `anyOf`."""
        apart = ("allOf", "$ref", "oneOf", "$defs", "definitions")
        out = {key: value for key, value in schema.items() if key not in apart}
        if "oneOf" in schema:
            out.setdefault("anyOf", schema["oneOf"])
        parts = list(schema.get("allOf", ()))
        if "$ref" in schema:
            parts.append(self._references.lookup(schema["$ref"]))
        for part in parts:
            if isinstance(part, dict) and chain < _MAX_CHAIN:
                out = _both(out, self.merged(part, chain + 1))
        return out

    def spread(self, base: dict[str, Json], branches: list[Json]) -> list[Json]:
        """Every branch together with what stands beside it."""
        says_more = base.keys() & _SAYS_MORE
        return [
            self.copy({"allOf": [base, branch]} if says_more and isinstance(branch, dict) else branch)
            for branch in branches
            if branch is not False
        ]

    def plain(self, schema: dict[str, Json]) -> dict[str, Json]:
        """A copy of a schema without branches and references."""
        out = {key: schema[key] for key in _COPIED if key in schema}
        if "const" in out or "enum" in out:
            out.pop("type", None)  # a grammar takes the values as they are
            return out
        kinds = out.get("type") or _implied_type(schema)
        kinds = kinds if isinstance(kinds, list) else [kinds]
        out["type"] = kinds[0] if len(kinds) == 1 else kinds
        if "string" in kinds:
            _bound_string(schema, out, self._bounds)
        if "array" in kinds:
            self.array(schema, out)
        if {"integer", "number"} & set(kinds):
            _bound_number(schema, out, kinds)
        if "object" in kinds:
            self.object(schema, out)
        return out

    def object(self, schema: dict[str, Json], out: dict[str, Json]) -> None:
        # No keys of the model's own invention: a small model never stops. Where the schema wants some, they get names.
        extra = schema.get("additionalProperties", True)
        properties = {name: part for name, part in schema.get("properties", {}).items() if part is not False}
        required = [name for name in schema.get("required", ()) if name not in properties]
        properties |= dict.fromkeys(required, extra)
        named = _invented(schema, schema.get("minProperties", 0) - len(properties))
        properties |= named
        wanted = {*schema.get("required", ()), *named}
        out["required"] = [name for name in properties if name in wanted]
        if not wanted:
            del out["required"]
        out["properties"] = {name: self.copy(part) for name, part in properties.items()}
        out["additionalProperties"] = False

    def array(self, schema: dict[str, Json], out: dict[str, Json]) -> None:
        items = schema.get("items", True)
        prefix = items if isinstance(items, list) else schema.get("prefixItems")
        if prefix:
            out["prefixItems"] = [self.copy(part) for part in prefix]
            return
        least = schema.get("minItems", 0)
        if "contains" in schema and schema.get("minContains", 1) > 0:
            part = self.copy({"allOf": [schema["contains"], items]})
            out["prefixItems"] = [part] * max(1, min(least, self._bounds.items))
            return
        out["items"] = self.copy(items)
        out["minItems"] = least
        # A grammar cannot see that two items are the same.
        usual = 1 if schema.get("uniqueItems") else self._bounds.items
        out["maxItems"] = min(schema.get("maxItems", math.inf), max(usual, least))


def _invented(schema: dict[str, Json], missing: int) -> dict[str, Json]:
    """As many keys as are `missing`, with their schemas, where the schema gives them no names."""
    patterns: dict[str, Json] = schema.get("patternProperties", {})
    extra, names = schema.get("additionalProperties", True), schema.get("propertyNames")
    if not patterns and isinstance(names, dict) and "pattern" in names:
        patterns = {names["pattern"]: extra}
    out: dict[str, Json] = {}
    random = Random(0)
    for at in range(1, 4 * min(missing, _MAX_ENUMERATED) + 1):
        if len(out) == missing:
            break
        pattern, part = next(iter(patterns.items()), (None, extra))
        out[f"item{at}" if pattern is None else compile_pattern(pattern).example(random)] = part
    return out


def _both(one: dict[str, Json], other: dict[str, Json]) -> dict[str, Json]:
    """A schema that says both; where a keyword cannot say two things, the first one's word."""
    out = {**other, **one}
    if "properties" in one and "properties" in other:
        shared = one["properties"].keys() & other["properties"].keys()
        both = {name: {"allOf": [one["properties"][name], other["properties"][name]]} for name in shared}
        out["properties"] = {**one["properties"], **other["properties"], **both}
    if "required" in one or "required" in other:
        out["required"] = list(dict.fromkeys([*one.get("required", ()), *other.get("required", ())]))
    return out


def _implied_type(schema: dict[str, Json]) -> str:
    if schema.keys() & {"properties", "required", "minProperties"}:
        return "object"
    if schema.keys() & {"items", "prefixItems", "minItems"}:
        return "array"
    return "integer" if schema.keys() & {"minimum", "maximum", "multipleOf"} else "string"


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
