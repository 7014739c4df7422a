"""JSON Schemas of scripts: can anything satisfy one (S22), and does an answer (S21)?

Schema and answer both come from strangers. Nothing is fetched, patterns run in bounded time (`engine/patterns.py`), and
references that multiply without end are refused before an agent starts (I5). Messages are written for a model: where,
the rule, a corrected line.

`jsonschema` is imported on first use: a run without schemas does not pay for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from engine.errors import UsageError
from engine.formats import has_format
from engine.patterns import PatternError, PatternTooSlow, compile_pattern
from engine.values import Json

if TYPE_CHECKING:
    from jsonschema.protocols import Validator as Draft

MAX_STEPS = 200_000
"""References followed while one value is validated. References that branch and recurse could follow 2^depth of them."""

_DRAFTS = {
    "http://json-schema.org/draft-04/schema": "Draft4Validator",
    "http://json-schema.org/draft-06/schema": "Draft6Validator",
    "http://json-schema.org/draft-07/schema": "Draft7Validator",
    "https://json-schema.org/draft/2019-09/schema": "Draft201909Validator",
    "https://json-schema.org/draft/2020-12/schema": "Draft202012Validator",
}

# Where schemas are inside a schema. IN_PLACE ones look at the same value, so a circle of them never ends.
_IN_PLACE_LISTS = ("allOf", "anyOf", "oneOf")
_IN_PLACE = ("not", "if", "then", "else")
_DEEPER = (
    "additionalProperties",
    "propertyNames",
    "contains",
    "unevaluatedProperties",
    "unevaluatedItems",
    "additionalItems",
)
_DEEPER_MAPS = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")

_TYPES: dict[str, type | tuple[type, ...]] = {
    "null": type(None),
    "boolean": bool,
    "string": str,
    "array": list,
    "object": dict,
    "number": (int, float),
    "integer": (int, float),
}


class BadSchema(UsageError):
    """No answer can satisfy the schema, or it cannot be read. Thrown into the script before an agent starts."""

    default_code = "bad_schema"


class Validator:
    """A schema, ready to check answers. Make it with `validator_for`."""

    def __init__(self, schema: dict[str, Json]) -> None:
        self.schema = schema
        self._steps = 0
        self._draft: Draft = _draft_of(schema, self)(schema, registry=_registry(), format_checker=_format_checker())

    def problem(self, value: Json) -> str | None:
        """What is wrong with `value`, in one line that a model can act on; None when it is valid."""
        from jsonschema.exceptions import best_match

        self._steps = 0
        try:
            error = best_match(self._draft.iter_errors(value))
        except PatternTooSlow as slow:
            return f"the pattern {str(slow)!r} took too long to check; give a shorter text"
        except RecursionError:
            return "the answer is nested too deeply; give a flatter one"
        except _TooManySteps:
            return "the answer is too large for the schema's nested references; give a smaller one"
        return None if error is None else _describe(error)

    def fits(self, value: Json, part: Json = None) -> bool:
        """Whether `value` satisfies the schema, or `part` of it."""
        self._steps = 0
        draft = self._draft if part is None else self._draft.evolve(schema=part)
        try:
            return draft.is_valid(value)
        except (PatternTooSlow, RecursionError, _TooManySteps):
            return False

    def resolve(self, reference: str) -> Json:
        """The schema that a `$ref` inside this one names. Raises `LookupError`."""
        return _lookup(self.schema, reference)

    def count_step(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise _TooManySteps


class _TooManySteps(Exception):
    pass


def validator_for(schema: dict[str, Json]) -> Validator:
    """The validator of `schema`, made once for each text. The schema must have passed `check_schema`."""
    return _validator(json.dumps(schema))


@lru_cache(maxsize=256)
def _validator(text: str) -> Validator:
    return Validator(json.loads(text))


def check_schema(schema: Json) -> None:
    """Returns when some object may satisfy `schema`; made once for each text.

    Raises:
        BadSchema: it is malformed, its root is not an object, or it contradicts itself (S22).
    """
    if not isinstance(schema, dict):
        raise _bad("", f"a schema is an object, found {_show(schema)}", '{ type: "object", properties: { … } }')
    if (found := _checked(json.dumps(schema))) is not None:
        raise _bad(*found)


_Fault = tuple[str, str, str]
"""JSON pointer, what is wrong, a corrected line."""


def _bad(pointer: str, problem: str, correction: str) -> BadSchema:
    return BadSchema(
        f"schema is impossible at {pointer or '/'}: {problem}",
        hint=f"Write for example: {correction}",
        pointer=pointer,
    )


@lru_cache(maxsize=1024)
def _checked(text: str) -> _Fault | None:
    schema = json.loads(text)
    try:
        return (
            _unknown_draft(schema)
            or _malformed(schema)
            or next(_faults(schema), None)
            or _endless(schema)
            or _root_is_no_object(schema)
        )
    except RecursionError:
        return ("", "it is nested too deeply", "a flatter schema")


def _unknown_draft(schema: dict[str, Json]) -> _Fault | None:
    name = schema.get("$schema", "https://json-schema.org/draft/2020-12/schema")
    if isinstance(name, str) and name.rstrip("#") in _DRAFTS:
        return None
    return ("/$schema", f"{_show(name)} is not a known draft", "leave $schema out: 2020-12 is the default")


def _malformed(schema: dict[str, Json]) -> _Fault | None:
    from jsonschema.exceptions import best_match

    draft = _draft_of(schema, None)
    error = best_match(draft(draft.META_SCHEMA, registry=_registry()).iter_errors(schema))
    if error is None:
        return None
    return (_pointer(error.absolute_path), error.message, _correction(error))


def _correction(error: Any) -> str:
    keyword = str(error.absolute_path[-1]) if error.absolute_path else ""
    examples = {
        "type": '{ type: "string" } — or object, array, number, integer, boolean, null',
        "required": '{ required: ["name"] }',
        "enum": '{ enum: ["low", "high"] }',
        "properties": '{ properties: { name: { type: "string" } } }',
        "items": '{ type: "array", items: { type: "string" } }',
    }
    return examples.get(keyword, f"a value that fits {keyword or 'JSON Schema'}")


def _root_is_no_object(schema: dict[str, Json]) -> _Fault | None:
    """Whether the root rules objects out. A schema that does not say `type` allows them."""
    types = schema.get("type", "object")
    allowed = types if isinstance(types, list) else [types]
    shown = '{ type: "object", properties: { items: { type: "array" } } }'
    if "object" not in allowed:
        return ("/type", f"the root must be an object, found {_show(types)}", shown)
    if "const" in schema and not isinstance(schema["const"], dict):
        return ("/const", f"the root must be an object, found {_show(schema['const'])}", shown)
    if "enum" in schema and not any(isinstance(value, dict) for value in schema["enum"]):
        return ("/enum", "the root must be an object, none of the values is one", shown)
    for keyword in ("$ref", "allOf"):
        parts = (
            [_lookup(schema, schema[keyword])] if keyword == "$ref" and keyword in schema else schema.get(keyword, [])
        )
        for part in parts:
            if isinstance(part, dict) and part is not schema and _root_is_no_object(part) is not None:
                return (f"/{keyword}", "the root must be an object, and this rules objects out", shown)
    return None


def _faults(root: dict[str, Json]) -> Iterator[_Fault]:
    """Contradictions in every schema inside `root`, the outermost first."""
    waiting: list[tuple[str, Json]] = [("", root)]
    seen: set[int] = set()
    while waiting:
        pointer, schema = waiting.pop(0)
        if not isinstance(schema, dict) or id(schema) in seen:
            continue
        seen.add(id(schema))
        yield from _references(root, pointer, schema)
        yield from _patterns(pointer, schema)
        yield from _bounds(pointer, schema)
        yield from _values(pointer, schema)
        yield from _required(pointer, schema)
        waiting += _children(pointer, schema)
        reference = schema.get("$ref")
        if isinstance(reference, str):
            waiting.append((reference.lstrip("#"), _lookup(root, reference)))


def _children(pointer: str, schema: dict[str, Json]) -> list[tuple[str, Json]]:
    out = [(f"{pointer}/{key}", schema[key]) for key in (*_IN_PLACE, *_DEEPER) if key in schema]
    for key in _DEEPER_MAPS:
        out += [(f"{pointer}/{key}/{_escape(name)}", part) for name, part in schema.get(key, {}).items()]
    for key in (*_IN_PLACE_LISTS, "prefixItems"):
        out += [(f"{pointer}/{key}/{at}", part) for at, part in enumerate(schema.get(key, []))]
    items = schema.get("items")
    if isinstance(items, list):
        out += [(f"{pointer}/items/{at}", part) for at, part in enumerate(items)]
    elif items is not None:
        out.append((f"{pointer}/items", items))
    return out


def _references(root: dict[str, Json], pointer: str, schema: dict[str, Json]) -> Iterator[_Fault]:
    for keyword in ("$ref", "$dynamicRef"):
        reference = schema.get(keyword)
        if reference is None:
            continue
        try:
            _lookup(root, reference)
        except LookupError:
            yield (
                f"{pointer}/{keyword}",
                f"{_show(reference)} names nothing in this schema (nothing is fetched)",
                '{ $ref: "#/$defs/item" } with $defs: { item: { … } } at the root',
            )


def _patterns(pointer: str, schema: dict[str, Json]) -> Iterator[_Fault]:
    found = [("pattern", schema["pattern"])] if "pattern" in schema else []
    found += [("patternProperties", key) for key in schema.get("patternProperties", {})]
    for keyword, pattern in found:
        try:
            compile_pattern(pattern)
        except PatternError as error:
            yield (f"{pointer}/{keyword}", str(error), '{ pattern: "^[a-z]+$" }')
    if "patternProperties" in schema and "unevaluatedProperties" in schema:
        # jsonschema would run these patterns with `re`.
        yield (
            f"{pointer}/unevaluatedProperties",
            "it cannot stand beside patternProperties here",
            "additionalProperties: false",
        )


_PAIRS = (
    ("minLength", "maxLength"),
    ("minItems", "maxItems"),
    ("minProperties", "maxProperties"),
    ("minContains", "maxContains"),
    ("minimum", "maximum"),
)


def _bounds(pointer: str, schema: dict[str, Json]) -> Iterator[_Fault]:
    for low, high in _PAIRS:
        least, most = schema.get(low), schema.get(high)
        if least is not None and most is not None and least > most:
            yield (f"{pointer}/{low}", f"{low} {least} is above {high} {most}", f"{{ {low}: {most}, {high}: {least} }}")
    lows = [(schema[k], k != "minimum", k) for k in ("minimum", "exclusiveMinimum") if _is_number(schema.get(k))]
    highs = [(schema[k], k != "maximum", k) for k in ("maximum", "exclusiveMaximum") if _is_number(schema.get(k))]
    for least, low_open, low in lows:
        for most, high_open, high in highs:
            if (low_open or high_open) and least >= most:
                yield (
                    f"{pointer}/{low}",
                    f"no number lies between {low} {least} and {high} {most}",
                    "{ minimum: 0, maximum: 10 }",
                )
    items = schema.get("prefixItems")
    if schema.get("items") is False and isinstance(items, list) and schema.get("minItems", 0) > len(items):
        yield (
            f"{pointer}/minItems",
            f"only {len(items)} items are allowed, minItems is {schema['minItems']}",
            f"{{ minItems: {len(items)} }}",
        )


def _values(pointer: str, schema: dict[str, Json]) -> Iterator[_Fault]:
    """`enum` and `const` against each other and everything else that the schema says."""
    if schema.get("enum") == []:
        yield (f"{pointer}/enum", "enum is empty, so no value is allowed", '{ enum: ["low", "high"] }')
        return
    if "enum" not in schema and "const" not in schema:
        return
    values = schema.get("enum", [schema.get("const")])
    if "const" in schema and not any(_equal(schema["const"], value) for value in values):
        yield (f"{pointer}/const", f"const {_show(schema['const'])} is not in enum", "leave enum out")
        return
    values = [schema["const"]] if "const" in schema else values
    keyword = "const" if "const" in schema else "enum"
    types = schema.get("type")
    allowed = types if isinstance(types, list) else [types]
    if types is not None and not any(_has_type(value, str(name)) for value in values for name in allowed):
        yield (
            f"{pointer}/{keyword}",
            f"no value of {keyword} has the type {_show(types)}",
            f"leave type out beside {keyword}",
        )


def _required(pointer: str, schema: dict[str, Json]) -> Iterator[_Fault]:
    """Keys that must be there and must not."""
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    if not isinstance(required, list):  # draft 3 and 4 oddities
        return
    for key in required:
        if properties.get(key) is False:
            yield (
                f"{pointer}/required",
                f"key {key!r} is required, and properties rules it out",
                f"properties: {{ {key}: {{ type: 'string' }} }}",
            )
        elif (
            key not in properties
            and schema.get("additionalProperties") is False
            and not any(compile_pattern(pattern).search(key) for pattern in schema.get("patternProperties", {}))
        ):
            yield (
                f"{pointer}/required",
                f"key {key!r} is required, and additionalProperties: false rules it out",
                f"properties: {{ {key}: {{ type: 'string' }} }}",
            )
    most = schema.get("maxProperties")
    if most is not None and len(set(required)) > most:
        yield (
            f"{pointer}/maxProperties",
            f"{len(set(required))} keys are required, maxProperties is {most}",
            f"{{ maxProperties: {len(set(required))} }}",
        )


def _endless(root: dict[str, Json]) -> _Fault | None:
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
        for part in _in_place(root, schema):
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
            return (
                pointer,
                "its $ref leads back to itself without going into a property or item",
                '{ $ref: "#/$defs/other" }',
            )
        if total > MAX_STEPS // 100:
            return (
                pointer,
                f"its references unfold to {total:,} schemas",
                "fewer references inside allOf, anyOf, oneOf",
            )
        waiting += _children(pointer, schema)
    return None


def _in_place(root: dict[str, Json], schema: dict[str, Json]) -> Iterator[Json]:
    if "$ref" in schema:
        yield _lookup(root, schema["$ref"])
    for key in _IN_PLACE_LISTS:
        yield from schema.get(key, [])
    for key in _IN_PLACE:
        if key in schema:
            yield schema[key]


def _lookup(root: dict[str, Json], reference: Json) -> Json:
    """What a reference names: `#`, `#/a/b`, or an `$anchor` or `$id` inside. Raises `LookupError`."""
    import referencing.exceptions
    from referencing.jsonschema import DRAFT202012

    name = str(root.get("$id") or "")
    resource = DRAFT202012.create_resource(root)
    try:
        return _registry().with_resource(name, resource).resolver(name).lookup(str(reference)).contents
    except (referencing.exceptions.Unresolvable, ValueError, KeyError) as error:
        raise LookupError(reference) from error


def _draft_of(schema: dict[str, Json], counter: Validator | None) -> type[Draft]:
    """The validator class of the schema's draft, with patterns that end and references that are counted."""
    import jsonschema
    from jsonschema import validators

    name = str(schema.get("$schema", "https://json-schema.org/draft/2020-12/schema")).rstrip("#")
    base: Any = getattr(jsonschema, _DRAFTS[name])
    follow = base.VALIDATORS["$ref"]

    def reference(validator: Any, ref: str, instance: Json, at: Json) -> Iterator[Any]:
        if counter is not None:
            counter.count_step()
        yield from follow(validator, ref, instance, at) or ()

    keywords = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    }
    if counter is None:  # the metaschema is ours: its own patterns are known
        return base  # type: ignore[no-any-return]
    return validators.extend(base, {**keywords, "$ref": reference})  # type: ignore[no-any-return, no-untyped-call]


