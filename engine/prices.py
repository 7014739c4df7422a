"""What tokens cost, in US dollars: the config's prices first, then a list that is installed with us.

The list is that of `genai-prices`. It is loaded when the first price is asked for and is never fetched or renewed: the
same tokens cost the same tomorrow, with a network or without. No price is made up: a model that nobody has priced has
None, and whoever asked says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.errors import UsageError
from engine.limits import FIRST_CALL
from engine.settings import PriceSettings
from engine.values import Json, Usage

UNLISTED = ("sample", "local", "acp", "cli")
"""Backends whose models are on no list: free ones, and programs, which say themselves what they have spent."""

FIRST_INPUT_TOKENS = 4000
"""What a first call is taken to read: a prompt, and the first files. FIRST_CALL says what it is taken to write."""

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """
    Attributes:
        overrides: `[prices]` of the config, by model: `gpt-5`, or `openai:gpt-5` for that service alone.
    """

    overrides: Mapping[str, PriceSettings] = field(default_factory=dict)

    def cost_usd(
        self,
        provider: str | None,
        model: str,
        *,
        input_tokens: int,
        output_tokens: int,
        cache_read_tokens: int = 0,
        cache_write_tokens: int = 0,
        asked: str | None = None,
    ) -> float | None:
        """What these tokens cost; None where no price is known.

        Args:
            provider: the service as backends name it; None when only the model's name is known.
            model: as it answered, or as it is asked for.
            asked: the name that it was asked by, when it answers by another (`gpt-5` as `gpt-5-2025-08-07`).
            input_tokens: all of them, those of the cache included, as providers' own totals have it.
        """
        names = (model,) if asked is None or asked == model else (model, asked)
        for name in names:
            own = self.overrides.get(f"{provider}:{name}") or self.overrides.get(name)
            if own is not None:
                return (input_tokens * own.input + output_tokens * own.output) / MILLION
        if provider in UNLISTED:
            return None
        tokens = {
            # A service that counts its cache apart would make the list refuse: what was read from it was read.
            "input_tokens": max(input_tokens, cache_read_tokens + cache_write_tokens),
            "output_tokens": output_tokens,
            "cache_read_tokens": cache_read_tokens,
            "cache_write_tokens": cache_write_tokens,
        }
        return next((usd for name in names if (usd := _listed(provider, name, tokens)) is not None), None)

    def first_call(self, backend: str, model: str | None = None) -> Usage:
        """What to reserve for a call before any with its model has finished, so that a cap on money holds from the
        first calls on. Without a known price: no money.

        Args:
            backend: `openai:gpt-5`, or a model's name alone.
            model: other than the backend's own.
        """
        provider, name = _split(backend, model)
        usd = self.cost_usd(
            provider, name, input_tokens=FIRST_INPUT_TOKENS, output_tokens=FIRST_CALL.output_tokens
        )  # fmt: skip
        return Usage(0, FIRST_CALL.output_tokens, usd or 0.0)

    def require(self, backend: str, model: str | None = None) -> None:
        """For a run with a cap on money. Raises `UsageError` (`price_unknown`) for a model that would never reach it.

        Programs pass: they report what they spend.
        """
        provider, name = _split(backend, model)
        if provider in UNLISTED or self.cost_usd(provider, name, input_tokens=0, output_tokens=0) is not None:
            return
        shown = f"{provider}:{name}" if provider else name
        raise UsageError(
            f"The cap on cost cannot hold: no price is known for {shown}.",
            code="price_unknown",
            hint=f'Add to .pawl/config.toml: [prices."{name}"] with input = … and output = … (USD for a million '
            "tokens), or cap tokens instead: --budget TOKENS.",
            model=shown,
        )


def price_unknown(who: str, model: str | None) -> dict[str, Json]:
    """What a run is told of a backend whose tokens have no price: it must not look free."""
    of = model or f"the model of {who}"
    return {
        "notice": f"No price is known for {of}: its calls count as $0. Add to the config: "
        f'[prices."{model or "MODEL"}"] with input = … and output = … (USD for a million tokens).',
        "code": "price_unknown",
    }


def _split(backend: str, model: str | None) -> tuple[str | None, str]:
    """`openai:gpt-5` → openai and gpt-5; `gpt-5` → None and gpt-5. A program's own name is no model."""
    head, colon, rest = backend.partition(":")
    if not colon and head not in UNLISTED:
        return None, model or backend
    return head, model or rest


def _listed(provider: str | None, model: str, tokens: Mapping[str, int]) -> float | None:
    try:
        from genai_prices import Usage as Tokens
        from genai_prices import calc_price
    except ImportError:  # it comes with the library of the services, without which none is asked
        return None
    try:
        found = calc_price(Tokens(**tokens), model, provider_id=provider)
    except (LookupError, ValueError):  # no such service, no such model; a price that these tokens cannot have
        return None
    price = found.model_price
    if price.input_mtok is None and price.output_mtok is None and not found.model.id.endswith(":free"):
        return None  # the list has its name and nothing more
    return float(found.total_price)
