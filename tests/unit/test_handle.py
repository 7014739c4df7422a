"""Readers of a run's events: those that come at once, late, or never."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.runs import META

from engine.engine import Engine, ScriptSource
from engine.handle import KEPT_EVENTS
from engine.options import RunOptions

CALLS = KEPT_EVENTS // 3 + 50
SCRIPT = ScriptSource(META + f"for (let i = 0; i < {CALLS}; i++) await agent('part ' + i);", None, "many")
FEW = ScriptSource(META + "await agent('one')", None, "few")
OPTIONS = RunOptions(backend="sample")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine.open(tmp_path, journal=tmp_path / "pawl.db")


async def test_two_readers_that_come_at_once_get_everything(engine: Engine) -> None:
    async with engine:
        handle = await engine.start(SCRIPT, options=OPTIONS)
        one, other = handle.events(), handle.events()
        first = [(await anext(one)).kind, (await anext(other)).kind]
        kinds = [event.kind async for event in one]
        assert first == ["run_started", "run_started"]
        assert kinds == [event.kind async for event in other]
        assert (len(kinds), kinds[-1]) == (3 * CALLS + 1, "run_ended")


async def test_after_a_short_run_everything_is_still_there(engine: Engine) -> None:
    async with engine:
        handle = await engine.start(FEW, options=OPTIONS)
        await handle.result()
        kinds = [event.kind async for event in handle.events()]
    assert kinds == ["run_started", "call_requested", "call_started", "call_settled", "run_ended"]


async def test_what_nobody_reads_is_not_kept_and_the_end_is_told_all_the_same(engine: Engine) -> None:
    async with engine:
        handle = await engine.start(SCRIPT, options=OPTIONS)
        await handle.result()
        assert [event.kind async for event in handle.events()] == ["run_ended"]


async def test_a_reader_that_leaves_and_comes_again_goes_on_from_there(engine: Engine) -> None:
    async with engine:
        handle = await engine.start(SCRIPT, options=OPTIONS)
        seen = 0
        async for _event in handle.events():
            seen += 1
            if seen > KEPT_EVENTS + 10:
                break
        rest = [event async for event in handle.events()]
        assert all(event.kind != "run_started" for event in rest)
        assert rest[-1].kind == "run_ended"
