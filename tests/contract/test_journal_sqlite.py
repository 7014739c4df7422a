"""What only the journal on disk promises: other processes, dead processes, bad files, full disks."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
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

from engine.errors import JournalError, LeaseLost, PawlError, UsageError
from engine.journal import codec, lease, schema
from engine.journal.sqlite import SqliteJournal
from engine.journal.state import State
from engine.journal.writer import SqliteWriter
from engine.values import DeliveryRow, EventRow, LoadRow, RunStatus

GOLDEN = Path(__file__).parents[1] / "golden" / "journal"

CHILD = """
import asyncio, os, resource, signal, sys
from pathlib import Path
sys.path[:0] = {paths!r}
from support.journals import *
from engine.journal.sqlite import SqliteJournal
path, run_id = Path(sys.argv[1]), sys.argv[2]

def die_at(point, commit):
    seen = 0
    def fault(reached):
        nonlocal seen
        seen += reached == point
        if seen == commit:
            os.kill(os.getpid(), signal.SIGKILL)
    return fault

async def main():
{body}

asyncio.run(main())
"""


def child(body: str, *args: object) -> subprocess.Popen[str]:
    """A real process that runs `body` in a coroutine."""
    root = Path(__file__).parents[2]
    text = CHILD.format(
        paths=[str(root), str(root / "tests")], body="\n".join("    " + line for line in body.splitlines())
    )
    return subprocess.Popen(
        [sys.executable, "-c", text, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "pawl.db"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[SqliteJournal]:
    async with SqliteJournal(path) as made:
        yield made


async def start(journal: SqliteJournal, run_id: str = "run-1", **changes: object) -> SqliteWriter:
    return await journal.create_run(run_id, name="one", project="/project", version=new_version(**changes))


async def write_one_of_each(journal: SqliteJournal, run_id: str = "run-1") -> None:
    """A run with rows in every table."""
    writer = await start(journal, run_id)
    writer.add(call_row(1))
    writer.add(attempt_row(1))
    writer.add(settlement_row(1, value=LARGE_TEXT))
    writer.add(EventRow(1, "log", 5, b'{"text":"hello"}'))
    writer.add(DeliveryRow(0, (1,)))
    writer.add(LoadRow('"x"', "x", "x.js", b"return 1", b""))
    writer.add(turn_row(1))
    writer.add(worktree_row(1))
    await writer.retire([1])
    sent = await journal.send_control(run_id, "pause", value="why")
    await writer.acted(sent.control_id, "paused")
    await writer.end(version_end())


# Dead processes


@pytest.mark.parametrize("point", ["before_commit", "after_commit"])
@pytest.mark.parametrize("commit", [1, 4])
async def test_I1_kill_9_in_a_commit_loses_nothing_acknowledged(
    journal: SqliteJournal, path: Path, point: str, commit: int
) -> None:
    body = f"""
journal = SqliteJournal(path, fault=die_at({point!r}, {commit}))
writer = await journal.create_run(run_id, name="one", project="/p", version=new_version())
for call in range(1, 100):
    writer.add(call_row(call), lambda: print(call, flush=True))
    writer.add(settlement_row(call, value=LARGE_TEXT))
    await writer.flush()
"""
    process = child(body, path, "run-1")
    told, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    acknowledged = len(told.split())
    assert acknowledged == commit - 1
    records = await journal.records("run-1")
    assert len(records) == acknowledged + (point == "after_commit")
    assert all(r.settlement is not None and r.settlement.value == LARGE_TEXT for r in records)
    assert (await journal.run_info("run-1")).status is RunStatus.INTERRUPTED
    assert await journal.verify() == []
    writer = await journal.resume_run("run-1", new_version())
    writer.add(call_row(200))
    await writer.flush()
    assert len(await journal.records("run-1")) == len(records) + 1
    assert await journal.verify() == []


async def test_I8_a_live_process_elsewhere_keeps_its_run_until_it_is_killed(journal: SqliteJournal, path: Path) -> None:
    body = """
journal = SqliteJournal(path)
writer = await journal.create_run(run_id, name="one", project="/p", version=new_version())
print("driving", flush=True)
await asyncio.sleep(60)
"""
    process = child(body, path, "run-1")
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "driving\n"
        assert (await journal.run_info("run-1")).status is RunStatus.RUNNING
        for refused in (journal.resume_run("run-1", new_version()), journal.delete_runs(["run-1"])):
            with pytest.raises(JournalError) as caught:
                await refused
            assert caught.value.to_json() == {
                "kind": "JournalError",
                "code": "run_driven",
                "message": f"run run-1 is alive: process {process.pid} on {lease.this_machine().host} drives it",
                "hint": "pawl watch run-1 follows it, pawl cancel run-1 stops it.",
                "fields": {"run_id": "run-1", "host": lease.this_machine().host, "pid": process.pid},
            }
        freed = await journal.gc(older_than_ms=-(10**12))
        assert freed.run_ids == ()
    finally:
        process.kill()
        process.communicate()
    assert (await journal.run_info("run-1")).status is RunStatus.INTERRUPTED  # at once: the lock died with it
    assert (await journal.resume_run("run-1", new_version())).version == 2


async def test_two_processes_write_two_runs_into_one_file(journal: SqliteJournal, path: Path) -> None:
    body = """
