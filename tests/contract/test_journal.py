"""What every journal promises, held against the one on disk and the one in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.clock import ManualClock
from support.journals import (
    LARGE_TEXT,
    attempt_row,
    call_row,
    new_version,
    settlement_row,
    turn_row,
    version_end,
    worktree_row,
)

from engine.errors import EngineBug, JournalError, LeaseLost, UsageError
from engine.executors import Job
from engine.journal.memory import MemoryJournal
from engine.journal.sqlite import SqliteJournal
from engine.masking import Masker
from engine.ports import Journal, Writer
from engine.settings import SecretSettings
from engine.trail import Trails
from engine.values import CallKind, DeliveryRow, EventRow, LoadRow, RunStatus, Trail, Usage

AnyJournal = SqliteJournal | MemoryJournal


class Faults:
    """Raises at a named point once it is armed."""

    def __init__(self) -> None:
        self.armed: str | None = None

    def __call__(self, point: str) -> None:
        if point == self.armed:
            raise OSError(f"fault at {point}")


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture(params=["sqlite", "memory"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path, faults: Faults) -> AsyncIterator[AnyJournal]:
    made: AnyJournal
    if request.param == "sqlite":
        made = SqliteJournal(tmp_path / "state" / "pawl.db", fault=faults)
    else:
        made = MemoryJournal(fault=faults)
    async with made:
        yield made


async def start(journal: Journal, run_id: str = "run-1") -> Writer:
    return await journal.create_run(run_id, name="one", project="/project", version=new_version())


async def test_what_a_version_is_made_of_comes_back(journal: Journal) -> None:
    new = new_version(args=b'{"n":1.0}')
    writer = await journal.create_run("run-1", name="one", project="/project", version=new)
    await writer.end(version_end(error={"code": "x"}, degraded=True))
    found = await journal.version("run-1")
    assert (found.version, found.script, found.script_path, found.meta) == (1, new.script, new.script_path, new.meta)
    assert (found.args, found.settings, found.engine) == (new.args, new.settings, new.engine)
    assert (found.permissions, found.started_at) == (new.permissions, new.started_at)
    assert found.end == version_end(error={"code": "x"}, degraded=True)


async def test_rows_come_back_as_they_were_added(journal: Journal) -> None:
    writer = await start(journal)
    calls = [call_row(1), call_row(2, label=None, phase="größer", kind="check", content=LARGE_TEXT)]
    settlements = [
        settlement_row(1, value=LARGE_TEXT, meta=b'{"a":1}'),
        settlement_row(2, outcome="null", reason="r: x"),
    ]
    events = [EventRow(1, "phase", 5, b'{"title":"a"}'), EventRow(2, "log", 6, LARGE_TEXT)]
    deliveries = [DeliveryRow(0, (2, 1)), DeliveryRow(2, ())]
    loads = [
        LoadRow('{"name":"x"}', "x", "x.js", b"return 1", b""),
        LoadRow('"y"', "y", "", b"", b'{"code":"unknown"}'),
    ]
    attempts = [attempt_row(1, model="small"), attempt_row(1, 2), attempt_row(2, backend="local")]
    for row in (*calls, *attempts, *settlements, *events, *deliveries, *loads):
        writer.add(row)
    await writer.flush()
    assert await journal.calls("run-1", 1) == calls
    assert await journal.attempts("run-1") == attempts
    assert await journal.settlements("run-1") == {1: settlements[0], 2: settlements[1]}
    assert await journal.events("run-1") == events
    assert await journal.events("run-1", 1, after=1) == events[1:]
    assert await journal.deliveries("run-1", 1) == deliveries
    assert await journal.loads("run-1", 1) == loads


async def test_I1_callbacks_run_in_order_and_only_after_the_commit(journal: Journal) -> None:
    writer = await start(journal)
    told: list[int] = []
    for call in range(1, 6):
        writer.add(call_row(call), lambda call=call: told.append(call))
    assert told == []
    await writer.flush()
    assert told == [1, 2, 3, 4, 5]
    assert [row.call for row in await journal.calls("run-1", 1)] == [1, 2, 3, 4, 5]


async def test_rows_added_by_a_callback_are_committed_too(journal: Journal) -> None:
    writer = await start(journal)
    told = asyncio.Event()
    writer.add(call_row(1), lambda: writer.add(call_row(2), told.set))
    await asyncio.wait_for(told.wait(), 5)
    assert [row.call for row in await journal.calls("run-1", 1)] == [1, 2]


async def test_a_flush_with_nothing_to_do_returns(journal: Journal) -> None:
    writer = await start(journal)
    await writer.flush()
    await writer.flush()


@pytest.mark.parametrize("point", ["before_commit", "after_commit", "before_callbacks"])
async def test_I1_a_failed_commit_tells_once_and_calls_nobody_back(
    journal: Journal, faults: Faults, point: str
) -> None:
    writer = await start(journal)
    lost: list[Exception] = []
    told: list[int] = []
    writer.on_lost(lost.append)
    faults.armed = point
    writer.add(call_row(1), lambda: told.append(1))
    with pytest.raises(EngineBug) as caught:
        await writer.flush()
    assert caught.value.message == f"the journal's writer broke: OSError: fault at {point}"
    faults.armed = None
    writer.add(call_row(2), lambda: told.append(2))
    with pytest.raises(EngineBug):
        await writer.flush()
    assert (told, lost) == ([], [caught.value])
    found = [row.call for row in await journal.calls("run-1", 1)]
    assert found == ([] if point == "before_commit" else [1])


async def test_on_lost_is_told_even_when_it_comes_late(journal: Journal, faults: Faults) -> None:
    writer = await start(journal)
    faults.armed = "before_commit"
    writer.add(call_row(1))
    with pytest.raises(EngineBug):
        await writer.flush()
    told = asyncio.get_running_loop().create_future()
    writer.on_lost(told.set_result)
    assert isinstance(await asyncio.wait_for(told, 5), EngineBug)


async def test_nothing_is_added_after_the_end(journal: Journal) -> None:
    writer = await start(journal)
    await writer.end(version_end())
    with pytest.raises(EngineBug):
        writer.add(call_row(1))


async def test_I8_a_driven_run_cannot_be_resumed(journal: Journal) -> None:
    await start(journal)
    with pytest.raises(JournalError) as caught:
        await journal.resume_run("run-1", new_version())
    assert (caught.value.code, caught.value.exit_code) == ("run_driven", 6)
    assert (await journal.run_info("run-1")).versions == 1


async def test_I8_of_two_resumes_at_once_one_wins(journal: Journal) -> None:
    (await start(journal)).forget()
    both = await asyncio.gather(
        journal.resume_run("run-1", new_version()), journal.resume_run("run-1", new_version()), return_exceptions=True
    )
    failed = [result for result in both if isinstance(result, JournalError)]
    assert [error.code for error in failed] == ["run_driven"]
    assert (await journal.run_info("run-1")).versions == 2


async def test_I8_a_writer_that_was_dropped_writes_nothing(journal: Journal) -> None:
    first = await start(journal)
    first.add(call_row(1))
    first.forget()
    second = await journal.resume_run("run-1", new_version())
    first.add(call_row(2))
    with pytest.raises(LeaseLost):
        await first.flush()
    second.add(call_row(3))
    await second.flush()
    assert await journal.calls("run-1", 1) == []
    assert [row.call for row in await journal.calls("run-1", 2)] == [3]


async def test_a_dead_owners_run_is_interrupted(journal: Journal) -> None:
    writer = await start(journal)
    assert (await journal.run_info("run-1")).status is RunStatus.RUNNING
    assert await journal.is_driven("run-1")
    writer.mark(RunStatus.WAITING)
    await writer.flush()
    assert (await journal.run_info("run-1")).status is RunStatus.WAITING
    writer.forget()
    info = await journal.run_info("run-1")
    assert (info.status, info.owner, await journal.is_driven("run-1")) == (RunStatus.INTERRUPTED, None, False)


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.PAUSED])
async def test_an_ended_version_says_how(journal: Journal, status: RunStatus) -> None:
    writer = await start(journal)
    await writer.end(version_end(status=status, degraded=True))
    info = await journal.run_info("run-1")
    assert (info.status, info.degraded, info.active_ms) == (status, True, 1234)
    assert not await journal.is_driven("run-1")


async def test_a_resume_makes_the_next_version_and_keeps_all(journal: Journal) -> None:
    first = await start(journal)
    for row in (call_row(1), call_row(2), settlement_row(1)):
        first.add(row)
    await first.end(version_end(status=RunStatus.INTERRUPTED, result=None))
    second = await journal.resume_run("run-1", new_version(script=b"return 2"))
    assert second.version == 2
    second.add(call_row(1, number=2, content=b""))
    second.add(call_row(7, number=1))
    await second.flush()
    assert [(c.call, c.number, c.content) for c in await journal.calls("run-1", 2)] == [
        (7, 1, call_row(7).content),
        (1, 2, call_row(1).content),
    ]
    assert [(await journal.version("run-1", n)).script for n in (1, 2)] == [new_version().script, b"return 2"]
    assert (await journal.version("run-1")).end is None
    assert [record.call for record in await journal.records("run-1")] == [1, 2, 7]


async def test_records_say_what_a_resume_needs(journal: Journal) -> None:
    writer = await start(journal)
    writer.add(call_row(2))
    writer.add(attempt_row(2, 1, backend="local"))
    writer.add(attempt_row(2, 2, backend="local"))
    writer.add(call_row(1, kind="timer", label=None))
    writer.add(settlement_row(1, backend=None, value=LARGE_TEXT))
    writer.add(call_row(3))
    writer.add(settlement_row(3, outcome="cancelled", order=0, value=b""))
    writer.add(settlement_row(3, outcome="ok", backend="chat"))
    await writer.flush()
    await writer.retire([2, 3])
    one, two, three = await journal.records("run-1")
    assert (one.call, one.kind, one.label, one.attempts, one.backend) == (1, "timer", None, 0, None)
    assert one.settlement is not None and one.settlement.value == LARGE_TEXT
    assert (two.key, two.history, two.occurrence) == (call_row(2).key, call_row(2).history, 1)
    assert (two.attempts, two.backend, two.settlement) == (2, "local", None)
    assert (three.backend, three.settlement) == ("chat", settlement_row(3, backend="chat"))
    assert [record.retired for record in (one, two, three)] == [False, True, True]


async def test_I6_what_was_paid_counts_over_all_versions_and_crashes(journal: Journal) -> None:
    first = await start(journal)
    for row in (call_row(1), attempt_row(1), settlement_row(1), call_row(2), attempt_row(2)):
        first.add(row)
    first.add(call_row(9, kind="check"))
    first.add(attempt_row(9, backend="host"))
    await first.flush()
    first.forget()
    second = await journal.resume_run("run-1", new_version())
    for row in (call_row(2, content=b""), attempt_row(2, 2), settlement_row(2, outcome="failed", cost_usd=0.5)):
        second.add(row)
    await second.flush()
    info = await journal.run_info("run-1")
    assert (info.paid, info.agents) == (Usage(20, 40, 0.501), 2)


async def test_controls_reach_the_owner_and_are_answered(journal: Journal) -> None:
    writer = await start(journal)
    rang = asyncio.Event()
    writer.on_control(rang.set)
    sent = await journal.send_control("run-1", "answer", 3, {"text": "ja ☃"})
    await asyncio.wait_for(rang.wait(), 5)
    assert list(await writer.controls()) == [sent]
    assert await journal.control_outcome(sent.control_id) is None
    await writer.acted(sent.control_id, "answered")
    assert await journal.await_outcome(sent.control_id, timeout_s=5) == "answered"
    assert list(await writer.controls()) == []


async def test_a_control_for_a_dead_run_waits_for_its_next_owner(journal: Journal) -> None:
    (await start(journal)).forget()
    sent = await journal.send_control("run-1", "cancel")
    assert await journal.await_outcome(sent.control_id, timeout_s=0) is None
    writer = await journal.resume_run("run-1", new_version())
    rang = asyncio.Event()
    writer.on_control(rang.set)
    await asyncio.wait_for(rang.wait(), 5)
    assert list(await writer.controls()) == [sent]


async def test_what_is_not_there_is_named(journal: Journal) -> None:
    await start(journal, "tour-1")
    with pytest.raises(UsageError) as caught:
        await journal.create_run("tour-1", name="n", project="p", version=new_version())
    assert caught.value.code == "run_exists"
    for ask in (journal.run_info, journal.version, journal.records, journal.is_driven, journal.verify):
        with pytest.raises(UsageError) as caught:
            await ask("tour-2")
        assert caught.value.code == "unknown_run"
        assert (caught.value.message, caught.value.hint) == ("no run tour-2 in this journal", "Did you mean tour-1?")
    with pytest.raises(UsageError) as caught:
        await journal.version("tour-1", 2)
    assert (caught.value.code, caught.value.message) == ("unknown_version", "run tour-1 has no version 2: it has 1")
    with pytest.raises(UsageError) as caught:
        await journal.create_run("../x", name="n", project="p", version=new_version())
    assert caught.value.code == "bad_run_id"
    assert await journal.calls("tour-1", 9) == []


async def test_runs_are_listed_newest_first(journal: Journal) -> None:
    for number, run_id in enumerate(("b", "c", "a")):
        new = new_version(started_at=1_700_000_000_000 + (number if run_id != "a" else 1))
        await journal.create_run(run_id, name=run_id, project="/p", version=new)
    assert [info.run_id async for info in journal.runs()] == ["a", "c", "b"]


async def test_an_empty_journal_lists_nothing(journal: Journal) -> None:
    assert [info async for info in journal.runs()] == []
    assert await journal.verify() == []


async def test_a_healthy_journal_verifies(journal: Journal) -> None:
    writer = await start(journal)
    for row in (call_row(1), attempt_row(1), settlement_row(1, value=LARGE_TEXT, cost_usd=0.1), call_row(2)):
        writer.add(row)
    writer.add(settlement_row(2, cost_usd=0.2))
    await writer.retire([1])
    sent = await journal.send_control("run-1", "pause", value={"ü": 1.5})
    await writer.acted(sent.control_id, "paused")
    await writer.end(version_end(usage=Usage(1, 2, 0.3)))
    assert await journal.verify() == []
    assert await journal.verify("run-1") == []


async def test_half_a_surrogate_pair_does_not_stop_a_run(journal: AnyJournal) -> None:
    writer = await start(journal)
    writer.add(call_row(1, label="cut \ud83d off"))
    await writer.flush()
    (row,) = await journal.calls("run-1", 1)
    assert row.label in ("cut � off", "cut \ud83d off")
    assert await journal.verify() == []


# What subagents said, and where they worked


async def test_conversations_are_kept_in_order_over_versions(journal: AnyJournal) -> None:
    writer = await start(journal)
    writer.add(call_row(1))
    writer.add(call_row(2))
    for call, seq in ((1, 1), (2, 1), (1, 2)):
        writer.add(turn_row(call, seq))
    await writer.end(version_end(status=RunStatus.INTERRUPTED, result=None))
    again = await journal.resume_run("run-1", new_version())
    again.add(turn_row(1, 3, attempt=2, role="tool", body=b'{"text":"x","name":"grep","id":"c1","ok":true}'))
    await again.flush()
    again.forget()
    assert [(turn.call, turn.seq, turn.attempt) for turn in await journal.turns("run-1", 1)] == [
        (1, 1, 1), (1, 2, 1), (1, 3, 2),
    ]  # fmt: skip
    assert len(await journal.turns("run-1")) == 4
    assert (await journal.turns("run-1", 2))[0] == turn_row(2)
    assert await journal.turns("run-1", 9) == []


async def test_worktrees_are_kept_in_order(journal: AnyJournal) -> None:
    writer = await start(journal)
    writer.add(call_row(1))
    rows = [worktree_row(1, state="made", body=b"{}"), worktree_row(1)]
    for row in rows:
        writer.add(row)
    await writer.flush()
    assert await journal.worktrees("run-1") == rows
    writer.forget()


TEXTS = ["The walrus was here", 'he said "no way" twice', "Größe und Maß", "a.b/c_d.py:12", "🦭 seal"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("walrus", [0]),
        ("WALRUS here", [0]),
        ("walrus seal", []),
        ("wal*", [0]),
        ('"no way"', [1]),
        ('"way no"', []),
        ("größe", [2]),
        ("c_d.py", [3]),
        ("was", [0]),
        # Whatever is typed is text, not an operator of the index.
        ("walrus OR seal", []),
        ("NOT walrus", []),
        ("walrus*)", [0]),
        ('"no way', [1]),
        ("text:walrus", []),
        ("(walrus", [0]),
        ("walrus\0here", [0]),
        ("", []),
        ("***", []),
        ('"', []),
        ("🦭", []),
        ("\ud800 walrus", [0]),
    ],
)
async def test_a_search_takes_what_people_type(journal: AnyJournal, words: str, found: list[int]) -> None:
    writer = await start(journal)
    writer.add(call_row(1))
    for seq, text in enumerate(TEXTS):
        writer.add(turn_row(1, seq, role="user", body=json.dumps({"text": text}).encode()))
    await writer.flush()
    assert [one.seq for one in await journal.search(words)] == found
    writer.forget()


async def test_a_search_shows_where_newest_first_and_may_keep_to_one_run(journal: AnyJournal) -> None:
    for run_id in ("run-1", "run-2"):
        writer = await start(journal, run_id)
        writer.add(call_row(1))
        writer.add(turn_row(1))
        writer.add(turn_row(1, 2, role="tool", body=b'{"text":"a long text about tusk","name":"grep","ok":true}'))
        await writer.flush()
        writer.forget()
    everything = await journal.search("tusk")
    assert [(one.run_id, one.seq) for one in everything] == [("run-2", 2), ("run-2", 1), ("run-1", 2), ("run-1", 1)]
    assert everything[0].snippet.endswith("a long text about ⟦tusk⟧")
    assert "⟦tusk⟧" in everything[1].snippet  # in the arguments of a tool call
    assert [one.run_id for one in await journal.search("grep", "run-1")] == ["run-1", "run-1"]
    assert len(await journal.search("tusk", limit=3)) == 3
    with pytest.raises(UsageError):
        await journal.search("tusk", "nobody")


# Trails: what a backend says, on its way to a journal


async def opened(journal: AnyJournal, writer: Writer, call: int = 1, attempt: int = 1) -> tuple[Trail, Job]:
    masker = Masker(SecretSettings(), {"THE_API_KEY": "pearl-diver-77"})
    trails = Trails(writer, ManualClock(), masker, lambda number: journal.turns("run-1", number))
    job = Job(call, CallKind.AGENT, {"prompt": "?"}, bytes(32))
    return await trails.open(job, attempt), job


async def test_I9_a_turn_is_masked_before_it_is_recorded_and_durable_when_add_returns(journal: AnyJournal) -> None:
    writer = await start(journal)
    writer.add(call_row(1))
    trail, _ = await opened(journal, writer)
    told = await trail.add("tool", {"id": "c1", "name": "env", "text": "the key is pearl-diver-77", "ok": True})
    assert told["text"] == "the key is [secret:THE_API_KEY]"
    (turn,) = await journal.turns("run-1")
    assert (turn.call, turn.attempt, turn.seq, turn.role, json.loads(turn.body)) == (1, 1, 1, "tool", told)
    assert await journal.search("pearl*") == []
    assert [found.seq for found in await journal.search("key secret")] == [1]


async def test_turns_that_nobody_waits_for_are_never_on_disk_after_later_ones(
    journal: AnyJournal, faults: Faults
) -> None:
    writer = await start(journal)
    writer.add(call_row(1))
    await writer.flush()
    trail, _ = await opened(journal, writer)
    for number in range(20):
        await trail.add("assistant", {"text": f"thought {number}"}, wait=False)
    await trail.add("assistant", {"text": "act", "calls": [{"id": "a", "name": "x", "args": {}}]})
    assert [turn.seq for turn in await journal.turns("run-1")] == list(range(1, 22))
    await trail.add("assistant", {"text": "lost"}, wait=False)
    faults.armed = "before_commit"
    with pytest.raises(EngineBug):
        await writer.flush()
    assert len(await journal.turns("run-1")) == 21
    assert await journal.search("lost") == []


async def test_a_later_attempt_finds_what_was_said_and_the_session(journal: AnyJournal) -> None:
    writer = await start(journal)
    writer.add(call_row(1))
    trail, job = await opened(journal, writer)
    assert (list(trail.earlier), job.session) == ([], None)
    await trail.add("session", {"session": "s-1"})
    await trail.add("user", {"text": "Find it."})
    again, job = await opened(journal, writer, attempt=2)
    assert ([turn.role for turn in again.earlier], job.session) == (["session", "user"], "s-1")
    await again.add("assistant", {"text": "Found."})
    assert [(turn.attempt, turn.seq) for turn in await journal.turns("run-1", 1)] == [(1, 1), (1, 2), (2, 3)]


async def test_what_models_write_that_is_hardly_json_is_kept(journal: AnyJournal) -> None:
    writer = await start(journal)
    writer.add(call_row(1))
    trail, _ = await opened(journal, writer)
    args = {"big": 1 << 80, "cut": "half \ud83d of it", "\udc00": "\0"}
    told = await trail.add("assistant", {"text": "walrus", "calls": [{"id": "a", "name": "x", "args": args}]})
    assert told["calls"][0]["args"] == {"big": 1 << 80, "cut": "half \ufffd of it", "\ufffd": "\0"}
    (turn,) = await journal.turns("run-1")
    assert json.loads(turn.body) == told
    writer.add(turn_row(1, 2, body=b'{"text":"walrus \\ud800"}'))  # as another program may have written it
    await writer.flush()
    assert [found.seq for found in await journal.search("walrus")] == [2, 1]
    assert await journal.verify() == []
