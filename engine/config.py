"""Settings from outside: config files and PAWL_* variables, checked against the dataclasses of `settings`.

Precedence, weakest first: defaults, the user's file (`~/.config/pawl/config.toml`), the project's
(`.pawl/config.toml`), variables (`PAWL_BACKEND`, `PAWL_LIMITS_AGENTS`, …); flags come on top of all this, elsewhere.
An entry of a table whose names are free (`[prices."gpt-5"]`) replaces the weaker one of its name as a whole: half a
price, or the command of one server with the address of another, is nothing that anybody wrote.

pydantic validates, and is imported only when there is something to validate: most runs start without it. Every
problem is one `UsageError` that says file, key, expected, found and the nearest known name.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard, cast, get_args, get_origin, get_type_hints

from engine.errors import UsageError
from engine.settings import Settings
from engine.values import Json

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
    "confirm.tokens": (0, None),
    "confirm.cost_usd": (0, None),
    "prices.*.input": (0, None),
    "prices.*.output": (0, None),
    "estimate.usd_per_million_input": (0, None),
    "estimate.usd_per_million_output": (0, None),
}
"""Least and greatest value of a number; one that is not named here must be above 0."""

CHOICES: dict[str, tuple[str, ...]] = {
    "effort": ("low", "medium", "high", "xhigh", "max"),
    "allow": ("check", "ask", "files"),
    "tools.confine": ("auto", "require", "off"),
    "programs.*.output": ("text", "claude", "codex", "opencode"),
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
        merged = _merge(merged, layer, Settings)
    return _validated(merged)


def user_file(environ: Mapping[str, str]) -> Path | None:
    """The user's own config file, whether it exists or not; None without a home folder."""
    if base := environ.get("XDG_CONFIG_HOME"):
        return Path(base) / "pawl" / "config.toml"
    home = environ.get("HOME")
    return Path(home) / ".config" / "pawl" / "config.toml" if home else None


def keys() -> dict[str, Any]:
    """Every key with its type, dotted: `limits.agents` → `int | None`. A `*` is for a name of the user's."""
    return dict(_keys(Settings, ""))


