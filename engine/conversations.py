"""What subagents said and did, to look at: one call's transcript, and what a search found. Read-only and pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from engine.history import Reading, parse_reference, parsed
from engine.ports import Journal
from engine.trail import whole
from engine.values import Found, Json, TurnRow


@dataclass(frozen=True, slots=True)
class Hit:
    """A turn that a search found; `call` is the CALL of that version, None when the call was not made in it."""

    found: Found
    call: int | None

    def to_json(self) -> dict[str, Json]:
        found = self.found
        return {
            "run_id": found.run_id,
            "version": found.version,
            "call": self.call,
            "record": found.call,
            "attempt": found.attempt,
            "seq": found.seq,
            "role": found.role,
            "at": found.at,
            "snippet": found.snippet,
        }


async def search(journal: Journal, words: str, reference: str | None, *, limit: int) -> list[Hit]:
    """Newest first, in one run or in all of the journal. Raises `UsageError` (`unknown_run`)."""
    run_id = None if reference is None else parse_reference(reference)[0]
    numbers: dict[tuple[str, int], dict[int, int]] = {}
    hits = []
    for found in await journal.search(words, run_id, limit=limit):
        version = (found.run_id, found.version)
        if version not in numbers:
            numbers[version] = {row.call: row.number for row in await journal.calls(*version)}
        hits.append(Hit(found, numbers[version].get(found.call)))
    return hits


async def turns_of(journal: Journal, reading: Reading, number: int) -> Sequence[TurnRow]:
    """The conversation of call `number` of the version, over all its attempts."""
    record = next((row.call for row in reading.calls if row.number == number), None)
    if record is None:
        return ()
    recorded = partial(journal.turns, reading.info.run_id)
    return await whole(await recorded(record), recorded)


def transcript(turns: Sequence[TurnRow]) -> list[dict[str, Json]]:
    """`pawl show --transcript --json`: without what only the model's library reads (`native`)."""
    out = []
    for turn in turns:
        body = {name: value for name, value in (parsed(turn.body) or {}).items() if name != "native"}
        out.append({**body, "attempt": turn.attempt, "seq": turn.seq, "role": turn.role, "at": turn.at})
    return out
