"""Host effects that nobody permitted (S63): the call is refused, and the error names the flag."""

from __future__ import annotations

from typing import ClassVar

from engine.errors import UsageError
from engine.executors import HostEffect, Job
from engine.values import AgentAnswer, CallKind, Json

LOOKING = frozenset({CallKind.READ_FILE, CallKind.GLOB, CallKind.EXISTS})
"""What a simulation really does, unless it is told not to."""


class NotPermitted(HostEffect):
    """Stands in for the executor of a kind that the run has no permission for."""

    NEEDS: ClassVar[dict[CallKind, str]] = {
        CallKind.CHECK: "check",
        CallKind.ASK: "ask",
        CallKind.READ_FILE: "files",
        CallKind.WRITE_FILE: "files",
        CallKind.GLOB: "files",
        CallKind.EXISTS: "files",
        CallKind.MERGE: "files",
    }

    def __init__(self, kind: CallKind) -> None:
        super().__init__(self._never)
        self._kind = kind

    def check(self, job: Job) -> None:
        raise not_permitted(f"{self._kind}()", self.NEEDS[self._kind])

    @staticmethod
    async def _never(job: Job, emit: object) -> Json:
        return AgentAnswer(None)


def not_permitted(what: str, needed: str) -> UsageError:
    """What a script is told that asks for something nobody allowed."""
    return UsageError(
        f"{what} needs the permission '{needed}', which this run does not have.",
        code="not_permitted",
        hint=f"Run with --allow {needed}, or list it in meta.permissions and confirm it at the start.",
        permission=needed,
    )
