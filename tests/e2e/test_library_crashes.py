"""Every workflow that ships, killed right before a result reaches its script, and resumed: as if nothing had happened.

`make test` takes three instants of each run, the middle one by a seed that is printed (CRASH_SEED=N repeats it);
`make soak` takes every one.
"""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
from support.crashing import SEED
from support.library import CASES, Shelf, same_after_a_crash, script, shipped

from engine import Engine

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def same_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The projects of a test are made one after another; what is told of their commits must not tell them apart."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_DATE", "2026-01-02T03:04:05Z")


def test_every_workflow_that_ships_has_a_case_and_a_section() -> None:
    assert sorted(CASES) == shipped()
    page = (ROOT / "docs/workflows.md").read_text(encoding="utf-8")
    sections = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert sorted(sections) == shipped()
    assert [name for name in shipped() if f"[`{name}`](#{name})" not in page] == []


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_wrong_with_it(name: str, tmp_path: Path) -> None:
    report, _ = Shelf(name, tmp_path).command("check", script(name))
    assert (report.json["ok"], report.json["files"][0]["problems"]) == (True, [])


@pytest.mark.parametrize("name", CASES)
def test_killed_at_some_calls_and_resumed_it_gives_the_same(name: str, tmp_path: Path) -> None:
    whole = Shelf(name, tmp_path / "whole").run()
    last = whole.points["before_deliver"]
    middle = random.Random(f"{SEED} {name}").randint(1, last)
    print(f"CRASH_SEED={SEED}: {name} has {last} deliveries, killed at 1, {middle} and {last}")
    killed = [same_after_a_crash(name, tmp_path / str(n), whole, n) for n in sorted({1, middle, last})]
    assert killed[0]


@pytest.mark.soak
@pytest.mark.parametrize("name", CASES)
def test_killed_at_every_call_and_resumed_it_gives_the_same(name: str, tmp_path: Path) -> None:
    whole = Shelf(name, tmp_path / "whole").run()
    killed = itertools.takewhile(lambda n: same_after_a_crash(name, tmp_path / str(n), whole, n), itertools.count(1))
    assert len(list(killed)) > 1


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("fail", [0.3, 1])
@pytest.mark.parametrize("name", ["bug-hunt", "compare", "deep-research", "triage"])
def test_outages_never_look_like_success(name: str, fail: float, seed: int, tmp_path: Path) -> None:
    told = Shelf(name, tmp_path, backend=f"sample:fail={fail},seed={seed}").run().told
    result = told["result"]
    assert told["status"] == "completed"
    verdict = {
        "bug-hunt": result.get("complete"),
        "compare": result.get("complete"),
        "deep-research": result.get("status") == "answered",
        "triage": result.get("ok"),
    }[name]
    assert told["agents"]["null"] > 0 or fail < 1
    # A hunt goes on after a round in which somebody was out.
    if told["agents"]["null"] > 0 and (name != "bug-hunt" or fail == 1):
        assert verdict is False, json.dumps(result, indent=1)


@pytest.mark.parametrize("name", CASES)
async def test_its_section_names_its_args_phases_permissions_and_limits(name: str, tmp_path: Path) -> None:
    page = (ROOT / "docs/workflows.md").read_text(encoding="utf-8")
    section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
    async with Engine.open(tmp_path) as engine:
        report = await engine.check(Path(script(name)).read_text(encoding="utf-8"), file=name)
    meta: Any = report.meta
    assert f"\npawl run {name} " in section
    assert "Phases: " + ", ".join(phase["title"] for phase in meta["phases"]) in section
    assert f"At most {meta['limits']['agents']:,} agents" in section
    assert "Result: `" in section or name == "repo-tour"
    told = [*meta["args"]["properties"], *meta.get("permissions", [])]
    assert [word for word in told if f"`{word}`" not in section] == []
    assert meta["whenToUse"] and all("detail" in phase for phase in meta["phases"])
