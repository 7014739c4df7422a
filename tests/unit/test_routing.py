"""Who answers: every way that a model can be asked for."""

from __future__ import annotations

import pytest

from engine.routing import Route, Routes, routes

MODELS = {"lite": ("openai:small", "big-one"), "standard": ("anthropic:usual",), "own": ("local",)}


def found(model, backend="openai:usual", *, is_own=False, models=MODELS):
    return routes(
        backend=backend,
        model=model,
        is_own_backend=is_own,
        models=models,
        is_backend=lambda word: word in ("openai", "anthropic", "local", "sample", "acp"),
    )


@pytest.mark.parametrize(
    ("model", "ways"),
    [
        (None, [Route("openai:usual")]),
        ("inherit", [Route("openai:usual")]),
        ("gpt-x", [Route("openai:usual", "gpt-x")]),
        ("anthropic:claude-x", [Route("anthropic:claude-x")]),
        ("qwen:8b", [Route("openai:usual", "qwen:8b")]),  # a model's name may hold a colon
        ("lite", [Route("openai:small"), Route("openai:usual", "big-one")]),
        ("haiku", [Route("openai:small"), Route("openai:usual", "big-one")]),
        ("own", [Route("local")]),
        ("openai:other", [Route("openai:other")]),
    ],
)
def test_a_model_is_a_name_a_reference_or_a_list_of_the_config(model, ways):
    assert found(model).ways == tuple(ways)


def test_a_call_that_names_its_backend_keeps_it():
    assert found("anthropic:claude-x", backend="acp:claude", is_own=True).ways == (
        Route("acp:claude", "anthropic:claude-x"),
    )
    assert found("openai:other", is_own=True).ways == (Route("openai:usual", "other"),)


def test_words_of_another_program_go_to_that_program_and_elsewhere_mean_our_tiers():
    assert found("opus", backend="cli:claude").ways == (Route("cli:claude", "opus"),)
    assert found("opus") == Routes("opus", (Route("openai:usual"),), unknown_tier="opus")
    assert found("sonnet").ways == (Route("anthropic:usual"),)


def test_the_config_may_name_those_words_itself():
    assert found("opus", backend="cli:claude", models={"opus": ("openai:huge",)}).ways == (Route("openai:huge"),)
