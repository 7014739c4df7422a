"""The promises of the README, each on one small script: what runs again after a stop, an edit, a failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.harness import RUN, Chances, Kill, World, answer

from engine.values import CallRow, Outcome

EXAMPLE = """
const scan = await agent('scan');
await pipeline([1, 2, 3, 4],
  (i) => agent('find ' + i),
  (_, i) => parallel([1, 2, 3].map((k) => () => agent('verify ' + i + '.' + k))),
  (_, i) => agent('fix ' + i));
await agent('test');
await parallel([() => agent('z1'), () => agent('z2')]);
return await agent('report');
"""
FIND_2 = EXAMPLE.replace("'find ' + i", "(i === 2 ? 'find better ' : 'find ') + i")
Z1 = EXAMPLE.replace("'z1'", "'z1 again'")


class Asked:
    """What agents were asked, as they see it."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def __call__(self, prompt: str, label: str | None) -> str:
        self.prompts.append(prompt)
        return answer(prompt, label)

    def take(self) -> list[str]:
        taken, self.prompts = sorted(self.prompts), []
        return taken


async def run_once(text: str = EXAMPLE, **given: Any) -> tuple[World, Asked]:
    asked = Asked()
    world = World(answers=asked, **given)
    done = await world.run(text)
    assert done.is_completed
    return world, asked


async def test_the_example_makes_25_calls() -> None:
    _, asked = await run_once()
    assert len(asked.take()) == 25


async def test_an_edited_prompt_runs_itself_and_its_own_line_of_work() -> None:
    world, asked = await run_once()
    asked.take()
    await world.run(FIND_2)
    nine = ["find better 2", "fix 2", "report", "test", "verify 2.1", "verify 2.2", "verify 2.3", "z1", "z2"]
    assert asked.take() == nine
    await world.run(EXAMPLE)
    assert asked.take() == [], "going back finds the records again"
    await world.run(FIND_2)
    assert asked.take() == []


async def test_an_edit_near_the_end_runs_two() -> None:
    world, asked = await run_once()
    asked.take()
    await world.run(Z1)
    assert asked.take() == ["report", "z1 again"]


@pytest.mark.parametrize("point", ["delivery", "live", "after_commit", "before_callbacks", "before_commit"])
async def test_I2_stopped_anywhere_it_runs_exactly_what_is_unfinished(point: str) -> None:
    """At every place where a process can die; what was not committed is unknown to everybody and runs again."""
    expected = await World().run(EXAMPLE)
    for n in range(1, 40):
        asked = Asked()
        world = World(answers=asked)
        done = await world.run(EXAMPLE, kill=Kill(point, n))
        if done.is_completed:
            assert n > 5
            break
        asked.take()
        known = {
            world.prompt(row)
            for row in await world.rows()
            for record in [await _record(world, row.call)]
            if record.settlement is not None
        }
        done = await world.run(EXAMPLE)
        assert done.result == expected.result
        again = asked.take()
        assert not known & set(again), f"{point} {n}"
        assert len(again) + len(known) == 25, f"{point} {n}"
    else:
        pytest.fail("never ran to its end")


async def test_I3_one_failed_call_of_102_runs_one() -> None:
    text = """
const first = await agent('first');
const all = await parallel(Array.from({ length: 100 }, (_, i) => () => agent('part ' + i)));
return await agent('sum ' + all.filter((x) => x !== null).length)"""
    asked = Asked()
    world = World(answers=asked, counts_failures=True)
    done = await world.run(text, nulls=lambda prompt: prompt == "part 41")
    assert done.is_completed
    assert len(asked.take()) == 101
    done = await world.run(text)
    # The one, and what had waited for it; the 99 others and the first are not asked again.
    assert asked.take() == ["part 41", "sum 100"]


async def test_kept_failures_are_delivered_again() -> None:
    world = World(counts_failures=True)
    text = "return await parallel([() => agent('a'), () => agent('b')])"
    first = await world.run(text, nulls=lambda prompt: prompt == "a")
    assert first.result[0] is None
    kept = await world.run(text, keep_failures=True)
    assert (kept.result, kept.live) == (first.result, 0)
    again = await world.run(text)
    assert again.live == 1
    assert again.result[0] is not None


