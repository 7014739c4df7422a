"""Rows and journals for tests: the smallest things that a journal accepts."""

from __future__ import annotations

import json
from typing import Any

from engine.values import (
    AttemptRow,
    CallRow,
    NewVersion,
    RunStatus,
    SettlementRow,
    TurnRow,
    Usage,
    VersionEnd,
    WorktreeRow,
)

LARGE_TEXT = json.dumps("naïve ☃ " * 20_000, ensure_ascii=False).encode()
"""JSON of 200 KB, far above what is kept inline."""


def new_version(**changes: Any) -> NewVersion:
    values: dict[str, Any] = {
        "script": "return 'ü'".encode(),
        "script_path": "flows/one.js",
        "meta": {"name": "one", "phases": [{"title": "größer"}]},
        "args": None,
        "settings": {"concurrency": 16, "budget": None},
        "engine": {"engine": "quickjs 1.19.4"},
        "permissions": ("check", "files"),
        "started_at": 1_700_000_000_000,
    }
    return NewVersion(**{**values, **changes})


def call_row(call: int, **changes: Any) -> CallRow:
    row = CallRow(
        call=call,
        number=call,
        kind="agent",
        lane="0/1",
        key=call.to_bytes(32, "big"),
        history=bytes(32),
        occurrence=1,
        label=f"label {call}",
        phase=None,
        content=json.dumps({"prompt": f"do {call}"}).encode(),
        made_at=1_700_000_000_000 + call,
    )
    return row._replace(**changes)


def attempt_row(call: int, attempt: int = 1, **changes: Any) -> AttemptRow:
    return AttemptRow(call, attempt, "sample", None, 1_700_000_000_001)._replace(**changes)


def turn_row(call: int, seq: int = 1, **changes: Any) -> TurnRow:
    body = {"text": "The walrus was here.", "calls": [{"id": "c1", "name": "grep", "args": {"pattern": "tusk"}}]}
    return TurnRow(call, 1, seq, "assistant", 1_700_000_000_002, json.dumps(body).encode())._replace(**changes)


def worktree_row(call: int, **changes: Any) -> WorktreeRow:
    path, branch = f"/p/.pawl/worktrees/run-1/{call}", f"pawl/run-1/{call}"
    body = json.dumps({"summary": "a.py | 1 +", "files": ["a.py"]}).encode()
    return WorktreeRow(call, "kept", path, branch, "a" * 40, 1_700_000_000_003, body)._replace(**changes)


def settlement_row(call: int, **changes: Any) -> SettlementRow:
    row = SettlementRow(
        call=call,
        order=call,
        outcome="ok",
        value=json.dumps(f"answer {call}").encode(),
        reason=None,
        error=b"",
        backend="sample",
        model="small",
        input_tokens=10,
        output_tokens=20,
        cost_usd=0.001,
        settled_at=1_700_000_000_002 + call,
        meta=b"{}",
    )
    return row._replace(**changes)


def version_end(**changes: Any) -> VersionEnd:
    values: dict[str, Any] = {
        "status": RunStatus.COMPLETED,
        "result": b'{"ok":true}',
        "error": None,
        "degraded": False,
        "counts": {"total": 1, "live": 1},
        "usage": Usage(10, 20, 0.001),
        "active_ms": 1234,
        "ended_at": 1_700_000_009_000,
    }
    return VersionEnd(**{**values, **changes})
