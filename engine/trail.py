"""The conversations of a run's subagents, on their way to the journal and back (I9: masked before anything else).

A backend adds one turn after another, and waits where something acts on what was said: what a model asked for is on
disk before a tool does it, so that an interrupted subagent goes on from its last complete turn and is told what may be
half done. The rest is on its way to the disk while the model thinks.
Nothing of a conversation is kept in memory here: a later attempt reads it from the journal, where all of it is.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence

import orjson

from engine.executors import Job
from engine.jsontext import kept, widened
from engine.ports import Clock, Writer
from engine.telling import Masks
from engine.values import NO_USAGE, Json, Trail, TurnRow, Usage


class Trails:
    """Opens the conversation of a call for each of its attempts. One instance serves one version of a run.

    Args:
        recorded: reads the turns of a call from the journal. An attempt is on record before it begins, and with it
            every turn that was added before.
    """

    def __init__(
        self,
        writer: Writer,
        clock: Clock,
        masker: Masks,
        recorded: Callable[[int], Awaitable[Sequence[TurnRow]]],
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._masker = masker
        self._recorded = recorded

    async def open(self, job: Job, attempt: int, *, goes_on: bool = False) -> Trail:
        """The trail of an attempt that begins; what earlier ones said is in it, and `job.session` is what they left.

        Args:
            goes_on: another model takes this attempt over: what was said in it so far is in the trail, too.
        """
        if goes_on:
            await self._writer.flush()
        earlier = await self._recorded(job.call) if attempt > 1 or goes_on else ()
        for turn in earlier:
            if turn.role == "session":
                job.session = orjson.loads(turn.body).get("session")
        return _CallTrail(self, job.call, attempt, tuple(earlier))

    async def write(self, turn: TurnRow, *, wait: bool) -> None:
        if not wait:
            self._writer.add(turn)
            return
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._writer.add(turn, lambda: None if durable.done() else durable.set_result(None))
        await durable

    def masked(self, body: dict[str, Json]) -> dict[str, Json]:
        masked: dict[str, Json] = self._masker.mask_json(body)[0]
        return masked

    def now_ms(self) -> int:
        return self._clock.now_ms()


class _CallTrail:
    """See `engine.values.Trail`."""

    def __init__(self, trails: Trails, call: int, attempt: int, earlier: Sequence[TurnRow]) -> None:
        self.earlier = earlier
        self._trails = trails
        self._call = call
        self._attempt = attempt
        self._seq = len(earlier)

    async def add(self, role: str, body: dict[str, Json], *, wait: bool = True) -> dict[str, Json]:
        masked = self._trails.masked(body)
        try:
            text = kept(masked)
        except TypeError:  # half of a surrogate pair, or an integer over 64 bits
            text = widened(masked)
            masked = json.loads(text)
        self._seq += 1
        turn = TurnRow(self._call, self._attempt, self._seq, role, self._trails.now_ms(), text)
        await self._trails.write(turn, wait=wait)
        return masked


def paid_in(turns: Sequence[TurnRow]) -> Usage:
    """What the models' answers in a conversation cost, by what is on record of each."""
    bodies = (orjson.loads(turn.body) for turn in turns if turn.role == "assistant")
    return sum((Usage(**body["usage"]) for body in bodies if body.get("usage")), NO_USAGE)
