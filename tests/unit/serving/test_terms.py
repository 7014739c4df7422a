"""What a client may ask for, of what a person gave."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.serving.terms import CAPS, Terms, allowed_again, caps_of_new, caps_of_resumed, flags_of
from engine.settings import LimitSettings, Settings

AMOUNT = st.none() | st.integers(0, 50)


def terms(flags: dict[str, float] | None = None, **limits: float | None) -> Terms:
    settings = Settings(limits=LimitSettings(**limits))  # type: ignore[arg-type]
    return Terms(Path("/p"), Path("/p/j"), settings, flags or {})


@given(flag=AMOUNT, setting=AMOUNT, in_meta=AMOUNT, asked=AMOUNT)
def test_a_new_run_never_gets_more_than_flag_or_setting(
    flag: int | None, setting: int | None, in_meta: int | None, asked: int | None
) -> None:
    own = terms({} if flag is None else {"max_agents": flag}, agents=setting)
    meta = {} if in_meta is None else {"limits": {"agents": in_meta}}
    ceiling = setting if flag is None else flag
    words = {} if asked is None else {"max_agents": asked}
    if asked is not None and ceiling is not None and asked > ceiling:
        with pytest.raises(UsageError, match="is above what this server allows"):
            caps_of_new(own, words, meta)
        return
    got = caps_of_new(own, words, meta).get("max_agents")
    if ceiling is not None:
        assert got is not None and got <= ceiling
    if asked is not None:
        assert got == asked
    elif in_meta is not None:
        assert got is not None and got <= in_meta


@given(flag=AMOUNT, setting=AMOUNT, before=AMOUNT, asked=AMOUNT)
def test_a_resume_never_gets_more_than_flag_or_what_is_recorded(
    flag: int | None, setting: int | None, before: int | None, asked: int | None
) -> None:
    own = terms({} if flag is None else {"max_cost_usd": flag}, cost_usd=setting)
    most = flag if flag is not None else before if before is not None else setting
    words, recorded = {} if asked is None else {"max_cost_usd": asked}, {"cost_usd": before}
    if asked is not None and most is not None and asked > most:
        with pytest.raises(UsageError, match="is above what this server allows"):
            caps_of_resumed(own, words, recorded)
        return
    got = caps_of_resumed(own, words, recorded).get("max_cost_usd")
    assert most is None or (got is not None and got <= most)


def test_the_refusal_says_who_can_raise_it() -> None:
    with pytest.raises(UsageError) as caught:
        caps_of_new(terms(agents=10), {"max_agents": 11}, {})
    assert caught.value.message == "max_agents 11 is above what this server allows: 10"
    assert caught.value.hint == (
        "Ask for at most 10. Only a person raises it: pawl mcp --max-agents N, or the settings."
    )


def test_flags_are_what_the_command_line_takes() -> None:
    caps = caps_of_new(terms(agents=1_000_000, cost_usd=0.1, concurrency=4), {"max_minutes": 0.5}, {})
    assert flags_of(caps) == [
        *("--max-agents", "1000000", "--max-cost", "0.1", "--max-minutes", "0.5", "--concurrency", "4"),
    ]
    assert set(CAPS) == {"max_agents", "max_cost_usd", "max_minutes", "budget_tokens", "concurrency"}


@pytest.mark.parametrize(
    ("recorded", "is_changed", "expected"),
    [
        ({"check", "files"}, False, {"check", "files"}),
        ({"check", "files"}, True, {"files"}),
        ({"examine", "ask"}, False, {"ask"}),
        (set(), True, set()),
    ],
)
def test_what_a_resume_may_do(recorded: set[str], is_changed: bool, expected: set[str]) -> None:
    own = Terms(Path("/p"), Path("/p/j"), Settings(), allow=frozenset({"files"}))
    assert allowed_again(own, frozenset(recorded), is_changed=is_changed) == expected
