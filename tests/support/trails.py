"""A trail in memory: what a backend puts on record, and how a later attempt finds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from engine.values import TurnRow


class MemoryTrail:
    """See `engine.values.Trail`. `secret` is masked, as the real one masks what the settings know of."""

    def __init__(self, earlier: Sequence[TurnRow] = (), *, secret: str | None = None) -> None:
        self.earlier: Sequence[TurnRow] = tuple(earlier)
        self.turns = list(earlier)
        self.secret = secret
        self._attempt = max((turn.attempt for turn in earlier), default=0) + 1

    async def add(self, role: str, body: dict[str, Any], *, wait: bool = True) -> dict[str, Any]:
        text = orjson.dumps(body)
        if self.secret is not None:
            text = text.replace(self.secret.encode(), b"[secret:TEST]")
        self.turns.append(TurnRow(1, self._attempt, len(self.turns) + 1, role, 1_000, text))
        masked: dict[str, Any] = orjson.loads(text)
        return masked

    def reopened(self) -> MemoryTrail:
        """What the next attempt gets, in this process or another."""
        return MemoryTrail(self.turns, secret=self.secret)

    @staticmethod
    def text(turn: TurnRow) -> str:
        return str(orjson.loads(turn.body).get("text", ""))
