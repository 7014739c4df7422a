"""Model references: which service `openai:gpt-5-mini` names, what it needs here, and how the library calls it.

The one file that makes models of pydantic-ai. Reading a reference imports nothing; the library is imported when a model
is opened, in a thread, because that takes a second. Why this library, and what of it is used: docs/decisions/0012.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from engine.errors import AgentError, UsageError
from engine.values import Usage

if TYPE_CHECKING:
    from pydantic_ai.models import Model
    from pydantic_ai.providers import Provider
    from pydantic_ai.usage import RequestUsage

INSTALL = 'pip install "pawl-engine[providers]"'

CONNECT_TIMEOUT_S = 20.0
ANSWER_TIMEOUT_S = 600.0
"""Silence that ends one request before its first token: slow models think for minutes. Later silence is the stall
watch's business."""


@dataclass(frozen=True, slots=True)
class Service:
    """A provider of models.

    Attributes:
        keys: variables of which one must be set, a base URL's included: a server of one's own needs no key.
        package: what has to be importable beside pydantic-ai.
        kind: the library's name for it, where ours is another.
    """

    name: str
    what: str
    keys: tuple[str, ...]
    package: str = "openai"
    kind: str = ""


SERVICES = {
    service.name: service
    for service in (
        Service(
            "openai",
            "OpenAI, and any service that speaks its chat protocol (OPENAI_BASE_URL)",
            ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
            kind="openai-chat",
        ),
        Service("openai-responses", "OpenAI's responses protocol", ("OPENAI_API_KEY", "OPENAI_BASE_URL")),
        Service("anthropic", "Anthropic", ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"), package="anthropic"),
        Service("google", "Google Gemini", ("GOOGLE_API_KEY", "GEMINI_API_KEY"), package="google.genai"),
        Service("openrouter", "OpenRouter", ("OPENROUTER_API_KEY",)),
        Service("deepseek", "DeepSeek", ("DEEPSEEK_API_KEY",)),
        Service("ollama", "models on this machine, served by Ollama", ("OLLAMA_BASE_URL",)),
        Service("vllm", "models on a server of your own, served by vLLM", ("VLLM_BASE_URL",)),
        Service("groq", "Groq", ("GROQ_API_KEY",), package="groq"),
        Service("mistral", "Mistral", ("MISTRAL_API_KEY",), package="mistralai"),
        Service("xai", "xAI", ("XAI_API_KEY",), package="xai_sdk"),
        Service("cohere", "Cohere", ("CO_API_KEY",), package="cohere"),
        Service("together", "Together", ("TOGETHER_API_KEY",)),
        Service("fireworks", "Fireworks", ("FIREWORKS_API_KEY",)),
        Service("moonshotai", "Moonshot", ("MOONSHOTAI_API_KEY",)),
        Service("alibaba", "Alibaba (Qwen)", ("ALIBABA_API_KEY", "DASHSCOPE_API_KEY")),
        Service("zai", "Z.AI (GLM)", ("ZAI_API_KEY",)),
        Service("azure", "Azure OpenAI", ("AZURE_OPENAI_API_KEY",)),
        Service("bedrock", "Amazon Bedrock", ("AWS_PROFILE", "AWS_ACCESS_KEY_ID"), package="boto3"),
    )
}
"""The services that `pawl backends` lists. Others that the library knows work by its name for them."""


def missing(service: Service, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Why a service cannot be used here, and what to type; None when it can."""
    if not _is_there("pydantic_ai") or not _is_there(service.package):
        more = "" if service.package in ("openai", "anthropic") else f" {_distribution(service.package)}"
        return "its client is not installed", INSTALL + more
    if not any(environ.get(key, "").strip() for key in service.keys):
        return f"no {' or '.join(service.keys)} is set", f"export {service.keys[0]}=…"
    return None


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # its parent is not there
        return False


def _distribution(package: str) -> str:
    return {"google.genai": "google-genai", "xai_sdk": "xai-sdk"}.get(package, package)


@dataclass(slots=True)
class OpenModels:
    """The models of one service that a run has opened: one client, one pool of connections."""

    service: str
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    _models: dict[str, Model[Any]] = field(default_factory=dict)
    _provider: Provider[Any] | None = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def get(self, name: str) -> Model[Any]:
        """The library's model. Raises `AgentError` (`provider_refused`) for one that it cannot make."""
        model = self._models.get(name)
        if model is None:
            async with self._opening:
                model = self._models.get(name)
                if model is None:
                    await load_library()
                    model = self._models[name] = self._make(name)
        return model

    def _make(self, name: str) -> Model[Any]:
        from pydantic_ai.exceptions import UserError
        from pydantic_ai.models import infer_model

        known = SERVICES.get(self.service)
        kind = (known.kind if known is not None else "") or self.service
        try:
            if self._provider is None:
                self._provider = _provider(self.service, kind, self.environ)
            provider = self._provider
            return infer_model(f"{kind}:{name}", provider_factory=lambda _: provider)
        except (UserError, ImportError, ValueError) as error:
            raise AgentError(
                f"{self.service}: the model {name!r} cannot be used: {error}",
                code="provider_refused",
                hint="Check the name of the model and the service's variables; see: pawl backends",
            ) from error

    async def close(self) -> None:
        provider, self._provider = self._provider, None
        self._models.clear()
        if provider is not None:
            # A provider that made its own client closes it when it is left; one that was never used has none open.
            client = getattr(provider, "_own_http_client", None)
            if client is not None:
                await client.aclose()


_loading = threading.Lock()


async def load_library() -> None:
    """Imports the library beside the event loop: it takes a second, and heartbeats go on."""
    import sys

    if "pydantic_ai.direct" not in sys.modules:
        await asyncio.to_thread(_load)


def _load() -> None:
    with _loading:
        import pydantic_ai.direct  # noqa: F401


def _provider(service: str, kind: str, environ: Mapping[str, str]) -> Provider[Any]:
    """The library's provider, with as many connections as the dispatcher wants, and its base URL and key from
    `environ` where the library would ask the process."""
    from pydantic_ai.providers import infer_provider, infer_provider_class

    if service not in ("openai", "openai-responses", "anthropic"):
        return infer_provider(kind)
    prefix = "ANTHROPIC" if service == "anthropic" else "OPENAI"
    url = environ.get(f"{prefix}_BASE_URL", "").strip() or None
    key = environ.get(f"{prefix}_API_KEY", "").strip()
    check_address(f"{prefix}_BASE_URL", url)
    if not (key.isascii() and key.isprintable()):
        raise AgentError(
            f"{prefix}_API_KEY holds characters that no key has", code="provider_refused", hint="Copy the key again."
        )
    provider = infer_provider_class(kind)(  # type: ignore[call-arg]
        base_url=url,
        api_key=key or "none",  # a server of one's own takes any
        http_client=client(),
    )
    # Ours to close: the library closes only what it made itself.
    provider._own_http_client = provider.client._client
    return provider


def client() -> Any:
    """An HTTP client for one service; whoever makes it closes it."""
    import httpx2

    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64),  # the dispatcher says how many
        follow_redirects=True,
    )


def check_address(variable: str, url: str | None) -> None:
    """Raises `UsageError` (`bad_backend`) for a base URL that is none."""
    if url is not None and not _is_address(url):
        raise UsageError(
            f"{variable} is {url!r}: expected http://… or https://…",
            code="bad_backend",
            hint="Correct it, or unset it for the service itself.",
        )


def _is_address(url: str) -> bool:
    import httpx2

    try:
        return url.startswith(("http://", "https://")) and bool(httpx2.URL(url).host)
    except httpx2.InvalidURL:
        return False


def usage_of(told: RequestUsage, cost_usd: float | None) -> Usage:
    return Usage(told.input_tokens, told.output_tokens, cost_usd or 0.0)
