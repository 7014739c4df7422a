"""What the person who starts a server allows its clients. Pure.

A client may ask for less than this, never for more: what it asks for above is refused, not quietly lowered, so that it
does not count on what it did not get. Fixed when the server starts: a client that can write the project's config gets
no more of it by that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import UsageError
from engine.settings import LimitSettings, Settings
from engine.values import Json

EFFECTS = frozenset({"ask", "check", "files"})

CAPS: dict[str, tuple[str, str, str]] = {
    "max_agents": ("agents", "agents", "--max-agents"),
    "max_cost_usd": ("cost_usd", "costUsd", "--max-cost"),
    "max_minutes": ("minutes", "minutes", "--max-minutes"),
    "budget_tokens": ("tokens", "tokens", "--budget"),
    "concurrency": ("concurrency", "concurrency", "--concurrency"),
}
"""A client's word → the word of the settings and the journal, the word of `meta.limits`, the flag."""


@dataclass(frozen=True, slots=True)
class Terms:
    """
    Attributes:
        journal: its file.
        settings: as they were when the server started.
        flags: caps that were given to the server, by the client's word for them; they replace the settings'.
        allow: host effects that runs may have.
        is_confirmed: `--yes`, or a cap: large runs need nobody's consent any more.
        backend, model: the default of runs, or None: the settings'.
    """

    project: Path
    journal: Path
    settings: Settings
    flags: Mapping[str, float] = field(default_factory=dict)
    allow: frozenset[str] = frozenset()
    is_confirmed: bool = False
    backend: str | None = None
    model: str | None = None

    def ceiling(self, name: str) -> float | None:
        """The most that a client may ask for; None is no cap."""
        given = self.flags.get(name)
        own: float | None = getattr(self.settings.limits, _own(name))
        return own if given is None else given


def caps_of_new(terms: Terms, asked: Mapping[str, Json], meta: Mapping[str, Json]) -> dict[str, float]:
    """The caps of a new run: what the client asked for, else the lowest of the ceiling and `meta.limits`.

    Raises:
        UsageError: `above_limit`.
    """
    limits = meta.get("limits")
    limits = limits if isinstance(limits, dict) else {}
    out: dict[str, float] = {}
    for name, (_, in_meta, _) in CAPS.items():
        ceiling = terms.ceiling(name)
        value = _within(name, asked.get(name), ceiling)
        if value is None:
            value = _lower(ceiling, limits.get(in_meta))
        if value is not None:
            out[name] = value
    return out


def caps_of_resumed(terms: Terms, asked: Mapping[str, Json], recorded: Mapping[str, Json]) -> dict[str, float]:
    """The caps of a resume. Above what is recorded only as far as a flag of the server goes: who set it is not known.

    Raises:
        UsageError: `above_limit`.
    """
    out: dict[str, float] = {}
    for name, (own, _, _) in CAPS.items():
        before, ceiling = recorded.get(own), terms.ceiling(name)
        most = ceiling if name in terms.flags or before is None else _lower(before, None)
        value = _within(name, asked.get(name), most)
        if value is None:
            value = _lower(before, ceiling)
        if value is not None:
            out[name] = value
    return out


def flags_of(caps: Mapping[str, float]) -> list[str]:
    """The words of the command line for caps."""
    out = []
    for name, value in caps.items():
        out += [CAPS[name][2], f"{value:.15g}"]
    return out


def allowed_again(terms: Terms, recorded: frozenset[str], *, is_changed: bool) -> frozenset[str]:
    """The host effects of a resume: as recorded for the same script and args, for somebody allowed those; of a changed
    run only what the server's person allows as well."""
    return (recorded & EFFECTS) & (terms.allow if is_changed else EFFECTS)


def _within(name: str, asked: Json, most: float | None) -> float | None:
    if asked is None:
        return None
    if most is not None and asked > most:
        raise UsageError(
            f"{name} {asked:g} is above what this server allows: {most:g}",
            code="above_limit",
            hint=f"Ask for at most {most:g}. Only a person raises it: pawl mcp {CAPS[name][2]} N, or the settings.",
            most=most,
        )
    return float(asked)


def _lower(first: float | None, second: Json) -> float | None:
    found = [float(v) for v in (first, second) if isinstance(v, int | float) and not isinstance(v, bool)]
    return min(found) if found else None


def _own(name: str) -> str:
    own = CAPS[name][0]
    assert own in LimitSettings.__slots__
    return own
