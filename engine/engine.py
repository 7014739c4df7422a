"""The Python API: open a project, start, resume, replay and steer runs. The command line uses nothing else.

async with Engine.open(Path(".")) as engine:
    handle = await engine.start(find("review", engine.project), args={"path": "src"})
    async for event in handle.events():
        print(event.to_json())
    result = await handle.result()
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import orjson

from engine import setup
from engine.checks import CheckReport
from engine.clock import SystemClock
from engine.dispatch import Dispatcher
from engine.effects import Questions, Workspace, host_effects, simulated_effects
from engine.errors import EngineBug, JournalError, LimitReached, PawlError, ReplayDiffers, RunStateError, ScriptError
from engine.events import Event, RunEnded, RunStarted
from engine.executors import Agents, Executor, HostEffect, Job
from engine.faultpoints import FaultPoint, no_fault
from engine.identity import canonical
from engine.limits import Budget, Caps, DrivenTime
from engine.loading import Loader, Resolved
from engine.options import UNSET, Explained, ResumeOptions, RunOptions, RunResult
from engine.permissions import NotPermitted
from engine.project import keep_out_of_git
from engine.ports import Journal, Writer
from engine.replay import ReplayPlan, ResumePlan
from engine.run import Ending, Masks, RunLoop
from engine.run import Script as RunScript
from engine.settings import Settings
from engine.setup import Checked, Effective
from engine.values import (
    NO_USAGE,
    CallKind,
    Json,
    LoadRow,
    NewVersion,
    Outcome,
    Record,
    RunInfo,
    RunStatus,
    Usage,
    VersionEnd,
    VersionInfo,
    check_run_id,
)
from engine.workflows import ScriptSource, project_root, resolve_child
from engine.writers import NoWriter

__all__ = ["Engine", "RunHandle", "ScriptSource", "project_root"]

CONTROL_WAIT_S = 5.0
"""How long `control` waits for a live run to act; it acts within 200 ms."""


class RunHandle:
    """A version of a run that this process drives. Made by `Engine`; `result()` must be awaited in the end."""

    def __init__(self, run_id: str, version: int) -> None:
        self.run_id = run_id
        self.version = version
        self._told: list[Event] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._is_over = False
        self._loop: RunLoop | None = None
        self._task: asyncio.Task[RunResult] | None = None

    async def events(self) -> AsyncIterator[Event]:
        """What the run tells, from the start of this version to `RunEnded`. Any number of readers."""
        at = 0
        while True:
            while at < len(self._told):
                yield self._told[at]
                at += 1
            if self._is_over:
                return
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    async def result(self) -> RunResult:
        """How it ended.

        Raises:
            JournalError: the journal or the lease was lost; what was committed is safe.
        """
        assert self._task is not None
        return await asyncio.shield(self._task)

    def interrupt(self, *, status: RunStatus = RunStatus.INTERRUPTED) -> None:
        """Starts no more agents, stops the running ones, ends the version as `status`. Resumable."""
        if self._loop is not None:
            self._loop.want(status)

    def kill(self) -> None:
        """Stops at once, without writing down how it ended: as good as a crash, and as harmless."""
        if self._task is not None:
            self._task.cancel()

    def _tell(self, event: Event) -> None:
        self._told.append(event)
        if self._waiters:
            self._wake_readers()

    def _wake_readers(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def _over(self, _: object) -> None:
        self._is_over = True
        self._wake_readers()


@dataclass(slots=True)
class _Plan:
    """What a version starts from, beside its script."""

    run_id: str
    created_at: int
    records: list[Record]
    foreign: list[Record]
    paid: Usage = NO_USAGE
    agents: int = 0
    active_ms: int = 0


class Engine:
    """A project and its journal. Use it with `async with`; one engine drives any number of runs."""

    def __init__(self, project: Path, journal: Journal, settings: Settings, *, fault: FaultPoint = no_fault) -> None:
        self.project = project
        self.journal = journal
        self.settings = settings
        self._clock = SystemClock()
        self._fault = fault
        self._handles: set[RunHandle] = set()

    @classmethod
    def open(
        cls,
        project: Path | None = None,
        *,
        journal: Path | Journal | None = None,
        settings: Settings | None = None,
        fault: FaultPoint = no_fault,
    ) -> Engine:
        """Opens the project at or above `project` (the current folder by default); nothing is created yet.

        Args:
            fault: for tests; see `engine.faultpoints`.

        Raises:
            UsageError: config.toml or a PAWL_* variable does not fit.
        """
        root = project_root(Path.cwd() if project is None else project)
        if settings is None:
            from engine.config import load_settings

            settings = load_settings(root)
        if journal is None:
            named = os.environ.get("PAWL_JOURNAL")
            journal = Path(named) if named else root / ".pawl" / "pawl.db"
        if isinstance(journal, Path):
            from engine.journal.sqlite import SqliteJournal

            journal = SqliteJournal(journal, fault=fault)
        return cls(root, journal, settings, fault=fault)

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Interrupts what still runs and closes the journal."""
        for handle in list(self._handles):
            handle.interrupt()
            task = handle._task
            if task is not None:
                await asyncio.gather(task, return_exceptions=True)
        await self.journal.close()

    # ── scripts ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def check(self, source: str, *, file: str, portable: bool = False) -> CheckReport:
        """Everything that is wrong with a script, without running it."""
        return await setup.report(source, file, self.settings.sandbox, portable=portable)

    # ── runs ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(
        self,
        script: ScriptSource,
        *,
        args: Json = UNSET,
        options: RunOptions = RunOptions(),
        run_id: str | None = None,
        reuse_from: str | None = None,
        simulate: bool = False,
    ) -> RunHandle:
        """Starts a new run. Nothing is written before the script, its args and the backend have been accepted.

        Args:
            args: any JSON value; not given, the script sees `undefined`.
            reuse_from: `RUN` or `RUN@V`: results of that run may be taken over, paid for there.
            simulate: timers do not wait, and check, ask and writeFile are answered, not done.

        Raises:
            ScriptError, UsageError: refused; `run_exists` for a `run_id` that is taken.
            JournalError: the journal cannot be used.
        """
        if run_id is not None:
            check_run_id(run_id)
        masker = self._masker()
        script, args = _masked(script, args, masker)
        checked = await setup.prepare(script, args, self.settings.sandbox)
        try:
            effective = setup.effective(options, checked.script.meta, self.settings)
            backends = await self._backends(effective, simulate=simulate)
            foreign = await self._foreign(reuse_from)
            now = self._clock.now_ms()
            new_id = run_id or make_run_id(now)
            version = self._new_version(script, checked, args, effective, now)
            keep_out_of_git(self.project)
            writer = await self.journal.create_run(
                new_id, name=checked.script.meta.name, project=str(self.project), version=version
            )
        except BaseException:
            await checked.sandbox.close()
            raise
        plan = _Plan(new_id, now, [], foreign)
        return self._drive(
            checked, effective, writer, plan, version, backends, masker, options, ResumeOptions(), simulate=simulate
        )

    async def resume(
        self,
        run: str | None = None,
        *,
        script: ScriptSource | None = None,
        args: Json = UNSET,
        options: RunOptions = RunOptions(),
        how: ResumeOptions = ResumeOptions(),
    ) -> RunHandle:
        """Goes on with a run as its next version. What is not given is as recorded.

        Args:
            run: `RUN`, or `RUN@V` to go back to that version's script and args; None is the latest resumable one.

        Raises:
            UsageError: `unknown_run`, `nothing_to_resume`; JournalError: `run_driven`.
        """
        run_id, number = await self._resumable(run)
        base = await self.journal.version(run_id, number)
        first = base if base.version == 1 else await self.journal.version(run_id, 1)
        if await self.journal.is_driven(run_id):
            raise JournalError(
                f"Run {run_id} is driven by a live process.",
                code="run_driven",
                hint=f"Watch it with `pawl watch {run_id}`, or end it with `pawl cancel {run_id}`.",
                run_id=run_id,
            )
        masker = self._masker()
        source, given = _masked(
            script or setup.recorded_source(base), setup.recorded_args(base) if args is UNSET else args, masker
        )
        checked = await setup.prepare(source, given, self.settings.sandbox)
        try:
            effective = setup.resumed(options, setup.recorded(base), self.settings)
            backends = await self._backends(effective, simulate=False)
            now = self._clock.now_ms()
            version = self._new_version(source, checked, given, effective, now)
            retired = await self._to_retire(run_id, how.rerun)
            writer = await self.journal.resume_run(run_id, version)
        except BaseException:
            await checked.sandbox.close()
            raise
        try:
            if retired:
                await writer.retire(retired)
            records = await self.journal.records(run_id)
            info = await self.journal.run_info(run_id)
            plan = _Plan(run_id, first.started_at, records, [], info.paid, info.agents, info.active_ms)
            return self._drive(checked, effective, writer, plan, version, backends, masker, options, how)
        except BaseException:
            writer.forget()
            await checked.sandbox.close()
            raise

    async def replay(self, run: str) -> RunResult:
        """Runs a version's script again from the journal alone. Calls nobody, writes nothing.

        Raises:
            ReplayDiffers: another request, or another result, than the recorded ones.
        """
        run_id, number = split_reference(run)
        base = await self.journal.version(run_id, number)
        first = base if base.version == 1 else await self.journal.version(run_id, 1)
        effective = setup.recorded(base)
        checked = await setup.prepare(setup.recorded_source(base), setup.recorded_args(base), self.settings.sandbox)
        began = time.monotonic()
        try:
            deliveries = [call for row in await self.journal.deliveries(run_id, base.version) for call in row.calls]
            plan = ReplayPlan(
                await self.journal.calls(run_id, base.version), deliveries, await self.journal.records(run_id)
            )
            loads = {row.ref: row for row in await self.journal.loads(run_id, base.version)}
            loop = self._loop(
                checked,
                effective,
                NoWriter(base.version),
                run_id,
                first.started_at,
                plan,
                _no_dispatcher,
                self._masker(),
                recorded_loads=loads,
            )
        except BaseException:
            await checked.sandbox.close()
            raise
        ending = await loop.drive()
        if plan.left and ending.status is not RunStatus.INTERRUPTED:
            raise ReplayDiffers(f"{plan.left} recorded requests were not made again.", left=plan.left)
        _same_end(base, ending, lambda: self._error(ending, checked, loop))
        end = base.end
        return RunResult(
            run_id=run_id,
            version=base.version,
            status=ending.status if end is None else end.status,
            result=orjson.loads(ending.result) if ending.result else None,
            error=end.error if end else None,
            degraded=loop.tally.is_degraded,
            agents={**loop.tally.counts(), "live": 0},
            usage=NO_USAGE,
            run_usage=(await self.journal.run_info(run_id)).paid,
            seconds=time.monotonic() - began,
        )

    async def control(self, run: str, kind: str, call: int | None = None, value: Json = None) -> str:
        """Sends `pause`, `cancel`, `skip`, `retry` or `answer` to whoever drives the run; returns what came of it, for people.

        Raises:
            UsageError, RunStateError: there is no such run or call, or it is too late.
        """
        run_id, _ = split_reference(run)
        info = await self.journal.run_info(run_id)
        if call is not None:
            await self._check_call(info, kind, call)
        sent = await self.journal.send_control(run_id, kind, call, value)
        if not await self.journal.is_driven(run_id):
            return f"Nobody drives run {run_id} now: `{kind}` takes effect when it is resumed."
        outcome = await self.journal.await_outcome(sent.control_id, timeout_s=CONTROL_WAIT_S)
        if outcome is None:
            return f"Sent; run {run_id} has not acted on it yet."
        if outcome == "ok":
            return f"Run {run_id}: {kind}{'' if call is None else f' of call {call}'} done."
        if outcome == "delivered":
            raise _already_delivered(run_id, call)
        raise RunStateError(f"Run {run_id}: {kind} was refused: {outcome}", code=outcome.split(":", 1)[0])

    # ── the parts of a start ───────────────────────────────────────────────────────────────────────────────────────

    def _masker(self) -> Masks:
        from engine.masking import Masker

        return Masker(self.settings.secrets, os.environ)

    async def _backends(self, effective: Effective, *, simulate: bool) -> setup.BackendPool:
        return await setup.open_backends(effective, self.settings, simulate=simulate)

    async def _foreign(self, reference: str | None) -> list[Record]:
        """The records that `--from` may take over: of one version, or of all."""
        if reference is None:
            return []
        run_id, number = split_reference(reference)
        records = await self.journal.records(run_id)
        if number is not None:
            await self.journal.version(run_id, number)
            asked = {row.call for row in await self.journal.calls(run_id, number)}
            records = [record for record in records if record.call in asked]
        else:
            await self.journal.run_info(run_id)
        return records

    async def _resumable(self, run: str | None) -> tuple[str, int | None]:
        if run is not None:
            return split_reference(run)
        async for info in self.journal.runs():
            ended = info.status in (RunStatus.INTERRUPTED, RunStatus.PAUSED, RunStatus.FAILED, RunStatus.CANCELLED)
            if ended and not await self.journal.is_driven(info.run_id):
                return info.run_id, None
        raise RunStateError("There is no run to resume.", code="nothing_to_resume", hint="`pawl runs` lists all runs.")

    async def _to_retire(self, run_id: str, rerun: tuple[str, ...]) -> list[int]:
        """The records that --rerun names: by label, or by CALL of the newest version."""
        if not rerun:
            return []
        info = await self.journal.run_info(run_id)
        rows = await self.journal.calls(run_id, info.versions)
        out: list[int] = []
        for name in rerun:
            found = [row.call for row in rows if row.label == name]
            if not found and name.isdigit():
                found = [row.call for row in rows if row.number == int(name)]
            if not found:
                raise RunStateError(
                    f"Run {run_id} has no call {name!r}.",
                    code="unknown_call",
                    hint=f"`pawl show {run_id} --calls` lists them, with their labels.",
                )
            out += found
        return out

    async def _check_call(self, info: RunInfo, kind: str, call: int) -> None:
        rows = await self.journal.calls(info.run_id, info.versions)
        row = next((r for r in rows if r.number == call), None)
        if row is None:
            raise RunStateError(
                f"Run {info.run_id} has no call {call}.",
                code="unknown_call",
                hint=f"`pawl show {info.run_id} --calls` lists them.",
            )
        if kind == "answer" and row.kind != CallKind.ASK:
            raise RunStateError(
                f"Call {call} of run {info.run_id} is no question: it is {row.kind}().", code="not_a_question"
            )
        delivered = {c for d in await self.journal.deliveries(info.run_id, info.versions) for c in d.calls}
        if row.call in delivered:
            raise _already_delivered(info.run_id, call)

    def _new_version(
        self, source: ScriptSource, checked: Checked, args: Json, effective: Effective, now: int
    ) -> NewVersion:
        text = None if args is UNSET else canonical(args)
        return NewVersion(
            script=source.text.encode(),
            script_path=None if source.path is None else str(source.path),
            meta=checked.script.meta.raw,
            args=text,
            settings=effective.to_json(),
            engine=checked.engine_info(),
            permissions=tuple(sorted(effective.allow)),
            started_at=now,
        )

    def _drive(
        self,
        checked: Checked,
        effective: Effective,
        writer: Writer,
        start: _Plan,
        version: NewVersion,
        backends: setup.BackendPool,
        masker: Masks,
        options: RunOptions,
        how: ResumeOptions,
        *,
        simulate: bool = False,
    ) -> RunHandle:
        explained: list[Explained] | None = [] if how.explain else None
        plan = ResumePlan(start.records, policy=how.policy, keep_failures=how.keep_failures, foreign=start.foreign)
        handle = RunHandle(start.run_id, writer.version)
        driven = DrivenTime(self._clock.monotonic, before_ms=start.active_ms)
        budget = Budget(effective.caps(), driven=driven, paid=start.paid, agents=start.agents)
        for record in start.records:
            row = record.settlement
            if row is not None and record.kind == CallKind.AGENT and row.outcome == Outcome.OK:
                budget.learn(row.model or row.backend or "", Usage(row.input_tokens, row.output_tokens, row.cost_usd))
        questions = Questions(self._clock, setup.validate)
        executors = self._executors(start.run_id, effective, backends, questions, simulate=simulate)

        def make_dispatcher(loop: RunLoop) -> Dispatcher:
            return Dispatcher(
                executors=executors,
                budget=budget,
                clock=self._clock,
                concurrency=effective.concurrency,
                begin=loop.begin,
                settled=loop.settled,
                progress=loop.progressed,
            )

        loop = self._loop(
            checked,
            effective,
            writer,
            start.run_id,
            start.created_at,
            plan,
            make_dispatcher,
            masker,
            args=version.args,
            records=start.records,
            foreign=start.foreign,
            emit=handle._tell,
            answers=questions.answer,
            can_wait=options.is_interactive or options.is_detached,
            explained=explained,
            timers_wait=not simulate,
        )
        meta = checked.script.meta
        handle._tell(
            RunStarted(
                start.run_id,
                writer.version,
                meta.name,
                meta.description,
                tuple(phase.title for phase in meta.phases),
                effective.backend,
                effective.caps_json(),
                plan.reusable,
                self._clock.now_ms(),
            )
        )
        for warning in checked.script.warnings:
            loop.warn(warning.message, code=warning.code, line=warning.line)
        work = asyncio.get_running_loop().create_task(
            self._finish(handle, loop, writer, checked, backends, budget, start, explained)
        )
        handle._loop, handle._task = loop, work
        self._handles.add(handle)
        work.add_done_callback(handle._over)
        work.add_done_callback(lambda _: self._handles.discard(handle))
        return handle

    async def _finish(
        self,
        handle: RunHandle,
        loop: RunLoop,
        writer: Writer,
        checked: Checked,
        backends: setup.BackendPool,
        budget: Budget,
        start: _Plan,
        explained: list[Explained] | None,
    ) -> RunResult:
        began = time.monotonic()
        try:
            ending = await loop.drive()
            error = self._error(ending, checked, loop)
            counts = loop.tally.counts()
            usage = Usage(
                budget.paid.input_tokens - start.paid.input_tokens,
                budget.paid.output_tokens - start.paid.output_tokens,
                budget.paid.cost_usd - start.paid.cost_usd,
            )
            end = VersionEnd(
                status=ending.status,
                result=ending.result,
                error=None if error is None else error.to_json(),
                degraded=loop.tally.is_degraded,
                counts=counts,
                usage=usage,
                active_ms=budget.driven.ms() - start.active_ms,
                ended_at=self._clock.now_ms(),
            )
            await writer.end(end)
        except BaseException:
            writer.forget()
            raise
        finally:
            await backends.close()
        result = RunResult(
            run_id=handle.run_id,
            version=handle.version,
            status=ending.status,
            result=None if ending.result is None else orjson.loads(ending.result),
            error=end.error,
            degraded=end.degraded,
            agents=counts,
            usage=usage,
            run_usage=budget.paid,
            seconds=time.monotonic() - began,
            explained=tuple(explained or ()),
        )
        handle._tell(RunEnded(str(ending.status), result.to_json(), self._clock.now_ms()))
        return result

    def _executors(
        self, run_id: str, effective: Effective, backends: setup.BackendPool, questions: Questions, *, simulate: bool
    ) -> Mapping[CallKind, Executor]:
        from engine.agents.definitions import known

        workspace = Workspace(self.project)
        out: dict[CallKind, Executor] = {}
        effects = (
            simulated_effects(workspace, setup.sample_value)
            if simulate
            else host_effects(workspace, questions, self._clock)
        )
        out.update(effects)
        for kind in effects:
            needed = NotPermitted.NEEDS[kind]
            if needed not in effective.allow and not simulate:
                out[kind] = NotPermitted(kind)
        out[CallKind.TIMER] = HostEffect(_no_effect, name="timer")
        out[CallKind.AGENT] = Agents(
            run_id=run_id,
            workspace=str(self.project),
            default_backend=effective.backend,
            find=backends.find,
            check_schema=setup.check_schema,
            settings=self.settings.agents,
            default_model=effective.model,
            default_effort=effective.effort,
            definitions=known(),
        )
        return out

    def _loop(
        self,
        checked: Checked,
        effective: Effective,
        writer: Writer,
        run_id: str,
        created_at: int,
        plan: ResumePlan | ReplayPlan,
        make_dispatcher: Callable[[RunLoop], Dispatcher],
        masker: Masks,
        *,
        args: bytes | None = None,
        records: list[Record] | None = None,
        foreign: list[Record] | None = None,
        recorded_loads: dict[str, LoadRow] | None = None,
        emit: Callable[[Event], None] | None = None,
        answers: Callable[[int, Json], None] = lambda call, value: None,
        can_wait: bool = False,
        explained: list[Explained] | None = None,
        timers_wait: bool = True,
    ) -> RunLoop:
        from engine.agents.definitions import known

        async def resolve(ref: dict[str, str]) -> Resolved:
            return await setup.child(await resolve_child(ref, self.project), self.settings.sandbox)

        orders = [r.settlement.order for r in [*(records or ()), *(foreign or ())] if r.settlement]
        times = [r.settlement.settled_at for r in records or () if r.settlement]
        loader = Loader(
            checked.sandbox,
            resolve,
            recorded=recorded_loads,
            main_path="" if checked.path is None else str(checked.path),
        )
        return RunLoop(
            sandbox=checked.sandbox,
            script=RunScript(
                1,
                setup.start_text(run_id, created_at, checked.args_text(args), effective, self.settings),
                checked.script.source,
            ),
            plan=plan,
            writer=writer,
            clock=self._clock,
            masker=masker,
            loader=loader,
            definitions=known(),
            default_backend=effective.backend,
            make_dispatcher=make_dispatcher,
            started_at=created_at,
            next_call=1 + max((r.call for r in records or ()), default=0),
            next_order=1 + max(orders, default=0),
            last_settled_at=max(times, default=created_at),
            most_pending=self.settings.sandbox.pending_calls,
            emit=emit,
            answers=answers,
            can_wait_for_people=can_wait,
            explained=explained,
            fault=self._fault,
            timers_wait=timers_wait,
        )

    def _error(self, ending: Ending, checked: Checked, loop: RunLoop) -> PawlError | None:
        """The error of a run that failed: ours, or what the script threw with its place in the script."""
        if ending.thrown is None:
            return ending.error
        thrown = ending.thrown
        message = loop.mask(f"{thrown['name'] or 'Error'}: {thrown['message']}")
        if thrown["code"].startswith("limit_"):
            return LimitReached(loop.mask(thrown["message"]), code=thrown["code"])
        place = checked.place(thrown["stack"], loop.sources())
        if thrown["code"] in ("not_json", "result_too_large"):
            code = "result_not_json" if thrown["code"] == "not_json" else "result_too_large"
            return ScriptError(loop.mask(thrown["message"]), code=code, **place)
        fields = {"name": thrown["name"], "thrown_code": thrown["code"]} if thrown["code"] else {"name": thrown["name"]}
        return ScriptError(message, code="script_threw", **fields, **place)


