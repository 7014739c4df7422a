"""SIGKILL in the middle of each quality pattern, then resume: the same result, and nobody is asked twice (I2, I3, S72)."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.crashing import RUN, SEED, Fault, Victim

pytestmark = pytest.mark.timeout(600)

SAMPLE = 6
SCRIPT = """
export const meta = { name: 'patterns', description: 'each of them' }
const yes = { type: 'object', required: ['yes'], properties: { yes: { type: 'boolean' } } }
const ballot = await vote(3, 'Is it safe?', { schema: yes, key: answer => answer.yes })
const best = await bestOf(2, 'Write it.', { judges: 2 })
const dry = await loopUntilDry(
  async round => [(await agent(`Find something, round ${round}.`, { label: `find ${round}` })).length > 9], { key: found => found, rounds: 4 })
const sure = await retry((attempt, problem) => agent(`Say it, attempt ${attempt}. ${problem}`, { label: `say ${attempt}` }),
  { accept: text => text.includes('attempt 2') || 'not yet' })
const top = await tournament(['a', 'b', 'c'], { criteria: 'the shortest' })
const one = await mapReduce(['x', 'y', 'z'], item => agent(`Read ${item}.`, { label: item }),
  (values, depth) => agent(`Merge at ${depth}: ${values.join(' ')}`, { label: `merge ${depth}.${values.length}` }), { fan: 2 })
return { ballot, best, dry, sure, top, one }
"""


class Patterns(Victim):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "patterns.js").write_text(SCRIPT)

    def arguments(self) -> list[str]:
        if self.remains().exists:
            return ["resume", RUN, "--json", "--quiet"]
        return ["run", "patterns.js", "--run-id", RUN, "--json", "--quiet", "--backend", "sample"]


class Uninterrupted(NamedTuple):
    result: Any
    turns: int
    calls: set[str]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    victim = Patterns(tmp_path_factory.mktemp("patterns") / "project")
    done = victim.command(*victim.arguments())
    assert done.code == 0, done
    points, _ = victim.witnessed()
    remains = victim.remains()
    assert set(remains.attempts.values()) == {1}
    return Uninterrupted(json.loads(done.out)["result"], points["after_deliver"], set(remains.attempts))


@pytest.mark.parametrize("index", range(SAMPLE))
def test_I2_I3_S72_killed_in_a_pattern_a_run_ends_with_the_same(
    tmp_path: Path, uninterrupted: Uninterrupted, index: int
) -> None:
    share = uninterrupted.turns / SAMPLE
    turn = random.Random(SEED + index).randint(round(index * share) + 1, round((index + 1) * share))
    point = ("before_deliver", "after_deliver")[index % 2]
    print(f"killed at {point} {turn} of {uninterrupted.turns}")
    victim = Patterns(tmp_path / "project")
    assert victim.crash(Fault(point, turn))
    settled = victim.remains().settled
    done = victim.command(*victim.arguments())
    assert done.code == 0, done
    assert json.loads(done.out)["result"] == uninterrupted.result
    remains = victim.remains()
    assert set(remains.attempts) == uninterrupted.calls
    assert {name for name in settled if remains.attempts[name] != 1} == set(), "asked again, though it was settled"
