"""Who answers a call: from what was asked (backend, model, tier) to a list of backends and models, best first. Pure.

A model is asked for by name (`gpt-5-mini`), by reference (`anthropic:claude-haiku-4-5`), or by a name of the config's
`[models]` (`lite`, `standard`, `max`, any other), each of which is a list: the next one is asked when one fails for
good. The words that scripts of other runtimes use for tiers mean ours where the backend has no models of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

TIERS = ("lite", "standard", "max")

SYNONYMS = {"haiku": "lite", "sonnet": "standard", "opus": "max"}
"""Claude Code's words for a small, an ordinary and a large model; scripts for it are full of them."""

KNOWS_SYNONYMS = ("cli:claude", "acp:claude")
"""Backends that take those words themselves."""

INHERIT = "inherit"
"""In agent definitions of other programs: the model of whoever asks."""


@dataclass(frozen=True, slots=True)
class Route:
    """One way to answer: a backend as `--backend` takes it, and a model other than the backend's own."""

    backend: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Routes:
    """All of them, best first; `asked` is the model in the words of whoever asked, for the record.

    Attributes:
        unknown_tier: a tier that was asked for and that the config does not name: the backend's own model answers.
    """

    asked: str | None
    ways: tuple[Route, ...]
    unknown_tier: str | None = None


def routes(
    *,
    backend: str,
    model: str | None,
    is_own_backend: bool,
    models: Mapping[str, tuple[str, ...]],
    is_backend: Callable[[str], bool],
) -> Routes:
    """
    Args:
        backend: of the call, or of the run.
        model: of the call, its definition, its phase, or the run; None for the backend's own.
        is_own_backend: the call names its backend: a model's reference does not overrule it.
        models: `[models]` of the config.
        is_backend: whether the word before a colon names a backend.
    """
    if model is None or model == INHERIT:
        return Routes(None, (Route(backend),))
    name = model
    if name not in models and name in SYNONYMS and not backend.startswith(KNOWS_SYNONYMS):
        name = SYNONYMS[name]
    if name in models:
        ways = tuple(_route(one, backend, is_own_backend=False, is_backend=is_backend) for one in models[name])
        return Routes(model, ways)
    if name in TIERS:
        return Routes(model, (Route(backend),), unknown_tier=model)
    return Routes(model, (_route(model, backend, is_own_backend=is_own_backend, is_backend=is_backend),))


def _route(reference: str, backend: str, *, is_own_backend: bool, is_backend: Callable[[str], bool]) -> Route:
    head, colon, rest = reference.partition(":")
    if not is_own_backend and (colon or head in ("local", "sample")) and is_backend(head):
        return Route(reference)
    if colon and backend.partition(":")[0] == head:
        return Route(backend, rest)
    return Route(backend, reference)
