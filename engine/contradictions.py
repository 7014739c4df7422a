"""What is wrong with a schema before anything is validated by it (S22): malformed, contradicting itself, without end.

Hand-written, because it runs on the path of calls and its input is a stranger's (I5): all takes time linear in the
schema, where the metaschema takes 0.3 ms for every `{}` in it. The words are for a model that corrects itself.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Generator, Iterator
from typing import NamedTuple

from engine.keywords import DEEPER, DEEPER_MAPS, IN_PLACE, IN_PLACE_LISTS, TYPES, escape, is_number, misshapen, show
from engine.patterns import PatternError, compile_pattern
from engine.references import References
from engine.values import Json

MAX_SCHEMA_BYTES = 256 << 10
MAX_PATTERN_STATES = 50_000
"""In all patterns of a schema together. `(a{1000}){9}` is twelve characters and 9,000 states."""
MAX_UNFOLDED = 2_000
"""Schemas that references and `allOf`, `anyOf`, `oneOf` make of one, for one value."""


class Fault(NamedTuple):
    """`pointer` is a JSON pointer into the schema, `correction` a line that would do."""

    pointer: str
    problem: str
    correction: str


DRAFTS = {
    "http://json-schema.org/draft-04/schema": "Draft4Validator",
    "http://json-schema.org/draft-06/schema": "Draft6Validator",
    "http://json-schema.org/draft-07/schema": "Draft7Validator",
    "https://json-schema.org/draft/2019-09/schema": "Draft201909Validator",
    "https://json-schema.org/draft/2020-12/schema": "Draft202012Validator",
}

DEFAULT_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def first_fault(schema: dict[str, Json]) -> Fault | None:
    """The outermost thing that is wrong with `schema`, or None."""
    try:
        size = len(json.dumps(schema, ensure_ascii=False).encode("utf-8", "surrogatepass"))
        if size > MAX_SCHEMA_BYTES:
            return Fault("", f"it has {size:,} bytes; at most {MAX_SCHEMA_BYTES:,} are read", "a smaller schema")
        references = References(schema)
        return (
            _unknown_draft(schema)
            or next(_faults(schema, references), None)
            or _endless(schema, references)
            or _root_is_no_object(schema, references)
        )
    except RecursionError:
        return Fault("", "it is nested too deeply", "a flatter schema")


def _unknown_draft(schema: dict[str, Json]) -> Fault | None:
    name = schema.get("$schema", DEFAULT_DRAFT)
    if isinstance(name, str) and name.rstrip("#") in DRAFTS:
        return None
    return Fault("/$schema", f"{show(name)} is not a known draft", "leave $schema out: 2020-12 is the default")


def _root_is_no_object(schema: dict[str, Json], references: References) -> Fault | None:
    """Whether the root rules objects out. A schema that does not say `type` allows them."""
    types = schema.get("type", "object")
    allowed = types if isinstance(types, list) else [types]
    shown = '{ type: "object", properties: { items: { type: "array" } } }'
    if "object" not in allowed:
        return Fault("/type", f"the root must be an object, found {show(types)}", shown)
    if "const" in schema and not isinstance(schema["const"], dict):
        return Fault("/const", f"the root must be an object, found {show(schema['const'])}", shown)
    if "enum" in schema and not any(isinstance(value, dict) for value in schema["enum"]):
        return Fault("/enum", "the root must be an object, none of the values is one", shown)
    for keyword in ("$ref", "allOf"):
        parts = (
            [references.lookup(schema[keyword])] if keyword == "$ref" and keyword in schema else schema.get(keyword, [])
        )
        for part in parts:
            if isinstance(part, dict) and part is not schema and _root_is_no_object(part, references) is not None:
                return Fault(f"/{keyword}", "the root must be an object, and this rules objects out", shown)
    return None


def _faults(root: dict[str, Json], references: References) -> Iterator[Fault]:
    """Contradictions in every schema inside `root`, the outermost first."""
    waiting: deque[tuple[str, Json]] = deque([("", root)])
    seen: set[int] = set()
    draft = DRAFTS[root.get("$schema", DEFAULT_DRAFT).rstrip("#")]
    states = 0
    while waiting:
        pointer, schema = waiting.popleft()
        if not isinstance(schema, dict) or id(schema) in seen:
            continue
        seen.add(id(schema))
        for keyword, problem, correction in misshapen(schema, draft):
            yield Fault(f"{pointer}/{keyword}", problem, correction)
        yield from _references(references, pointer, schema)
        states += yield from _patterns(pointer, schema)
        if states > MAX_PATTERN_STATES:
            yield Fault(pointer, "its patterns are too large together", "minLength and maxLength for lengths")
        yield from _bounds(pointer, schema)
        yield from _values(pointer, schema)
        yield from _required(pointer, schema)
        waiting += _children(pointer, schema)
        reference = schema.get("$ref")
        if isinstance(reference, str):
            waiting.append((reference.lstrip("#"), references.lookup(reference)))


def _children(pointer: str, schema: dict[str, Json]) -> list[tuple[str, Json]]:
    out = [(f"{pointer}/{key}", schema[key]) for key in (*IN_PLACE, *DEEPER) if key in schema]
    for key in DEEPER_MAPS:
        out += [(f"{pointer}/{key}/{escape(name)}", part) for name, part in schema.get(key, {}).items()]
    for key in (*IN_PLACE_LISTS, "prefixItems"):
        out += [(f"{pointer}/{key}/{at}", part) for at, part in enumerate(schema.get(key, []))]
    items = schema.get("items")
    if isinstance(items, list):
        out += [(f"{pointer}/items/{at}", part) for at, part in enumerate(items)]
    elif items is not None:
        out.append((f"{pointer}/items", items))
    return out


def _references(references: References, pointer: str, schema: dict[str, Json]) -> Iterator[Fault]:
    for keyword in ("$ref", "$dynamicRef"):
        reference = schema.get(keyword)
        if reference is None:
            continue
        try:
            references.lookup(reference)
        except LookupError:
            yield Fault(
                f"{pointer}/{keyword}",
                f"{show(reference)} names nothing in this schema (nothing is fetched)",
                '{ $ref: "#/$defs/item" } with $defs: { item: { … } } at the root',
            )


def _patterns(pointer: str, schema: dict[str, Json]) -> Generator[Fault, None, int]:
    """Patterns that cannot be run; returns how many states the others have."""
    states = 0
    found = [("pattern", schema["pattern"])] if "pattern" in schema else []
    found += [("patternProperties", key) for key in schema.get("patternProperties", {})]
    for keyword, pattern in found:
        try:
            states += compile_pattern(pattern).size
        except PatternError as error:
            yield Fault(f"{pointer}/{keyword}", str(error), '{ pattern: "^[a-z]+$" }')
    if "patternProperties" in schema and "unevaluatedProperties" in schema:
        # jsonschema would run these patterns with `re`.
        yield Fault(
            f"{pointer}/unevaluatedProperties",
            "it cannot stand beside patternProperties here",
            "additionalProperties: false",
        )
    return states


_PAIRS = (
    ("minLength", "maxLength"),
    ("minItems", "maxItems"),
    ("minProperties", "maxProperties"),
    ("minContains", "maxContains"),
    ("minimum", "maximum"),
)


def _bounds(pointer: str, schema: dict[str, Json]) -> Iterator[Fault]:
    for low, high in _PAIRS:
        least, most = schema.get(low), schema.get(high)
        if least is not None and most is not None and least > most:
            yield Fault(
                f"{pointer}/{low}", f"{low} {least} is above {high} {most}", f"{{ {low}: {most}, {high}: {least} }}"
            )
    lows = [(schema[k], k != "minimum", k) for k in ("minimum", "exclusiveMinimum") if is_number(schema.get(k))]
    highs = [(schema[k], k != "maximum", k) for k in ("maximum", "exclusiveMaximum") if is_number(schema.get(k))]
    for least, low_open, low in lows:
        for most, high_open, high in highs:
            if (low_open or high_open) and least >= most:
                yield Fault(
                    f"{pointer}/{low}",
                    f"no number lies between {low} {least} and {high} {most}",
                    "{ minimum: 0, maximum: 10 }",
                )
    items = schema.get("prefixItems")
    if schema.get("items") is False and isinstance(items, list) and schema.get("minItems", 0) > len(items):
        yield Fault(
            f"{pointer}/minItems",
            f"only {len(items)} items are allowed, minItems is {schema['minItems']}",
            f"{{ minItems: {len(items)} }}",
        )


def _values(pointer: str, schema: dict[str, Json]) -> Iterator[Fault]:
    """`enum` and `const` against each other and everything else that the schema says."""
    if schema.get("enum") == []:
        yield Fault(f"{pointer}/enum", "enum is empty, so no value is allowed", '{ enum: ["low", "high"] }')
        return
    if "enum" not in schema and "const" not in schema:
        return
    values = schema.get("enum", [schema.get("const")])
    if "const" in schema and not any(_equal(schema["const"], value) for value in values):
        yield Fault(f"{pointer}/const", f"const {show(schema['const'])} is not in enum", "leave enum out")
        return
    values = [schema["const"]] if "const" in schema else values
    keyword = "const" if "const" in schema else "enum"
    types = schema.get("type")
    allowed = types if isinstance(types, list) else [types]
    if types is not None and not any(_has_type(value, str(name)) for value in values for name in allowed):
        yield Fault(
            f"{pointer}/{keyword}",
            f"no value of {keyword} has the type {show(types)}",
            f"leave type out beside {keyword}",
        )


def _required(pointer: str, schema: dict[str, Json]) -> Iterator[Fault]:
    """Keys that must be there and must not."""
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    if not isinstance(required, list):  # draft 3 and 4 oddities
        return
    for key in required:
        if properties.get(key) is False:
            yield Fault(
                f"{pointer}/required",
                f"key {key!r} is required, and properties rules it out",
                f"properties: {{ {key}: {{ type: 'string' }} }}",
            )
        elif (
            key not in properties
            and schema.get("additionalProperties") is False
            and not any(compile_pattern(pattern).search(key) for pattern in schema.get("patternProperties", {}))
        ):
            yield Fault(
                f"{pointer}/required",
                f"key {key!r} is required, and additionalProperties: false rules it out",
                f"properties: {{ {key}: {{ type: 'string' }} }}",
            )
    most = schema.get("maxProperties")
    if most is not None and len(set(required)) > most:
        yield Fault(
            f"{pointer}/maxProperties",
            f"{len(set(required))} keys are required, maxProperties is {most}",
            f"{{ maxProperties: {len(set(required))} }}",
        )


def _endless(root: dict[str, Json], references: References) -> Fault | None:
    """A circle of references that never gets deeper into the value, or so many that one value takes seconds."""
    costs: dict[int, int | None] = {}

    def cost(schema: Json) -> int:
        if not isinstance(schema, dict):
            return 1
        if id(schema) in costs:
            known = costs[id(schema)]
            if known is None:
                raise LookupError
            return known
        costs[id(schema)] = None
        total = 1
        for part in _in_place(references, schema):
            total += cost(part)
        costs[id(schema)] = total
        return total

    waiting: list[tuple[str, Json]] = [("", root)]
    seen: set[int] = set()
    while waiting:
        pointer, schema = waiting.pop()
        if not isinstance(schema, dict) or id(schema) in seen:
            continue
        seen.add(id(schema))
        try:
            total = cost(schema)
        except LookupError:
            return Fault(
                pointer,
                "its $ref leads back to itself without going into a property or item",
                '{ $ref: "#/$defs/other" }',
            )
        if total > MAX_UNFOLDED:
            return Fault(
                pointer,
                f"its references unfold to {total:,} schemas",
                "fewer references inside allOf, anyOf, oneOf",
            )
        waiting += _children(pointer, schema)
    return None


def _in_place(references: References, schema: dict[str, Json]) -> Iterator[Json]:
    if "$ref" in schema:
        yield references.lookup(schema["$ref"])
    for key in IN_PLACE_LISTS:
        yield from schema.get(key, [])
    for key in IN_PLACE:
        if key in schema:
            yield schema[key]


def _equal(a: Json, b: Json) -> bool:
    """Equality of JSON: 1 is 1.0, and true is not 1."""
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def _has_type(value: Json, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, TYPES.get(name, ()))
