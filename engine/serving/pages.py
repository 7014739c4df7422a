"""What a client is told of a run: its status, its result page by page, how far it is. Pure: readings in, JSON out.

Nothing is cut without saying so: a list that is shortened comes with its whole count, a text with its length and the
offset to go on from.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from engine import history, overview
from engine.errors import RunStateError
from engine.history import CallView, Reading
from engine.values import CallKind, Json, RunStatus

MOST_LISTED = 50
"""Entries of one list in a status: nulls, questions, reasons."""


def status(reading: Reading) -> dict[str, Json]:
    """How a run stands."""
    shown, views = overview.shown(reading, with_calls=False), history.calls(reading)
    out: dict[str, Json] = {
        name: shown[name]
        for name in ("run_id", "version", "name", "status", "degraded", "agents", "run_usage", "caps", "permissions")
    }
    out["has_ended"] = not reading.is_live
    out["error"] = shown["error"]
    out["phase"] = next((view.phase for view in reversed(views) if view.phase), None)
    out["calls"] = standing(views)
    for name in ("reasons", "nulls"):
        out[name], out[f"{name}_total"] = shown[name][:MOST_LISTED], len(shown[name])
    questions = [_question(view) for view in views if _waits(view)]
    out["questions"], out["questions_total"] = questions[:MOST_LISTED], len(questions)
    out["active_seconds"] = shown["active_seconds"]
    out["next"] = _next(reading, questions)
    return out


def standing(views: Sequence[CallView]) -> dict[str, int]:
    """How many calls there are, and how they stand."""
    out = {"total": len(views), "settled": 0, "running": 0, "queued": 0, "waiting": 0}
    for view in views:
        if view.settled_at is not None:
            out["settled"] += 1
        elif view.outcome in out:
            out[view.outcome] += 1
    return out


def progress(reading: Reading) -> tuple[int, int, str]:
    """How far a run is: steps done, steps known so far, and a sentence. A call has two steps: its start and its end."""
    views = history.calls(reading)
    settled = sum(view.settled_at is not None for view in views)
    begun = sum(view.settled_at is not None or view.started_at is not None for view in views)
    count = standing(views)
    parts = [f"{settled} of {len(views)} calls done, {count['running']} running"]
    if count["queued"]:
        parts[0] += f", {count['queued']} queued"
    if count["waiting"]:
        parts[0] += f", {count['waiting']} waiting for an answer"
    if phase := next((view.phase for view in reversed(views) if view.phase), None):
        parts.append(f"phase {phase}")
    return begun + settled, 2 * len(views), "; ".join(parts)


def page(reading: Reading, offset: int, limit: int) -> dict[str, Json]:
    """Characters `offset` to `offset + limit` of the result: of the text itself, or of its JSON.

    Raises:
        RunStateError: `not_ended`: there is no result yet.
    """
    if reading.is_live:
        raise RunStateError(
            f"Run {reading.info.run_id} has no result yet: it is {reading.status}.",
            code="not_ended",
            hint="wait_for_run waits for it; run_status says how it stands.",
            run_id=reading.info.run_id,
        )
    told = history.result(reading)
    is_text = isinstance(told.result, str)
    text = ""
    if reading.status is RunStatus.COMPLETED:
        text = told.result if is_text else json.dumps(told.result, ensure_ascii=False)
    piece = text[offset : offset + limit]
    end = offset + len(piece)
    return {
        "run_id": told.run_id,
        "version": told.version,
        "status": str(told.status),
        "degraded": told.degraded,
        "error": told.error,
        "format": "text" if is_text else "json",
        "total": len(text),
        "offset": offset,
        "text": piece,
        "next": end if piece and end < len(text) else None,
    }


def _waits(view: CallView) -> bool:
    return view.kind == CallKind.ASK and view.outcome in ("waiting", "interrupted")


def _question(view: CallView) -> dict[str, Json]:
    told: dict[str, Any] = {"call": view.call}
    for name in ("question", "choices", "schema", "default"):
        told[name] = view.content.get(name)
    return told


def _next(reading: Reading, questions: Sequence[Json]) -> str:
    """One thing to do now, for a model."""
    run_id = reading.info.run_id
    if questions:
        return f"answer_question with run_id {run_id} and the call's number"
    if reading.status is RunStatus.WAITING:  # a subagent asks for a permission: not a client's to give
        return f"tell the person that a subagent asks for a permission: pawl watch {run_id}"
    if reading.is_live:
        return f"wait_for_run with run_id {run_id}"
    if reading.status is RunStatus.COMPLETED:
        return f"run_result with run_id {run_id}"
    return f"resume_run with run_id {run_id} goes on with it"
