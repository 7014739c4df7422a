"""Drives one run from its start to its end: signals in, events out, the result last.

The run itself is the Engine's. What can go wrong here — a terminal that is gone, a full disk under `--out`, a reader of
`--events -` that left — never changes how the run ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from engine.cli import wording
from engine.cli.command import Shell
from engine.cli.failing import for_people
from engine.cli.stopping import Stopper
from engine.cli.streams import OutputLost, is_terminal, json_text, one_line, printable
from engine.cli.viewing import view_for
from engine.cli.views import View
from engine.errors import PawlError, UsageError
from engine.events import Event
from engine.options import RunResult
from engine.values import Json, RunStatus

if TYPE_CHECKING:
    from engine.engine import Engine, RunHandle

Launch = Callable[[], Awaitable["RunHandle"]]
Prepare = Callable[["Engine"], Awaitable[Launch]]
"""Reads the script and asks what a person must agree to; what it returns starts the run. Ctrl-C during the first ends
the command, during the second it interrupts the run."""

Ended = Callable[[Shell, "Outlets", RunResult, View], int]
"""Tells how a run ended, and returns the exit code."""


INTERRUPTED_CODE = 5


@dataclass(slots=True)
class Outlets:
    """Where a run's events and result go beside the terminal.

    Attributes:
        events: an open file for JSON Lines, or None; `is_events_stdout`: it is standard output.
        out: the file that gets the result's JSON.
    """

    events: TextIO | None = None
    is_events_stdout: bool = False
    out: Path | None = None
    fails_degraded: bool = False
    is_explained: bool = False
    _is_flushing: bool = False

    @classmethod
    def open(cls, *, events: str | None, out: Path | None, fails_degraded: bool, is_explained: bool) -> Outlets:
        """Opens what can be opened before a run is started. Raises `UsageError` (`unwritable`)."""
        if out is not None and not os.access(out.parent, os.W_OK):
            raise UsageError(
                f"--out: cannot write into {str(out.parent)!r}", code="unwritable", hint="Name another file."
            )
        stream = None
        if events is not None and events != "-":
            try:
                stream = Path(events).open("w", encoding="utf-8")  # noqa: SIM115 - closed when the run has ended
            except OSError as error:
                raise UsageError(
                    f"--events: cannot write {events!r}: {error.strerror}", code="unwritable", hint="Name another file."
                ) from error
        return cls(stream, events == "-", out, fails_degraded, is_explained)

    def tell(self, shell: Shell, event: Event) -> None:
        """Writes one event; an outlet that breaks is closed with one warning."""
        if self.is_events_stdout:
            try:
                shell.out.json(event.to_json())
            except OutputLost as lost:
                self.is_events_stdout = False
                shell.out.note(f"warning: --events: {lost.problem}; the run goes on")
        elif self.events is not None:
            try:
                self.events.write(json_text(event.to_json(), self.events) + "\n")
            except (OSError, ValueError) as error:
                self._broke(shell, error)
            else:
                if not self._is_flushing:  # once a turn of the loop: a line is seen at once, a thousand cost one write
                    self._is_flushing = True
                    asyncio.get_running_loop().call_soon(self._flush, shell)

    def _flush(self, shell: Shell) -> None:
        self._is_flushing = False
        try:
            if self.events is not None:
                self.events.flush()
        except (OSError, ValueError) as error:
            self._broke(shell, error)

    def _broke(self, shell: Shell, error: Exception) -> None:
        shell.out.note(f"warning: --events: {error}; the run goes on")
        self.events = None

    def close(self) -> None:
        if self.events is not None:
            with contextlib.suppress(OSError):
                self.events.close()


async def drive(
    shell: Shell,
    outlets: Outlets,
    prepare: Prepare,
    *,
    told: Callable[[RunHandle], None] | None = None,
    ended: Ended | None = None,
) -> int:
    """Opens the engine, starts the run, shows it, prints how it ended, returns the exit code.

    `told` is called once the run has its lease: what `--detach` waits for. `ended` takes the place of `finish`.
    """
    from engine.authoring import examine
    from engine.engine import Engine

    async with Engine.open(shell.project, journal=shell.journal, examine=examine) as engine:
        launch = await prepare(engine)
        with Stopper() as stopper:
            handle = await launch()
            gc.freeze()  # what was loaded stays: collections in the middle of a run need not look at it again
            stopper.attach(handle)
            if told is not None:
                told(handle)
            view = view_for(shell.out)
            try:
                await _follow(engine, handle, view, shell, outlets)
                result = await handle.result()
            except asyncio.CancelledError:
                if stopper.count < 2:
                    raise
                shell.out.note(f"Stopped at once. Go on with: {resume_line(shell, handle.run_id)}")
                return INTERRUPTED_CODE
            except PawlError as error:
                error.fields.setdefault("run_id", handle.run_id)
                shell.out.note(f"The run stopped. Go on with: {resume_line(shell, handle.run_id)}")
                raise
            finally:
                view.close()
                outlets.close()
    return (ended or finish)(shell, outlets, result, view)


async def _follow(engine: Engine, handle: RunHandle, view: View, shell: Shell, outlets: Outlets) -> None:
    """Shows the run's events until it ends, and asks its questions where a person can answer."""
    from engine.cli.asking import Prompter

    async def answer(call: int, value: Json) -> str:
        return await engine.control(handle.run_id, "answer", call, value)

    has_person = sys.stdin is not None and sys.stdin.isatty() and sys.stderr is not None and sys.stderr.isatty()
    prompter = Prompter(view, shell.out, answer) if has_person else None
    try:
        async for event in handle.events():
            outlets.tell(shell, event)
            view.show(event)
            if prompter is not None:
                prompter.look()
    finally:
        if prompter is not None:
            await prompter.close()


