"""Provider agents: any model that the library can call, in our tool loop, in the call's workspace.

One instance serves all calls of a run to one service. It owns the connection to it and nothing durable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from engine.agents.conversation import Conversation
from engine.agents.loop import Loop, NoTools, Talker, Tools
from engine.agents.models import OpenModels
from engine.clock import SystemClock
from engine.executors import Emit
from engine.ports import Clock
from engine.prices import Prices, price_unknown
from engine.settings import AgentSettings
from engine.values import AgentAnswer, AgentRequest, Trail

if TYPE_CHECKING:
    from pydantic_ai.models import Model
    from pydantic_ai.settings import ModelSettings
    from pydantic_ai.usage import RequestUsage


class Bench(Protocol):
    """What a backend needs of `engine.agents.workbench.Workbench`."""

    async def tools(self, request: AgentRequest, emit: Emit) -> Tools: ...


class ProviderBackend:
    """See the module.

    Args:
        model: for requests that name none.
    """

    def __init__(
        self,
        service: str,
        model: str,
        *,
        environ: Mapping[str, str],
        settings: AgentSettings,
        prices: Prices,
        bench: Bench,
        clock: Clock | None = None,
    ) -> None:
        self.name = service
        self._model = model
        self._models = OpenModels(service, environ)
        self._settings = settings
        self._prices = prices
        self._bench = bench
        self._clock = clock or SystemClock()
        self._is_elsewhere = bool(environ.get("OPENAI_BASE_URL")) and service.startswith("openai")

    async def run(self, request: AgentRequest, emit: Emit) -> AgentAnswer:
        name = request.model or self._model
        model = await self._models.get(name)
        has_tools = bool(model.profile.get("supports_tools", True))
        talker = Talker(
            self.name,
            model,
            self._asked_as(model, request, emit),
            self._cost(name, emit),
            is_one_shot=not has_tools,
        )
        if not has_tools:
            return await answered(talker, NoTools(), request, emit, settings=self._settings, clock=self._clock)
        tools = await self._bench.tools(request, emit)
        try:
            return await answered(talker, tools, request, emit, settings=self._settings, clock=self._clock)
        finally:
            await tools.close()

    async def close(self) -> None:
        await self._models.close()

    def _asked_as(self, model: Model[Any], request: AgentRequest, emit: Emit) -> ModelSettings:
        """The effort in the service's own words; the prompt cache where there is one; retries are the dispatcher's."""
        settings: dict[str, Any] = {"max_retries": 0}
        if model.profile.get("supports_cache"):
            settings["cache"] = True
        if request.effort is not None:
            if model.profile.get("supports_thinking"):
                settings["thinking"] = request.effort
            elif self._is_elsewhere:  # a server of one's own: nobody knows its models, so it is told
                settings["openai_reasoning_effort"] = {"xhigh": "high", "max": "high"}.get(
                    request.effort, request.effort
                )
            else:
                emit(
                    {
                        "notice": f"{self.name}: the model {model.model_name} has no levels of effort; "
                        f"{request.effort!r} is ignored.",
                        "code": "effort_ignored",
                    }
                )
        return settings  # type: ignore[return-value]

    def _cost(self, asked: str, emit: Emit) -> Callable[[str | None, RequestUsage], float | None]:
        def cost(answered_as: str | None, used: RequestUsage) -> float | None:
            usd = self._prices.cost_usd(
                self.name,
                answered_as or asked,
                input_tokens=used.input_tokens,
                output_tokens=used.output_tokens,
                cache_read_tokens=used.cache_read_tokens,
                cache_write_tokens=used.cache_write_tokens,
                asked=asked,
            )
            if usd is not None:
                return usd
            emit(price_unknown(self.name, asked))
            return None

        return cost


async def answered(
    talker: Talker, tools: Tools, request: AgentRequest, emit: Emit, *, settings: AgentSettings, clock: Clock
) -> AgentAnswer:
    """One attempt: opens the conversation, or goes on with it, and loops until there is an answer."""
    definition = request.definition
    conversation = await Conversation.open(
        request.trail,
        request.prompt,
        system=definition.prompt if definition is not None else "",
        is_again=(request.attempt > 1 or _has_acted(request.trail)) and bool(tools.specs()),
    )
    if request.feedback and conversation.is_continued:  # what it answered is in it, and so is what it heard before
        await conversation.say(f"That answer does not do: {request.feedback[-1][1]}. Answer again.")
    else:
        for given, problem in request.feedback:
            answer = f"You answered:\n{given or '(nothing)'}\n\n"
            await conversation.say(f"{answer}That does not do: {problem}. Answer again.")
    return await Loop(talker, tools, request, emit, settings=settings, clock=clock).run(conversation)


def _has_acted(trail: Trail) -> bool:
    """Whether another model, or a program, has begun with the task in this attempt."""
    return any(turn.role != "user" for turn in trail.earlier)
