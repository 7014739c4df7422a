"""The incremental books of lanes give, at every request, exactly the history that the rules with plain sets give."""

from __future__ import annotations

import random

import pytest
from support.harness import Chances, World
from support.lane_model import CheckedLanes
from support.programs import random_program
from support.stories import Sums, tell

from engine import run as run_module


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> type[CheckedLanes]:
    """Run loops keep both books, and stop at the first difference."""
    monkeypatch.setattr(run_module, "Lanes", CheckedLanes)
    CheckedLanes.asked = 0
    return CheckedLanes


async def test_real_programs(checked: type[CheckedLanes]) -> None:
    for seed in range(150):
        rnd = random.Random(seed)
        program = random_program(rnd, is_open=seed % 2 == 1)
        world = World(seed=seed, children=program.children())
        done = await world.run(program.script(), chances=Chances(null=0.05, fail=0.3))
        assert done.is_completed, (seed, done.thrown)
    assert checked.asked > 2000


async def test_resumed_programs(checked: type[CheckedLanes]) -> None:
    for seed in range(500, 510):
        await tell(seed, Sums(), is_open=seed % 3 == 2, steps=5)
    assert checked.asked > 500


@pytest.mark.parametrize("block", range(5))
def test_random_operations(block: int) -> None:
    """Orders that no script of ours gives, but that a script could: as the sandbox's protocol lets them through."""
    for seed in range(block * 60, (block + 1) * 60):
        _random_life(random.Random(seed), seed)


@pytest.mark.soak
@pytest.mark.parametrize("block", range(50))
def test_random_operations_soak(block: int) -> None:
    for seed in range(10_000 + block * 400, 10_000 + (block + 1) * 400):
        _random_life(random.Random(seed), seed)


OPERATIONS = [
    *["ask"] * 5,
    *["give"] * 5,
    *["open", "drop", "end", "end", "wake", "settle", "use", "after", "after", "join"],
]


def _random_life(rnd: random.Random, seed: int) -> None:
    lanes = CheckedLanes()
    next_lane, next_id = 1, 1
    joins: list[tuple[int, int]] = []
    positions: dict[int, int] = {}
    pending: list[tuple[int, int]] = []
    ended: set[int] = set()
    needed: set[int] = set()  # a node starts while the join of those that it needs is open
    promises: list[int] = []
    try:
        for _ in range(rnd.randint(10, 120)):
            lane = rnd.randrange(next_lane)
            match rnd.choice(OPERATIONS):
                case "open" if next_lane < 20:
                    n = rnd.randint(1, 3)
                    lanes.open(next_lane, n, lane, positions.get(lane, 0))
                    positions[lane] = positions.get(lane, 0) + 1
                    joins.append((next_lane, n))
                    next_lane += n
                case "ask":
                    lanes.history(lane)
                    lanes.requested(lane)
                    pending.append((lane, next_id))
                    next_id += 1
                case "give" if pending:
                    where, call = pending.pop(rnd.randrange(len(pending)))
                    lanes.delivered(where, call, rnd.getrandbits(256))
                    promises.append(call)
                case "drop" if pending:
                    where, _ = pending.pop(rnd.randrange(len(pending)))
                    lanes.withdrawn(where)
                case "end" if lane and lane not in ended:
                    ended.add(lane)
                    needed.add(lane)
                    lanes.ended(lane, rnd.randrange(next_lane))
                case "join" if joins:
                    first, n = joins.pop(rnd.randrange(len(joins)))
                    if rnd.random() < 0.5:
                        lanes.cancelled(first)
                    lanes.join(first)
                    ended.update(range(first, first + n))
                    needed.difference_update(range(first, first + n))
                case "wake" if lane and lane not in ended:
                    lanes.woken(lane, rnd.randrange(next_lane))
                case "settle":
                    promises.append(next_id)
                    lanes.settled(next_id, lane)
                    next_id += 1
                case "use" if promises:
                    lanes.used(rnd.choice(promises), lane)
                case "after" if lane and lane not in ended and needed:
                    lanes.after(lane, [rnd.choice(sorted(needed))])
            lanes.history(rnd.randrange(next_lane))
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from None
