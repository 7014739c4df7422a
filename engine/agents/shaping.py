"""Values that satisfy a JSON Schema, made from random numbers: the answers of the `sample` backend.

A schema is read as *layers*: what `$ref`, `allOf` and the chosen branches of `anyOf`, `oneOf` and `if` say about one
value. Each step keeps to all layers at once, so a value is right when it is made; what cannot be steered (`not`,
`oneOf` that matches twice, decimals of `multipleOf`) is checked and made anew. The whole value is validated at the end.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from fractions import Fraction
from random import Random
from typing import TypeAlias

from engine.formats import EXAMPLES, has_format
from engine.patterns import PatternTooSlow, compile_pattern
from engine.schemas import Validator
from engine.values import Json

_Layers: TypeAlias = list[dict[str, Json]]

_WORDS = (
    "amber",
    "basil",
    "cedar",
    "delta",
    "ember",
    "flint",
    "grove",
    "haven",
    "indigo",
    "juniper",
    "kestrel",
    "linden",
)
_TRIES = 40
"""Whole values; each try is a little plainer than the one before."""
_LOCAL_TRIES = 12
_MAX_NODES = 30_000
"""Values looked at in all tries, some 0.3 s: a schema that asks for a million items gets no answer."""
_MAX_CHARACTERS = 1_000_000
_PLAIN_DEPTH = 4
"""Below this many levels only what is required is made, so that recursive schemas end."""
_MAX_DEPTH = 40
_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_UNSTEERED = (
    "not",
    "oneOf",
    "if",
    "contains",
    "multipleOf",
    "dependentSchemas",
    "dependencies",
    "unevaluatedProperties",
    "unevaluatedItems",
)
_SPEAKS_OF = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties"),
    "array": ("items", "prefixItems", "contains", "minItems", "uniqueItems"),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


class NoExample(Exception):
    """No value was found. There may be one."""


def example(validator: Validator, random: Random) -> Json:
    """A value that `validator` accepts. Raises `NoExample`."""
    spent = 0
    for attempt in range(_TRIES):
        maker = _Maker(validator, random, plainness=attempt, nodes=spent)
        try:
            value = maker.make(validator.schema, 0, "")
        except (NoExample, RecursionError):
            continue
        finally:
            spent = maker.nodes
        if validator.fits(value):
            return value
    raise NoExample


class _Maker:
    """One try. `plainness` grows with the tries: fewer optional parts, shorter lists. `nodes` were spent before."""

    def __init__(self, validator: Validator, random: Random, *, plainness: int, nodes: int) -> None:
        self.validator = validator
        self.random = random
        self.plain_depth = max(0, _PLAIN_DEPTH - plainness // 2)
        self.nodes = nodes

    def make(self, schema: Json, depth: int, name: str) -> Json:
        """A value for `schema`; `name` is the key that it goes under, for readable strings."""
        layers = self.layers(schema, depth)
        if not any(key in layer for layer in layers for key in _UNSTEERED):
            return self.from_layers(layers, depth, name)
        for _ in range(_LOCAL_TRIES):
            value = self.from_layers(layers, depth, name)
            if self.validator.fits(value, schema):
                return value
            layers = self.layers(schema, depth)
        raise NoExample

    def layers(self, schema: Json, depth: int, chain: int = 0) -> _Layers:
        """What `schema` says about one value, branches chosen."""
        self.nodes += 1
        if schema is False or depth > _MAX_DEPTH or chain > _MAX_DEPTH or self.nodes > _MAX_NODES:
            raise NoExample
        if not isinstance(schema, dict):
            return []
        out: _Layers = [schema]
        parts: list[Json] = list(schema.get("allOf", ()))
        if "$ref" in schema:
            parts.append(self.validator.resolve(schema["$ref"]))
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                parts.append(self.branch(schema[keyword], depth))
        if "if" in schema:
            if self.random.random() < 0.5:
                parts += [schema["if"], schema.get("then", True)]
            else:
                parts.append(schema.get("else", True))
        for part in parts:
            out += self.layers(part, depth, chain + 1)
        return out

    def branch(self, branches: list[Json], depth: int) -> Json:
        """One of `branches`; deep down, the one that is least likely to go deeper."""
        possible = [branch for branch in branches if branch is not False]
        if not possible:
            raise NoExample
        if depth < self.plain_depth:
            return self.random.choice(possible)
        texts = {id(branch): json.dumps(branch) for branch in possible}
        ranked = sorted(possible, key=lambda branch: ("$ref" in texts[id(branch)], len(texts[id(branch)])))
        return ranked[0] if self.random.random() < 0.7 else self.random.choice(possible)

    def from_layers(self, layers: _Layers, depth: int, name: str) -> Json:
        fixed = [layer for layer in layers if "const" in layer or "enum" in layer]
        if fixed:
            values = [fixed[0]["const"]] if "const" in fixed[0] else fixed[0]["enum"]
            possible = [v for v in values if all(self.validator.fits(v, layer) for layer in layers)]
            if not possible:
                raise NoExample
            return self.random.choice(possible)
        kind = self.kind(layers)
        if kind == "object":
            return self.object(layers, depth)
        if kind == "array":
            return self.array(layers, depth, name)
        if kind == "string":
            return self.string(layers, name)
        if kind in ("integer", "number"):
            return self.number(layers, is_integer=kind == "integer")
        return None if kind == "null" else self.random.random() < 0.5

    def kind(self, layers: _Layers) -> str:
        allowed = list(_TYPES)
        is_said = False
        for layer in layers:
            if "type" in layer:
                is_said = True
                types = layer["type"] if isinstance(layer["type"], list) else [layer["type"]]
                allowed = [t for t in allowed if t in types or (t == "integer" and "number" in types)]
        if not allowed:
            raise NoExample
        if is_said:
            # "number" covers "integer" already: a list of both says no more.
            return self.random.choice(["number"] if set(allowed) == {"number", "integer"} else allowed)
        if any("not" in layer for layer in layers):
            return self.random.choice(allowed)
        for kind, keywords in _SPEAKS_OF.items():
            if any(keyword in layer for layer in layers for keyword in keywords):
                return kind
        return "string"

    # Objects

    def object(self, layers: _Layers, depth: int) -> dict[str, Json]:
        names = list(dict.fromkeys(key for layer in layers for key in layer.get("properties", {})))
        required = {key for layer in layers for key in _list(layer.get("required"))}
        least = max((layer.get("minProperties", 0) for layer in layers), default=0)
        most = min((layer.get("maxProperties", math.inf) for layer in layers), default=math.inf)
        wanted = dict.fromkeys(key for key in names if key in required)
        wanted.update(dict.fromkeys(sorted(required)))
        layers = layers + self.follow(layers, wanted, depth)
        chance = 0.75 if depth < self.plain_depth else 0.0
        for key in names:
            if key not in wanted and (self.random.random() < chance or len(wanted) < least) and len(wanted) < most:
                trial = dict(wanted)
                trial[key] = None
                more = self.follow(layers, trial, depth)
                if len(trial) <= most and self.is_possible(self.parts(layers + more, key), depth):
                    wanted, layers = trial, layers + more
        out: dict[str, Json] = {}
        for key in sorted(wanted, key=lambda key: names.index(key) if key in names else len(names)):
            try:
                out[key] = self.make(self.part(layers, key), depth + 1, key)
            except NoExample:
                if key in required or depth + 1 >= _MAX_DEPTH:
                    raise
        self.fill(layers, out, least, depth)
        return out

    def follow(self, layers: _Layers, wanted: dict[str, None], depth: int) -> _Layers:
        """Adds the keys that `wanted` brings along; returns the layers that it does."""
        more: _Layers = []
        done: set[tuple[int, str]] = set()
        is_growing = True
        while is_growing:
            is_growing = False
            for layer in [*layers, *more]:
                brings: list[tuple[str, Json]] = []
                for keyword in ("dependentRequired", "dependentSchemas", "dependencies"):
                    brings += layer.get(keyword, {}).items()
                for key, brought in brings:
                    mark = (id(brought), key)
                    if key not in wanted or mark in done:
                        continue
                    done.add(mark)
                    is_growing = True
                    if not isinstance(brought, list):
                        brought_layers = self.layers(brought, depth)
                        more += brought_layers
                        names = [name for one in brought_layers for name in _list(one.get("required"))]
                    else:
                        names = brought
                    wanted.update(dict.fromkeys(names))
        return more

    def parts(self, layers: _Layers, key: str) -> list[Json]:
        """Every schema that the value under `key` must satisfy."""
        out: list[Json] = []
        for layer in layers:
            found = [layer["properties"][key]] if key in layer.get("properties", {}) else []
            found += [part for pattern, part in layer.get("patternProperties", {}).items() if _matches(pattern, key)]
            if not found and "additionalProperties" in layer:
                found = [layer["additionalProperties"]]
            out += found
        return out

    def part(self, layers: _Layers, key: str) -> Json:
        parts = self.parts(layers, key)
        return parts[0] if len(parts) == 1 else {"allOf": parts}

    def is_possible(self, parts: list[Json], depth: int) -> bool:
        try:
            for part in parts:
                self.layers(part, depth + 1)
        except NoExample:
            return False
        return True

    def fill(self, layers: _Layers, out: dict[str, Json], least: int, depth: int) -> None:
        """Keys that no schema names, until there are `least`."""
        names = [layer["propertyNames"] for layer in layers if "propertyNames" in layer]
        patterns = [pattern for layer in layers for pattern in layer.get("patternProperties", {})]
        for attempt in range(20 * min(least, _MAX_NODES)):
            if len(out) >= least or self.nodes > _MAX_NODES:
                return
            if patterns and attempt % 2 == 0:
                key = compile_pattern(self.random.choice(patterns)).example(self.random, longer=attempt // 8)
            elif names:
                key = self.make({"type": "string", "allOf": names}, depth + 1, "")
            else:
                key = f"{self.random.choice(_WORDS)}{attempt or ''}"
            if key not in out and all(self.validator.fits(key, name) for name in names):
                try:
                    out[key] = self.make(self.part(layers, key), depth + 1, key)
                except NoExample:
                    continue

    # Arrays

    def array(self, layers: _Layers, depth: int, name: str) -> list[Json]:
        least = max((layer.get("minItems", 0) for layer in layers), default=0)
        most = min((layer.get("maxItems", math.inf) for layer in layers), default=math.inf)
        contains = [
            (layer["contains"], layer.get("minContains", 1))
            for layer in layers
            if "contains" in layer and layer.get("minContains", 1) > 0
        ]
        least = max(least, max((count for _, count in contains), default=0))
        if least > _MAX_NODES:
            raise NoExample
        closed = [len(_prefix(layer)) for layer in layers if _rest(layer) is False]
        most = min([most, *closed])
        if least > most:
            raise NoExample
        usual = max([least + 3, *(len(_prefix(layer)) for layer in layers)])
        size = self.random.randint(least, int(min(most, usual))) if depth < self.plain_depth else least
        is_unique = any(layer.get("uniqueItems") for layer in layers)
        # What must be contained goes last, where prefixItems are least likely to rule it out.
        owed = [part for part, count in contains for _ in range(count)]
        size = max(size, min(len(owed), int(min(most, len(owed)))))
        out: list[Json] = []
        seen: set[str] = set()
        for at in range(size):
            parts = [part for layer in layers for part in _item(layer, at)]
            left = size - at
            if len(owed) >= left:
                parts.append(owed[len(owed) - left])
            item = self.unseen(
                {"allOf": parts} if len(parts) != 1 else parts[0], depth, name, seen, is_unique=is_unique
            )
            if item is _NOTHING:
                if at >= least:
                    break
                raise NoExample
            out.append(item)
        return out

    def unseen(self, part: Json, depth: int, name: str, seen: set[str], *, is_unique: bool) -> Json:
        for _ in range(30 if is_unique else 1):
            try:
                item = self.make(part, depth + 1, name)
            except NoExample:
                return _NOTHING
            if not is_unique:
                return item
            mark = json.dumps(_canonical(item), sort_keys=True)
            if mark not in seen:
                seen.add(mark)
                return item
        return _NOTHING

    # Strings and numbers

    def string(self, layers: _Layers, name: str) -> str:
        least = max((layer.get("minLength", 0) for layer in layers), default=0)
        most = min((layer.get("maxLength", math.inf) for layer in layers), default=math.inf)
        patterns = [layer["pattern"] for layer in layers if "pattern" in layer]
        formats = [layer["format"] for layer in layers if layer.get("format") in EXAMPLES]
        if least > most or least > _MAX_CHARACTERS:
            raise NoExample
        self.nodes += int(least) // 100
        for text in self.strings(patterns, formats, name, least):
            fitted = text if patterns or formats else _fitted(text, least, most)
            if patterns and len(fitted) < least:
                fitted = fitted + "x" * (least - len(fitted))
            if (
                least <= len(fitted) <= most
                and all(_matches(pattern, fitted) for pattern in patterns)
                and all(has_format(form, fitted) for form in formats)
            ):
                return fitted
        raise NoExample

    def strings(self, patterns: list[str], formats: list[str], name: str, least: int) -> Iterator[str]:
        for attempt in range(30):
            if patterns:
                longer = attempt // 2 if attempt % 2 else (least if attempt > 4 else 0)
                yield compile_pattern(self.random.choice(patterns)).example(self.random, longer=min(longer, 5_000))
            elif formats:
                yield EXAMPLES[self.random.choice(formats)](self.random.getrandbits(64))
            else:
                words = " ".join(self.random.choice(_WORDS) for _ in range(2))
                yield f"{name}: {words} {self.random.getrandbits(16):04x}" if name else words

    def number(self, layers: _Layers, *, is_integer: bool) -> int | float:
        low, high = Fraction(-(10**9)), Fraction(10**9)
        lows, highs = [], []
        steps: list[Fraction] = [Fraction(1)] if is_integer else []
        for layer in layers:
            lows += [
                (_fraction(layer[k]), k != "minimum")
                for k in ("minimum", "exclusiveMinimum")
                if _is_number(layer.get(k))
            ]
            highs += [
                (_fraction(layer[k]), k != "maximum")
                for k in ("maximum", "exclusiveMaximum")
                if _is_number(layer.get(k))
            ]
            steps += [_fraction(layer["multipleOf"])] if "multipleOf" in layer else []
        low_is_open, high_is_open = False, False
        if lows:
            low, low_is_open = max(lows)
        if highs:
            high, high_is_open = min(highs, key=lambda bound: (bound[0], not bound[1]))
        # Ordinary numbers where the schema leaves room: 0 to 100.
        if not lows:
            low = min(Fraction(0), high - 100)
        if not highs:
            high = max(Fraction(100), low + 100)
        step = _common_multiple(steps) if steps else (high - low) / 1000 or Fraction(1)
        first, last = math.ceil(low / step), math.floor(high / step)
        if not steps and low == high:
            first = last = 1
            step = low or Fraction(1)
            if not low:
                first = last = 0
        if low_is_open and first * step == low:
            first += 1
        if high_is_open and last * step == high:
            last -= 1
        if first > last:
            raise NoExample
        value = self.random.randint(first, last) * step
        if is_integer or value.denominator == 1:
            return int(value)
        return self.rounded(float(value), layers)

    def rounded(self, value: float, layers: _Layers) -> float:
        """Fewer digits where the schema does not mind: people read this."""
        for digits in (2, 4, 6):
            short = round(value, digits)
            if all(self.validator.fits(short, layer) for layer in layers):
                return short
        return value


_NOTHING: Json = object()


def _prefix(layer: dict[str, Json]) -> list[Json]:
    items = layer.get("items")
    return items if isinstance(items, list) else layer.get("prefixItems", [])


def _rest(layer: dict[str, Json]) -> Json:
    """What items after the prefix must satisfy; drafts before 2020 call it `additionalItems` beside a list."""
    return layer.get("additionalItems", True) if isinstance(layer.get("items"), list) else layer.get("items", True)


def _item(layer: dict[str, Json], at: int) -> list[Json]:
    prefix = _prefix(layer)
    return [prefix[at] if at < len(prefix) else _rest(layer)]


def _list(value: Json) -> list[str]:
    return value if isinstance(value, list) else []


def _matches(pattern: str, text: str) -> bool:
    try:
        return compile_pattern(pattern).search(text)
    except PatternTooSlow:
        return False


def _fitted(text: str, least: int, most: float) -> str:
    longer = text if len(text) >= least else (text + " ") * (least // (len(text) + 1) + 1)
    return longer[: int(min(most, max(least, len(text))))]


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _fraction(value: int | float) -> Fraction:
    """As it is written: 0.1 is a tenth."""
    return Fraction(value) if isinstance(value, int) else Fraction(str(value))


def _common_multiple(steps: list[Fraction]) -> Fraction:
    out = steps[0]
    for step in steps[1:]:
        out = Fraction(math.lcm(out.numerator, step.numerator), math.gcd(out.denominator, step.denominator))
    return out


def _canonical(value: Json) -> Json:
    """1 and 1.0 are the same item."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    return value
