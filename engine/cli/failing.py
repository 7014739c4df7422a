"""How a command that failed says so: a message, a hint and an exit code for people; one JSON object for programs.

Shapes with `--json`: `run`, `resume` and `replay` print the object of a result (`status` "failed", `error` set,
`run_id` null when no run was started); with `--events -` it comes inside a last `run_ended` line; every other command
prints `{"error": {…}}`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from engine.cli.streams import Output, OutputLost, printable
from engine.errors import EngineBug, PawlError, UsageError
from engine.values import Json

RESULT_COMMANDS = ("run", "resume", "replay")


def report(error: Exception, arguments: Sequence[str]) -> int:
    """Prints `error` as `arguments` asked for it and returns the exit code."""
    failure = as_pawl_error(error, arguments)
    out = Output(is_json="--json" in arguments)
    out.note(for_people(failure, out))
    with contextlib.suppress(OutputLost):  # the message is on standard error, the code is returned: that must do
        _for_programs(failure, arguments, out)
    return failure.exit_code


def as_pawl_error(error: Exception, arguments: Sequence[str] = ()) -> PawlError:
    """`error` as one of ours. What nobody foresaw becomes an `EngineBug` that names the log file with the traceback."""
    if isinstance(error, PawlError):
        return error
    if isinstance(error, click.ClickException):
        return _from_click(error)
    if isinstance(error, OSError) and error.filename is not None:
        return UsageError(
            f"{error.filename}: {error.strerror}", code="unreadable", hint="Check the path and its rights."
        )
    written = write_report(error, arguments)
    return EngineBug(
        f"a bug of Pawl: {type(error).__name__}: {error}",
        hint=f"Please report it with {written}." if written else "Please report it.",
        **({"report": str(written)} if written else {}),
    )


def for_people(error: PawlError, out: Output) -> str:
    """`Error: …`, the excerpt of a script where there is one, and what to do."""
    lines = [out.paint("Error:", "red", "bold", on_error=True) + " " + printable(error.message.removeprefix("Error: "))]
    if excerpt := error.fields.get("excerpt"):
        lines += [printable(str(excerpt))]
    if error.hint:
        lines += [out.paint("Hint:", "cyan", on_error=True) + " " + printable(error.hint)]
    return "\n".join(lines)


def result_of(error: PawlError, run_id: str | None = None) -> dict[str, Json]:
    """The object of CLI.md for a run that did not start."""
    nothing: dict[str, Json] = {"input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0}
    return {
        "run_id": run_id or error.fields.get("run_id"),
        "version": None,
        "status": "failed",
        "result": None,
        "error": error.to_json(),
        "degraded": False,
        "agents": dict.fromkeys(("total", "live", "reused", "failed", "null", "refused"), 0),
        "usage": nothing,
        "run_usage": nothing,
        "seconds": 0.0,
    }


def _for_programs(error: PawlError, arguments: Sequence[str], out: Output) -> None:
    words = [word for word in arguments if not word.startswith("-")]
    is_result = bool(words) and words[0] in RESULT_COMMANDS
    if is_result and _takes_events_on_stdout(arguments):
        now = int(time.time() * 1000)
        out.json({"event": "run_ended", "status": "failed", "result": result_of(error), "at": now})
    elif out.is_json:
        out.json(result_of(error) if is_result else {"error": error.to_json()})


def _takes_events_on_stdout(arguments: Sequence[str]) -> bool:
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    return any(word == "--events=-" or (word == "--events" and value == "-") for word, value in pairs)


def _from_click(error: click.ClickException) -> UsageError:
    context = getattr(error, "ctx", None)
    hint = f"{context.command_path} --help lists what there is." if context is not None else ""
    return UsageError(error.format_message().rstrip("."), hint=hint)


def write_report(error: BaseException, arguments: Sequence[str]) -> Path | None:
    """Writes the traceback to a file of its own in the user's cache; None when that cannot be done.

    Not into the project: the project's folder may be what is broken. Arguments can hold secrets, so only names of flags
    are written (I9).
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pawl" / "reports"
    flags = " ".join(word.split("=")[0] for word in arguments if word.startswith("-"))
    command = next((word for word in arguments if not word.startswith("-")), "")
    text = "".join(traceback.format_exception(error))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.txt"
        path.write_text(f"pawl {command} {flags}\nPython {sys.version}\n\n{text}", errors="backslashreplace")
    except (OSError, RuntimeError):  # RuntimeError: no home folder
        return None
    return path
