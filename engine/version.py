"""One version of a run: builds its loop from what was prepared, drives it, writes down how it ended.

Between the facade (`engine.engine`), which reads and checks what was asked for, and the loop (`engine.run`), which
knows nothing of settings, people or processes.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import orjson

from engine import setup
from engine.agents.executor import Agents
from engine.agents.goals import RunCheck
from engine.agents.simulated import OnlySample
from engine.clock import SystemClock
from engine.diagnostics import lines_of
from engine.dispatch import Dispatcher
from engine.effects import Questions, Workspace, checked, host_effects, passed, simulated_effects
from engine.errors import LimitReached, PawlError, ScriptError
from engine.events import Event, RunEnded, RunStarted
from engine.examination import EXAMINE, Examine, examiner
from engine.executors import Emit, Executor
from engine.explaining import Explainer
from engine.faultpoints import FaultPoint, no_fault
from engine.handle import RunHandle
from engine.limits import Budget, Caps, DrivenTime
from engine.loading import Inspected, Loader, Resolved
from engine.options import ResumeOptions, RunOptions, RunResult
from engine.permissions import LOOKING, NotPermitted
from engine.ports import Clock, Journal, Writer
from engine.replay import ReplayPlan, ResumePlan
from engine.run import Ending, RunLoop
from engine.run import Script as RunScript
from engine.settings import Settings
from engine.setup import Checked, Effective
from engine.telling import Masks
from engine.trail import Trails
from engine.values import (
    NO_USAGE,
    AgentDefinition,
    AgentRequest,
    CallKind,
    CallRow,
    Json,
    LoadRow,
    Outcome,
    Record,
    TurnRow,
    Usage,
    VersionEnd,
    WorktreeRow,
)
from engine.workflows import resolve_child
from engine.worktrees import Worktrees

if TYPE_CHECKING:
    from engine.agents.workbench import Permit


@dataclass(slots=True)
class Beginning:
    """What a version starts from.

    Attributes:
        created_at: start of the run's first version: where its clock starts.
        args: JSON text, as on record; None for none.
        records: of all earlier versions; `foreign` of another run (`--from`).
        before: the requests of the version that is gone on from; only for `--explain`.
        journal: what earlier versions left of conversations and worktrees is read from it.
        definitions: what `agentType` may name.
        engine_change: what of engine and library is not as it was, for a warning.
        paid, agents, active_ms: what the earlier versions used of the caps.
        cut_off: what of `paid` no settlement says, by call: attempts that were cut off, of calls that are still open.
        examine: what check() does in a run of `pawl new`.
    """

    run_id: str
    created_at: int
    project: Path
    settings: Settings
    checked: Checked
    effective: Effective
    masker: Masks
    journal: Journal
    args: bytes | None = None
    definitions: Mapping[str, AgentDefinition] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    foreign: list[Record] = field(default_factory=list)
    before: list[CallRow] = field(default_factory=list)
    paid: Usage = NO_USAGE
    cut_off: Mapping[int, Usage] = field(default_factory=dict)
    agents: int = 0
    active_ms: int = 0
    clock: Clock = field(default_factory=SystemClock)
    engine_change: str | None = None
    fault: FaultPoint = no_fault
    log: TextIO | None = None
    examine: Examine | None = None


def drive(
    begin: Beginning,
    writer: Writer,
    backends: setup.BackendPool,
    *,
    options: RunOptions,
    how: ResumeOptions,
    simulate: bool = False,
) -> RunHandle:
    """Starts the version; it goes on by itself. `options` say who may be asked, `how` what may be reused."""
    explainer = Explainer(begin.before) if how.explain else None
    plan = ResumePlan(begin.records, policy=how.policy, keep_failures=how.keep_failures, foreign=begin.foreign)
    lines = lines_of(begin.log, run_id=begin.run_id, version=writer.version, calls=begin.settings.log_calls)
    handle = RunHandle(begin.run_id, writer.version, log=lines)
    budget = _budget(begin, backends)
    questions = Questions(begin.clock, setup.validate)
    may_look = options.allow is None or "files" in options.allow
    executors = _executors(begin, writer, backends, questions, simulate=simulate, may_look=may_look)
    if options.is_interactive and not simulate:
        backends.let_ask(_permits(questions))

    def make_dispatcher(loop: RunLoop) -> Dispatcher:
        return Dispatcher(
            executors=executors,
            budget=budget,
            clock=begin.clock,
            concurrency=begin.effective.concurrency,
            begin=loop.begin,
            settled=loop.settled,
            progress=loop.progressed,
        )

    loop = make_loop(
        begin,
        writer,
        plan,
        make_dispatcher,
        emit=handle.tell,
        answers=questions.answer,
        can_wait=options.is_interactive or options.is_detached,
        explainer=explainer,
        timers_wait=not simulate,
    )
    meta = begin.checked.script.meta
    handle.tell(
        RunStarted(
            begin.run_id,
            writer.version,
            meta.name,
            meta.description,
            tuple(phase.title for phase in meta.phases),
            begin.effective.backend,
            begin.effective.caps_json(),
            plan.reusable,
            begin.clock.now_ms(),
        )
    )
    for warning in begin.checked.script.warnings:
        loop.warn(warning.message, code=warning.code, line=warning.line)
    if begin.engine_change is not None:
        loop.warn(begin.engine_change, code="engine_changed")
    work = _to_the_end(handle, loop, writer, begin, backends, budget, explainer)
    handle.attach(loop, asyncio.get_running_loop().create_task(work))
    return handle


async def _to_the_end(  # noqa: PLR0917 - one call, all of it needed
    handle: RunHandle,
    loop: RunLoop,
    writer: Writer,
    begin: Beginning,
    backends: setup.BackendPool,
    budget: Budget,
    explainer: Explainer | None,
) -> RunResult:
    """Drives the loop, writes the end down, gives the lease back."""
    began = time.monotonic()
    try:
        ending = await loop.drive()
        error = error_of(ending, begin.checked, loop)
        usage = Usage(
            budget.paid.input_tokens - begin.paid.input_tokens,
            budget.paid.output_tokens - begin.paid.output_tokens,
            budget.paid.cost_usd - begin.paid.cost_usd,
        )
        end = VersionEnd(
            status=ending.status,
            result=ending.result,
            error=None if error is None else error.to_json(),
            degraded=loop.tally.is_degraded,
            counts=loop.tally.counts(),
            usage=usage,
            active_ms=budget.driven.ms() - begin.active_ms,
            ended_at=begin.clock.now_ms(),
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
        agents=end.counts,
        usage=usage,
        run_usage=budget.paid,
        seconds=time.monotonic() - began,
        explained=tuple(explainer.lines) if explainer else (),
    )
    handle.tell(RunEnded(str(ending.status), result.to_json(), begin.clock.now_ms()))
    return result


def make_loop(
    begin: Beginning,
    writer: Writer,
    plan: ResumePlan | ReplayPlan,
    make_dispatcher: Callable[[RunLoop], Dispatcher],
    *,
    recorded_loads: dict[str, LoadRow] | None = None,
    emit: Callable[[Event], None] | None = None,
    answers: Callable[[int, Json], None] = lambda call, value: None,
    can_wait: bool = False,
    explainer: Explainer | None = None,
    timers_wait: bool = True,
) -> RunLoop:
    """The loop of a version, or with a `ReplayPlan` and `recorded_loads` of its replay."""
    checked, settings = begin.checked, begin.settings

    async def resolve(ref: dict[str, str]) -> Resolved:
        found = await resolve_child(ref, begin.project)
        text = str(begin.masker.mask_json(found.text)[0])
        shown = found.name if "inline" in ref else next(iter(ref.values()))
        return Resolved(shown, str(found.path or found.name), text)

    async def inspect(text: str) -> Inspected:
        return await setup.inspect(text, settings.sandbox)

    orders = [r.settlement.order for r in [*begin.records, *begin.foreign] if r.settlement]
    times = [r.settlement.settled_at for r in begin.records if r.settlement]
    main_path = "" if checked.path is None else str(checked.path)
    start = setup.start_text(begin.run_id, begin.created_at, begin.args, begin.effective, settings)
    return RunLoop(
        sandbox=checked.sandbox,
        script=RunScript(1, start, checked.script.source),
        plan=plan,
        writer=writer,
        clock=begin.clock,
        masker=begin.masker,
        loader=Loader(
            checked.sandbox,
            resolve=resolve,
            inspect=inspect,
            check_args=lambda schema, args: setup.validate(args, schema),
            recorded=recorded_loads,
            main_path=main_path,
            main_args=begin.args,
        ),
        definitions=begin.definitions,
        default_backend=begin.effective.backend,
        make_dispatcher=make_dispatcher,
        started_at=begin.created_at,
        next_call=1 + max((r.call for r in begin.records), default=0),
        next_order=1 + max(orders, default=0),
        last_settled_at=max(times, default=begin.created_at),
        most_pending=settings.sandbox.pending_calls,
        emit=emit,
        answers=answers,
        can_wait_for_people=can_wait,
        explainer=explainer,
        timers_wait=timers_wait,
        cut_off=begin.cut_off,
        fault=begin.fault,
    )


def _budget(begin: Beginning, backends: setup.BackendPool) -> Budget:
    driven = DrivenTime(begin.clock.monotonic, before_ms=begin.active_ms)
    budget = Budget(
        begin.effective.caps(),
        driven=driven,
        paid=begin.paid,
        agents=begin.agents,
        # With a known price a cap on money holds from the first calls on, before any of them has finished.
        first_call=lambda asked: backends.prices.first_call(begin.settings.models.get(asked, (asked,))[0]),
    )
    for record in begin.records:
        row = record.settlement
        if row is not None and record.kind == CallKind.AGENT and row.outcome == Outcome.OK:
            asked = begin.effective.model or row.backend or ""
            budget.learn(asked, Usage(row.input_tokens, row.output_tokens, row.cost_usd))
    return budget


def _executors(
    begin: Beginning,
    writer: Writer,
    backends: setup.BackendPool,
    questions: Questions,
    *,
    simulate: bool,
    may_look: bool,
) -> Mapping[CallKind, Executor]:
    """Who carries out each kind of call. `may_look`: whether a simulation reads files; nothing else of it is real."""
    workspace = Workspace(begin.project)
    worktrees = _worktrees(begin, writer)
    if simulate:
        effects = simulated_effects(workspace, setup.sample_value)
    else:
        effects = host_effects(workspace, questions, begin.clock, worktrees)
    out: dict[CallKind, Executor] = {**effects}
    for kind in effects:
        is_permitted = NotPermitted.NEEDS[kind] in begin.effective.allow
        if simulate:
            is_permitted = may_look or kind not in LOOKING
        if not is_permitted:
            out[kind] = NotPermitted(kind)
    if EXAMINE in begin.effective.allow:
        out[CallKind.CHECK] = examiner(begin.examine, begin.project, begin.settings)
    out[CallKind.AGENT] = Agents(
        run_id=begin.run_id,
        workspace=str(begin.project),
        default_backend=begin.effective.backend,
        finder=OnlySample(backends) if simulate else backends,
        check_schema=setup.check_schema,
        settings=begin.settings.agents,
        default_model=begin.effective.model,
        default_effort=begin.effective.effort,
        definitions=begin.definitions,
        models=begin.settings.models,
        phase_models={phase.title: phase.model for phase in begin.checked.script.meta.phases if phase.model},
        trails=_trails(begin, writer),
        require_price=None if simulate or begin.effective.cost_usd is None else backends.prices.require,
        worktrees=None if simulate else worktrees,
        run_check=_run_check(begin, simulate=simulate),
        masked=lambda value: begin.masker.mask_json(value)[0],
        clock=begin.clock,
    )
    return out


def _run_check(begin: Beginning, *, simulate: bool) -> RunCheck | None:
    """How the option `check` of agent() is carried out: as check() is (S63, S70)."""

    async def run(command: str, folder: str) -> dict[str, Json]:
        if simulate:
            return passed()
        return await checked(command, cwd=folder, minutes=begin.settings.agents.check_minutes, clock=begin.clock)

    return run if simulate or NotPermitted.NEEDS[CallKind.CHECK] in begin.effective.allow else None


def _trails(begin: Beginning, writer: Writer) -> Trails:
    async def recorded(call: int) -> list[TurnRow]:
        return await begin.journal.turns(begin.run_id, call)

    return Trails(writer, begin.clock, begin.masker, recorded)


def _worktrees(begin: Beginning, writer: Writer) -> Worktrees:
    async def recorded() -> list[WorktreeRow]:
        return await begin.journal.worktrees(begin.run_id)

    return Worktrees(
        project=begin.project,
        run_id=begin.run_id,
        writer=writer,
        clock=begin.clock,
        recorded=recorded,
        takes_dirty=begin.settings.agents.worktree_dirty,
    )


def _permits(questions: Questions) -> Permit:
    """Asks the person at the terminal what a subagent may do. `always`: the same tool and argument, in this run."""
    always: set[tuple[str, str]] = set()
    # One question of a call at a time; and who wants the same as another waits for what a person says to that one.
    by_call: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
    by_wish: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def permit(request: AgentRequest, tool: str, argument: str, emit: Emit) -> bool:
        wish = (tool, argument)
        async with by_call[request.call], by_wish[wish]:
            if wish in always:
                return True
            who = f"The agent {request.label!r}" if request.label else "An agent"
            shown = argument.replace("\n", "\n    ")  # no line of it may look like a question of ours
            answer = await questions.permit(request.call, f"{who} wants {tool}: {shown}", emit)
            if answer == "always":
                always.add(wish)
            return answer != "no"

    return permit


def error_of(ending: Ending, checked: Checked, loop: RunLoop) -> PawlError | None:
    """The error of a run that failed: ours, or what the script threw with its place in the script."""
    if ending.thrown is None:
        return ending.error
    thrown = ending.thrown
    message = loop.mask(f"{thrown['name'] or 'Error'}: {thrown['message']}")
    if thrown["code"].startswith("limit_"):
        return LimitReached(loop.mask(thrown["message"]), code=thrown["code"])
    place = checked.place(thrown["stack"], loop.sources())
    if (thrown["name"], thrown["message"]) == ("InternalError", "out of memory"):
        return ScriptError(str(checked.sandbox.out_of_memory()), code="sandbox_memory", **place)
    if thrown["code"] in ("not_json", "result_too_large"):
        code = "result_not_json" if thrown["code"] == "not_json" else "result_too_large"
        return ScriptError(loop.mask(thrown["message"]), code=code, **place)
    fields = {"name": thrown["name"], "thrown_code": thrown["code"]} if thrown["code"] else {"name": thrown["name"]}
    return ScriptError(message, code="script_threw", **fields, **place)


def no_dispatcher(loop: RunLoop) -> Dispatcher:
    """For replays: nothing is ever submitted to it."""
    return Dispatcher(
        executors={},
        budget=Budget(Caps(), driven=DrivenTime(time.monotonic)),
        clock=SystemClock(),
        concurrency=1,
        begin=loop.begin,
        settled=loop.settled,
        progress=loop.progressed,
    )
