"""A project whose agents and judges are one scripted service; who is asked is told by what is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.agents_service import ModelService
from support.pawl import Done, Pawl
from support.scripted_model import Asked, Call, Reply

from engine import conversations, history
from engine.journal.sqlite import SqliteJournal

HEAD = "export const meta = { name: 'test', description: 'a test' }\n"
PRICES = '[prices."fake-1"]\ninput = 1000.0\noutput = 10000.0\n[prices."judge-1"]\ninput = 1000.0\noutput = 10000.0\n'


def is_judge(asked: Asked) -> bool:
    return "You are an independent judge." in asked.text


def is_chooser(asked: Asked) -> bool:
    return "You choose an agent's next step." in asked.text


def verdict(
    met: str,
    *criteria: tuple[str, bool, str],
    reason: str = "Because of what is shown.",
    usage: tuple[int, int] = (7, 11),
) -> Reply:
    """A judge's answer: each criterion with whether it is met and the quote."""
    rows = [{"criterion": name, "met": is_met, "evidence": quote} for name, is_met, quote in criteria]
    return Reply(Call("submit_answer", {"criteria": rows, "verdict": met, "reason": reason}), usage=usage)


def choice(number: int, reason: str = "It looks first.") -> Reply:
    return Reply(Call("submit_answer", {"reason": reason, "choice": number}))


class Judged:
    """`worker`, `judge` and `chooser` answer what they are asked; `run` runs a script's body."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.worker: Callable[[Asked], Any] = lambda _: "Done."
        self.judge: Callable[[Asked], Any] = lambda _: verdict("met", ("all", True, "Done."))
        self.chooser: Callable[[Asked], Any] = lambda _: choice(1)
        self.service = ModelService(self._answer)

    def _answer(self, asked: Asked) -> Any:
        return (
            self.judge(asked) if is_judge(asked) else self.chooser(asked) if is_chooser(asked) else self.worker(asked)
        )

    def prepare(self) -> None:
        self.pawl = Pawl(self.folder, self.service.environ())

    def asked(self, who: Callable[[Asked], bool]) -> list[Asked]:
        return [asked for asked in self.service.requests if who(asked)]

    def asked_worker(self) -> list[Asked]:
        return self.asked(lambda asked: not is_judge(asked) and not is_chooser(asked))

    def config(self, text: str) -> None:
        (self.folder / ".pawl" / "config.toml").write_text(text)

    def run(self, body: str, *flags: str, backend: str = "openai:fake-1") -> Done:
        script = self.pawl.script(body, head="" if "export const meta" in body else HEAD)
        return self.pawl("run", script, "--json", "--quiet", "--run-id", "r", "--backend", backend, *flags)

    def result(self, body: str, *flags: str, **given: Any) -> Any:
        done = self.run(body, *flags, **given)
        assert done.code == 0, done
        return done.json["result"]

    def call(self, number: int = 1) -> dict[str, Any]:
        """What `pawl show r --call N --transcript --json` tells, without a process for it."""

        async def look() -> dict[str, Any]:
            async with SqliteJournal(self.folder / ".pawl" / "pawl.db") as journal:
                reading = await history.read(journal, "r")
                turns = await conversations.turns_of(journal, reading, number)
                return {**history.find_call(reading, number).details(), "transcript": conversations.transcript(turns)}

        return asyncio.run(look())

    def turns(self, *roles: str, call: int = 1) -> list[dict[str, Any]]:
        return [turn for turn in self.call(call)["transcript"] if not roles or turn["role"] in roles]
