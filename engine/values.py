"""Frozen values that all parts share. No behaviour beyond what a value needs, no IO, no import but `errors`.

Money is in US dollars, times are whole milliseconds since 1970 (UTC) unless a name says `_s`, sizes are bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, TypeAlias

from engine.errors import UsageError

Json: TypeAlias = Any
"""A value that JSON can hold: None, bool, int, float, str, list, dict with string keys."""

RUN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


def check_run_id(run_id: str) -> str:
    """Returns `run_id`; raises `UsageError` when it is not `[A-Za-z0-9._-]{1,64}` or is `.` or `..`."""
    if not RUN_ID.match(run_id) or run_id in (".", ".."):
        raise UsageError(
            f"{run_id!r} is not a run id: expected 1 to 64 of A-Z a-z 0-9 . _ -",
            code="bad_run_id",
            hint="Choose another --run-id, or leave it out and one is made.",
        )
    return run_id


class RunStatus(StrEnum):
    """Where a run, or one version of it, stands. The last five are ends."""

    RUNNING = "running"
    WAITING = "waiting"  # alive, but only people can move it on
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"


class CallKind(StrEnum):
    """What a script can ask the host for. Each is recorded, has a lane and an identity, and is delivered in order."""

    AGENT = "agent"
    TIMER = "timer"  # sleep() and setTimeout()
    CHECK = "check"
    ASK = "ask"
    READ_FILE = "readFile"
    WRITE_FILE = "writeFile"
    GLOB = "glob"
    EXISTS = "exists"
    MERGE = "mergeWorktree"


class Outcome(StrEnum):
    """How a call ended. `null` and `failed` are disjoint: null was returned, failed was thrown."""

    OK = "ok"  # value
    NULL = "null"  # the script gets null; `reason` says why
    FAILED = "failed"  # the script gets `error` thrown, after at least one attempt
    REFUSED = "refused"  # the script gets `error` thrown; nothing was dispatched
    CANCELLED = "cancelled"  # never delivered: the script had withdrawn it


@dataclass(frozen=True, slots=True)
class Usage:
    """What was paid for. `cost_usd` is 0.0 where no price is known."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cost_usd + other.cost_usd,
        )

    def to_json(self) -> dict[str, Json]:
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": round(self.cost_usd, 9),
        }


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class AgentDefinition:
    """A kind of subagent that `agentType` names. Its text is part of a call's key.

    Attributes:
        tools: canonical names of those it may use; None for all that there are.
        source: where it is from, for people.
        problems: what its file asks for and does not get.
    """

    name: str
    description: str
    prompt: str = ""
    model: str | None = None
    tools: tuple[str, ...] | None = None
    source: str = "built in"
    problems: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What of it can change an answer: its part of a call's key. Not where it came from: another machine's path."""
        tools = "default" if self.tools is None else ",".join(self.tools)
        return f"{self.name}\n{self.model or ''}\n{tools}\n{self.prompt}"


class TurnRow(NamedTuple):
    """One step of a subagent's conversation, on disk before the next one begins.

    Attributes:
        attempt: of the call, over the life of the run.
        seq: place in the conversation of the call, from 1, over all its attempts.
        role: `user` (what it was asked, feedback and notes of ours included), `assistant` (what a model said),
            `tool` (a tool's result), `session` (a backend's own handle of the conversation), `continued` (the first
            turn, where the call goes on from another: `call` names it), `check` (how the option `check` ended), `judge`
            (a verdict on the goal), `candidates` (what was proposed for the step that comes next, and what was chosen).
        body: JSON text (UTF-8), masked. `text` is what people read and what a search finds; an `assistant` may have
            `calls` (`[{"id", "name", "args"}]`), `model`, `usage` and `native` (the message as its library needs it to
            go on); a `tool` has `id`, `name`, `ok`; a `session` has `session`; a `check` has `command`, `exit_code`,
            `ok`; a `judge` has `judge`, `model`, `usage` and `verdict`, or `said` when that did not count; `candidates`
            have `proposals`, `chosen`, `reason`, and as `usage` all that the step cost beside the one that was chosen.
    """

    call: int
    attempt: int
    seq: int
    role: str
    at: int
    body: bytes


class Trail(Protocol):
    """The conversation of one call on record: what earlier attempts left, and the way to add to it.

    Attributes:
        earlier: the turns of earlier attempts, oldest first: where a backend that can goes on from.
    """

    earlier: Sequence[TurnRow]

    async def add(self, role: str, body: dict[str, Json], *, wait: bool = True) -> dict[str, Json]:
        """Puts a turn on record; returns the body as it is recorded: with its secrets masked. What a backend then shows
        a model must be this, so that what is on record is what was said (I9).

        Args:
            wait: until it is durable, and all turns before it. Needed before anything acts on what was said; without
                it the turn is on disk some milliseconds later, and never after one that was added later.
        """
        ...


class NoTrail:
    """Keeps nothing: for backends without a conversation, and for tests."""

    earlier: Sequence[TurnRow] = ()

    async def add(self, role: str, body: dict[str, Json], *, wait: bool = True) -> dict[str, Json]:
        return body


NO_TRAIL: Trail = NoTrail()


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a judge said.

    Attributes:
        value: the object, which fits the schema that was asked for.
        shown: the question as the judge got it.
        judge: who it was, for people: `openai:gpt-5-mini`.
    """

    value: dict[str, Json]
    shown: str
    judge: str
    model: str | None = None
    usage: Usage = NO_USAGE