journal = SqliteJournal(path)
writer = await journal.create_run(run_id, name="one", project="/p", version=new_version())
for call in range(1, 101):
    writer.add(call_row(call))
    writer.add(settlement_row(call))
    await writer.flush()
await writer.end(version_end())
await journal.close()
"""
    processes = [child(body, path, run_id) for run_id in ("a", "b", "c")]
    codes = [await asyncio.to_thread(process.wait, 60) for process in processes]
    for process in processes:
        process.communicate()
    assert codes == [0, 0, 0]
    assert [len(await journal.records(run_id)) for run_id in ("a", "b", "c")] == [100, 100, 100]
    assert await journal.verify() == []


# Leases


async def test_I8_an_owner_whose_fence_was_passed_writes_nothing(journal: SqliteJournal, path: Path) -> None:
    writer = await start(journal)
    await writer.flush()
    with sqlite3.connect(path) as other:  # what a resume on another machine does, once our heartbeat was too old
        other.execute("UPDATE states SET fence = fence + 1, host = 'far', pid = 7")
    other.close()
    lost: list[Exception] = []
    told: list[int] = []
    writer.on_lost(lost.append)
    writer.add(call_row(1), lambda: told.append(1))
    with pytest.raises(LeaseLost) as caught:
        await writer.flush()
    assert caught.value.message == "run run-1 was taken over: process 7 on far drives it now"
    assert (lost, told) == ([caught.value], [])
    assert await journal.calls("run-1", 1) == []


def move_owner(path: Path, *, beat_at: int) -> None:
    """Makes the run look as if a process on another machine drove it."""
    with sqlite3.connect(path) as other:
        row = other.execute("SELECT * FROM states").fetchone()
        current = State(*row[1:-1])
        current.host, current.boot, current.pid, current.beat_at = "far", "other", 7, beat_at
        other.execute(
            "UPDATE states SET host = 'far', boot = 'other', pid = 7, beat_at = ?, sum = ?",
            (beat_at, current.sum("run-1")),
        )
    other.close()


async def test_I8_across_machines_the_heartbeat_decides(journal: SqliteJournal, path: Path) -> None:
    (await start(journal)).forget()
    now_ms = journal.now_ms()
    move_owner(path, beat_at=now_ms - 1000)
    assert (await journal.run_info("run-1")).owner == "far:7"
    with pytest.raises(JournalError) as caught:
        await journal.resume_run("run-1", new_version())
    assert caught.value.message == "run run-1 is alive: process 7 on far drives it"
    move_owner(path, beat_at=now_ms - int(lease.STALE_S * 1000) - 1)
    assert (await journal.run_info("run-1")).status is RunStatus.INTERRUPTED
    assert (await journal.resume_run("run-1", new_version())).version == 2


async def test_a_heartbeat_is_written_while_nothing_happens(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.0)
    monkeypatch.setattr("engine.journal.writer.POLL_S", 0.01)
    await start(journal)
    first = (await journal.run_info("run-1")).active_ms
    patient_until = time.monotonic() + 10
    while (await journal.run_info("run-1")).active_ms <= first:
        assert time.monotonic() < patient_until
        await asyncio.sleep(0.01)


async def test_the_locks_folder_is_left_empty(journal: SqliteJournal, path: Path) -> None:
    await write_one_of_each(journal)
    (await start(journal, "run-2")).forget()
    await journal.delete_runs(["run-2"])
    assert list((path.parent / "locks").iterdir()) == []


async def test_asking_who_drives_never_disturbs_a_resume(journal: SqliteJournal) -> None:
    (await start(journal)).forget()
    for version in range(2, 12):
        asked, writer = await asyncio.gather(journal.is_driven("run-1"), journal.resume_run("run-1", new_version()))
        assert asked in (True, False)
        assert writer.version == version
        writer.forget()


# Control messages


async def test_the_bell_rings_within_200_ms(journal: SqliteJournal, path: Path) -> None:
    writer = await start(journal)
    rang = asyncio.Event()
    writer.on_control(rang.set)
    body = """
