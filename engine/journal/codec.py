"""How rows look on disk: columns, canonical form, checksum, large values. Pure; no SQL is run here.

The canonical form of a row is a compact JSON array in UTF-8: the table's name, the run id, the row's place in the run's
log, then its columns as SQLite shows them, except that a blob is an array with one member, its lower-case hex digits,
and a REAL is the text that `float.hex` gives (so that no JSON writer's idea of a float matters). The checksum is
BLAKE2b with 16 bytes over `pawl1\\n` and that array. Neither holds the run's number in this file: an exported row keeps
its checksum wherever it is imported.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from hashlib import blake2b, sha256
from typing import Any, TypeAlias

import orjson

from engine.errors import EngineBug
from engine.values import (
    AttemptRow,
    CallRow,
    DeliveryRow,
    EventRow,
    Json,
    LoadRow,
    NewVersion,
    RunStatus,
    SettlementRow,
    TurnRow,
    Usage,
    VersionEnd,
    VersionInfo,
    WorktreeRow,
)

LARGEST = 1 << 30
"""Bytes of the largest value that is unpacked: a guard against hostile exports, far above what a frame can carry."""

LARGE = 64 << 10
"""Bytes from which on a value is stored once, by hash. Below it a value is readable with any SQLite tool."""

RUN_SHIFT = 32
"""A row's id is the run's number shifted by this, plus the row's place in the run's log."""

Columns: TypeAlias = tuple[Any, ...]

COLUMNS: dict[str, tuple[str, ...]] = {
    "versions": (
        "version",
        "script",
        "script_path",
        "meta",
        "args",
        "settings",
        "engine",
        "permissions",
        "started_at",
    ),
    "ends": (
        "version",
        "status",
        "result",
        "error",
        "degraded",
        "counts",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "active_ms",
        "ended_at",
    ),
    "calls": ("version", *CallRow._fields),
    "attempts": ("version", *AttemptRow._fields),
    "settlements": ("version", *("place" if f == "order" else f for f in SettlementRow._fields)),
    "events": ("version", *EventRow._fields),
    "deliveries": ("version", *DeliveryRow._fields),
    "loads": ("version", *LoadRow._fields),
    "retired": ("version", "call"),
    "turns": ("version", *TurnRow._fields),
    "worktrees": ("version", *WorktreeRow._fields),
}
"""The tables of a run's log and their columns between `id` and `sum`."""

REAL = {table: columns.index("cost_usd") for table, columns in COLUMNS.items() if "cost_usd" in columns}
"""The one column of a table that is a float."""

INSERT = {
    table: f"INSERT INTO {table} (id, {', '.join(columns)}, sum) VALUES (?{', ?' * (len(columns) + 1)})"
    for table, columns in COLUMNS.items()
}

TEXTS: dict[str, tuple[str, ...]] = {
    "versions": ("script", "meta", "args", "settings", "engine"),
    "ends": ("result", "error"),
    "calls": ("content",),
    "settlements": ("value", "error", "meta"),
    "events": ("body",),
    "deliveries": ("calls",),
    "loads": ("script", "error"),
    "turns": ("body",),
    "worktrees": ("body",),
}
"""Columns that may hold the hash of a stored value."""

_TAG = b"pawl1\n"


def _shown(value: object) -> Json:
    if type(value) is bytes:
        return [value.hex()]
    raise TypeError


def canonical(table: str, run_id: str, place: int, columns: Sequence[Any]) -> bytes:
    """The canonical form. `columns` are as SQLite takes and gives them."""
    real = REAL.get(table)
    if real is not None and isinstance(columns[real], float):
        columns = (*columns[:real], columns[real].hex(), *columns[real + 1 :])
    return orjson.dumps((table, run_id, place, *columns), _shown)


def checksum(text: bytes) -> bytes:
    """16 bytes over a canonical form."""
    return blake2b(_TAG + text, digest_size=16).digest()


def prover(table: str, run_id: str) -> Callable[[Sequence[Any]], bool]:
    """Whether a full row (id, columns, checksum) fits its checksum: `canonical` and `checksum` without their overhead,
    for the hundred thousand rows that a resume reads."""
    real = REAL.get(table)
    mask, dumps = (1 << RUN_SHIFT) - 1, orjson.dumps
    if real is None:

        def is_whole(row: Sequence[Any]) -> bool:
            text = dumps((table, run_id, row[0] & mask, *row[1:-1]), _shown)
            return bool(blake2b(_TAG + text, digest_size=16).digest() == row[-1])

    else:
        at = real + 1

        def is_whole(row: Sequence[Any]) -> bool:
            shown = row[at].hex() if type(row[at]) is float else row[at]
            text = dumps((table, run_id, row[0] & mask, *row[1:at], shown, *row[at + 1 : -1]), _shown)
            return bool(blake2b(_TAG + text, digest_size=16).digest() == row[-1])

    return is_whole


def revived(table: str, columns: Sequence[Json]) -> Columns:
    """Columns for SQLite from those of a canonical form. Raises `ValueError` when they do not fit the table."""
    if len(columns) != len(COLUMNS[table]):
        raise ValueError(f"{table} has {len(COLUMNS[table])} columns, found {len(columns)}")
    out: list[Any] = [bytes.fromhex(c[0]) if isinstance(c, list) else c for c in columns]
    real = REAL.get(table)
    if real is not None:
        out[real] = float.fromhex(out[real])
    return tuple(out)