def _masked(script: ScriptSource, args: Json, masker: Masks) -> tuple[ScriptSource, Json]:
    """What enters the run, without the secrets that the settings know of: the text that runs is the text on record (I9)."""
    text = masker.mask_json(script.text)[0]
    source = script if text == script.text else ScriptSource(text=text, path=script.path, name=script.name)
    return source, args if args is UNSET else masker.mask_json(args)[0]


def make_run_id(now_ms: int) -> str:
    """Readable, sorts by time, unique enough for one journal: 20260131-235959-k3f9x."""
    when = time.strftime("%Y%m%d-%H%M%S", time.localtime(now_ms / 1000))
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    return f"{when}-{''.join(secrets.choice(alphabet) for _ in range(5))}"


def split_reference(reference: str) -> tuple[str, int | None]:
    """`RUN` or `RUN@V` → (run id, version or None). Raises `UsageError`."""
    from engine.history import parse_reference

    return parse_reference(reference)


def _already_delivered(run_id: str, call: int | None) -> RunStateError:
    return RunStateError(
        f"Call {call} of run {run_id} has its result already.",
        code="already_delivered",
        hint=f"Ask it again with `pawl resume {run_id} --rerun {call}`.",
    )


def _no_dispatcher(loop: RunLoop) -> Dispatcher:
    return Dispatcher(
        executors={},
        budget=Budget(Caps(), driven=DrivenTime(time.monotonic)),
        clock=SystemClock(),
        concurrency=1,
        begin=loop.begin,
        settled=loop.settled,
        progress=loop.progressed,
    )


async def _no_effect(job: Job, emit: Callable[[dict[str, Json]], None]) -> Json:
    raise EngineBug(f"timer {job.call} was run")


def _same_end(base: VersionInfo, ending: Ending, error: Callable[[], PawlError | None]) -> None:
    """Raises `ReplayDiffers` unless the replay ended as the recorded version did."""
    end = base.end
    if end is None or end.status not in (RunStatus.COMPLETED, RunStatus.FAILED):
        return
    if end.status is not ending.status:
        raise ReplayDiffers(f"The recorded run ended as {end.status}; the replay as {ending.status}.")
    if end.result != ending.result:
        raise ReplayDiffers("The result of the replay is not the recorded one.")
    found = error()
    if end.error is not None and found is not None and end.error.get("message") != found.message:
        raise ReplayDiffers(
            f"The recorded run failed with {end.error.get('message')!r}; the replay with {found.message!r}."
        )
