"""Bad input through the real `pawl`: each gets a clear message, its exit code and no traceback; nothing is started."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from support.pawl import COMMAND, HEAD, Pawl

SAMPLE = ("--backend", "sample")
MIB = 1 << 20
MEMORY = "The script used more memory than the limit of 256 MiB (setting sandbox.memory_bytes = 268435456)"


@pytest.fixture
def pawl(tmp_path: Path) -> Pawl:
    return Pawl(tmp_path / "project")


class TestCommandLine:
    """Exit code 2, and no run is made."""

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--nonsense"], "No such option '--nonsense'"),
            (["--concurrency", "x"], "Invalid value for '--concurrency': 'x' is not a valid integer range"),
            (["--concurrency", "0"], "Invalid value for '--concurrency': 0 is not in the range 1<=x<=1024"),
            (["--budget", "-3"], "Invalid value for '--budget': -3 is not in the range x>=0"),
            (["--max-cost", "nan"], "Invalid value for '--max-cost': 'nan' is not a finite number"),
            (["--max-minutes", "-1"], "Invalid value for '--max-minutes': -1.0 is not in the range x>=0"),
            (["--allow", "all"], "--allow: unknown effect 'all'; expected a list of ask, check, files"),
            (["--run-id", "a/b"], "'a/b' is not a run id: expected 1 to 64 of A-Z a-z 0-9 . _ -"),
            (["--run-id", "x" * 65], f"'{'x' * 65}' is not a run id: expected 1 to 64 of A-Z a-z 0-9 . _ -"),
            (["--from", "none"], "no run none in this journal"),
            (["--args", "@none.json"], "--args: cannot read 'none.json': No such file or directory"),
            (["--args", "@."], "--args: cannot read '.': Is a directory"),
            (["--args", "@binary"], "binary: not UTF-8 text: byte 1 is 0xff"),
            (["--args", os.fsdecode(b"a\xffb")], "--args is not UTF-8"),
            (["--args", '"\\ud800"'], "args cannot be JSON: str is not valid UTF-8: surrogates not allowed"),
            (["--args", str(1 << 80)], "args cannot be JSON: Integer exceeds 64-bit range"),
            (["--args", "@deep"], "--args is nested too deeply"),
            (["--out", "none/x.json"], "--out: cannot write into 'none'"),
            (["--events", "none/x"], "--events: cannot write 'none/x': No such file or directory"),
            (["--project", "none"], "Invalid value for '--project': Directory 'none' does not exist"),
        ],
        ids=lambda given: " ".join(given)[:24].encode("ascii", "replace").decode() if isinstance(given, list) else "",
    )
    def test_wrong_flags_and_args(self, pawl: Pawl, flags: list[str], message: str) -> None:
        (pawl.folder / "binary").write_bytes(b"\xff\xfe\0")
        (pawl.folder / "deep").write_text("[" * 100_000 + "]" * 100_000)
        done = pawl("run", pawl.script("return 1\n"), *SAMPLE, *flags)
        assert (done.code, done.out) == (2, "")
        assert done.err.splitlines()[0] == f"Error: {message}"
        assert done.err.splitlines()[1].startswith("Hint: ")
        assert pawl("runs", "--json").json == {"runs": []}

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["runn"], "No such command 'runn'. Did you mean 'run'?"),
            (["run"], "Missing argument 'SCRIPT|NAME|-'"),
            (["show", "none"], "no run none in this journal"),
            (["show", os.fsdecode(b"a\xffb")], "'a\\udcffb' is not a run id: expected 1 to 64 of A-Z a-z 0-9 . _ -"),
            (["skip", "none", "x"], "'x' is no call: expected a number from 1"),
            (["pause", "none"], "no run none in this journal"),
        ],
    )
    def test_wrong_words(self, pawl: Pawl, arguments: list[str], message: str) -> None:
        done = pawl(*arguments)
        assert (done.code, done.out) == (2, "")
        assert done.err.splitlines()[0] == f"Error: {message}"


class TestScripts:
    """Refused before anything starts: exit code 2, and no run is made."""

    def refused(self, pawl: Pawl, name: str, message: str) -> None:
        done = pawl("run", name, *SAMPLE)
        assert (done.code, done.out) == (2, "")
        assert done.err.splitlines()[0] == f"Error: {message}"
        assert pawl("runs", "--json").json == {"runs": []}

    def test_files_that_are_none(self, pawl: Pawl) -> None:
        (pawl.folder / "folder.js").mkdir()
        os.mkfifo(pawl.folder / "pipe.js")
        (pawl.folder / "loop.js").symlink_to("loop.js")
        self.refused(pawl, "./none.js", "there is no file './none.js'")
        self.refused(pawl, "folder.js", "cannot read 'folder.js': Is a directory")
        self.refused(pawl, "pipe.js", "'pipe.js' is a pipe, not a script")
        self.refused(pawl, "/dev/zero", "'/dev/zero' is a device, not a script")
        self.refused(pawl, "./loop.js", "cannot read './loop.js': Too many levels of symbolic links")

    @pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
    def test_a_file_without_rights(self, pawl: Pawl) -> None:
        Path(pawl.script("return 1\n", "secret.js")).chmod(0)
        self.refused(pawl, "secret.js", "cannot read 'secret.js': Permission denied")

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"", "{path}: the script is empty"),
            (HEAD.encode() + b"return 'a\0b'\n", "{path}:2:10: a NUL character stands here (byte 70)"),
            (bytes(range(256)), "{path}:1:1: a NUL character stands here (byte 1)"),
            (HEAD.encode("utf-16"), "{path}: the script is UTF-16, not UTF-8"),
            (b"\xe9\xe9", "{path}:1:1: byte 0xe9 is not UTF-8 (byte 1)"),
        ],
        ids=["empty", "NUL", "binary", "UTF-16", "Latin-1"],
    )
    def test_texts_that_are_none(self, pawl: Pawl, data: bytes, message: str) -> None:
        path = pawl.folder / "text.js"
        path.write_bytes(data)
        self.refused(pawl, str(path), message.format(path=path))

    def test_S01_typescript_is_named_with_its_place(self, pawl: Pawl) -> None:
        script = pawl.script("const x: number = 1\nreturn x\n")
        done = pawl("run", script, *SAMPLE)
        first, line, caret, hint = done.err.splitlines()
        assert (done.code, line, caret.rstrip("^")) == (2, "const x: number = 1", " " * 7)
        assert first.startswith(f"Error: {script}:2:8: This looks like TypeScript. ")
        assert hint.startswith("Hint: Scripts are plain JavaScript: ")

    def test_S14_one_byte_too_many(self, pawl: Pawl) -> None:
        text = HEAD + "return 1//"
        longest = pawl.script(text + "x" * (MIB - len(text)), "longest.js", head="")
        assert pawl("run", longest, *SAMPLE).code == 0
        pawl("delete", pawl("runs", "--json").json["runs"][0]["run_id"])
        pawl.script(text + "x" * (MIB + 1 - len(text)), "longer.js", head="")
        self.refused(pawl, "longer.js", "longer.js: the script has 1,048,577 bytes; allowed are 1,048,576")


class TestScriptsThatMisbehave:
    """Exit code 1; the run is on record as failed, its journal is whole, the message names the limit."""

    @pytest.mark.parametrize(
        ("body", "code", "message", "most_s"),
        [
            (
                "while (true) {}\n",
                "sandbox_cpu",
                "The script computed for more than 1 s of CPU time without waiting for anything "
                "(setting sandbox.cpu_turn_s = 1)",
                30,
            ),
            (
                "const f = () => Promise.resolve().then(f);\nawait f();\n",
                "sandbox_cpu",
                "The script computed for more than 1 s of CPU time without waiting for anything "
                "(setting sandbox.cpu_turn_s = 1)",
                30,
            ),
            ("const a = []; while (true) a.push(new Array(1e5).fill(1))\n", "sandbox_memory", MEMORY, 30),
            ("const a = []; while (true) a.push('x'.repeat(1e6) + a.length)\n", "sandbox_memory", MEMORY, 30),
            (
                "await new Promise(() => {})\n",
                "deadlock",
                "The script waits for something that can never come: no agent, timer or question is pending.",
                10,
            ),
            ("return {a: [1, () => 1]}\n", "result_not_json", "JSON cannot hold the function at $.a[1]", 10),
            ("return {x: 10n}\n", "result_not_json", "JSON cannot hold the bigint at $.x", 10),
            ("const a = {}; a.b = {c: a}; return a\n", "result_not_json", "The value at $.b.c contains itself", 10),
            (
                "return 'x' + '\\ud800'\n",
                "result_not_json",
                "JSON cannot hold the lone surrogate in the string at $",
                10,
            ),
            (
                "return 'x'.repeat(50e6)\n",
                "result_too_large",
                "The result of the script is 50000002 characters of JSON; at most 16777216 are taken. "
                "Write large data to a file, return its path",
                30,
            ),
        ],
        ids=[
            "loop",
            "microtasks",
            "one large object too many",
            "many small objects",
            "deadlock",
            "function",
            "bigint",
            "cycle",
            "surrogate",
            "50 MB",
        ],
    )
    def test_ends_with_one_clear_error(self, pawl: Pawl, body: str, code: str, message: str, most_s: float) -> None:
        (pawl.folder / ".pawl" / "config.toml").write_text("[sandbox]\ncpu_turn_s = 1.0\n")
        began = time.monotonic()
        done = pawl("run", pawl.script(body), *SAMPLE, "--run-id", "r", "--json")
        assert time.monotonic() - began < most_s
        assert (done.code, done.json["status"], done.json["error"]["code"]) == (1, "failed", code)
        assert done.json["error"]["message"] == message
        assert f"Error: {message}" in done.err.splitlines()
        assert "Mend it and go on with: pawl resume r" in done.err.splitlines()
        assert pawl("show", "r", "--json").json["error"] == done.json["error"]
        assert pawl("verify").code == 0

    def test_what_was_done_before_stands(self, pawl: Pawl) -> None:
        """A script that dies on a limit loses nothing that its agents had answered."""
        (pawl.folder / ".pawl" / "config.toml").write_text("[sandbox]\ncpu_turn_s = 0.5\n")
        body = "const a = await agent('one')\nwhile (true) {}\n"
        assert pawl("run", pawl.script(body), *SAMPLE, "--run-id", "r").code == 1
        mended = pawl.script("const a = await agent('one')\nreturn a\n", "mended.js")
        done = pawl("resume", "r", "--script", mended, "--json")
        assert (done.code, done.json["agents"]["reused"], done.json["agents"]["live"]) == (0, 1, 0)


class TestOutput:
    def sh(self, pawl: Pawl, line: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """`line` in a shell that knows `pawl` as `$PAWL`."""
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            cwd=pawl.folder,
            env={**pawl.environ, "PAWL": f"{COMMAND[0]} -m engine.cli.main", **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert "Exception ignored" not in done.stderr, done.stderr
        return done

    def test_a_reader_that_has_seen_enough(self, pawl: Pawl) -> None:
        pawl.script("for (let i = 0; i < 200; i++) log('line ' + i)\nreturn 'x'.repeat(1e6)\n")
        line = "{ $PAWL run test.js --backend sample --run-id r --events - --json; echo code $? >&2; } | head -c1"
        done = self.sh(pawl, line)
        assert (done.stdout, done.stderr.splitlines()[-1]) == ("{", "code 0")
        assert pawl("show", "r", "--json").json["status"] == "completed"

    def test_closed_descriptors(self, pawl: Pawl) -> None:
        pawl.script("return 1\n")
        for position, closed in enumerate((">&-", "2>&-", "<&-", ">&- 2>&- <&-")):
            done = self.sh(pawl, f"$PAWL run test.js --backend sample --run-id r{position} {closed}")
            assert done.returncode == 0, (closed, done)
            assert pawl("show", f"r{position}", "--json").json["status"] == "completed"

    def test_a_full_disk_behind_standard_output(self, pawl: Pawl) -> None:
        pawl.script("return 1\n")
        done = self.sh(pawl, "$PAWL run test.js --backend sample --run-id r --json >/dev/full")
        assert done.returncode == 0
        assert "the result is in the journal: pawl show r" in done.stderr

    def test_a_strange_locale(self, pawl: Pawl) -> None:
        pawl.script("log('é €')\nreturn 'ü 漢'\n")
        line = "$PAWL run test.js --backend sample --run-id r"
        done = self.sh(pawl, line, LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
        assert (done.returncode, done.stdout) == (0, "\\xfc \\u6f22\n")
        assert pawl("show", "r", "--json").json["result"] == "ü 漢"
        done = self.sh(pawl, "$PAWL show r --json", LC_ALL="tlh_KL.UTF-8")
        assert done.returncode == 0

    def test_from_a_folder_below_and_from_elsewhere(self, pawl: Pawl, tmp_path: Path) -> None:
        script = pawl.script("throw 1\n")
        below = pawl.folder / "deep" / "down"
        below.mkdir(parents=True)
        assert pawl("run", "../../test.js", *SAMPLE, "--run-id", "r", cwd=below).code == 1
        assert not (below / ".pawl").exists()
        mended = str(Path(script).with_name("mended.js"))
        pawl.script("return 5\n", "mended.js")
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        assert pawl("resume", "r", cwd=elsewhere).code == 2
        done = pawl("resume", "r", "--script", mended, "--project", str(pawl.folder), "--json", cwd=elsewhere)
        assert (done.code, done.json["result"]) == (0, 5)
        assert list(elsewhere.iterdir()) == []

    def test_the_current_folder_is_gone(self, pawl: Pawl) -> None:
        done = self.sh(pawl, "mkdir gone && cd gone && rmdir ../gone && $PAWL runs")
        assert done.returncode == 2
        assert done.stderr == "Error: the current folder does not exist any more\nHint: Change to another folder.\n"