def _pattern(validator: Any, pattern: str, instance: Json, _: Json) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if isinstance(instance, str) and not compile_pattern(pattern).search(instance):
        yield ValidationError(f"{_show(instance)} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: dict[str, Json], instance: Json, _: Json) -> Iterator[Any]:
    if not isinstance(instance, dict):
        return
    for pattern, part in patterns.items():
        compiled = compile_pattern(pattern)
        for key, value in instance.items():
            if compiled.search(key):
                yield from validator.descend(value, part, path=key, schema_path=pattern)


def _additional_properties(validator: Any, part: Json, instance: Json, schema: dict[str, Json]) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if not isinstance(instance, dict):
        return
    named = schema.get("properties", {})
    patterns = [compile_pattern(pattern) for pattern in schema.get("patternProperties", {})]
    extras = [key for key in instance if key not in named and not any(pattern.search(key) for pattern in patterns)]
    if part is False and extras:
        known = ", ".join(map(repr, named)) or "none"
        yield ValidationError(f"unexpected key {extras[0]!r}: allowed are {known}")
    elif isinstance(part, dict):
        for key in extras:
            yield from validator.descend(instance[key], part, path=key)


@lru_cache(maxsize=1)
def _registry() -> Any:
    """The metaschemas that ship with jsonschema, and no way to fetch anything."""
    from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]

    return REGISTRY


