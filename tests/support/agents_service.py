"""A scripted model service in a thread of its own, for tests of real processes, which wait where the service must not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any

from support.pawl import PATIENCE_S, until
from support.scripted_model import Asked, ScriptedModel


class ModelService:
    """A `ScriptedModel` with a `with` block. Its script runs in its thread; the test looks at what it was asked.

    Attributes:
        requests: what was asked, in order of arrival.
    """

    def __init__(self, then: Callable[[Asked], Any | Awaitable[Any]] = lambda _: "ok", replies: Sequence[Any] = ()):
        self._model = ScriptedModel(list(replies), then=then)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> ModelService:
        self._thread.start()
        self._do(self._model.__aenter__())
        self.url, self.origin = self._model.url, self._model.origin
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._do(self._model.__aexit__())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
        if kind is None:
            assert self._model.refused == [], "the service was asked something that it does not take"

    @property
    def requests(self) -> list[Asked]:
        return self._model.requests

    @property
    def refused(self) -> list[str]:
        return self._model.refused

    def environ(self, **more: str) -> dict[str, str]:
        """What a process needs to ask this service in any of its protocols."""
        keys = {"OPENAI_API_KEY": "key-of-openai", "ANTHROPIC_API_KEY": "key-of-anthropic"}
        return {**keys, "OPENAI_BASE_URL": self.url, "ANTHROPIC_BASE_URL": self.origin, **more}

    def event(self) -> asyncio.Event:
        """For `Holds`; set it with `let`."""
        return asyncio.Event()

    def let(self, event: asyncio.Event) -> None:
        self._loop.call_soon_threadsafe(event.set)

    def wait_for_requests(self, count: int) -> None:
        until(lambda: len(self.requests) >= count, f"the service is asked {count} times")

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)
