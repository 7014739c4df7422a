"""What a coding agent is told in words: the task, that it goes on with one, that its answer does not do."""

from __future__ import annotations

import json
from collections.abc import Sequence

from engine.values import AgentRequest, Json, TurnRow

_SHOWN_CALLS = 5
_SHOWN_CHARACTERS = 300


def prompt_for(request: AgentRequest, *, is_continued: bool, names_schema: bool) -> str:
    """The next message of the conversation.

    Args:
        is_continued: the program has the conversation so far.
        names_schema: the program is not given the schema in another way.
    """
    if request.feedback and is_continued:
        problem = request.feedback[-1][1]
        text = f"That answer does not do: {problem}. Answer again."
        # Also where the program was given the schema: it may have dropped one that it does not understand.
        return text if request.schema is None else f"{text}\n\n{_wanted(request.schema)}"
    parts = [request.prompt]
    if request.attempt > 1 and not request.feedback:
        parts.insert(0, _further(request, is_continued=is_continued))
    if request.schema is not None and (names_schema or request.feedback):
        parts.append(_wanted(request.schema))
    for answer, problem in request.feedback:
        parts.append(f"An earlier answer was:\n\n{answer or '(empty)'}\n\nIt does not do: {problem}.")
    return "\n\n".join(parts)


def _wanted(schema: dict[str, Json]) -> str:
    return (
        "Give your final answer as one JSON object and nothing else: no sentence around it, no code fence. "
        f"It must fit this JSON Schema:\n{json.dumps(schema, ensure_ascii=False)}"
    )


def _further(request: AgentRequest, *, is_continued: bool) -> str:
    note = (
        f"This is attempt {request.attempt} at the task below. An earlier one was started and did not finish, so that "
        "its work may be half done: look at what is there before you go on."
    )
    if pending := unfinished(request.trail.earlier):
        note += " It is not known how these ended:\n" + "\n".join(f"- {call}" for call in pending)
    return note + ("\n\nGo on with the task:" if is_continued else "\n\nThe task:")


def unfinished(turns: Sequence[TurnRow]) -> list[str]:
    """The newest calls of tools whose results are not on record."""
    pending: dict[str, str] = {}
    for turn in turns:
        body = json.loads(turn.body)
        if turn.role == "tool":
            pending.pop(str(body.get("id")), None)
        for call in body.get("calls") or ():
            args = json.dumps(call.get("args"), ensure_ascii=False)
            pending[str(call.get("id"))] = f"{call.get('name')} {args}"[:_SHOWN_CHARACTERS]
    return list(pending.values())[-_SHOWN_CALLS:]
