"""The Python API: open a project, start, resume, replay and steer runs. The command line uses nothing else.

async with Engine.open(Path(".")) as engine:
    handle = await engine.start(find("review", engine.project), args={"path": "src"})
    async for event in handle.events():
        print(event.to_json())
    result = await handle.result()
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import orjson

from engine import setup, version
from engine.agents.definitions import known
from engine.checks import CheckReport
from engine.clock import SystemClock
from engine.diagnostics import open_log
from engine.errors import JournalError, PawlError, ReplayDiffers, RunStateError, UsageError
from engine.examination import Examine
from engine.faultpoints import FaultPoint, no_fault
from engine.handle import RunHandle
from engine.identity import canonical
from engine.options import UNSET, ResumeOptions, RunOptions, RunResult
from engine.ports import Journal
from engine.project import keep_out_of_git, project_root
from engine.replay import ReplayPlan
from engine.run import Ending
from engine.settings import Settings
from engine.setup import Checked, Effective
from engine.telling import Masks
from engine.trail import paid_in
from engine.values import (
    NO_USAGE,
    CallKind,
    Json,
    NewVersion,
    Record,
    RunInfo,
    RunStatus,
    Usage,
    VersionInfo,
    check_run_id,
)
from engine.version import Beginning
from engine.workflows import ScriptSource
from engine.writers import NoWriter

__all__ = ["Engine", "RunHandle", "ScriptSource", "project_root"]

CONTROL_WAIT_S = 5.0
"""How long `control` waits for a live run to act; it acts within 200 ms."""


class Engine:
    """A project and its journal. Use it with `async with`; one engine drives any number of runs."""

    def __init__(
        self,
        project: Path,
        journal: Journal,
        settings: Settings,
        *,
        fault: FaultPoint = no_fault,
        examine: Examine | None = None,
    ) -> None:
        self.project = project
        self.journal = journal
        self.settings = settings
        self._clock = SystemClock()
        self._fault = fault
        self._examine = examine
        self._handles: set[RunHandle] = set()
        self._log = open_log(settings.log)

    @classmethod
    def open(
        cls,
        project: Path | None = None,
        *,
        journal: Path | Journal | None = None,
        settings: Settings | None = None,
        fault: FaultPoint = no_fault,
        examine: Examine | None = None,
    ) -> Engine:
        """Opens the project at or above `project` (the current folder by default); nothing is created yet.

        Args:
            fault: for tests; see `engine.faultpoints`.
            examine: `engine.authoring.examine`, for an engine that goes on with runs of `pawl new`.

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
        return cls(root, journal, settings, fault=fault, examine=examine)

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
            await handle.ended()
        await self.journal.close()
        if self._log is not None:
            self._log.close()

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
            effective = setup.effective(options, checked, self.settings)
            backends = setup.open_backends(effective, self.settings, self.project)
            foreign = await self._foreign(reuse_from)
            now = self._clock.now_ms()
            new_id = run_id or make_run_id(now)
            new = _new_version(script, checked, args, effective, now)
            keep_out_of_git(self.project, getattr(self.journal, "path", None))
            writer = await self.journal.create_run(
                new_id, name=checked.script.meta.name, project=str(self.project), version=new
            )
        except BaseException:
            await checked.sandbox.close()
            raise
        begin = self._begin(new_id, now, checked, effective, masker, new.args)
        begin.foreign = foreign
        return self._held(
            version.drive(begin, writer, backends, options=options, how=ResumeOptions(), simulate=simulate)
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
            effective = setup.resumed(options, checked, setup.recorded(base), self.settings)
            backends = setup.open_backends(effective, self.settings, self.project)
            new = _new_version(source, checked, given, effective, self._clock.now_ms())
            retired = await self._to_retire(run_id, how.rerun)
            # Read before the lease is taken: a damaged run is refused without another version of it.
            before = await self.journal.run_info(run_id)
            records = await self.journal.records(run_id)
            writer = await self.journal.resume_run(run_id, new)
        except BaseException:
            await checked.sandbox.close()
            raise
        try:
            if retired:
                await writer.retire(retired)
            info = await self.journal.run_info(run_id)
            begin = self._begin(run_id, first.started_at, checked, effective, masker, new.args)
            is_unchanged = writer.version == before.versions + 1 and not retired
            begin.records = records if is_unchanged else await self.journal.records(run_id)
            begin.engine_change = setup.engine_change(base.engine, checked.engine_info())
            if how.explain:
                begin.before = await self.journal.calls(run_id, base.version)
            begin.cut_off = await self._cut_off(run_id, begin.records)
            begin.paid = sum(begin.cut_off.values(), info.paid)
            begin.agents, begin.active_ms = info.agents, info.active_ms
            return self._held(version.drive(begin, writer, backends, options=options, how=how))
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
                await self.journal.calls(run_id, base.version),
                deliveries,
                await self.journal.records(run_id),
                has_ended=base.end is not None and base.end.status in (RunStatus.COMPLETED, RunStatus.FAILED),
            )
            loads = {row.ref: row for row in await self.journal.loads(run_id, base.version)}
            begin = self._begin(run_id, first.started_at, checked, effective, self._masker(), base.args)
            loop = version.make_loop(begin, NoWriter(base.version), plan, version.no_dispatcher, recorded_loads=loads)
        except BaseException:
            await checked.sandbox.close()
            raise
        changed = setup.engine_change(base.engine, checked.engine_info())
        try:
            ending = await loop.drive()
            _same_end(base, ending, version.error_of(ending, checked, loop), left=plan.left)
        except ReplayDiffers as difference:
            difference.hint = difference.hint or changed or ""
            raise
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
        """Sends `pause`, `cancel`, `skip`, `retry` or `answer` to whoever drives the run.

        Returns what came of it, in words for people.

        Raises:
            UsageError, RunStateError: there is no such run or call, or it is too late.
        """
        run_id, _ = split_reference(run)
        info = await self.journal.run_info(run_id)
        if call is not None:
            await self._check_call(info, kind, call)
        if info.status in (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED):
            raise RunStateError(
                f"Run {run_id} has ended: it is {info.status}.",
                code="run_ended",
                hint=f"`pawl resume {run_id}` goes on with it.",
                run_id=run_id,
            )
        sent = await self.journal.send_control(run_id, kind, call, value)
        # A driver that acts on it may be gone a moment later.
        if not await self.journal.is_driven(run_id) and await self.journal.control_outcome(sent.control_id) is None:
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

    def _begin(  # noqa: PLR0917 - what every version starts from
        self,
        run_id: str,
        created_at: int,
        checked: Checked,
        effective: Effective,
        masker: Masks,
        args: bytes | None,
    ) -> Beginning:
        return Beginning(
            run_id,
            created_at,
            self.project,
            self.settings,
            checked,
            effective,
            masker,
            self.journal,
            args,
            definitions=known(self.project),
            clock=self._clock,
            fault=self._fault,
            log=self._log,
            examine=self._examine,
        )

    def _held(self, handle: RunHandle) -> RunHandle:
        """Keeps a handle until its version is over, for `close`."""
        self._handles.add(handle)
        handle.when_over(lambda: self._handles.discard(handle))
        return handle

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

    async def _cut_off(self, run_id: str, records: Sequence[Record]) -> dict[int, Usage]:
        """What attempts cost whose calls were cut off before they settled: only their conversations tell (I6)."""
        calls = [r.call for r in records if r.kind == CallKind.AGENT and r.attempts and r.settlement is None]
        return {call: paid_in(await self.journal.turns(run_id, call)) for call in calls}

    async def _check_call(self, info: RunInfo, kind: str, call: int) -> None:
        rows = await self.journal.calls(info.run_id, info.versions)
        row = next((r for r in rows if r.number == call), None)
        if row is None:
            raise RunStateError(
                f"Run {info.run_id} has no call {call}.",
                code="unknown_call",
                hint=f"`pawl show {info.run_id} --calls` lists them.",
            )
        is_question = row.kind == CallKind.ASK or (
            # A subagent may be waiting for a permission; who drives the run knows.
            row.kind == CallKind.AGENT and await self.journal.is_driven(info.run_id)
        )
        if kind == "answer" and not is_question:
            raise RunStateError(
                f"Call {call} of run {info.run_id} is no question: it is {row.kind}().",
                code="not_a_question",
                hint=f"`pawl show {info.run_id} --calls` lists the calls; a question is an ask().",
            )
        delivered = {c for d in await self.journal.deliveries(info.run_id, info.versions) for c in d.calls}
        if row.call in delivered:
            raise _already_delivered(info.run_id, call)


