"""From what a backend says to what a script may have: not empty, and fitting its schema (S20, S21).

All of it is one attempt: the model sees what was wrong with its answer and tries again, and the usage adds up.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

import orjson

from engine.errors import AgentError
from engine.ports import Backend
from engine.values import NO_USAGE, AgentAnswer, AgentRequest, Json, Usage

EMPTY_FEEDBACK = "The answer was empty. Give the answer as your message."
_QUICK_BYTES = 16_384
"""Schema and answer that are validated at once, in a few milliseconds at most."""
_SHOWN_CHARACTERS = 4_000
"""Of a wrong answer, when it is shown to the model again."""


async def ask_until_valid(
    backend: Backend, request: AgentRequest, emit: Callable[[dict[str, Json]], None], *, rounds: int
) -> AgentAnswer:
    """Asks `backend` until the answer is not empty and fits `request.schema`.

    Args:
        rounds: answers that may fail the schema (5 by default) before the call throws.

    Raises:
        AgentError: `empty` after two empty answers, `schema_invalid` after `rounds` that do not fit, whatever the
            backend raises. `fields["usage"]` is what was paid until then.
    """
    paid = NO_USAGE
    empty = misfits = 0
    while True:
        answer = await _ask(backend, request, adding(paid, emit), paid)
        paid = answer.usage if paid is NO_USAGE else paid + answer.usage
        if _is_empty(answer.value):
            empty += 1
            if empty > 1:
                raise _failure("the agent gave an empty answer twice", "empty", paid)
            request = _with_feedback(request, "", EMPTY_FEEDBACK, answer)
            continue
        if request.schema is None:
            return replace(answer, value=_text(answer.value), usage=paid)
        value, problem = await fitted(request.schema, answer.value)
        if problem is None:
            return replace(answer, value=value, usage=paid)
        misfits += 1
        if misfits >= rounds:
            rounds_used = f"{misfits} round{'s' if misfits > 1 else ''}"
            raise _failure(f"no answer fits the schema after {rounds_used}: {problem}", "schema_invalid", paid)
        emit({"usage": paid.to_json()})
        request = _with_feedback(request, _shown(answer.value), problem, answer)


async def _ask(
    backend: Backend, request: AgentRequest, emit: Callable[[dict[str, Json]], None], paid: Usage
) -> AgentAnswer:
    try:
        return await backend.run(request, emit)
    except AgentError as error:
        if paid != NO_USAGE:  # earlier rounds of this attempt are paid for, whatever became of the last
            error.fields["usage"] = (paid + Usage(**error.fields.get("usage", {}))).to_json()
        raise


def adding(paid: Usage, emit: Callable[[dict[str, Json]], None]) -> Callable[[dict[str, Json]], None]:
    """Progress counts from the attempt's start, not from that of a round or of another model."""
    if paid == NO_USAGE:
        return emit

    def emit_sum(progress: dict[str, Json]) -> None:
        if isinstance(tokens := progress.get("tokens"), int):
            progress = {**progress, "tokens": tokens + paid.output_tokens}
        if isinstance(usage := progress.get("usage"), dict):
            progress = {**progress, "usage": (paid + Usage(**usage)).to_json()}
        emit(progress)

    return emit_sum


def _with_feedback(request: AgentRequest, shown: str, problem: str, answer: AgentAnswer) -> AgentRequest:
    return replace(request, feedback=(*request.feedback, (shown, problem)), session=answer.session or request.session)


async def fitted(schema: dict[str, Json], value: Json) -> tuple[Json, str | None]:
    """The object in `value`, and what is wrong with it."""
    from engine.schemas import Validator, validator_for

    if isinstance(value, str):
        try:
            value = parse_json(value)
        except ValueError as error:
            return None, f"the answer is not JSON: {error}; give one JSON object and nothing else"
    try:
        size = len(orjson.dumps((schema, value)))
    except TypeError as error:  # what was read may be nested deeper than can be written
        return None, f"the answer cannot be written as JSON: {error}; nest it less deeply"
    if size > _QUICK_BYTES or b'"$ref"' in orjson.dumps(schema):
        # A stranger's schema and answer may take seconds together; the event loop goes on meanwhile.
        return value, await asyncio.to_thread(lambda: Validator(schema).problem(value))
    return value, validator_for(schema).problem(value)


def parse_json(text: str) -> Json:
    """The JSON value in a model's text: bare, in a code fence, or with a sentence around it.

    Raises:
        ValueError: none was found.
    """
    bare = text.strip()
    try:
        return orjson.loads(bare)
    except orjson.JSONDecodeError as error:
        first = error
    if "```" in bare:
        inside = bare.split("```")[1]
        opening, newline, rest = inside.partition("\n")
        try:
            return orjson.loads(rest if newline and opening.strip().isalpha() else inside)
        except orjson.JSONDecodeError:
            pass
    start, end = bare.find("{"), bare.rfind("}")
    if 0 <= start < end:
        try:
            return orjson.loads(bare[start : end + 1])
        except orjson.JSONDecodeError:
            pass
    raise ValueError(str(first))


def _is_empty(value: Json) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shown(value: Json) -> str:
    text = _text(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def _failure(message: str, code: str, paid: Usage) -> AgentError:
    return AgentError(message, code=code, usage=paid.to_json())
