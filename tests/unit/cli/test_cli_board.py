"""The state of a run folded from events, and what the two views make of it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from engine.cli import live, wording
from engine.cli.board import KEPT_PER_PHASE, KEPT_REASONS, Board
from engine.cli.live import LiveView
from engine.cli.streams import Output
from engine.cli.views import PlainView, plain_line
from engine.events import (
    CallProgressed,
    CallRequested,
    CallSettled,
    CallStarted,
    Event,
    Logged,
    PhaseStarted,
    RunEnded,
    RunStarted,
    RunStatusChanged,
)
from engine.values import Usage

T0 = 1_700_000_000_000


def started(**given: Any) -> RunStarted:
    fields: dict[str, Any] = {
        "run_id": "r1",
        "version": 1,
        "name": "tour",
        "description": "d",
        "phases": ("Find", "Fix"),
        "backend": "sample",
        "caps": {"agents": 1000, "concurrency": 16},
        "reusable": 0,
        "at": T0,
    }
    return RunStarted(**{**fields, **given})


def asked(call: int, phase: str | None = "Find", kind: str = "agent", label: str | None = None) -> CallRequested:
    return CallRequested(call, kind, label or f"find {call}", phase, "p0", T0)


def ended(call: int, outcome: str = "ok", **given: Any) -> CallSettled:
    fields: dict[str, Any] = {"input_tokens": 10, "output_tokens": 5, "cost_usd": 0.01, "duration_ms": 1500}
    return CallSettled(call, outcome, T0 + 1500, **{**fields, **given})


def board(*events: Event) -> Board:
    made = Board()
    for event in events:
        made.fold(event)
    return made


class TestBoard:
    def test_calls_move_from_open_to_counted(self) -> None:
        found = board(started(), asked(1), asked(2), CallStarted(1, 1, "sample", None, T0 + 5), ended(1))
        phase = found.phases["Find"]
        assert (phase.total, phase.finished, list(phase.open)) == (2, 1, [2])
        assert found.usage == Usage(10, 5, 0.01)
        assert list(found.lines) == [2]

    def test_what_is_reused_is_not_paid(self) -> None:
        found = board(started(), asked(1), ended(1, reused=True))
        assert (found.usage, found.reused, found.phases["Find"].reused) == (Usage(), 1, 1)

    def test_I7_bad_ends_are_kept_with_their_reasons_but_skips_are_not_bad(self) -> None:
        found = board(
            started(),
            asked(1),
            asked(2),
            asked(3, kind="check"),
            ended(1, "null", reason="timeout: 30 minutes"),
            ended(2, "null", reason="skipped"),
            ended(3, "failed"),
            Logged("slot 2: boom", T0, "warning", "swallowed_error"),
            Logged("unknown option", T0, "warning", "unknown_option"),
        )
        assert found.reasons == ["call 1 (find 1) null: timeout: 30 minutes", "slot 2: boom"]
        assert found.bad == 2

    def test_memory_does_not_grow_with_finished_calls(self) -> None:
        found = board(started())
        for call in range(1, 1001):
            found.fold(asked(call))
            found.fold(ended(call, "failed", reason="no"))
        phase = found.phases["Find"]
        assert (len(phase.done), len(phase.open), len(found.lines)) == (KEPT_PER_PHASE, 0, 0)
        assert (len(found.reasons), found.bad) == (KEPT_REASONS, 1000)

    def test_questions_wait_until_they_are_settled(self) -> None:
        question = CallProgressed(1, T0, question={"question": "which?"})
        found = board(started(), asked(1, kind="ask"), question)
        assert found.questions == {1: {"question": "which?"}}
        assert found.lines[1].state == "waiting"
        found.fold(ended(1))
        assert found.questions == {}

    def test_timers_are_not_drawn(self) -> None:
        assert board(started(), asked(1, kind="timer"), ended(1)).phases["Find"].total == 0

    def test_events_of_unknown_calls_are_harmless(self) -> None:
        found = board(CallStarted(9, 1, "sample", None, T0), CallProgressed(9, T0, tokens=1), ended(9))
        assert found.lines == {}


class TestPlain:
    def test_lines_say_what_happened(self) -> None:
        view, lines = Board(), []
        for event in (
            started(backend="local", reusable=3),
            PhaseStarted("Find", T0),
            asked(1, label="one\x1b[0m"),
            CallStarted(1, 2, "sample", None, T0),
            Logged("hello\x07", T0),
            Logged("careful", T0, "warning"),
            ended(1, "null", reason="timeout: late"),
            asked(2),
            ended(2, reused=True),
            CallProgressed(3, T0, question={"question": "which?"}),
            RunStatusChanged("waiting", T0, "for a person"),
            RunEnded("completed", {}, T0),
        ):
            line = plain_line(event, view)
            view.fold(event)
            if line is not None:
                lines.append(line)
        assert lines == [
            "tour · r1@1 · local · at most 1,000 agents, 16 at once, no budget · 3 records to reuse\n"
            "The embedded model is a very small one: expect small answers, not good ones.",
            "== Find",
            "  [1] start one\\x1b[0m (attempt 2)",
            "hello\\x07",
            "warning: careful",
            "  [1] null one\\x1b[0m · 1.5 s · 5 tokens · $0.0100 · timeout: late",
            "  [3] asks: which?",
            "-- waiting: for a person",
        ]

    def test_quiet_folds_and_says_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        view = PlainView(Output(is_quiet=True))
        view.show(started())
        assert view.board.started is not None
        assert capsys.readouterr() == ("", "")


def frame(view: LiveView, width: int = 60, height: int = 12) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    return view._tree(console).plain.split("\n")


class TestLive:
    @pytest.fixture(autouse=True)
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(live.time, "time", lambda: T0 / 1000 + 65)

    def view(self, *events: Event) -> LiveView:
        made = LiveView()
        made._glyphs = live.Glyphs()
        for event in events:
            made.board.fold(event)
        return made

    def test_the_tree_shows_phases_and_their_agents(self) -> None:
        view = self.view(
            started(),
            *(asked(n) for n in (1, 2, 3)),
            asked(4, "Fix", label="fix it"),
            ended(1),
            ended(2, reused=True),
            CallStarted(3, 2, "sample", None, T0 + 60_000),
            CallProgressed(3, T0, tokens=1200),
        )
        assert frame(view, width=80) == [
            "▸ Find  2/3 · 1 running · 1 reused",
            "    ✓ [1] find 1 · 1.5 s · 5 tokens · $0.0100",
            "    ↺ [2] find 2 · 5 tokens · reused",
            "    ● [3] find 3 · 5.0 s · 1.2k tokens · attempt 2",
            "▸ Fix  0/1 · 1 queued",
            "    ○ [4] fix it",
            "running · 1 min 5 s · 10 tokens in, 5 out, $0.0100 · 1 reused",
        ]

    def test_a_thousand_agents_fit_the_screen(self) -> None:
        view = self.view(started(), *(asked(n) for n in range(1, 1001)))
        for call in range(1, 17):
            view.board.fold(CallStarted(call, 1, "sample", None, T0))
        lines = frame(view, height=24)
        assert len(lines) == 24 - live.RESERVED_ROWS + 1
        assert lines[0] == "▸ Find  0/1000 · 16 running · 984 queued"
        assert lines[-2] == "    … 981 more"

    @pytest.mark.parametrize("height", [1, 2, 3, 5, 8, 40])
    @pytest.mark.parametrize("width", [5, 20, 200])
    def test_no_frame_is_higher_or_wider_than_the_terminal(self, width: int, height: int) -> None:
        phases = [f"P{n}" for n in range(10)]
        view = self.view(started(phases=tuple(phases)), *(asked(n, phases[n % 10]) for n in range(1, 200)))
        lines = frame(view, width, height)
        assert len(lines) <= max(3, height)
        assert max(map(len, lines)) <= width

    def test_the_latest_phases_get_the_rows(self) -> None:
        assert live._shares([5, 5, 5], 7) == [0, 2, 5]
        assert live._shares([1, 1], 10) == [1, 1]
        assert live._shares([3], -2) == [0]

    def test_a_terminal_without_unicode_gets_ascii(self) -> None:
        view = self.view(started(), asked(1), ended(1))
        view._glyphs = live.ASCII
        assert frame(view)[:2] == ["> Find  1/1", "    + [1] find 1, 1.5 s, 5 tokens, $0.0100"]

    async def test_it_draws_narration_above_and_leaves_the_last_state(self, monkeypatch: pytest.MonkeyPatch) -> None:
        drawn = io.StringIO()
        view = LiveView()
        view._console = Console(file=drawn, width=80, height=20, force_terminal=True, color_system=None)
        view.show(started())
        view.show(Logged("[red]hello[/red]", T0))
        view.show(asked(1))
        view.show(ended(1))
        view.show(RunEnded("completed", {}, T0))
        view.close()
        text = drawn.getvalue()
        assert "[red]hello[/red]" in text
        assert text.index("hello") < text.rindex("find 1")
        assert "completed" in text
        assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is not shown again"

    async def test_a_terminal_that_is_gone_does_not_fail_the_run(self) -> None:
        class Gone(io.StringIO):
            def write(self, text: str) -> int:
                raise OSError(5, "Input/output error")

        view = LiveView()
        view._console = Console(file=Gone(), width=80, height=20, force_terminal=True, color_system=None)
        view.show(started())
        view.close()


class TestWording:
    @pytest.mark.parametrize(
        ("seconds", "text"), [(0, "0.0 s"), (9.96, "10.0 s"), (12.9, "12 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")]
    )
    def test_durations(self, seconds: float, text: str) -> None:
        assert wording.duration(seconds) == text

    @pytest.mark.parametrize(
        ("usd", "text"), [(0, "$0"), (1.5, "$1.50"), (0.0123, "$0.0123"), (0.00001234, "$1.2e-05"), (1234, "$1234.00")]
    )
    def test_money_never_rounds_to_nothing(self, usd: float, text: str) -> None:
        assert wording.money(usd) == text

    @pytest.mark.parametrize(("number", "text"), [(0, "0"), (999, "999"), (12_345, "12.3k"), (999_999, "1.0M")])
    def test_short_numbers(self, number: int, text: str) -> None:
        assert wording.short(number) == text

    def test_caps_say_what_is_not_limited(self) -> None:
        assert wording.caps({"agents": None, "concurrency": 4}) == "any number of agents, 4 at once, no budget"
        assert wording.caps({"agents": 1, "tokens": 50_000, "cost_usd": 2.5, "minutes": 30}) == (
            "at most 1 agent, 50,000 output tokens, $2.50, 30 minutes"
        )

    def test_sizes(self) -> None:
        assert [wording.size(n) for n in (0, 1023, 1536, 5 << 30)] == ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]
