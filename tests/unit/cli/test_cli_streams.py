"""Standard output and error: nothing makes a traceback, nothing that a script wrote steers the terminal."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli import streams
from engine.cli.streams import Output, OutputLost, one_line, printable, table


def python(code: str, *, shell: str = "", **environ: str) -> subprocess.CompletedProcess[bytes]:
    """Runs `code` in an interpreter of its own; `shell` is put behind the command (redirections)."""
    command = f'"{sys.executable}" -c "$CODE" {shell}'
    return subprocess.run(
        ["/bin/sh", "-c", command], env={**os.environ, "CODE": code, **environ}, capture_output=True, check=False
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ✓\ttab\nline", "plain ✓\ttab\nline"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\rb\x9bc", "a\\x0db\\x9bc"),
        ("safe\u202etxt.exe", "safe\\u202etxt.exe"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_one_line_is_one_line_and_fits() -> None:
    assert one_line(" a \n\n b\x1b ", 0) == "a b\\x1b"
    assert one_line("x" * 20, 10) == "x" * 9 + "…"


def test_a_table_is_aligned_and_has_no_blanks_at_the_end() -> None:
    assert table([("a", "1", "x"), ("bb", "22", "")], head=("N", "NUM", "T"), right=(1,)) == (
        "N   NUM  T\na     1  x\nbb   22"
    )
    assert table([]) == ""


def test_json_alone_is_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(is_json=True)
    out.print("for people")
    out.say("also")
    out.json({"a": "é"})
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"a": "é"}
    assert captured.err == "for people\nalso\n"


def test_quiet_keeps_what_must_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(is_quiet=True)
    out.say("chatter")
    out.note("must")
    out.print("result")
    assert capsys.readouterr() == ("result\n", "must\n")


@pytest.mark.parametrize("value", ["ok ✓ é", "\ud800 lone"])
def test_json_survives_any_encoding(value: str) -> None:
    code = (
        "from engine.cli.streams import Output, secure_descriptors; secure_descriptors(); "
        f"Output().json({value!a}); Output().print('\\u2713')"
    )
    for encoding in ("ascii", "latin-1", "utf-8"):
        done = python(code, PYTHONIOENCODING=encoding)
        assert (done.returncode, done.stderr) == (0, b"")
        assert json.loads(done.stdout.splitlines()[0].decode(encoding)) == value


def test_the_C_locale_is_no_problem() -> None:
    code = "from engine.cli.streams import Output, secure_descriptors; secure_descriptors(); Output().print('\\u2713')"
    done = python(code, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"\\u2713\n", b"")


def test_a_closed_standard_output_is_said_and_never_reused() -> None:
    code = (
        "import os\n"
        "from engine.cli.streams import Output, OutputLost, secure_descriptors\n"
        "secure_descriptors()\n"
        "fd = os.open('/dev/null', os.O_RDONLY)\n"
        "assert fd > 2, fd\n"
        "try:\n    Output().json(1)\n"
        "except OutputLost as lost:\n    Output().note(f'{lost.problem} {lost.reader_left}')\n"
    )
    done = python(code, shell=">&-")
    assert (done.returncode, done.stderr) == (0, b"standard output is closed False\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_under_standard_output_is_an_error() -> None:
    code = (
        "from engine.cli.main import run, _leave\n"
        "import engine.cli.main as m\n"
        "from engine.cli.streams import secure_descriptors\n"
        "secure_descriptors()\n"
        "_leave(run(['--version']))\n"
    )
    done = python(code, shell=">/dev/full")
    assert (done.returncode, done.stderr) == (
        1,
        b"Error: cannot write to standard output: No space left on device.\n",
    )


def test_a_reader_that_left_is_no_error() -> None:
    code = (
        "from engine.cli.main import run, _leave\n"
        "from engine.cli.streams import Output, secure_descriptors\n"
        "import sys\n"
        "secure_descriptors()\n"
        "sys.stdin.readline()\n"  # the reader is gone by then
        "_leave(run(['--help']) or run(['--version']))\n"
    )
    reader, writer = os.pipe()
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    os.close(reader)
    _, err = child.communicate(b"go\n", timeout=20)
    assert (child.returncode, err) == (0, b"")


def test_a_closed_standard_error_is_silent() -> None:
    code = (
        "from engine.cli.streams import Output, secure_descriptors\n"
        "secure_descriptors()\nOutput().note('nobody')\nOutput().print('here')\n"
    )
    done = python(code, shell="2>&-")
    assert (done.returncode, done.stdout) == (0, b"here\n")


def test_colour_is_for_terminals_and_NO_COLOR_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert Output().paint("x", "red", "bold") == "\x1b[31;1mx\x1b[0m"
    assert Output().paint("x") == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Output().paint("x", "red") == "x"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert Output().paint("x", "red") == "x"


def test_output_that_was_closed_under_us_is_lost_not_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(OutputLost) as caught:
        Output().json(1)
    assert (caught.value.problem, caught.value.reader_left) == ("standard output is closed", False)


def test_a_stream_without_encoding_gets_ascii() -> None:
    assert streams.json_text("é", None) == '"\\u00e9"'