async def test_what_waited_for_a_call_that_ran_again_runs_again_though_the_answer_is_the_same() -> None:
    world, asked = await run_once("const a = await agent('a'); await agent('b'); return a")
    asked.take()
    await world.run("const a = await agent('a'); await agent('b'); return a", retire=_prompt_is("a"))
    assert asked.take() == ["a", "b"]


async def test_cache_rerun_asks_anew_in_each_resume() -> None:
    text = "await parallel([() => agent('a', { cache: 'rerun' }), () => agent('b')]); return 1"
    world, asked = await run_once(text, counts_failures=True)
    assert asked.take() == ["a", "b"]
    await world.run(text)
    assert asked.take() == ["a"]


async def test_policy_content_finds_by_key_alone() -> None:
    world, asked = await run_once()
    asked.take()
    await world.run(FIND_2, policy="content")
    assert asked.take() == ["find better 2"]


async def test_policy_prefix_ends_reuse_at_the_first_miss() -> None:
    text = "for (const p of ['a', 'b', 'c', 'd']) await agent(p); return 1"
    world, asked = await run_once(text)
    asked.take()
    await world.run(text.replace("'b'", "'B'"), policy="prefix")
    assert asked.take() == ["B", "c", "d"]


async def test_records_of_another_run_are_taken_over() -> None:
    first, asked = await run_once()
    asked.take()
    records = await first.journal.records(RUN)
    second = World(answers=asked)
    done = await second.run(FIND_2, foreign=records)
    assert len(asked.take()) == 9
    assert done.is_completed
    assert await second.wrong_deliveries() == []
    taken = [
        row for row in await second.journal.records(RUN) if row.settlement and b"taken_over" in row.settlement.meta
    ]
    assert len(taken) == 16
    assert all(row.settlement and row.settlement.output_tokens == 0 for row in taken)
    again = await second.replay()
    assert again.result == done.result
    resumed = await second.run(FIND_2)
    assert (resumed.live, resumed.result) == (0, done.result)


async def test_a_race_that_was_won_starts_nobody_on_resume() -> None:
    text = (
        "const w = await race([() => agent('a'), () => agent('b'), () => agent('c')]); await agent('x' + w); return w"
    )
    asked = Asked()
    world = World(answers=asked)
    await world.run(text, kill=Kill("live", 2))
    first = asked.take()
    assert first[:3] == ["a", "b", "c"][: len(first)]
    won = await world.run(text)
    assert not {"a", "b", "c"} & set(asked.take())
    again = await world.run(text)
    assert (again.result, again.live) == (won.result, 0)


async def test_a_workflow_is_loaded_at_its_place_whatever_came_in_the_same_frame() -> None:
    """Regression: the text was handed over after the whole frame; a replay with other frames made other requests."""
    text = """
const rs = await parallel([1, 2, 3, 4].map((i) => async () => {
  const r = await agent('a' + i); const w = await workflow('kid', { r }); return await agent('b' + w) }));
return rs.join()"""
    for seed in range(12):
        world = World(seed=seed, children={"kid": "return await agent('kid ' + args.r)"})
        done = await world.run(text)
        assert (await world.replay()).result == done.result


async def test_a_call_withdrawn_by_an_item_of_its_own_frame_was_not_delivered() -> None:
    """Regression: it was on record as delivered, and the replay asked for a call that nobody had made."""
    text = "const w = await race([() => agent('a'), () => agent('b'), () => agent('c')]); return [w, await agent('x')]"
    for seed in range(30):
        world = World(seed=seed)
        done = await world.run(text)
        delivered = [row for row, _ in await world.delivered()]
        assert len(delivered) == 2, "the winner, and x"
        assert (await world.replay()).result == done.result


async def test_failures_are_asked_again_and_their_reasons_kept() -> None:
    text = "let r; try { r = await agent('F') } catch (e) { r = e.name + e.code } return r"
    world = World(seed=1)
    done = await world.run(text, chances=Chances(fail=1.0))
    assert done.result == "AgentErrorbroken"
    [(_, row)] = await world.delivered()
    assert (row.outcome, row.reason) == (Outcome.FAILED, "broken: no")
    assert (await world.run(text)).result == answer("F", None)


def _prompt_is(prompt: str) -> Callable[[CallRow], bool]:
    return lambda row: World.prompt(row) == prompt


async def _record(world: World, call: int) -> Any:
    return next(r for r in await world.journal.records(RUN) if r.call == call)
