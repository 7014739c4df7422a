"""Who carries out a call: the seam between the dispatcher and backends, commands, files, people.

An executor knows nothing of queues, slots, retries or budgets. It may be cancelled at any await and then leaves nothing
behind. What it raises decides how the call ends: see the table in `engine/dispatch.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from engine.errors import UsageError
from engine.retrying import RetryPolicy
from engine.settings import AgentSettings
from engine.values import AgentAnswer, AgentDefinition, AgentRequest, CallKind, Json
from engine.workspace import Workspace

Emit: TypeAlias = Callable[[dict[str, Json]], None]
"""Progress: `{"tokens": n}` or `{"usage": {…}}` so far, `{"tool": name}`, `{"waiting": why}`, `{"session": id}`."""


@dataclass(slots=True)
class Job:
    """One call to carry out.

    Attributes:
        content: what was asked, masked, under the names of the script's options: `prompt`, `schema`, `model`,
            `timeoutMinutes`, `retry`… for an agent, `command`, `cwd`, `timeoutMinutes` for a check, `path`, `text`,
            `pattern` for files, `question`, `choices`, `schema`, `default`, `timeoutMinutes` for a person.
        attempts_before: attempts that earlier versions of the run started and that are on record.
        session: the backend's handle of an interrupted conversation; kept up to date while attempts run.
        due_ms: when a timer is due, wall time.
    """

    call: int
    kind: CallKind
    content: dict[str, Json]
    identity: bytes
    attempts_before: int = 0
    label: str | None = None
    session: str | None = None
    due_ms: int | None = None


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

    async def run(self, job: Job, attempt: int, emit: Emit) -> AgentAnswer:
        return AgentAnswer(await self._run(job, emit))


NOT_YET = ("tools", "goal", "check", "candidates")
"""Options of S26, S70 and S71 that need a tool loop. Refused, for a call that ignored them would look like success."""

Ask: TypeAlias = Callable[[AgentRequest, Emit], Awaitable[AgentAnswer]]
"""Asks one backend until the answer fits the request or the rounds are used up (`engine/agents/answer.py`)."""


@dataclass(frozen=True, slots=True)
class Agents:
    """The executor of `agent()` calls: finds the backend, fills in the run's defaults, checks before anything is spent.

    Attributes:
        find: gives the way to ask the backend of a name; raises `UsageError` for one that does not exist.
        check_schema: raises for a schema that contradicts itself (S22).
        definitions: what `agentType` may name.
    """

    run_id: str
    workspace: str
    default_backend: str
    find: Callable[[str], Ask]
    check_schema: Callable[[dict[str, Json]], None]
    settings: AgentSettings = field(default_factory=AgentSettings)
    default_model: str | None = None
    default_effort: str | None = None
    definitions: Mapping[str, AgentDefinition] | None = None

    def backend(self, job: Job) -> str:
        return str(job.content.get("backend") or self.default_backend)

    def model(self, job: Job) -> str | None:
        model = job.content.get("model")
        if model is None and (definition := self._definition(job)) is not None:
            model = definition.model
        return model or self.default_model

    def check(self, job: Job) -> None:
        """Raises for what cannot work, before anything is spent.

        An option of a later version, an unknown `agentType`, backend or folder (S24, S26), a schema that nothing can
        satisfy (S22).
        """
        for name in NOT_YET:
            if name in job.content:
                raise UsageError(
                    f"agent() option '{name}' is not in this version of Pawl.",
                    code="unsupported_option",
                    hint="Leave it out; what it would promise cannot be kept yet.",
                )
        self._definition(job)
        self._folder(job)
        self.find(self.backend(job))
        if (schema := job.content.get("schema")) is not None:
            self.check_schema(schema)

    def timeout_s(self, job: Job) -> float | None:
        minutes = job.content.get("timeoutMinutes")
        return 60 * float(self.settings.timeout_minutes if minutes is None else minutes)

    def retry_policy(self, job: Job) -> RetryPolicy:
        usual = RetryPolicy(attempts=self.settings.attempts, backoff_s=self.settings.backoff_s)
        return usual.changed_by(job.content.get("retry"))

    async def run(self, job: Job, attempt: int, emit: Emit) -> AgentAnswer:
        return await self.find(self.backend(job))(self.request(job, attempt), emit)

    def request(self, job: Job, attempt: int) -> AgentRequest:
        """What a backend gets for this attempt."""
        content = job.content
        return AgentRequest(
            run_id=self.run_id,
            call=job.call,
            identity=job.identity,
            attempt=attempt,
            prompt=content["prompt"],
            workspace=self._folder(job),
            schema=content.get("schema"),
            model=self.model(job),
            effort=content.get("effort") or self.default_effort,
            definition=self._definition(job),
            label=job.label,
            session=job.session,
        )

    def _folder(self, job: Job) -> str:
        cwd = job.content.get("cwd")
        return self.workspace if cwd is None else Workspace(self.workspace).folder(cwd)

    def _definition(self, job: Job) -> AgentDefinition | None:
        name = job.content.get("agentType")
        if name is None:
            return None
        known = self.definitions or {}
        if name not in known:
            raise UsageError(
                f"agentType {name!r} is not known: expected one of {', '.join(sorted(known)) or '(none are defined)'}",
                code="unknown_agent_type",
                hint="Use a known name, or leave agentType out.",
            )
        return known[name]
