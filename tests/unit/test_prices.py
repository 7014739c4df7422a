"""What tokens cost: the list's prices, those of the config, and models that nobody has priced."""

from __future__ import annotations

import subprocess
import sys

import pytest

from engine.errors import UsageError
from engine.prices import Prices
from engine.settings import PriceSettings
from engine.values import Usage

MILLION = 1_000_000


@pytest.mark.parametrize(
    ("provider", "model", "usd"),
    [
        ("openai", "gpt-5-mini", 0.25 + 2.0),
        ("openai-responses", "gpt-5-mini", 0.25 + 2.0),
        ("openai", "gpt-5-mini-2025-08-07", 0.25 + 2.0),
        ("anthropic", "claude-haiku-4-5", 1.0 + 5.0),
        ("anthropic", "claude-haiku-4-5-20251001", 1.0 + 5.0),
        (None, "claude-haiku-4-5", 1.0 + 5.0),
    ],
)
def test_models_of_the_list(provider: str | None, model: str, usd: float) -> None:
    cost = Prices().cost_usd(provider, model, input_tokens=MILLION, output_tokens=MILLION)
    assert cost == pytest.approx(usd)


def test_tokens_of_the_cache_are_part_of_the_input_at_prices_of_their_own() -> None:
    cost = Prices().cost_usd(
        "anthropic",
        "claude-haiku-4-5",
        input_tokens=MILLION,
        output_tokens=0,
        cache_read_tokens=600_000,
        cache_write_tokens=200_000,
    )
    assert cost == pytest.approx(0.2 * 1.0 + 0.6 * 0.1 + 0.2 * 1.25)


def test_a_cache_that_was_counted_apart_is_counted() -> None:
    cost = Prices().cost_usd(
        "anthropic", "claude-haiku-4-5", input_tokens=10, output_tokens=0, cache_read_tokens=MILLION
    )
    assert cost == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "no-such-model"),
        ("nobody", "gpt-5"),
        ("ollama", "llama3"),
        (None, "mine"),
        (None, ""),
        ("sample", "sample"),
        ("local", "gpt-5"),
        ("acp", "gpt-5"),
        ("cli", "claude-haiku-4-5"),
        ("github-copilot", "gpt-4.1"),  # the list knows its name, and no price
    ],
)
def test_no_price_is_made_up(provider: str | None, model: str) -> None:
    assert Prices().cost_usd(provider, model, input_tokens=MILLION, output_tokens=MILLION) is None


def test_the_configs_prices_win() -> None:
    prices = Prices(
        {
            "gpt-5": PriceSettings(input=1, output=2),
            "azure:gpt-5": PriceSettings(input=3, output=4),
            "mine": PriceSettings(input=0, output=0),
        }
    )

    def cost(provider: str | None, model: str, asked: str | None = None) -> float | None:
        return prices.cost_usd(
            provider, model, input_tokens=MILLION, output_tokens=MILLION, cache_read_tokens=9, asked=asked
        )

    assert cost("openai", "gpt-5") == 3.0
    assert cost("azure", "gpt-5") == 7.0
    assert cost("cli", "gpt-5") == 3.0
    assert cost("openai", "gpt-5-2025-08-07", asked="gpt-5") == 3.0
    assert cost(None, "mine") == 0.0
    assert cost("openai", "no-such-model", asked="gpt-5-mini") == pytest.approx(2.25)


def test_a_first_call_reserves_what_it_may_cost() -> None:
    prices = Prices({"mine": PriceSettings(input=10, output=100)})
    assert prices.first_call("openai:mine") == Usage(0, 1000, 0.14)
    assert prices.first_call("openai:other", "mine") == Usage(0, 1000, 0.14)
    assert prices.first_call("mine") == Usage(0, 1000, 0.14)
    assert prices.first_call("openai:no-such-model") == Usage(0, 1000, 0.0)
    assert prices.first_call("sample") == Usage(0, 1000, 0.0)


@pytest.mark.parametrize(
    ("backend", "model"),
    [
        ("sample:usd=0.1", None),
        ("local", None),
        ("acp:claude", "sonnet"),
        ("cli:codex:x", None),
        ("openai:gpt-5", None),
    ],
)
def test_a_cap_on_money_holds_where_a_price_or_a_report_is(backend: str, model: str | None) -> None:
    Prices().require(backend, model)


@pytest.mark.parametrize(
    ("backend", "model", "shown", "name"),
    [
        ("openai:mine", None, "openai:mine", "mine"),
        ("openai:gpt-5", "mine", "openai:mine", "mine"),
        ("ollama:qwen3:8b", None, "ollama:qwen3:8b", "qwen3:8b"),
    ],
)
def test_a_cap_on_money_that_could_not_hold_is_refused(backend: str, model: str | None, shown: str, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        Prices().require(backend, model)
    assert caught.value.code == "price_unknown"
    assert caught.value.message == f"The cap on cost cannot hold: no price is known for {shown}."
    assert caught.value.hint == (
        f'Add to .pawl/config.toml: [prices."{name}"] with input = … and output = … (USD for a million tokens), '
        "or cap tokens instead: --budget TOKENS."
    )
    Prices({name: PriceSettings(input=0, output=0)}).require(backend, model)


def test_the_list_is_loaded_late_and_never_fetched() -> None:
    code = """
import socket, sys
from engine.prices import Prices
assert "genai_prices" not in sys.modules
def refuse(*args, **kwargs): raise AssertionError("a connection")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
print(Prices().cost_usd("openai", "gpt-5-mini", input_tokens=1000000, output_tokens=0))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0.25\n"
