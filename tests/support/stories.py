"""The life of a run as users make it: started, killed, edited, taken back, resumed, in any order; checked after each step."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from support.harness import Chances, Kill, World
from support.programs import Program, random_program

from engine.values import Outcome

POINTS = ["delivery", "live", "before_commit", "after_commit", "before_callbacks"]


@dataclass
class Sums:
    """What stories add up to: how much was checked, and how much was paid for compared with fresh runs."""

    completed: int = 0
    killed: int = 0
    compared: int = 0
    live: int = 0
    fresh: int = 0


def random_kill(rnd: random.Random) -> Kill | None:
    if rnd.random() < 0.4:
        return None
    return Kill(rnd.choice(POINTS), rnd.randint(1, rnd.choice([3, 12])))


async def check(world: World, *, where: str) -> None:
    """The newest version, which ended by itself: right answers (I2), nothing asked again (I3), replays alike (I4)."""
    assert await world.wrong_deliveries() == [], where
    assert world.asked_again == [], where
    info = await world.journal.version("run")
    again = await world.replay()
    assert info.end is not None
    assert again.status == info.end.status, where
    assert again.encoded == info.end.result, where


async def tell(seed: int, sums: Sums, *, is_open: bool, steps: int = 8, world: World | None = None) -> None:
    """One random story. Raises `AssertionError` naming the seed and the step."""
    rnd = random.Random(seed)
    program = random_program(rnd, is_open=is_open)
    programs = [program]
    world = world or World(seed=seed)
    chances = rnd.choice([Chances(), Chances(), Chances(null=0.05, fail=0.3)])
    for step in range(steps):
        if step and rnd.random() < 0.6:
            program = program.edited(rnd) if rnd.random() < 0.5 else rnd.choice(programs)
            programs.append(program)
        where = f"seed {seed}, is_open {is_open}, step {step}"
        world.children = program.children()
        done = await world.run(program.script(), kill=random_kill(rnd), chances=chances)
        if done.status == "killed":
            sums.killed += 1
            continue
        assert done.is_completed, (where, done.thrown)
        await check(world, where=where)
        sums.completed += 1
        fresh = await World(children=program.children()).run(program.script())
        sums.live += done.live
        sums.fresh += fresh.live
        if not program.is_open and all(row.outcome == Outcome.OK for _, row in await world.delivered()):
            assert done.result == fresh.result, where
            sums.compared += 1


async def survive(text: str, *, seeds: Sequence[int], children: dict[str, str] | None = None) -> list[World]:
    """Runs one script with kills until it completes, once for each seed; checks every end."""
    worlds = []
    for seed in seeds:
        rnd = random.Random(seed)
        world = World(seed=seed, children=children)
        for step in range(6):
            kill = None if step == 5 else random_kill(rnd)
            done = await world.run(text, kill=kill)
            if done.status == "killed":
                continue
            assert done.is_completed, (seed, step, done.thrown)
            await check(world, where=f"seed {seed}, step {step}")
        worlds.append(world)
    return worlds


__all__ = ["Program", "Sums", "check", "survive", "tell"]
