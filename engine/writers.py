"""A pen that writes nothing: for replays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from engine.values import Control, Row, RunStatus, VersionEnd


class NoWriter:
    """See `engine.ports.Writer`. A replay records nothing, so nothing is ever committed either."""

    def __init__(self, version: int) -> None:
        self.version = version

    def add(self, row: Row, then: Callable[[], None] | None = None) -> None:
        pass

    async def flush(self) -> None:
        pass

    async def end(self, end: VersionEnd) -> None:
        pass

    async def retire(self, calls: Iterable[int]) -> None:
        pass

    async def controls(self) -> Sequence[Control]:
        return ()

    async def acted(self, control_id: int, outcome: str) -> None:
        pass

    def mark(self, status: RunStatus) -> None:
        pass

    def on_control(self, callback: Callable[[], None]) -> None:
        pass

    def on_lost(self, callback: Callable[[Exception], None]) -> None:
        pass

    def forget(self) -> None:
        pass
