"""Read-only views of what is recorded: a version, its calls, its result. Every number of `pawl show` comes from here.

A `Reading` is what the journal says about one version of a run, taken once; everything else is a pure function of it.
Nothing here writes, needs a lease or blocks a writer. Keeps I7: whatever ended in null, a refusal or a throw is listed
with its reason.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.errors import UsageError
from engine.events import WARNINGS_THAT_DEGRADE
from engine.options import RunResult
from engine.ports import Journal
from engine.values import (
    NO_USAGE,
    AttemptRow,
    CallKind,
    CallRow,
    EventRow,
    Json,
    LoadRow,
    Outcome,
    RunInfo,
    RunStatus,
    SettlementRow,
    Usage,
    VersionInfo,
    WorktreeRow,
    check_run_id,
)

SUBJECT = ("prompt", "command", "question", "path", "pattern", "branch", "ms")
"""The member of a request's content that tells most about it, by kind of call."""


def parse_reference(text: str) -> tuple[str, int | None]:
    """`RUN` or `RUN@V` as run id and version (None: the newest). Raises `UsageError` (`bad_run_id`)."""
    run_id, at, number = text.partition("@")
    check_run_id(run_id)
    if not at:
        return run_id, None
    if not (number.isascii() and number.isdigit() and int(number) > 0):
        raise UsageError(
            f"{text!r} names no version: expected RUN@V with V from 1, found {number!r}",
            code="bad_run_id",
            hint=f"pawl show {run_id} lists the versions.",
        )
    return run_id, int(number)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the journal said about one version of a run at one moment.

    Attributes:
        versions: all versions so far, oldest first; `version` is the one that was asked for.
        is_driven: a live process drives the run (so its newest version is not at its end).
    """

    info: RunInfo
    version: VersionInfo
    versions: tuple[VersionInfo, ...]
    is_driven: bool
    calls: Sequence[CallRow] = ()
    settlements: Mapping[int, SettlementRow] = field(default_factory=dict)
    attempts: Sequence[AttemptRow] = ()
    loads: Sequence[LoadRow] = ()
    events: Sequence[EventRow] = ()
    worktrees: Sequence[WorktreeRow] = ()

    @property
    def is_newest(self) -> bool:
        return self.version.version == self.versions[-1].version

    @property
    def is_live(self) -> bool:
        return self.is_driven and self.is_newest and self.version.end is None

    @property
    def status(self) -> RunStatus:
        """Of this version. One that has no end and no driver was interrupted, whatever it wrote last."""
        if self.version.end is not None:
            return self.version.end.status
        if not self.is_live:
            return RunStatus.INTERRUPTED
        return self.info.status if self.info.status is RunStatus.WAITING else RunStatus.RUNNING

    @property
    def ended_at(self) -> int | None:
        """When this version stopped writing: its end, else the start of the next; None while it may go on."""
        if self.version.end is not None:
            return self.version.end.ended_at
        later = [v.started_at for v in self.versions if v.version > self.version.version]
        return later[0] if later else None


async def read(journal: Journal, reference: str) -> Reading:
    """The reading of `RUN` or `RUN@V`. Raises `UsageError` (`unknown_run`, `unknown_version`, `bad_run_id`)."""
    run_id, wanted = parse_reference(reference)
    info = await journal.run_info(run_id)
    version = await journal.version(run_id, wanted)
    versions = tuple([await journal.version(run_id, number) for number in range(1, info.versions + 1)])
    return Reading(
        info=info,
        version=version,
        versions=versions,
        is_driven=await journal.is_driven(run_id),
        calls=await journal.calls(run_id, version.version),
        settlements=await journal.settlements(run_id),
        attempts=await journal.attempts(run_id),
        loads=await journal.loads(run_id, version.version),
        events=await journal.events(run_id, version.version),
        worktrees=await journal.worktrees(run_id),
    )


@dataclass(frozen=True, slots=True)
class CallView:
    """One request of one version, with all that became of it.

    Attributes:
        call: the CALL of the command line; `record`: its number in the life of the run.
        outcome: a value of `Outcome`, or where it stands: `queued`, `running`, `waiting` (for a person), `interrupted`.
        reused: its result was recorded by an earlier version; this one paid nothing for it.
        attempts: starts over the life of the run.
        settled_at: None while it is not settled as far as this version is concerned.
    """

    call: int
    record: int
    kind: str
    label: str | None
    phase: str | None
    lane: str
    outcome: str
    reason: str | None
    reused: bool
    attempts: int
    backend: str | None
    model: str | None
    usage: Usage
    requested_at: int
    started_at: int | None
    settled_at: int | None
    row: CallRow
    settlement: SettlementRow | None
    tree: WorktreeRow | None

    @property
    def content(self) -> dict[str, Json]:
        return parsed(self.row.content) or {}

    @property
    def meta(self) -> dict[str, Json]:
        """What else is known of its settlement: `asked_model`, `fell_back`, `retries`, `notices`…"""
        return (parsed(self.settlement.meta) or {}) if self.settlement is not None else {}

    @property
    def worktree(self) -> dict[str, Json] | None:
        """As it stands now, in whatever version that was written. A record of another run has only what it was then."""
        return _worktree(self.tree) if self.tree is not None else self.meta.get("worktree")

    @property
    def title(self) -> str:
        """Its label, else the first words of what was asked."""
        return self.label or subject(self.kind, self.content)

    @property
    def duration_ms(self) -> int | None:
        if self.settlement is None or self.settled_at is None or self.started_at is None:
            return None
        if (measured := self.meta.get("duration_ms")) is not None:
            return int(measured)
        return max(0, self.settled_at - self.started_at)

    def to_json(self) -> dict[str, Json]:
        duration = self.duration_ms
        return {
            "call": self.call,
            "record": self.record,
            "kind": self.kind,
            "label": self.label,
            "title": self.title,
            "phase": self.phase,
            "lane": self.lane,
            "outcome": self.outcome,
            "reason": self.reason,
            "reused": self.reused,
            "attempts": self.attempts,
            "backend": self.backend,
            "model": self.model,
            "usage": self.usage.to_json(),
            "requested_at": self.requested_at,
            "started_at": self.started_at,
            "settled_at": self.settled_at,
            "seconds": None if duration is None else duration / 1000,
            "worktree": self.worktree,
        }

    def details(self) -> dict[str, Json]:
        """`to_json` and everything else that is known: what was asked, what came back, the hashes behind reuse."""
        found = self.settlement
        return {
            **self.to_json(),
            "content": self.content,
            "value": parsed(found.value) if found else None,
            "error": parsed(found.error) if found else None,
            "order": found.order if found else None,
            "key": self.row.key.hex(),
            "history": self.row.history.hex(),
            "occurrence": self.row.occurrence,
            "identity": identity_hex(self.row),
            "meta": self.meta,
        }


def identity_hex(row: CallRow) -> str:
    """The hash that a resume looks for, as the run loop makes it."""
    from engine.identity import call_identity

    return call_identity(row.key, row.history, row.occurrence).hex()


def subject(kind: str, content: Mapping[str, Json]) -> str:
    """What a call is about, on one line: the start of its prompt, command, question or path."""
    for name in SUBJECT:
        if (value := content.get(name)) is not None:
            words = " ".join(str(value).split())
            return words if len(words) <= 60 else words[:59] + "…"
    return kind


def calls(reading: Reading) -> list[CallView]:
    """The requests of the version in the order they were made."""
    starts: dict[int, list[AttemptRow]] = defaultdict(list)
    for attempt in reading.attempts:
        starts[attempt.call].append(attempt)
    trees = {row.call: row for row in reading.worktrees}
    return [_view(row, reading, starts[row.call], trees.get(row.call)) for row in reading.calls]


def _view(row: CallRow, reading: Reading, starts: Sequence[AttemptRow], tree: WorktreeRow | None) -> CallView:
    ended_at, began_at = reading.ended_at, reading.version.started_at
    found = reading.settlements.get(row.call)
    if found is not None and ended_at is not None and found.settled_at > ended_at:
        found = None  # a later version finished it
    seen = [a for a in starts if ended_at is None or a.started_at <= ended_at]
    reused = found is not None and reading.version.version > 1 and found.settled_at < began_at
    mine = [a for a in seen if a.started_at >= began_at] or seen
    last = mine[-1] if mine else None
    return CallView(
        call=row.number,
        record=row.call,
        kind=row.kind,
        label=row.label,
        phase=row.phase,
        lane=row.lane,
        outcome=found.outcome if found else _standing(row, reading, has_started=last is not None),
        reason=found.reason if found else None,
        reused=reused,
        attempts=len(seen),
        backend=(found.backend if found else None) or (last.backend if last else None),
        model=(found.model if found else None) or (last.model if last else None),
        usage=Usage(found.input_tokens, found.output_tokens, found.cost_usd) if found else NO_USAGE,
        requested_at=row.made_at,
        started_at=last.started_at if last else None,
        settled_at=found.settled_at if found else None,
        row=row,
        settlement=found,
        tree=tree,
    )


def _standing(row: CallRow, reading: Reading, *, has_started: bool) -> str:
    if not reading.is_live:
        return "interrupted"
    if row.kind == CallKind.ASK:
        return "waiting"
    return "running" if has_started else "queued"


def find_call(reading: Reading, number: int) -> CallView:
    """The call `number` of the version. Raises `UsageError` (`unknown_call`)."""
    for row in reading.calls:
        if row.number == number:
            starts = [a for a in reading.attempts if a.call == row.call]
            return _view(row, reading, starts, {t.call: t for t in reading.worktrees}.get(row.call))
    name = f"{reading.info.run_id}@{reading.version.version}"
    count = len(reading.calls)
    raise UsageError(
        f"{name} has no call {number}: it made {count} call{'s' if count != 1 else ''}",
        code="unknown_call",
        hint=f"pawl show {name} --calls lists them.",
        run_id=reading.info.run_id,
        call=number,
    )


def counts(views: Iterable[CallView]) -> dict[str, int]:
    """The `agents` object of a result, for a version that has not written its own yet."""
    agents = [view for view in views if view.kind == CallKind.AGENT]
    outcomes = Counter(view.outcome for view in agents)
    reused = sum(view.reused for view in agents)
    return {
        "total": len(agents),
        "live": sum(1 for view in agents if not view.reused and view.attempts > 0),
        "reused": reused,
        "failed": outcomes[Outcome.FAILED],
        "null": outcomes[Outcome.NULL],
        "refused": outcomes[Outcome.REFUSED],
    }


def reasons(reading: Reading, views: Sequence[CallView] | None = None) -> list[dict[str, Json]]:
    """Why the version is degraded: `{"code", "text", "call"}` each, in the order of the calls, then of the log."""
    found: list[dict[str, Json]] = []
    for view in views if views is not None else calls(reading):
        if view.kind != CallKind.AGENT or not _degrades(view):
            continue
        text = view.reason or str((parsed(view.settlement.error) or {}).get("message", "")) if view.settlement else ""
        found.append({"code": view.outcome, "text": f"{view.title}: {text or 'no reason recorded'}", "call": view.call})
    for row in reading.events:
        body = parsed(row.body) or {}
        if body.get("code") in WARNINGS_THAT_DEGRADE:
            found.append({"code": body["code"], "text": str(body.get("text", "")), "call": body.get("call")})
    return found


def _degrades(view: CallView) -> bool:
    if view.outcome == Outcome.NULL:
        return not (view.reason or "").startswith("skipped")
    return view.outcome in (Outcome.FAILED, Outcome.REFUSED)


def usage(views: Iterable[CallView]) -> Usage:
    """What the version has paid so far."""
    total = NO_USAGE
    for view in views:
        if not view.reused:
            total += view.usage
    return total


def result(reading: Reading) -> RunResult:
    """What `pawl run --json` printed for this version, or would print if it stopped now."""
    end, views = reading.version.end, calls(reading)
    seconds = (end.active_ms if end else max(0, (reading.ended_at or 0) - reading.version.started_at)) / 1000
    return RunResult(
        run_id=reading.info.run_id,
        version=reading.version.version,
        status=reading.status,
        result=parsed(end.result) if end and end.result else None,
        error=end.error if end else None,
        degraded=end.degraded if end else bool(reasons(reading, views)),
        agents=end.counts if end else counts(views),
        usage=end.usage if end else usage(views),
        run_usage=reading.info.paid,
        seconds=seconds,
    )


def worktrees(reading: Reading) -> list[dict[str, Json]]:
    """The worktrees of the run's calls, each as it stands now, over all versions."""
    numbers = {row.call: row.number for row in reading.calls}
    newest = {row.call: row for row in reading.worktrees}
    return [{"call": numbers.get(row.call), **_worktree(row)} for row in newest.values()]


def _worktree(row: WorktreeRow) -> dict[str, Json]:
    return {
        "state": row.state,
        "path": row.path,
        "branch": row.branch,
        "base": row.base,
        "at": row.at,
        **{name: value for name, value in (parsed(row.body) or {}).items() if name in _OF_A_WORKTREE},
    }


_OF_A_WORKTREE = ("label", "files", "summary", "conflicts", "dirty", "commit")


def caps(version: VersionInfo) -> dict[str, Json]:
    """The caps that were in force, as `RunStarted.caps` has them."""
    return {name: version.settings.get(name) for name in ("concurrency", "agents", "tokens", "cost_usd", "minutes")}


def parsed(text: bytes | None) -> Json:
    """The JSON value of a stored text; None for an empty one."""
    return json.loads(text) if text else None
