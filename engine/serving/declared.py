"""The tools that clients see: names, what they are for, the JSON schemas of what goes in and out, and hints. Data only.

Descriptions are for models: when to use the tool, and what to do with what it gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

MOST_SCRIPT_CHARACTERS = 1 << 20
MOST_WAIT_S = 3600.0
USUAL_WAIT_S = 45.0
"""Below the 60 seconds after which clients give a call up."""
MOST_PAGE = 200_000
USUAL_PAGE = 20_000
"""Characters: some 5,000 tokens."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One tool.

    Attributes:
        is_read_only: it changes nothing that anybody keeps.
        is_destructive: what it ends or replaces cannot be had back by calling it again.
        is_idempotent: a second call with the same arguments changes nothing more.
        starts_agents: it may spend money, and its subagents reach whatever they reach.
        takes_script: exactly one of `script`, `name`, `path`. Not in the schema: services take no oneOf at its root.
    """

    name: str
    title: str
    description: str
    input: Schema
    output: Schema
    is_read_only: bool = False
    is_destructive: bool = False
    is_idempotent: bool = False
    starts_agents: bool = False
    takes_script: bool = False


def _object(properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _text(description: str, most: int = 1000) -> Schema:
    return {"type": "string", "description": description, "minLength": 1, "maxLength": most}


_STRING = {"type": "string"}
_INTEGER = {"type": "integer"}
_NUMBER = {"type": "number"}
_BOOLEAN = {"type": "boolean"}
_STRING_OR_NULL = {"type": ["string", "null"]}
_OBJECT = {"type": "object"}
_OBJECTS = {"type": "array", "items": _OBJECT}

_RUN_ID = {
    "type": "string",
    "pattern": "^[A-Za-z0-9._-]{1,64}$",
    "description": "As run_workflow or list_runs gave it.",
}
_SCRIPT = {
    "script": _text("The whole text of a workflow script.", MOST_SCRIPT_CHARACTERS),
    "name": _text("The name of a workflow that list_workflows lists.", 200),
    "path": _text("A script's path, relative to the project's root, ending in .js or .mjs."),
}
_ANY = ["object", "array", "string", "number", "boolean", "null"]
"""Spelled out: clients take what has no type for a text, and some take only the first of several types."""
_ARGS = {"args": {"type": _ANY, "description": "What the script sees as `args`. Left out, it sees undefined."}}
_CAPS = {
    "max_agents": {"type": "integer", "minimum": 0, "description": "Agent calls in the life of the run."},
    "max_cost_usd": {"type": "number", "minimum": 0, "description": "US dollars in the life of the run."},
    "max_minutes": {"type": "number", "minimum": 0, "description": "Minutes that the run is driven."},
    "budget_tokens": {"type": "integer", "minimum": 0, "description": "Output tokens in the life of the run."},
    "concurrency": {"type": "integer", "minimum": 1, "maximum": 1024, "description": "Agents at once."},
}
_MODEL = {
    "backend": _text("Who answers agents by default: sample, local, openai:MODEL, cli:claude…", 200),
    "model": _text("The default model of the agents.", 200),
}
_STARTED = _object({"run_id": _STRING, "next": _STRING}, ("run_id", "next"))
_STATUS_PROPERTIES: Schema = {
    "run_id": _STRING,
    "version": _INTEGER,
    "name": _STRING,
    "status": {"enum": ["running", "waiting", "completed", "failed", "cancelled", "paused", "interrupted"]},
    "has_ended": _BOOLEAN,
    "degraded": {**_BOOLEAN, "description": "Something ended in null or failed: see reasons and nulls."},
    "error": {"type": ["object", "null"]},
    "phase": _STRING_OR_NULL,
    "calls": _object(dict.fromkeys(("total", "settled", "running", "queued", "waiting"), _INTEGER)),
    "agents": _OBJECT,
    "run_usage": _OBJECT,
    "caps": _OBJECT,
    "permissions": {"type": "array", "items": _STRING},
    "reasons": _OBJECTS,
    "reasons_total": _INTEGER,
    "nulls": _OBJECTS,
    "nulls_total": _INTEGER,
    "questions": {**_OBJECTS, "description": "Open questions of ask(), for answer_question."},
    "questions_total": _INTEGER,
    "active_seconds": _NUMBER,
    "next": {**_STRING, "description": "One thing to do now."},
}
_STATUS = _object(_STATUS_PROPERTIES, tuple(_STATUS_PROPERTIES))
_DONE = _object({"run_id": _STRING, "outcome": _STRING}, ("run_id", "outcome"))

TOOLS: tuple[Declared, ...] = (
    Declared(
        "read_guide",
        "How to write workflows",
        "The guide to writing workflow scripts: format, functions, options, a good example. Read it first.",
        _object({}),
        _object({"guide": _STRING}, ("guide",)),
        is_read_only=True,
        is_idempotent=True,
    ),
    Declared(
        "list_workflows",
        "List workflows",
        "The workflows that can be run by name in this project: its own, the user's, and those that ship with Pawl.",
        _object({}),
        _object({"workflows": _OBJECTS}, ("workflows",)),
        is_read_only=True,
        is_idempotent=True,
    ),
    Declared(
        "check_workflow",
        "Check a workflow",
        "Everything that is wrong with a workflow script, without running it: place, what, how to mend it. Give "
        "exactly one of script, name, path. Check before you run.",
        _object(
            {**_SCRIPT, "portable": {**_BOOLEAN, "description": "Also what other runtimes of the dialect refuse."}}
        ),
        _object(
            {
                "file": _STRING,
                "ok": _BOOLEAN,
                "errors": _INTEGER,
                "warnings": _INTEGER,
                "more": _INTEGER,
                "name": _STRING_OR_NULL,
                "problems": _OBJECTS,
            },
            ("ok", "problems"),
        ),
        is_read_only=True,
        is_idempotent=True,
        takes_script=True,
    ),
    Declared(
        "simulate_workflow",
        "Simulate a workflow",
        "What a workflow would do with made-up answers, and what it might cost: phases, how many agents at once, an "
        "estimate of tokens and dollars. Asks no model, touches nothing. Give exactly one of script, name, path.",
        _object({**_SCRIPT, **_ARGS}),
        _object(
            {
                "name": _STRING,
                "status": _STRING,
                "error": {"type": ["object", "null"]},
                "degraded": _BOOLEAN,
                "agents": _INTEGER,
                "phases": _OBJECTS,
                "estimate": _OBJECT,
            },
            ("name", "status", "error", "degraded", "agents", "phases", "estimate"),
        ),
        is_read_only=True,
        is_idempotent=True,
        takes_script=True,
    ),
    Declared(
        "run_workflow",
        "Run a workflow",
        "Starts a workflow in the background and returns its run_id at once; it goes on whatever becomes of you. Then "
        "use wait_for_run and run_result. Give exactly one of script, name, path. Caps may be lower than the person's "
        "settings, never higher. Host effects (commands, files, questions) are only those that the person allowed.",
        _object(
            {
                **_SCRIPT,
                **_ARGS,
                **_MODEL,
                **_CAPS,
                "run_id": {**_RUN_ID, "description": "A name for the run; refused when it exists. Safe to retry with."},
            }
        ),
        _STARTED,
        starts_agents=True,
        takes_script=True,
    ),
    Declared(
        "list_runs",
        "List runs",
        "The runs of this project, newest first.",
        _object({"limit": {"type": "integer", "minimum": 1, "maximum": 500, "default": 20}}),
        _object(
            {"runs": _OBJECTS, "more": {**_BOOLEAN, "description": "There are older runs than these."}},
            ("runs", "more"),
        ),
        is_read_only=True,
        is_idempotent=True,
    ),
    Declared(
        "run_status",
        "Status of a run",
        "How a run stands: status, calls, cost, what ended in null and why, open questions, and what to do next.",
        _object({"run_id": _RUN_ID}, ("run_id",)),
        _STATUS,
        is_read_only=True,
        is_idempotent=True,
    ),
    Declared(
        "wait_for_run",
        "Wait for a run",
        "Waits until a run has ended or asks a question, at most timeout_seconds; then gives its status. With a "
        "progress token it tells how far the run is. has_ended false means: call it again.",
        _object(
            {
                "run_id": _RUN_ID,
                "timeout_seconds": {
                    "type": "number",
                    "minimum": 0,
                    "maximum": MOST_WAIT_S,
                    "default": USUAL_WAIT_S,
                    "description": "More than your own time limit for a tool call is of no use.",
                },
            },
            ("run_id",),
        ),
        _STATUS,
        is_read_only=True,
        is_idempotent=True,
    ),
    Declared(
        "run_result",
        "Result of a run",
        "What a run returned, a page at a time: `text` is the characters from `offset` on; when `next` is not null, "
        "ask again with it as offset. `format` says whether the whole is a text or JSON. A failed run has `error`.",
        _object(
            {
                "run_id": _RUN_ID,
                "offset": {"type": "integer", "minimum": 0, "default": 0},
                "limit": {"type": "integer", "minimum": 1, "maximum": MOST_PAGE, "default": USUAL_PAGE},
            },
            ("run_id",),
        ),
        _object(
            {
                "run_id": _STRING,
                "version": _INTEGER,
                "status": _STRING,
                "degraded": _BOOLEAN,
                "error": {"type": ["object", "null"]},
                "format": {"enum": ["text", "json"]},
                "total": {**_INTEGER, "description": "Characters of the whole."},
                "offset": _INTEGER,
                "text": _STRING,
                "next": {"type": ["integer", "null"], "description": "The offset of the next page; null at the end."},
            },
            ("run_id", "version", "status", "degraded", "error", "format", "total", "offset", "text", "next"),
        ),
        is_read_only=True,
        is_idempotent=True,
    ),
    Declared(
        "resume_run",
        "Resume a run",
        "Goes on with a run that was interrupted, paused, cancelled or failed, or runs it again edited: with another "
        "script or other args. What it has already paid for is reused where it still fits. Returns at once.",
        _object(
            {
                "run_id": _RUN_ID,
                "script": _SCRIPT["script"],
                **_ARGS,
                "rerun": {
                    "type": "array",
                    "items": _text("A label, or a call's number.", 500),
                    "maxItems": 100,
                    "description": "Calls to ask again.",
                },
                **_MODEL,
                **_CAPS,
            },
            ("run_id",),
        ),
        _STARTED,
        starts_agents=True,
    ),
    Declared(
        "cancel_run",
        "Cancel a run",
        "Stops a run and everything that it started. What was recorded stays; resume_run goes on with it.",
        _object({"run_id": _RUN_ID}, ("run_id",)),
        _DONE,
        is_destructive=True,
        is_idempotent=True,
    ),
    Declared(
        "answer_question",
        "Answer a question",
        "Answers a question that a script asks with ask(); run_status lists them. Ask the person when you do not know. "
        "Permissions that a subagent asks for are not yours to give.",
        _object(
            {
                "run_id": _RUN_ID,
                "call": {"type": "integer", "minimum": 1, "description": "The question's `call`."},
                "answer": {
                    "type": ["string", "object", "array", "number", "boolean", "null"],
                    "description": "One of its choices, a value of its schema, or a text.",
                },
            },
            ("run_id", "call", "answer"),
        ),
        _DONE,
    ),
)

BY_NAME = {tool.name: tool for tool in TOOLS}
