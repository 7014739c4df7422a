"""SIGKILL of the real process at named points and at random instants, then resume: I1, I2, I3, I8.

`make test` runs a sample, chosen by a seed that is printed; CRASH_SEED=N repeats it. `make soak` runs every point × every
time it is reached, and random kills for CRASH_SOAK_MINUTES (5).
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.crashing import COUNTED, RUN, SEED, Fault, Victim, plan_of
from support.pawl import until

from engine.faultpoints import POINTS

pytestmark = pytest.mark.timeout(600)

SAMPLE = 14
SOAK_S = 60 * float(os.environ.get("CRASH_SOAK_MINUTES") or 5)


class Uninterrupted(NamedTuple):
    result: Any
    plan: list[Fault]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    """What a run gives that nobody interrupts, and every place where it could have been."""
    victim = Victim(tmp_path_factory.mktemp("uninterrupted") / "project")
    done = victim.command(*victim.arguments())
    assert done.code == 0, done
    points, saw = victim.witnessed()
    assert set(points) == set(POINTS)
    assert {name for name, _ in saw} >= COUNTED
    assert victim.executions() == dict.fromkeys(COUNTED, 1)
    return Uninterrupted(json.loads(done.out)["result"], plan_of(points, POINTS))


@pytest.fixture
def victim(tmp_path: Path) -> Victim:
    return Victim(tmp_path / "project")


@pytest.mark.parametrize("index", range(SAMPLE))
def test_I1_I2_I3_nothing_is_lost_and_nothing_is_repeated(
    victim: Victim, uninterrupted: Uninterrupted, index: int
) -> None:
    point = POINTS[index % len(POINTS)]  # so that a sample leaves out no point
    fault = random.Random(SEED + index).choice([fault for fault in uninterrupted.plan if fault.point == point])
    print(fault)
    victim.crash(fault)
    victim.finish(uninterrupted.result)


@pytest.mark.parametrize("index", range(3))
def test_I2_a_resume_that_crashes_is_resumed(victim: Victim, uninterrupted: Uninterrupted, index: int) -> None:
    dice = random.Random(SEED ^ index)
    for _ in range(4):
        fault = Fault(dice.choice(POINTS), dice.randint(1, 12))
        print(fault)
        victim.crash(fault)
    victim.finish(uninterrupted.result)


def test_I1_the_script_sees_nothing_before_its_commit(victim: Victim, uninterrupted: Uninterrupted) -> None:
    """Dead before the commit that holds the first answer: nobody has seen it, and it is asked for again."""
    for number in range(1, 20):
        assert victim.crash(Fault("before_commit", number))
        _, saw = victim.witnessed()
        assert len(saw) < len(victim.crashes[-1].settled) + 1
        if victim.crashes[-1].settled:
            break
        assert saw == []
    assert "first" in victim.crashes[-1].settled
    victim.finish(uninterrupted.result)


def test_killed_at_random_instants_until_it_completes(victim: Victim, uninterrupted: Uninterrupted) -> None:
    kills = _kill_at_random(victim, random.Random(SEED), longest_s=0.7)
    assert kills >= 1
    victim.finish(uninterrupted.result)


def test_I3_what_was_in_flight_runs_once_more_and_nothing_else_does(tmp_path: Path) -> None:
    victim = Victim(tmp_path / "project")
    # The first execution waits for a file that only comes after the crash.
    (victim.folder / "reference.js").write_text(
        "export const meta = { name: 'reference', description: 'one check in flight' }\n"
        "const a = await check('echo before >> executions')\n"
        "const b = await check('echo during >> executions; while [ ! -e go ]; do sleep 0.02; done; echo done')\n"
        "const c = await check('echo after >> executions')\n"
        "return [a.ok, b.stdout, c.ok]\n"
    )
    process = victim.start(victim.arguments())
    until(lambda: victim.executions()["during"] == 1, "the second check runs")
    process.kill()
    victim.end(process)
    left = victim.remains()
    assert (left.settled, left.in_flight) == ({"before"}, {"during"})
    (victim.folder / "go").touch()
    done = victim.command(*victim.arguments())
    assert json.loads(done.out)["result"] == [True, "done\n", True]
    assert victim.executions() == {"before": 1, "during": 2, "after": 1}
    assert victim.remains().attempts == {"before": 1, "during": 2, "after": 1}


@pytest.mark.parametrize("rivals", [2, pytest.param(8, marks=pytest.mark.soak)])
def test_I8_of_resumes_at_once_exactly_one_drives(tmp_path: Path, rivals: int) -> None:
    victim = Victim(tmp_path / "project")
    (victim.folder / "reference.js").write_text(
        "export const meta = { name: 'reference', description: 'waits' }\n"
        "return (await check('echo one >> executions; while [ ! -e go ]; do sleep 0.02; done')).ok\n"
    )
    assert victim.crash(Fault("before_start", 1))
    processes = [victim.start(victim.arguments()) for _ in range(rivals)]
    until(lambda: sum(process.poll() is None for process in processes) == 1, "all but one have given up")
    (winner,) = (process for process in processes if process.poll() is None)
    losers = [victim.end(process) for process in processes if process is not winner]
    for loser in losers:
        assert (loser.code, json.loads(loser.out)["error"]["code"]) == (6, "run_driven")
        assert json.loads(loser.out)["run_id"] == RUN
    until(lambda: victim.executions()["one"] == 1, "the winner's check runs")
    (victim.folder / "go").touch()
    done = victim.end(winner)
    assert (done.code, json.loads(done.out)["result"]) == (0, True)
    assert victim.executions() == {"one": 1}


def test_I8_a_crashed_driver_is_followed_at_once(victim: Victim, uninterrupted: Uninterrupted) -> None:
    """No lease to wait for: the lock died with its owner."""
    victim.crash(Fault("after_commit", 5))
    began = time.monotonic()
    victim.finish(uninterrupted.result)
    assert time.monotonic() - began < 30  # a stale heartbeat would take 60 s


@pytest.mark.soak
def test_every_point_of_every_call(tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    began, crashes = time.monotonic(), 0
    for position, fault in enumerate(uninterrupted.plan):
        victim = Victim(tmp_path / str(position))
        print(fault)
        crashes += victim.crash(fault)
        victim.finish(uninterrupted.result)
    # Commits group differently each time: the last few of a point may not be reached.
    assert crashes >= 0.8 * len(uninterrupted.plan)
    _closing_line(f"{crashes} crashes at {len(POINTS)} points, each resumed", began)


@pytest.mark.soak
def test_random_crashes_for_a_while(tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    """Runs that are killed at random instants and at random points, resumed each time, until they complete."""
    dice, began, runs, kills = random.Random(SEED), time.monotonic(), 0, 0
    while time.monotonic() - began < SOAK_S:
        victim = Victim(tmp_path / str(runs))
        if dice.random() < 0.5:
            kills += _kill_at_random(victim, dice, longest_s=dice.uniform(0.2, 1.0))
        else:
            faults = [Fault(dice.choice(POINTS), dice.randint(1, 25)) for _ in range(dice.randint(1, 12))]
            kills += sum(victim.crash(fault) for fault in faults)
        victim.finish(uninterrupted.result)
        runs += 1
    assert kills > runs
    _closing_line(f"{kills} random crashes of {runs} runs", began)


def _kill_at_random(victim: Victim, dice: random.Random, *, longest_s: float) -> int:
    """Kills one run again and again until it completes; returns how often. Ever later, so that it ends on any machine."""
    kills = 0
    while victim.crash_after(dice.uniform(0, longest_s)):
        kills += 1
        longest_s *= 1.05
    return kills


def _closing_line(what: str, began: float) -> None:
    """For docs/reliability.md."""
    with Path(os.environ.get("CRASH_REPORT", os.devnull)).open("a") as file:
        file.write(f"{what}: nothing lost, nothing repeated; {time.monotonic() - began:.0f} s, CRASH_SEED={SEED}\n")
