"""What a person types becomes values, or one clear refusal."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.cli import inputs
from engine.errors import UsageError
from engine.options import UNSET


class Stdin:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (None, UNSET),
        ("", ""),
        ("null", None),
        ("0", 0),
        ('{"a": [1, 2.5, "é"]}', {"a": [1, 2.5, "é"]}),
        ("plain words", "plain words"),
        ("{broken", "{broken"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ('"quoted"', "quoted"),
    ],
)
def test_S42_args_are_json_if_they_parse_else_the_text(text: str | None, value: Any) -> None:
    found = inputs.args_value(text)
    assert found is value if value is UNSET else found == value


def test_S42_args_come_from_a_file_or_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text('{"n": 1}')
    assert inputs.args_value(f"@{tmp_path / 'a.json'}") == {"n": 1}
    monkeypatch.setattr(sys, "stdin", Stdin(b"not json\n"))
    assert inputs.args_value("-") == "not json\n"


def refused(text: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        inputs.args_value(text)
    assert caught.value.exit_code == 2
    return caught.value


def test_args_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    error = refused(f"@{tmp_path}/none")
    assert error.message == f"--args: cannot read '{tmp_path}/none': No such file or directory"
    assert error.hint == "A text that starts with @ names a file."


def test_args_that_are_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"ab\xff")
    assert refused(f"@{tmp_path / 'b'}").message == f"{tmp_path / 'b'}: not UTF-8 text: byte 3 is 0xff"
    assert refused("a\udcff").message == "--args is not UTF-8"


def test_args_that_are_nested_too_deeply() -> None:
    assert refused("[" * 200_000).message == "--args is nested too deeply"


def test_standard_input_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert refused("-").message == "standard input is closed"


def test_only_one_thing_reads_standard_input() -> None:
    inputs.only_one_stdin("-", None, names=("the script", "--args"))
    with pytest.raises(UsageError) as caught:
        inputs.only_one_stdin("-", "-", names=("the script", "--args"))
    assert caught.value.message == "the script and --args cannot both come from standard input"


def test_effects_are_a_list_of_known_words() -> None:
    assert inputs.effects(None) is None
    assert inputs.effects("") == frozenset()
    assert inputs.effects("check, files") == {"check", "files"}
    with pytest.raises(UsageError) as caught:
        inputs.effects("check,network")
    assert caught.value.message == "--allow: unknown effect 'network'; expected a list of ask, check, files"


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "²", ""])
def test_a_call_is_a_number_from_1(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        inputs.call_number(text)
    assert caught.value.message == f"{text!r} is no call: expected a number from 1"


@pytest.mark.parametrize(("text", "days"), [("12h", 0.5), ("30d", 30), ("2w", 14), ("0d", 0)])
def test_an_age_has_a_unit(text: str, days: float) -> None:
    assert inputs.days(text) == days


@pytest.mark.parametrize("text", ["", "d", "30", "3m", "-1d", "1.5d"])
def test_an_age_without_one_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        inputs.days(text)
    assert caught.value.message == f"{text!r} is no age: expected for example 12h, 30d or 2w"
