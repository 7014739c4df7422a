"""The `openai` backend: services that speak the OpenAI chat protocol, over HTTP. One question, one answer, no tools.

The wire is simple enough to own (docs/decisions/0005): a request, a response, and a table of what a failure means. The
key goes into one header and nowhere else: no message of this module quotes it, or a response's headers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from engine.errors import AgentError, UsageError
from engine.values import AgentAnswer, AgentRequest, Json, Usage

if TYPE_CHECKING:
    import httpx

DEFAULT_URL = "https://api.openai.com/v1"
CONNECT_TIMEOUT_S = 20.0
ANSWER_TIMEOUT_S = 600.0
"""Silence that ends one request. A long answer without streaming is silence; the dispatcher times the call itself."""
MAX_RESPONSE_BYTES = 16 << 20

_EFFORTS = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
_RETRYABLE_STATUSES = frozenset({408, 409, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
_QUOTED_CHARACTERS = 300


class ChatBackend:
    """See the module."""

    name = "openai"

    def __init__(self, model: str, *, base_url: str = DEFAULT_URL, api_key: str = "") -> None:
        self._model = model
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client: httpx.AsyncClient | None = None

    @classmethod
    def from_environment(cls, model: str, environ: Mapping[str, str]) -> ChatBackend:
        """By `OPENAI_BASE_URL` and `OPENAI_API_KEY`. Raises `UsageError` (`bad_backend`)."""
        url = environ.get("OPENAI_BASE_URL", "").strip() or DEFAULT_URL
        key = environ.get("OPENAI_API_KEY", "").strip()
        if not url.startswith(("http://", "https://")):
            raise UsageError(
                f"OPENAI_BASE_URL is {url!r}: expected http://… or https://…",
                code="bad_backend",
                hint=f"Unset it for {DEFAULT_URL}.",
            )
        if not (key.isascii() and key.isprintable()):
            raise UsageError(
                "OPENAI_API_KEY holds characters that no key has", code="bad_backend", hint="Copy the key again."
            )
        return cls(model, base_url=url, api_key=key)

    async def run(self, request: AgentRequest, emit: Callable[[dict[str, Json]], None]) -> AgentAnswer:
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(
                headers=self._headers,
                timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
                limits=httpx.Limits(max_connections=None),  # the dispatcher says how many
            )
        body = json.dumps(self._body(request)).encode()
        try:
            async with self._client.stream(
                "POST", self._url, content=body, headers={"Content-Type": "application/json"}
            ) as response:
                text = await _read(response)
        except httpx.TimeoutException as error:
            raise _transient("gave no answer in time", code="provider_timeout") from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise AgentError(f"openai: OPENAI_BASE_URL is no address: {error}", code="provider_refused") from error
        except httpx.TransportError as error:
            what = str(error) or type(error).__name__
            raise _transient(f"cannot be reached, or broke off: {what}", code="provider_connection") from error
        if response.status_code != 200:
            raise _error_of(response.status_code, response.headers, text)
        return _answer(text, request, asked=self._asked(request))

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _asked(self, request: AgentRequest) -> str:
        return request.model or self._model

    def _body(self, request: AgentRequest) -> dict[str, Json]:
        messages = [{"role": "user", "content": request.prompt}]
        if request.definition is not None and request.definition.prompt:
            messages.insert(0, {"role": "system", "content": request.definition.prompt})
        for answer, problem in request.feedback:
            messages.append({"role": "assistant", "content": answer or "(empty)"})
            messages.append({"role": "user", "content": f"That answer does not do: {problem}. Answer again."})
        body: dict[str, Json] = {"model": self._asked(request), "messages": messages}
        if request.effort is not None:
            body["reasoning_effort"] = _EFFORTS.get(request.effort, request.effort)
        if request.schema is not None:
            # Not `strict`: it takes only a part of JSON Schema. The answer is validated here in any case.
            wanted = {"name": "answer", "schema": request.schema, "strict": False}
            body["response_format"] = {"type": "json_schema", "json_schema": wanted}
        return body


async def _read(response: httpx.Response) -> bytes:
    pieces, size = [], 0
    async for piece in response.aiter_bytes():
        size += len(piece)
        if size > MAX_RESPONSE_BYTES:
            raise AgentError(
                f"openai: the response has more than {MAX_RESPONSE_BYTES >> 20} MiB", code="provider_bad_answer"
            )
        pieces.append(piece)
    return b"".join(pieces)


def _answer(text: bytes, request: AgentRequest, *, asked: str) -> AgentAnswer:
    """Reads a response with status 200."""
    try:
        body = json.loads(text)
        choice = body["choices"][0]
        message = choice["message"]
        content, refusal = message.get("content"), message.get("refusal")
        usage = _usage(body.get("usage"))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # A proxy's page or a cut-off body: another attempt may get through.
        raise _transient(f"sent something that is no answer: {_quote(text)}", code="provider_bad_answer") from error
    if refusal or choice.get("finish_reason") == "content_filter":
        why = refusal if isinstance(refusal, str) and refusal else "its content filter stopped the answer"
        raise AgentError(f"openai: the model refused: {_cut(why)}", code="provider_refusal", usage=usage.to_json())
    if isinstance(content, list):  # some services send parts
        content = "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    if choice.get("finish_reason") == "length" and request.schema is not None:
        raise AgentError(
            "openai: the answer was cut off at the model's output limit",
            code="provider_cut_off",
            hint="Ask for less at once.",
            usage=usage.to_json(),
        )
    model = body.get("model")
    return AgentAnswer(
        content if isinstance(content, str) else "", usage, model=model if isinstance(model, str) else asked
    )


def _usage(told: Any) -> Usage:
    if not isinstance(told, dict):
        return Usage()
    return Usage(_count(told.get("prompt_tokens")), _count(told.get("completion_tokens")))


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _error_of(status: int, headers: Mapping[str, str], text: bytes) -> AgentError:
    """What a status other than 200 means."""
    told = _told(text)
    if status == 429:
        if _told_code(text) == "insufficient_quota":
            return AgentError(f"openai: the account's quota is used up: {told}", code="provider_quota", status=status)
        return AgentError(
            f"openai: too many requests: {told}",
            code="rate_limited",
            retryable=True,
            retry_after_s=_retry_after_s(headers),
            status=status,
        )
    if status in _RETRYABLE_STATUSES or status >= 500:
        return AgentError(
            f"openai: the service failed with {status}: {told}",
            code="provider_unavailable",
            retryable=True,
            retry_after_s=_retry_after_s(headers),
            status=status,
        )
    hints = {
        401: "Check OPENAI_API_KEY.",
        403: "This key may not use that model or service.",
        404: "Check the model's name and OPENAI_BASE_URL.",
    }
    return AgentError(
        f"openai: the service refused with {status}: {told}",
        code="provider_refused",
        hint=hints.get(status, ""),
        status=status,
    )


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """`Retry-After`, in seconds or as a date; `retry-after-ms` where a service is finer."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
    except ValueError:
        pass
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _told(text: bytes) -> str:
    """The service's own words."""
    try:
        error = json.loads(text)["error"]
        words = error if isinstance(error, str) else error["message"]
        return _cut(str(words))
    except (ValueError, LookupError, TypeError, RecursionError):
        return _quote(text)


def _told_code(text: bytes) -> str:
    try:
        error = json.loads(text)["error"]
        return str(error.get("code") or error.get("type") or "")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""


def _quote(text: bytes) -> str:
    return _cut(text.decode("utf-8", "replace").strip()) or "(nothing)"


def _cut(text: str) -> str:
    return text if len(text) <= _QUOTED_CHARACTERS else text[:_QUOTED_CHARACTERS] + "…"


def _transient(what: str, *, code: str) -> AgentError:
    return AgentError(f"openai: the service {what}", code=code, retryable=True)
