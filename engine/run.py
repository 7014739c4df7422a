"""The loop that drives one version of a run.

Sandbox turn → requests → replay or dispatch → journal → delivery → next turn. The one file that joins the parts, and
the only caller of the plan and of the lanes. Keeps I1 (a result is offered to the plan by the journal's own callback,
after its commit), I2 and I4 (one settlement, then jobs until idle; the plan alone says which), I7 (every settlement
has its reason). It never parses script text, never decides what may be reused, never sleeps.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from time import monotonic

import orjson

from engine.calls import OpenCall, delivery
from engine.controls import Mailbox
from engine.dispatch import Dispatcher, Settled
from engine.errors import EngineBug, PawlError, ScriptError
from engine.events import Event, RunStatusChanged
from engine.executors import Job
from engine.explaining import Explainer
from engine.faultpoints import FaultPoint, no_fault
from engine.identity import call_identity, call_key, canonical
from engine.jsontext import written
from engine.lanes import Lanes
from engine.loading import Loader
from engine.ports import Clock, Writer
from engine.positions import SourceText
from engine.replay import Batch, EndOfRecord, Execute, ReplayPlan, ResumePlan, Reuse, is_sample
from engine.tally import Tally
from engine.telling import Masks, Teller
from engine.values import (
    NO_USAGE,
    AgentDefinition,
    AttemptRow,
    CallKind,
    CallRow,
    Control,
    DeliveryRow,
    Json,
    Outcome,
    RunStatus,
    SettlementRow,
    Usage,
)
from sandbox import Sandbox, SandboxDied
from sandbox import protocol as ops

MOST_ITEMS = 512
"""Deliveries in one frame; the child answers every few dozen of them."""
MOST_DISPATCHED = 256
"""Calls handed to the dispatcher before the event loop gets a turn: some milliseconds."""
MOST_BYTES = 4 << 20
"""Text in one frame of deliveries."""
SLICE_S = 0.005
"""How long the loop may work through one chunk's operations before others get a turn."""


@dataclass(frozen=True, slots=True)
class Script:
    """What the sandbox starts with: `setup` is the JSON object that `stdlib_js/90_main.js` documents."""

    code: int
    setup: bytes
    source: SourceText


@dataclass(slots=True)
class Ending:
    """How the drive ended; the engine writes it down and makes the result of it."""

    status: RunStatus
    result: bytes | None = None
    error: PawlError | None = None
    thrown: dict[str, str] | None = None