def json_text(value: Json) -> bytes:
    """JSON for a column that people may read: sorted, compact, not escaped unless a lone surrogate forces it."""
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class Encoder:
    """Turns rows of one run into what `INSERT` takes, and keeps the large values that they refer to.

    Attributes:
        stored: large values by hash, to be written in the same transaction as the rows.
    """

    def __init__(self, run: int, run_id: str, version: int) -> None:
        self.run = run
        self.run_id = run_id
        self.version = version
        self.stored: dict[bytes, bytes] = {}

    def text(self, data: bytes) -> str | bytes:
        """`data` as a column: itself, or the hash of a stored value when it is large or is no UTF-8."""
        if len(data) <= LARGE:
            try:
                return data.decode()
            except UnicodeDecodeError:
                pass
        digest = sha256(data).digest()
        self.stored[digest] = data
        return digest

    def sealed(self, table: str, place: int, columns: Columns) -> Columns:
        """A full row of `table`: id, columns, checksum."""
        try:
            text = canonical(table, self.run_id, place, columns)
        except (TypeError, ValueError):
            columns = tuple(_without_surrogates(c) for c in columns)
            text = canonical(table, self.run_id, place, columns)
        return ((self.run << RUN_SHIFT) + place, *columns, checksum(text))

    def call(self, row: CallRow) -> Columns:
        return (self.version, *row[:9], self.text(row.content), row.made_at)

    def attempt(self, row: AttemptRow) -> Columns:
        return (self.version, *row)

    def settlement(self, row: SettlementRow) -> Columns:
        return (
            self.version,
            row.call,
            row.order,
            row.outcome,
            self.text(row.value),
            row.reason,
            self.text(row.error),
            row.backend,
            row.model,
            row.input_tokens,
            row.output_tokens,
            float(row.cost_usd),
            row.settled_at,
            self.text(row.meta),
        )

    def event(self, row: EventRow) -> Columns:
        return (self.version, row.seq, row.kind, row.at, self.text(row.body))

    def delivery(self, row: DeliveryRow) -> Columns:
        return (self.version, row.position, self.text(orjson.dumps(list(row.calls))))

    def load(self, row: LoadRow) -> Columns:
        return (self.version, row.ref, row.name, row.path, self.text(row.script), self.text(row.error))

    def turn(self, row: TurnRow) -> Columns:
        return (self.version, *row[:5], self.text(row.body))

    def worktree(self, row: WorktreeRow) -> Columns:
        return (self.version, *row[:6], self.text(row.body))

    def new_version(self, version: NewVersion) -> Columns:
        return (
            self.version,
            self.text(version.script),
            version.script_path,
            self.text(json_text(version.meta)),
            None if version.args is None else self.text(version.args),
            self.text(json_text(version.settings)),
            self.text(json_text(version.engine)),
            json_text(list(version.permissions)).decode(),
            version.started_at,
        )

    def end(self, end: VersionEnd) -> Columns:
        return (
            self.version,
            str(end.status),
            None if end.result is None else self.text(end.result),
            None if end.error is None else self.text(json_text(end.error)),
            int(end.degraded),
            json_text(end.counts).decode(),
            end.usage.input_tokens,
            end.usage.output_tokens,
            float(end.usage.cost_usd),
            end.active_ms,
            end.ended_at,
        )


def _without_surrogates(column: Any) -> Any:
    """A label or a reason may hold half of a surrogate pair, which no UTF-8 text can: it becomes U+FFFD."""
    if isinstance(column, str):
        return column.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if column is None or isinstance(column, int | float | bytes):
        return column
    raise EngineBug(f"a row holds {type(column).__name__}, which is no column")


def pack(data: bytes) -> bytes:
    """A stored value's bytes on disk. Level 1: a large value is mostly prose, and the commit waits for this."""
    return zlib.compress(data, 1)


def unpack(digest: bytes, size: int, data: bytes) -> bytes:
    """The stored value. Raises `ValueError` when it is not what `digest` says."""
    if size > LARGEST:
        raise ValueError(f"is too large ({size} bytes)")
    try:
        inflater = zlib.decompressobj()
        plain = inflater.decompress(data, size + 1)
    except zlib.error as error:
        raise ValueError(f"cannot be decompressed ({error})") from None
    if len(plain) != size or sha256(plain).digest() != digest:
        raise ValueError("does not match its hash")
    return plain


def version_info(columns: Sequence[Any], end: VersionEnd | None) -> VersionInfo:
    """A version from its columns, with texts already read in as bytes."""
    version, script, script_path, meta, args, settings, engine, permissions, started_at = columns
    return VersionInfo(
        version=version,
        script=script,
        script_path=script_path,
        meta=json.loads(meta),
        args=args,
        settings=json.loads(settings),
        engine=json.loads(engine),
        permissions=tuple(json.loads(permissions)),
        started_at=started_at,
        end=end,
    )


def version_end(columns: Sequence[Any]) -> VersionEnd:
    """A version's end from its columns, with texts already read in as bytes."""
    _, status, result, error, degraded, counts, input_tokens, output_tokens, cost_usd, active_ms, ended_at = columns
    return VersionEnd(
        status=RunStatus(status),
        result=result,
        error=None if error is None else json.loads(error),
        degraded=bool(degraded),
        counts=json.loads(counts),
        usage=Usage(input_tokens, output_tokens, cost_usd),
        active_ms=active_ms,
        ended_at=ended_at,
    )
