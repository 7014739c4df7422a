"""Places in a script: offsets to lines and columns, excerpts with a caret, the engine's stack text to frames.

A line that is shown is the file's own (S06). Where the engine gives none (QuickJS of 2021 has no line for a throw on
the first line of its function), the frame has none, and the next frame's line is the call. Never a guess.

Lines and columns count from 1; columns count characters. The stack text is made by the engine, but a script can put
anything into it (`error.stack = …`), so it is read with bounds and without trust.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import NamedTuple

from engine.values import Json

MAX_FRAMES = 20
MAX_STACK_CHARS = 20_000
EXCERPT_WIDTH = 160
_FRAME = re.compile(r" *at (?P<function>[^\n]{0,200}?) \(<input>(?::(?P<line>\d{1,9}))?(?::(?P<column>\d{1,9}))?\)\Z")
_BARE_FRAME = re.compile(r" *at <input>(?::(?P<line>\d{1,9}))?(?::(?P<column>\d{1,9}))?\Z")

Locate = Callable[[int], tuple[int | None, int]]
"""An engine's line → (code number, or None for our own library; line in that text): `Sandbox.locate`."""


class Span(NamedTuple):
    """Where something is: from a character up to, and not including, another."""

    line: int
    column: int
    end_line: int
    end_column: int


class Excerpt(NamedTuple):
    """A line of the file and the line with the caret to show below it."""

    text: str
    caret: str

    def __str__(self) -> str:
        return f"{self.text}\n{self.caret}"


class SourceText:
    """A script's text with its lines. `text` has `\\n` as its only line end (see `script.decode`)."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.data = text.encode("utf-8")
        self._starts = [0]
        at = self.data.find(b"\n")
        while at >= 0:
            self._starts.append(at + 1)
            at = self.data.find(b"\n", at + 1)

    @property
    def line_count(self) -> int:
        return len(self._starts)

    def line(self, number: int) -> str:
        """The text of a line without its end; empty past the end."""
        if not 1 <= number <= len(self._starts):
            return ""
        start = self._starts[number - 1]
        end = self._starts[number] - 1 if number < len(self._starts) else len(self.data)
        return self.data[start:end].decode("utf-8")

    def span(self, start: int, end: int) -> Span:
        """The place of a byte range; offsets inside a character count as its start."""
        return Span(*self._position(start), *self._position(max(start, end)))

    def excerpt(self, span: Span) -> Excerpt:
        """The first line of a place with carets below it, cut around the place when the line is long."""
        line = self.line(span.line)
        first = min(span.column - 1, len(line))
        last = span.end_column - 1 if span.end_line == span.line else len(line)
        length = max(1, min(last, len(line)) - first)
        shift = 0
        if len(line) > EXCERPT_WIDTH:
            shift = max(0, min(first - EXCERPT_WIDTH // 3, len(line) - EXCERPT_WIDTH))
            line = line[shift : shift + EXCERPT_WIDTH]
            first -= shift
            length = max(1, min(length, len(line) - first))
        # A tab takes as much room above as below only if it stands in both lines.
        pad = "".join("\t" if char == "\t" else " " * _width(char) for char in line[:first])
        marks = "^" * max(1, sum(_width(char) for char in line[first : first + length]))
        shown = "".join(char if char.isprintable() or char == "\t" else "\N{REPLACEMENT CHARACTER}" for char in line)
        return Excerpt(shown, pad + marks)

    def _position(self, offset: int) -> tuple[int, int]:
        offset = max(0, min(offset, len(self.data)))
        line = bisect_right(self._starts, offset)
        before = self.data[self._starts[line - 1] : offset]
        return line, len(before.decode("utf-8", "ignore")) + 1


class Frame(NamedTuple):
    """One function of the script that was running. `line` is None where the engine does not know it."""

    function: str | None
    file: str
    line: int | None
    column: int | None

    def __str__(self) -> str:
        name = f"{self.function}()" if self.function else "the script"
        return f"{name} in {self.file}" if self.line is None else f"{name} at {self.file}:{self.line}"

    def to_json(self) -> dict[str, Json]:
        return {"function": self.function, "file": self.file, "line": self.line, "column": self.column}


def own_frames(stack: str, locate: Locate, sources: Mapping[int, SourceText]) -> list[Frame]:
    """The frames of a stack that belong to the scripts in `sources` (by code number), innermost first."""
    frames: list[Frame] = []
    unplaced: list[str] = []
    for text in stack[:MAX_STACK_CHARS].split("\n"):
        match = _FRAME.match(text) or _BARE_FRAME.match(text)
        if match is None:
            continue
        groups = match.groupdict()
        name = groups.get("function") or ""
        if name == "<eval>":
            unplaced.clear()  # the wrapper that our own compile step put around the script
            continue
        if groups["line"] is None:
            # Whose it is shows only in the next frame out that has a line: the caller stands in the same file, or
            # it is a callback that a primitive of ours called.
            unplaced.append(name)
            continue
        code, line = locate(int(groups["line"]))
        source = sources.get(code) if code is not None else None
        if source is None:
            unplaced.clear()
            continue
        frames += [Frame(_shown(waiting), source.file, None, None) for waiting in unplaced]
        unplaced.clear()
        if not 1 <= line <= source.line_count:
            continue
        column = int(groups["column"]) if groups["column"] else None
        if column is not None and not 1 <= column <= len(source.line(line)) + 1:
            column = None
        frames.append(Frame(_shown(name), source.file, line, column))
        if len(frames) >= MAX_FRAMES:
            break
    if unplaced and not frames and len(sources) == 1:
        only = next(iter(sources.values()))
        frames = [Frame(_shown(name), only.file, None, None) for name in unplaced[:MAX_FRAMES]]
    return frames


def thrown_at(frames: list[Frame], sources: Mapping[int, SourceText]) -> dict[str, Json]:
    """The fields of the error for a script that threw: file, line, column, excerpt, function, frames.

    `line` is that of the innermost frame that has one; when the throw itself has none, `function` names the function
    that threw and `line` is where it was called.
    """
    if not frames:
        return {}
    fields: dict[str, Json] = {"file": frames[0].file, "frames": [frame.to_json() for frame in frames]}
    if frames[0].function:
        fields["function"] = frames[0].function
    placed = next((frame for frame in frames if frame.line is not None), None)
    if placed is None or placed.line is None:
        return fields
    fields["file"] = placed.file
    fields["line"] = placed.line
    source = next((source for source in sources.values() if source.file == placed.file), None)
    if source is None:
        return fields
    line = source.line(placed.line)
    if placed.column is not None:
        fields["column"] = placed.column
        fields["excerpt"] = str(source.excerpt(Span(placed.line, placed.column, placed.line, placed.column + 1)))
    else:  # the whole line, since only the line is known
        indent = len(line) - len(line.lstrip())
        fields["excerpt"] = str(source.excerpt(Span(placed.line, indent + 1, placed.line, len(line.rstrip()) + 1)))
    return fields


def _shown(name: str) -> str | None:
    if not name or name == "<anonymous>":
        return None
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name[:80])


def _width(char: str) -> int:
    """Columns that a character takes on a terminal."""
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
