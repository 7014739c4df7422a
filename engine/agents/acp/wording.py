"""What a coding agent is told in words: the task, how to give an object, that it goes on, that it may not."""

from __future__ import annotations

import json
from collections.abc import Sequence

from engine.agents.acp.submit_tool import SERVER, TOOL
from engine.agents.headless.wording import unfinished
from engine.values import AgentRequest, TurnRow

_TOLD_TURNS = 30
_TOLD_CHARACTERS = 1_000
_TOLD_IN_ALL = 12_000

_HOW = (
    f"When the task is done, call the tool `{TOOL}` of the MCP server `{SERVER}` with the result as its arguments. "
    "That call is your answer: what you write as text is not read."
)


def prompt_for(request: AgentRequest, *, is_continued: bool, system: str) -> str:
    """The first message to a session.

    Args:
        is_continued: the session has the conversation so far.
        system: the agent definition's text, where the agent is not given it in another way.
    """
    if request.feedback and is_continued:
        return _again(request, request.feedback[-1][1])
    parts = [] if is_continued or not system else [system]
    if request.attempt > 1 and not request.feedback:
        parts.append(_further(request, is_continued=is_continued))
    parts.append(request.prompt)
    if request.schema is not None:
        parts.append(_HOW)
    for answer, problem in request.feedback:
        parts.append(f"An earlier answer was:\n\n{answer or '(empty)'}\n\nIt does not do: {problem}.")
    return "\n\n".join(parts)


def _again(request: AgentRequest, problem: str) -> str:
    text = f"That answer does not do: {problem}. Answer again."
    return text if request.schema is None else f"{text} {_HOW}"


def not_submitted(problem: str | None) -> str:
    """To an agent that ended its turn without an accepted result."""
    why = f"what you submitted does not do: {problem}" if problem else f"`{TOOL}` was not called"
    return f"You ended your turn, but there is no result yet: {why}. {_HOW} Do it now."


def not_permitted(reasons: Sequence[str]) -> str:
    """To an agent that stops when it is refused something."""
    return "\n".join(dict.fromkeys(reasons)) + "\nGo on with the task without it, as far as that is possible."


def _further(request: AgentRequest, *, is_continued: bool) -> str:
    note = (
        f"This is attempt {request.attempt} at the task below. An earlier one was started and did not finish, so that "
        "its work may be half done: look at what is there before you go on."
    )
    if pending := unfinished(request.trail.earlier):
        note += " It is not known how these ended:\n" + "\n".join(f"- {call}" for call in pending)
    if not is_continued and (told := _told(request.trail.earlier)):
        note += f"\n\nThis is on record of it:\n\n{told}"
    return note + ("\n\nGo on with the task:" if is_continued else "\n\nThe task:")


def _told(turns: Sequence[TurnRow]) -> str:
    """The newest of what earlier attempts said and did, in short."""
    lines: list[str] = []
    for turn in turns:
        body = json.loads(turn.body)
        text = str(body.get("text") or "").strip()[:_TOLD_CHARACTERS]
        if turn.role == "assistant":
            if text:
                lines.append(f"It said: {text}")
            for call in body.get("calls") or ():
                args = json.dumps(call.get("args"), ensure_ascii=False)[:_TOLD_CHARACTERS]
                lines.append(f"It called {call.get('name')} {args}")
        elif turn.role == "tool":
            lines.append(f"Result: {text or '(nothing)'}")
    kept = "\n".join(lines[-_TOLD_TURNS:])
    return kept if len(kept) <= _TOLD_IN_ALL else "…" + kept[-_TOLD_IN_ALL:]
