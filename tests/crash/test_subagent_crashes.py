"""SIGKILL of the real process while its subagents work with tools, then resume: each goes on from its last turn.

A service on loopback decides by the conversation that it is shown, as a model does: a turn that was lost shows in what
is done twice, or in the answer. CRASH_SEED=N repeats what was chosen by chance.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.agents_service import ModelService
from support.agents_working import AGENTS, EFFECTS, EXPECTED, Working, effects, prepare
from support.crashing import SEED, Fault
from support.families import Family
from support.pawl import COMMAND, PATIENCE_S, ROOT, Done, Pawl, until

from engine.faultpoints import JOURNAL

pytestmark = [pytest.mark.timeout(600), pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")]

WITHOUT_TASK = ["--run-id", "r", "--json", "--quiet", "--backend", "openai:fake-1"]


class Scene:
    """A project, the service that its agents ask, and the processes that are killed and resumed."""

    def __init__(self, folder: Path, service: ModelService, working: Working) -> None:
        self.pawl = Pawl(folder, service.environ())
        self.script = prepare(folder)
        self.service = service
        self.working = working
        self.crashes = 0
        self.family = Family(self.pawl)

    def start(self, fault: Fault | None = None) -> subprocess.Popen[str]:
        """The command that goes on: `run` while there is no run, then `resume`."""
        is_there = self.pawl("show", "r").code == 0 if (self.pawl.folder / ".pawl" / "pawl.db").exists() else False
        arguments = ["resume", "r", "--json", "--quiet"] if is_there else ["run", self.script, *WITHOUT_TASK]
        armed = ["-m", "support.crashing", fault.point, str(fault.number), os.devnull] if fault else COMMAND[1:]
        path = f"{ROOT}{os.pathsep}{ROOT / 'tests'}"
        return subprocess.Popen(
            [sys.executable, *armed, *arguments],
            cwd=self.pawl.folder,
            env={**self.pawl.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def killed(self, process: subprocess.Popen[str]) -> None:
        """Kills it, and what it started is gone soon."""
        self.family.look(process.pid)
        process.kill()
        self.ended(process)
        self.family.must_be_gone()

    def ended(self, process: subprocess.Popen[str]) -> Done:
        out, err = process.communicate(timeout=PATIENCE_S)
        assert "Traceback" not in err, err
        self.crashes += process.returncode != 0
        return Done(process.returncode, out, err)

    def finish(self) -> None:
        """Resumes to the end: the result is that of a run that nobody interrupted, and nothing was done twice."""
        done = self.ended(self.start())
        assert done.code == 0, done
        self.must_hold(done)

    def must_hold(self, done: Done) -> None:
        assert json.loads(done.out)["result"] == EXPECTED
        assert effects(self.pawl.folder) == EFFECTS, "something was done twice, or not at all"
        # A file is written beside its place and moved there; killed in between, what was written beside it stays.
        written = [path for path in (self.pawl.folder / "out").iterdir() if not path.name.startswith(".pawl-")]
        assert {path.stem: path.read_text() for path in written} == {n: f"by {n}" for n in (*AGENTS, "sum")}
        for name, turns in self.working.asked.items():
            # What a model said is on disk before it is acted on: no request shows less than one before it did.
            assert turns == sorted(turns), f"{name} was asked with {turns} answers: some were lost"
        # I6: what was paid for before a crash counts after it; only what was on its way to each agent may be lost.
        answers = json.loads(done.out)["run_usage"]["input_tokens"] / 7
        asked = sum(map(len, self.working.asked.values()))
        assert asked - len(AGENTS) * self.crashes <= answers <= asked
        for argument in (("verify",), ("replay", "r")):
            done = self.pawl(*argument)
            assert done.code == 0, done
        self.family.must_be_gone()


@pytest.fixture
def working() -> Working:
    return Working()


@pytest.fixture
def scene(tmp_path: Path, working: Working) -> Iterator[Scene]:
    with ModelService(working) as service:
        yield Scene(tmp_path / "project", service, working)


def test_I2_nobody_interrupts(scene: Scene) -> None:
    scene.finish()
    assert scene.working.asked == {name: [0, 1, 2, 3, 4] for name in (*AGENTS, "sum")}
    assert all(not +told for told in scene.working.told.values()), "nobody was told that anything is half done"


@pytest.mark.parametrize("turn", [0, 1, 2, 4])
def test_I2_I3_killed_while_the_service_thinks(scene: Scene, turn: int) -> None:
    scene.working.holds = {("elm", turn)}
    process = scene.start()
    assert scene.working.held.wait(PATIENCE_S)
    scene.killed(process)
    before = list(scene.working.asked["elm"])
    scene.finish()
    again = scene.working.asked["elm"][len(before) :]
    assert again[0] == turn, f"the interrupted agent went on with {again[0]} answers, not with {turn}"
    assert scene.working.told["elm"]["goes on"] == (turn > 0)
    assert scene.working.told["elm"]["again"] == (turn == 0)


def test_I3_killed_while_a_command_runs(scene: Scene) -> None:
    """The agent is told that its call may be half done; nothing of the command outlives the process by 3 s."""
    scene.working.gate = "while [ ! -e go ]; do sleep 0.05; done; "
    process = scene.start()
    until(lambda: sum(effects(scene.pawl.folder).values()) == len(AGENTS), "the first command of every agent runs")
    lines = scene.family.look(process.pid)
    assert sum("while" in line for line in lines) >= len(AGENTS), lines
    scene.killed(process)
    (scene.pawl.folder / "go").touch()
    scene.finish()
    for name in AGENTS:
        assert scene.working.told[name]["half done"] == 1
        assert scene.working.told[name]["goes on"] == 1


def test_I3_killed_twice_in_the_same_place(scene: Scene) -> None:
    scene.working.gate = "while [ ! -e go ]; do sleep 0.05; done; "
    process = scene.start()
    until(lambda: effects(scene.pawl.folder)["ash-one"] == 1, "a command runs")
    scene.killed(process)
    scene.working.holds = {("ash", 2)}
    scene.working.held.clear()
    process = scene.start()
    assert scene.working.held.wait(PATIENCE_S)
    scene.killed(process)
    (scene.pawl.folder / "go").touch()
    scene.finish()
    assert scene.working.told["ash"]["half done"] == 1
    assert scene.working.told["ash"]["goes on"] == 1, "told once: both interruptions were in the same place"


def test_I3_interrupted_by_a_person_while_a_command_runs(scene: Scene) -> None:
    """Ctrl-C leaves nothing of the command at once, and a resume goes on as after a crash."""
    scene.working.gate = "while [ ! -e go ]; do sleep 0.05; done; "
    process = scene.start()
    until(lambda: sum(effects(scene.pawl.folder).values()) == len(AGENTS), "the first command of every agent runs")
    scene.family.look(process.pid)
    process.send_signal(signal.SIGINT)
    done = scene.ended(process)
    assert (done.code, json.loads(done.out)["status"]) == (5, "interrupted")
    assert scene.family.left() == []
    (scene.pawl.folder / "go").touch()
    scene.finish()
    assert [scene.working.told[name]["half done"] for name in AGENTS] == [1, 1, 1]


@pytest.mark.parametrize("index", range(3))
def test_I1_I2_I3_killed_around_a_commit(scene: Scene, index: int) -> None:
    """Between a turn and its tool, between a tool and its turn: wherever the journal is at."""
    dice = random.Random(SEED + index)
    fault = Fault(JOURNAL[index], dice.randint(3, 25))
    print(fault)
    scene.ended(scene.start(fault))
    scene.family.must_be_gone()
    scene.finish()


def test_I2_I3_killed_at_random_instants(scene: Scene) -> None:
    dice = random.Random(SEED)
    for _ in range(3):
        _kill_after(scene, dice.uniform(0.8, 2.0))
    scene.finish()


@pytest.mark.soak
def test_I2_I3_killed_at_random_instants_soak(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    until_s = time.monotonic() + 60 * float(os.environ.get("CRASH_SOAK_MINUTES") or 5)
    round_ = 0
    while time.monotonic() < until_s:
        round_ += 1
        working = Working()
        with ModelService(working) as service:
            scene = Scene(tmp_path / f"project-{round_}", service, working)
            for _ in range(dice.randint(1, 6)):
                if dice.random() < 0.5:
                    scene.ended(scene.start(Fault(dice.choice(JOURNAL), dice.randint(1, 40))))
                else:
                    _kill_after(scene, dice.uniform(0.5, 3.0))
            scene.finish()


def _kill_after(scene: Scene, seconds: float) -> None:
    process = scene.start()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        scene.killed(process)
    else:
        scene.ended(process)