class Judge(Protocol):
    """A model that gives a second opinion, in a conversation of its own.

    Attributes:
        is_made_up: nobody judges: `sample`.
    """

    @property
    def is_made_up(self) -> bool: ...

    async def ask(
        self,
        question: Callable[[int], str],
        schema: dict[str, Json],
        emit: Callable[[dict[str, Json]], None],
        *,
        feedback: tuple[tuple[str, str], ...] = (),
    ) -> Opinion:
        """
        Args:
            question: gives the question in at most so many characters.
            feedback: former answers to this question, and why they did not do.

        Raises:
            AgentError: `judge_failed`; `fields["usage"]` is what was paid all the same.
        """
        ...


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """One attempt at one `agent()` call, as a backend gets it. Everything in it is masked already.

    Attributes:
        identity: 32 bytes; equal for the same call in every version of a run.
        attempt: the attempt's number over the life of the run, from 1. Above 1, an earlier one was started and is
            not known to have finished.
        model: what to ask for, or None for the backend's default.
        schema: JSON Schema with an object at the root, or None for free text.
        workspace: absolute folder that the subagent works in.
        feedback: what a former answer in this attempt was and why it did not do, oldest first: shown to the model.
        session: the backend's own handle of an interrupted conversation, or None.
        tools: names of the tools it may use (`opts.tools`, narrowed by the agent definition), or None for all that the
            backend has. An empty tuple: none.
        is_named_tools: the tools were asked for by name: a backend without them refuses the call.
        trail: where the conversation is kept.
        candidates: proposals for each step (S71); above 1 only for backends that can draw several.
        judge: chooses among them.
    """

    run_id: str
    call: int
    identity: bytes
    attempt: int
    prompt: str
    workspace: str
    schema: dict[str, Json] | None = None
    model: str | None = None
    effort: str | None = None
    definition: AgentDefinition | None = None
    label: str | None = None
    feedback: tuple[tuple[str, str], ...] = ()
    session: str | None = None
    tools: tuple[str, ...] | None = None
    is_named_tools: bool = False
    trail: Trail = NO_TRAIL
    candidates: int = 1
    judge: Judge | None = None


@dataclass(frozen=True, slots=True)
class AgentAnswer:
    """What a backend returns: `value` is the text, or the object when the request had a schema (not validated yet).

    Attributes:
        meta: what else is worth keeping of it, into the settlement's `meta`: `worktree`, `fell_back`, `notices`,
            `verdicts`.
    """

    value: Json
    usage: Usage = NO_USAGE
    model: str | None = None
    session: str | None = None
    meta: dict[str, Json] = field(default_factory=dict)


class CallRow(NamedTuple):
    """A request that a version of a run made. A tuple, because ten thousand of them are made at once.

    Attributes:
        call: the record's number, unique in the life of the run: the same call in a later version keeps it.
        number: its place among the requests of this version, from 1: the CALL of the command line.
        content: canonical JSON (UTF-8) of everything that was asked, masked; empty when an earlier version's row of
            the same `call` holds it.
    """

    call: int
    number: int
    kind: str
    lane: str
    key: bytes
    history: bytes
    occurrence: int
    label: str | None
    phase: str | None
    content: bytes
    made_at: int


class AttemptRow(NamedTuple):
    """One start of a backend (or of a host effect), on disk before it is called."""

    call: int
    attempt: int
    backend: str
    model: str | None
    started_at: int