def _args_text(args: Json) -> bytes:
    try:
        return canonical(args)
    except TypeError as error:  # orjson: half a surrogate pair, an integer over 64 bits, what is no JSON at all
        raise UsageError(f"args cannot be JSON: {error}", code="bad_args", hint="Pass JSON values only.") from None


def _new_version(source: ScriptSource, checked: Checked, args: Json, effective: Effective, now: int) -> NewVersion:
    return NewVersion(
        script=source.text.encode(),
        script_path=None if source.path is None else str(source.path),
        meta=checked.script.meta.raw,
        args=None if args is UNSET else _args_text(args),
        settings=effective.to_json(),
        engine=checked.engine_info(),
        permissions=tuple(sorted(effective.allow)),
        started_at=now,
    )


def _masked(script: ScriptSource, args: Json, masker: Masks) -> tuple[ScriptSource, Json]:
    """What enters the run, without the secrets that the settings know of (I9): what runs is what is on record."""
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


def _same_end(base: VersionInfo, ending: Ending, found: PawlError | None, *, left: int) -> None:
    """Raises `ReplayDiffers` unless the replay ended as the recorded version did, with no recorded request `left`."""
    if left and ending.status is not RunStatus.INTERRUPTED:
        raise ReplayDiffers(f"{left} recorded requests were not made again.", left=left)
    end = base.end
    if end is None or end.status not in (RunStatus.COMPLETED, RunStatus.FAILED):
        return
    if end.status is not ending.status:
        raise ReplayDiffers(f"The recorded run ended as {end.status}; the replay as {ending.status}.")
    if end.result != ending.result:
        raise ReplayDiffers("The result of the replay is not the recorded one.")
    if end.error is not None and found is not None and end.error.get("message") != found.message:
        raise ReplayDiffers(
            f"The recorded run failed with {end.error.get('message')!r}; the replay with {found.message!r}."
        )
