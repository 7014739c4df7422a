"""JSON Schemas that some object satisfies, of every kind that scripts use, for Hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Schema = dict[str, Any]

NAMES = st.sampled_from(["title", "score", "tags", "line", "kind", "a/b", "x~y", "größe"])
PATTERNS = st.sampled_from(
    [
        r"^[a-z]{2,5}$",
        r"\d{3}-\d{2}",
        r"^(feat|fix): .+",
        r"^\w+@\w+\.org$",
        r"[A-F0-9]{8}",
        r"^[^\s]+$",
        r"^v?\d+(\.\d+){1,2}$",
    ]
)
FORMATS = st.sampled_from(
    ["date", "date-time", "time", "email", "uri", "uuid", "ipv4", "ipv6", "hostname", "duration", "unheard-of"]
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-99, 99), st.sampled_from(["low", "high", ""]))


@st.composite
def _string(draw: st.DrawFn) -> Schema:
    schema: Schema = {"type": "string"}
    kind = draw(st.sampled_from(["length", "pattern", "format", "plain"]))
    if kind == "length":
        schema["minLength"] = draw(st.integers(0, 60))
        schema["maxLength"] = schema["minLength"] + draw(st.integers(0, 20))
    elif kind == "pattern":
        schema["pattern"] = draw(PATTERNS)
    elif kind == "format":
        schema["format"] = draw(FORMATS)
    return schema


@st.composite
def _number(draw: st.DrawFn) -> Schema:
    schema: Schema = {"type": draw(st.sampled_from(["integer", "number"]))}
    low = draw(st.integers(-50, 50))
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = low
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = low + draw(st.integers(25, 60))
    if draw(st.booleans()):
        schema["multipleOf"] = draw(
            st.sampled_from([1, 2, 5, 7] if schema["type"] == "integer" else [0.5, 0.1, 3, 0.01])
        )
    return schema


@st.composite
def _array(draw: st.DrawFn, inner: st.SearchStrategy[Schema]) -> Schema:
    schema: Schema = {"type": "array"}
    if draw(st.booleans()):
        schema["prefixItems"] = draw(st.lists(inner, min_size=1, max_size=3))
        schema["items"] = draw(st.one_of(st.just(False), inner))
        return schema
    schema["items"] = draw(inner)
    least = draw(st.integers(0, 3))
    if draw(st.booleans()):
        schema |= {"minItems": least, "maxItems": least + draw(st.integers(0, 3))}
    kind = draw(st.sampled_from(["plain", "unique", "contains"]))
    if kind == "unique":
        schema |= {"items": {"type": "string"}, "uniqueItems": True}
    elif kind == "contains":
        schema |= {"items": {"type": ["integer", "string"]}, "contains": {"const": 42}, "minContains": 1}
        schema["maxItems"] = max(1, schema.get("maxItems", 5))
    return schema


@st.composite
def _object(draw: st.DrawFn, inner: st.SearchStrategy[Schema]) -> Schema:
    properties = draw(st.dictionaries(NAMES, inner, max_size=4))
    schema: Schema = {"type": "object", "properties": properties}
    names = sorted(properties)
    if names:
        schema["required"] = draw(st.lists(st.sampled_from(names), unique=True))
    kind = draw(st.sampled_from(["open", "closed", "typed", "more", "patterned", "named", "dependent", "split"]))
    if kind == "closed":
        schema["additionalProperties"] = False
    elif kind == "typed":
        schema |= {"additionalProperties": {"type": "boolean"}, "required": [*schema.get("required", []), "extra"]}
    elif kind == "more":
        schema["minProperties"] = len(names) + draw(st.integers(0, 3))
    elif kind == "patterned":
        schema |= {"patternProperties": {"^x-[a-z]{2,4}$": {"type": "integer"}}, "additionalProperties": False}
        schema["minProperties"] = len(names) + 1
    elif kind == "named":
        schema = {
            "type": "object",
            "propertyNames": {"pattern": "^[a-z]{3,6}$"},
            "minProperties": draw(st.integers(0, 3)),
        }
    elif kind == "dependent" and names:
        schema["dependentRequired"] = {names[0]: ["also"]}
        schema["dependentSchemas"] = {names[-1]: {"properties": {"also": {"type": "string"}}, "required": ["also"]}}
    elif kind == "split":
        schema = {"type": "object", "allOf": [schema, {"properties": {"id": {"type": "integer"}}, "required": ["id"]}]}
    return schema


@st.composite
def _branching(draw: st.DrawFn, inner: st.SearchStrategy[Schema]) -> Schema:
    kind = draw(st.sampled_from(["anyOf", "oneOf", "not", "if", "types", "ref", "nullable"]))
    if kind == "anyOf":
        return {"anyOf": draw(st.lists(inner, min_size=1, max_size=3))}
    if kind == "oneOf":  # told apart by a tag, as people write them
        part = {"type": "object", "properties": {"value": draw(inner)}, "required": ["kind"]}
        return {"oneOf": [{**part, "properties": {**part["properties"], "kind": {"const": n}}} for n in ("a", "b")]}
    if kind == "not":
        return {"type": ["string", "integer"], "not": {"enum": draw(st.lists(SCALARS, min_size=1))}}
    if kind == "if":
        return {
            "type": "object",
            "properties": {"ok": {"type": "boolean"}, "why": {"type": "string"}},
            "required": ["ok"],
            "if": {"properties": {"ok": {"const": False}}},
            "then": {"required": ["why"]},
            "else": {"not": {"required": ["why"]}},
        }
    if kind == "types":
        return {
            "type": draw(st.lists(st.sampled_from(["string", "integer", "null", "boolean"]), min_size=1, unique=True))
        }
    if kind == "ref":
        return {"$ref": draw(st.sampled_from(["#/$defs/point", "#/$defs/tree", "#named"]))}
    return {"anyOf": [draw(inner), {"type": "null"}]}


_LEAVES = st.one_of(
    _string(),
    _number(),
    st.lists(SCALARS, min_size=1, max_size=4, unique_by=repr).map(lambda values: {"enum": values}),
    SCALARS.map(lambda value: {"const": value}),
    st.sampled_from([{}, {"type": "boolean"}, {"type": "null"}, {"minLength": 3}]),
)

DEFINITIONS: Schema = {
    "point": {
        "type": "object",
        "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
        "required": ["x", "y"],
    },
    "tree": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
        "required": ["name", "children"],
    },
    "chain": {
        "$anchor": "named",
        "anyOf": [
            {"type": "object", "properties": {"next": {"$ref": "#named"}}, "required": ["next"]},
            {"type": "string"},
        ],
    },
}


def _with_definitions(schema: Schema) -> Schema:
    return {**schema, "$defs": DEFINITIONS}


SCHEMAS: st.SearchStrategy[Schema] = _object(
    st.recursive(_LEAVES, lambda inner: st.one_of(_array(inner), _object(inner), _branching(inner)), max_leaves=8)
).map(_with_definitions)
"""Object at the root; every reference resolves; at least one value satisfies it."""
