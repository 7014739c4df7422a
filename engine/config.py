"""Settings from outside: config files and PAWL_* variables, checked against the dataclasses of `settings`.

Precedence, weakest first: defaults, the user's file (`~/.config/pawl/config.toml`), the project's
(`.pawl/config.toml`), variables (`PAWL_BACKEND`, `PAWL_LIMITS_AGENTS`, …); flags come on top of all this, elsewhere.

pydantic validates, and is imported only when there is something to validate: most runs start without it. Every
problem is one `UsageError` that says file, key, expected, found and the nearest known name.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from engine.errors import UsageError
from engine.settings import Settings
from engine.values import Json

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

PREFIX = "PAWL_"

BOUNDS: dict[str, tuple[float | None, float | None]] = {
    "sandbox.memory_bytes": (16 << 20, None),
    "sandbox.stack_bytes": (64 << 10, 4 << 20),
    "sandbox.cpu_turn_s": (0.05, 3600),
    "sandbox.frame_bytes": (1 << 20, 1 << 30),
    "limits.agents": (0, None),
    "limits.concurrency": (1, 1024),
    "limits.tokens": (0, None),
    "limits.cost_usd": (0, None),
    "limits.minutes": (0, None),
    "agents.attempts": (1, 100),
    "agents.backoff_s": (0, 3600),
    "agents.schema_rounds": (1, 100),
    "confirm.agents": (0, None),
    "confirm.cost_usd": (0, None),
    "estimate.usd_per_million_input": (0, None),
    "estimate.usd_per_million_output": (0, None),
}
"""Least and greatest value of a number; one that is not named here must be above 0."""

CHOICES: dict[str, tuple[str, ...]] = {
    "effort": ("low", "medium", "high", "xhigh", "max"),
    "allow": ("check", "ask", "files"),
}


def load_settings(project: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in force in `project`. Raises `UsageError` (`bad_config`)."""
    environ = os.environ if environ is None else environ
    layers: list[tuple[str, dict[str, Json]]] = []
    for path in (user_file(environ), project / ".pawl" / "config.toml"):
        if path is not None and (found := _read(path)) is not None:
            layers.append((str(path), found))
    if variables := _from_environment(environ):
        layers.append(("the environment", variables))
    if not layers:
        return Settings()
    merged: dict[str, Json] = {}
    for source, layer in layers:
        _check(layer, source)
        merged = _merge(merged, layer)
    return _validated(merged)


def user_file(environ: Mapping[str, str]) -> Path | None:
    """The user's own config file, whether it exists or not; None without a home folder."""
    if base := environ.get("XDG_CONFIG_HOME"):
        return Path(base) / "pawl" / "config.toml"
    home = environ.get("HOME")
    return Path(home) / ".config" / "pawl" / "config.toml" if home else None


def keys() -> dict[str, Any]:
    """Every key with its type, dotted: `limits.agents` → `int | None`."""
    return dict(_keys(Settings, ""))


def _keys(of: type, prefix: str) -> Iterator[tuple[str, Any]]:
    hints = get_type_hints(of)
    for field in dataclasses.fields(of):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            assert isinstance(kind, type)
            yield from _keys(kind, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", kind


def variable(key: str) -> str:
    """The PAWL_* variable of a key: `limits.agents` → `PAWL_LIMITS_AGENTS`."""
    return PREFIX + key.replace(".", "_").upper()


def _read(path: Path) -> dict[str, Json] | None:
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(
            f"{path}: cannot read the config file: {error.strerror}", code="bad_config", hint="Mend its rights."
        ) from error
    import tomllib

    try:
        return tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path}: not TOML: {error}", code="bad_config", hint="https://toml.io has the syntax."
        ) from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, Json]:
    """The settings that PAWL_* variables hold, nested.

    A variable of an unknown name is none of our business, unless it is so near to one of ours that it must be a slip.
    """
    known = {variable(key): key for key in keys()}
    out: dict[str, Json] = {}
    for name, text in sorted(environ.items()):
        if not name.startswith(PREFIX):
            continue
        key = known.get(name)
        if key is None:
            if close := difflib.get_close_matches(name, known, n=1, cutoff=0.9):
                raise UsageError(
                    f"the environment: {name} is no variable of Pawl",
                    code="bad_config",
                    hint=f"Did you mean {close[0]}?",
                )
            continue
        *section, last = key.split(".")
        target = out
        for part in section:
            target = target.setdefault(part, {})
        target[last] = _typed(text, keys()[key], name)
    return out


