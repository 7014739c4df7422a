"""What a model service's error means: which code, whether to try again, how long to wait. Decides retries (S26)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import TYPE_CHECKING

from engine.errors import AgentError

if TYPE_CHECKING:
    from pydantic_ai.exceptions import ModelAPIError

_QUOTED_CHARACTERS = 300
_RETRYABLE_STATUSES = frozenset({408, 409, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})


def of_service(service: str, error: ModelAPIError) -> AgentError:
    """The library's error of one request as ours."""
    from pydantic_ai import exceptions as ai

    status = getattr(error, "status_code", None)
    said = _said(error)
    wait_s = error.retry_after if error.retry_after is not None and isfinite(error.retry_after) else None
    fields = {} if status is None else {"status": status}
    if isinstance(error, ai.ModelQuotaExceededError):
        return AgentError(f"{service}: the account's quota is used up: {said}", code="provider_quota", **fields)
    if isinstance(error, ai.ModelRateLimitError) or status == 429:
        return AgentError(
            f"{service}: too many requests: {said}",
            code="rate_limited",
            retryable=True,
            retry_after_s=wait_s if wait_s is not None else reset_s(getattr(error, "headers", None) or {}),
            **fields,
        )
    if isinstance(error, ai.ModelTimeoutError):
        return AgentError(f"{service}: no answer in time: {said}", code="provider_timeout", retryable=True)
    if isinstance(error, ai.ModelConnectionError):
        return AgentError(
            f"{service}: cannot be reached, or broke off: {said}", code="provider_connection", retryable=True
        )
    if isinstance(error, ai.ModelContextWindowExceededError):
        return AgentError(
            f"{service}: the conversation is longer than the model takes: {said}",
            code="context_exceeded",
            hint="Give the agent less at once, or a model with more room.",
            **fields,
        )
    is_passing = isinstance(error, (ai.ModelUnavailableError, ai.ModelServerError))
    if is_passing or status in _RETRYABLE_STATUSES or (status is not None and status >= 500):
        what = "the service failed" if status is None else f"the service failed with {status}"
        return AgentError(
            f"{service}: {what}: {said}",
            code="provider_unavailable",
            retryable=True,
            retry_after_s=wait_s,
            **fields,
        )
    hints = {
        401: "Check the service's key.",
        403: "This key may not use that model or service.",
        404: "Check the model's name and the service's base URL.",
    }
    if status is None:
        # An error inside a stream without a status: a proxy that gave up, or a service's own words. It may pass.
        return AgentError(f"{service}: {said}", code="provider_bad_answer", retryable=True)
    return AgentError(
        f"{service}: the service refused with {status}: {said}",
        code="provider_refused",
        hint=hints.get(status, ""),
        **fields,
    )


def unusable(service: str, error: Exception) -> AgentError:
    """The library says that this model cannot be asked like this: another attempt would hear the same."""
    return AgentError(
        f"{service}: the model cannot be used: {_cut(str(error))}",
        code="provider_refused",
        hint="Choose another model; see: pawl backends",
    )


def bad_answer(service: str, error: Exception) -> AgentError:
    """A proxy's page, a body that was cut off, JSON that is none: another attempt may get through."""
    return AgentError(
        f"{service}: sent something that is no answer: {_cut(str(error)) or type(error).__name__}",
        code="provider_bad_answer",
        retryable=True,
    )


def reset_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds until a limit is lifted, from the reset headers of services that send no `Retry-After`: of the limits
    that are used up the one that lasts longest, else none.

    Source: `anthropic-ratelimit-*-reset` (RFC 3339) with `-remaining`; `x-ratelimit-reset-*` (`1m30s`, `250ms`).
    """
    now = now or datetime.now(UTC)
    waits: list[float] = []
    for name, value in headers.items():
        lower = name.lower()
        if lower.startswith("anthropic-ratelimit-") and lower.endswith("-reset"):
            remaining, wait = headers.get(lower.removesuffix("-reset") + "-remaining", "0"), _until(value, now)
        elif lower.startswith("x-ratelimit-reset-"):
            remaining, wait = headers.get(lower.replace("-reset-", "-remaining-"), "0"), _duration_s(value)
        else:
            continue
        if remaining.strip() in ("0", "") and wait is not None and isfinite(wait):
            waits.append(max(0.0, wait))
    return max(waits, default=None)


def _until(value: str, now: datetime) -> float | None:
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except (ValueError, TypeError):
            return None
    return ((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds()


def _duration_s(value: str) -> float | None:
    """`1h2m3.5s`, `250ms`, `12`."""
    import re

    text = value.strip()
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * {"h": 3600, "m": 60, "s": 1, "ms": 0.001}[unit] for number, unit in parts)
    try:
        return float(text)
    except ValueError:
        return None


def _said(error: ModelAPIError) -> str:
    """The service's own words, as far as they are short."""
    body = error.body
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        if isinstance(inner, Mapping) and inner.get("message"):
            return _cut(str(inner["message"]))
        if isinstance(inner, str):
            return _cut(inner)
    cause = error.__cause__
    words = str(body) if body else str(cause or error)
    return _cut(" ".join(words.split())) or "(nothing)"


def _cut(text: str) -> str:
    return text if len(text) <= _QUOTED_CHARACTERS else text[:_QUOTED_CHARACTERS] + "…"
