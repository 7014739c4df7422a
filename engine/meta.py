"""What a script says of itself: the members of `meta`, checked (S04, S05). The value comes from the parser child."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from engine.values import Json

KEYS = ("name", "description", "whenToUse", "phases", "model", "args", "limits", "permissions", "dialect")
LIMIT_KEYS = ("agents", "concurrency", "tokens", "costUsd", "minutes")
PHASE_KEYS = ("title", "detail", "model")
PERMISSIONS = ("check", "ask", "files")
DIALECTS = ("pawl", "mimo")
"""Where runtimes differ, whose rules hold (S16)."""
MAX_CONCURRENCY = 1024
_WHOLE_LIMITS = ("agents", "concurrency", "tokens")


@dataclass(frozen=True, slots=True)
class Phase:
    """One part of the run as the script announces it."""

    title: str
    detail: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class MetaLimits:
    """`meta.limits`: each lowers the user's setting, never raises it."""

    agents: int | None = None
    concurrency: int | None = None
    tokens: int | None = None
    cost_usd: float | None = None
    minutes: float | None = None


@dataclass(frozen=True, slots=True)
class Meta:
    """`meta` of a script that may run. `raw` is the whole literal as JSON."""

    name: str
    description: str
    when_to_use: str | None = None
    phases: tuple[Phase, ...] = ()
    model: str | None = None
    args_schema: dict[str, Json] | None = None
    limits: MetaLimits = MetaLimits()
    permissions: tuple[str, ...] = ()
    dialect: str | None = None
    raw: dict[str, Json] = field(default_factory=dict)


class MetaProblem(NamedTuple):
    """Something about one member. `path` is its place in `meta`; `is_key` when the key itself is meant."""

    severity: Literal["error", "warning"]
    rule: str
    code: str
    path: tuple[str | int, ...]
    is_key: bool
    message: str
    hint: str


def read(raw: dict[str, Json]) -> tuple[Meta, list[MetaProblem]]:
    """The members that fit, and every problem. With an error among the problems the `Meta` must not be used."""
    problems = list(_problems(raw))
    limits = raw.get("limits")
    limits = limits if isinstance(limits, dict) else {}
    permissions = raw.get("permissions")
    schema = raw.get("args")
    meta = Meta(
        name=_text(raw.get("name")) or "",
        description=_text(raw.get("description")) or "",
        when_to_use=_text(raw.get("whenToUse")),
        phases=tuple(_phases(raw.get("phases"))),
        model=_text(raw.get("model")),
        args_schema=schema if isinstance(schema, dict) else None,
        limits=MetaLimits(
            agents=limits.get("agents"),
            concurrency=limits.get("concurrency"),
            tokens=limits.get("tokens"),
            cost_usd=limits.get("costUsd"),
            minutes=limits.get("minutes"),
        ),
        permissions=tuple(sorted(set(_texts(permissions)))),
        dialect=_text(raw.get("dialect")),
        raw=raw,
    )
    return meta, problems


def near(word: str, known: tuple[str, ...]) -> str:
    """` Did you mean `x`?` when a known word is close, else an empty text."""
    from difflib import get_close_matches

    lower = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), lower, n=1, cutoff=0.7)
    return f" Did you mean `{lower[found[0]]}`?" if found else ""


def _problems(raw: dict[str, Json]) -> Iterator[MetaProblem]:
    yield from _required(raw)
    for key in raw:
        if key not in KEYS:
            yield MetaProblem(
                "warning", "S04", "meta_unknown_key", (key,), True,
                f"meta has no member `{_cut(key)}`; it is ignored.{near(key, KEYS)}",
                f"Known members: {', '.join(KEYS)}.",
            )  # fmt: skip
    for key in ("whenToUse", "model"):
        if key in raw and _text(raw[key]) is None:
            yield MetaProblem(
                "warning", "S04", "meta_ignored", (key,), False,
                f"meta.{key} must be a non-empty string; found {_kind(raw[key])}. It is ignored.",
                f"Write: {key}: '…'",
            )  # fmt: skip
    if "phases" in raw:
        yield from _phase_problems(raw["phases"])
    if "args" in raw and not isinstance(raw["args"], dict):
        yield MetaProblem(
            "error", "S05", "meta_args", ("args",), False,
            f"meta.args must be a JSON Schema, an object; found {_kind(raw['args'])}.",
            "Write: args: { type: 'object', properties: { topic: { type: 'string' } }, required: ['topic'] }",
        )  # fmt: skip
    if "limits" in raw:
        yield from _limit_problems(raw["limits"])
    if "permissions" in raw:
        yield from _permission_problems(raw["permissions"])
    if "dialect" in raw and raw["dialect"] not in DIALECTS:
        yield MetaProblem(
            "error", "S16", "meta_dialect", ("dialect",), False,
            f"meta.dialect must be one of {', '.join(DIALECTS)}; found {_kind(raw['dialect'])}.",
            "Leave it out, or write: dialect: 'mimo'",
        )  # fmt: skip


def _required(raw: dict[str, Json]) -> Iterator[MetaProblem]:
    examples = {"name": "name: 'review-changes'", "description": "description: 'Reviews the changes of this branch.'"}
    for key, example in examples.items():
        if key not in raw:
            yield MetaProblem(
                "error", "S04", "meta_required", (), False, f"meta.{key} is missing.", f"Add to meta: {example}"
            )
        elif _text(raw[key]) is None:
            found = "an empty string" if isinstance(raw[key], str) else _kind(raw[key])
            yield MetaProblem(
                "error", "S04", "meta_required", (key,), False,
                f"meta.{key} must be a non-empty string; found {found}.", f"Write: {example}",
            )  # fmt: skip