def finish(shell: Shell, outlets: Outlets, result: RunResult, view: View) -> int:
    """Prints the result and what a person should know; returns the exit code of the table in docs/cli.md."""
    code = result.exit_code
    if outlets.fails_degraded and code == 0 and result.degraded:
        code = 1
    told = result.to_json()
    if outlets.is_explained:
        told["explained"] = [asdict(one) for one in result.explained]
        for one in result.explained:
            mark = "reused" if one.reused else "ran"
            shell.out.print(
                f"[{one.call}] {one_line(one.label, 60)}: {mark} ({one.reason}) {printable(one.detail)}".rstrip()
            )
    for line in [*summary(result, view.board.reasons), *_what_next(shell, result, view)]:
        if result.status is RunStatus.COMPLETED:
            shell.out.say(line)
        else:
            shell.out.note(line)
    if outlets.out is not None:
        code = _write(shell, outlets.out, told) or code
    try:
        if shell.out.is_json and not outlets.is_events_stdout:
            shell.out.json(told)
        elif result.status is RunStatus.COMPLETED and not outlets.is_events_stdout:
            shell.out.print(shown_result(result.result))
    except OutputLost as lost:
        # The run is recorded and its code stands: what it was asked to do was done.
        shell.out.note(f"Error: {lost.problem}; the result is in the journal: pawl show {result.run_id}")
    return code


def shown_result(value: Json) -> str:
    """A text as it is; everything else as indented JSON."""
    return (
        printable(value)
        if isinstance(value, str) and is_terminal(sys.stdout)
        else (value if isinstance(value, str) else json_text(value, sys.stdout, indent=2))
    )


def summary(result: RunResult, reasons: list[str] | None = None) -> Iterator[str]:
    """How it ended, what it cost, why it is degraded, and its error."""
    spent = wording.used(result.usage)
    line = f"{str(result.status).capitalize()} in {wording.duration(result.seconds)}: {wording.agents(result.agents)}"
    yield line + (f"; {spent}" if spent else "")
    if result.degraded:
        yield "Degraded: " + (printable(reasons[0]) if reasons else f"pawl show {result.run_id} says why")
        for reason in (reasons or [])[1:]:
            yield "          " + printable(reason)
    if result.error is not None:
        from engine.cli.streams import Output

        yield for_people(PawlError.from_json(result.error), Output())


def _what_next(shell: Shell, result: RunResult, view: View) -> Iterator[str]:
    """The exact lines that go on from here."""
    resumable = result.status in (RunStatus.PAUSED, RunStatus.INTERRUPTED)
    limited = result.status is RunStatus.FAILED and result.exit_code == 3
    if resumable:
        for call in view.board.open_questions():
            yield f"Answer with: pawl answer {result.run_id} {call} VALUE{where(shell)}"
        yield f"Go on with: {resume_line(shell, result.run_id)}"
    elif limited:
        yield f"Go on with a higher limit: {resume_line(shell, result.run_id)}"
    elif result.status is not RunStatus.COMPLETED:
        yield f"Mend it and go on with: {resume_line(shell, result.run_id)}"
    yield f"Recorded as {result.run_id}@{result.version}: pawl show {result.run_id}{where(shell)}"


def resume_line(shell: Shell, run_id: str) -> str:
    """The command that goes on with the run, from this folder."""
    return f"pawl resume {run_id}{where(shell)}"


def where(shell: Shell) -> str:
    """The flags that say which journal, when they were given."""
    import shlex

    named = (("--project", shell.project), ("--journal", shell.journal))
    return "".join(f" {flag} {shlex.quote(str(path))}" for flag, path in named if path is not None)


def _write(shell: Shell, path: Path, value: Json) -> int:
    """Writes the JSON in one piece: whoever reads the file sees all of it or the old one. Returns 1 when it cannot."""
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False, encoding="utf-8"
        ) as stream:
            temporary = Path(stream.name)
            json.dump(value, stream, ensure_ascii=True, indent=2)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # a temporary file is private; a result is as open as any file
        temporary.replace(path)
    except OSError as error:
        shell.out.note(f"Error: --out: cannot write {str(path)!r}: {error.strerror}; the result is in the journal")
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()
        return 1
    return 0
