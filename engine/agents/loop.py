"""The tool loop: a model says what to do, tools do it, until it gives its answer.

Each turn is on record before the next one begins (`Conversation`), so a subagent that was interrupted goes on from its
last complete turn. A structured answer is the arguments of a last tool call, `submit_answer`, judged here against the
script's own schema, whatever a service promises (S21). Nothing here retries a request or waits for a rate limit: the
dispatcher does, and the conversation stays.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from engine.agents import failures
from engine.agents.answer import EMPTY_FEEDBACK, fitted
from engine.agents.candidates import Candidates, Draw, Purse
from engine.agents.conversation import SUBMIT, Conversation, sound
from engine.agents.tools import ToolResult, ToolSpec
from engine.errors import AgentError, PawlError
from engine.executors import Emit
from engine.ports import Clock
from engine.settings import AgentSettings
from engine.values import AgentAnswer, AgentRequest, Json, Usage

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse, ToolCallPart
    from pydantic_ai.models import Model, ModelRequestParameters
    from pydantic_ai.settings import ModelSettings
    from pydantic_ai.usage import RequestUsage

SUBMIT_WORDS = "Gives your final answer. Call it once, when the task is done; its arguments are the answer."

_TOLD_EVERY_S = 0.25
"""Progress is told this often at most: a stream has hundreds of pieces a second."""
_SHORTENINGS = 8


class Tools(Protocol):
    """What the loop needs of `engine.agents.tools.Toolbox`."""

    def specs(self) -> Sequence[ToolSpec]: ...

    async def run(self, name: str, args: Json) -> ToolResult: ...

    async def close(self) -> None: ...


class NoTools:
    """For a model that takes none."""

    def specs(self) -> Sequence[ToolSpec]:
        return ()

    async def run(self, name: str, args: Json) -> ToolResult:
        return ToolResult(f"There is no tool {name!r}.", ok=False)

    async def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Talker:
    """A model and how it is asked.

    Attributes:
        service: for messages: `openai`.
        is_one_shot: the model takes no tools: a schema is asked for as the form of its text.
        varied: the settings for one of several draws, where the usual ones would give the same each time.
        shape: what a one-shot model gets in place of the script's schema, when that is too hard for it.
        cost: dollars for what a request used, None where no price is known.
    """

    service: str
    model: Model[Any]
    settings: ModelSettings
    cost: Callable[[str | None, RequestUsage], float | None]
    is_one_shot: bool = False
    shape: Callable[[dict[str, Json]], dict[str, Json]] | None = None
    varied: Callable[[int], ModelSettings] | None = None


class Loop:
    """One attempt of one call."""

    def __init__(
        self, talker: Talker, tools: Tools, request: AgentRequest, emit: Emit, *, settings: AgentSettings, clock: Clock
    ) -> None:
        self._talker = talker
        self._tools = tools
        self._request = request
        self._emit = emit
        self._most_turns = settings.turns
        self._rounds = settings.schema_rounds
        self._purse = Purse()
        self._told: dict[int, int] = {}  # tokens of answers under way, by draw
        self._read: int | None = None  # tokens that the model has read in this step, once it has told
        self._misfits = 0
        self._empty = 0
        self._model: str | None = None
        self._shortened = 0
        self._candidates = None
        if request.candidates > 1:
            self._candidates = Candidates(request, settings, clock, purse=self._purse, emit=emit)

    async def run(self, conversation: Conversation) -> AgentAnswer:
        """Goes on until there is an answer.

        Raises:
            AgentError: `schema_invalid`, `empty`, `too_many_turns`, or what the service raised; `fields["usage"]` is
                what was paid until then.
        """
        try:
            if (said := conversation.unread) is not None:  # the last attempt was interrupted after its answer
                found, value = await self._take_again(conversation, said)
                if found:
                    return AgentAnswer(value, self._purse.total, model=said.model_name)
            for turn in range(1, self._most_turns + 1):
                self._emit({"turn": turn})
                await asyncio.sleep(0)  # where an attempt that may not go on is stopped: before it costs more
                response = await self._ask(conversation)
                found, value = await self._take(conversation, response)
                if found:
                    return AgentAnswer(value, self._purse.total, model=self._model)
        except AgentError as error:
            error.fields["usage"] = self._purse.total.to_json()
            raise
        raise AgentError(
            f"the agent gave no answer within {self._most_turns} turns",
            code="too_many_turns",
            hint="Give it a smaller task, or raise agents.turns in the config.",
            usage=self._purse.total.to_json(),
        )

    # ── one request ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _ask(self, conversation: Conversation) -> ModelResponse:
        """What the model says next, on record; in less room when there is no more."""
        parameters = self._parameters()
        draw = partial(self._draw, conversation, parameters)
        self._read = None
        while True:
            try:
                drawn = await (draw(0) if self._candidates is None else self._candidates.drawn(draw, conversation))
                break
            except AgentError as failure:
                is_full = failure.code == "context_exceeded" and self._shortened < _SHORTENINGS
                if not is_full or not conversation.shorten():
                    raise
                self._shortened += 1
        self._model = drawn.response.model_name or self._model
        self._emit({"usage": self._purse.total.to_json()})
        await conversation.heard(drawn.response, drawn.usage.to_json())
        return drawn.response

    async def _draw(self, conversation: Conversation, parameters: ModelRequestParameters, number: int) -> Draw:
        """Asks the model once, and pays for it. Raises `AgentError` also for an answer that was refused or cut off."""
        from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError, UserError

        service = self._talker.service
        try:
            response = await self._stream(conversation, parameters, number)
        except (ModelAPIError, ModelHTTPError) as error:
            raise failures.of_service(service, error) from error
        except PawlError:
            raise
        except UserError as error:
            raise failures.unusable(service, error) from error
        except Exception as error:  # whatever a malformed answer does to the library: the service's fault
            raise failures.bad_answer(service, error) from error
        usage = self._pay(response.model_name, response.usage)
        self._refuse_cut_off(response)
        return Draw(number, response, usage)

    def _pay(self, model: str | None, used: RequestUsage) -> Usage:
        cost = self._talker.cost(model, used)
        usage = Usage(int(used.input_tokens), int(used.output_tokens), cost or 0.0)
        self._purse.pay(usage)
        self._read = usage.input_tokens
        self._tell_tokens()
        return usage

    async def _stream(
        self, conversation: Conversation, parameters: ModelRequestParameters, number: int
    ) -> ModelResponse:
        from pydantic_ai.direct import model_request_stream

        talker, pieces, told = self._talker, 0, 0.0
        settings = talker.varied(number) if talker.varied is not None else talker.settings
        try:
            async with model_request_stream(
                talker.model, conversation.messages, model_settings=settings, model_request_parameters=parameters
            ) as stream:
                async for _ in stream:
                    pieces += 1
                    # Until the service says what it counted, a piece is taken for a token.
                    self._told[number] = max(stream.usage.output_tokens, pieces)
                    if (now := time.monotonic()) - told >= _TOLD_EVERY_S:
                        told = now
                        self._tell_tokens()
                response = sound(stream.get())
        except asyncio.CancelledError:
            self._pay_for_part(number)
            raise
        finally:
            self._told.pop(number, None)
        if response.state == "incomplete" or (not response.parts and response.finish_reason is None):
            raise AgentError(
                f"{talker.service}: cannot be reached, or broke off: the answer ended in the middle",
                code="provider_connection",
                retryable=True,
            )
        return response

    def _pay_for_part(self, number: int) -> None:
        """Of an answer that was not waited for: a service charges for what it has read and written until then. It has
        read what the draw has that came in time."""
        from pydantic_ai.usage import RequestUsage

        if self._read is not None:
            self._pay(None, RequestUsage(input_tokens=self._read, output_tokens=self._told.get(number, 0)))

    def _tell_tokens(self) -> None:
        body: dict[str, Json] = {"tokens": self._purse.total.output_tokens + sum(self._told.values())}
        if self._candidates is not None and self._read is not None:
            body["waiting"] = "the other candidates"  # how long for, is their own affair, not the stall watch's
        self._emit(body)

    def _parameters(self) -> ModelRequestParameters:
        from pydantic_ai.models import ModelRequestParameters
        from pydantic_ai.output import OutputObjectDefinition
        from pydantic_ai.tools import ToolDefinition

        schema = self._request.schema
        if self._talker.is_one_shot:
            if schema is None:
                return ModelRequestParameters()
            shape = self._talker.shape
            form = OutputObjectDefinition(json_schema=shape(schema) if shape else schema, name="answer")
            return ModelRequestParameters(output_mode="native", output_object=form)
        tools = [
            ToolDefinition(name=spec.name, description=spec.description, parameters_json_schema=spec.parameters)
            for spec in self._tools.specs()
        ]
        if schema is None:
            return ModelRequestParameters(function_tools=tools)
        # `strict` is left to the library: it is used where the schema allows it. Never trusted: `_judged`.
        submit = ToolDefinition(name=SUBMIT, description=SUBMIT_WORDS, parameters_json_schema=schema, kind="output")
        return ModelRequestParameters(
            function_tools=tools, output_mode="tool", output_tools=[submit], allow_text_output=False
        )

    def _refuse_cut_off(self, response: ModelResponse) -> None:
        service, details = self._talker.service, response.provider_details or {}
        refusal = details.get("refusal") or (details.get("finish_reason") == "refusal" and response.text)
        if refusal:
            raise AgentError(f"{service}: the model refused: {refusal}", code="provider_refusal")
        if response.finish_reason == "content_filter":
            raise AgentError(
                f"{service}: the model refused: its content filter stopped the answer", code="provider_refusal"
            )
        if response.finish_reason != "length" or (self._request.schema is None and response.tool_calls):
            return
        if self._request.schema is not None:
            raise AgentError(
                f"{service}: the answer was cut off at the model's output limit",
                code="provider_cut_off",
                hint="Ask for less at once.",
            )
        words = f"{service}: an answer was cut off at the model's output limit, and is delivered as far as it goes."
        self._emit({"notice": words, "code": "cut_off"})

    # ── what it said ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _take(self, conversation: Conversation, response: ModelResponse) -> tuple[bool, Json]:
        """Does what a response asks for: (True, the answer), or (False, None) when the model must go on."""
        calls = response.tool_calls
        if not calls:
            return await self._take_text(conversation, response.text or "")
        submitted = [call for call in calls if call.tool_name == SUBMIT and self._request.schema is not None]
        await self._run_tools(conversation, [call for call in calls if call not in submitted])
        for call in submitted:
            value, problem = await self._judged(call.args)
            if problem is None:
                await conversation.result(call.tool_call_id, call.tool_name, "Accepted.", ok=True)
                return True, value
            await conversation.result(call.tool_call_id, call.tool_name, _again(problem), ok=False)
            self._count_misfit(problem)
        return False, None

    async def _take_again(self, conversation: Conversation, said: ModelResponse) -> tuple[bool, Json]:
        """An answer of an earlier attempt, which is on record with all that came of it."""
        if not said.tool_calls:
            return await self._take_text(conversation, said.text or "")
        for call in said.tool_calls:
            if call.tool_name == SUBMIT and self._request.schema is not None:
                value, problem = await self._judged(call.args)
                if problem is None:
                    return True, value
        return False, None

    async def _take_text(self, conversation: Conversation, text: str) -> tuple[bool, Json]:
        if not text.strip():
            self._empty += 1
            if self._empty > 1:
                raise AgentError("the agent gave an empty answer twice", code="empty")
            await conversation.say(EMPTY_FEEDBACK)
            return False, None
        if self._request.schema is None:
            return True, text
        value, problem = await self._judged(text)
        if problem is None:
            return True, value
        self._count_misfit(problem)
        how = "" if self._talker.is_one_shot else f" Call {SUBMIT} with it."
        await conversation.say(f"That answer does not do: {problem}. Answer again.{how}")
        return False, None

    async def _judged(self, given: Json) -> tuple[Json, str | None]:
        assert self._request.schema is not None
        return await fitted(self._request.schema, {} if given is None else given)

    def _count_misfit(self, problem: str) -> None:
        self._misfits += 1
        if self._misfits >= self._rounds:
            used = f"{self._misfits} round{'s' if self._misfits > 1 else ''}"
            raise AgentError(f"no answer fits the schema after {used}: {problem}", code="schema_invalid")

    async def _run_tools(self, conversation: Conversation, calls: Sequence[ToolCallPart]) -> None:
        """Runs the calls of one response, and puts their results on record in their order. What only reads runs side
        by side; what acts runs alone, in order."""
        reads = {spec.name for spec in self._tools.specs() if spec.is_read_only}
        waiting = list(calls)
        while waiting:
            count = next((at for at, call in enumerate(waiting) if call.tool_name not in reads), len(waiting)) or 1
            batch, waiting = waiting[:count], waiting[count:]
            self._emit({"tool": batch[0].tool_name})
            try:
                results = await _together([self._tools.run(call.tool_name, _args(call)) for call in batch])
            finally:
                self._emit({"tool": None})
            for call, result in zip(batch, results, strict=True):
                await conversation.result(call.tool_call_id, call.tool_name, result.text, ok=result.ok)


async def _together(works: Sequence[Any]) -> list[ToolResult]:
    if len(works) == 1:
        return [await works[0]]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
    return [task.result() for task in tasks]


def _args(call: ToolCallPart) -> Json:
    """What the model gave; text that is no JSON goes to the tool as it is, which says what is wrong with it."""
    try:
        return call.args_as_dict(raise_if_invalid=True)
    except (ValueError, AssertionError):
        return call.args


def _again(problem: str) -> str:
    return f"Not accepted: {problem}. Call {SUBMIT} again with all of the answer, corrected."
