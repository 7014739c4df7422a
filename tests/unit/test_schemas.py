"""Schemas: what is refused before an agent starts (S22), and how a wrong answer is explained (S21)."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.schema_strategies import SCHEMAS

from engine.contradictions import MAX_SCHEMA_BYTES
from engine.formats import EXAMPLES, FORMATS, has_format
from engine.schemas import BadSchema, check_schema, validator_for

A_STRING = {"type": "string"}


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("schema", "pointer", "problem"),
    [
        (5, "/", "a schema is an object, found 5"),
        ({"type": "array"}, "/type", 'the root must be an object, found "array"'),
        ({"type": ["string", "null"]}, "/type", 'the root must be an object, found ["string", "null"]'),
        ({"enum": ["a", 1]}, "/enum", "the root must be an object, none of the values is one"),
        ({"const": 1}, "/const", "the root must be an object, found 1"),
        ({"allOf": [A_STRING]}, "/allOf", "the root must be an object, and this rules objects out"),
        (
            {"$ref": "#/$defs/s", "$defs": {"s": A_STRING}},
            "/$ref",
            "the root must be an object, and this rules objects out",
        ),
        (
            obj() | {"required": ["a"], "additionalProperties": False},
            "/required",
            "key 'a' is required, and additionalProperties: false rules it out",
        ),
        (obj(a=False) | {"required": ["a"]}, "/required", "key 'a' is required, and properties rules it out"),
        (obj(a={"minimum": 3, "maximum": 1}), "/properties/a/minimum", "minimum 3 is above maximum 1"),
        (
            obj(a={"exclusiveMinimum": 1, "maximum": 1}),
            "/properties/a/exclusiveMinimum",
            "no number lies between exclusiveMinimum 1 and maximum 1",
        ),
        (obj(a={"minLength": 3, "maxLength": 1}), "/properties/a/minLength", "minLength 3 is above maxLength 1"),
        (obj(a={"minItems": 3, "maxItems": 1}), "/properties/a/minItems", "minItems 3 is above maxItems 1"),
        (
            obj(a={"prefixItems": [{}], "items": False, "minItems": 2}),
            "/properties/a/minItems",
            "only 1 items are allowed, minItems is 2",
        ),
        (
            obj(a={}, b={}) | {"required": ["a", "b"], "maxProperties": 1},
            "/maxProperties",
            "2 keys are required, maxProperties is 1",
        ),
        (obj(a={"enum": []}), "/properties/a/enum", "enum is empty, so no value is allowed"),
        (obj(a={"const": 1, "enum": [2]}), "/properties/a/const", "const 1 is not in enum"),
        (obj(a={"const": True, "enum": [1]}), "/properties/a/const", "const true is not in enum"),
        (obj(a=A_STRING | {"enum": [1, 2]}), "/properties/a/enum", 'no value of enum has the type "string"'),
        (
            obj(a={"$ref": "#/$defs/x"}),
            "/properties/a/$ref",
            '"#/$defs/x" names nothing in this schema (nothing is fetched)',
        ),
        (
            obj(a={"$ref": "https://example.com/s.json"}),
            "/properties/a/$ref",
            '"https://example.com/s.json" names nothing in this schema (nothing is fetched)',
        ),
        ({"$ref": "#"}, "/", "its $ref leads back to itself without going into a property or item"),
        ({"$schema": "http://x"}, "/$schema", '"http://x" is not a known draft'),
        (
            {"type": "objekt"},
            "/type",
            'expected one or more of null, boolean, string, array, object, number, integer, found "objekt"',
        ),
        (obj(a="string"), "/properties", 'expected an object of schemas, found {"a": "string"}'),
        ({"required": "a"}, "/required", 'expected a list of keys, found "a"'),
        (obj(a={"minLength": -1}), "/properties/a/minLength", "expected a whole number from 0, found -1"),
        (obj(a={"multipleOf": 0}), "/properties/a/multipleOf", "expected a number above 0, found 0"),
        (obj(a={"items": [A_STRING]}), "/properties/a/items", "a list of schemas is called prefixItems"),
        (obj(a={"exclusiveMinimum": True}), "/properties/a/exclusiveMinimum", "expected a number, found true"),
        (obj(a={"items": "x"}), "/properties/a/items", 'expected a schema, found "x"'),
        (obj(**{"a/b": {"enum": []}}), "/properties/a~1b/enum", "enum is empty, so no value is allowed"),
        (
            obj(a={"pattern": "(?!x)"}),
            "/properties/a/pattern",
            "look-ahead and look-behind cannot be matched in bounded time, at character 1 of '(?!x)'",
        ),
        (obj(a={"description": "x" * MAX_SCHEMA_BYTES}), "/", "it has 262,204 bytes; at most 262,144 are read"),
    ],
)
def test_S22_an_impossible_schema_is_refused(schema: Any, pointer: str, problem: str) -> None:
    with pytest.raises(BadSchema) as caught:
        check_schema(schema)
    assert caught.value.message == f"schema is impossible at {pointer}: {problem}"
    assert caught.value.code == "bad_schema"
    assert caught.value.hint.startswith("Write for example: ")


@pytest.mark.parametrize(
    "schema",
    [
        {},
        obj(),
        {"required": ["a"]},
        obj(a={"$ref": "#"}),
        obj() | {"patternProperties": {"^x-": {}}, "required": ["x-1"], "additionalProperties": False},
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {"a": {}},
            "properties": {"a": {"items": [{}]}},
        },
        {
            "$schema": "http://json-schema.org/draft-04/schema#",
            "properties": {"a": {"minimum": 1, "exclusiveMinimum": True}},
        },
        obj(a={"enum": [1, "x"], "type": ["string", "null"]}),
        obj(a={"$ref": "#/properties/b~1c/prefixItems/0"}, **{"b/c": {"prefixItems": [A_STRING]}}),
        obj(a={"x-unknown": 5}),
        obj(a={"$ref": "#item"}) | {"$defs": {"i": {"$anchor": "item"}}},
        obj(a={"$ref": "https://example.com/i"}) | {"$defs": {"i": {"$id": "https://example.com/i"}}},
    ],
)
def test_S22_a_possible_schema_is_let_through(schema: dict[str, Any]) -> None:
    check_schema(schema)
    jsonschema.validators.validator_for(schema).check_schema(schema)
    judge = jsonschema.validators.validator_for(schema)(schema)
    for answer in ({}, {"a": 1}, {"a": "x"}, {"a": [1]}, {"x-1": None}, {"a": {"a": {}}}, "x"):
        assert (validator_for(schema).problem(answer) is None) == judge.is_valid(answer), answer


@given(schema=SCHEMAS)
def test_S22_no_schema_that_something_satisfies_is_refused(schema: dict[str, Any]) -> None:
    check_schema(schema)


_JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(allow_nan=False), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "properties",
                    "required",
                    "items",
                    "enum",
                    "const",
                    "$ref",
                    "allOf",
                    "not",
                    "minimum",
                    "maximum",
                    "pattern",
                    "patternProperties",
                    "additionalProperties",
                    "dependentRequired",
                    "prefixItems",
                    "$defs",
                    "multipleOf",
                    "minLength",
                    "maxLength",
                    "minItems",
                    "if",
                    "dependencies",
                    "$schema",
                    "$id",
                    "format",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(schema=_JUNK)
def test_S22_junk_is_refused_or_fits_the_metaschema(schema: Any) -> None:
    """Whatever stands in a schema ends in our error or in a schema that jsonschema reads too."""
    try:
        check_schema(schema)
    except BadSchema:
        return
    validator_for(schema).problem({"a": [1, "x"], "b": {}})
    validator_for(schema).problem(None)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({}, "at /: missing required key 'items'"),
        ("x", 'at /: expected object, found "x"'),
        ({"items": [], "extra": 1}, "at /: unexpected key 'extra': allowed are 'items', 'day', 'score', 'id', 'kind'"),
        ({"items": [1]}, "at /items/0: expected string, found 1"),
        ({"items": ["x"] * 4}, "at /items: expected maxItems 3, found 4 items"),
        ({"items": ["toolong"]}, "at /items/0: expected maxLength 5, found 7 characters"),
        ({"items": [], "day": "soon"}, 'at /day: "soon" is not a date'),
        ({"items": [], "score": 11}, "at /score: expected maximum 10, found 11"),
        ({"items": [], "score": True}, "at /score: expected number, found true"),
        ({"items": [], "id": "xyz"}, 'at /id: "xyz" does not match "^[0-9]+$"'),
        ({"items": [], "kind": "c"}, 'at /kind: expected one of "a", "b", found "c"'),
    ],
)
def test_S21_a_wrong_answer_is_explained(answer: Any, problem: str) -> None:
    schema = obj(
        items={"type": "array", "items": {"type": "string", "maxLength": 5}, "maxItems": 3},
        day={"type": "string", "format": "date"},
        score={"type": "number", "maximum": 10},
        id={"type": "string", "pattern": "^[0-9]+$"},
        kind={"enum": ["a", "b"]},
    ) | {"required": ["items"], "additionalProperties": False}
    check_schema(schema)
    assert validator_for(schema).problem(answer) == problem


def test_I5_hostile_schemas_and_answers_take_no_time() -> None:
    started = time.process_time()
    check_schema(obj(**{f"a{n}": {"$ref": "#/$defs/x"} for n in range(5_000)}) | {"$defs": {"x": {}}})
    chain = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(9)}
    with pytest.raises(BadSchema, match="its references unfold to 2,046 schemas"):
        check_schema({"$ref": "#/$defs/d0", "$defs": chain | {"d9": {}}})
    with pytest.raises(BadSchema, match="its patterns are too large together"):
        check_schema(obj(**{f"a{n}": {"pattern": f"a{{{n}}}"} for n in range(900, 1_000)}))
    deep: Any = 1
    for _ in range(900):
        deep = {"v": deep}
    either = {"anyOf": [{"properties": {"v": {"$ref": "#"}}, "required": ["v"]}] * 2}
    check_schema(either)
    assert validator_for(either).problem(deep) is not None
    assert time.process_time() - started < 20


def test_each_format_has_an_example_that_fits() -> None:
    assert EXAMPLES.keys() == FORMATS.keys()
    for name, example in EXAMPLES.items():
        for number in (0, 1, 59, 60, 12_345, 2**64 - 1):
            assert has_format(name, example(number)), (name, example(number))
        assert not has_format(name, "\x00 not this")
    assert has_format("of a program's own", "anything")
    assert not has_format("uri", "a:" + "b" * 100_000)


def test_jsonschema_is_not_loaded_until_a_schema_is_used() -> None:
    code = "import engine.schemas, sys; sys.exit('jsonschema' in sys.modules or 'referencing' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
