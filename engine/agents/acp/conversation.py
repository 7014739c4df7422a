"""Prompts and turns until there is an answer: what was submitted, else the agent's last words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from engine.agents.acp.client import Client
from engine.agents.acp.connection import Agent, finished
from engine.agents.acp.programs import AcpProgram
from engine.agents.acp.submit_tool import SubmitTool
from engine.agents.acp.updates import Updates
from engine.agents.acp.wording import not_permitted, not_submitted
from engine.agents.answer import fitted
from engine.agents.headless.faults import fault, quote
from engine.agents.headless.program import count, table
from engine.errors import AgentError
from engine.executors import Emit
from engine.ports import Clock
from engine.values import AgentRequest, Json, Usage

_CANCEL_S = 1.0
"""How long an agent may take to stop by itself; it is killed then."""
_MOST_REFUSALS = 5
"""Times that an agent stops because it was refused something, and is told to go on without."""

_REASONS = {
    "refusal": ("the model refused", "provider_refusal"),
    "max_tokens": ("the answer was cut off at the most tokens that the model may write", "provider_cut_off"),
    "max_turn_requests": ("it was stopped after the most requests that it may make", "too_many_turns"),
    "cancelled": ("it stopped by itself in the middle of its task", "program_failed"),
}
"""Why a turn ended that did not end by itself."""


class Conversation:
    """An open session, and what it has paid.

    Attributes:
        is_paid_told: the agent has told what it used.
    """

    def __init__(
        self,
        program: AcpProgram,
        agent: Agent,
        session: str,
        client: Client,
        updates: Updates,
        *,
        submit: SubmitTool | None,
        clock: Clock,
        price: Callable[[Usage], float | None],
    ) -> None:
        self.is_paid_told = False
        self._program = program
        self._agent = agent
        self._session = session
        self._client = client
        self._updates = updates
        self._submit = submit
        self._clock = clock
        self._price = price
        self._tokens = Usage()

    @property
    def is_priced(self) -> bool:
        """Whether it is known what the tokens cost: by the agent's word, or else by a price."""
        return self._cost_usd() is not None

    def paid(self) -> Usage:
        return replace(self._tokens, cost_usd=self._cost_usd() or 0.0)

    def _cost_usd(self) -> float | None:
        told = self._updates.cost_usd
        return self._price(self._tokens) if told is None else told

    async def answer(self, request: AgentRequest, prompt: str, emit: Emit) -> Json:
        """Raises `AgentError`, with what was paid until then in its fields."""
        try:
            return await self._answer(request, prompt, emit)
        except AgentError as error:
            error.fields["usage"] = self.paid().to_json()
            raise

    async def _answer(self, request: AgentRequest, prompt: str, emit: Emit) -> Json:
        refusals = 0
        is_reminded = False
        while True:
            asked = await request.trail.add("user", {"text": prompt})
            reason, said = await self._turn(str(asked["text"]))
            emit({"usage": self.paid().to_json()})
            denied = self._client.take_denied()
            if self._submit is not None and self._submit.value is not None:
                return self._submit.value
            # Some agents stop when they are refused something: they say so, or they just end their turn.
            is_stopped = reason == "cancelled" or not self._updates.has_spoken
            if denied and is_stopped and refusals < _MOST_REFUSALS:
                refusals += 1
                prompt = not_permitted(denied)
                continue
            if self._updates.failure is not None:
                raise fault(self._program.name, self._updates.failure, login=self._agent.login)
            if reason in _REASONS:
                words, code = _REASONS[reason]
                raise AgentError(f"{self._program.name}: {words}{f': {quote(said)}' if said else ''}", code=code)
            if self._submit is None or is_reminded or await self._fits(request, said):
                return said
            is_reminded = True
            prompt = not_submitted(self._submit.problem)

    async def _fits(self, request: AgentRequest, said: str) -> bool:
        """Whether an agent that cannot call the tool has given the object as its text."""
        if request.schema is None or not said.strip():
            return False
        return (await fitted(request.schema, said))[1] is None

    async def _turn(self, text: str) -> tuple[str, str]:
        """Why the turn ended, and the agent's last words. Cancelled: the agent is told, and given a moment."""
        blocks: list[Json] = [{"type": "text", "text": text}]
        request: dict[str, Json] = {"sessionId": self._session, "prompt": blocks}
        asking = asyncio.ensure_future(self._agent.ask("session/prompt", request))
        failed = asyncio.ensure_future(self._client.failed())
        try:
            await asyncio.wait({asking, failed}, return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                failed.result()
            told = asking.result()
        except asyncio.CancelledError:
            self._client.cancel()
            await self._agent.tell("session/cancel", {"sessionId": self._session})
            await finished(_done(asking), clock=self._clock, limit_s=_CANCEL_S)
            raise
        finally:
            asking.cancel()
            failed.cancel()
            await asyncio.gather(asking, failed, return_exceptions=True)
        self._count(table(told.get("usage")))
        return str(told.get("stopReason") or ""), await self._updates.finish_turn()

    def _count(self, told: dict[str, Json]) -> None:
        if not told:
            return
        self.is_paid_told = True
        output, read = count(told.get("outputTokens")), count(told.get("inputTokens"))
        # The total is the sum of all kinds; what is read from a cache is of some agents' input, and of others' not.
        self._tokens += Usage(max(read, count(told.get("totalTokens")) - output), output)


async def _done(future: asyncio.Future[dict[str, Json]]) -> None:
    await asyncio.wait([future])
