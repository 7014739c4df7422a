"""Patterns of strangers: the same answers as `re` where both can tell, in bounded time everywhere."""

from __future__ import annotations

import re
import time
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.patterns import MAX_STEPS, PatternError, PatternTooSlow, compile_pattern

_ATOMS = st.sampled_from(["a", "b", ".", r"\d", r"\w", r"\s", "[a-c]", "[^a]", r"\.", r"[\d_]", "x", r"\x61", r"\-"])
_PIECES = st.one_of(
    _ATOMS, st.tuples(_ATOMS, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "*?"])).map("".join)
)
_BODIES = st.recursive(
    st.lists(_PIECES, max_size=4).map("".join),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"({two[0]}|{two[1]})"),
        st.tuples(inner, st.sampled_from(["*", "?", "{0,2}", ""])).map(lambda two: f"(?:{two[0]}){two[1]}"),
        st.tuples(inner, inner).map("".join),
    ),
    max_leaves=6,
)
PATTERNS = st.tuples(st.sampled_from(["", "^", r"\b"]), _BODIES, st.sampled_from(["", "$", r"\b"])).map("".join)


def _as_python(pattern: str) -> str:
    return pattern.replace("$", r"\Z")  # in JSON Schema `$` is the very end; Python's may stand before a newline


@given(pattern=PATTERNS, text=st.text("abx01_.- \n", max_size=12))
def test_it_matches_what_re_matches(pattern: str, text: str) -> None:
    assert compile_pattern(pattern).search(text) == bool(re.search(_as_python(pattern), text, re.ASCII))


@given(body=_BODIES, seed=st.integers(0, 1000), longer=st.sampled_from([0, 1, 7]))
def test_examples_match(body: str, seed: int, longer: int) -> None:
    pattern = compile_pattern(f"^(?:{body})$")
    assert pattern.search(pattern.example(Random(seed), longer=longer))


@given(body=_BODIES, seed=st.integers(0, 1000))
def test_the_plain_writing_matches_nothing_more(body: str, seed: int) -> None:
    pattern = compile_pattern(f"^(?:{body})$")
    plain = pattern.plain()
    if plain is not None:  # \s may be all that a class holds, and \n is not printable
        text = compile_pattern(plain).example(Random(seed))
        assert pattern.search(text)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(a", "a `(` that is never closed, at character 3 of '(a'"),
        ("a)", "a `)` that closes nothing, at character 2 of 'a)'"),
        ("[a", "a `[` that is never closed, at character 1 of '[a'"),
        ("*a", "nothing to repeat, at character 1 of '*a'"),
        ("a**", "a second quantifier on the same thing, at character 3 of 'a**'"),
        ("a{3,2}", "a count whose end is below its start, at character 2 of 'a{3,2}'"),
        ("[z-a]", "a range whose end is below its start, at character 5 of '[z-a]'"),
        ("a\\", "a `\\` at the end, at character 3 of 'a\\\\'"),
        ("(?=a)", "look-ahead and look-behind cannot be matched in bounded time, at character 1 of '(?=a)'"),
        ("(?<!a)", "look-ahead and look-behind cannot be matched in bounded time, at character 1 of '(?<!a)'"),
        (r"(a)\1", "back-references cannot be matched in bounded time, at character 5 of '(a)\\\\1'"),
        (r"\p{L}", "Unicode properties (`\\p`) are not supported; name the characters, at character 2 of '\\\\p{L}'"),
        ("(" * 200, "groups more than 100 deep, at character 102 of " + repr("(" * 200)),
        ("((a{999}){999}){9}", "the pattern stands for more than 20,000 states; use minLength and maxLength"),
    ],
)
def test_what_cannot_be_run_is_refused_with_its_place(pattern: str, problem: str) -> None:
    with pytest.raises(PatternError) as caught:
        compile_pattern(pattern)
    assert str(caught.value) == problem


@pytest.mark.parametrize("pattern", ["(a+)+$", "^(a|a)*$", "(a|aa)+$", "^a*a*a*a*a*a*$", "(.*)*x"])
def test_I5_patterns_that_stop_re_for_years_take_no_time(pattern: str) -> None:
    started = time.process_time()
    assert not compile_pattern(pattern).search("a" * 20_000 + "b\n")
    assert time.process_time() - started < 5


def test_I5_a_search_has_an_end() -> None:
    started = time.process_time()
    with pytest.raises(PatternTooSlow):
        compile_pattern("a.{0,4000}x").search("ab" * 20_000)
    assert time.process_time() - started < 10, f"{MAX_STEPS} steps"
