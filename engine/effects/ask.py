"""ask(question): waits for a person, who may answer from any process (S61)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from engine.errors import AgentError, UsageError
from engine.executors import Emit, Job
from engine.ports import Clock
from engine.values import Json


class Questions:
    """Open questions of a run. An answer is checked before it is taken; a wrong one leaves the question open."""

    def __init__(self, clock: Clock, validate: Callable[[Json, Json], str | None]) -> None:
        """`validate(value, schema)` gives what is wrong with a value, or None."""
        self._clock = clock
        self._validate = validate
        self._open: dict[int, tuple[dict[str, Json], asyncio.Future[Json]]] = {}

    def open(self) -> dict[int, dict[str, Json]]:
        """The questions that wait, by call."""
        return {call: question for call, (question, _) in self._open.items()}

    def answer(self, call: int, value: Json) -> None:
        """Gives a person's answer.

        Raises:
            UsageError: `no_question`: this call waits for nobody; `bad_answer`: the value does not fit.
        """
        if call not in self._open or self._open[call][1].done():
            raise UsageError(f"Call {call} waits for no answer.", code="no_question")
        question, future = self._open[call]
        self._check(call, question, value)
        future.set_result(value)

    async def run(self, job: Job, emit: Emit) -> Json:
        """The answer; after `timeoutMinutes` the `default`, and without one null with the reason `timeout`.

        Time counts from here, so a resumed run asks anew for the whole of it.
        """
        content = job.content
        future: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._open[job.call] = (content, future)
        minutes = content.get("timeoutMinutes")
        alarm = (
            None
            if minutes is None
            else self._clock.call_later(60 * float(minutes), lambda: _out_of_time(future, content))
        )
        emit({"waiting": "a person", "question": content})
        try:
            return await future
        finally:
            del self._open[job.call]
            if alarm is not None:
                alarm.cancel()

    async def permit(self, call: int, question: str, emit: Emit) -> str:
        """Asks whether a subagent may do something: `yes`, `no` or `always`. One question of a call at a time."""
        content: dict[str, Json] = {"question": question, "choices": ["yes", "no", "always"]}
        future: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._open[call] = (content, future)
        emit({"waiting": "a person", "question": content})
        try:
            return str(await future)
        finally:
            del self._open[call]
            emit({"question": None})

    def _check(self, call: int, question: dict[str, Json], value: Json) -> None:
        choices = question.get("choices")
        if choices is not None and not any(_is_same(value, choice) for choice in choices):
            listed = ", ".join(json.dumps(choice, ensure_ascii=False) for choice in choices)
            raise UsageError(
                f"{json.dumps(value, ensure_ascii=False)} is not an answer to call {call}: expected one of {listed}",
                code="bad_answer",
            )
        schema = question.get("schema")
        if schema is not None and (problem := self._validate(value, schema)) is not None:
            raise UsageError(f"This is not an answer to call {call}: {problem}", code="bad_answer")


def _is_same(one: Json, other: Json) -> bool:
    """Equal as JSON: in Python `True == 1`, in JSON not."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _out_of_time(future: asyncio.Future[Json], content: dict[str, Json]) -> None:
    if future.done():
        return
    if "default" in content:
        future.set_result(content["default"])
    else:
        minutes = content["timeoutMinutes"]
        future.set_exception(AgentError(f"nobody answered within {minutes:g} minutes", code="timeout"))
