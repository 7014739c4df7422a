"""Runs scripts thousands of times in one process: the real run loop, lanes, plan, library and journal; scripted agents.

A `World` is one run with all its versions. Answers come in an order that a seed decides, some are null, some fail; the
run is killed where a seed says. An agent's answer depends on its prompt and on `label`, in which generated programs
carry what they really waited for: a label is in no key, so nothing that is under test helps it to find its record.

`ALWAYS_REPLAY` (pytest --always-replay) makes `World.run` die after the first new delivery, resume, die after the
second, and so on to the end.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import orjson
from support.local_sandbox import LIBRARY_START, LocalSandbox

from engine import run as run_module
from engine import setup
from engine.dispatch import Dispatcher, Settled
from engine.errors import ScriptError
from engine.executors import Job
from engine.identity import call_identity
from engine.journal.memory import MemoryJournal
from engine.limits import Caps
from engine.loading import Inspected, Loader, Resolved
from engine.options import Policy
from engine.ports import Clock, Journal, Writer
from engine.positions import SourceText
from engine.replay import ReplayPlan, ResumePlan
from engine.run import Ending, RunLoop, Script
from engine.settings import Settings
from engine.values import (
    AttemptRow,
    CallKind,
    CallRow,
    NewVersion,
    Outcome,
    Record,
    RunStatus,
    SettlementRow,
    Usage,
    VersionEnd,
)
from engine.writers import NoWriter
from sandbox import Sandbox

RUN = "run"
STARTED_AT = 1_700_000_000_000


class Killed(Exception):
    """The process died here."""


@dataclass
class Replays:
    """What `--always-replay` did."""

    is_on: bool = False
    resumes: int = 0


ALWAYS_REPLAY = Replays()


def digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:10]


def answer(prompt: str, label: str | None) -> str:
    """What an agent says: it has seen what its prompt says and what earlier ones had left behind."""
    return digest(prompt, sorted(set(map(str, orjson.loads(label))))) if label else digest(prompt)


@dataclass(frozen=True)
class Chances:
    """How agents behave: of each execution, the share that gives null, or throws (prompts that start with F only)."""

    null: float = 0.0
    fail: float = 0.0


@dataclass(frozen=True)
class Kill:
    """Where the process dies: at the n-th time that `point` is reached: `delivery` (a frame is about to be delivered),
    `live` (one with new results), or a fault point of the journal."""

    point: str
    n: int


@dataclass
class Done:
    """How one version ended. `live` calls were carried out, `reused` ones delivered from the journal."""

    version: int
    status: str
    result: Any = None
    encoded: bytes | None = None
    thrown: dict[str, str] | None = None
    live: int = 0
    loop: RunLoop | None = None

    @property
    def is_completed(self) -> bool:
        return self.status == RunStatus.COMPLETED


class TickingClock:
    """A millisecond later each time that somebody asks: two versions never see the same times."""

    def __init__(self) -> None:
        self.now = STARTED_AT

    def now_ms(self) -> int:
        self.now += 1
        return self.now

    def monotonic(self) -> float:
        return self.now / 1000

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here sleeps")

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Any:
        raise AssertionError("nothing here waits")


class _NoMasks:
    def mask_json(self, value: Any) -> tuple[Any, tuple[object, ...]]:
        return value, ()


class ScriptedDispatcher:
    """Carries out calls in an order that `rnd` decides; `one_by_one` keeps to the order of submission."""

    def __init__(self, loop: RunLoop, world: World, rnd: random.Random, chances: Chances, *, one_by_one: bool) -> None:
        self._loop = loop
        self._world = world
        self._rnd = rnd
        self._chances = chances
        self._one_by_one = one_by_one
        self._running: dict[int, Job] = {}
        self._started: list[int] = []
        self._is_ticking = False
        self._is_stopped = False
        self.executed = 0

    def submit(self, job: Job) -> None:
        assert job.call not in self._running, "submitted twice"
        if job.identity in self._world.succeeded:
            self._world.asked_again.append(str(job.content))
        self._running[job.call] = job
        row = AttemptRow(job.call, job.attempts_before + 1, "scripted", None, self._world.clock.now_ms())
        self._loop.begin(row, lambda: self._begun(job.call))

    def _begun(self, call: int) -> None:
        if call in self._running and not self._is_stopped:
            self._started.append(call)
            self._tick_soon()

    def _tick_soon(self) -> None:
        if not self._is_ticking and not self._is_stopped:
            self._is_ticking = True
            asyncio.get_running_loop().call_soon(self._tick)

    def _tick(self) -> None:
        self._is_ticking = False
        if self._is_stopped:
            return
        if self._started and (self._one_by_one or self._rnd.random() < 0.7):
            for _ in range(1 if self._one_by_one else self._rnd.choice([1, 1, 1, 2, 5])):
                if self._started:
                    at = 0 if self._one_by_one else self._rnd.randrange(len(self._started))
                    try:
                        self._end(self._started.pop(at))
                    except Exception as error:  # noqa: BLE001 - a test's own mistake must end the run, not hang it
                        self._loop.fail(error)
                        return
        if self._started:
            self._tick_soon()

    def _end(self, call: int) -> None:
        job = self._running.pop(call)
        self.executed += 1
        value, reason, error = b"null", None, None
        outcome = Outcome.OK
        if job.kind is CallKind.AGENT:
            prompt = str(job.content["prompt"])
            if self._rnd.random() < self._chances.null or self._world.gets_null(prompt):
                outcome, reason = Outcome.NULL, "provider_failed: no answer"
            elif prompt.startswith("F") and self._rnd.random() < self._chances.fail:
                outcome, reason = Outcome.FAILED, "broken: no"
                value, error = b"", {"kind": "AgentError", "code": "broken", "message": "no"}
            else:
                value = orjson.dumps(self._world.answers(prompt, job.label))
        usage = Usage(3, 7, 0.0)
        self._loop.settled(Settled(call, outcome, value, reason, error, "scripted", None, usage, {}))

    def cancel(self, call: int, reason: str) -> None:
        if self._running.pop(call, None) is None:
            return
        if call in self._started:
            self._started.remove(call)
        done = Settled(call, Outcome.CANCELLED, b"", reason, None, None, None, Usage(), {})
        asyncio.get_running_loop().call_soon(self._loop.settled, done)

    def pause(self) -> None:
        pass

    def running(self) -> list[int]:
        return list(self._running)

    def only_questions(self) -> bool:
        return False

    async def stop(self) -> list[int]:
        self._is_stopped = True
        await asyncio.sleep(0)
        return list(self._running)


class World:
    """One run. `run` starts its next version; what a version left in the journal stays."""

    def __init__(
        self,
        *,
        seed: int = 0,
        answers: Callable[[str, str | None], Any] = answer,
        children: Mapping[str, str] | None = None,
        journal: Journal | None = None,
        spawn: Callable[[], Any] | None = None,
        counts_failures: bool = False,
    ) -> None:
        """
        Args:
            answers: what an agent says, from its prompt and the label of the request.
            children: texts of child workflows by name.
            counts_failures: the test counts calls that every resume asks again, so that --always-replay must not add any.

        `asked_again` collects calls that run though a record of an earlier version says that they succeeded (I3).
        """
        self.rnd = random.Random(seed)
        self.answers = answers
        self.children = dict(children or {})
        self.clock = TickingClock()
        self.versions = 0
        self.counts_failures = counts_failures
        self.succeeded: set[bytes] = set()
        self.asked_again: list[str] = []
        self._nulls: Callable[[str], bool] | None = None
        self._kill: Kill | None = None
        self._points: Counter[str] = Counter()
        self._spawn = spawn or LocalSandbox
        self.journal: Journal = journal or MemoryJournal()
        if hasattr(self.journal, "fault"):
            self.journal.fault = self._fault

    def gets_null(self, prompt: str) -> bool:
        return self._nulls is not None and self._nulls(prompt)

    def _fault(self, point: str) -> None:
        self._points[point] += 1
        if self._kill is not None and self._kill == Kill(point, self._points[point]):
            raise Killed(point)

    async def run(
        self,
        text: str,
        *,
        kill: Kill | None = None,
        chances: Chances = Chances(),
        policy: Policy = "lane",
        keep_failures: bool = False,
        foreign: list[Record] | None = None,
        one_by_one: bool = False,
        retire: Callable[[CallRow], bool] | None = None,
        nulls: Callable[[str], bool] | None = None,
    ) -> Done:
        """The next version of the run, with this text. A kill gives status `killed`.

        `retire` picks records as --rerun does, `nulls` prompts that get no answer this time.
        """
        self._nulls = nulls
        stops, live = 1, 0
        is_stopping = ALWAYS_REPLAY.is_on and kill is None and not self.counts_failures
        while True:
            stops += 1
            done = await self._version(
                text,
                kill=Kill("live", stops) if is_stopping else kill,
                chances=chances,
                policy=policy,
                keep_failures=keep_failures,
                foreign=foreign,
                one_by_one=one_by_one,
                retire=retire,
            )
            live += done.live
            if done.status != "killed" or not is_stopping:
                done.live = live
                return done
            retire, foreign = None, None
            ALWAYS_REPLAY.resumes += 1

    async def _version(
        self,
        text: str,
        *,
        kill: Kill | None,
        chances: Chances,
        policy: Policy,
        keep_failures: bool,
        foreign: list[Record] | None,
        one_by_one: bool,
        retire: Callable[[CallRow], bool] | None,
    ) -> Done:
        self._kill, self._points = kill, Counter()
        new = _new_version(text, self.clock.now_ms())
        if self.versions == 0:
            writer: Writer = await self.journal.create_run(RUN, name="t", project="/p", version=new)
        else:
            rows = await self.journal.calls(RUN, self.versions)
            writer = await self.journal.resume_run(RUN, new)
            if retire is not None:
                await writer.retire([row.call for row in rows if retire(row)])
        self.versions = writer.version
        records = await self.journal.records(RUN)
        self.succeeded = _succeeded(records)
        plan = ResumePlan(records, policy=policy, keep_failures=keep_failures, foreign=foreign or ())
        dispatchers: list[ScriptedDispatcher] = []
        rnd = random.Random(self.rnd.random())

        def make(loop: RunLoop) -> Dispatcher:
            dispatchers.append(ScriptedDispatcher(loop, self, rnd, chances, one_by_one=one_by_one))
            return cast(Dispatcher, dispatchers[0])

        try:
            loop = await self._loop(text, plan, writer, make, records=records, foreign=foreign or ())
            ending = await loop.drive()
            await self._end(writer, ending)
        except Exception as error:
            writer.forget()
            if not isinstance(error, Killed) and not isinstance(error.__cause__, Killed):
                raise
            return Done(writer.version, "killed", live=dispatchers[0].executed)
        return _done(writer.version, ending, dispatchers[0].executed, loop)

    async def replay(self, version: int | None = None) -> Done:
        """Follows a version's list exactly. Raises `ReplayDiffers`."""
        info = await self.journal.version(RUN, version)
        deliveries = [call for row in await self.journal.deliveries(RUN, info.version) for call in row.calls]
        plan = ReplayPlan(await self.journal.calls(RUN, info.version), deliveries, await self.journal.records(RUN))

        def make(loop: RunLoop) -> Dispatcher:
            return cast(Dispatcher, ScriptedDispatcher(loop, self, self.rnd, Chances(), one_by_one=True))

        self._kill = None
        writer = NoWriter(info.version)
        loop = await self._loop(info.script.decode(), plan, writer, make)
        ending = await loop.drive()
        assert plan.left == 0 or ending.status is RunStatus.INTERRUPTED, f"{plan.left} requests were not made again"
        return _done(info.version, ending, 0, loop)

    async def _loop(
        self,
        text: str,
        plan: ResumePlan | ReplayPlan,
        writer: Writer,
        make: Callable[[RunLoop], Dispatcher],
        *,
        records: Sequence[Record] = (),
        foreign: Sequence[Record] = (),
    ) -> RunLoop:
        sandbox = self._spawn()
        await sandbox.compile(1, text)
        deliver = sandbox.deliver

        async def counted(items: Any, *, stop_on_request: bool) -> None:
            if self._kill is not None:
                first = loop._open.get(orjson.loads(items[0][0])["i"])
                self._points["delivery"] += 1
                self._points["live"] += first is not None and not first.is_reused
                if self._kill.point in ("delivery", "live") and self._points[self._kill.point] == self._kill.n:
                    await writer.flush()  # what was settled by now is not what this kill takes away
                    raise Killed(self._kill.point)
            await deliver(items, stop_on_request=stop_on_request)

        sandbox.deliver = counted

        async def resolve(ref: dict[str, str]) -> Resolved:
            name = next(iter(ref.values()))
            if name not in self.children:
                raise ScriptError(f"No workflow {name!r}.", code="unknown_workflow")
            return Resolved(name, f"/p/{name}.js", self.children[name])

        async def inspect(text: str) -> Inspected:
            return Inspected("child", None, None)

        orders = [r.settlement.order for r in [*records, *foreign] if r.settlement]
        times = [r.settlement.settled_at for r in records if r.settlement]
        loop = RunLoop(
            sandbox=cast(Sandbox, sandbox),
            script=Script(1, _setup_text(is_local=isinstance(sandbox, LocalSandbox)), SourceText(text, "t.js")),
            plan=plan,
            writer=writer,
            clock=cast(Clock, self.clock),
            masker=_NoMasks(),
            loader=Loader(sandbox, resolve=resolve, inspect=inspect, check_args=lambda schema, args: None),
            definitions={},
            make_dispatcher=make,
            started_at=STARTED_AT,
            next_call=1 + max((r.call for r in records), default=0),
            next_order=1 + max(orders, default=0),
            last_settled_at=max(times, default=STARTED_AT),
            most_pending=100_000,
            answers=lambda call, value: None,
            timers_wait=False,
        )
        return loop

    @staticmethod
    async def _end(writer: Writer, ending: Ending) -> None:
        error = None if ending.error is None else ending.error.to_json()
        await writer.end(
            VersionEnd(
                status=ending.status,
                result=ending.result,
                error=error or cast(Any, ending.thrown),
                degraded=False,
                counts={},
                usage=Usage(),
                active_ms=0,
                ended_at=STARTED_AT,
            )
        )

    # What a test asks afterwards.

    @staticmethod
    def prompt(row: CallRow) -> str:
        return str(orjson.loads(row.content)["prompt"])

    async def rows(self, version: int | None = None) -> list[CallRow]:
        return await self.journal.calls(RUN, version or self.versions)

    async def delivered(self, version: int | None = None) -> list[tuple[CallRow, SettlementRow]]:
        """What a version's script was given, in order: (its request, the settlement)."""
        rows = {row.call: row for row in await self.rows(version)}
        settlements = await self.journal.settlements(RUN)
        return [
            (rows[call], settlements[call])
            for delivery in await self.journal.deliveries(RUN, version or self.versions)
            for call in delivery.calls
        ]

    async def wrong_deliveries(self, version: int | None = None) -> list[str]:
        """The oracle: each answer is the one that an agent gives to this prompt after what this script really waited
        for. Does not ask the lanes, and holds for every order of arrival."""
        out = []
        for row, settlement in await self.delivered(version):
            if row.kind == "agent" and settlement.outcome == Outcome.OK:
                prompt = self.prompt(row)
                if orjson.loads(settlement.value) != self.answers(prompt, row.label):
                    out.append(f"call {row.call} {prompt!r} after {row.label}")
        return out


