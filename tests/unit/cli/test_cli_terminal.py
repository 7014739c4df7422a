"""Signals and questions: what a person at a terminal does to a run. Terminals are real pseudo-terminals."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from engine.cli import asking
from engine.cli.asking import Prompter, meant, read_line
from engine.cli.board import Board
from engine.cli.stopping import Stopper
from engine.cli.streams import Output
from engine.cli.views import PlainView
from engine.errors import UsageError


class Run:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.changed = asyncio.Event()

    def interrupt(self) -> None:
        self.calls.append("interrupt")
        self.changed.set()

    def kill(self) -> None:
        self.calls.append("kill")
        self.changed.set()


class TestStopper:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    async def test_the_first_signal_interrupts_the_second_kills(self, number: signal.Signals) -> None:
        run = Run()
        with Stopper() as stopper:
            stopper.attach(run)
            os.kill(os.getpid(), number)
            await asyncio.wait_for(run.changed.wait(), 5)
            assert (run.calls, stopper.name) == (["interrupt"], number.name)
            run.changed.clear()
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.wait_for(run.changed.wait(), 5)
        assert run.calls == ["interrupt", "kill"]

    async def test_a_signal_before_the_start_is_kept(self) -> None:
        run = Run()
        with Stopper() as stopper:
            os.kill(os.getpid(), signal.SIGTERM)
            while not stopper.count:  # noqa: ASYNC110 - the signal handler sets no event
                await asyncio.sleep(0)
            stopper.attach(run)
        assert run.calls == ["interrupt"]

    async def test_afterwards_signals_are_python_s_again(self) -> None:
        with Stopper():
            pass
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


class TestReadLine:
    async def test_a_line(self, terminal: tuple[int, int]) -> None:
        os.write(terminal[0], "héllo\n".encode())
        assert await asyncio.wait_for(read_line(terminal[1]), 5) == "héllo"

    async def test_the_end_of_input(self, terminal: tuple[int, int]) -> None:
        os.write(terminal[0], b"\x04")
        assert await asyncio.wait_for(read_line(terminal[1]), 5) is None

    async def test_giving_up_leaves_nothing_behind(self, terminal: tuple[int, int]) -> None:
        reading = asyncio.ensure_future(read_line(terminal[1]))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert asyncio.get_running_loop().remove_reader(terminal[1]) is False


@pytest.mark.parametrize(
    ("typed", "question", "value"),
    [
        ("yes", {}, "yes"),
        ("42", {}, "42"),
        ("", {"default": "no"}, "no"),
        ("", {}, ""),
        ("2", {"choices": ["a", "b"]}, "b"),
        ("b", {"choices": ["a", "b"]}, "b"),
        ("3", {"choices": ["a", "b"]}, "3"),
        ("2", {"choices": ["2", "1"]}, "2"),
        ("1.5", {"choices": [1.5, 2]}, 1.5),
        ('{"a": 1}', {"schema": {"type": "object"}}, {"a": 1}),
        ("not json", {"schema": {"type": "object"}}, "not json"),
    ],
)
def test_S61_what_is_typed_is_what_is_meant(typed: str, question: dict[str, Any], value: Any) -> None:
    assert meant(typed, question) == value


class Asked:
    """A view with questions, and typed lines that come one by one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, questions: dict[int, dict[str, Any]]) -> None:
        self.view = PlainView(Output(is_quiet=True))
        self.view.board = Board(questions=questions)
        self.typed: asyncio.Queue[str | None] = asyncio.Queue()
        self.answers: list[tuple[int, Any]] = []
        self.is_done = asyncio.Event()
        monkeypatch.setattr(asking, "prompt", self._prompt)
        self.prompter = Prompter(self.view, Output(), self._answer)

    async def _prompt(self, _text: str) -> str | None:
        return await self.typed.get()

    async def _answer(self, call: int, value: Any) -> str:
        if value == "wrong":
            raise UsageError("not one of the choices")
        self.answers.append((call, value))
        self.view.board.questions.pop(call, None)
        self.is_done.set()
        return "answered"


class TestPrompter:
    async def test_S61_a_question_is_asked_until_the_answer_fits(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        asked = Asked(monkeypatch, {3: {"question": "which?\x07", "choices": ["a", "b"], "default": "a"}})
        asked.prompter.look()
        for line in ("wrong", "2"):
            asked.typed.put_nowait(line)
        await asyncio.wait_for(asked.is_done.wait(), 5)
        await asked.prompter.close()
        assert asked.answers == [(3, "b")]
        assert capsys.readouterr().err == (
            "\n[3] which?\\x07\n  1) a\n  2) b\n  (Enter: a)\nnot one of the choices\nanswered\n"
        )

    async def test_a_question_answered_elsewhere_is_dropped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = Asked(monkeypatch, {3: {"question": "which?"}})
        asked.prompter.look()
        while asked.prompter._asking is None:  # noqa: ASYNC110
            await asyncio.sleep(0)
        asked.view.board.questions.clear()
        asked.prompter.look()
        while asked.prompter.is_asking:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert asked.answers == []

    async def test_the_end_of_input_leaves_the_question_open(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        asked = Asked(monkeypatch, {3: {"question": "which?"}})
        asked.prompter.look()
        asked.typed.put_nowait(None)
        while asked.prompter.is_asking:  # noqa: ASYNC110
            await asyncio.sleep(0)
        asked.prompter.look()
        assert not asked.prompter.is_asking
        assert capsys.readouterr().err.endswith("Not answered. Later: pawl answer RUN 3 VALUE\n")
