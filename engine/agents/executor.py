"""The executor of `agent()`: from a script's call to a request, and from a backend's word to an answer.

Fills in what the run, the phase, the agent definition and the config say; finds who answers; checks everything that can
be checked before anything is spent. Owns nothing: conversations are kept by the trail, worktrees by `Worktrees`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from engine.agents.answer import adding
from engine.agents.goals import Goal, RunCheck
from engine.agents.judging import Ask, Bench, Seat
from engine.agents.seating import Seating
from engine.clock import SystemClock
from engine.errors import AgentError, PawlError, UsageError
from engine.executors import Emit, Job, Patience
from engine.permissions import not_permitted
from engine.ports import Clock
from engine.retrying import RetryPolicy
from engine.routing import Route, Routes, routes
from engine.settings import AgentSettings
from engine.values import NO_TRAIL, NO_USAGE, AgentAnswer, AgentDefinition, AgentRequest, Json, Trail, Usage
from engine.workspace import Workspace

FALLS_BACK = frozenset(
    {
        "provider_refused",
        "provider_quota",
        "provider_unavailable",
        "provider_connection",
        "provider_timeout",
        "provider_bad_answer",
        "context_exceeded",
        "program_failed",
        "program_crashed",
    }
)
"""Failures of a service, not of the task: the next model of a list is asked."""


class Finder(Protocol):
    """What is needed of `engine.agents.registry.Backends`."""

    def find(self, spec: str) -> Ask:
        """The way to ask the backend of this name. Raises `UsageError` for one that does not exist or cannot run."""
        ...

    def is_backend(self, word: str) -> bool:
        """Whether the word before a colon names a backend."""
        ...

    def tools(self, spec: str, names: tuple[str, ...]) -> tuple[str, ...]:
        """The tools that a backend calls by these names. Raises `UsageError`: unknown, or it has no tools."""
        ...

    def line(self, spec: str) -> str:
        """Whose rate limits count for it."""
        ...

    def acts(self, spec: str) -> bool:
        """Whether its agents can change anything: one that only answers needs no worktree."""
        ...

    def draws(self, spec: str) -> bool:
        """Whether a step of its agents can be drawn several times before anything is done (S71)."""
        ...


class Trails(Protocol):
    """What is needed of `engine.trail.Trails`."""

    async def open(self, job: Job, attempt: int, *, goes_on: bool = False) -> Trail: ...


class Worktrees(Protocol):
    """What is needed of `engine.worktrees.Worktrees`."""

    async def enter(self, call: int, label: str | None) -> str: ...

    async def leave(self, call: int) -> dict[str, Json]: ...


@dataclass(frozen=True, slots=True)
class Agents:
    """See the module.

    Attributes:
        workspace: absolute path of the project root.
        finder: knows the backends.
        check_schema: raises for a schema that contradicts itself (S22).
        definitions: what `agentType` may name.
        models: `[models]` of the config.
        phase_models: `meta.phases[].model` by title.
        trails: keep the conversations; None keeps none.
        worktrees: for `isolation: 'worktree'`.
        require_price: raises for a model whose price nobody knows, in a run with a cap on money.
        run_check: runs the command of the option `check`; None when the run has no permission for it (S63).
        masked: takes secrets out of what a judge is shown.
    """

    run_id: str
    workspace: str
    default_backend: str
    finder: Finder
    check_schema: Callable[[dict[str, Json]], None]
    settings: AgentSettings = field(default_factory=AgentSettings)
    default_model: str | None = None
    default_effort: str | None = None
    definitions: Mapping[str, AgentDefinition] | None = None
    models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    phase_models: Mapping[str, str] = field(default_factory=dict)
    trails: Trails | None = None
    worktrees: Worktrees | None = None
    require_price: Callable[[str, str | None], None] | None = None
    run_check: RunCheck | None = None
    masked: Callable[[Json], Json] = lambda value: value
    clock: Clock = field(default_factory=SystemClock)

    # ── what the dispatcher asks ───────────────────────────────────────────────────────────────────────────────────

    def backend(self, job: Job) -> str:
        return self._routes(job).ways[0].backend

    def model(self, job: Job) -> str | None:
        return self._routes(job).asked

    def line(self, job: Job) -> str:
        return self.finder.line(self.backend(job))

    def check(self, job: Job) -> None:
        """Raises for what cannot work, before anything is spent: an unknown `agentType`, backend, tool or folder (S24,
        S26), a schema that nothing can satisfy (S22), a check that nobody permitted (S63), a judge that is not here."""
        self._definition(job)
        self._folder(job, self.workspace)
        if "check" in job.content and self.run_check is None:
            raise not_permitted("The option check of agent()", "check")
        for way in self._usable(self._routes(job)):
            self._tools(job, way)
            if self.require_price is not None:
                self.require_price(way.backend, way.model)
            if _candidates(job) > 1 and not self.finder.draws(way.backend):
                raise _cannot_draw(way.backend)
            if _needs_judge(job):
                self._seats(way)
        if (schema := job.content.get("schema")) is not None:
            self.check_schema(schema)

    def timeout_s(self, job: Job) -> float | None:
        minutes = job.content.get("timeoutMinutes")
        return 60 * float(self.settings.timeout_minutes if minutes is None else minutes)

    def retry_policy(self, job: Job) -> RetryPolicy:
        usual = RetryPolicy(attempts=self.settings.attempts, backoff_s=self.settings.backoff_s)
        return usual.changed_by(job.content.get("retry"))

    def patience(self, job: Job) -> Patience:
        settings = self.settings
        return Patience(settings.stall_s, None if settings.wait_for_resets else 60 * settings.longest_wait_minutes)

    async def run(self, job: Job, attempt: int, emit: Emit) -> AgentAnswer:
        trail = NO_TRAIL if self.trails is None else await self.trails.open(job, attempt)
        is_isolated = job.content.get("isolation") == "worktree" and any(
            self.finder.acts(way.backend) for way in self._usable(self._routes(job))
        )
        if not is_isolated or self.worktrees is None:
            return await self._ask(job, attempt, emit, trail, self.workspace)
        root = await self.worktrees.enter(job.call, job.label)
        try:
            answer = await self._ask(job, attempt, emit, trail, root)
        except BaseException as error:
            # What was changed is kept, also by an attempt that failed or was stopped: the next one goes on in it.
            try:
                left = await self.worktrees.leave(job.call)
            except PawlError as problem:
                raise error from problem
            if isinstance(error, AgentError):
                error.fields["meta"] = {**error.fields.get("meta", {}), **_of_worktree(left)}
            raise
        return replace(answer, meta={**answer.meta, **_of_worktree(await self.worktrees.leave(job.call))})

    # ── one attempt ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _ask(self, job: Job, attempt: int, emit: Emit, trail: Trail, root: str) -> AgentAnswer:
        """Asks the first backend; when its service fails and there is another, that one."""
        if (definition := self._definition(job)) is not None:
            for problem in definition.problems:
                emit({"notice": f"agentType {definition.name!r}: {problem}", "code": "agent_definition"})
        found = self._routes(job)
        if found.unknown_tier is not None:
            emit(
                {
                    "notice": f"The model {found.unknown_tier!r} is no model of the config: {found.ways[0].backend} "
                    f'answers with its own. Name it: [models] {found.unknown_tier} = ["…"]',
                    "code": "unknown_tier",
                }
            )
        ways = self._usable(found)
        paid, fell_back = NO_USAGE, list[str]()
        for at, way in enumerate(ways):
            request = self.request(job, attempt, way, trail=trail, root=root)
            try:
                answer = await self._answer(job, attempt, way, request, adding(paid, emit))
            except AgentError as error:
                spent = paid + Usage(**error.fields.get("usage", {}))
                if at + 1 == len(ways) or error.code not in FALLS_BACK:
                    error.fields["usage"] = spent.to_json()
                    raise
                paid = spent
                if self.trails is not None:  # what this one did with its tools is done: the next one must know
                    trail = await self.trails.open(job, attempt, goes_on=True)
                fell_back.append(f"{way.backend}{f' {way.model}' if way.model else ''}: {error.message}")
                continue
            meta = dict(answer.meta)
            if found.asked is not None and found.asked != answer.model:
                meta["asked_model"] = found.asked
            if fell_back:
                meta["fell_back"] = fell_back
            return replace(answer, usage=paid + answer.usage if fell_back else answer.usage, meta=meta)
        raise AssertionError("there is always a way")

    async def _answer(self, job: Job, attempt: int, way: Route, request: AgentRequest, emit: Emit) -> AgentAnswer:
        """Of one backend: its first that fits, or with a goal the one with which the goal is met."""
        ask = self.finder.find(way.backend)
        content = job.content
        judge = None
        if _needs_judge(job):
            judge = Bench(self._seats(way), request, self.settings, self.clock)
            if judge.is_made_up and self.finder.line(way.backend) != "sample":
                emit({"notice": "agents.judge_model is `sample`: it judges nothing.", "code": "judge_sample"})
            if _candidates(job) > 1:
                request = replace(request, candidates=_candidates(job), judge=judge)
        if "goal" not in content and "check" not in content:
            return await ask(request, emit)

        async def reopened() -> Trail:
            return NO_TRAIL if self.trails is None else await self.trails.open(job, attempt, goes_on=True)

        goal = Goal(
            condition=content.get("goal"),
            command=content.get("check"),
            judge=judge if "goal" in content else None,
            run_check=self.run_check or _never,
            reopened=reopened,
            masked=self.masked,
            settings=self.settings,
        )
        return await goal.pursue(ask, request, emit)

    def request(
        self, job: Job, attempt: int, way: Route | None = None, *, trail: Trail = NO_TRAIL, root: str | None = None
    ) -> AgentRequest:
        """What a backend gets for this attempt."""
        content = job.content
        way = way or self._routes(job).ways[0]
        return AgentRequest(
            run_id=self.run_id,
            call=job.call,
            identity=job.identity,
            attempt=attempt,
            prompt=content["prompt"],
            workspace=self._folder(job, root or self.workspace),
            schema=content.get("schema"),
            model=way.model,
            effort=content.get("effort") or self.default_effort,
            definition=self._definition(job),
            label=job.label,
            session=job.session,
            tools=self._tools(job, way),
            is_named_tools=content.get("tools") is not None,
            trail=trail,
        )

    # ── what a call asks for ───────────────────────────────────────────────────────────────────────────────────────

    def _routes(self, job: Job) -> Routes:
        content = job.content
        own_backend = content.get("backend")
        model = content.get("model")
        if model is None and (definition := self._definition(job)) is not None:
            model = definition.model
        if model is None and job.phase is not None:
            model = self.phase_models.get(job.phase)
        return routes(
            backend=str(own_backend or self.default_backend),
            model=model or self.default_model,
            is_own_backend=own_backend is not None,
            models=self.models,
            is_backend=self.finder.is_backend,
        )

    def _usable(self, found: Routes) -> list[Route]:
        """The ways that can be gone here. Raises `UsageError` of the first when there is none."""
        usable: list[Route] = []
        problem: UsageError | None = None
        for way in found.ways:
            try:
                self.finder.find(way.backend)
            except UsageError as error:
                problem = problem or error
            else:
                usable.append(way)
        if not usable:
            assert problem is not None
            raise problem
        return usable

    def _seats(self, way: Route) -> list[Seat]:
        return Seating(self.finder, self.settings.judge_model, self.models, self.require_price).seats(way)

    def _tools(self, job: Job, way: Route) -> tuple[str, ...] | None:
        """The tools that the call's option and its agent definition both allow; None when neither says anything."""
        asked, definition = job.content.get("tools"), self._definition(job)
        named = None if asked is None else self.finder.tools(way.backend, tuple(asked))
        defined = None if definition is None else definition.tools
        if named is None or defined is None:
            return defined if named is None else named
        return tuple(name for name in named if name in defined)

    def _folder(self, job: Job, root: str) -> str:
        cwd = job.content.get("cwd")
        return root if cwd is None else Workspace(root).folder(cwd)

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


def _candidates(job: Job) -> int:
    return int(job.content.get("candidates") or 1)


def _needs_judge(job: Job) -> bool:
    return "goal" in job.content or _candidates(job) > 1


def _cannot_draw(backend: str) -> UsageError:
    return UsageError(
        f"agent() option 'candidates' cannot be kept by the backend {backend}: it decides its steps by itself",
        code="unsupported_option",
        hint="Use a model of a provider for this call, or bestOf(n, prompt) for whole attempts.",
    )


async def _never(command: str, folder: str) -> dict[str, Json]:
    raise AssertionError("a check without permission is refused before it is asked for")


def _of_worktree(left: dict[str, Json]) -> dict[str, Json]:
    """What a settlement keeps of a worktree: nothing when nothing was changed in it."""
    return {} if left.get("state") == "removed" else {"worktree": left}
