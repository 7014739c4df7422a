"""The workflows that ship: each completes, stands missing answers, and gives the same when it was killed half-way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAWL = [sys.executable, "-m", "engine.cli.main"]
TIMEOUT_S = 60

FILES = {
    "README.md": "# Tick\n\nA clock that counts whole seconds and shows them.\n",
    "clock/__init__.py": '"""The clock: counts seconds from the start of the program."""\n',
    "clock/hands.py": '"""Draws the hands of the clock on a terminal."""\nimport math\n',
    "clock/face/dial.js": "// The dial: twelve marks and a name.\nexport const marks = 12\n",
    "tests/test_clock.py": '"""Tests of the clock: nothing here waits."""\n',
    "tools/build.sh": "#!/bin/sh\n# Builds the clock and puts it where people find it.\nmake\n",
    "silent/data.c": "int x;\n",
    ".hidden/secret.py": '"""Hidden folders are no part of the tour."""\n',
}

DIMENSIONS = ["correctness: wrong results", "clarity: names that mislead", "failure: half-done work"]


class Case(NamedTuple):
    args: dict[str, Any]
    flags: tuple[str, ...] = ()


CASES = {
    "repo-tour": Case({"as": "data"}, ("--allow", "files")),
    "review": Case({"target": "def add(a, b): return a - b", "dimensions": DIMENSIONS, "most": 2}),
    "deep-plan": Case({"task": "Replace the clock's spring without stopping it."}),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "project"


def command(verb: str, *words: str, project: Path) -> list[str]:
    return [*PAWL, verb, *words, "--project", str(project), "--journal", str(project.with_suffix(".db"))]


def run_flags(name: str, backend: str) -> list[str]:
    case = CASES[name]
    script = str(ROOT / "workflows" / f"{name}.js")
    return [script, "--args", json.dumps(case.args), "--backend", backend, "--yes", *case.flags]


def pawl(verb: str, *words: str, project: Path, code: int = 0) -> Any:
    """Runs a command to its end and returns what it printed with --json."""
    done = subprocess.run(
        command(verb, *words, "--json", project=project),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == code, f"exit code {done.returncode}, expected {code}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


def run(name: str, project: Path, *, backend: str = "sample", run_id: str = "whole") -> dict[str, Any]:
    found: dict[str, Any] = pawl("run", *run_flags(name, backend), "--run-id", run_id, project=project)
    return found


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_wrong_with_it(name: str, project: Path) -> None:
    report = pawl("check", str(ROOT / "workflows" / f"{name}.js"), project=project)
    assert (report["ok"], report["files"][0]["problems"]) == (True, [])


@pytest.mark.parametrize("name", CASES)
def test_it_completes_with_nothing_missing(name: str, project: Path) -> None:
    told = run(name, project)
    assert (told["status"], told["degraded"], told["error"]) == ("completed", False, None)
    assert told["agents"]["live"] == told["agents"]["total"] > 0
    assert told["agents"]["null"] == told["agents"]["failed"] == told["agents"]["refused"] == 0


def test_the_tour_finds_the_parts_in_code(project: Path) -> None:
    result = run("repo-tour", project)["result"]
    assert {part["folder"]: part["files"] for part in result["parts"]} == {
        ".": 1, "clock": 2, "clock/face": 1, "silent": 1, "tests": 1, "tools": 1,
    }  # fmt: skip
    says = {part["folder"]: part["says"] for part in result["parts"]}
    assert says["clock"][0] == "__init__.py: The clock: counts seconds from the start of the program."
    assert says["tools"] == ["build.sh: Builds the clock and puts it where people find it."]
    assert says["silent"] == []
    assert {part["folder"]: part["model"] for part in result["parts"]} == {
        ".": "sample", "clock": "sample", "clock/face": "sample", "silent": None, "tests": "sample", "tools": "sample",
    }  # fmt: skip
    assert result["leftOut"] == 0


def test_the_tour_for_people_says_who_wrote_its_lines(project: Path) -> None:
    flags = [str(ROOT / "workflows/repo-tour.js"), "--args", '{"most": 2}', "--backend", "sample", "--allow", "files"]
    page = pawl("run", *flags, project=project)["result"]
    assert page.startswith("A tour: 2 parts, 3 source files\n\n")
    assert "clock · 2 files\n    The clock: counts seconds from the start of the program.\n  ~ Sample answer" in page
    assert "The 2 lines with ~ were written by sample:" in page
    assert "it is a demo model and very small" in page


def test_the_tour_without_permission_names_the_flag(project: Path) -> None:
    flags = [str(ROOT / "workflows/repo-tour.js"), "--backend", "sample"]
    told = pawl("run", *flags, project=project, code=1)
    assert told["status"] == "failed"
    assert "--allow files" in told["error"]["message"]
    assert told["agents"]["total"] == 0


def test_the_review_accounts_for_every_finding(project: Path) -> None:
    result = run("review", project)["result"]
    assert result["gaps"] == []
    for finding in result["confirmed"] + result["undecided"]:
        assert sum(finding["votes"].values()) == 3
        assert finding["dimension"] in {dimension.split(":")[0] for dimension in DIMENSIONS}
    assert all(finding["votes"]["for"] >= 2 for finding in result["confirmed"])


def test_the_plan_of_the_best_score_wins(project: Path) -> None:
    result = run("deep-plan", project)["result"]
    scores = [entry["score"] for entry in result["scores"]]
    assert len(scores) == 4 and scores == sorted(scores, reverse=True)
    assert result["from"] == result["scores"][0]["start"]
    assert result["improved"] is True and result["plan"]["steps"]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", ["review", "repo-tour"])
def test_missing_answers_are_told_not_hidden(name: str, seed: int, project: Path) -> None:
    told = run(name, project, backend=f"sample:fail=0.4,seed={seed}")
    assert told["status"] == "completed"
    assert told["degraded"] is (told["agents"]["null"] > 0)
    result = told["result"]
    if name == "review":
        assert len(result["gaps"]) <= told["agents"]["null"]
        assert all(finding["votes"]["for"] >= 2 for finding in result["confirmed"])
    else:
        assert len([part for part in result["parts"] if part["line"] is None]) == told["agents"]["null"] + 1


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("name", CASES)
def test_killed_and_resumed_it_gives_the_same(name: str, share: float, project: Path) -> None:
    """I2 for real scripts: SIGKILL after a share of the agents' answers, then `resume`."""
    whole = run(name, project)
    settled_before = int(share * whole["agents"]["total"]) or 1

    flags = [*run_flags(name, "sample:latency=30ms"), "--run-id", "killed", "--concurrency", "2", "--events", "-"]
    with subprocess.Popen(
        command("run", *flags, project=project),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as driver:  # fmt: skip
        assert driver.stdout is not None
        kinds: dict[int, str] = {}
        seen = 0
        for line in driver.stdout:
            event = json.loads(line)
            assert event["event"] != "run_ended", "it ended before it could be killed"
            if event["event"] == "call_requested":
                kinds[event["call"]] = event["call_kind"]
            seen += event["event"] == "call_settled" and kinds[event["call"]] == "agent"
            if seen == settled_before:
                driver.send_signal(signal.SIGKILL)
                break
        assert driver.wait(TIMEOUT_S) == -signal.SIGKILL

    (listed,) = [known for known in pawl("runs", project=project)["runs"] if known["run_id"] == "killed"]
    assert listed["status"] == "interrupted"
    resumed = pawl("resume", "killed", "--concurrency", "16", "--backend", "sample", "--yes", project=project)
    assert (resumed["status"], resumed["version"], resumed["degraded"]) == ("completed", 2, False)
    assert resumed["result"] == whole["result"]
    assert resumed["agents"]["reused"] >= settled_before
    assert resumed["agents"]["live"] + resumed["agents"]["reused"] == whole["agents"]["total"]

    replayed = pawl("replay", "killed", project=project)
    assert replayed["result"] == whole["result"]
    assert replayed["agents"]["live"] == 0
    pawl("verify", project=project)
