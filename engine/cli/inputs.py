"""What a person types, turned into values: scripts, args, lists, references. Every misfit is a `UsageError`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UsageError
from engine.options import UNSET
from engine.values import Json

if TYPE_CHECKING:
    from engine.workflows import ScriptSource

EFFECTS = ("ask", "check", "files")


def args_value(text: str | None) -> Json:
    """`--args`: JSON if it parses, else the string itself (S42); `@FILE` and `-` are read first. Absent: `UNSET`."""
    if text is None:
        return UNSET
    text = text_value(text, "--args")
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise UsageError("--args is nested too deeply", code="bad_args", hint="Flatten the value.") from None
    except ValueError:
        return text


def text_value(text: str, flag: str) -> str:
    """A text as given, of `@FILE`, or of standard input (`-`). Raises `UsageError` when it is not UTF-8."""
    if text == "-":
        return _decoded(_stdin(), f"{flag} on standard input")
    if text.startswith("@"):
        return _decoded(_file(text[1:], flag), text[1:])
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{flag} is not UTF-8", code="bad_args", hint=f"Pass it in a file: {flag} @FILE") from None
    return text


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")  # Python would take NaN and Infinity; then it is just a string


def script_source(name: str, project: Path) -> ScriptSource:
    """The script behind a path, a workflow's name, or `-`. Raises `UsageError` (`unknown_workflow`), `ScriptError`."""
    from engine.workflows import ScriptSource, find

    if name == "-":
        from engine.script import decode

        return ScriptSource(text=decode(_stdin(), "<stdin>"), path=None, name="<stdin>")
    return find(name, project)


def effects(text: str | None) -> frozenset[str] | None:
    """`--allow check,ask,files`; None when it was not given; an empty text allows nothing."""
    if text is None:
        return None
    found = frozenset(part.strip() for part in text.split(",") if part.strip())
    if unknown := sorted(found - set(EFFECTS)):
        raise UsageError(
            f"--allow: unknown effect {unknown[0]!r}; expected a list of {', '.join(EFFECTS)}",
            code="bad_flag",
            hint="For example: --allow check,files",
        )
    return found


def call_number(text: str) -> int:
    """CALL, from 1."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UsageError(
            f"{text!r} is no call: expected a number from 1",
            code="unknown_call",
            hint="pawl show RUN --calls lists them.",
        )
    return int(text)


def days(text: str) -> float:
    """`30d`, `12h`, `2w` as days. Raises `UsageError`."""
    units = {"h": 1 / 24, "d": 1.0, "w": 7.0}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isascii() or not number.isdigit():
        raise UsageError(f"{text!r} is no age: expected for example 12h, 30d or 2w", code="bad_flag")
    return int(number) * units[unit]


def only_one_stdin(*values: str | None, names: Sequence[str]) -> None:
    """Refuses two readers of standard input."""
    readers = [name for name, value in zip(names, values, strict=True) if value == "-"]
    if len(readers) > 1:
        raise UsageError(
            f"{' and '.join(readers)} cannot both come from standard input",
            code="bad_flag",
            hint="Put one into a file.",
        )


def _file(path: str, flag: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(
            f"{flag}: cannot read {path!r}: {error.strerror}",
            code="unreadable",
            hint="A text that starts with @ names a file.",
        ) from error


def _stdin() -> bytes:
    if sys.stdin is None:
        raise UsageError("standard input is closed", code="unreadable", hint="Name a file instead of -.")
    return sys.stdin.buffer.read()


def _decoded(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{what}: not UTF-8 text: byte {error.start + 1} is 0x{data[error.start]:02x}",
            code="encoding",
            hint="Save it as UTF-8.",
        ) from error
