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

from engine.contradictions import DEFAULT_DRAFT, DRAFTS, Fault, first_fault
from engine.errors import UsageError
from engine.formats import has_format
from engine.keywords import cut, escape, show
from engine.patterns import PatternTooSlow, compile_pattern
from engine.references import References
from engine.values import Json

if TYPE_CHECKING:
    from jsonschema.protocols import Validator as Draft

MAX_STEPS = 20_000
"""References followed while one value is validated. References that branch and recurse could follow 2^depth of them."""


class BadSchema(UsageError):
    """No answer can satisfy the schema, or it cannot be read. Thrown into the script before an agent starts."""

    default_code = "bad_schema"


class Validator:
    """A schema, ready to check answers. Make it with `validator_for`."""

    def __init__(self, schema: dict[str, Json]) -> None:
        self.schema = schema
        self._references = References(schema)
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
        return self._references.lookup(reference)

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
    """Returns when some object may satisfy `schema`; looked at once for each text.

    Raises:
        BadSchema: it is malformed, its root is not an object, or it contradicts itself (S22).
    """
    if not isinstance(schema, dict):
        fault: Fault | None = Fault("", f"a schema is an object, found {show(schema)}", '{ type: "object" }')
    else:
        fault = _checked(json.dumps(schema))
    if fault is not None:
        raise BadSchema(
            f"schema is impossible at {fault.pointer or '/'}: {fault.problem}",
            hint=f"Write for example: {fault.correction}",
            pointer=fault.pointer,
        )


@lru_cache(maxsize=1024)
def _checked(text: str) -> Fault | None:
    return first_fault(json.loads(text))


def _draft_of(schema: dict[str, Json], counter: Validator) -> type[Draft]:
    """The validator class of the schema's draft, with patterns that end and references that are counted."""
    import jsonschema
    from jsonschema import validators

    name = str(schema.get("$schema", DEFAULT_DRAFT)).rstrip("#")
    base: Any = getattr(jsonschema, DRAFTS[name])
    follow = base.VALIDATORS["$ref"]

    def reference(validator: Any, ref: str, instance: Json, at: Json) -> Iterator[Any]:
        counter.count_step()
        yield from follow(validator, ref, instance, at) or ()

    ours = {
        "$ref": reference,
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    }
    return validators.extend(base, ours)  # type: ignore[no-any-return, no-untyped-call]


def _pattern(validator: Any, pattern: str, instance: Json, _: Json) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if isinstance(instance, str) and not compile_pattern(pattern).search(instance):
        yield ValidationError(f"{show(instance)} does not match {pattern!r}")


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
    """The metaschemas that ship with jsonschema, and no way to fetch anything: its default would."""
    from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]

    return REGISTRY


@lru_cache(maxsize=1)
def _format_checker() -> Any:
    from jsonschema import FormatChecker

    class OurFormats(FormatChecker):
        def check(self, instance: object, format: str) -> None:
            from jsonschema.exceptions import FormatError

            if isinstance(instance, str) and not has_format(format, instance):
                raise FormatError(f"{show(instance)} is not a {format}")

    return OurFormats(formats=())


def _describe(error: Any) -> str:
    """`at /items/0/score: expected a maximum of 10, found 12`."""
    where = _pointer(error.absolute_path) or "/"
    wanted, found = error.validator_value, error.instance
    kind = error.validator
    if kind == "type":
        names = wanted if isinstance(wanted, list) else [wanted]
        text = f"expected {' or '.join(map(str, names))}, found {show(found)}"
    elif kind == "required":
        missing = [key for key in wanted if isinstance(found, dict) and key not in found]
        text = f"missing required key {', '.join(map(repr, missing))}"
    elif kind == "enum":
        text = f"expected one of {', '.join(map(show, wanted))}, found {show(found)}"
    elif kind == "const":
        text = f"expected {show(wanted)}, found {show(found)}"
    elif kind in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"):
        text = f"expected {kind} {show(wanted)}, found {show(found)}"
    elif kind in ("minLength", "maxLength"):
        text = f"expected {kind} {wanted}, found {len(found)} characters"
    elif kind in ("minItems", "maxItems"):
        text = f"expected {kind} {wanted}, found {len(found)} items"
    elif kind == "pattern":
        text = f"{show(found, 60)} does not match {show(wanted)}"
    elif kind in ("anyOf", "oneOf", "not"):
        text = f"{show(found)} does not satisfy {kind} {show(wanted)}"
    else:
        text = cut(str(error.message))
    return f"at {where}: {text}"


def _pointer(path: Any) -> str:
    return "".join(f"/{escape(str(step))}" for step in path)
