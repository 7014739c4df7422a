"""When a service says that a limit will be lifted, in all the ways that services say it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine.agents.failures import reset_s

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        (
            {
                "anthropic-ratelimit-requests-reset": "2026-01-01T12:00:30Z",
                "anthropic-ratelimit-requests-remaining": "0",
            },
            30,
        ),
        # Of those that are used up, the one that lasts longest; one with something left does not count.
        (
            {
                "anthropic-ratelimit-requests-reset": "2026-01-01T12:10:00Z",
                "anthropic-ratelimit-requests-remaining": "7",
                "anthropic-ratelimit-tokens-reset": "2026-01-01T12:00:05Z",
                "anthropic-ratelimit-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2026-01-01T12:00:09Z",
                "anthropic-ratelimit-input-tokens-remaining": "0",
            },
            9,
        ),
        ({"x-ratelimit-reset-tokens": "1m30s", "x-ratelimit-remaining-tokens": "0"}, 90),
        ({"x-ratelimit-reset-requests": "250ms", "x-ratelimit-remaining-requests": "0"}, 0.25),
        ({"x-ratelimit-reset-requests": "12", "x-ratelimit-remaining-requests": "0"}, 12),
        ({"x-ratelimit-reset-requests": "soon", "x-ratelimit-remaining-requests": "0"}, None),
        ({"anthropic-ratelimit-requests-reset": "2026-01-01T11:59:00Z"}, 0),  # it is over
        ({"anthropic-ratelimit-requests-reset": "tomorrow"}, None),
        (
            {"x-ratelimit-reset-requests": "inf", "x-ratelimit-remaining-requests": "0"},
            None,
        ),  # nobody can wait for that
        ({"x-ratelimit-reset-requests": "nan", "x-ratelimit-remaining-requests": "0"}, None),
    ],
)
def test_a_reset_header_is_read(headers, seconds):
    assert reset_s(headers, NOW) == seconds
