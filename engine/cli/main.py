"""The entry of `pawl`: finds the command, runs it, and turns every way to end into an exit code.

Start-up is a promise (the first agent within 250 ms), so this file imports next to nothing, and a command's module is
imported when it is called.

The one place that catches everything (`except Exception`): no traceback reaches a person; a bug of ours goes to a file.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from engine.cli.streams import OutputLost, mute, secure_descriptors

EXIT_INTERRUPTED = 128 + signal.SIGINT
"""Ctrl-C in a command that drives no run. One that drives a run exits 5 (`resume` goes on) or, before it started, 2."""

GARBAGE_THRESHOLD = 20_000
"""New objects between two collections, 700 by default. What imports and runs make mostly stays: looking at it so often
finds nothing and costs 4 µs a call."""

STARTS_A_SCRIPT = ("run", "resume", "replay", "simulate", "new")


def main() -> NoReturn:
    """The console script. Never returns, never shows a traceback."""
    secure_descriptors()
    gc.set_threshold(GARBAGE_THRESHOLD)
    code = run(sys.argv[1:])
    _leave(code)


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code. Prints; never raises but `SystemExit` of Python's own."""
    try:
        _prewarm(arguments)
        return _dispatch(list(arguments))
    except OutputLost as lost:
        if not lost.reader_left:
            _stderr(f"Error: {lost.problem}.")
        return 0 if lost.reader_left else 1
    except KeyboardInterrupt:
        _stderr("")
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # click's own output, of --help
        mute("stdout")
        return 0
    except Exception as error:  # noqa: BLE001 - the command line's boundary
        from engine.cli.failing import report

        return report(error, arguments)
    finally:
        _discard()


def _prewarm(arguments: Sequence[str]) -> None:
    """Starts the children of a run before anything else is imported: they boot while Python reads our modules.

    Not for `--detach`, which forks first: a child belongs to the process that will drive it.
    """
    if not arguments or arguments[0] not in STARTS_A_SCRIPT or {"--help", "-h", "--detach"} & set(arguments):
        return
    with contextlib.suppress(Exception):  # whatever is wrong will be said by the run itself
        from engine.children import prewarm

        prewarm()


def _discard() -> None:
    """Ends the children that nobody took: a command line that was refused."""
    if (children := sys.modules.get("engine.children")) is not None:
        children.discard()


def _dispatch(arguments: list[str]) -> int:
    import click

    from engine.cli.group import pawl

    _stand_somewhere()

    if instruction := os.environ.get("_PAWL_COMPLETE"):
        from click.shell_completion import shell_complete

        return shell_complete(pawl, {}, "pawl", "_PAWL_COMPLETE", instruction)
    try:
        with pawl.make_context("pawl", arguments) as context:
            result: Any = pawl.invoke(context)
            return int(result or 0)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.Abort as abort:
        raise KeyboardInterrupt from abort


def _stand_somewhere() -> None:
    """Raises `UsageError` when the current folder has been removed: no project and no path can be found from it."""
    try:
        os.getcwd()
    except FileNotFoundError:
        from engine.errors import UsageError

        raise UsageError(
            "the current folder does not exist any more", code="no_folder", hint="Change to another folder."
        ) from None


def _stderr(text: str) -> None:
    from engine.cli.streams import Output

    Output().note(text)


def _leave(code: int) -> NoReturn:
    """Flushes and exits. A lost standard output has been reported by now and must not turn into a traceback."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
