"""Runs in the background and messages to them from other processes."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from support.pawl import Pawl, until

SLOW = "sample:latency=30s"
ASK = "const a = await ask('which?', {choices: ['red', 'blue']})\nreturn a\n"


@pytest.fixture
def pawl(tmp_path: Path) -> Pawl:
    return Pawl(tmp_path / "project")


class TestDetach:
    def test_it_prints_the_run_id_and_goes_on(self, pawl: Pawl) -> None:
        script = pawl.script("return await agent('x')\n")
        done = pawl("run", script, "--backend", "sample:latency=300ms", "--detach")
        assert (done.code, set(json.loads(done.out))) == (0, {"run_id"})
        run = json.loads(done.out)["run_id"]
        shown = pawl.wait_for_status(run, "completed")
        assert shown["agents"]["live"] == 1
        assert "Completed in" in (pawl.folder / ".pawl" / "logs" / f"{run}.log").read_text()

    @pytest.mark.parametrize(
        ("body", "flags", "code", "error"),
        [
            ("let x = ;\n", [], 2, "syntax"),
            ("return 1\n", ["--backend", "oracle"], 2, "unknown_backend"),
        ],
    )
    def test_what_keeps_it_from_starting_is_said_at_once(
        self, pawl: Pawl, body: str, flags: list[str], code: int, error: str
    ) -> None:
        done = pawl("run", pawl.script(body), "--backend", "sample", *flags, "--detach", "--json")
        assert (done.code, done.json["error"]["code"], done.json["run_id"]) == (code, error, None)
        assert list((pawl.folder / ".pawl" / "logs").iterdir()) == []

    def test_a_run_id_that_exists(self, pawl: Pawl) -> None:
        script = pawl.script("return 1\n")
        pawl("run", script, "--backend", "sample", "--run-id", "r")
        assert pawl("run", script, "--backend", "sample", "--run-id", "r", "--detach").code == 2

    def test_a_script_on_standard_input_goes_along(self, pawl: Pawl) -> None:
        head = "export const meta = { name: 'test', description: 'a test' }\n"
        done = pawl("run", "-", "--backend", "sample", "--run-id", "r", "--detach", stdin=head + "return 1\n")
        assert done.json == {"run_id": "r"}
        assert pawl.wait_for_status("r", "completed")["result"] == 1
        assert pawl("resume", "r", "--script", "-", "--detach", stdin=head + "return 2\n").json == {"run_id": "r"}
        assert pawl.wait_for_status("r", "completed")["result"] == 2

    def test_a_resume_goes_into_the_background_too(self, pawl: Pawl) -> None:
        pawl("run", pawl.script("throw 1\n"), "--backend", "sample", "--run-id", "r")
        fixed = pawl.script("return 2\n", "fixed.js")
        assert pawl("resume", "r", "--script", fixed, "--detach").json == {"run_id": "r"}
        assert pawl.wait_for_status("r", "completed")["result"] == 2


class TestControl:
    def test_cancel(self, pawl: Pawl) -> None:
        with pawl.started(
            "run", pawl.script("return await agent('x')\n"), "--backend", SLOW, "--run-id", "r"
        ) as process:
            pawl.wait_for("r", "running")
            began = time.monotonic()
            told = pawl("cancel", "r", "--json").json
            assert (told["run_id"], told["control"], told["call"]) == ("r", "cancel", None)
            assert pawl.ended(process).code == 4
            assert time.monotonic() - began < 10
        assert pawl("watch", "r").code == 4

    def test_pause_lets_running_agents_finish(self, pawl: Pawl) -> None:
        body = "await agent('one')\nawait agent('two')\n"
        script = pawl.script(body)
        with pawl.started("run", script, "--backend", "sample:latency=1s", "--run-id", "r", "--json") as process:
            pawl.wait_for("r", "running")
            assert pawl("pause", "r").code == 0
            done = pawl.ended(process)
        assert (done.code, done.json["status"]) == (5, "paused")
        calls = pawl("show", "r", "--calls", "--json").json["calls"]
        assert calls[0]["outcome"] == "ok"
        resumed = pawl("resume", "r", "--backend", "sample", "--json").json
        assert (resumed["status"], resumed["agents"]["total"]) == ("completed", 2)

    def test_skip_gives_null_and_does_not_degrade(self, pawl: Pawl) -> None:
        script = pawl.script("return await agent('x')\n")
        with pawl.started("run", script, "--backend", SLOW, "--run-id", "r", "--json") as process:
            pawl.wait_for("r", "running")
            assert pawl("skip", "r", "1").code == 0
            done = pawl.ended(process)
        assert (done.code, done.json["result"], done.json["degraded"]) == (0, None, False)

    def test_retry_starts_another_attempt(self, pawl: Pawl) -> None:
        script = pawl.script("return await agent('x')\n")
        with pawl.started("run", script, "--backend", SLOW, "--run-id", "r"):
            pawl.wait_for("r", "running")
            assert pawl("retry", "r", "1").code == 0

            def attempts() -> bool:
                return pawl("show", "r", "--calls", "--json").json["calls"][0]["attempts"] == 2

            until(attempts, "the second attempt is on record")

    def test_a_call_that_was_delivered_names_the_way_out(self, pawl: Pawl) -> None:
        pawl("run", pawl.script("return await agent('x')\n"), "--backend", "sample", "--run-id", "r")
        for kind in ("skip", "retry"):
            done = pawl(kind, "r", "1")
            assert done.code == 2
            assert "pawl resume r --rerun 1" in done.err
        assert pawl("skip", "r", "9").code == 2

    def test_a_message_to_a_dead_run_waits_for_its_resume(self, pawl: Pawl) -> None:
        script = pawl.script("return await agent('x')\n")
        with pawl.started("run", script, "--backend", SLOW, "--run-id", "r") as process:
            pawl.wait_for("r", "running")
            process.kill()
            process.wait()
            done = pawl("skip", "r", "1")
            assert (done.code, done.out) == (0, "Nobody drives run r now: `skip` takes effect when it is resumed.\n")
        resumed = pawl("resume", "r", "--json")
        assert (resumed.code, resumed.json["result"], resumed.json["agents"]["null"]) == (0, None, 1)


class TestAsk:
    def test_S61_without_a_person_the_run_is_paused_and_says_how_to_answer(self, pawl: Pawl) -> None:
        done = pawl("run", pawl.script(ASK), "--backend", "sample", "--allow", "ask", "--run-id", "r", "--json")
        assert (done.code, done.json["status"]) == (5, "paused")
        assert "Answer with: pawl answer r 1 VALUE\nGo on with: pawl resume r\n" in done.err
        shown = pawl("show", "r", "--json").json
        assert shown["waiting"] == [{"call": 1, "question": "which?", "choices": ["red", "blue"]}]
        assert pawl("answer", "r", "1", "2").code == 0
        resumed = pawl("resume", "r", "--json")
        assert (resumed.code, resumed.json["result"]) == (0, "blue")

    def test_S61_a_detached_run_waits_for_the_answer(self, pawl: Pawl) -> None:
        pawl("run", pawl.script(ASK), "--backend", "sample", "--allow", "ask", "--run-id", "r", "--detach")
        pawl.wait_for("r", "waiting")
        assert pawl("answer", "r", "1", "green").code == 2
        assert pawl("answer", "r", "1", "red").code == 0
        assert pawl.wait_for_status("r", "completed")["result"] == "red"

    def test_S63_what_was_not_allowed_throws_and_names_the_flag(self, pawl: Pawl) -> None:
        head = "export const meta = { name: 'a', description: 'd', permissions: ['ask'] }\n"
        done = pawl("run", pawl.script(ASK, head=head), "--backend", "sample", "--yes", "--json")
        assert (done.code, done.json["status"]) == (1, "failed")
        assert "asks for ask; not allowed: --allow ask" in done.err
        assert "--allow ask" in json.dumps(done.json["error"])


class TestWatch:
    def test_it_follows_a_run_of_another_process_to_its_end(self, pawl: Pawl) -> None:
        body = "log('hello')\nawait agent('one', {label: 'one'})\nreturn 1\n"
        pawl("run", pawl.script(body), "--backend", "sample:latency=1s", "--run-id", "r", "--detach")
        done = pawl("watch", "--json")
        kinds = [event["event"] for event in done.lines]
        assert (done.code, kinds[0], kinds[-1]) == (0, "run_started", "run_ended")
        assert kinds.count("call_settled") == 1

    def test_its_exit_code_is_the_run_s(self, pawl: Pawl) -> None:
        pawl("run", pawl.script("throw 1\n"), "--backend", "sample", "--run-id", "r")
        done = pawl("watch", "r")
        assert done.code == 1
        assert "Failed in" in done.err

    def test_a_run_that_was_killed_is_interrupted(self, pawl: Pawl) -> None:
        script = pawl.script("return await agent('x')\n")
        with pawl.started("run", script, "--backend", SLOW, "--run-id", "r") as process:
            pawl.wait_for("r", "running")
            with pawl.started("watch", "r") as watching:
                os.kill(process.pid, 9)
                assert pawl.ended(watching).code == 5

    def test_there_is_none(self, pawl: Pawl) -> None:
        done = pawl("watch")
        assert (done.code, done.err.splitlines()[0]) == (2, "Error: there is no run to watch")
