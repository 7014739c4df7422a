"""The seams: what the run loop needs of a journal, a backend, a clock. Real and test parts are peers behind them.

Nothing here does anything. The contract suites in `tests/contract` hold every implementation to these words.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Protocol

from engine.values import (
    AgentAnswer,
    AgentRequest,
    AttemptRow,
    CallRow,
    Control,
    DeliveryRow,
    EventRow,
    Found,
    Json,
    LoadRow,
    NewVersion,
    Record,
    Row,
    RunInfo,
    RunStatus,
    SettlementRow,
    TurnRow,
    VersionEnd,
    VersionInfo,
    WorktreeRow,
)


class Backend(Protocol):
    """Something that answers one agent request. One instance serves all calls of a run, concurrently."""

    name: str

    async def run(self, request: AgentRequest, emit: Callable[[dict[str, Json]], None]) -> AgentAnswer:
        """Answers `request`.

        `emit` takes progress: `{"tokens": n}` (output so far: the sign of life that the stall watch looks for),
        `{"tool": name}` while a tool runs and `{"tool": None}` after it (the watch stands still), `{"waiting": why}`,
        `{"usage": {…}}` so far, `{"turn": n}` before a model is asked again (where a call that has reached a cap is
        stopped: give the loop a turn after it), `{"notice": text, "code": …}` (one warning of the run for each code).
        A session handle is given early as `{"session": id}`, so that an interrupted call can go on. What is said and
        done goes on record with `request.trail`.

        Raises:
            AgentError: `retryable` or not. Anything else that is raised is a bug of the backend.
        Cancellation must stop all work that costs money and leave no process behind.
        """
        ...

    async def close(self) -> None: ...


class Writer(Protocol):
    """The owner's pen for one run. Rows become durable in the order they were added, in groups (I1).

    The lease's fencing number is checked inside every commit: an owner that lost the lease writes nothing (I8).
    """

    version: int

    def add(self, row: Row, then: Callable[[], None] | None = None) -> None:
        """Puts `row` into the next commit; `then` runs on the event loop once that commit has been synced."""
        ...

    async def flush(self) -> None:
        """Returns when everything added so far is durable. Raises `JournalError` when a commit failed."""
        ...

    async def end(self, end: VersionEnd) -> None:
        """Flushes, writes how the version ended, and gives the lease back."""
        ...

    async def retire(self, calls: Iterable[int]) -> None:
        """Marks records that no later request may reuse (`--rerun`)."""
        ...

    async def controls(self) -> Sequence[Control]:
        """Control messages not acted on yet, oldest first."""
        ...

    async def acted(self, control_id: int, outcome: str) -> None:
        """Marks a control message as acted on; `outcome` is shown to whoever sent it."""
        ...

    def mark(self, status: RunStatus) -> None:
        """Shows others that the run is `running` or `waiting` (for people: its minutes stand still). Written soon."""
        ...

    def on_control(self, callback: Callable[[], None]) -> None:
        """Calls `callback` on the event loop soon (200 ms) after a control message arrived. No hot polling."""
        ...

    def on_lost(self, callback: Callable[[Exception], None]) -> None:
        """Calls `callback` once, with the error, when the lease is lost or a commit failed: stop at once."""
        ...

    def forget(self) -> None:
        """Drops the lease without writing (a crash in a test; a forced exit)."""
        ...


class Journal(Protocol):
    """Everything durable. Reading never needs a lease and never blocks a writer."""

    async def create_run(self, run_id: str, *, name: str, project: str, version: NewVersion) -> Writer:
        """Makes the run with version 1 and takes its lease.

        Raises:
            UsageError: `run_exists`.
        """
        ...

    async def resume_run(self, run_id: str, version: NewVersion) -> Writer:
        """Takes the lease of a run that nobody drives and starts its next version.

        Raises:
            JournalError: `run_driven`: a live process drives it (its host and pid in `fields`).
            UsageError: `unknown_run`.
        """
        ...

    async def run_info(self, run_id: str) -> RunInfo:
        """Raises `UsageError` (`unknown_run`, with near names)."""
        ...

    def runs(self) -> AsyncIterator[RunInfo]:
        """Newest first."""
        ...

    async def version(self, run_id: str, version: int | None = None) -> VersionInfo:
        """The newest version by default. Raises `UsageError` (`unknown_version`)."""
        ...

    async def records(self, run_id: str) -> list[Record]:
        """All calls of all versions, by call number. Inline values come as they are; large ones are read in."""
        ...

    async def calls(self, run_id: str, version: int) -> list[CallRow]:
        """The requests of one version, by number; `content` is filled in for reused ones too."""
        ...

    async def settlements(self, run_id: str) -> dict[int, SettlementRow]: ...

    async def attempts(self, run_id: str) -> list[AttemptRow]: ...

    async def deliveries(self, run_id: str, version: int) -> list[DeliveryRow]: ...

    async def loads(self, run_id: str, version: int) -> list[LoadRow]: ...

    async def turns(self, run_id: str, call: int | None = None) -> list[TurnRow]:
        """The conversation of one call (or of all), over all versions, in the order they were written."""
        ...

    async def worktrees(self, run_id: str) -> list[WorktreeRow]:
        """Every row, over all versions, in the order they were written."""
        ...

    async def events(self, run_id: str, version: int | None = None, after: int = 0) -> list[EventRow]: ...

    async def search(self, words: str, run_id: str | None = None, *, limit: int = 50) -> list[Found]:
        """Turns in which all the words occur, newest first: `"a phrase"` as it stands, `begin*` as a beginning."""
        ...

    async def send_control(self, run_id: str, kind: str, call: int | None = None, value: Json = None) -> Control: ...

    async def control_outcome(self, control_id: int) -> str | None:
        """What `acted` said, or None while nobody acted on it."""
        ...

    async def await_outcome(self, control_id: int, *, timeout_s: float) -> str | None:
        """What `acted` said, as soon as it is said; None when nobody acted in time."""
        ...

    async def is_driven(self, run_id: str) -> bool:
        """Whether a live process holds the run's lease."""
        ...

    async def verify(self, run_id: str | None = None) -> list[dict[str, Any]]:
        """Every record whose checksum does not fit: `{"run_id", "table", "row", "problem"}`; empty when all is well."""
        ...

    async def close(self) -> None: ...


class Alarm(Protocol):
    """A callback that is due at some time."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Wall time for records, monotonic time for waits; tests turn it by hand."""

    def now_ms(self) -> int: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Alarm:
        """Runs `callback` on the event loop in `seconds`, once, unless the alarm is cancelled before."""
        ...