def _succeeded(records: list[Record]) -> set[bytes]:
    """Identities whose newest record succeeded."""
    newest = {call_identity(r.key, r.history, r.occurrence): r for r in records}
    return {
        identity
        for identity, r in newest.items()
        if not r.retired and r.settlement is not None and r.settlement.outcome == Outcome.OK
    }


def _done(version: int, ending: Ending, live: int, loop: RunLoop) -> Done:
    result = None if ending.result is None else orjson.loads(ending.result)
    thrown = ending.thrown
    if ending.error is not None:
        thrown = {"code": ending.error.code, "message": str(ending.error)}
    return Done(version, str(ending.status), result, ending.result, thrown, live, loop)


def _new_version(text: str, now: int) -> NewVersion:
    return NewVersion(
        script=text.encode(),
        script_path=None,
        meta={"name": "t"},
        args=None,
        settings={},
        engine={},
        permissions=(),
        started_at=now,
    )


def _setup_text(*, is_local: bool) -> bytes:
    chosen = setup.Effective("scripted", None, None, 16, None, None, None, None, frozenset())
    assert chosen.caps() == Caps()
    text = setup.start_text(RUN, STARTED_AT, None, chosen, Settings())
    if not is_local:
        return text
    return orjson.dumps({**orjson.loads(text), "libraryLine": LIBRARY_START})


@contextmanager
def batches_of(most: int) -> Any:
    """Deliveries go out at most `most` in a frame."""
    before = run_module.MOST_ITEMS
    run_module.MOST_ITEMS = most
    try:
        yield
    finally:
        run_module.MOST_ITEMS = before
