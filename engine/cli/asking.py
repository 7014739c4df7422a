"""Questions at the terminal: `ask()` of a running script (S61), and what a person confirms before a run starts.

A line is read by waiting for the descriptor, not in a thread: a question that somebody answers from another process, or
a run that ends, must not leave a thread behind that holds the terminal.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping

from engine.cli.streams import Output, printable
from engine.cli.views import View
from engine.errors import PawlError
from engine.values import Json

Answer = Callable[[int, Json], Awaitable[str]]
"""Sends an answer for a call and returns what became of it; raises `PawlError` when the value does not fit."""


async def read_line(fd: int) -> str | None:
    """The next line typed at `fd`; None at its end (Ctrl-D). Cancellable."""
    loop = asyncio.get_running_loop()
    data = b""
    while not data.endswith(b"\n"):
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(fd, _wake, ready)
        try:
            await ready
        finally:
            loop.remove_reader(fd)
        try:
            piece = os.read(fd, 4096)
        except OSError:  # the terminal is gone
            piece = b""
        if not piece:
            return None
        data += piece
    return data.decode(errors="replace").rstrip("\r\n")


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


class Prompter:
    """Asks one question after another while the view is paused. Questions that vanish are forgotten."""

    def __init__(self, view: View, out: Output, answer: Answer) -> None:
        self._view = view
        self._out = out
        self._answer = answer
        self._task: asyncio.Task[None] | None = None
        self._asking: int | None = None
        self._given_up: set[int] = set()

    def look(self) -> None:
        """Starts asking when there is a question, stops when it has been answered elsewhere. Call after each event."""
        questions = self._view.board.questions
        self._given_up.intersection_update(questions)  # a subagent asks for one permission after another
        if self._task is not None and self._asking is not None and self._asking not in questions:
            self._task.cancel()
        if self._task is None and any(call not in self._given_up for call in questions):
            self._task = asyncio.get_running_loop().create_task(self._ask_all())
            self._task.add_done_callback(self._done)

    @property
    def is_asking(self) -> bool:
        return self._task is not None

    async def close(self) -> None:
        if self._task is not None:
            task, self._given_up = self._task, set(self._view.board.questions)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._task = self._asking = None
        self._view.go_on()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._out.note(f"warning: cannot ask here: {error}")
        else:
            self.look()

    async def _ask_all(self) -> None:
        self._view.pause()
        while open_calls := [call for call in self._view.board.questions if call not in self._given_up]:
            self._asking = open_calls[0]
            await self._ask(self._asking, self._view.board.questions[self._asking])

    async def _ask(self, call: int, question: Mapping[str, Json]) -> None:
        self._out.note(f"\n[{call}] " + printable(str(question.get("question", ""))))
        choices = question.get("choices") or []
        for number, choice in enumerate(choices, 1):
            self._out.note(f"  {number}) {printable(shown(choice))}")
        if question.get("default") is not None:
            self._out.note(f"  (Enter: {printable(shown(question['default']))})")
        while True:
            typed = await prompt("> ")
            if typed is None:
                self._given_up.add(call)
                self._out.note(f"Not answered. Later: pawl answer RUN {call} VALUE")
                return
            try:
                outcome = await self._answer(call, meant(typed, question))
            except PawlError as error:
                self._out.note(printable(error.message))
                continue
            self._given_up.add(call)
            self._out.note(printable(outcome))
            return


def shown(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def meant(typed: str, question: Mapping[str, Json]) -> Json:
    """What a typed line answers: a choice by text or number, the default for an empty line, JSON for a schema."""
    choices = question.get("choices") or []
    if not typed and question.get("default") is not None:
        return question["default"]
    if choices:
        by_text = {shown(choice): choice for choice in choices}
        if typed in by_text:
            return by_text[typed]
        if typed.isascii() and typed.isdigit() and 1 <= int(typed) <= len(choices):
            return choices[int(typed) - 1]
        return typed
    if question.get("schema") is not None:
        try:
            return json.loads(typed)
        except ValueError:
            return typed
    return typed


async def prompt(text: str) -> str | None:
    """Shows `text` on standard error and reads a line of standard input."""
    sys.stderr.write(text)
    sys.stderr.flush()
    return await read_line(sys.stdin.fileno())