@lru_cache(maxsize=1)
def _format_checker() -> Any:
    from jsonschema import FormatChecker

    class OurFormats(FormatChecker):
        def check(self, instance: object, format: str) -> None:
            from jsonschema.exceptions import FormatError

            if isinstance(instance, str) and not has_format(format, instance):
                raise FormatError(f"{_show(instance)} is not a {format}")

    return OurFormats(formats=())


def _describe(error: Any) -> str:
    """`at /items/0/score: expected a maximum of 10, found 12`."""
    where = _pointer(error.absolute_path) or "/"
    wanted, found = error.validator_value, error.instance
    kind = error.validator
    if kind == "type":
        names = wanted if isinstance(wanted, list) else [wanted]
        text = f"expected {' or '.join(map(str, names))}, found {_show(found)}"
    elif kind == "required":
        missing = [key for key in wanted if isinstance(found, dict) and key not in found]
        text = f"missing required key {', '.join(map(repr, missing))}"
    elif kind == "enum":
        text = f"expected one of {', '.join(map(_show, wanted))}, found {_show(found)}"
    elif kind == "const":
        text = f"expected {_show(wanted)}, found {_show(found)}"
    elif kind in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"):
        text = f"expected {kind} {_show(wanted)}, found {_show(found)}"
    elif kind in ("minLength", "maxLength"):
        text = f"expected {kind} {wanted}, found {len(found)} characters"
    elif kind in ("minItems", "maxItems"):
        text = f"expected {kind} {wanted}, found {len(found)} items"
    elif kind in ("anyOf", "oneOf", "not"):
        text = f"{_show(found)} does not satisfy {kind} {_show(wanted)}"
    else:
        text = _cut(str(error.message))
    return f"at {where}: {text}"


def _pointer(path: Any) -> str:
    return "".join(f"/{_escape(str(step))}" for step in path)


def _escape(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def _show(value: Json) -> str:
    return _cut(json.dumps(value, ensure_ascii=False, default=str))


def _cut(text: str, most: int = 120) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _equal(a: Json, b: Json) -> bool:
    """Equality of JSON: 1 is 1.0, and true is not 1."""
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def _has_type(value: Json, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, _TYPES.get(name, ()))