journal = SqliteJournal(path)
print("ready", flush=True)
sys.stdin.readline()
await journal.send_control(run_id, "cancel")
await journal.close()
"""
    process = child(body, path, "run-1")
    assert process.stdout is not None and process.stdin is not None
    assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
    rang.clear()
    process.stdin.write("\n")
    process.stdin.flush()
    await asyncio.wait_for(rang.wait(), 10)
    heard_ms = journal.now_ms()
    (control,) = await writer.controls()
    assert heard_ms - control.created_at < 200
    await asyncio.to_thread(process.communicate)


async def test_without_a_bell_a_message_is_found_all_the_same(
    journal: SqliteJournal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.journal.writer.POLL_S", 0.05)
    monkeypatch.setattr(lease.os, "mkfifo", raise_unsupported)
    writer = await start(journal)
    assert not lease.bell_path(journal.locks, "run-1").exists()
    rang = asyncio.Event()
    writer.on_control(rang.set)
    async with SqliteJournal(path) as sender:
        await sender.send_control("run-1", "cancel")
    await asyncio.wait_for(rang.wait(), 10)


def raise_unsupported(*_args: object) -> None:
    raise OSError(95, "Operation not supported")


# Damage


def flip(path: Path, table: str, column: str) -> None:
    """Turns a bit in the newest cell of a column, behind SQLite's back as far as a test can."""
    with sqlite3.connect(path) as db:
        kind, value = db.execute(f"SELECT typeof({column}), CAST({column} AS BLOB) FROM {table}").fetchone()
        broken = bytes([value[0] ^ 1]) + value[1:] if value else b"\x01"
        cast = {"text": "CAST(? AS TEXT)", "blob": "?", "integer": "CAST(CAST(? AS TEXT) AS INTEGER)"}
        cast["real"] = "CAST(CAST(? AS TEXT) AS REAL)"
        db.execute(f"UPDATE {table} SET {column} = {cast.get(kind, '?')}", (broken,))
    db.close()


COLUMNS_OF_ALL = [
    *((table, column) for table, columns in codec.COLUMNS.items() for column in (*columns, "sum")),
    *(("runs", column) for column in ("name", "project", "created_at", "sum")),
    *(
        ("states", column)
        for column in ("fence", "version", "status", "beat_at", "active_ms", "cost_usd", "last", "sum")
    ),
    *(("controls", column) for column in ("kind", "value", "created_at", "outcome", "sum")),
    *(("stored", column) for column in ("hash", "size", "data")),
]


@pytest.fixture(scope="module")
def full_journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("full") / "pawl.db"

    async def write() -> None:
        async with SqliteJournal(path) as journal:
            await write_one_of_each(journal)
            assert await journal.verify() == []

    asyncio.run(write())
    return path


@pytest.mark.parametrize(("table", "column"), COLUMNS_OF_ALL)
async def test_verify_finds_a_flipped_bit(full_journal: Path, path: Path, table: str, column: str) -> None:
    path.parent.mkdir()
    shutil.copy(full_journal, path)
    flip(path, table, column)
    async with SqliteJournal(path) as journal:
        problems = await journal.verify()
        assert [p["table"] for p in problems if p["table"] in (table, "settlements")] != []
        # And no reader falls over it: what it returns is right, or it says that the journal is damaged.
        readers: list[Callable[[], object]] = [
            lambda: journal.run_info("run-1"),
            lambda: journal.version("run-1"),
            lambda: journal.records("run-1"),
            lambda: journal.calls("run-1", 1),
            lambda: journal.settlements("run-1"),
            lambda: journal.attempts("run-1"),
            lambda: journal.deliveries("run-1", 1),
            lambda: journal.loads("run-1", 1),
            lambda: journal.events("run-1"),
            lambda: journal.turns("run-1"),
            lambda: journal.worktrees("run-1"),
        ]
        for reader in readers:
            try:
                await reader()  # type: ignore[misc]
            except JournalError as error:
                assert error.code == "journal_damaged"  # noqa: PT017
        assert (await journal.delete_runs(["run-1"])).run_ids == ("run-1",)


async def test_verify_finds_a_lost_row(journal: SqliteJournal, path: Path) -> None:
    await write_one_of_each(journal)
    with sqlite3.connect(path) as other:
        other.execute("DELETE FROM calls")
    other.close()
    assert [p["problem"] for p in await journal.verify("run-1")] == [
        *["belongs to call 1, which is not recorded"] * 5,  # attempt, settlement, retired, turn, worktree
        "1 rows are missing from its log: 2",
    ]


async def test_verify_finds_a_lost_value_and_rows_of_no_run(journal: SqliteJournal, path: Path) -> None:
    await write_one_of_each(journal)
    with sqlite3.connect(path) as other:
        (digest,) = other.execute("DELETE FROM stored RETURNING hex(hash)").fetchone()
        other.execute("DELETE FROM runs")
        other.execute("INSERT INTO runs SELECT 9, 'run-9', 'n', 'p', 1, zeroblob(16)")
    other.close()
    problems = [(p["run_id"], p["table"], p["problem"]) for p in await journal.verify()]
    assert (None, "settlements", "1 rows belong to run number 1, which is not there") in problems
    assert ("run-9", "states", "is missing") in problems
    assert digest


