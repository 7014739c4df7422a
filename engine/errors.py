"""Every error that Pawl raises.

    PawlError
    ├── UsageError     what was asked for does not exist, or does not fit     exit 2
    ├── ScriptError    the script: syntax, meta, a throw, a sandbox limit     exit 2 before, 1 after the start
    ├── AgentError     one attempt of one call; `retryable`: try again?
    ├── LimitReached   a budget, agent or minute cap                          exit 3
    ├── ReplayDiffers  a replay asked for, or got, something else             exit 7
    ├── JournalError   the journal cannot be used                             exit 6
    ├── RunStateError  the run is not in a state that allows this             exit 2; 6 when another process drives it
    └── EngineBug      ours; please report                                    exit 1

A message says what failed, which ids, what was expected and found. `hint` is one thing to do about it. `code` is
stable: programs and scripts may test it. Every error round-trips through the journal with `to_json` and `from_json`.
"""

from __future__ import annotations

from typing import Any, ClassVar

Fields = dict[str, Any]


class PawlError(Exception):
    """The root. `fields` must be JSON: ids, paths, numbers that a program may want.

    Attributes:
        code: stable, lower case, words joined by `_`.
        message: for people; no host paths when a script may see it.
        hint: one thing to do, or an empty string.
        exit_code: what `pawl` exits with when this error ends a command.
    """

    default_code: ClassVar[str] = "error"
    exit_code: int = 1

    def __init__(self, message: str, *, code: str | None = None, hint: str = "", **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.hint = hint
        self.fields: Fields = fields

    def to_json(self) -> Fields:
        """Returns `{"kind", "code", "message", "hint"?, "fields"?}`, the form that the journal and `--json` hold."""
        out: Fields = {"kind": type(self).__name__, "code": self.code, "message": self.message}
        if self.hint:
            out["hint"] = self.hint
        if self.fields:
            out["fields"] = self.fields
        return out

    @staticmethod
    def from_json(data: Fields) -> PawlError:
        """The error that `to_json` gave. An unknown kind (from a newer program) becomes a plain `PawlError`."""
        cls = _KINDS.get(str(data.get("kind")), PawlError)
        error = cls.__new__(cls)
        PawlError.__init__(
            error,
            str(data.get("message", "")),
            code=str(data.get("code") or cls.default_code),
            hint=str(data.get("hint", "")),
            **dict(data.get("fields") or {}),
        )
        return error


class UsageError(PawlError):
    """A command, flag, file, workflow, run or call that does not exist, or a value that does not fit."""

    default_code = "usage"
    exit_code = 2


class ScriptError(PawlError):
    """The script is at fault. `fields` may hold `file`, `line`, `column`, `excerpt`, `name`, `frames`.

    `exit_code` is 2 for what is refused before the run starts (codes `syntax`, `meta`, `args`, …) and 1 for what
    happens in a run (codes `script_threw`, `result_not_json`, `deadlock`, `sandbox_…`).
    """

    default_code = "script"

    REFUSED_BEFORE_START: ClassVar[frozenset[str]] = frozenset(
        {"syntax", "meta", "args", "forbidden", "too_long", "encoding", "permissions"}
    )

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        return 2 if self.code in self.REFUSED_BEFORE_START else 1


class AgentError(PawlError):
    """One attempt at one call failed.

    Attributes:
        retryable: another attempt may succeed (rate limit, outage, broken connection).
        retry_after_s: what the provider asked us to wait, in seconds, or None.
    """

    default_code = "agent"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str = "",
        retryable: bool = False,
        retry_after_s: float | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(message, code=code, hint=hint, **fields)
        self.fields["retryable"] = retryable
        if retry_after_s is not None:
            self.fields["retry_after_s"] = retry_after_s

    @property
    def retryable(self) -> bool:
        return bool(self.fields.get("retryable"))

    @property
    def retry_after_s(self) -> float | None:
        return self.fields.get("retry_after_s")


class LimitReached(PawlError):
    """A cap: codes `limit_tokens`, `limit_cost`, `limit_agents`, `limit_minutes`. Resumable with a higher one."""

    default_code = "limit"
    exit_code = 3


class ReplayDiffers(PawlError):
    """A replay made another request than the recorded one, or ended in another result."""

    default_code = "replay_differs"
    exit_code = 7


class JournalError(PawlError):
    """The journal cannot be used.

    Codes: `journal_damaged`, `journal_newer`, `journal_unwritable`, `journal_full`, `run_driven`.
    """

    default_code = "journal"
    exit_code = 6


class RunStateError(PawlError):
    """The run is not in a state that allows what was asked: `not_resumable`, `already_delivered`, …"""

    default_code = "run_state"
    exit_code = 2


class LeaseLost(JournalError):
    """Another process drives this run now; this one must not write another byte (I8)."""

    default_code = "lease_lost"


class EngineBug(PawlError):
    """A broken promise of our own code. Never expected; the message asks for a report."""

    default_code = "engine_bug"


_KINDS: dict[str, type[PawlError]] = {
    cls.__name__: cls
    for cls in (
        PawlError,
        UsageError,
        ScriptError,
        AgentError,
        LimitReached,
        ReplayDiffers,
        JournalError,
        RunStateError,
        LeaseLost,
        EngineBug,
    )
}
