"""Ctrl-C, SIGTERM, SIGHUP for a command that drives a run.

Once: the run stops starting agents, records what is running as interrupted and ends (exit 5). Twice: at once. A signal
that arrives before the run has started is kept until there is something to interrupt: a lease that was taken is never
left behind.
"""

from __future__ import annotations

import asyncio
import signal
from types import TracebackType
from typing import Protocol

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stoppable(Protocol):
    def interrupt(self) -> None: ...

    def kill(self) -> None: ...


class Stopper:
    """Catches the signals while it is entered.

    Attributes:
        count: signals that arrived so far.
        name: of the first one, for people.
    """

    def __init__(self) -> None:
        self.count = 0
        self.name = ""
        self._target: Stoppable | None = None

    def __enter__(self) -> Stopper:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._arrived, number)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.remove_signal_handler(number)

    def attach(self, target: Stoppable) -> None:
        """From now on signals go to `target`; so do those that came before."""
        self._target = target
        if self.count:
            self._pass_on()

    def _arrived(self, number: signal.Signals) -> None:
        self.count += 1
        self.name = self.name or signal.Signals(number).name
        self._pass_on()

    def _pass_on(self) -> None:
        if self._target is None:
            return
        if self.count == 1:
            self._target.interrupt()
        else:
            self._target.kill()
