"""What may be typed into a search, and what of a turn is found: FTS5's language is never reached."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.journals import turn_row

from engine.journal import search

TYPED = st.lists(
    st.sampled_from(['"', "*", "(", ")", "NEAR", "AND", "OR", "NOT", "^", "-", ":", "{", "\0", "walrus", "ü", " "])
    | st.text(max_size=5),
    max_size=12,
).map(" ".join)


@pytest.fixture(scope="module")
def index() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = 'unicode61')")
    search.add(connection, [(1, "The walrus sleeps."), (2, "NEAR and far: walrus AND seal")])
    yield connection
    connection.close()


@given(typed=TYPED)
@example(typed="walrus " * 5_000)
@example(typed='"' + "walrus " * 5_000)
@example(typed="\ud800*")
def test_nothing_that_is_typed_is_an_error(index: sqlite3.Connection, typed: str) -> None:
    for row_id, snippet in search.matches(index, typed, limit=10):
        assert row_id in (1, 2)
        assert isinstance(snippet, str)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_a_text_is_found_by_any_of_its_plain_words(text: str) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = 'unicode61')")
    search.add(connection, [(1, text)])
    for word in text.split():
        if word.isascii() and word.isalnum():
            assert [row_id for row_id, _ in search.matches(connection, word, limit=5)] == [1]
    connection.close()


@pytest.mark.parametrize(
    ("typed", "query"),
    [
        ("one two", '"one" "two"'),
        ('say "one two" three', '"say" "one two" "three"'),
        ("begin* end", '"begin"* "end"'),
        ("a*b **", '"a*b"'),
        ('"open', '"open"'),
        ("one OR NOT two", '"one" "OR" "NOT" "two"'),
        ("text:one", '"text:one"'),
        ("\ud800x", '"?x"'),
        ("- * ( 🦭", None),
        ('"" " "', None),
    ],
)
def test_words_become_quoted_words(typed: str, query: str | None) -> None:
    assert search.query_of(typed) == query


@pytest.mark.parametrize(
    ("role", "body", "text"),
    [
        ("user", {"text": "Find it."}, "Find it."),
        ("assistant", {"text": "So:", "calls": [{"id": "1", "name": "grep", "args": {"n": 1}}]}, 'So:\ngrep {"n":1}'),
        ("assistant", {"text": None, "calls": [], "native": {"secret": "sauce"}}, ""),
        ("tool", {"id": "1", "name": "grep", "text": "none", "ok": True}, "grep\nnone"),
        ("session", {"session": "s-1"}, ""),
        ("user", {"text": "a" * search.INDEXED_CHARACTERS + "b"}, "a" * search.INDEXED_CHARACTERS),
        ("user", {"text": "half \ud83d of it"}, "half \ufffd of it"),
    ],
)
def test_what_people_read_of_a_turn_is_found(role: str, body: Any, text: str) -> None:
    assert search.text_of(turn_row(1, role=role, body=json.dumps(body).encode())) == text