def _phase_problems(phases: Json) -> Iterator[MetaProblem]:
    hint = "Write: phases: [{ title: 'Find', detail: 'Look for problems' }, { title: 'Fix' }]"
    if not isinstance(phases, list):
        yield MetaProblem(
            "warning", "S04", "meta_phases", ("phases",), False,
            f"meta.phases must be an array; found {_kind(phases)}. It is ignored.", hint,
        )  # fmt: skip
        return
    titles: set[str] = set()
    for number, phase in enumerate(phases):
        path = ("phases", number)
        if not isinstance(phase, dict):
            yield MetaProblem(
                "warning", "S04", "meta_phases", path, False,
                f"A phase must be an object with a title; found {_kind(phase)}. It is ignored.",
                f"Write: {{ title: '{_cut(phase)}' }}" if isinstance(phase, str) else hint,
            )  # fmt: skip
            continue
        title = _text(phase.get("title"))
        if title is None:
            where, found = ((*path, "title"), _kind(phase["title"])) if "title" in phase else (path, "none")
            yield MetaProblem(
                "warning", "S04", "meta_phases", where, False,
                f"The title of a phase must be a non-empty string; found {found}. The phase is ignored.", hint,
            )  # fmt: skip
        elif title in titles:
            yield MetaProblem(
                "warning", "S04", "meta_phases", (*path, "title"), False,
                f"The title {_cut(title)!r} occurs twice; the two phases are shown as one.",
                "Give each phase a title of its own.",
            )  # fmt: skip
        else:
            titles.add(title)
        for key in phase:
            if key not in PHASE_KEYS:
                yield MetaProblem(
                    "warning", "S04", "meta_phases", (*path, key), True,
                    f"A phase has no member `{_cut(key)}`; it is ignored.{near(key, PHASE_KEYS)}",
                    f"Known members: {', '.join(PHASE_KEYS)}.",
                )  # fmt: skip
            elif key != "title" and _text(phase[key]) is None:
                yield MetaProblem(
                    "warning", "S04", "meta_phases", (*path, key), False,
                    f"`{key}` of a phase must be a non-empty string; found {_kind(phase[key])}. It is ignored.", hint,
                )  # fmt: skip


def _limit_problems(limits: Json) -> Iterator[MetaProblem]:
    hint = "Write, for example: limits: { agents: 50, costUsd: 2.5, minutes: 30 }"
    if not isinstance(limits, dict):
        yield MetaProblem(
            "error", "S05", "meta_limits", ("limits",), False,
            f"meta.limits must be an object; found {_kind(limits)}.", hint,
        )  # fmt: skip
        return
    for key, value in limits.items():
        path = ("limits", key)
        if key not in LIMIT_KEYS:
            yield MetaProblem(
                "warning", "S05", "meta_limits", path, True,
                f"There is no limit `{_cut(key)}`; it is ignored.{near(key, LIMIT_KEYS)}",
                f"Known limits: {', '.join(LIMIT_KEYS)}.",
            )  # fmt: skip
            continue
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        is_whole = key not in _WHOLE_LIMITS or isinstance(value, int)
        too_many = key == "concurrency" and is_number and value > MAX_CONCURRENCY
        if not is_number or not is_whole or too_many:
            expected = "a whole number above 0" if key in _WHOLE_LIMITS else "a number above 0"
            expected += f", at most {MAX_CONCURRENCY:,}" if key == "concurrency" else ""
            yield MetaProblem(
                "error", "S05", "meta_limits", path, False,
                f"meta.limits.{key} must be {expected}; found {_kind(value)}.", hint,
            )  # fmt: skip


def _permission_problems(permissions: Json) -> Iterator[MetaProblem]:
    hint = "Write, for example: permissions: ['check', 'files']"
    if not isinstance(permissions, list):
        yield MetaProblem(
            "error", "S05", "meta_permissions", ("permissions",), False,
            f"meta.permissions must be an array of {', '.join(PERMISSIONS)}; found {_kind(permissions)}.", hint,
        )  # fmt: skip
        return
    for number, name in enumerate(permissions):
        if isinstance(name, dict) and "permission" in name:
            yield MetaProblem(
                "warning", "S16", "meta_permissions", ("permissions", number), False,
                "A permission for tools of agents, as MiMo Code has them, is ignored.",
                "Say what agents may do in the settings: docs/permissions.md. Host effects are: permissions: ['files']",
            )  # fmt: skip
        elif name not in PERMISSIONS:
            suggestion = near(name, PERMISSIONS) if isinstance(name, str) else ""
            yield MetaProblem(
                "error", "S05", "meta_permissions", ("permissions", number), False,
                f"There is no permission {_kind(name)}; known are {', '.join(PERMISSIONS)}.{suggestion}", hint,
            )  # fmt: skip


def _phases(phases: Json) -> Iterator[Phase]:
    seen: set[str] = set()
    for phase in phases if isinstance(phases, list) else ():
        title = _text(phase.get("title")) if isinstance(phase, dict) else None
        if title is not None and title not in seen:
            seen.add(title)
            yield Phase(title, _text(phase.get("detail")), _text(phase.get("model")))


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _texts(value: Json) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _kind(value: Json) -> str:
    """What was found, short: the value itself where that says more than its kind."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, str):
        return f"'{_cut(value)}'"
    return (
        {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else str(value)
    )
