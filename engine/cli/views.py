"""What a person sees while a run lives: plain lines here, the live tree in `live`. All of it on standard error.

A view folds events into a `Board` and draws; it must never fail the run it shows.
"""

from __future__ import annotations

from typing import Protocol

from engine.cli import wording
from engine.cli.board import Board
from engine.cli.streams import Output, one_line, printable
from engine.events import (
    CallProgressed,
    CallSettled,
    CallStarted,
    Event,
    Logged,
    PhaseStarted,
    RunStarted,
    RunStatusChanged,
)
from engine.values import CallKind

SMALL_MODEL = "The embedded model is a very small one: expect small answers, not good ones."


class View(Protocol):
    board: Board

    def show(self, event: Event) -> None:
        """Folds `event` and draws it, soon."""
        ...

    def pause(self) -> None:
        """Gives the terminal to a prompt."""
        ...

    def go_on(self) -> None: ...

    def close(self) -> None:
        """Draws the last state and leaves the terminal as it was."""
        ...


class PlainView:
    """One line an event, as a log file or a pipe wants it. `--quiet` draws nothing and still folds."""

    def __init__(self, out: Output) -> None:
        self.board = Board()
        self._out = out

    def show(self, event: Event) -> None:
        line = None if self._out.is_quiet else plain_line(event, self.board)
        self.board.fold(event)
        if line is not None:
            self._out.say(line)

    def pause(self) -> None:
        """Nothing is drawn between two events."""

    def go_on(self) -> None:
        """Nothing to redraw."""

    def close(self) -> None:
        """Nothing is open."""


def plain_line(event: Event, board: Board) -> str | None:
    """`event` as one line, or None where it says nothing new. `board` is the state before it."""
    match event:
        case RunStarted():
            return started_line(event)
        case PhaseStarted():
            return f"== {one_line(event.title)}"
        case Logged():
            return ("warning: " if event.level == "warning" else "") + printable(event.text)
        case RunStatusChanged():
            return f"-- {event.status}" + (f": {one_line(event.detail)}" if event.detail else "")
        case CallStarted():
            line = board.lines.get(event.call)
            if line is None or line.kind != CallKind.AGENT:
                return None
            again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
            return f"  [{event.call}] start {one_line(line.label, 80)}{again}"
        case CallProgressed(question=question) if question is not None:
            return f"  [{event.call}] asks: {one_line(str(question.get('question', '')))}"
        case CallSettled():
            line = board.lines.get(event.call)
            if line is None or event.reused:
                return None
            return f"  [{event.call}] {event.outcome} {one_line(line.label, 80)}{_after(event)}"
        case _:
            return None


def _after(event: CallSettled) -> str:
    parts = [wording.duration(event.duration_ms / 1000)]
    if event.output_tokens:
        parts.append(f"{event.output_tokens:,} tokens")
    if event.cost_usd:
        parts.append(wording.money(event.cost_usd))
    if event.reason:
        parts.append(one_line(event.reason, 200))
    return " · ".join(["", *parts])


def started_line(event: RunStarted) -> str:
    """The run, its backend and its caps: shown before anything is spent (S46)."""
    name = f"{event.run_id}@{event.version}"
    line = f"{one_line(event.name)} · {name} · {event.backend or 'no backend'} · {wording.caps(event.caps)}"
    if event.reusable:
        line += f" · {wording.count(event.reusable, 'record')} to reuse"
    return f"{line}\n{SMALL_MODEL}" if event.backend.partition(":")[0] == "local" else line
