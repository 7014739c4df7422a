"""Ctrl-C, SIGTERM, SIGHUP and messages from other processes, through the real `pawl`: nothing is lost, nothing is left."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
from support.families import Family
from support.pawl import Pawl, Terminal, until

BODY = """
const before = (await check('echo before >> executions; echo 1')).ok
const during = await parallel([
  () => check('echo during >> executions; while [ ! -e go ]; do sleep 0.02; done; echo done'),
  () => agent('slow', {label: 'slow'}),
])
return [before, during[0].stdout, typeof during[1]]
"""
RESULT = [True, "done\n", "string"]
FLAGS = ("--backend", "sample:latency=600s", "--allow", "check", "--run-id", "r")
SLOW = "sample:latency=600s"
PROMPT_S = 1.0
"""A message has to be acted on within 0.2 s; a loaded machine gets more before a test calls it late."""


@pytest.fixture
def pawl(tmp_path: Path) -> Pawl:
    return Pawl(tmp_path / "project")


def executions(pawl: Pawl) -> list[str]:
    path = pawl.folder / "executions"
    return path.read_text().split() if path.exists() else []


def runs_everything(pawl: Pawl) -> bool:
    return executions(pawl) == ["before", "during"] and pawl.wait_for("r", "running") is not None


def check_and_resume(pawl: Pawl, recorded: list[str | None]) -> None:
    """What stands in the journal, then a resume: only what was in flight runs again."""
    calls = pawl("show", "r", "--calls", "--json").json["calls"]
    assert [call["outcome"] for call in calls] == recorded
    (pawl.folder / "go").touch()
    done = pawl("resume", "r", "--backend", "sample", "--json")
    assert (done.code, done.json["result"], done.json["version"]) == (0, RESULT, 2)
    assert executions(pawl) == ["before", "during", "during"]
    assert [call["attempts"] for call in pawl("show", "r", "--calls", "--json").json["calls"]] == [1, 2, 2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_records_what_runs_as_interrupted(pawl: Pawl, number: signal.Signals) -> None:
    family = Family(pawl)
    with pawl.started("run", pawl.script(BODY), *FLAGS, "--json") as process:
        until(lambda: runs_everything(pawl), "check and agent run")
        assert len(family.look(process.pid)) >= 2
        process.send_signal(number)
        done = pawl.ended(process)
        assert (done.code, done.json["status"], done.json["version"]) == (5, "interrupted", 1)
        assert "Go on with: pawl resume r" in done.err.splitlines()
        family.must_be_gone()
    check_and_resume(pawl, ["ok", "interrupted", "interrupted"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_twice_ends_at_once(pawl: Pawl, number: signal.Signals) -> None:
    family = Family(pawl)
    with pawl.started("run", pawl.script(BODY), *FLAGS) as process:
        until(lambda: runs_everything(pawl), "check and agent run")
        family.look(process.pid)
        began = time.monotonic()
        process.send_signal(number)
        process.send_signal(number)
        done = pawl.ended(process)
        assert time.monotonic() - began < 30  # not the 600 s that the agent takes
        assert done.code == 5
        assert [line for line in done.err.splitlines() if line.endswith("pawl resume r")]
        family.must_be_gone()
    check_and_resume(pawl, ["ok", "interrupted", "interrupted"])


def test_ctrl_c_at_a_terminal_reaches_pawl_and_no_child(pawl: Pawl) -> None:
    """The whole foreground group gets the signal: a check that got it too would have ended by itself, with a result."""
    family = Family(pawl)
    terminal = Terminal(pawl, "run", pawl.script(BODY), *FLAGS)
    until(lambda: terminal._read() or runs_everything(pawl), "check and agent run")
    family.look(terminal.pid)
    terminal.type("\x03")
    assert terminal.wait() == 5
    assert "Go on with: pawl resume r" in terminal.seen
    family.must_be_gone()
    check_and_resume(pawl, ["ok", "interrupted", "interrupted"])


def test_a_terminal_that_hangs_up(pawl: Pawl) -> None:
    family = Family(pawl)
    terminal = Terminal(pawl, "run", pawl.script(BODY), *FLAGS)
    until(lambda: terminal._read() or runs_everything(pawl), "check and agent run")
    family.look(terminal.pid)
    os.close(terminal.fd)
    code: list[int] = []

    def ended() -> bool:
        pid, status = os.waitpid(terminal.pid, os.WNOHANG)
        if pid:
            code.append(os.waitstatus_to_exitcode(status))
        return bool(pid)

    until(ended, "it ends")
    assert code == [5]
    assert pawl("show", "r", "--json").json["status"] == "interrupted"
    family.must_be_gone()
    check_and_resume(pawl, ["ok", "interrupted", "interrupted"])


def test_a_signal_at_any_moment_of_the_start_leaves_no_lease(pawl: Pawl) -> None:
    script = pawl.script("return await agent('x')\n")
    for position in range(10):
        run, due = f"r{position}", time.monotonic() + position * 0.05
        with pawl.started("run", script, "--backend", SLOW, "--run-id", run) as process:
            until(lambda due=due: time.monotonic() > due, "its time has come")
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
        assert "Traceback" not in err, err
        assert process.returncode in (5, 2, 130, -signal.SIGTERM), (position, process.returncode, err)
        shown = pawl("show", run, "--json")
        if shown.code == 0:
            assert (shown.json["status"], process.returncode in (5, -signal.SIGTERM)) == ("interrupted", True)
            assert pawl("resume", run, "--backend", "sample", "--json").json["status"] == "completed"


def test_detached_killed_resumed(pawl: Pawl) -> None:
    family = Family(pawl)
    done = pawl("run", pawl.script(BODY), *FLAGS, "--detach")
    assert (done.code, json.loads(done.out)) == (0, {"run_id": "r"})
    until(lambda: runs_everything(pawl), "check and agent run")
    driver = re.search(r"^driven by .*:([0-9]+)$", pawl("show", "r").out, re.MULTILINE)
    assert driver is not None
    pid = int(driver[1])
    family.look(pid)
    os.kill(pid, signal.SIGKILL)
    family.must_be_gone()
    assert pawl("show", "r", "--json").json["status"] == "interrupted"
    check_and_resume(pawl, ["ok", "interrupted", "interrupted"])


class TestMessages:
    """From another process, to a run that lives."""

    def acted_after_s(self, pawl: Pawl, *arguments: str) -> tuple[float, str]:
        """From the message's own time in the journal to the outcome, without the start of the command that sent it."""
        done = pawl(*arguments, "--json")
        assert done.code == 0, done
        import sqlite3

        with sqlite3.connect(f"file:{pawl.folder}/.pawl/pawl.db?mode=ro", uri=True) as other:
            (sent_at,) = other.execute("SELECT max(created_at) FROM controls").fetchone()
        other.close()
        return time.time() - sent_at / 1000, done.json["outcome"]

    @pytest.mark.parametrize(
        ("arguments", "code", "status", "result"),
        [
            (("pause", "r"), 5, "paused", None),
            (("cancel", "r"), 4, "cancelled", None),
            (("skip", "r", "1"), 0, "completed", None),
            (("answer", "r", "1", "red"), 0, "completed", "red"),
        ],
        ids=lambda given: given[0] if isinstance(given, tuple) else "",
    )
    def test_are_acted_on_at_once(
        self, pawl: Pawl, arguments: tuple[str, ...], code: int, status: str, result: str | None
    ) -> None:
        asks = arguments[0] in ("answer", "pause")
        body = "return await ask('which?', {choices: ['red', 'blue']})\n" if asks else "return await agent('x')\n"
        pawl("run", pawl.script(body), "--backend", SLOW, "--allow", "ask", "--run-id", "r", "--detach")
        pawl.wait_for("r", "waiting" if asks else "running")
        seconds, outcome = self.acted_after_s(pawl, *arguments)
        print(f"{arguments[0]}: {seconds * 1000:.0f} ms")
        assert seconds < PROMPT_S
        assert outcome == f"Run r: {arguments[0]}{' of call 1' if len(arguments) > 2 else ''} done."
        shown = pawl.wait_for_status("r", status)
        assert shown["result"] == result
        assert pawl("watch", "r").code == code

    def test_retry(self, pawl: Pawl) -> None:
        pawl("run", pawl.script("return await agent('x')\n"), "--backend", SLOW, "--run-id", "r", "--detach")
        pawl.wait_for("r", "running")
        seconds, _ = self.acted_after_s(pawl, "retry", "r", "1")
        assert seconds < PROMPT_S
        until(lambda: pawl("show", "r", "--calls", "--json").json["calls"][0]["attempts"] == 2, "a second attempt")
        assert pawl("cancel", "r").code == 0

    def test_to_a_dead_run_wait_for_its_resume(self, pawl: Pawl) -> None:
        script = pawl.script("return [await agent('x'), await agent('y')]\n")
        for kind, code, status in (("pause", 5, "paused"), ("cancel", 4, "cancelled"), ("retry", 0, "completed")):
            with pawl.started("run", script, "--backend", SLOW, "--run-id", kind) as process:
                pawl.wait_for(kind, "running")
                process.kill()
                process.wait()
            words = (kind, kind, "1") if kind == "retry" else (kind, kind)
            said = f"Nobody drives run {kind} now: `{kind}` takes effect when it is resumed.\n"
            assert (done := pawl(*words)).code == 0 and done.out == said, done
            done = pawl("resume", kind, "--backend", "sample", "--json")
            assert (done.code, done.json["status"]) == (code, status), done
            # It has taken effect once: the next resume goes on.
            if code:
                done = pawl("resume", kind, "--backend", "sample", "--json")
                assert (done.code, done.json["status"]) == (0, "completed"), done

    def test_that_make_no_sense_are_refused(self, pawl: Pawl) -> None:
        pawl("run", pawl.script("return await agent('x')\n"), "--backend", "sample", "--run-id", "r")
        for words in (("skip", "r", "1"), ("retry", "r", "1"), ("skip", "r", "2"), ("answer", "r", "1", "x")):
            done = pawl(*words)
            assert (done.code, done.out) == (2, ""), words
            assert done.err.startswith("Error: ") and "\nHint: " in done.err, words
