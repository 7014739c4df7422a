"""The workflows that ship, each with a small project: run by the real command line, killed at any call, resumed.

A run has one call at a time (`--concurrency 1`), so that each turn in which results reach the script brings one: killed
at the k-th, right before the script hears of it (`before_deliver`), a run has k settled calls in its journal.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.pawl import PATIENCE_S, ROOT, Done
from support.repositories import CLEAN, Repository

RUN = "library"
WAITS = 5
"""The exit code of a run that waits for a person."""

FILES = {
    ".gitignore": "/.pawl/\n",
    "README.md": "# Tick\n\nA clock that counts whole seconds and shows them.\n",
    "CHANGELOG.md": "# Changelog\n\n## [1.0.0] - 2026-01-02\n\n- The first one.\n",
    "clock/hands.py": '"""Draws the hands of the clock on a terminal."""\n\n\ndef draw(angle):\n    return angle / 0\n',
    "clock/face.py": '"""The dial."""\n\n\nMARKS = 12\nNAME = None\n',
}
CHANGED = {"clock/face.py": '"""The dial."""\n\n\nMARKS = 13\nNAME = "Tick"\n'}
"""Not committed: what there is to review."""


@dataclass(frozen=True)
class Case:
    """How a workflow is run in these tests.

    Attributes:
        args: of the run.
        allow: the permissions that it is given.
        answer: what a person says when asked.
    """

    args: Mapping[str, Any]
    allow: str = ""
    answer: str | None = None


CASES: dict[str, Case] = {
    "audit-docs": Case({"docs": ["*.md"]}, "files"),
    "bug-hunt": Case(
        {"files": ["clock/*.py"], "lenses": ["edges", "state"], "rounds": 3, "dry": 1, "command": "echo fine"},
        "check,files",
    ),
    "code-review": Case({"base": "HEAD", "dimensions": ["correctness", "failure"]}, "check,files"),
    "compare": Case({"options": ["red: loud", "blue: calm", "grey"], "criteria": ["seen: from afar", "liked"]}),
    "deep-plan": Case({"task": "Replace the clock's spring without stopping it."}),
    "deep-research": Case({"question": "Why is it late?", "urls": ["https://a.example/late"]}),
    "fix-tests": Case({"command": "echo 'FAIL: test_hands'; exit 1", "rounds": 1}, "check,files"),
    "migrate": Case({"task": "Say what it is", "command": "true", "files": ["clock/*.py"]}, "check,files"),
    "release": Case({"version": "1.1.0", "since": "v1.0.0", "checks": ["true"]}, "check,ask,files", answer="publish"),
    "repo-tour": Case({"as": "data"}, "files"),
    "review": Case({"target": "def add(a, b): return a - b", "dimensions": ["correctness", "clarity"], "most": 2}),
    "triage": Case(
        {"items": ["disk 12 is full", "disk 97 is full", "no login to the shop", "no login to the shop, again"]}
    ),
}
"""Every workflow that ships has one: a test says so."""


@dataclass(frozen=True)
class Ran:
    """A run that ended, and how often each fault point was reached on the way."""

    told: Any
    points: Counter[str]


@dataclass
class Shelf:
    """One workflow in a project of its own, below `folder`.

    `sample` gives the same answer to an attempt that is made again. With `fail` it does not, so that a run that was killed with
    calls in flight may rightly end in another way.
    """

    name: str
    folder: Path
    backend: str = "sample"
    _processes: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.project = self.folder / "project"
        self.repository = Repository.make(self.project, FILES)
        self.repository.git("tag", "v1.0.0")
        for subject in ("feat: say what is late", "Make hands out of wood"):
            self.repository.git("commit", "--quiet", "--allow-empty", "--message", subject)
        self.repository.write(CHANGED if self.name != "migrate" else {})
        self.case = CASES[self.name]

    @property
    def words(self) -> list[str]:
        """Of `pawl run`."""
        allow = ["--allow", self.case.allow] if self.case.allow else []
        flags = ["--backend", self.backend, "--yes", "--concurrency", "1", *allow]
        return ["run", script(self.name), "--args", json.dumps(self.case.args), "--run-id", RUN, *flags]

    def command(self, *words: str, kill_at: int = 0) -> tuple[Done, Counter[str]]:
        """`pawl` with words; it kills itself when the `kill_at`-th result is about to reach the script."""
        self._processes += 1
        witness = self.folder / f"witness-{self._processes}"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PAWL_", "XDG_"))}
        path = f"{ROOT}{os.pathsep}{ROOT / 'tests'}"
        point = "before_deliver" if kill_at else "never"
        done = subprocess.run(
            [sys.executable, "-m", "support.crashing", point, str(kill_at), str(witness), *words, "--json"],
            cwd=self.project,
            env={**kept, **CLEAN, "HOME": str(self.folder), "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        lines = [json.loads(line) for line in witness.read_text().splitlines()] if witness.exists() else []
        return Done(done.returncode, done.stdout, done.stderr), Counter(x for x in lines if isinstance(x, str))

    def run(self) -> Ran:
        """From the beginning to the end, without a crash."""
        done, points = self.command(*self.words)
        return self._ended(done, points)

    def killed_at(self, number: int) -> bool:
        """Runs until the `number`-th delivery, where it dies; a person who is asked before has answered.

        False when it was over by then: what two host effects bring at the same time is one delivery in one run and two
        in another.
        """
        done, points = self.command(*self.words, kill_at=number)
        if done.code == WAITS:
            self._answer()
            rest = number - points["before_deliver"]
            done, _ = self.command("resume", RUN, "--yes", kill_at=max(1, rest))
        assert done.code in (0, -signal.SIGKILL), (done.code, done.err)
        return done.code != 0

    def resumed(self) -> Ran:
        """What is told by the `resume` that brings it to its end."""
        done, points = self.command("resume", RUN, "--yes")
        return self._ended(done, points)

    def calls(self) -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = self.command("show", RUN, "--calls")[0].json["calls"]
        return shown

    def _ended(self, done: Done, points: Counter[str]) -> Ran:
        if done.code == WAITS:
            self._answer()
            done, more = self.command("resume", RUN, "--yes")
            points += more
        assert done.code == 0, (done.code, done.err)
        return Ran(done.json, points)

    def _answer(self) -> None:
        (question,) = [call for call in self.calls() if call["kind"] == "ask" and call["settled_at"] is None]
        assert self.case.answer is not None, f"{self.name} asks a person: {question}"
        done, _ = self.command("answer", RUN, str(question["call"]), self.case.answer)
        assert done.code == 0, done.err


def script(name: str) -> str:
    return str(ROOT / "workflows" / f"{name}.js")


def shipped() -> list[str]:
    """The names of all workflows in the folder."""
    return sorted(path.stem for path in (ROOT / "workflows").glob("*.js"))


def same_after_a_crash(name: str, folder: Path, whole: Ran, number: int) -> bool:
    """Kills a run at its `number`-th delivery, resumes it, and holds it to the uninterrupted one.

    False when it had no so many deliveries, and nothing was killed.
    """
    shelf = Shelf(name, folder)
    if not shelf.killed_at(number):
        return False
    before = {call["call"] for call in shelf.calls() if call["kind"] == "agent" and call["settled_at"] is not None}
    told = shelf.resumed().told
    assert told["status"] == "completed"
    assert told["result"] == whole.told["result"], f"I2: killed at delivery {number}, the result is another one"
    agents, expected = told["agents"], whole.told["agents"]
    assert agents["live"] + agents["reused"] == agents["total"] == expected["total"]
    assert agents["reused"] >= len(before), f"I3: {len(before)} agents had answered, {agents['reused']} were reused"
    replayed, _ = shelf.command("replay", RUN)
    assert (replayed.json["result"], replayed.json["agents"]["live"]) == (told["result"], 0)
    verified, _ = shelf.command("verify")
    assert verified.code == 0, verified.err
    return True
