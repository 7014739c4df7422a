"""The frame of the command line: which commands there are, what their help says, what they load, how they fail."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from engine.cli import failing, main
from engine.cli.command import Command
from engine.cli.commands import COMMANDS, load
from engine.cli.group import pawl
from engine.errors import JournalError, LimitReached, PawlError, ReplayDiffers, ScriptError, UsageError

EXPECTED = [
    *("run", "resume", "replay", "new", "check", "simulate"),
    *("runs", "show", "search", "watch", "log", "diff", "verify"),
    *("pause", "cancel", "skip", "retry", "answer", "mcp", "skill", "export", "import", "delete", "gc"),
    *("workflows", "agents", "backends", "model", "doctor", "init", "completion"),
]

HEAVY = {
    *("rich", "pydantic", "pydantic_core", "httpx", "structlog"),
    *("xllamacpp", "jsonschema", "tree_sitter", "aiosqlite"),
}


def commands() -> dict[str, click.Command]:
    return {name: load(name) for name in COMMANDS}


def flags(command: click.Command) -> set[str]:
    return {flag for param in command.params for flag in param.opts if flag.startswith("--")}


def test_the_commands_are_those_of_the_contract() -> None:
    assert list(COMMANDS) == EXPECTED


@pytest.mark.parametrize("name", EXPECTED)
def test_every_command_has_help_with_one_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: pawl {name}")
    assert text.count("Example:") == 1
    example = text.split("Example:\n")[1].strip()
    assert f"pawl {name}" in example


@pytest.mark.parametrize("name", EXPECTED)
def test_every_module_knows_its_commands_by_the_name_that_is_typed(name: str) -> None:
    found = load(name)
    assert found.name == name


def test_run_and_resume_have_the_flags_of_the_contract() -> None:
    shared = {
        *("--args", "--backend", "--model", "--concurrency", "--budget", "--max-cost", "--max-agents", "--max-minutes"),
        *("--allow", "--project", "--journal", "--detach", "--yes", "--fail-degraded", "--out", "--json", "--events"),
        "--quiet",
    }
    assert flags(load("run")) == shared | {"--run-id", "--from"}
    assert flags(load("resume")) == shared | {"--script", "--policy", "--keep-failures", "--rerun", "--explain"}


@pytest.mark.parametrize("name", sorted(set(EXPECTED) - {"completion", "model", "mcp", "skill"}))
def test_every_command_that_prints_a_result_takes_json(name: str) -> None:
    assert "--json" in flags(load(name))


def loaded_by(*arguments: str) -> set[str]:
    """Names of the modules that `pawl ARGUMENTS` has loaded when it ends."""
    code = (
        "import sys, atexit\n"
        "from engine.cli import main\n"
        "main.run(sys.argv[1:])\n"
        "sys.stderr.write('MODULES ' + ' '.join(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(done.stderr.rpartition("MODULES ")[2].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["completion", "bash"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    modules = loaded_by(*arguments)
    assert modules & (HEAVY | {"asyncio", "sqlite3", "sandbox", "orjson", "engine.engine"}) == set()


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == 0
    assert re.fullmatch(r"pawl \S+\n", capsys.readouterr().out)


def test_help_alone_and_no_command_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    listed = capsys.readouterr().out
    assert [name for name in EXPECTED if f"\n  {name} " not in listed] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "No such command 'rnu'. Did you mean 'run'"),
        (["run"], "Missing argument 'SCRIPT|NAME|-'"),
        (["run", "x.js", "--bugdet", "1"], "No such option"),
        (["run", "x.js", "--concurrency", "0"], "Invalid value for '--concurrency': 0 is not in the range 1<=x<=1024"),
        (["run", "x.js", "--concurrency", "1025"], "Invalid value for '--concurrency': 1025 is not in the range"),
        (["run", "x.js", "--max-cost", "nan"], "Invalid value for '--max-cost': 'nan' is not a finite number"),
        (["run", "x.js", "--max-minutes", "-1"], "Invalid value for '--max-minutes': -1.0 is not in the range x>=0"),
        (["run", "x.js", "--budget", "lots"], "Invalid value for '--budget': 'lots' is not a valid int"),
        (["run", "x.js", "--allow", "network"], "--allow: unknown effect 'network'"),
        (["run", "-", "--args", "-"], "the script and --args cannot both come from standard input"),
        (["run", "x.js", "--args", "@/no/such"], "--args: cannot read '/no/such': No such file or directory"),
        (["run", "x.js", "--out", "/no/such/file"], "--out: cannot write into '/no/such'"),
        (["run", "x.js", "--events", "/no/such/file"], "--events: cannot write '/no/such/file'"),
        (["run", "x.js", "--project", "/no/such"], "Invalid value for '--project'"),
        (["resume", "a", "b"], "Got unexpected extra argument (b)"),
        (["resume", "--policy", "magic"], "Invalid value for '--policy': 'magic' is not one of"),
        (["skip", "r", "zero"], "'zero' is no call: expected a number from 1"),
        (["show", "r@0"], "'r@0' names no version: expected RUN@V with V from 1, found '0'"),
        (["gc", "--older-than", "soon"], "'soon' is no age: expected for example 12h, 30d or 2w"),
        (["delete", "r@2"], "'r@2' names one version: a run is deleted as a whole"),
        (["completion", "tcsh"], "Invalid value for 'SHELL': 'tcsh' is not one of 'bash', 'zsh', 'fish'"),
    ],
)
def test_a_command_line_that_does_not_fit_exits_2_and_says_why(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"Error: {message}")
    assert "Traceback" not in captured.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (ScriptError("x", code="syntax"), 2),
        (ScriptError("x", code="script_threw"), 1),
        (LimitReached("x", code="limit_tokens"), 3),
        (JournalError("x"), 6),
        (ReplayDiffers("x"), 7),
        (ZeroDivisionError("x"), 1),
    ],
)
def test_errors_have_the_exit_codes_of_the_table(
    error: Exception, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert failing.report(error, ["show", "r"]) == code
    assert capsys.readouterr().out == ""


def test_json_errors_of_runs_have_the_shape_of_a_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["run", "x.js", "--json", "--concurrency", "0"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {
        "run_id", "version", "status", "result", "error", "degraded", "agents", "usage", "run_usage", "seconds",
    }  # fmt: skip
    assert (told["run_id"], told["version"], told["status"], told["result"]) == (None, None, "failed", None)
    assert told["error"]["code"] == "usage"
    assert told["error"]["message"].startswith("Invalid value for '--concurrency'")


def test_json_errors_of_other_commands_are_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["skip", "r", "zero", "--json"]) == 2
    assert json.loads(capsys.readouterr().out) == {
        "error": {
            "kind": "UsageError",
            "code": "unknown_call",
            "message": "'zero' is no call: expected a number from 1",
            "hint": "pawl show RUN --calls lists them.",
        }
    }


@pytest.mark.parametrize("flag", [["--events", "-"], ["--events=-"]])
def test_json_errors_beside_events_are_the_last_event(flag: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["run", "x.js", *flag, "--budget", "x"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["event"], told["status"], told["result"]["error"]["code"]) == ("run_ended", "failed", "usage")


def test_a_bug_is_reported_without_a_traceback_and_without_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ZeroDivisionError) as caught:
        int.__truediv__(1, 0)
    assert failing.report(caught.value, ["run", "x.js", "--args=sk-secret", "--quiet"]) == 1
    (path,) = (tmp_path / "pawl" / "reports").iterdir()
    err = capsys.readouterr().err
    assert err == f"Error: a bug of Pawl: ZeroDivisionError: division by zero\nHint: Please report it with {path}.\n"
    text = path.read_text()
    assert text.startswith("pawl run --args --quiet\n")
    assert "ZeroDivisionError: division by zero" in text
    assert "sk-secret" not in text


def test_a_report_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert failing.report(ZeroDivisionError("x"), ["runs"]) == 1
    assert capsys.readouterr().err == "Error: a bug of Pawl: ZeroDivisionError: x\nHint: Please report it.\n"


def test_an_error_shows_its_excerpt_and_hint_and_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    error = PawlError("bad \x1b[2J", hint="mend it", excerpt="let x =\n        ^")
    failing.report(error, ["check", "x"])
    assert capsys.readouterr().err == "Error: bad \\x1b[2J\nlet x =\n        ^\nHint: mend it\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert "_PAWL_COMPLETE" in text
    assert "pawl" in text


def test_completion_completes(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {**os.environ, "_PAWL_COMPLETE": "bash_complete", "COMP_WORDS": "pawl re", "COMP_CWORD": "1"}
    code = "from engine.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == ["plain,replay", "plain,resume", "plain,retry"]


def test_the_group_is_ours() -> None:
    assert all(isinstance(command, (Command, click.Group)) for command in commands().values())
    assert pawl.name == "pawl"