async def test_a_lost_value_is_named(journal: SqliteJournal, path: Path) -> None:
    await write_one_of_each(journal)
    with sqlite3.connect(path) as other:
        (digest,) = other.execute("DELETE FROM stored RETURNING lower(hex(hash))").fetchone()
    other.close()
    (problem,) = await journal.verify()
    assert problem == {
        "run_id": "run-1",
        "table": "settlements",
        "row": 4,
        "problem": f"its value is missing: stored value {digest[:16]}…",
    }
    with pytest.raises(JournalError) as caught:
        await journal.records("run-1")
    assert caught.value.message == f"the journal is damaged: stored value {digest[:16]}… is missing"


async def test_a_file_that_is_no_database(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"This is a letter, not a journal. " * 100)
    await refuses(path, "journal_damaged", f"the journal {path} is damaged: file is not a database")


async def test_a_truncated_file(path: Path, full_journal: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(full_journal.read_bytes()[:10_000])
    await refuses(path, "journal_damaged", f"the journal {path} is damaged: database disk image is malformed")


async def test_another_programs_database(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE cookies (name)")
    other.close()
    await refuses(path, "not_a_journal", f"{path} is an SQLite database, but not a journal of Pawl")


async def test_a_newer_journal(path: Path, full_journal: Path) -> None:
    path.parent.mkdir()
    shutil.copy(full_journal, path)
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    known = schema.newest_format()
    await refuses(path, "journal_newer", f"the journal {path} has format 99; this program knows formats up to {known}")


async def refuses(path: Path, code: str, message: str) -> None:
    """Reading and writing both say so, and leave the file as it is."""
    before = path.read_bytes()
    async with SqliteJournal(path) as journal:
        for attempt in (journal.run_info("run-1"), start(journal), journal.verify()):
            with pytest.raises(JournalError) as caught:
                await attempt
            assert (caught.value.code, caught.value.message, caught.value.exit_code) == (code, message, 6)
            assert caught.value.hint
    assert path.read_bytes() == before


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    path = tmp_path / "file" / "pawl.db"
    async with SqliteJournal(path) as journal:
        with pytest.raises(JournalError) as caught:
            await start(journal)
    assert caught.value.code == "journal_unwritable"
    assert caught.value.message == f"the journal {path} cannot be used: Not a directory"


async def test_a_missing_journal_is_empty_and_is_not_made_by_reading(path: Path) -> None:
    async with SqliteJournal(path) as journal:
        assert [run async for run in journal.runs()] == []
        with pytest.raises(UsageError) as caught:
            await journal.run_info("run-1")
        assert caught.value.code == "unknown_run"
        assert (await journal.gc(0)).run_ids == ()
    assert not path.parent.exists()


async def test_a_locked_journal_says_so_in_the_end(path: Path) -> None:
    async with SqliteJournal(path) as journal:
        await write_one_of_each(journal)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    async with SqliteJournal(path, busy_s=0.2) as journal:
        assert (await journal.run_info("run-1")).status is RunStatus.COMPLETED  # readers need nothing
        with pytest.raises(JournalError) as caught:
            await start(journal, "run-2")
    other.close()
    assert caught.value.code == "journal_locked"
    assert (
        caught.value.message
        == f"the journal {path} is locked by another process, which has not let go of it for too long"
    )


async def test_a_busy_journal_is_waited_for(path: Path, journal: SqliteJournal) -> None:
    writer = await start(journal)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writer.add(call_row(1))
    writer.add(attempt_row(1))
    flushed = asyncio.ensure_future(writer.flush())
    done, _ = await asyncio.wait([flushed], timeout=0.3)
    assert not done
    other.execute("COMMIT")
    other.close()
    await asyncio.wait_for(flushed, 10)
    assert (await journal.run_info("run-1")).agents == 1


@pytest.mark.skipif(os.getuid() != 0, reason="gives the folder to root and reads it as nobody")
@pytest.mark.parametrize("crashed", [False, True], ids=["closed", "crashed"])
async def test_reading_works_in_a_read_only_folder(path: Path, crashed: bool) -> None:
    path.parent.mkdir()
    if crashed:
        body = """
journal = SqliteJournal(path)
writer = await journal.create_run(run_id, name="one", project="/p", version=new_version())
writer.add(call_row(1))
await writer.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""
        process = child(body, path, "run-1")
        await asyncio.to_thread(process.communicate)
    else:
        async with SqliteJournal(path) as journal:
            await write_one_of_each(journal)
    for folder in (path.parent, *path.parents):
        if folder.is_relative_to(Path("/tmp")) and folder != Path("/tmp"):
            folder.chmod(0o755)
    body = """
from engine.errors import JournalError
from engine.journal import lease
lease.this_machine()
os.setuid(65534)  # from here on nothing of the interpreter's own folder can be read either
journal = SqliteJournal(path)
print((await journal.run_info(run_id)).status, len(await journal.records(run_id)), await journal.verify())
try:
    await journal.resume_run(run_id, new_version())
except JournalError as error:
    print(error.code)
await journal.close()
"""
    process = child(body, path, "run-1")
    told, _ = await asyncio.to_thread(process.communicate)
    assert told == f"{'interrupted' if crashed else 'completed'} 1 []\njournal_unwritable\n"


async def test_a_full_disk_ends_the_writer_and_not_the_run(path: Path, journal: SqliteJournal) -> None:
    body = """
from engine.errors import JournalError
journal = SqliteJournal(path)
writer = await journal.create_run(run_id, name="one", project="/p", version=new_version())
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
lost = []
writer.on_lost(lost.append)
told = []
try:
    for call in range(1, 1000):
        writer.add(call_row(call, content=os.urandom(2000).hex().encode()), lambda: told.append(call))
        await writer.flush()
except JournalError as error:
    print(error.code, error.exit_code, lost == [error], len(told) == call - 1, call - 1)
    print(error.message)
writer.forget()
await journal.close()
"""
    process = child(body, path, "run-1")
    told, _ = await asyncio.to_thread(process.communicate)
    first, second = told.splitlines()
    *said, count = first.split()
    assert said == ["journal_full", "6", "True", "True"]
    assert second == f"the journal {path} cannot grow: the disk, the quota or the file size limit is used up"
    assert process.returncode == 0
    assert len(await journal.records("run-1")) == int(count) > 10
    assert await journal.verify() == []
    assert (await journal.resume_run("run-1", new_version())).version == 2


# Formats


FORMATS = range(1, schema.newest_format() + 1)


@pytest.mark.parametrize("number", FORMATS)
async def test_the_golden_journal_of_each_format_opens(path: Path, number: int) -> None:
    path.parent.mkdir()
    shutil.copy(GOLDEN / f"format-{number}.db", path)
    expected = json.loads((GOLDEN / f"format-{number}.json").read_text())
    async with SqliteJournal(path) as journal:
        assert await journal.verify() == []
        assert await describe(journal, "golden") == expected
        writer = await journal.resume_run("golden", new_version())
        assert writer.version == 3
        writer.add(turn_row(1, 9, role="user", body=b'{"text":"a narwhal"}'))
        writer.add(worktree_row(1))
        await writer.end(version_end())
        assert [(found.version, found.seq) for found in await journal.search("narwhal")] == [(3, 9)]
        assert await journal.verify() == []
    with sqlite3.connect(path) as other:
        assert other.execute("PRAGMA user_version").fetchone() == (schema.newest_format(),)
    other.close()


@pytest.mark.parametrize("number", FORMATS)
async def test_the_golden_export_of_each_format_is_taken_in(journal: SqliteJournal, number: int) -> None:
    expected = json.loads((GOLDEN / f"format-{number}.json").read_text())
    assert await journal.import_run(GOLDEN / f"format-{number}.pawl") == "golden"
    assert await describe(journal, "golden") == expected
    assert await journal.verify() == []


async def describe(journal: SqliteJournal, run_id: str) -> object:
    """Everything that can be read of a run, as JSON."""
    info = await journal.run_info(run_id)
    numbers = range(1, info.versions + 1)
    found = {
        "info": info,
        "versions": [await journal.version(run_id, n) for n in numbers],
        "calls": [await journal.calls(run_id, n) for n in numbers],
        "records": await journal.records(run_id),
        "settlements": await journal.settlements(run_id),
        "attempts": await journal.attempts(run_id),
        "deliveries": [await journal.deliveries(run_id, n) for n in numbers],
        "loads": [await journal.loads(run_id, n) for n in numbers],
        "events": await journal.events(run_id),
    }
    # What came with a later format; golden files of earlier ones know nothing of it.
    later = {"turns": await journal.turns(run_id), "worktrees": await journal.worktrees(run_id)}
    found |= {name: rows for name, rows in later.items() if rows}
    return json.loads(json.dumps(found, default=_plain))


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex() if len(value) < 1000 else f"{len(value)} bytes"
    return {name: getattr(value, name) for name in value.__slots__}  # type: ignore[attr-defined]


async def test_an_older_journal_is_brought_up_in_one_transaction(
    path: Path, full_journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "migrations"
    shutil.copytree(schema.MIGRATIONS, folder)
    newest = schema.newest_format() + 1
    script = folder / f"{newest:04}_mood.sql"
    script.write_text("ALTER TABLE runs ADD COLUMN mood TEXT;\nCREATE TABLE runs (oops);\n")
    monkeypatch.setattr(schema, "migrations", lambda: tuple(sorted(folder.glob("*.sql"))))
    path.parent.mkdir()
    shutil.copy(full_journal, path)
    async with SqliteJournal(path) as journal:
        with pytest.raises(PawlError) as caught:
            await journal.run_info("run-1")
        assert "table runs already exists" in caught.value.message
    assert columns_of_runs(path)[-1] == "sum"  # nothing of it stayed
    script.write_text("-- a mood; for; tests\nALTER TABLE runs ADD COLUMN mood TEXT; -- how it felt\n")
    async with SqliteJournal(path) as journal:
        assert (await journal.run_info("run-1")).run_id == "run-1"
        assert await journal.verify() == []
    assert columns_of_runs(path)[-1] == "mood"
    with sqlite3.connect(path) as other:
        assert other.execute("PRAGMA user_version").fetchone() == (newest,)
        assert other.execute("SELECT value FROM meta WHERE name = 'format'").fetchone() == (str(newest),)
    other.close()


def columns_of_runs(path: Path) -> list[str]:
    with sqlite3.connect(path) as other:
        names = [row[1] for row in other.execute("PRAGMA table_info(runs)")]
    other.close()
    return names


# The journal's own life


async def test_small_values_are_plain_text_and_large_ones_are_stored_once(journal: SqliteJournal, path: Path) -> None:
    writer = await start(journal)
    writer.add(call_row(1, content='{"prompt":"ü ☃"}'.encode()))
    writer.add(settlement_row(1, value=LARGE_TEXT))
    writer.add(call_row(2, content=LARGE_TEXT))
    await writer.flush()
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT content FROM calls").fetchone() == ('{"prompt":"ü ☃"}',)
        ((size, packed),) = other.execute("SELECT size, length(data) FROM stored").fetchall()
    other.close()
    assert size == len(LARGE_TEXT) > 10 * packed


async def test_export_and_import_carry_everything(journal: SqliteJournal, path: Path, tmp_path: Path) -> None:
    await start(journal, "other")  # so that the run gets another number in the second journal
    await write_one_of_each(journal)
    second = await journal.resume_run("run-1", new_version())
    second.add(call_row(1, content=b"", number=1))
    second.add(call_row(2, number=2))
    await second.flush()
    file = tmp_path / "run.pawl"
    assert await journal.export_run("run-1", file) == 17
    lines = file.read_text().splitlines()
    assert all(isinstance(json.loads(line), list) for line in lines)
    async with SqliteJournal(tmp_path / "two" / "pawl.db") as two:
        assert await two.import_run(file) == "run-1"
        assert await two.verify() == []
        second.forget()
        assert await describe(two, "run-1") == await describe(journal, "run-1")
        with pytest.raises(UsageError) as caught:
            await two.import_run(file)
        assert caught.value.message == "run run-1 exists already in this journal"
        assert (await two.resume_run("run-1", new_version())).version == 3


def _without_a_line(lines: list[bytes]) -> list[bytes]:
    return [*lines[:5], *lines[6:]]


def _with_a_changed_word(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b"hello", b"hullo") for line in lines]


def _with_more_after_the_end(lines: list[bytes]) -> list[bytes]:
    return [*lines, lines[2]]


DAMAGES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "cut": (lambda lines: lines[:-3], "it breaks off after 12 records"),
    "half a line": (lambda lines: [*lines[:3], lines[3][:20]], "line 4 does not fit its checksum"),
    "a line less": (_without_a_line, "it holds 13 records where 14 were written"),
    "a changed word": (_with_a_changed_word, "line 10 does not fit its checksum"),
    "more after the end": (_with_more_after_the_end, "it goes on after its end"),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_export_is_refused_whole(
    journal: SqliteJournal, full_journal: Path, tmp_path: Path, damage: str
) -> None:
    file = tmp_path / "run.pawl"
    async with SqliteJournal(full_journal) as source:
        await source.export_run("run-1", file)
    change, problem = DAMAGES[damage]
    file.write_bytes(b"".join(change(file.read_bytes().splitlines(keepends=True))))
    with pytest.raises(JournalError) as caught:
        await journal.import_run(file)
    assert caught.value.code == "export_damaged"
    assert caught.value.message == f"the export {file} is damaged: {problem}; nothing was imported"
    assert [run async for run in journal.runs()] == []


async def test_a_forged_export_that_no_journal_wrote_is_refused(
    journal: SqliteJournal, full_journal: Path, tmp_path: Path
) -> None:
    file = tmp_path / "run.pawl"
    async with SqliteJournal(full_journal) as source:
        await source.export_run("run-1", file)
    for old, new in (
        (b'"completed"', b'"exploded"'),
        (b'[\\"check\\",\\"files\\"]', b"{oops"),
        (b"/project", b'",7,"'),
        (rb"[{\"id\": \"c1\"", rb"[7,{\"id\": \"c1\""),  # a tool call of a turn
        (rb"{\"summary\": \"a.py | 1 +\", \"files\": [\"a.py\"]}", b"[]"),  # what is told of a worktree
    ):
        lines = [json.loads(line)[1] for line in file.read_bytes().splitlines()]
        forged = b""
        for record in lines:
            text = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode().replace(old, new)
            forged += b'["%s",%s]\n' % (codec.checksum(text).hex().encode(), text)
        assert new in forged
        copy = tmp_path / "forged.pawl"
        copy.write_bytes(forged)
        with pytest.raises(JournalError) as caught:
            await journal.import_run(copy)
        assert caught.value.code == "export_damaged"
        assert [run async for run in journal.runs()] == []


async def test_files_that_are_no_exports(journal: SqliteJournal, tmp_path: Path) -> None:
    file = tmp_path / "x"
    for text in (b"", b"\0" * 5000, b"{}\n", b'["' + b"0" * 32 + b'",[]]\n'):
        file.write_bytes(text)
        with pytest.raises(UsageError) as caught:
            await journal.import_run(file)
        assert (caught.value.code, caught.value.message) == ("not_an_export", f"{file} is no export of a run")
    record = b'["pawl export",99,"run-1"]'
    file.write_bytes(b'["%s",%s]\n' % (codec.checksum(record).hex().encode(), record))
    with pytest.raises(JournalError) as newer:
        await journal.import_run(file)
    assert newer.value.message == f"{file} has format 99; this program knows formats up to {schema.newest_format()}"
    with pytest.raises(UsageError) as caught:
        await journal.import_run(tmp_path / "missing")
    assert caught.value.message == f"cannot read {tmp_path / 'missing'}: No such file or directory"
    await start(journal)
    with pytest.raises(UsageError) as caught:
        await journal.export_run("run-1", tmp_path / "no" / "folder")
    assert caught.value.message == f"cannot write {tmp_path / 'no' / 'folder'}: No such file or directory"


async def test_deleting_removes_what_only_the_run_referred_to(journal: SqliteJournal, path: Path) -> None:
    await write_one_of_each(journal, "a")
    await write_one_of_each(journal, "b")
    freed = await journal.delete_runs(["a"])
    assert (freed.run_ids, freed.values) == (("a",), 0)  # b refers to the same value
    assert await journal.verify() == []
    with pytest.raises(UsageError):
        await journal.delete_runs(["b", "nobody"])
    freed = await journal.delete_runs(["b", "b"])
    assert (freed.run_ids, freed.values, freed.bytes > 0) == (("b",), 1, True)
    assert await journal.verify() == []
    with sqlite3.connect(path) as other:
        for table in (*codec.COLUMNS, "runs", "states", "controls", "stored"):
            assert other.execute(f"SELECT COUNT(*) FROM {table}").fetchone() == (0,), table
    other.close()


async def test_a_deleted_runs_number_is_not_used_again(journal: SqliteJournal) -> None:
    writer = await start(journal)
    writer._lock.release()  # the owner lives, but its lock is gone: as on a file system without locks
    await journal.delete_runs(["run-1"])
    await start(journal)
    writer.add(call_row(1))
    with pytest.raises(LeaseLost) as caught:
        await writer.flush()
    assert caught.value.message == "run run-1 was taken over: it was deleted"
    assert await journal.calls("run-1", 1) == []


async def test_gc_removes_old_runs_only(path: Path) -> None:
    now_ms = 1_000_000
    async with SqliteJournal(path, now_ms=lambda: now_ms) as journal:
        await write_one_of_each(journal, "old")
        now_ms = 2_000_000
        await write_one_of_each(journal, "new")
        await start(journal, "alive")
        now_ms = 3_000_000
        assert (await journal.gc()).run_ids == ()
        assert (await journal.gc(older_than_ms=1_500_000)).run_ids == ("old",)
        assert [run.run_id async for run in journal.runs()] == ["alive", "new"]
        now_ms = 9_000_000
        assert (await journal.gc(older_than_ms=0)).run_ids == ("new",)
        assert await journal.verify() == []


async def test_mean_usage_is_of_answered_agent_calls(journal: SqliteJournal) -> None:
    assert await journal.mean_usage() == {}
    writer = await start(journal)
    for call, changes in enumerate(
        (
            {"model": "m", "backend": "chat", "output_tokens": 10, "cost_usd": 0.5},
            {"model": "m", "backend": "chat", "output_tokens": 30, "cost_usd": 1.5},
            {"model": "m", "backend": "chat", "output_tokens": 999, "outcome": "failed"},
            {"model": None, "backend": "local", "output_tokens": 7, "input_tokens": 1, "cost_usd": 0.0},
            {"model": "m", "backend": "sample", "output_tokens": 999},
            {"model": None, "backend": None, "output_tokens": 999},
        ),
        start=1,
    ):
        writer.add(call_row(call))
        writer.add(settlement_row(call, **changes))
    await writer.flush()
    assert await journal.mean_usage() == {"local": (1, 1.0, 7.0, 0.0), "m": (2, 10.0, 20.0, 1.0)}


async def test_a_closed_journal_says_so(path: Path) -> None:
    journal = SqliteJournal(path)
    await start(journal)
    await journal.close()
    await journal.close()
    with pytest.raises(JournalError) as caught:
        await journal.run_info("run-1")
    assert caught.value.message == f"the journal {path} was closed"


# What subagents said


async def test_a_search_finds_what_was_taken_in_and_nothing_that_was_deleted(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    await write_one_of_each(journal)
    assert [found.run_id for found in await journal.search("walrus")] == ["run-1"]
    await journal.export_run("run-1", tmp_path / "run.pawl")
    async with SqliteJournal(tmp_path / "other" / "pawl.db") as other:
        await other.import_run(tmp_path / "run.pawl")
        assert [found.run_id for found in await other.search("walrus")] == ["run-1"]
        assert await other.verify() == []
    await journal.delete_runs(["run-1"])
    assert await journal.search("walrus") == []


async def test_the_index_is_written_with_the_turn_or_not_at_all(journal: SqliteJournal, path: Path) -> None:
    body = """
journal = SqliteJournal(path, fault=die_at("before_commit", 2))
writer = await journal.create_run(run_id, name="one", project="/p", version=new_version())
writer.add(call_row(1))
await writer.flush()
writer.add(turn_row(1))
await writer.flush()
"""
    await asyncio.to_thread(child(body, path, "run-1").communicate)
    assert await journal.turns("run-1") == []
    assert await journal.search("walrus") == []
    assert await journal.verify() == []


async def test_what_is_deleted_is_not_in_the_file_any_more(journal: SqliteJournal, path: Path) -> None:
    for run_id, word in (("run-1", "zebrafish"), ("run-2", "quokka")):
        writer = await start(journal, run_id)
        writer.add(call_row(1))
        for seq in range(1, 30):
            writer.add(turn_row(1, seq, body=json.dumps({"text": f"{word}{seq} sleeps"}).encode()))
            await writer.flush()
        writer.forget()
    await journal.delete_runs(["run-1"])
    await journal.close()
    assert b"zebrafish" not in path.read_bytes()
    assert b"quokka" in path.read_bytes()


INDEX_DAMAGE = {
    "UPDATE words SET text = 'another'": "the search index does not hold what the turn says",
    "DELETE FROM words": "the search index does not hold what the turn says",
    "UPDATE words SET rowid = rowid + 1": "the search index holds 1 texts of no turn",
    "DROP TABLE words": "the search index cannot be read (no such table: words)",
    "DELETE FROM words_data": "the search index cannot be read (vtable constructor failed: words)",
}


@pytest.mark.parametrize("damage", INDEX_DAMAGE)
async def test_verify_holds_the_index_against_the_turns(journal: SqliteJournal, path: Path, damage: str) -> None:
    await write_one_of_each(journal)
    with sqlite3.connect(path) as other:
        other.execute(damage)
    other.close()
    problems = [problem for problem in await journal.verify("run-1") if problem["table"] == "words"]
    assert INDEX_DAMAGE[damage] in [problem["problem"] for problem in problems]
    assert len(await journal.turns("run-1")) == 1  # what was said stands by itself


async def test_a_damaged_turn_is_named_once(journal: SqliteJournal, path: Path) -> None:
    await write_one_of_each(journal)
    with sqlite3.connect(path) as other:
        other.execute("UPDATE turns SET body = replace(body, 'walrus', 'badger')")
    other.close()
    (problem,) = await journal.verify()
    assert (problem["table"], problem["problem"]) == ("turns", "does not fit its checksum")
    with pytest.raises(JournalError, match="row 8 of turns of run run-1 does not fit its checksum"):
        await journal.turns("run-1")


async def test_two_programs_bring_an_old_journal_up_at_once(path: Path) -> None:
    path.parent.mkdir()
    shutil.copy(GOLDEN / "format-1.db", path)
    async with SqliteJournal(path) as one, SqliteJournal(path) as two:
        infos = await asyncio.gather(one.run_info("golden"), two.run_info("golden"))
        assert infos[0] == infos[1]
        assert await one.search("walrus") == await two.search("walrus") == []
        assert await one.verify() == []


@pytest.mark.skipif(os.getuid() != 0, reason="gives the folder to root and reads it as nobody")
async def test_an_old_journal_that_may_not_be_written_says_what_to_do(path: Path) -> None:
    path.parent.mkdir()
    shutil.copy(GOLDEN / "format-1.db", path)
    before = path.read_bytes()
    for folder in (path.parent, *path.parents):
        if folder.is_relative_to(Path("/tmp")) and folder != Path("/tmp"):
            folder.chmod(0o755)
    body = """
from engine.errors import JournalError
os.setuid(65534)
journal = SqliteJournal(path)
try:
    await journal.run_info(run_id)
except JournalError as error:
    print(error.code, error.message, error.hint, sep="|")
await journal.close()
"""
    told, _ = await asyncio.to_thread(child(body, path, "golden").communicate)
    assert told.strip().split("|") == [
        "journal_older",
        f"the journal {path} has format 1; it must be brought to format {schema.newest_format()} before it is read",
        "Run any command that may write to it, for example pawl gc, or copy it to a folder you may write to.",
    ]
    assert path.read_bytes() == before