class SettlementRow(NamedTuple):
    """How a call ended. `value` is JSON text (UTF-8), delivered exactly as stored; empty when there is none.

    Attributes:
        order: place in the run's single order of delivery, over all versions. 0 for a cancelled call.
        reason: why the value is null, or why it was refused or cancelled; for people and programs: `code: text`.
        error: JSON text of the error thrown into the script (`failed`, `refused`), else empty.
        settled_at: logical milliseconds; never smaller than that of the order before.
        meta: JSON text with what else is known: attempts, masked places, duration_ms, retries.
    """

    call: int
    order: int
    outcome: str
    value: bytes
    reason: str | None
    error: bytes
    backend: str | None
    model: str | None
    input_tokens: int
    output_tokens: int
    cost_usd: float
    settled_at: int
    meta: bytes


class EventRow(NamedTuple):
    """Something to show: a phase, a log line, a warning. `body` is JSON text (UTF-8)."""

    seq: int
    kind: str
    at: int
    body: bytes


class DeliveryRow(NamedTuple):
    """A stretch of deliveries of this version, in order: `calls` were handed to the script from place `position` on."""

    position: int
    calls: tuple[int, ...]


class LoadRow(NamedTuple):
    """A child workflow as this version resolved it: `ref` is what was asked for (canonical JSON text), `script` its
    text, or `error` the JSON text of the error thrown instead."""

    ref: str
    name: str
    path: str
    script: bytes
    error: bytes


class WorktreeRow(NamedTuple):
    """A step in the life of a call's worktree; the newest row says how it stands.

    Attributes:
        state: `made`, `removed` (nothing was changed in it), `kept` (changed: branch and path are there for people),
            `merged`, `conflict` (a merge stopped at conflicts and was taken back).
        path: absolute folder of the worktree; `branch` its branch; `base` the commit it started from.
        body: JSON text: `summary` (`git diff --stat` of what changed), `files`, `conflicts`, `dirty` (the base had
            uncommitted changes that were taken along).
    """

    call: int
    state: str
    path: str
    branch: str
    base: str
    at: int
    body: bytes


FOUND_MARKS = ("⟦", "⟧")
"""Around what was found, in the snippets of a search: rare in any text."""


class Found(NamedTuple):
    """A turn in which all words of a search occur. `call`: the record's number; `snippet`: the place in its text."""

    run_id: str
    version: int
    call: int
    attempt: int
    seq: int
    role: str
    at: int
    snippet: str


Row: TypeAlias = CallRow | AttemptRow | SettlementRow | EventRow | DeliveryRow | LoadRow | TurnRow | WorktreeRow


class Record(NamedTuple):
    """What a resume needs of a call of earlier versions: identity, and the settlement if there is one."""

    call: int
    kind: str
    key: bytes
    history: bytes
    occurrence: int
    label: str | None
    retired: bool
    attempts: int
    backend: str | None
    settlement: SettlementRow | None


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What is written down when a version of a run starts.

    Attributes:
        args: canonical JSON text of the args, masked, or None when none were given (`undefined`).
        settings: effective settings of this version (caps, backend, model, concurrency, policy…), JSON.
        engine: ids of engine, library, Python and sandbox level in force, JSON.
        permissions: host effects that a person allowed, sorted.
    """

    script: bytes
    script_path: str | None
    meta: dict[str, Json]
    args: bytes | None
    settings: dict[str, Json]
    engine: dict[str, Json]
    permissions: tuple[str, ...]
    started_at: int


@dataclass(frozen=True, slots=True)
class VersionEnd:
    """How a version ended. `result` is JSON text; `counts` the `agents` object of the command line."""

    status: RunStatus
    result: bytes | None
    error: dict[str, Json] | None
    degraded: bool
    counts: dict[str, int]
    usage: Usage
    active_ms: int
    ended_at: int


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """A version as it is on disk. The fields after `started_at` are unset while it lives."""

    version: int
    script: bytes
    script_path: str | None
    meta: dict[str, Json]
    args: bytes | None
    settings: dict[str, Json]
    engine: dict[str, Json]
    permissions: tuple[str, ...]
    started_at: int
    end: VersionEnd | None = None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run as it is on disk.

    Attributes:
        seed: 16 bytes that the script's random numbers come from, made from the run id.
        status: of the newest version; `interrupted` when it has no end and nobody drives it.
        paid: what the run has paid in all its versions; agents dispatched; milliseconds driven.
    """

    run_id: str
    name: str
    project: str
    created_at: int
    status: RunStatus
    versions: int
    paid: Usage = NO_USAGE
    agents: int = 0
    active_ms: int = 0
    degraded: bool = False
    owner: str | None = None
    extra: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Control:
    """A durable message to whoever drives a run: `pause`, `cancel`, `skip`, `retry`, `answer`."""

    control_id: int
    kind: str
    call: int | None
    value: Json
    created_at: int