def _keys(of: type, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, kind in _fields(of).items():
        key, entry = f"{prefix}{name}", _entry(kind)
        if _is_described(kind):
            yield from _keys(kind, f"{key}.")
        elif _is_described(entry):
            yield from _keys(entry, f"{key}.*.")
        elif get_origin(entry) is tuple:
            yield f"{key}.*", entry
        else:
            yield key, kind


def _fields(of: Any) -> dict[str, Any]:
    """The fields of a dataclass with their types."""
    hints = get_type_hints(of)
    return {field.name: hints[field.name] for field in dataclasses.fields(of)}


def _entry(kind: Any) -> Any:
    """The type of the values of a table whose names are free; None for anything else."""
    return get_args(kind)[1] if get_origin(kind) is dict else None


def _is_described(kind: Any) -> TypeGuard[type]:
    """Whether a dataclass says what a table of this type may hold."""
    return dataclasses.is_dataclass(kind)


def _quoted(name: str) -> str:
    """A name of the user's as TOML has it in a key."""
    import json

    return name if re.fullmatch(r"\w+", name, re.ASCII) else json.dumps(name, ensure_ascii=False)


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
    known = {variable(key): key for key in keys() if "*" not in key}
    tables = {variable(name): name for name, kind in _fields(Settings).items() if _entry(kind) is not None}
    out: dict[str, Json] = {}
    for name, text in sorted(environ.items()):
        if not name.startswith(PREFIX):
            continue
        key = known.get(name)
        if name in tables:
            raise UsageError(
                f"the environment: {name} cannot be set: {tables[name]} is a table",
                code="bad_config",
                hint=f"Write it in .pawl/config.toml, below [{tables[name]}].",
            )
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
    """A variable's text as its type: comma-separated lists, `none` for no value, numbers, `true` and `false`."""
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
    if wanted[0] is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    return text


def _merge(under: Mapping[str, Json], over: Mapping[str, Json], of: type) -> dict[str, Json]:
    out = dict(under)
    for name, kind in _fields(of).items():
        if name not in over:
            continue
        if _is_described(kind):
            out[name] = _merge(under.get(name, {}), over[name], kind)
        elif _entry(kind) is not None:
            out[name] = {**under.get(name, {}), **over[name]}
        else:
            out[name] = over[name]
    return out


def _validated(layer: Mapping[str, Json]) -> Settings:
    """The dataclass that `layer` describes. Raises pydantic's `ValidationError`.

    By way of JSON text, because pydantic's strict mode (no `"5"` for 5, no `true` for 1) takes lists for tuples and
    tables for dataclasses only there.
    """
    import json

    from pydantic import TypeAdapter

    return TypeAdapter(Settings).validate_json(json.dumps(_with_lists(layer), default=str), strict=True)


def _with_lists(layer: Mapping[str, Json]) -> dict[str, Json]:
    """`layer` with a list for each single model: `lite = "x"` is `lite = ["x"]`."""
    models = layer.get("models")
    if not isinstance(models, dict):
        return dict(layer)
    return {**layer, "models": {name: [one] if isinstance(one, str) else one for name, one in models.items()}}


def _check(layer: dict[str, Json], source: str) -> None:
    """Raises one `UsageError` with every problem of one file (or of the environment)."""
    problems = [*_unknown(layer, Settings, ""), *_misfits(layer), *_out_of_bounds(layer), *_senseless(layer)]
    if problems:
        raise UsageError(
            "\n".join(f"{source}: {problem}" for problem in problems),
            code="bad_config",
            hint="docs/config.md lists every key.",
            source=source,
        )


def _unknown(layer: Mapping[str, Json], of: type, prefix: str) -> Iterator[str]:
    fields = _fields(of)
    for key, value in layer.items():
        if key not in fields:
            close = difflib.get_close_matches(key, fields, n=1)
            known = f"did you mean {prefix}{close[0]}?" if close else f"known: {', '.join(fields)}"
            yield f"unknown key {prefix}{_quoted(key)}; {known}"
        elif isinstance(value, dict):
            for table, kind, place in _tables(value, fields[key], f"{prefix}{key}"):
                yield from _unknown(table, kind, f"{place}.")


def _tables(value: dict[str, Json], kind: Any, place: str) -> Iterator[tuple[dict[str, Json], type, str]]:
    """The tables in `value` that a dataclass describes: itself, or its entries."""
    if _is_described(kind):
        yield value, kind, place
    elif _is_described(entry := _entry(kind)):
        for name, one in value.items():
            if isinstance(one, dict):
                yield one, entry, f"{place}.{_quoted(name)}"


def _misfits(layer: Mapping[str, Json]) -> Iterator[str]:
    from pydantic import ValidationError

    try:
        _validated(layer)
    except ValidationError as error:
        seen: set[str] = set()
        for detail in error.errors():
            key, kind = _place(detail["loc"])
            if key not in seen:  # a union reports each of its members
                seen.add(key)
                found = "found nothing" if detail["type"] == "missing" else f"found {detail['input']!r}"
                yield f"{key}: expected {_expected(key, kind)}, {found}"


def _place(loc: Sequence[int | str]) -> tuple[str, Any]:
    """The key that an error of pydantic is about, as a person writes it, and the type of its value."""
    key, kind = "", cast(Any, Settings)
    for part in loc:
        if _is_described(kind):
            key, kind = f"{key}.{part}", _fields(kind)[str(part)]
        elif (entry := _entry(kind)) is not None:
            key, kind = f"{key}.{_quoted(str(part))}", entry
        else:
            break  # an element of a list, a member of a union
    return key.removeprefix("."), kind


def _expected(key: str, kind: Any) -> str:
    if _is_described(kind) or _entry(kind) is not None:
        return "a table"
    if get_origin(kind) is tuple:
        return "a string or a list of strings" if key.startswith("models.") else "a list of strings"
    names = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
    kinds = [k for k in (get_args(kind) or (kind,)) if k is not type(None)]
    return names.get(kinds[0], str(kinds[0]))


class Value(NamedTuple):
    """A value of a layer: its key as `keys` has it, the key as a person wrote it, and what was found there."""

    key: str
    written: str
    found: Json


def _values(layer: Mapping[str, Json]) -> Iterator[Value]:
    for key in keys():
        found = [Value(key, "", layer)]
        for part in key.split("."):
            found = [inner for value in found for inner in _inside(value, part)]
        yield from found


def _inside(value: Value, part: str) -> Iterator[Value]:
    if isinstance(value.found, dict):
        for name in value.found if part == "*" else [part]:
            if name in value.found:
                shown = _quoted(name) if part == "*" else name
                yield Value(value.key, f"{value.written}.{shown}".removeprefix("."), value.found[name])


def _out_of_bounds(layer: Mapping[str, Json]) -> Iterator[str]:
    for key, written, value in _values(layer):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            least, most = BOUNDS.get(key, (None, None))
            if not math.isfinite(value):
                yield f"{written}: expected a finite number, found {value!r}"
            elif key in BOUNDS and (value < (least or 0) or (most is not None and value > most)):
                yield f"{written}: expected {_range(least, most)}, found {value!r}"
            elif key not in BOUNDS and value <= 0:
                yield f"{written}: expected a number above 0, found {value!r}"
        for word in value if isinstance(value, list) else [value]:
            if key in CHOICES and isinstance(word, str) and word not in CHOICES[key]:
                yield f"{written}: expected one of {', '.join(CHOICES[key])}, found {word!r}"


def _range(least: float | None, most: float | None) -> str:
    low = least or 0
    return f"{low:g} or more" if most is None else f"{low:g} to {most:g}"


def _senseless(layer: Mapping[str, Json]) -> Iterator[str]:
    """What has the right types and still cannot be used."""
    for key, written, value in _values(layer):
        if value == [] and key in ("models.*", "programs.*.command"):
            yield f"{written}: expected at least one, found an empty list"
    servers = layer.get("mcp")
    for name, server in servers.items() if isinstance(servers, dict) else ():
        if isinstance(server, dict) and bool(server.get("command")) == bool(server.get("url")):
            found = "both" if server.get("url") else "neither"
            yield f"mcp.{_quoted(name)}: expected either command or url, found {found}"
