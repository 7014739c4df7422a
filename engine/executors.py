"""Who carries out a call: the seam between the dispatcher and backends, commands, files, people.

An executor knows nothing of queues, slots, retries or budgets. It may be cancelled at any await and then leaves nothing
behind. What it raises decides how the call ends: see the table in `engine/dispatch.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from engine.retrying import RetryPolicy
from engine.values import AgentAnswer, CallKind, Json

Emit: TypeAlias = Callable[[dict[str, Json]], None]
"""Progress; the words are those of `engine.ports.Backend.run`."""


@dataclass(slots=True)
class Job:
    """One call to carry out.

    Attributes:
        content: what was asked, masked, under the names of the script's options: `prompt`, `schema`, `model`,
            `timeoutMinutes`, `retry`… for an agent, `command`, `cwd`, `timeoutMinutes` for a check, `path`, `text`,
            `pattern` for files, `question`, `choices`, `schema`, `default`, `timeoutMinutes` for a person.
        phase: the group that the call belongs to.
        attempts_before: attempts that earlier versions of the run started and that are on record.
        goes_on_from: an earlier call of the run that asked the same and was stopped short: its conversation goes on.
        session: the backend's handle of an interrupted conversation; kept up to date while attempts run.
        due_ms: when a timer is due, wall time.
    """

    call: int
    kind: CallKind
    content: dict[str, Json]
    identity: bytes
    attempts_before: int = 0
    goes_on_from: int | None = None
    label: str | None = None
    phase: str | None = None
    session: str | None = None
    due_ms: int | None = None


class Patience(NamedTuple):
    """Seconds; None is no limit.

    Attributes:
        stall_s: silence in the middle of an answer that ends an attempt.
        wait_s: the longest single wait that a backend may ask for.
    """

    stall_s: float | None = None
    wait_s: float | None = None


class Executor(Protocol):
    """Carries out calls of one kind."""

    def backend(self, job: Job) -> str:
        """Who will do it, for the record."""
        ...

    def model(self, job: Job) -> str | None:
        """The model as asked for, before anybody answered."""
        ...

    def check(self, job: Job) -> None:
        """Raises `PawlError` when the job can be refused without a start: nothing is spent, nothing is recorded."""
        ...

    def timeout_s(self, job: Job) -> float | None:
        """Seconds that one attempt may take, or None when the executor keeps to a time of its own."""
        ...

    def retry_policy(self, job: Job) -> RetryPolicy: ...

    def line(self, job: Job) -> str:
        """Whose rate limits count: calls of one line are slowed down together."""
        ...

    def patience(self, job: Job) -> Patience:
        """How long this call waits for a silent or busy backend."""
        ...

    async def run(self, job: Job, attempt: int, emit: Emit) -> AgentAnswer: ...


class HostEffect:
    """An executor around one coroutine function: a command, a file, a question. Never retried: it may have acted."""

    def __init__(self, run: Callable[[Job, Emit], Awaitable[Json]], *, name: str = "host") -> None:
        self._run = run
        self._name = name

    def backend(self, job: Job) -> str:
        return self._name

    def model(self, job: Job) -> str | None:
        return None

    def check(self, job: Job) -> None:
        pass

    def timeout_s(self, job: Job) -> float | None:
        return None

    def retry_policy(self, job: Job) -> RetryPolicy:
        return RetryPolicy(attempts=1)

    def line(self, job: Job) -> str:
        return self._name

    def patience(self, job: Job) -> Patience:
        return Patience()

    async def run(self, job: Job, attempt: int, emit: Emit) -> AgentAnswer:
        return AgentAnswer(await self._run(job, emit))
