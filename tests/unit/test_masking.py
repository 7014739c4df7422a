"""Secrets are found where values enter a run (I9), and finding them stops nobody (I5)."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.masking import Hit, Masker
from engine.settings import SecretSettings

VALUE = 'multi"line\nsecret-value'
MASKER = Masker(
    SecretSettings(patterns=(r"INT-\d{4}",)),
    {"MY_API_KEY": VALUE, "X_TOKEN": "short", "HOME": "/srv/somebody", "B_TOKEN": "plain-token-value"},
)

SECRETS = {
    "openai_key": "sk-proj-abcDEF1234567890_abcdefgh",
    "anthropic_key": "sk-ant-api03-abcdefghij1234567890",
    "github_token": "ghp_" + "a1B2" * 9,
    "gitlab_token": "glpat-" + "x9" * 10,
    "aws_key_id": "AKIA" + "ABCD1234" * 2,
    "google_key": "AIza" + "B" * 35,
    "slack_token": "xoxb-1234567890-abcdef",
    "stripe_key": "sk_live_" + "a1" * 12,
    "npm_token": "npm_" + "k" * 36,
    "pypi_token": "pypi-" + "A" * 60,
    "hugging_face_token": "hf_" + "Ab1" * 11,
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1g",
    "private_key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
    "MY_API_KEY": VALUE,
    "B_TOKEN": "plain-token-value",
    "pattern": "INT-2026",
}


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("around", ["{}", "key={} end", '{{"key": "{}"}}', "a\n{}\nb", "'{}'", "({})"])
def test_I9_a_known_secret_is_masked_wherever_it_stands(kind: str, around: str) -> None:
    text, hits = MASKER.mask_text(around.format(SECRETS[kind]))
    assert text == around.format(f"[secret:{kind}]")
    assert hits == [Hit(kind, "")]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abcDEF123456.7890-_x", "Authorization: Bearer [secret:bearer]"),
        ("postgres://me:pass/word@db".replace("/word", "word"), "postgres://me:[secret:url_password]@db"),
        ('"aws_secret_access_key": "' + "aB3/" * 10 + '"', '"aws_secret_access_key": "[secret:aws_secret]"'),
        (
            "https://hooks.slack.com/services/T01/B02/abcdefgh12345",
            "https://hooks.slack.com/services/[secret:slack_webhook]",
        ),
        ("-----BEGIN PRIVATE KEY-----\ncut off", "[secret:private_key]"),
        (json.dumps({"env": VALUE}), '{"env": "[secret:MY_API_KEY]"}'),
        ("two: INT-1234 INT-5678", "two: [secret:pattern] [secret:pattern]"),
        ("glued INT-1234INT-5678.", "glued [secret:pattern][secret:pattern]."),
    ],
)
def test_I9_a_secret_is_masked_without_what_stands_around_it(text: str, masked: str) -> None:
    assert MASKER.mask_text(text)[0] == masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "short",
        "/srv/somebody",
        "sk-learn-is-a-long-name-without-digits",
        "task-1234567890123456789012345",
        "Bearer authentication-is-described-there",
        "see https://example.com:8080/a?b=c and http://[::1]:80/",
        "eyJ is how base64 of JSON begins. eyJ.eyJ.x",
        "AKIA is four letters; AKIAABCDEFGHIJKLMNOPQRST is too long",
        "the PRIVATE KEY in the drawer",
    ],
)
def test_what_is_no_secret_stays_the_same_object(text: str) -> None:
    assert MASKER.mask_text(text) == (text, [])
    value = {"a": [text, {text: 1}], "n": None}
    masked, hits = MASKER.mask_json(value)
    assert masked is value
    assert hits == []


def test_I9_values_are_masked_with_their_keys_and_places() -> None:
    value = {"list": ["x", {"INT-1111": 1, "INT-2222": 2}], "a/b": {"c~": "is INT-3333"}, "n": 5}
    masked, hits = MASKER.mask_json(value)
    assert masked == {
        "list": ["x", {"[secret:pattern]": 1, "[secret:pattern]'": 2}],
        "a/b": {"c~": "is [secret:pattern]"},
        "n": 5,
    }
    assert list(masked) == ["list", "a/b", "n"]
    assert hits == [
        Hit("pattern", "/a~1b/c~0"),
        Hit("pattern", "/list/1/[secret:pattern]"),
        Hit("pattern", "/list/1/[secret:pattern]'"),
    ]
    assert value["list"][1] == {"INT-1111": 1, "INT-2222": 2}  # type: ignore[index]  # what came in is untouched


@given(parts=st.lists(st.one_of(st.text(max_size=20), st.sampled_from(sorted(SECRETS.values()))), max_size=6))
def test_I9_what_is_masked_once_holds_no_secret(parts: list[str]) -> None:
    text = " ".join(parts)
    masked, hits = MASKER.mask_text(text)
    assert MASKER.mask_text(masked) == (masked, [])
    assert not any(secret in masked for secret in SECRETS.values())
    assert len(hits) >= (1 if any(part in SECRETS.values() for part in parts) else 0)


def test_a_value_may_be_deeper_than_the_stack() -> None:
    value: Any = "INT-1234"
    for _ in range(100_000):
        value = [value]
    masked, hits = MASKER.mask_json(value)
    for _ in range(100_000):
        masked = masked[0]
    assert masked == "[secret:pattern]"
    assert len(hits) == 1
    del value


@pytest.mark.parametrize(
    "piece",
    [
        "eyJ",
        "eyJ.",
        "eyJeyJeyJeyJ.",
        "sk-",
        "sk-a",
        "-----BEGIN PRIVATE KEY-----",
        "://a:",
        "bearer ",
        "xoxb-",
        "secret_access_key",
        "ghp_",
        "AKIA",
        "hooks.slack.com/services/",
        "pypi-",
        "INT-",
    ],
)
def test_I5_masking_takes_time_linear_in_the_text(piece: str) -> None:
    text = piece * (400_000 // len(piece))
    started = time.process_time()
    MASKER.mask_text(text)
    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "secrets.patterns: '(' is not a regular expression: missing ), unterminated subpattern at position 0"),
        ("x*", "secrets.patterns: 'x*' matches the empty text, so it would find secrets nowhere or everywhere"),
    ],
)
def test_a_bad_pattern_of_the_user_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Masker(SecretSettings(patterns=(pattern,)), {})
    assert caught.value.message == message
    assert caught.value.code == "bad_pattern"