def _typed(text: str, kind: Any, name: str) -> Json:
    """A variable's text as its type: comma-separated lists, `none` for no value, numbers."""
    kinds = get_args(kind) if get_origin(kind) is not tuple else ()
    if text.lower() == "none" and type(None) in kinds:
        return None
    wanted = [k for k in kinds if k is not type(None)] or [kind]
    if get_origin(kind) is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    if wanted[0] in (int, float):
        try:
            return wanted[0](text)
        except ValueError:
            raise UsageError(
                f"{name}: expected {'a whole number' if wanted[0] is int else 'a number'}, found {text!r}",
                code="bad_config",
                hint=f"Mend or unset {name}.",
            ) from None
    return text


def _merge(under: dict[str, Json], over: dict[str, Json]) -> dict[str, Json]:
    out = dict(under)
    for key, value in over.items():
        out[key] = _merge(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


def _validated(layer: Mapping[str, Json]) -> Settings:
    """The dataclass that `layer` describes. Raises pydantic's `ValidationError`.

    By way of JSON text, because pydantic's strict mode (no `"5"` for 5, no `true` for 1) takes lists for tuples and
    tables for dataclasses only there.
    """
    import json

    from pydantic import TypeAdapter

    return TypeAdapter(Settings).validate_json(json.dumps(layer, default=str), strict=True)


def _check(layer: dict[str, Json], source: str) -> None:
    """Raises one `UsageError` with every problem of one file (or of the environment)."""
    problems = [*_unknown(layer, Settings, ""), *_misfits(layer), *_out_of_bounds(layer)]
    if problems:
        raise UsageError(
            "\n".join(f"{source}: {problem}" for problem in problems),
            code="bad_config",
            hint="docs/config.md lists every key.",
            source=source,
        )


def _unknown(layer: Mapping[str, Json], of: type, prefix: str) -> Iterator[str]:
    hints = get_type_hints(of)
    names = [field.name for field in dataclasses.fields(of)]
    for key, value in layer.items():
        if key not in names:
            close = difflib.get_close_matches(key, names, n=1)
            known = f"did you mean {prefix}{close[0]}?" if close else f"known: {', '.join(names)}"
            yield f"unknown key {prefix}{key}; {known}"
        elif dataclasses.is_dataclass(hints[key]) and isinstance(value, dict):
            kind = hints[key]
            assert isinstance(kind, type)
            yield from _unknown(value, kind, f"{prefix}{key}.")


def _misfits(layer: Mapping[str, Json]) -> Iterator[str]:
    from pydantic import ValidationError

    try:
        _validated(layer)
    except ValidationError as error:
        seen: set[str] = set()
        for detail in error.errors():
            key = _dotted(detail)
            if key not in seen:  # a union reports each of its members
                seen.add(key)
                yield f"{key}: expected {_expected(key)}, found {detail['input']!r}"


def _dotted(detail: ErrorDetails) -> str:
    known = keys()
    sections = {key.split(".")[0] for key in known if "." in key}
    parts = [str(part) for part in detail["loc"]]
    return ".".join(parts[:2]) if parts[0] in sections else parts[0]


def _expected(key: str) -> str:
    kind = keys().get(key)
    if kind is None:
        return "a table"
    if get_origin(kind) is tuple:
        return "a list of strings"
    names = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
    kinds = [k for k in (get_args(kind) or (kind,)) if k is not type(None)]
    return names.get(kinds[0], str(kinds[0]))


def _out_of_bounds(layer: Mapping[str, Json]) -> Iterator[str]:
    for key in keys():
        value: Json = layer
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            least, most = BOUNDS.get(key, (None, None))
            if not math.isfinite(value):
                yield f"{key}: expected a finite number, found {value!r}"
            elif key in BOUNDS and (value < (least or 0) or (most is not None and value > most)):
                yield f"{key}: expected {_range(least, most)}, found {value!r}"
            elif key not in BOUNDS and value <= 0:
                yield f"{key}: expected a number above 0, found {value!r}"
        for word in value if isinstance(value, list) else [value]:
            if key in CHOICES and isinstance(word, str) and word not in CHOICES[key]:
                yield f"{key}: expected one of {', '.join(CHOICES[key])}, found {word!r}"


def _range(least: float | None, most: float | None) -> str:
    low = least or 0
    return f"{low:g} or more" if most is None else f"{low:g} to {most:g}"
