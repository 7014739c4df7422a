"""A call between its request and its delivery, and the JSON text that delivers it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from engine.values import CallKind, Json, Outcome, SettlementRow


@dataclass(slots=True, eq=False)
class OpenCall:
    """One request of the script that has not been delivered.

    Attributes:
        handle: the sandbox's number of the call; `call` the record's; `number` the CALL of the command line.
        hash: what its record adds to histories; identity and generation.
        settlement: how it ended, as soon as that is known; durable once the plan offers it for delivery.
    """

    handle: int
    call: int
    number: int
    lane: int
    kind: CallKind
    content: dict[str, Json] | None
    label: str | None
    phase: str | None
    line: int
    is_full: bool
    hash: int
    identity: bytes
    attempts_before: int
    goes_on_from: int | None
    is_reused: bool
    is_dispatched: bool = False
    is_started: bool = False
    is_asked: bool = False  # a person can answer it now
    settlement: SettlementRow | None = None


def delivery(call: OpenCall) -> bytes:
    """The text that hands a settlement to the script: the value goes in byte for byte as it is stored (S20).

    `{"i": handle, "t": clock, "u": [output tokens, USD, agents], "v": value}`, or `"e": {name, message, code}`.
    """
    row = call.settlement
    assert row is not None
    agents = 1 if call.kind is CallKind.AGENT and row.outcome != Outcome.REFUSED else 0
    head = b'{"i":%d,"t":%d,"u":[%d,%s,%d],' % (
        call.handle,
        row.settled_at,
        row.output_tokens,
        repr(row.cost_usd).encode(),
        agents,
    )
    if row.outcome in (Outcome.FAILED, Outcome.REFUSED):
        return head + b'"e":' + _thrown(row.error) + b"}"
    value = row.value or b"null"
    if call.is_full:
        value = _full(row, value)
    return head + b'"v":' + value + b"}"


def _thrown(error: bytes) -> bytes:
    """The Error that the script gets (S24), from the error on record."""
    data = orjson.loads(error)
    hint = data.get("hint")
    return orjson.dumps(
        {
            "name": data.get("kind", "Error"),
            "code": data.get("code", "error"),
            "message": _sentences(data.get("message", ""), hint),
        }
    )


def _sentences(message: str, hint: str | None) -> str:
    if not hint:
        return message
    return f"{message} {hint}" if message.endswith((".", "!", "?", ":")) else f"{message}. {hint}"


def _full(row: SettlementRow, value: bytes) -> bytes:
    """S26, `full: true`. `cached` is about the record, not about this delivery, so that a replay gives the same: an
    answer taken over from another run."""
    meta = orjson.loads(row.meta) if row.meta else {}
    told = {
        "reason": row.reason,
        "usage": {"inputTokens": row.input_tokens, "outputTokens": row.output_tokens},
        "costUsd": row.cost_usd,
        "model": row.model,
        "cached": bool(meta.get("taken_over")),
        "worktree": meta.get("worktree"),
    }
    if "verdicts" in meta:
        told["verdicts"] = meta["verdicts"]
    rest = orjson.dumps(told)
    return b'{"value":' + value + b"," + rest[1:]


def short(content: dict[str, Json]) -> str:
    """A name for a call that has no label: the start of what it asks."""
    subjects = ("prompt", "command", "question", "path", "pattern", "branch")
    text = next((str(content[name]) for name in subjects if name in content), "")
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59] + "…"
