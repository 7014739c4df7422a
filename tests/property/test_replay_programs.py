"""The property that the product stands on: interrupted, edited and resumed in any order, a run ends like a fresh one.

The programs are random and carry what they really waited for (tests/support/programs.py); the oracle never asks the
lanes. A failure names its seed: `tell(seed, Sums(), is_open=…)` replays it.
"""

from __future__ import annotations

import random
from collections import Counter
from copy import deepcopy
from pathlib import Path

import pytest
from support.harness import RUN, Chances, Kill, World, answer, batches_of
from support.programs import Program, random_program
from support.stories import Sums, check, random_kill, tell

from engine.assets import stdlib_files
from engine.journal.sqlite import SqliteJournal
from engine.values import Outcome
from sandbox import Limits, Sandbox

BLOCK = 12


@pytest.mark.parametrize("block", range(6))
async def test_I2_I3_I4_a_resumed_run_ends_like_a_fresh_one(block: int) -> None:
    sums = Sums()
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        await tell(seed, sums, is_open=seed % 3 == 2)
    assert sums.completed > 20
    assert sums.killed > 10
    assert sums.compared > 10


@pytest.mark.soak
@pytest.mark.parametrize("block", range(60))
async def test_I2_I3_I4_soak(block: int) -> None:
    sums = Sums()
    for seed in range(10_000 + block * 20, 10_000 + (block + 1) * 20):
        await tell(seed, sums, is_open=seed % 3 == 2, steps=9)
    assert sums.compared > 10


async def test_resumes_cost_a_fraction_of_fresh_runs() -> None:
    """A rule that runs everything again would be right, too. Measured: a quarter."""
    sums = Sums()
    for seed in range(1000, 1030):
        await tell(seed, sums, is_open=False)
    print(f"{sums.live} calls run where fresh runs need {sums.fresh}: {sums.live / sums.fresh:.0%}")
    assert sums.live < 0.4 * sums.fresh


@pytest.mark.parametrize("seed", range(25))
async def test_I3_a_resume_of_the_same_text_runs_only_what_did_not_succeed(seed: int) -> None:
    """Counted outside: what an agent was asked, over all versions, is what the script asks for, once each."""
    rnd = random.Random(seed)
    program = random_program(rnd)
    while program.withdraws:
        program = random_program(rnd)
    executed: Counter[tuple[str, str | None]] = Counter()

    def count(prompt: str, label: str | None) -> str:
        executed[prompt, label] += 1
        return answer(prompt, label)

    world = World(seed=seed, children=program.children(), answers=count)
    points = [
        "delivery",
        "live",
        "after_commit",
        "before_callbacks",
    ]  # before_commit loses answers: nobody knows of them
    while not (
        done := await world.run(program.script(), kill=Kill(rnd.choice(points), rnd.randint(1, 8)))
    ).is_completed:
        assert done.status == "killed", (seed, done.thrown)
    wanted: Counter[tuple[str, str | None]] = Counter()
    for row, settlement in await world.delivered():
        if row.kind == "agent":
            assert settlement.outcome == Outcome.OK
            wanted[world.prompt(row), row.label] += 1
    records = [r for r in await world.journal.records(RUN) if r.kind == "agent" and r.settlement is not None]
    assert len(records) == wanted.total(), f"seed {seed}: {world.versions} versions"
    assert set(executed) == set(wanted), f"seed {seed}"


