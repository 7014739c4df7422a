"""Makes the golden files of the journal's current format: `python tests/support/golden_journal.py`, once per format."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1]), str(HERE.parent / "contract")]

from support.journals import (  # noqa: E402
    LARGE_TEXT,
    attempt_row,
    call_row,
    new_version,
    settlement_row,
    turn_row,
    version_end,
    worktree_row,
)
from test_journal_sqlite import GOLDEN, describe  # noqa: E402

from engine.journal import schema  # noqa: E402
from engine.journal.sqlite import SqliteJournal  # noqa: E402
from engine.values import DeliveryRow, EventRow, LoadRow, RunStatus  # noqa: E402

LARGE_TEXT_TURN = json.dumps({"id": "c1", "name": "grep", "text": "naïve ☃ " * 20_000, "ok": True}).encode()


async def write(path: Path) -> None:
    """Two versions of one run, with every kind of row, value and hole."""
    async with SqliteJournal(path, now_ms=lambda: 1_700_000_001_000) as journal:
        first = await journal.create_run("golden", name="größe", project="/p", version=new_version(args=b"[1,null]"))
        for row in (
            call_row(1),
            attempt_row(1, model="small"),
            settlement_row(1, cost_usd=1e-7),
            call_row(2, content=LARGE_TEXT, phase="☃"),
            attempt_row(2),
            attempt_row(2, 2),
            settlement_row(2, outcome="failed", value=b"", error=b'{"code":"x"}', reason="x: y", cost_usd=0.1),
            call_row(3, kind="timer", label=None),
            settlement_row(3, value=LARGE_TEXT, backend=None, model=None, cost_usd=0.0),
            EventRow(1, "phase", 5, b'{"title":"a"}'),
            DeliveryRow(0, (1, 2, 3)),
            LoadRow('{"name":"x"}', "x", "x.js", b"return 1", b""),
            turn_row(1),
            turn_row(1, 2, role="tool", body=LARGE_TEXT_TURN),
            turn_row(2, role="session", body=b'{"session":"s-1"}'),
            worktree_row(2),
        ):
            first.add(row)
        await first.retire([2])
        sent = await journal.send_control("golden", "answer", 3, {"text": "ja"})
        await first.acted(sent.control_id, "answered")
        await first.end(version_end(status=RunStatus.FAILED, result=None, error={"code": "x"}, degraded=True))
        second = await journal.resume_run("golden", new_version(script=b"return 2"))
        second.add(call_row(1, content=b""))
        second.add(call_row(4, number=2))
        second.add(attempt_row(4))
        await second.flush()
        second.forget()
        name = f"format-{schema.newest_format()}"
        GOLDEN.mkdir(parents=True, exist_ok=True)
        await journal.export_run("golden", GOLDEN / f"{name}.pawl")
        text = json.dumps(await describe(journal, "golden"), ensure_ascii=False, indent=1)
        (GOLDEN / f"{name}.json").write_text(text + "\n")
    (GOLDEN / f"{name}.db").write_bytes(path.read_bytes())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(write(Path(folder) / "pawl.db"))
