"""The row of a run that changes: its lease and its totals. Written by every commit of its owner, fence and all."""

from __future__ import annotations

import dataclasses
import sqlite3
from dataclasses import dataclass
from typing import Any

import orjson

from engine.errors import EngineBug, JournalError, LeaseLost
from engine.journal.codec import checksum
from engine.values import RunStatus


@dataclass(slots=True)
class State:
    """The columns of `states`, in order, without the run's number and the checksum. See the first migration."""

    fence: int
    version: int
    status: str
    host: str | None
    boot: str | None
    pid: int | None
    beat_at: int
    degraded: int
    active_ms: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    agents: int
    last: int

    @classmethod
    def new(cls, now_ms: int) -> State:
        return cls(0, 0, str(RunStatus.RUNNING), None, None, None, now_ms, 0, 0, 0, 0, 0.0, 0, 0)

    def columns(self) -> tuple[Any, ...]:
        return (
            self.fence,
            self.version,
            self.status,
            self.host,
            self.boot,
            self.pid,
            self.beat_at,
            self.degraded,
            self.active_ms,
            self.input_tokens,
            self.output_tokens,
            self.cost_usd,
            self.agents,
            self.last,
        )

    def sum(self, run_id: str) -> bytes:
        columns = self.columns()
        return checksum(orjson.dumps(("states", run_id, 0, *columns[:11], float(self.cost_usd).hex(), *columns[12:])))

    def disown(self) -> None:
        self.host = self.boot = self.pid = None


FIELDS = tuple(f.name for f in dataclasses.fields(State))
SELECT = ", ".join(f"s.{name}" for name in FIELDS)
_UPDATE = f"UPDATE states SET {', '.join(f'{name} = ?' for name in FIELDS)}, sum = ? WHERE run = ? AND fence = ?"
_INSERT = f"INSERT INTO states (run, {', '.join(FIELDS)}, sum) VALUES (?{', ?' * (len(FIELDS) + 1)})"


def insert(connection: sqlite3.Connection, run: int, run_id: str, state: State) -> None:
    connection.execute(_INSERT, (run, *state.columns(), state.sum(run_id)))


def update(connection: sqlite3.Connection, run: int, run_id: str, state: State, *, fence: int) -> None:
    """Writes `state` if the owner with `fence` still drives the run.

    Raises:
        LeaseLost: another owner came (I8), or the run was deleted.
    """
    done = connection.execute(_UPDATE, (*state.columns(), state.sum(run_id), run, fence)).rowcount
    if done != 1:
        row = connection.execute("SELECT host, pid, fence FROM states WHERE run = ?", (run,)).fetchone()
        who = "it was deleted" if row is None else f"process {row[1]} on {row[0]} drives it now"
        raise LeaseLost(
            f"run {run_id} was taken over: {who}",
            hint=f"pawl watch {run_id} follows it where it goes on.",
            run_id=run_id,
            host=row and row[0],
            pid=row and row[1],
        )


def read(connection: sqlite3.Connection, run: int, run_id: str) -> State:
    row = connection.execute(f"SELECT {SELECT}, s.sum FROM states s WHERE run = ?", (run,)).fetchone()
    if row is None:
        raise EngineBug(f"run {run_id} has no state")
    return proved(State(*row[:-1]), row[-1], run_id)


def proved(state: State, digest: bytes, run_id: str) -> State:
    """`state`, if it fits its checksum: what it says decides where rows go and who may write them.

    Raises:
        JournalError: `journal_damaged`.
    """
    if digest != _sum_or_none(state, run_id):
        raise JournalError(
            f"the journal is damaged: the state of run {run_id} does not fit its checksum",
            code="journal_damaged",
            hint=f"pawl verify lists what is damaged; pawl delete {run_id} removes the run.",
            run_id=run_id,
        )
    return state


def _sum_or_none(state: State, run_id: str) -> bytes | None:
    try:
        return state.sum(run_id)
    except (TypeError, ValueError):
        return None  # a column changed its type
