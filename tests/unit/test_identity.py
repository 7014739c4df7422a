"""Keys and identities: what changes them, what does not, and that they are the same on every machine."""

from __future__ import annotations

import pytest

from engine.identity import call_identity, call_key, canonical, record_hash

PROMPT = {"prompt": "Find bugs in äöü ☃"}


def test_canonical_text_sorts_keys_and_spends_no_space() -> None:
    assert (
        canonical({"b": [1, 1.5, None], "a": {"d": "ü", "c": True}})
        == '{"a":{"c":true,"d":"ü"},"b":[1,1.5,null]}'.encode()
    )


def test_I4_a_key_is_the_same_on_every_machine_and_for_ever() -> None:
    """Changing this makes every journal out there run everything again: a new tag, and a decision record."""
    assert call_key("agent", PROMPT).hex() == "70d8e8b5da07fbe3ae723fe025b4b30f670b58c4afeb466c6edc3e870d550b6e"


def test_the_order_of_options_does_not_matter() -> None:
    assert call_key("agent", {"model": "m", "prompt": "p"}) == call_key("agent", {"prompt": "p", "model": "m"})


@pytest.mark.parametrize("option", ["timeoutMinutes", "retry", "cache"])
def test_how_a_call_is_carried_out_is_not_in_its_key(option: str) -> None:
    assert call_key("agent", {**PROMPT, option: 1}) == call_key("agent", PROMPT)


@pytest.mark.parametrize(
    "option", ["schema", "model", "effort", "tools", "isolation", "cwd", "goal", "check", "backend"]
)
def test_what_can_change_the_answer_is_in_the_key(option: str) -> None:
    assert call_key("agent", {**PROMPT, option: "x"}) != call_key("agent", PROMPT)


def test_kind_and_the_text_of_the_definition_are_in_the_key() -> None:
    keys = {
        call_key("agent", PROMPT),
        call_key("check", PROMPT),
        call_key("agent", PROMPT, "a"),
        call_key("agent", PROMPT, "b"),
    }
    assert len(keys) == 4


def test_identity_is_key_history_and_occurrence() -> None:
    one, other = bytes(32), bytes(31) + b"\1"
    identities = {call_identity(k, h, n) for k in (one, other) for h in (one, other) for n in (0, 1)}
    assert len(identities) == 8


def test_a_call_that_ran_again_is_another_record() -> None:
    identity = call_identity(bytes(32), bytes(32), 0)
    assert record_hash(identity, 0) != record_hash(identity, 1)
    assert 0 <= record_hash(identity, 0) < 1 << 256
