"""Three seconds after SIGKILL of `pawl` alone, no process of its run is left."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from support.crashing import SEED
from support.families import Family
from support.pawl import Pawl, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

CHECKS = """
await parallel([
  () => check('echo > started-1; sleep 1000 & sleep 1000 & wait'),
  () => check('trap "" TERM HUP INT; echo > started-2; sh -c "sleep 1000; :" | cat'),
  () => agent('slow', {backend: 'sample:latency=600s'}),
])
"""


@pytest.fixture
def pawl(tmp_path: Path) -> Pawl:
    return Pawl(tmp_path / "project")


def test_the_sandbox_and_what_checks_started(pawl: Pawl) -> None:
    family = Family(pawl)
    with pawl.started("run", pawl.script(CHECKS), "--backend", "sample", "--allow", "check") as process:
        until(lambda: all((pawl.folder / f"started-{n}").exists() for n in (1, 2)), "both checks run")
        until(lambda: sum("sleep 1000" in line for line in family.look(process.pid)) >= 4, "their children run")
        lines = family.look(process.pid)
        assert any("sandbox" in line for line in lines), lines
        assert len(family.left()) >= len(lines)
        process.kill()
        process.wait()
        family.must_be_gone()


def test_the_child_that_parses(pawl: Pawl) -> None:
    """Killed while the parser is at work on the longest script that is allowed."""
    lines = "x = [1, { a: `${y}` }, (z) => z ** 2]\n"
    long = pawl.script("let x, y\n" + lines * ((1 << 20) // len(lines) - 10))
    family = Family(pawl)
    with pawl.started("run", long, "--backend", "sample") as process:
        until(lambda: sum("sandbox" in line for line in family.look(process.pid)) >= 2, "both children run")
        process.kill()
        process.wait()
        family.must_be_gone()


def test_at_any_instant_of_a_start(pawl: Pawl) -> None:
    script = pawl.script(CHECKS)
    dice, family = random.Random(SEED), Family(pawl)
    for _ in range(12):
        with pawl.started("run", script, "--backend", "sample", "--allow", "check") as process:
            for _ in range(dice.randrange(1, 200)):  # each look takes some milliseconds
                family.look(process.pid)
            process.kill()
            process.wait()
    family.must_be_gone()