class RunLoop:
    """Drives one version of one run. Make it, await `drive()` once."""

    def __init__(
        self,
        *,
        sandbox: Sandbox,
        script: Script,
        plan: ResumePlan | ReplayPlan,
        writer: Writer,
        clock: Clock,
        masker: Masks,
        loader: Loader,
        definitions: Mapping[str, AgentDefinition],
        make_dispatcher: Callable[[RunLoop], Dispatcher],
        started_at: int,
        next_call: int,
        next_order: int,
        last_settled_at: int,
        most_pending: int,
        emit: Callable[[Event], None] | None = None,
        answers: Callable[[int, Json], None],
        default_backend: str = "",
        timers_wait: bool = True,
        can_wait_for_people: bool = False,
        explainer: Explainer | None = None,
        cut_off: Mapping[int, Usage] | None = None,
        fault: FaultPoint = no_fault,
    ) -> None:
        """
        Args:
            started_at: logical milliseconds at the start of the run (of its first version).
            next_call, next_order, last_settled_at: where the run's own numbers go on.
            answers: hands a person's answer to the ask() call that waits; raises `PawlError` when it does not fit.
            can_wait_for_people: somebody may answer an ask() while this process waits.
            explainer: is told of each request, for `--explain`; None when nobody asked.
            cut_off: what attempts of earlier versions cost, by call that is still open: paid, and in no settlement yet.
        """
        self._sandbox = sandbox
        self._script = script
        self._sources = {script.code: script.source}
        self._plan = plan
        self._writer = writer
        self._clock = clock
        self._masker = masker
        self._loader = loader
        self._definitions = definitions
        self._answers = answers
        self._default_backend = default_backend
        self._timers_wait = timers_wait
        self._can_wait_for_people = can_wait_for_people
        self._explainer = explainer
        self._cut_off = dict(cut_off or {})
        self._fault = fault
        self._logical_ms = started_at
        self._next_call = next_call
        self._next_order = next_order
        self._last_settled_at = last_settled_at
        self._decoder = ops.Decoder(most_pending=most_pending)
        self._most_pending = most_pending
        self._lanes = Lanes()
        self._open: dict[int, OpenCall] = {}
        self._by_call: dict[int, OpenCall] = {}
        self._by_number: dict[int, OpenCall] = {}
        self._handed: list[int] = []  # calls delivered in this turn
        self._to_dispatch: deque[int] = deque()
        self._loads: deque[ops.Load] = deque()
        self._in_commit = 0
        self._must_flush = False
        self._numbers = 0
        self._positions = 0
        self._finished: ops.Finished | None = None
        self._wanted: RunStatus | None = None
        self._failure: Exception | None = None
        self._wake = asyncio.Event()
        self._mailbox = Mailbox(writer, urgent=self._urgent, arrived=self._wake.set, failed=self.fail)
        self._slice_began = 0.0
        self.tally = Tally()
        self._teller = Teller(writer, clock, masker, self.tally, emit)
        self.dispatcher = make_dispatcher(self)
        self._appliers: dict[type, Callable[..., None]] = {
            ops.Call: self._requested,
            ops.Delivered: self._delivered,
            ops.Open: lambda op: self._lanes.open(op.first, op.n, op.outer, op.position),
            ops.Ended: lambda op: self._lanes.ended(op.slot, op.at),
            ops.Join: self._joined,
            ops.Woken: lambda op: self._lanes.woken(op.slot, op.at),
            ops.After: lambda op: self._lanes.after(op.slot, op.needs),
            ops.Settled: lambda op: self._lanes.settled(op.promise, op.at),
            ops.Used: lambda op: self._lanes.used(op.promise, op.at),
            ops.Withdrawn: self._withdrawn,
            ops.Load: self._loads.append,
            ops.Phase: self._phase,
            ops.Said: self._said,
            ops.Finished: self._end_of_script,
        }

    # ── from outside ───────────────────────────────────────────────────────────────────────────────────────────────

    def want(self, status: RunStatus) -> None:
        """Ends the drive: `interrupted` and `cancelled` at once, `paused` when what runs has finished."""
        if self._wanted is None or status is not RunStatus.PAUSED:
            self._wanted = status
        self.dispatcher.pause()
        self._wake.set()

    def told_to(self, emit: Callable[[Event], None] | None) -> None:
        """Who gets the events from now on; for None they are not even made."""
        self._teller.emit = emit

    def fail(self, error: Exception) -> None:
        """The journal or the lease is lost: stop, and write nothing more."""
        self._failure = self._failure or error
        self._wake.set()

    # ── the loop ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def drive(self) -> Ending:
        """Runs the script to its end, or until somebody stops it. Leaves no task and no process behind.

        Raises:
            JournalError, ReplayDiffers: what the run cannot go on from.
        """
        self._writer.on_lost(self.fail)
        self._writer.on_control(self._mailbox.rang)
        try:
            ending = await self._turns()
            self._close_calls(ending)
        finally:
            self._mailbox.close()
            await self.dispatcher.stop()
            await self._sandbox.close()
        if self._failure is not None:
            raise self._failure
        return ending

    async def _turns(self) -> Ending:
        try:
            await self._mailbox.fetch()  # what was sent while nobody drove the run
            self._fault("before_start")
            await self._sandbox.start(self._script.code, self._script.setup)
            await self._take_chunks()
            while True:
                if self._failure is not None:
                    raise self._failure
                if self._wanted in (RunStatus.INTERRUPTED, RunStatus.CANCELLED):
                    return Ending(self._wanted)
                if self._finished is not None:
                    self._fault("before_end")
                    return self._ending(self._finished)
                if self._loads:
                    await self._answer_load(self._loads.popleft())
                elif (batch := self._plan.next_batch(MOST_ITEMS)) is not None:
                    await self._deliver(batch)
                elif self._to_dispatch:
                    self._dispatch()
                    await asyncio.sleep(0)  # a fan-out of thousands must not hold up heartbeats and commits
                elif not self._open:
                    return Ending(RunStatus.FAILED, error=_deadlock())
                elif isinstance(self._plan, ReplayPlan):
                    return Ending(RunStatus.INTERRUPTED)  # as far as the recorded version came
                elif await self._mailbox.read(self._obey):
                    pass
                elif (ending := self._stuck()) is not None:
                    return ending
                else:
                    await self._wait()
        except EndOfRecord:
            return Ending(RunStatus.INTERRUPTED)
        except SandboxDied as death:
            return Ending(RunStatus.FAILED, error=ScriptError(str(death), code=f"sandbox_{death.kind}"))
        except ops.HostileFrame as frame:
            return Ending(
                RunStatus.FAILED,
                error=ScriptError(f"The script's sandbox was stopped: {frame}.", code="sandbox_hostile"),
            )
        except ScriptError as error:
            return Ending(RunStatus.FAILED, error=error)

    async def _wait(self) -> None:
        """Until something settles or somebody speaks. While only people can move the run on, it says so."""
        is_waiting = self.dispatcher.only_questions()
        if is_waiting:
            self._writer.mark(RunStatus.WAITING)
            self._teller.keep(RunStatusChanged("waiting", self._clock.now_ms(), "for a person"))
        self._wake.clear()
        await self._wake.wait()
        if is_waiting:
            self._writer.mark(RunStatus.RUNNING)
            self._teller.keep(RunStatusChanged("running", self._clock.now_ms()))

    def _stuck(self) -> Ending | None:
        """Whether there is nothing to wait for in this process: a pause that is complete, or only questions left."""
        if self._in_commit:
            return None
        if self._wanted is RunStatus.PAUSED and not self.dispatcher.running():
            return Ending(RunStatus.PAUSED)
        if self._can_wait_for_people:
            return None
        asked = [c for c in self._open.values() if c.is_asked and c.settlement is None]
        if len(asked) < len(self._open) or any("default" in (c.content or {}) for c in asked):
            return None
        return Ending(RunStatus.PAUSED)

    async def _take_chunks(self) -> int:
        """Works through the chunks of one turn; returns how many deliveries the sandbox took."""
        self._slice_began = monotonic()
        while True:
            chunk = await self._sandbox.next_chunk()
            for op in self._decoder.decode(chunk.ops):
                self._appliers[type(op)](op)
            if self._decoder.too_many:
                raise ScriptError(
                    f"The script has more than {self._most_pending:,} calls pending at once.",
                    code="sandbox_pending",
                    hint="Work through the list in parts, or raise the setting sandbox.pending_calls.",
                )
            if chunk.idle:
                return chunk.consumed
            if monotonic() - self._slice_began > SLICE_S:
                await asyncio.sleep(0)
                self._slice_began = monotonic()

    async def _deliver(self, batch: Batch) -> None:
        items: list[tuple[bytes, int]] = []
        size = 0
        for handle in batch.calls:
            text = delivery(self._open[handle])
            size += len(text)
            if items and size > MOST_BYTES:
                break
            items.append((text, 0))
        if self._must_flush:  # I1 for what was taken over from another run
            await self._writer.flush()
            self._must_flush = False
        self._fault("before_deliver")
        self._handed.clear()
        await self._sandbox.deliver(items, stop_on_request=batch.stop_on_request)
        consumed = await self._take_chunks()
        if not 0 < consumed <= len(items):
            raise ops.HostileFrame(f"the sandbox took {consumed} of {len(items)} deliveries")
        # Not the items: one whose call was withdrawn by an item before it reached nobody.
        self._writer.add(DeliveryRow(self._positions, tuple(self._handed)))
        self._positions += len(self._handed)
        self._fault("after_deliver")
        if consumed < len(batch.calls):
            self._plan.undelivered(batch, consumed)

    async def _answer_load(self, load: ops.Load) -> None:
        """workflow(): hands over the compiled child, or throws. Before any other delivery, so that it has one place."""
        loaded = await self._loader.load(load)
        if loaded.row is not None:
            self._writer.add(loaded.row)
        if loaded.error is None:
            item = orjson.dumps({"i": load.id, "d": loaded.dialect})
        else:
            thrown = {"name": "ScriptError", "code": loaded.error.code, "message": loaded.error.message}
            item = orjson.dumps({"i": load.id, "e": thrown})
        await self._sandbox.deliver([(item, loaded.code)], stop_on_request=False)
        await self._take_chunks()

    def _dispatch(self) -> None:
        """The script is idle and nothing recorded can be delivered: what has no record runs now."""
        for _ in range(MOST_DISPATCHED):
            if not self._to_dispatch:
                return
            call = self._open.get(self._to_dispatch.popleft())
            if call is None or call.content is None:
                continue
            due = None
            if call.kind is CallKind.TIMER:
                due = self._logical_ms + int(call.content["ms"]) if self._timers_wait else 0
            job = Job(
                call=call.call,
                kind=call.kind,
                content=call.content,
                identity=call.identity,
                attempts_before=call.attempts_before,
                goes_on_from=call.goes_on_from,
                label=call.label,
                phase=call.phase,
                due_ms=due,
            )
            call.is_dispatched = True
            self.dispatcher.submit(job)

    # ── what the script did ────────────────────────────────────────────────────────────────────────────────────────

    def _requested(self, op: ops.Call) -> None:
        kind = CallKind(op.kind)
        (content, label, phase), hits = self._masker.mask_json([op.content, op.label, op.phase])
        if hits:
            self.warn(f"A secret in a request of {op.kind}() was masked.", code="masked")
        definition = self._definitions.get(str(content["agentType"])) if "agentType" in content else None
        key = call_key(op.kind, content, None if definition is None else definition.text)
        history = self._lanes.history(op.lane)
        occurrence = self._plan.occurrence(key, history)
        decision = self._plan.decide(
            key,
            history,
            occurrence,
            handle=op.id,
            rerun=content.get("cache") == "rerun" and self._writer.version > 1,
            by_sample=is_sample(str(content.get("backend") or self._default_backend)),
        )
        self._lanes.requested(op.lane)
        self._numbers += 1
        if isinstance(decision, Reuse):
            is_new, number = decision.is_foreign, decision.record.call
        else:
            is_new, number = decision.open_call is None, decision.open_call or 0
        if is_new:
            number = self._next_call
            self._next_call += 1
        call = OpenCall(
            handle=op.id,
            call=number,
            number=self._numbers,
            lane=op.lane,
            kind=kind,
            content=None if isinstance(decision, Reuse) else content,
            label=label,
            phase=phase,
            line=op.line,
            is_full=op.full,
            hash=decision.hash,
            identity=b"" if isinstance(decision, Reuse) else call_identity(key, history, occurrence),
            attempts_before=decision.attempts_before if isinstance(decision, Execute) else 0,
            # An agent in a worktree begins again: what it did is on the branch that was kept, not in its new worktree.
            goes_on_from=decision.goes_on_from
            if isinstance(decision, Execute) and "isolation" not in content
            else None,
            is_reused=isinstance(decision, Reuse),
            settlement=decision.record.settlement if isinstance(decision, Reuse) else None,
        )
        path = self._lanes.path(op.lane)
        self._open[op.id] = call
        self._by_call[number] = call
        self._by_number[self._numbers] = call
        self._writer.add(
            CallRow(
                number,
                self._numbers,
                op.kind,
                path,
                key,
                history,
                occurrence,
                label,
                phase,
                canonical(content) if is_new else b"",
                self._logical_ms,
            )
        )
        if isinstance(decision, Execute):
            self._to_dispatch.append(op.id)
        elif decision.is_foreign:
            self._take_over(call)
        self.tally.requested(call)
        if self._explainer is not None:
            self._explainer.add(call, path, content, decision, key=key, cause=self._lanes.cause(op.lane))
        self._teller.requested(call, content, phase=phase, lane=path)

    def _take_over(self, call: OpenCall) -> None:
        """A record of another run becomes one of this run's: with its place in the order, at no cost."""
        assert call.settlement is not None
        meta = {**orjson.loads(call.settlement.meta or b"{}"), "taken_over": True}
        call.settlement = call.settlement._replace(
            call=call.call, input_tokens=0, output_tokens=0, cost_usd=0.0, meta=orjson.dumps(meta)
        )
        self._writer.add(call.settlement)
        self._must_flush = True

    def _delivered(self, op: ops.Delivered) -> None:
        call = self._open.pop(op.call, None)
        if call is None or call.settlement is None:
            raise ops.HostileFrame("the delivery of a call that has no result")
        self._forget(call)
        row = call.settlement
        self._logical_ms = max(self._logical_ms, row.settled_at)
        self._handed.append(call.call)
        self._lanes.delivered(call.lane, call.handle, call.hash, ran_as=0 if call.is_reused else call.number)
        self.tally.delivered(call)
        if call.is_reused:
            self._teller.settled(call, row)

    def _withdrawn(self, op: ops.Withdrawn) -> None:
        """The script takes calls back: whatever runs for them stops; nothing of them is delivered (S36)."""
        for handle in op.calls:
            call = self._open.pop(handle, None)
            if call is None:
                continue
            self._forget(call)
            self._plan.withdrawn(handle)
            self._lanes.withdrawn(call.lane)
            self._cut(call, "withdrawn: the script no longer waits for it")

    def _cut(self, call: OpenCall, reason: str) -> None:
        """Ends a call that will not be delivered. One that was never started is on record as cancelled all the same."""
        if call.settlement is None:
            self._by_call[call.call] = call
            if call.is_dispatched:
                self.dispatcher.cancel(call.call, reason)
            else:
                self._settle(Settled(call.call, Outcome.CANCELLED, b"", reason, None, None, None, Usage(), {}))

    def _joined(self, op: ops.Join) -> None:
        self._lanes.cancelled(op.first)
        self._lanes.join(op.first)

    def _phase(self, op: ops.Phase) -> None:
        self._teller.phase(op.title)

    def _said(self, op: ops.Said) -> None:
        self._teller.said(op.level, op.text, code=op.code, line=self._line(op.line))

    def _end_of_script(self, op: ops.Finished) -> None:
        self._finished = op

    # ── what the dispatcher did ────────────────────────────────────────────────────────────────────────────────────

    def begin(self, row: AttemptRow, then: Callable[[], None]) -> None:
        """An attempt goes on record before its backend is called."""
        self._writer.add(row, then)
        call = self._by_call.get(row.call)
        if call is None:
            return
        if not call.is_started:
            call.is_started = True
            self.tally.started(call)
        self._teller.started(call, row)

    def settled(self, done: Settled) -> None:
        """A call ended. Called from the event loop, where nobody would see an error: the run must."""
        try:
            self._settle(done)
        except Exception as error:  # noqa: BLE001 - the boundary of the run: it must end, not wait for ever
            self.fail(error)

    def _settle(self, done: Settled) -> None:
        """Mask, number, write down; the journal's callback makes it deliverable (I1)."""
        call = self._by_call.get(done.call)
        if call is None:
            raise EngineBug(f"call {done.call} settled, but nobody made it")
        value = done.value
        meta = dict(self._masker.mask_json(done.meta)[0])  # the words of services are in it: why attempts failed
        if value:
            masked, hits = self._masker.mask_json(orjson.loads(value))
            if hits:
                value = orjson.dumps(masked)
                meta["masked"] = len(hits)
                self.warn(f"A secret in the result of call {call.number} was masked.", code="masked", call=call.number)
        error = b""
        if done.error is not None:
            error = written(self._masker.mask_json(done.error)[0])
        reason = None if done.reason is None else orjson.loads(written(self.mask(done.reason)))
        order = 0
        if done.outcome is not Outcome.CANCELLED:
            order = self._next_order
            self._next_order += 1
        self._last_settled_at = max(self._last_settled_at, self._clock.now_ms())
        usage = done.usage + self._cut_off.pop(done.call, NO_USAGE)
        row = SettlementRow(
            done.call,
            order,
            done.outcome,
            value,
            reason,
            error,
            done.backend,
            None if done.model is None else self.mask(done.model),  # as the service called itself
            usage.input_tokens,
            usage.output_tokens,
            usage.cost_usd,
            self._last_settled_at,
            written(meta),
        )
        call.settlement = row
        self.tally.settled(done.usage)
        self._in_commit += 1
        self._writer.add(row, partial(self._committed, call, row))

    def _committed(self, call: OpenCall, row: SettlementRow) -> None:
        self._in_commit -= 1
        self._teller.settled(call, row)
        if call.handle in self._open:
            self._plan.committed(call.handle)
        else:
            self._by_call.pop(call.call, None)
        self._wake.set()

    def progressed(self, call: int, body: dict[str, Json]) -> None:
        """What a running call tells; of it only a notice is kept."""
        known = self._by_call.get(call)
        if known is None:
            return
        if "notice" in body:
            self._teller.notice(str(body["notice"]), code=str(body.get("code") or "notice"))
            return
        if "question" in body:
            known.is_asked = body["question"] is not None
            self._wake.set()
        self._teller.progressed(known, body)

    # ── ends ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _ending(self, op: ops.Finished) -> Ending:
        if op.is_ok:
            return Ending(RunStatus.COMPLETED, result=op.value.encode())
        return Ending(RunStatus.FAILED, thrown=op.value)

    def _close_calls(self, ending: Ending) -> None:
        """What nobody awaited is cut off when the script has ended (S15); a run that stops otherwise keeps its calls
        for the resume."""
        if ending.status not in (RunStatus.COMPLETED, RunStatus.FAILED) or self._failure is not None:
            return
        left = list(self._open.values())
        if ending.status is RunStatus.COMPLETED and left:
            first = left[0]
            what = f"{first.kind} {first.label!r}" if first.label else str(first.kind)
            place = f" made in line {line}" if (line := self._line(first.line)) else ""
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            self.warn(
                f"The script ended while nobody waited for {what}{place}{more}: cut off. "
                "Write `await` before the call.",
                code="not_awaited",
                call=first.number,
                line=self._line(first.line),
            )
        if ending.status is RunStatus.COMPLETED or ending.thrown is not None:
            for call in left:
                self._open.pop(call.handle, None)
                self._plan.withdrawn(call.handle)
                self._cut(call, "cut_off: the script ended without waiting for it")
            self._to_dispatch.clear()

    # ── control from other processes ───────────────────────────────────────────────────────────────────────────────

    def _urgent(self, message: Control) -> None:
        is_pause = message.kind == "pause"
        self.want(RunStatus.PAUSED if is_pause else RunStatus.CANCELLED)
        self._teller.keep(RunStatusChanged("pausing" if is_pause else "cancelling", self._clock.now_ms()))

    def _obey(self, message: Control) -> str | None:
        """Carries out a control message that names a call; None keeps an answer until its question is asked."""
        call = self._by_number.get(message.call or 0)
        if call is None:
            return "delivered" if 0 < (message.call or 0) <= self._numbers else "unknown_call"
        if call.settlement is not None:
            return "delivered"
        match message.kind:
            case "skip":
                return "ok" if self.dispatcher.skip(call.call) else "not_running"
            case "retry":
                return "ok" if self.dispatcher.retry(call.call) else "not_running"
            case "answer":
                is_to_come = call.kind is CallKind.ASK and not call.is_asked
                return None if is_to_come else self.answer(call.number, message.value)
            case _:
                return "unknown_control"

    def answer(self, number: int, value: Json) -> str:
        """Answers the question with this number: `ok`, or why not."""
        call = self._by_number.get(number)
        if call is None or not (call.kind is CallKind.ASK or call.is_asked):
            return "not_a_question"
        try:
            self._answers(call.call, value)
        except PawlError as error:
            return f"{error.code}: {error.message}"
        return "ok"

    def sources(self) -> dict[int, SourceText]:
        """The texts of this version by their code number, for places in them."""
        return self._sources | self._loader.sources()

    # ── telling ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _line(self, engine_line: int) -> int | None:
        """The line in the main script, or None for another file or none at all."""
        if not engine_line:
            return None
        code, line = self._sandbox.locate(engine_line)
        return line if code == self._script.code else None

    def warn(self, text: str, *, code: str | None, call: int | None = None, line: int | None = None) -> None:
        self._teller.warn(text, code=code, call=call, line=line)

    def mask(self, text: str) -> str:
        return self._teller.mask(text)

    def _forget(self, call: OpenCall) -> None:
        self._by_number.pop(call.number, None)
        self._by_call.pop(call.call, None)


def _deadlock() -> ScriptError:
    return ScriptError(
        "The script waits for something that can never come: no agent, timer or question is pending.",
        code="deadlock",
        hint="Look for a promise that nothing resolves, or a lock that nobody gives back.",
    )
