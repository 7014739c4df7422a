"""Where `pawl mcp --http` may listen."""

from __future__ import annotations

import pytest

from engine.errors import UsageError
from engine.serving.http import address_of, is_loopback, refuse_careless


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8765", ("127.0.0.1", 8765)),
        (":0", ("127.0.0.1", 0)),
        ("localhost:1", ("localhost", 1)),
        ("[::1]:8765", ("::1", 8765)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
    ],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert address_of(text) == expected


@pytest.mark.parametrize("text", ["", "host", "host:", "host:65536", "host:-1", "host:８", "http://host:1", "a@b:1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        address_of(text)
    assert caught.value.code == "bad_flag"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_more(host: str) -> None:
    assert is_loopback(host)
    refuse_careless(host, None, is_remote_allowed=False)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.2", "example.com", "localhost.example.com", "127.0.0.1.x"]
)
def test_anything_else_is_meant_and_guarded(host: str) -> None:
    for token, is_remote_allowed in ((None, False), ("t" * 16, False), (None, True)):
        with pytest.raises(UsageError) as caught:
            refuse_careless(host, token, is_remote_allowed=is_remote_allowed)
        assert caught.value.code == "not_local"
    refuse_careless(host, "t" * 16, is_remote_allowed=True)
