"""Standard output and standard error, as a command may use them.

Owns three promises: with `--json`, standard output holds JSON and nothing else; no locale, closed descriptor, full disk
or hung-up terminal turns output into a traceback; text that a script or a model wrote cannot steer the terminal.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from engine.values import Json

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What moves a cursor, rings a bell or turns the direction of text. Newline and tab stay."""

READER_WENT_AWAY = (errno.EPIPE, errno.EIO, errno.ENXIO)


class OutputLost(Exception):
    """Standard output took no more. `reader_left`: it was a pipe whose reader had seen enough, which is no error."""

    def __init__(self, problem: str, *, reader_left: bool) -> None:
        super().__init__(problem)
        self.problem = problem
        self.reader_left = reader_left


def secure_descriptors() -> None:
    """Makes 0, 1 and 2 exist. Otherwise the next file or socket that is opened would become standard output.

    Python has set `sys.stdout` to None by then, which is how a closed one is still recognised.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def printable(text: str) -> str:
    """`text` with control and direction characters written out, so that it is safe on a terminal."""
    return _CONTROL.sub(
        lambda found: f"\\x{ord(found[0]):02x}" if ord(found[0]) < 256 else f"\\u{ord(found[0]):04x}", text
    )


def one_line(text: str, width: int = 0) -> str:
    """`text` on one line, printable, cut to `width` characters with an ellipsis when `width` is given."""
    line = printable(" ".join(text.split()))
    return line if not width or len(line) <= width else line[: max(1, width - 1)] + "…"


def is_utf8(stream: IO[str] | None) -> bool:
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "") in ("utf8", "utf8sig")


def json_text(value: Json, stream: IO[str] | None, *, indent: int | None = None) -> str:
    """JSON for `stream`: escaped to ASCII where the stream could not hold all of Unicode."""
    return json.dumps(value, ensure_ascii=not is_utf8(stream), indent=indent)


def wants_colour(stream: IO[str] | None) -> bool:
    """NO_COLOR and TERM=dumb switch colour off; so does anything that is not a terminal."""
    if stream is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return is_terminal(stream)


def is_terminal(stream: IO[str] | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except (OSError, ValueError):
        return False


_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


@dataclass(slots=True)
class Output:
    """Where a command prints.

    Attributes:
        is_json: `--json` was given: `print` is for people and goes to standard error.
        is_quiet: `--quiet` was given: `say` is silent.
    """

    is_json: bool = False
    is_quiet: bool = False

    def json(self, value: Json) -> None:
        """One JSON text on a line of its own on standard output."""
        self._out(json_text(value, sys.stdout) + "\n")

    def print(self, text: str = "") -> None:
        """What the command was asked for, for people: standard output, or standard error beside `--json`."""
        if self.is_json:
            self.note(text)
        else:
            self._out(text + "\n")

    def say(self, text: str) -> None:
        """What is good to know: standard error, unless `--quiet`."""
        if not self.is_quiet:
            self.note(text)

    def note(self, text: str) -> None:
        """What must be said: standard error. Never raises: there is nobody left to tell."""
        if sys.stderr is None:
            return
        try:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            mute("stderr")

    def paint(self, text: str, *styles: str, on_error: bool = False) -> str:
        """`text` in `styles` (bold, dim, red, green, yellow, cyan) where the stream is a terminal that wants colour."""
        stream = sys.stderr if on_error or self.is_json else sys.stdout
        if not styles or not wants_colour(stream):
            return text
        return f"\x1b[{';'.join(_STYLES[style] for style in styles)}m{text}\x1b[0m"

    def _out(self, text: str) -> None:
        if sys.stdout is None:
            raise OutputLost("standard output is closed", reader_left=False)
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except ValueError as error:  # "I/O operation on closed file"
            raise OutputLost("standard output is closed", reader_left=False) from error
        except OSError as error:
            mute("stdout")
            problem = f"cannot write to standard output: {error.strerror or error}"
            raise OutputLost(problem, reader_left=error.errno in READER_WENT_AWAY) from error


def mute(name: str) -> None:
    """Points a broken stream at nothing, so that the interpreter's own flush at exit does not complain."""
    stream: TextIO | None = getattr(sys, name)
    if stream is None:
        return
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    except (OSError, ValueError):
        setattr(sys, name, None)


def table(rows: Sequence[tuple[str, ...]], *, head: tuple[str, ...] = (), right: tuple[int, ...] = ()) -> str:
    """Columns aligned by their widest cell; `right` names columns of numbers. The last column is never padded."""
    lines = [head, *rows] if head else rows
    if not lines:
        return ""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]

    def show(line: tuple[str, ...]) -> str:
        cells = (
            cell.rjust(widths[column]) if column in right else cell.ljust(widths[column])
            for column, cell in enumerate(line)
        )
        return "  ".join(cells).rstrip()

    return "\n".join(map(show, lines))
