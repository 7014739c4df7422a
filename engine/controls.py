"""Control messages to a run, as its owner reads them: pause and cancel at once, what names a call in its turn.

A message is durable (`Writer.controls`) until it is acted on, so one that was sent to a dead run waits for the resume.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from engine.errors import EngineBug
from engine.ports import Writer
from engine.values import Control

URGENT = ("pause", "cancel")


class Mailbox:
    """Fetches messages when the journal's bell rings.

    Args:
        urgent: acts on a pause or cancel at once.
        arrived: tells the loop that there is mail to `read`.
        failed: the journal cannot be read.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        urgent: Callable[[Control], None],
        arrived: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._writer = writer
        self._urgent = urgent
        self._arrived = arrived
        self._failed = failed
        self._mail: deque[Control] = deque()
        self._seen: set[int] = set()
        self._task: asyncio.Task[None] | None = None

    def rang(self) -> None:
        """The bell: may ring more often than there are messages."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self.fetch())
            self._task.add_done_callback(self._fetched)

    async def fetch(self) -> None:
        for message in await self._writer.controls():
            if message.control_id in self._seen:
                continue
            self._seen.add(message.control_id)
            if message.kind in URGENT:
                self._urgent(message)
                await self._writer.acted(message.control_id, "ok")
            else:
                self._mail.append(message)
                self._arrived()

    async def read(self, obey: Callable[[Control], str | None]) -> bool:
        """Acts on what names a call; `obey` gives the word for the sender, or None to keep the message for later.

        Returns whether any was acted on. Call it only when the script is where the sender saw it: idle, with nothing
        recorded left to deliver.
        """
        kept: deque[Control] = deque()
        has_acted = False
        while self._mail:
            message = self._mail.popleft()
            word = obey(message)
            if word is None:
                kept.append(message)
            else:
                has_acted = True
                await self._writer.acted(message.control_id, word)
        self._mail.extendleft(reversed(kept))
        return has_acted

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _fetched(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error if isinstance(error, Exception) else EngineBug(str(error)))
