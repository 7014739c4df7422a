"""Where a script that was written goes: a new file, never over another, with the request above it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from engine.authoring.generation import Written
from engine.errors import UsageError
from engine.project import FOLDER

WORKFLOWS = Path(FOLDER) / "workflows"
DRAFTS = Path(FOLDER) / "drafts"
"""Scripts that are not right: no workflow is looked for there."""

_WIDTH = 116
_MOST_LINES = 40
_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_TRIES = 1000


def with_header(script: str, written: Written) -> str:
    """The script below a comment with the date and the request. A `#!` line stays the first."""
    script = script.removeprefix("\ufeff")
    first, newline, rest = script.partition("\n")
    is_program = first.startswith("#!")
    header = "".join(f"{line}\n" for line in _header(written))
    return f"{first}{newline}{header}{rest}" if is_program else f"{header}{script}"


def save(project: Path, script: str, written: Written) -> Path:
    """Saves it as a workflow of the project, under a name that is free. Raises `UsageError`: `unwritable`."""
    return _new_file(project / WORKFLOWS, _stem(written.name), ".js", with_header(script, written))


def save_as(path: Path, script: str, written: Written) -> Path:
    """Saves it where a person said. Raises `UsageError`: `exists`, `unwritable`."""
    refuse_existing(path)
    try:
        _write(path, with_header(script, written))
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def refuse_existing(path: Path) -> None:
    """Raises `UsageError` (`exists`, `unwritable`) for a path that no new file can have."""
    if os.path.lexists(path):
        raise UsageError(f"-o: {str(path)!r} exists", code="exists", hint="Name another file: nothing is overwritten.")
    if not path.absolute().parent.is_dir():
        raise UsageError(
            f"-o: there is no folder {str(path.parent)!r}", code="unwritable", hint="Make it, or name another file."
        )


def save_draft(project: Path, written: Written) -> Path:
    """Saves a script that is not right, with what is wrong with it, where it is no workflow."""
    wrong = [line for problem in written.problems for line in f"{problem['code']}: {problem['text']}".splitlines()]
    notes = "".join(f"// ! {_clean(line)}\n".replace(" \n", "\n") for line in wrong)
    text = with_header(written.script or "", written) + f"\n// What is wrong with it:\n{notes}"
    return _new_file(project / DRAFTS, _stem(f"{written.name}-{written.run_id}"), ".js", text)


def _header(written: Written) -> Iterator[str]:
    day = time.strftime("%Y-%m-%d", time.localtime(written.started_at / 1000))
    yield f"// Written by `pawl new` on {day} ({written.run_id}), asked for:"
    lines = [piece for line in written.request.splitlines() for piece in _wrapped(_clean(line))]
    for line in lines[:_MOST_LINES]:
        yield f"//   {line}".rstrip()
    if len(lines) > _MOST_LINES:
        yield f"//   … {len(lines) - _MOST_LINES} more lines: pawl show {written.run_id}"


def _clean(line: str) -> str:
    """A line that cannot end a comment: the ends of lines in JavaScript are among those that `splitlines` knows."""
    return _CONTROL.sub("", line.expandtabs(2))


def _wrapped(line: str) -> Iterator[str]:
    while len(line) > _WIDTH:
        cut = line.rfind(" ", 1, _WIDTH)
        cut = cut if cut > 0 else _WIDTH
        yield line[:cut]
        line = line[cut:].lstrip()
    yield line


def _stem(name: str) -> str:
    stem = _NO_NAME.sub("-", name).strip("-.")[:60]
    return stem or "workflow"


def _new_file(folder: Path, stem: str, suffix: str, text: str) -> Path:
    """A file of that name, or with a number: whoever made it in the meantime keeps theirs."""
    path = folder / f"{stem}{suffix}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(2, _TRIES):
            try:
                _write(path, text)
            except FileExistsError:
                path = folder / f"{stem}-{number}{suffix}"
            else:
                return path
    except OSError as error:
        raise _unwritable(path, error) from error
    raise UsageError(f"{str(folder)!r} has {_TRIES:,} files called {stem!r}", code="unwritable", hint="Use -o FILE.")


def _write(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8", errors="replace", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _unwritable(path: Path, error: OSError) -> UsageError:
    if isinstance(error, FileExistsError):
        return UsageError(f"{str(path)!r} exists", code="exists", hint="Name another file: nothing is overwritten.")
    return UsageError(
        f"cannot write {str(path)!r}: {error.strerror or error}", code="unwritable", hint="Name another file: -o FILE."
    )
