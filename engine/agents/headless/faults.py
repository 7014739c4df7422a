"""What a coding agent's last words mean: which code, whether to try again, when.

The programs say it in sentences, not in codes, and their exit codes mean little. The sentences here are those of the
pinned versions in `tests/coding_agents`, and of services that they pass on.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from engine.errors import AgentError

_QUOTED_CHARACTERS = 500
_STATUS = re.compile(r"(?:status:?|error:?|rejected|http)\s*\(?([45]\d\d)\b", re.IGNORECASE)

# The first line that is found decides: a used-up quota comes with the status of a rate limit.
_MEANINGS: tuple[tuple[str, str, bool], ...] = (
    (r"quota|credit balance|billing|payment required|insufficient.(?:funds|credit)", "provider_quota", False),
    (
        r"context.?(?:window|length|overflow)|prompt is too long|maximum context|input is too long",
        "context_exceeded",
        False,
    ),
    (r"usage policy|content.?(?:filter|policy)|violate", "provider_refusal", False),
    (r"output token maximum|max_output_tokens|output limit", "provider_cut_off", False),
    (r"rate.?limit|too many requests|usage limit|limit reached|hit your .{0,20}limit", "rate_limited", True),
    (
        r"authenticat|unauthorized|(?:invalid|incorrect|missing).{0,20}api.?key|/login\b|log ?in\b|not logged in"
        r"|missing environment variable|forbidden|permission_denied_error",
        "provider_refused",
        False,
    ),
    (r"selected model|model.{0,30}(?:not.?found|not exist|not supported|unknown)", "provider_refused", False),
    (r"overloaded|server.?error|server-side|service unavailable|bad gateway|high demand", "provider_unavailable", True),
    (r"timed? ?out|timeout", "provider_timeout", True),
    (
        r"econn|enotfound|disconnect|connection|network error|fetch failed|unable to connect|socket|sending request",
        "provider_connection",
        True,
    ),
    (r"malformed|decoding|unexpected end|not valid json|json parse", "provider_bad_answer", True),
)

_BY_STATUS = {
    401: ("provider_refused", False),
    402: ("provider_quota", False),
    403: ("provider_refused", False),
    404: ("provider_refused", False),
    408: ("provider_timeout", True),
    409: ("provider_unavailable", True),
    429: ("rate_limited", True),
}

_WAIT = re.compile(r"(?:try again|retry|resets?|available)\s+(?:again\s+)?(?:in|after)\s+([\w .,]+)", re.IGNORECASE)
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)\b", re.IGNORECASE)
_EPOCH = re.compile(r"\|\s*(\d{10})\b")


def fault(
    program: str,
    words: str,
    *,
    status: int | None = None,
    login: str = "",
    retry_after_s: float | None = None,
    is_retryable: bool | None = None,
    now: datetime | None = None,
) -> AgentError:
    """The error of a program that ended its work with `words`.

    Args:
        status: what the service answered with, where the program tells; else it is looked for in the words.
        is_retryable: what the program says of an error that has no meaning here.
    """
    said = _STATUS.search(words)
    status = status or (int(said[1]) if said else None)
    code, retryable = _meaning(words, status)
    if code == "program_failed" and is_retryable:
        retryable = True
    if code == "rate_limited" and retry_after_s is None:
        retry_after_s = wait_s(words, now)
    hint = login if code == "provider_refused" and status in (None, 401, 403) else ""
    fields = {} if status is None else {"status": status}
    return AgentError(
        f"{program}: {quote(words) or 'it failed and did not say why'}",
        code=code,
        hint=hint,
        retryable=retryable,
        retry_after_s=retry_after_s,
        **fields,
    )


def _meaning(words: str, status: int | None) -> tuple[str, bool]:
    for pattern, code, retryable in _MEANINGS:
        if re.search(pattern, words, re.IGNORECASE) and not (code == "provider_refused" and status == 429):
            return code, retryable
    if status is None:
        return "program_failed", False
    if status >= 500:
        return "provider_unavailable", True
    return _BY_STATUS.get(status, ("provider_refused", False))


def crashed(program: str, exit_code: int, error_text: str) -> AgentError:
    """A program that ended without an answer and without a reason that it told in its stream."""
    found = fault(program, error_text) if error_text else None
    if found is not None and found.code != "program_failed":
        return found
    how = f"was killed by signal {exit_code - 128}" if exit_code > 128 else f"ended with exit code {exit_code}"
    said = f"; its last words: {quote(error_text, from_end=True)}" if error_text else " and said nothing"
    return AgentError(
        f"{program}: the program {how} without an answer{said}",
        code="program_crashed",
        retryable=True,
        exit_code=exit_code,
    )


def wait_s(words: str, now: datetime | None = None) -> float | None:
    """Seconds that the words ask to wait: `try again in 3 days 4 hours`, `limit reached|1735689600`."""
    if epoch := _EPOCH.search(words):
        now = now or datetime.now(UTC)
        return max(0.0, int(epoch[1]) - now.timestamp())
    found = _WAIT.search(words)
    parts = _PART.findall(found[1]) if found else []
    if not parts:
        return None
    return sum(float(number) * (0.001 if unit.lower() == "ms" else _UNITS[unit[0].lower()]) for number, unit in parts)


def quote(text: str, *, from_end: bool = False) -> str:
    """The words on one line, cut to what a message can hold."""
    line = " ".join(text.split())
    if len(line) <= _QUOTED_CHARACTERS:
        return line
    return "…" + line[-_QUOTED_CHARACTERS:] if from_end else line[:_QUOTED_CHARACTERS] + "…"