@pytest.mark.parametrize("seed", range(20))
async def test_I4_batches_of_any_size_give_the_same_run(seed: int) -> None:
    rnd = random.Random(seed)
    program = random_program(rnd, is_open=seed % 2 == 1)
    # No further deaths by --always-replay: sizes of frames would decide where, and so how an open program goes on.
    world = World(seed=seed, children=program.children(), counts_failures=True)
    await world.run(program.script(), kill=Kill("live", rnd.randint(1, 9)))
    edited = program.edited(rnd)
    seen = []
    for most in (1, 3, 512):
        with batches_of(most):
            copy = deepcopy(world)
            copy.children = edited.children()
            done = await copy.run(edited.script(), one_by_one=True)
            rows = [(row.key, row.history, row.occurrence, row.lane) for row in await copy.rows()]
            handed = [row.call for row, _ in await copy.delivered()]
            again = await copy.replay()
            seen.append((done.result, done.live, rows, handed, again.result))
    assert seen[0] == seen[1] == seen[2], f"seed {seed}"


@pytest.mark.parametrize("seed", range(15))
async def test_I4_every_order_of_arrival_makes_the_same_requests(seed: int) -> None:
    """Programs in which who is first decides nothing: the same keys, however answers arrive. (Not the same lanes: a memo
    belongs to the lane that asks first.)"""
    program = random_program(random.Random(seed))
    asked = []
    for order in range(3):
        world = World(seed=order, children=program.children())
        done = await world.run(program.script())
        assert done.is_completed
        rows = [row for row in await world.rows() if row.kind == "agent"]
        if program.withdraws:  # whoever is withdrawn has made more or fewer requests by then
            asked.append(done.result)
        else:
            asked.append((done.result, Counter(row.key for row in rows)))
    assert asked[0] == asked[1] == asked[2], f"seed {seed}"


@pytest.mark.parametrize("seed", range(10))
async def test_going_back_to_an_earlier_text_runs_nothing(seed: int) -> None:
    rnd = random.Random(seed)
    first = random_program(rnd)
    while first.withdraws:
        first = random_program(rnd)
    world = World(seed=seed, children=first.children())
    before = await world.run(first.script())
    second = first.edited(rnd)
    world.children = second.children()
    await world.run(second.script())
    world.children = first.children()
    after = await world.run(first.script())
    assert (after.result, after.live) == (before.result, 0), f"seed {seed}"
    await check(world, where=f"seed {seed}")


@pytest.mark.parametrize("seed", [3, 8])
async def test_stories_on_a_real_sandbox_and_a_journal_on_disk(seed: int, tmp_path: Path) -> None:
    """The same story where nothing is faked but the agents."""

    def spawn() -> Sandbox:
        return Sandbox.spawn(Limits(), stdlib_files())

    async with SqliteJournal(tmp_path / "pawl.db") as journal:
        sums = Sums()
        await tell(seed, sums, is_open=False, steps=5, world=World(seed=seed, journal=journal, spawn=spawn))
        assert sums.completed > 0
        assert await journal.verify() == []


async def test_a_program_is_the_same_for_the_same_seed() -> None:
    """Without this, the seed of a failure would replay nothing."""
    texts = [random_program(random.Random(5)).script() for _ in range(2)]
    assert texts[0] == texts[1]
    assert isinstance(random_program(random.Random(5)), Program)


async def test_the_oracle_notices_a_wrong_reuse() -> None:
    """Policy `content` reuses by key alone: with agents that see what others left, some runs must come out wrong."""
    wrong = 0
    for seed in range(40):
        rnd = random.Random(seed)
        program = random_program(rnd)
        world = World(seed=seed)
        for _ in range(3):
            world.children = program.children()
            await world.run(program.script(), policy="content")
            wrong += bool(await world.wrong_deliveries())
            program = program.edited(rnd)
    assert wrong > 3


async def test_failures_and_nulls_are_asked_again_until_the_run_is_a_fresh_one() -> None:
    for seed in range(15):
        rnd = random.Random(seed)
        program = random_program(rnd)
        world = World(seed=seed, children=program.children())
        await world.run(program.script(), kill=random_kill(rnd), chances=Chances(null=0.2, fail=0.5))
        last = await world.run(program.script())
        fresh = await World(children=program.children()).run(program.script())
        assert last.result == fresh.result, f"seed {seed}"
        await check(world, where=f"seed {seed}")
