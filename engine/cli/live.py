"""The live tree: phases, their agents, narrator lines above. rich enters here and nowhere else.

Frames are drawn at most ten times a second, never higher than the terminal, and only when something changed or a clock
that is shown has moved. rich is imported on the first frame: by then the first agent is already at work.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.cli import wording
from engine.cli.board import Board, Line, Phase
from engine.cli.streams import is_utf8, one_line, printable
from engine.cli.views import started_line
from engine.events import Event, Logged, RunStarted
from engine.values import CallKind, Outcome

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

FRAME_S = 0.1
"""Ten frames a second at most."""
RESERVED_ROWS = 3
"""Rows of the terminal that a frame leaves free: the footer, and the line that the cursor stands on."""


@dataclass(frozen=True, slots=True)
class Glyphs:
    """Marks of states; the second set is for terminals whose encoding is not Unicode."""

    ok: str = "✓"
    null: str = "∅"
    bad: str = "✗"
    running: str = "●"
    queued: str = "○"
    waiting: str = "?"
    reused: str = "↺"
    phase: str = "▸"
    dot: str = " · "
    more: str = "…"


ASCII = Glyphs("+", "0", "x", "*", "-", "?", "=", ">", ", ", "...")

STYLES = {
    Outcome.OK: "green",
    Outcome.NULL: "yellow",
    Outcome.FAILED: "red",
    Outcome.REFUSED: "red",
    Outcome.CANCELLED: "dim",
    "running": "cyan",
    "waiting": "magenta",
    "queued": "dim",
}


class LiveView:
    """Draws on standard error, which is a terminal."""

    def __init__(self) -> None:
        self.board = Board()
        self._glyphs = Glyphs() if is_utf8(sys.stderr) else ASCII
        self._console: Console | None = None
        self._live: Live | None = None
        self._above: list[tuple[str, str]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._is_paused = False

    def show(self, event: Event) -> None:
        self.board.fold(event)
        if isinstance(event, RunStarted):
            self._above.append((started_line(event), "bold"))
        elif isinstance(event, Logged):
            mark = "warning: " if event.level == "warning" else ""
            self._above.append((mark + printable(event.text), "yellow" if mark else ""))
        if self._timer is None and not self._is_paused:
            self._timer = asyncio.get_running_loop().call_later(FRAME_S, self._frame)

    def pause(self) -> None:
        self._is_paused = True
        self._stop()

    def go_on(self) -> None:
        self._is_paused = False
        self._schedule()

    def close(self) -> None:
        if self._console is None and not self._above:
            return
        self._is_paused = False
        self._draw()
        self._is_paused = True
        self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._live is not None:
            live, self._live = self._live, None
            with contextlib.suppress(OSError):
                live.stop()

    def _schedule(self) -> None:
        """The next frame: at once when something is running (its clock moves), else when an event arrives."""
        if self._timer is None and self.board.ended is None and not self._is_paused:
            self._timer = asyncio.get_running_loop().call_later(FRAME_S * 5, self._frame)

    def _frame(self) -> None:
        self._timer = None
        if "rich.live" not in sys.modules:  # 0.1 s of imports: in a thread, or the run would stand still for it
            loading = asyncio.get_running_loop().run_in_executor(None, importlib.import_module, "rich.live")
            loading.add_done_callback(lambda _: self._frame())
            return
        if not self._is_paused:
            self._draw()
            self._schedule()

    def _draw(self) -> None:
        """Draws once. A terminal that is gone is no reason to end a run."""
        try:
            live = self._open()
            above, self._above = self._above, []
            for text, style in above:
                live.console.print(_text(text, style), soft_wrap=True)
            live.update(self._tree(live.console), refresh=True)
        except OSError:
            self._is_paused = True

    def _open(self) -> Live:
        if self._live is not None:
            return self._live
        from rich.console import Console
        from rich.live import Live

        self._console = self._console or Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._live.start()
        return self._live

    def _tree(self, console: Console) -> Text:
        from rich.text import Text

        width, rows = console.size.width, max(2, console.size.height - RESERVED_ROWS)
        drawn: list[tuple[str, str]] = []
        phases = [phase for phase in self.board.phases.values() if phase.total]
        # Phases that still work come first in the share-out of rows, all keep their place in the tree.
        shares = _shares([_wanted(phase) for phase in phases], rows - len(phases))
        for phase, share in zip(phases, shares, strict=True):
            drawn.append((self._head(phase), "bold"))
            drawn += self._body(phase, share)
        hidden = len(drawn) - rows
        if hidden > 0:
            drawn = drawn[hidden:]
        drawn.append((self._foot(), "dim"))
        text = Text(no_wrap=True, overflow="ellipsis")
        for number, (line, style) in enumerate(drawn):
            text.append(("\n" if number else "") + one_line_keeping_indent(line, width - 1), style or None)
        return text

    def _head(self, phase: Phase) -> str:
        g = self._glyphs
        parts = [f"{phase.finished}/{phase.total}"]
        running = sum(line.state == "running" for line in phase.open.values())
        queued = len(phase.open) - running
        parts += [f"{running} running"] * bool(running) + [f"{queued} queued"] * bool(queued)
        parts += [f"{phase.reused} reused"] * bool(phase.reused)
        for outcome in (Outcome.NULL, Outcome.FAILED, Outcome.REFUSED, Outcome.CANCELLED):
            if phase.outcomes[outcome]:
                parts.append(f"{phase.outcomes[outcome]} {outcome}")
        return f"{g.phase} {one_line(phase.title or 'agents')}  {g.dot.join(parts)}"

    def _body(self, phase: Phase, rows: int) -> list[tuple[str, str]]:
        """The calls of a phase in at most `rows` lines: what works first, then what waits, then what ended last."""
        if rows <= 0:
            return []
        active = [line for line in phase.open.values() if line.state != "queued"]
        queued = [line for line in phase.open.values() if line.state == "queued"]
        lines = active + queued[: max(0, rows - len(active))]
        if len(lines) < rows:
            lines = [*list(phase.done)[-(rows - len(lines)) :], *lines]
        total, room = phase.total, rows
        if total > room:
            lines, more = lines[: room - 1], total - (room - 1)
            return [self._line(line) for line in lines] + [(f"    {self._glyphs.more} {more:,} more", "dim")]
        return [self._line(line) for line in lines]

    def _line(self, line: Line) -> tuple[str, str]:
        g = self._glyphs
        marks = {Outcome.OK: g.ok, Outcome.NULL: g.null, "running": g.running, "queued": g.queued, "waiting": g.waiting}
        mark = g.reused if line.is_reused else marks.get(line.state, g.bad)
        parts = [one_line(line.label, 60)]
        if line.kind != CallKind.AGENT:
            parts.append(line.kind)
        if line.state == "running" and line.started_at is not None:
            parts.append(wording.duration(max(0.0, time.time() - line.started_at / 1000)))
        elif line.duration_ms and not line.is_reused:
            parts.append(wording.duration(line.duration_ms / 1000))
        parts += [f"{wording.short(line.tokens)} tokens"] * bool(line.tokens)
        parts += [wording.money(line.cost_usd)] * bool(line.cost_usd and not line.is_reused)
        parts += [f"attempt {line.attempt}"] * (line.attempt > 1 and line.state == "running")
        parts += ["reused"] * line.is_reused
        parts += [one_line(line.detail, 80)] * bool(line.detail)
        return f"    {mark} [{line.call}] {g.dot.join(parts)}", STYLES.get(line.state, "")

    def _foot(self) -> str:
        board = self.board
        began = board.started.at / 1000 if board.started else time.time()
        parts = [board.status, wording.duration(max(0.0, time.time() - began))]
        parts += [wording.used(board.usage)] * bool(wording.used(board.usage))
        parts += [f"{board.reused:,} reused"] * bool(board.reused)
        return self._glyphs.dot.join(parts)


def one_line_keeping_indent(line: str, width: int) -> str:
    """`line` cut to `width`; unlike `one_line` it keeps leading blanks."""
    return line if len(line) <= width else line[: max(1, width - 1)] + "…"


def _wanted(phase: Phase) -> int:
    return min(phase.total, len(phase.open) + len(phase.done))


def _shares(wanted: list[int], rows: int) -> list[int]:
    """How many of `rows` each phase gets: what it wants, the latest phases first, never more than is left."""
    shares = [0] * len(wanted)
    for index in reversed(range(len(wanted))):
        shares[index] = max(0, min(wanted[index], rows))
        rows -= shares[index]
    return shares


def _text(line: str, style: str) -> Any:
    from rich.text import Text

    return Text(line, style=style)
