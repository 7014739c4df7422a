"""What a caller may set for one run, and what a run gives back. The shapes of CLI.md, without a command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from engine.values import NO_USAGE, Json, RunStatus, Usage

Policy: TypeAlias = Literal["lane", "content", "prefix"]

UNSET = object()
"""No args were given: the script sees `undefined`. `None` is an explicit null."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """None means "not given": a new run takes the setting (lowered by `meta.limits`), a resume the recorded value.

    Attributes:
        backend: `sample`, `local`, `openai:MODEL`…, with options after a colon.
        concurrency: agents at once, 1 to 1,024.
        budget_tokens: output tokens in the life of the run.
        max_cost_usd: US dollars in the life of the run.
        max_agents: dispatched agent calls in the life of the run.
        max_minutes: minutes that a process drove the run.
        allow: host effects permitted: of `check`, `ask`, `files`.
        is_interactive: a person sits at a terminal and can be asked.
        is_detached: nobody watches; a run that waits for people goes on waiting.
    """

    backend: str | None = None
    model: str | None = None
    effort: str | None = None
    concurrency: int | None = None
    budget_tokens: int | None = None
    max_cost_usd: float | None = None
    max_agents: int | None = None
    max_minutes: float | None = None
    allow: frozenset[str] | None = None
    is_interactive: bool = False
    is_detached: bool = False


@dataclass(frozen=True, slots=True)
class ResumeOptions:
    """How a resume looks for records. See docs/journal.md.

    Attributes:
        rerun: labels or CALL numbers (of the newest version) whose records are retired first.
    """

    policy: Policy = "lane"
    keep_failures: bool = False
    rerun: tuple[str, ...] = ()
    explain: bool = False


@dataclass(frozen=True, slots=True)
class Explained:
    """Why a call was reused or ran: one line of `--explain`. `reason` is a stable word, `detail` for people."""

    call: int
    label: str
    reused: bool
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class RunResult:
    """How one version of a run ended: what `run`, `resume` and `replay` print with `--json`.

    Attributes:
        agents: counts of this version: total, live, reused, failed, null, refused.
        usage: what this command paid; `run_usage`: the life of the run.
        warnings: codes of what made the run degraded, with their texts.
    """

    run_id: str
    version: int
    status: RunStatus
    result: Json
    error: dict[str, Json] | None
    degraded: bool
    agents: dict[str, int]
    usage: Usage = NO_USAGE
    run_usage: Usage = NO_USAGE
    seconds: float = 0.0
    explained: tuple[Explained, ...] = field(default=())

    def to_json(self) -> dict[str, Json]:
        return {
            "run_id": self.run_id,
            "version": self.version,
            "status": str(self.status),
            "result": self.result,
            "error": self.error,
            "degraded": self.degraded,
            "agents": self.agents,
            "usage": self.usage.to_json(),
            "run_usage": self.run_usage.to_json(),
            "seconds": round(self.seconds, 3),
        }

    @property
    def exit_code(self) -> int:
        """0 completed, 1 failed, 3 failed on a cap, 4 cancelled, 5 paused or interrupted."""
        if self.status is RunStatus.COMPLETED:
            return 0
        if self.status is RunStatus.FAILED:
            return 3 if str((self.error or {}).get("code", "")).startswith("limit_") else 1
        if self.status is RunStatus.CANCELLED:
            return 4
        return 5
