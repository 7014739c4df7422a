"""The command line from end to end: a program's view. Exit codes and JSON as docs/cli.md has them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.pawl import COMMAND, ROOT, Pawl, until

RESULT = {"run_id", "version", "status", "result", "error", "degraded", "agents", "usage", "run_usage", "seconds"}
THREE = "return await parallel([1, 2, 3].map(n => () => agent('find ' + n, {label: 'f' + n})))\n"


@pytest.fixture
def pawl(tmp_path: Path) -> Pawl:
    return Pawl(tmp_path / "project")


class TestRun:
    def test_json_is_the_result_and_nothing_else(self, pawl: Pawl) -> None:
        done = pawl("run", pawl.script(THREE), "--backend", "sample", "--json", "--run-id", "r")
        told = done.json
        assert done.code == 0
        assert set(told) == RESULT
        assert (told["run_id"], told["version"], told["status"], told["error"]) == ("r", 1, "completed", None)
        assert told["agents"] == {"total": 3, "live": 3, "reused": 0, "failed": 0, "null": 0, "refused": 0}
        assert len(told["result"]) == 3
        assert told["usage"]["output_tokens"] > 0
        assert "Completed in" in done.err

    def test_without_json_standard_output_is_the_value(self, pawl: Pawl) -> None:
        done = pawl("run", pawl.script("return {a: [1, 'é']}\n"), "--backend", "sample")
        assert (done.code, json.loads(done.out)) == (0, {"a": [1, "é"]})
        done = pawl("run", pawl.script("return 'just text'\n"), "--backend", "sample")
        assert (done.code, done.out) == (0, "just text\n")

    def test_quiet_says_nothing_when_all_is_well(self, pawl: Pawl) -> None:
        done = pawl("run", pawl.script(THREE), "--backend", "sample", "--quiet")
        assert (done.code, done.err) == (0, "")

    @pytest.mark.parametrize(
        ("given", "value"),
        [
            (["--args", '{"a": 1}'], {"a": 1}),
            (["--args", "some text"], "some text"),
            (["--args", "null"], None),
            ([], "none"),
        ],
    )
    def test_S42_args_reach_the_script(self, pawl: Pawl, given: list[str], value: object) -> None:
        script = pawl.script("return args === undefined ? 'none' : args\n")
        assert pawl("run", script, "--backend", "sample", "--json", *given).json["result"] == value

    def test_a_script_and_args_come_from_standard_input(self, pawl: Pawl) -> None:
        body = Path(pawl.script("return args ?? 'stdin'\n")).read_text()
        assert pawl("run", "-", "--backend", "sample", "--json", stdin=body).json["result"] == "stdin"
        script = pawl.script("return args\n")
        assert pawl("run", script, "--args", "-", "--backend", "sample", "--json", stdin="[1]").json["result"] == [1]

    def test_a_workflow_by_name_from_a_folder_below(self, pawl: Pawl) -> None:
        pawl.script("return 'named'\n", ".pawl/workflows/other-file.js")
        below = pawl.folder / "a" / "b"
        below.mkdir(parents=True)
        done = pawl("run", "test", "--backend", "sample", "--json", cwd=below)
        assert (done.code, done.json["result"]) == (0, "named")
        assert pawl("runs", "--json").json["runs"][0]["project"] == str(pawl.folder)

    def test_out_is_the_result_in_one_piece(self, pawl: Pawl) -> None:
        path = pawl.folder / "result.json"
        done = pawl("run", pawl.script(THREE), "--backend", "sample", "--json", "--out", str(path))
        assert json.loads(path.read_text()) == done.json
        assert [p.name for p in pawl.folder.iterdir() if "part" in p.name] == []

    def test_events_go_to_a_file_as_json_lines(self, pawl: Pawl) -> None:
        path = pawl.folder / "events.jsonl"
        done = pawl("run", pawl.script("log('hi')\n" + THREE), "--backend", "sample", "--json", "--events", str(path))
        events = [json.loads(line) for line in path.read_text().splitlines()]
        kinds = [event["event"] for event in events]
        assert (kinds[0], kinds[-1]) == ("run_started", "run_ended")
        assert kinds.count("call_settled") == 3
        assert events[-1]["result"] == done.json
        assert [e["text"] for e in events if e["event"] == "log"] == ["hi"]

    def test_events_on_standard_output_end_with_the_result(self, pawl: Pawl) -> None:
        done = pawl("run", pawl.script(THREE), "--backend", "sample", "--json", "--events", "-")
        assert done.lines[-1]["event"] == "run_ended"
        assert set(done.lines[-1]["result"]) == RESULT

    def test_caps_are_shown_before_anything_starts(self, pawl: Pawl) -> None:
        done = pawl("run", pawl.script(THREE), "--backend", "sample", "--max-agents", "7", "--budget", "5000")
        assert "at most 7 agents, 16 at once, 5,000 output tokens" in done.err.splitlines()[0]

    def test_the_journal_is_kept_out_of_git_and_only_where_it_is(self, pawl: Pawl) -> None:
        script = pawl.script("return 1\n")
        pawl("run", script, "--backend", "sample", "--journal", str(pawl.folder / "other.db"))
        assert not (pawl.folder / ".pawl" / ".gitignore").exists()
        pawl("run", script, "--backend", "sample")
        assert "/pawl.db*" in (pawl.folder / ".pawl" / ".gitignore").read_text()

    def test_it_loads_only_what_it_needs(self, pawl: Pawl) -> None:
        code = "import sys; from engine.cli import main; main.run(sys.argv[1:]); sys.stderr.write('|' + ' '.join(sys.modules))"
        done = subprocess.run(
            [sys.executable, "-c", code, "run", pawl.script(THREE), "--backend", "sample", "--json"],
            cwd=pawl.folder,
            env=pawl.environ,
            capture_output=True,
            text=True,
            check=True,
        )
        loaded = set(done.stderr.rpartition("|")[2].split())
        heavy = {
            "rich",
            "pydantic",
            "httpx",
            "structlog",
            "jsonschema",
            "xllamacpp",
            "tree_sitter",
            "quickjs",
            "_quickjs",
        }
        assert loaded & heavy == set()
        assert "engine.engine" in loaded

    def test_without_a_backend_local_is_meant_and_refused_with_what_installs_it(self, pawl: Pawl) -> None:
        done = pawl("run", pawl.script(THREE), "--json")
        assert (done.code, done.json["error"]["code"]) == (2, "backend_missing")
        assert "pawl model pull" in done.json["error"]["hint"]
        assert pawl("runs", "--json").json == {"runs": []}

    def test_a_workflow_that_was_large_is_confirmed(self, pawl: Pawl) -> None:
        (pawl.folder / ".pawl" / "config.toml").write_text("[confirm]\nagents = 2\n")
        script = pawl.script(THREE)
        openai = {"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
        assert pawl("run", script, "--backend", "sample").code == 0
        assert pawl("run", script, "--backend", "sample").code == 0, "sample costs nothing"
        done = pawl("run", script, "--backend", "openai:m", "--json", **openai)
        assert (done.code, done.json["error"]["code"]) == (2, "not_confirmed")
        assert done.json["error"]["message"] == ("test.js is a large workflow: its last run made 3 agent calls for $0")
        assert done.json["error"]["hint"] == "Confirm with --yes, or cap it: --max-agents N, --max-cost USD."
        assert len(pawl("runs", "--json").json["runs"]) == 2


class TestExitCodes:
    def test_1_the_script_threw(self, pawl: Pawl) -> None:
        done = pawl("run", pawl.script("throw new Error('boom')\n"), "--backend", "sample", "--json")
        assert (done.code, done.json["status"], done.json["error"]["code"]) == (1, "failed", "script_threw")
        assert "boom" in done.err

    def test_1_degraded_when_that_is_asked_for(self, pawl: Pawl) -> None:
        script = pawl.script("return await agent('x')\n")
        done = pawl("run", script, "--backend", "sample:fail=1", "--json")
        assert (done.code, done.json["degraded"], done.json["agents"]["null"]) == (0, True, 1)
        done = pawl("run", script, "--backend", "sample:fail=1", "--json", "--fail-degraded")
        assert (done.code, done.json["status"]) == (1, "completed")

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("const x = 1\nreturn x\n", "meta"),
            ("export const meta = { name: 'a', description: 'd' }\nlet x = ;\n", "syntax"),
            ("export const meta = { name: 'a', description: 'd' }\nimport fs from 'fs'\n", "forbidden"),
            ("", "syntax"),
            ("\0\0\0\0\0", "encoding"),
        ],
    )
    def test_2_a_script_that_is_refused(self, pawl: Pawl, text: str, code: str) -> None:
        done = pawl("run", pawl.script(text, head=""), "--backend", "sample", "--json")
        assert (done.code, done.json["run_id"], done.json["error"]["code"]) == (2, None, code)
        assert pawl("runs", "--json").json == {"runs": []}

    def test_2_args_that_do_not_fit(self, pawl: Pawl) -> None:
        head = "export const meta = { name: 'a', description: 'd', args: {type: 'object', required: ['path']} }\n"
        done = pawl("run", pawl.script("return 1\n", head=head), "--backend", "sample", "--args", "{}", "--json")
        assert (done.code, done.json["error"]["code"]) == (2, "args")

    def test_2_what_is_not_there(self, pawl: Pawl) -> None:
        assert pawl("run", "nonesuch", "--backend", "sample").code == 2
        assert pawl("run", "./nonesuch.js", "--backend", "sample").code == 2
        assert pawl("show", "nonesuch").code == 2
        assert pawl("resume", "nonesuch").code == 2
        assert pawl("resume").code == 2

    def test_2_a_run_id_that_exists(self, pawl: Pawl) -> None:
        script = pawl.script("return 1\n")
        assert pawl("run", script, "--backend", "sample", "--run-id", "r").code == 0
        done = pawl("run", script, "--backend", "sample", "--run-id", "r", "--json")
        assert (done.code, done.json["run_id"], done.json["error"]["code"]) == (2, "r", "run_exists")

    def test_2_a_backend_that_is_not(self, pawl: Pawl) -> None:
        done = pawl("run", pawl.script("return 1\n"), "--backend", "oracle", "--json")
        assert (done.code, done.json["error"]["code"]) == (2, "unknown_backend")

    def test_3_a_limit_then_a_resume_with_a_higher_one(self, pawl: Pawl) -> None:
        script = pawl.script(
            "const out = []\nfor (let i = 0; i < 3; i++) out.push(await agent('n' + i))\nreturn out.length\n"
        )
        done = pawl("run", script, "--backend", "sample", "--max-agents", "2", "--run-id", "r", "--json")
        assert (done.code, done.json["error"]["code"]) == (3, "limit_agents")
        assert "Go on with a higher limit: pawl resume r" in done.err
        done = pawl("resume", "r", "--max-agents", "3", "--json")
        assert (done.code, done.json["result"], done.json["agents"]["reused"]) == (0, 3, 2)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_5_interrupted_and_the_exact_line_that_goes_on(self, pawl: Pawl, number: signal.Signals) -> None:
        script = pawl.script(THREE)
        with pawl.started("run", script, "--backend", "sample:latency=30s", "--run-id", "r", "--json") as process:
            pawl.wait_for("r", "running")
            process.send_signal(number)
            done = pawl.ended(process)
        assert (done.code, done.json["status"]) == (5, "interrupted")
        assert "Go on with: pawl resume r\n" in done.err
        assert pawl("show", "r", "--json").json["status"] == "interrupted"
        resumed = pawl("resume", "r", "--backend", "sample", "--json")
        assert (resumed.code, resumed.json["version"]) == (0, 2)

    def test_5_twice_stops_at_once_and_loses_nothing(self, pawl: Pawl) -> None:
        body = "await agent('quick', {backend: 'sample'})\nreturn await agent('slow')\n"
        with pawl.started("run", pawl.script(body), "--backend", "sample:latency=30s", "--run-id", "r") as process:
            pawl.wait_for("r", "running")
            until(lambda: pawl("show", "r", "--json").json["agents"]["total"] == 2, "the second call is made")
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGINT)
            done = pawl.ended(process)
        assert done.code == 5
        assert "pawl resume r" in done.err
        calls = pawl("show", "r", "--calls", "--json").json["calls"]
        assert [call["outcome"] for call in calls] == ["ok", "interrupted"]

    def test_6_a_run_that_a_live_process_drives(self, pawl: Pawl) -> None:
        with pawl.started("run", pawl.script(THREE), "--backend", "sample:latency=30s", "--run-id", "r"):
            pawl.wait_for("r", "running")
            done = pawl("resume", "r", "--json")
            assert (done.code, done.json["error"]["code"]) == (6, "run_driven")
            assert pawl("delete", "r").code == 6

    def test_6_a_journal_that_is_none(self, pawl: Pawl) -> None:
        (pawl.folder / ".pawl" / "pawl.db").write_bytes(b"not a database, by far" * 100)
        done = pawl("runs", "--json")
        assert done.code == 6
        assert done.json["error"]["code"].startswith("journal_")
        assert pawl("doctor").code == 1

    def test_7_a_replay_that_differs_is_not_needed_to_know_that_one_holds(self, pawl: Pawl) -> None:
        pawl("run", pawl.script(THREE), "--backend", "sample", "--run-id", "r")
        done = pawl("replay", "r", "--json")
        assert (done.code, set(done.json), done.json["agents"]["live"]) == (0, RESULT, 0)

    def test_0_and_5_without_a_reader(self, pawl: Pawl) -> None:
        """A reader that left does not change how a run ends."""
        script = pawl.script(THREE)
        reader, writer = os.pipe()
        os.close(reader)
        command = [*COMMAND, "run", script, "--backend", "sample", "--json"]
        done = subprocess.run(
            command, cwd=pawl.folder, env=pawl.environ, stdout=writer, stderr=subprocess.PIPE, text=True, check=False
        )
        os.close(writer)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False)
        assert "the result is in the journal: pawl show" in done.stderr

    def test_a_closed_standard_output_is_said(self, pawl: Pawl) -> None:
        script = pawl.script(THREE)
        line = f'"{COMMAND[0]}" -m engine.cli.main run "{script}" --backend sample --run-id r >&-'
        done = subprocess.run(
            ["/bin/sh", "-c", line], cwd=pawl.folder, env=pawl.environ, stderr=subprocess.PIPE, text=True, check=False
        )
        assert done.returncode == 0
        assert "Error: standard output is closed; the result is in the journal: pawl show r" in done.stderr
        assert pawl("show", "r", "--json").json["status"] == "completed"


class TestResume:
    def test_the_latest_that_can_be_resumed(self, pawl: Pawl) -> None:
        failing = pawl.script("await agent('one')\nthrow new Error('x')\n")
        assert pawl("run", failing, "--backend", "sample", "--run-id", "old").code == 1
        fixed = pawl.script("return await agent('one')\n", "fixed.js")
        done = pawl("resume", "--script", fixed, "--json")
        assert (done.code, done.json["run_id"], done.json["version"]) == (0, "old", 2)
        assert done.json["agents"]["reused"] == 1

    def test_explain_says_why_for_each_call(self, pawl: Pawl) -> None:
        pawl("run", pawl.script(THREE), "--backend", "sample", "--run-id", "r")
        done = pawl("resume", "r", "--rerun", "f2", "3", "--explain", "--json")
        assert [(e["call"], e["label"], e["reused"], e["reason"]) for e in done.json["explained"]] == [
            (1, "f1", True, "reused"),
            (2, "f2", False, "rerun"),
            (3, "f3", False, "rerun"),
        ]
        assert "[2] f2: ran (rerun)" in done.err

    def test_the_line_names_the_journal_that_was_named(self, pawl: Pawl) -> None:
        other = pawl.folder / "other journal.db"
        done = pawl("run", pawl.script("throw 1\n"), "--backend", "sample", "--run-id", "r", "--journal", str(other))
        assert f"pawl resume r --journal '{other}'" in done.err
        assert pawl("runs", "--json", PAWL_JOURNAL=str(other)).json["runs"][0]["run_id"] == "r"


class TestSimulate:
    def test_phases_widths_and_an_estimate(self, pawl: Pawl) -> None:
        body = (
            "phase('Find')\n" + THREE.replace("return", "const found =") + "await sleep(3600000)\nreturn found.length\n"
        )
        done = pawl("simulate", pawl.script(body), "--json")
        told = done.json
        assert (done.code, told["status"], told["result"], told["agents"]) == (0, "completed", 3, 3)
        assert told["phases"] == [{"phase": "Find", "agents": 3, "width": 3}]
        assert (told["estimate"]["input_tokens"], told["estimate"]["output_tokens"]) == (12_000, 3_000)
        assert told["estimate"]["source"] == "settings"
        assert not (pawl.folder / ".pawl" / "pawl.db").exists()

    def test_for_people(self, pawl: Pawl) -> None:
        done = pawl("simulate", pawl.script(THREE))
        assert "agents: 3 agents, 3 at once" in done.out
        assert "Estimate: 3 agents, 12,000 tokens in, 3,000 out, $0.0810" in done.out


class TestCheck:
    def test_every_problem_of_every_script(self, pawl: Pawl) -> None:
        good = pawl.script("return 1\n", "good.js")
        bad = pawl.script("let x = ;\n", "bad.js")
        done = pawl("check", good, bad, "--json")
        assert (done.code, done.json["ok"]) == (1, False)
        assert [(f["file"], f["ok"]) for f in done.json["files"]] == [(good, True), (bad, False)]
        problem = done.json["files"][1]["problems"][0]
        assert (problem["severity"], problem["line"]) == ("error", 2)
        assert pawl("check", good).code == 0

    def test_text_that_is_none_is_a_problem_and_a_missing_file_is_an_error(self, pawl: Pawl) -> None:
        binary = pawl.script("", "binary.js", head="\0" * 50)
        done = pawl("check", binary, "--json")
        assert (done.code, done.json["files"][0]["problems"][0]["code"]) == (1, "encoding")
        assert pawl("check", "./none.js").code == 2


class TestLooking:
    def test_a_folder_without_a_journal_has_no_runs_and_gets_none(self, tmp_path: Path) -> None:
        pawl = Pawl(tmp_path / "project")
        (pawl.folder / ".pawl").rmdir()
        done = pawl("runs")
        assert (done.code, done.out) == (0, "No runs yet. Start one with: pawl run repo-tour\n")
        assert pawl("verify").code == 0
        assert pawl("gc").code == 0
        assert list(pawl.folder.iterdir()) == []

    def test_show_says_everything_of_a_run_and_of_a_call(self, pawl: Pawl) -> None:
        pawl("run", pawl.script(THREE), "--backend", "sample", "--run-id", "r", "--max-agents", "5")
        told = pawl("show", "r", "--calls", "--json").json
        assert set(told) >= RESULT | {
            "versions",
            "reasons",
            "nulls",
            "waiting",
            "caps",
            "permissions",
            "engine",
            "journal",
        }
        assert told["caps"]["agents"] == 5
        assert [call["label"] for call in told["calls"]] == ["f1", "f2", "f3"]
        call = pawl("show", "r", "--call", "2", "--json").json
        assert (call["call"], call["content"]["prompt"], call["outcome"]) == (2, "find 2", "ok")
        assert len(call["key"]) == len(call["identity"]) == 64
        people = pawl("show", "r", "--calls").out
        assert "r@1 · test · completed" in people
        assert pawl("show", "r", "--call", "4").code == 2

    def test_I7_a_null_has_its_reason(self, pawl: Pawl) -> None:
        pawl(
            "run",
            pawl.script("return await agent('x', {label: 'one'})\n"),
            "--backend",
            "sample:fail=1",
            "--run-id",
            "r",
        )
        told = pawl("show", "r", "--json").json
        assert (told["degraded"], told["nulls"][0]["call"], told["nulls"][0]["outcome"]) == (True, 1, "null")
        assert told["nulls"][0]["reason"]
        assert told["reasons"][0]["text"].startswith("one: ")
        assert "degraded     one: " in pawl("show", "r").out

    def test_log_is_what_events_told(self, pawl: Pawl) -> None:
        script = pawl.script("phase('P')\nlog('hi')\n" + THREE)
        told = pawl("run", script, "--backend", "sample", "--run-id", "r", "--events", "-").lines
        logged = pawl("log", "r", "--json").lines

        def essence(events: list[dict[str, object]]) -> list[tuple[object, ...]]:
            kept = [(e["event"], e.get("call"), e.get("outcome"), e.get("text"), e.get("title")) for e in events]
            return sorted(kept, key=str)

        assert essence(logged) == essence(told)
        for event in (logged[-1], told[-1]):
            event["result"].pop("seconds")  # the time driven, and the time that the command took
        assert logged[-1]["result"] == told[-1]["result"]

    def test_diff_names_what_changed(self, pawl: Pawl) -> None:
        script = pawl.script("return [await agent('a', {label: 'one'}), await agent('b', {label: 'two'})]\n")
        pawl("run", script, "--backend", "sample", "--run-id", "r")
        edited = pawl.script("return [await agent('a', {label: 'one'}), await agent('c', {label: 'two'})]\n")
        pawl("resume", "r", "--script", edited)
        told = pawl("diff", "r@1", "r@2", "--json").json
        assert told["counts"] == {"same": 1, "answer": 0, "request": 1, "left": 0, "right": 0}
        assert told["calls"][1]["fields"] == [{"field": "prompt", "left": "b", "right": "c"}]
        assert '[2|2] two: another request\n    prompt: "b" → "c"' in pawl("diff", "r@1", "r@2").out

    def test_reading_works_where_nothing_can_be_written(self, pawl: Pawl) -> None:
        pawl("run", pawl.script(THREE), "--backend", "sample", "--run-id", "r")
        folder = pawl.folder / ".pawl"
        for path in [*folder.rglob("*"), folder]:
            path.chmod(path.stat().st_mode & ~0o222)
        try:
            assert pawl("show", "r", "--json").json["status"] == "completed"
            assert pawl("log", "r").code == 0
        finally:
            for path in [folder, *folder.rglob("*")]:
                path.chmod(path.stat().st_mode | 0o200)

    def test_no_locale_breaks_a_page(self, pawl: Pawl) -> None:
        pawl("run", pawl.script("log('é ✓ 中')\nreturn '中'\n"), "--backend", "sample", "--run-id", "r")
        for environ in ({"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}):
            for command in (["show", "r"], ["log", "r"], ["runs"], ["show", "r", "--json"]):
                assert pawl(*command, **environ).code == 0


class TestKeeping:
    def test_a_run_goes_out_and_comes_in_again(self, pawl: Pawl) -> None:
        pawl("run", pawl.script(THREE), "--backend", "sample", "--run-id", "r")
        path = pawl.folder / "r.pawl"
        assert pawl("export", "r", "-o", str(path), "--json").json["file"] == str(path)
        before = pawl("show", "r", "--calls", "--json").json
        assert pawl("delete", "r", "--json").json["deleted"] == ["r"]
        assert pawl("show", "r").code == 2
        assert pawl("import", str(path), "--json").json["run_id"] == "r"
        assert pawl("show", "r", "--calls", "--json").json["calls"] == before["calls"]
        assert pawl("verify", "--json").json == {"ok": True, "problems": []}
        assert pawl("replay", "r").code == 0

    def test_gc_deletes_what_is_old(self, pawl: Pawl) -> None:
        pawl("run", pawl.script("return 1\n"), "--backend", "sample", "--run-id", "r")
        assert pawl("gc", "--older-than", "1d", "--json").json["deleted"] == []
        assert pawl("gc", "--older-than", "0d", "--json").json["deleted"] == ["r"]


class TestInit:
    def test_a_new_project_checks_runs_and_is_not_overwritten(self, tmp_path: Path) -> None:
        pawl = Pawl(tmp_path / "project")
        (pawl.folder / ".pawl").rmdir()
        assert pawl("init", "--json").json["project"] == str(pawl.folder)
        folder = pawl.folder / ".pawl"
        assert (folder / "pawl.d.ts").read_bytes() == (ROOT / "stdlib_js/pawl.d.ts").read_bytes()
        editor = json.loads((folder / "jsconfig.json").read_text())
        found = {path for pattern in editor["include"] for path in folder.glob(pattern)}
        assert found == {folder / "pawl.d.ts", folder / "workflows/hello.js"}
        here, there = editor["compilerOptions"], json.loads((ROOT / "jsconfig.json").read_text())["compilerOptions"]
        assert here == there
        assert pawl("doctor").code == 0
        done = pawl("run", "hello", "--backend", "sample", "--json")
        assert (done.code, done.json["agents"]["total"]) == (0, 3)
        again = pawl("init")
        assert (again.code, again.err.splitlines()[0]) == (
            2,
            f"Error: {pawl.folder}/.pawl/config.toml exists: nothing was written",
        )

    def test_a_bad_config_stops_before_anything_starts(self, pawl: Pawl) -> None:
        (pawl.folder / ".pawl" / "config.toml").write_text("[limits]\nagent = 3\n")
        done = pawl("run", pawl.script("return 1\n"), "--backend", "sample", "--json")
        assert (done.code, done.json["error"]["code"]) == (2, "bad_config")
        assert "unknown key limits.agent; did you mean limits.agents?" in done.err
