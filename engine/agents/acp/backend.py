"""Coding agents over the Agent Client Protocol: `acp:opencode`, `acp:claude`, `acp:codex`, `acp:gemini`, `[programs]`.

A call is one process with one session: opencode keeps tool servers by folder and not by session, what an agent may do
is in its environment, and a process can be killed with all that it has started. What that costs is in
`docs/decisions/0010-coding-agents.md`.

What the agent asks before it acts is answered by the policy. Its session's id is on record before its first prompt, so
that a further attempt goes on in the same conversation.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from engine.agents.acp.client import Client
from engine.agents.acp.connection import Agent, started
from engine.agents.acp.conversation import Conversation
from engine.agents.acp.permissions import Permissions
from engine.agents.acp.programs import Opening, Terms, environment, find_program, missing
from engine.agents.acp.session import Choices, Session, open_session
from engine.agents.acp.submit_tool import SubmitTool
from engine.agents.acp.updates import Updates
from engine.agents.acp.wording import prompt_for
from engine.agents.headless.fences import Fence
from engine.errors import AgentError, UsageError
from engine.executors import Emit
from engine.ports import Clock
from engine.prices import Prices, price_unknown
from engine.settings import Settings
from engine.values import NO_USAGE, AgentAnswer, AgentRequest, Json, Usage
from engine.workspace import Workspace

if TYPE_CHECKING:
    from engine.agents.policy import Gate

START_S = 60.0
"""Of each step before the first prompt: a first start in a new home took 25 s on a busy machine."""


class AcpBackend:
    """See the module.

    Args:
        program: a built-in name, or one of `settings.programs`.
        model: what to ask for when a call does not say.
        gate: makes the policy of a call.
        start_s: how long each step before the first prompt may take.

    Raises:
        UsageError: `unknown_program`, `backend_missing`.
    """

    def __init__(
        self,
        program: str,
        model: str | None,
        *,
        settings: Settings,
        environ: Mapping[str, str],
        clock: Clock,
        gate: Callable[[AgentRequest, Emit], Gate],
        start_s: float = START_S,
    ) -> None:
        self.name = f"acp:{program}"
        self._program = find_program(program, settings, environ)
        if (problem := missing(program, settings, environ)) is not None:
            why, install = problem
            raise UsageError(
                f"backend `{self.name}` cannot run here: {why}",
                code="backend_missing",
                hint=f"Run: {install}",
                install=install,
            )
        self._binary = shutil.which(self._program.command[0], path=environ.get("PATH")) or ""
        self._model = model
        self._settings = settings
        self._clock = clock
        self._gate = gate
        self._start_s = start_s
        self._starting = asyncio.Lock()
        self._has_started = False
        self._environment = environment(self._program, settings, environ)

    async def run(self, request: AgentRequest, emit: Emit) -> AgentAnswer:
        terms = self._terms(request)
        opening = self._program.opening(terms)
        async with AsyncExitStack() as stack:
            submit = await stack.enter_async_context(SubmitTool(request.schema)) if request.schema is not None else None
            updates = await stack.enter_async_context(
                Updates(
                    request.trail,
                    emit,
                    tells_of_calls=self._program.tells_of_calls,
                    marks_model=self._program.marks_model,
                )
            )
            client = Client(self._permissions(request, emit), updates)
            async with self._first_alone():
                agent = await stack.enter_async_context(self._started(request, opening, client))
                session = await self._open(agent, request, opening, submit, emit)
            choices = Choices(agent, session, self.name, emit)
            await choices.set_mode(opening.mode, is_needed=opening.needs_mode)
            await choices.set_model(terms.model)
            model = choices.model(terms.model)
            await choices.set_effort(request.effort)
            updates.is_heard = True
            talk = Conversation(
                self._program,
                agent,
                session.id,
                client,
                updates,
                submit=submit,
                clock=self._clock,
                price=partial(self._price, model),
            )
            system = "" if opening.has_system else terms.system
            prompt = prompt_for(request, is_continued=session.is_continued, system=system)
            value = await talk.answer(request, prompt, emit)
        usage = talk.paid()
        emit({"usage": usage.to_json()})
        if not talk.is_paid_told:
            emit({"notice": f"{self.name} does not tell what its calls use: counted as nothing", "code": "no_usage"})
        elif not talk.is_priced:
            emit(price_unknown(self.name, model))
        return AgentAnswer(value, usage, model=terms.model, session=f"{self.name}/{session.id}")

    def _price(self, model: str | None, tokens: Usage) -> float | None:
        """A cap on money holds for an agent that tells tokens alone, too, where its model is known."""
        if tokens == NO_USAGE:
            return 0.0
        if model is None:
            return None
        return Prices(self._settings.prices).cost_usd(
            None, model, input_tokens=tokens.input_tokens, output_tokens=tokens.output_tokens
        )

    async def close(self) -> None:
        """Nothing lives longer than its call."""

    # ── before the first prompt ────────────────────────────────────────────────────────────────────────────────────

    def check_tools(self, tools: tuple[str, ...]) -> None:
        """Raises `UsageError` (`tools_unsupported`) when the program cannot be held to these tools."""
        if (why := self._program.check(Fence.of(tools, self._settings.permissions))) is not None:
            raise UsageError(
                f"{self.name} cannot be held to the tools {', '.join(tools) or '(none)'}: {why}",
                code="tools_unsupported",
                hint="Name other tools, or use another backend.",
            )

    def _terms(self, request: AgentRequest) -> Terms:
        try:
            fence = Fence.of(request.tools, self._settings.permissions)
        except UsageError as error:
            raise AgentError(f"{self.name}: {error.message}", code=error.code, hint=error.hint) from None
        if (why := self._program.check(fence)) is not None:
            raise AgentError(
                f"{self.name} cannot be held to what this call may do: {why}",
                code="tools_unsupported",
                hint="Change `tools` or the agent definition, or use another backend.",
            )
        system = request.definition.prompt if request.definition is not None else ""
        return Terms(fence, request.model or self._model, system)

    def _permissions(self, request: AgentRequest, emit: Emit) -> Permissions:
        return Permissions(Workspace(request.workspace), self._gate(request, emit).unconfined(), request.tools)

    def _started(self, request: AgentRequest, opening: Opening, client: Client) -> AbstractAsyncContextManager[Agent]:
        return started(
            self._program,
            self._binary,
            cwd=request.workspace,
            environment={**self._environment, **opening.environment},
            handler=client.handle,
            clock=self._clock,
            start_s=self._start_s,
        )

    @asynccontextmanager
    async def _first_alone(self) -> AsyncIterator[None]:
        """The first start is not disturbed by others: some make their database then, and fail when another does."""
        if self._has_started:
            yield
            return
        async with self._starting:
            yield
            self._has_started = True

    async def _open(
        self, agent: Agent, request: AgentRequest, opening: Opening, submit: SubmitTool | None, emit: Emit
    ) -> Session:
        owner, _, earlier = (request.session or "").rpartition("/")
        known = earlier if owner == self.name and earlier else None
        servers: list[Json] = [submit.server()] if submit is not None else []
        session = await open_session(agent, cwd=request.workspace, servers=servers, opening=opening, earlier=known)
        if known is not None and not session.is_continued:
            notice = f"{self.name} has lost the conversation of an earlier attempt: it begins anew"
            emit({"notice": notice, "code": "session_lost"})
        handle = f"{self.name}/{session.id}"
        emit({"session": handle})
        await request.trail.add("session", {"session": handle})
        return session
