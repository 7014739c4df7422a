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
from typing import TypeAlias

import orjson

from engine.executors import Job
from engine.jsontext import kept, widened
from engine.ports import Clock, Writer
from engine.telling import Masks
from engine.values import NO_USAGE, Json, Trail, TurnRow, Usage

Recorded: TypeAlias = Callable[[int], Awaitable[Sequence[TurnRow]]]
"""Reads the turns of a call from the journal."""


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
        recorded: Recorded,
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
        own = list(await self._recorded(job.call)) if attempt > 1 or goes_on else []
        if not own and job.goes_on_from is not None:
            own.append(await self._continued(job.call, attempt, job.goes_on_from))
        earlier = await whole(own, self._recorded)
        for turn in earlier:
            if turn.role == "session":
                job.session = orjson.loads(turn.body).get("session")
        return _CallTrail(self, job.call, attempt, earlier, last=len(own))

    async def _continued(self, call: int, attempt: int, from_call: int) -> TurnRow:
        turn = TurnRow(call, attempt, 1, "continued", self.now_ms(), kept({"call": from_call}))
        await self.write(turn, wait=False)
        return turn

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

    def __init__(self, trails: Trails, call: int, attempt: int, earlier: Sequence[TurnRow], *, last: int) -> None:
        self.earlier = earlier
        self._trails = trails
        self._call = call
        self._attempt = attempt
        self._seq = last

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


async def whole(turns: Sequence[TurnRow], recorded: Recorded) -> tuple[TurnRow, ...]:
    """A conversation from the call where it began, when that was another: an agent that was stopped short goes on."""
    parts = [turns]
    while parts[0] and parts[0][0].role == "continued":
        parts[0:1] = [await recorded(orjson.loads(parts[0][0].body)["call"]), parts[0][1:]]
    return tuple(turn for part in parts for turn in part)


def paid_in(turns: Sequence[TurnRow]) -> Usage:
    """What the models' answers in a conversation cost, by what is on record of each; the judges' and those that were
    not chosen, too."""
    bodies = (orjson.loads(turn.body) for turn in turns if turn.role in ("assistant", "candidates", "judge"))
    return sum((Usage(**body["usage"]) for body in bodies if body.get("usage")), NO_USAGE)
