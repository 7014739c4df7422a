"""Backends by name: what `--backend`, `agent({backend})` and the config may say, and what of it works here.

A backend is imported when it is opened, never before: `sample` must not pay for a model, nor `--help` for HTTP. Nothing
is chosen behind people's backs: the default is `local`; where that cannot run, the answer is how to install it, never
`sample`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import TypeAlias

from engine.agents.sample import SampleBackend, SampleOptions
from engine.errors import UsageError
from engine.ports import Backend
from engine.settings import AgentSettings
from engine.values import AgentAnswer, AgentRequest, Json

Ask: TypeAlias = Callable[[AgentRequest, Callable[[dict[str, Json]], None]], Awaitable[AgentAnswer]]

DEFAULT_BACKEND = "local"

INSTALL_RUNTIME = 'pip install "pawl-engine[local]"'
INSTALL_MODEL = "pawl model pull"

_NOT_YET = ("anthropic", "google", "mistral", "groq", "openrouter", "acp", "claude", "codex", "opencode")
"""Known to people and to other runtimes; not in this version."""

_FORMS = (
    "sample, sample:latency=50ms,fail=0.01,tokens=200,usd=0.001,seed=7",
    "local",
    "openai:MODEL",
)

_SAMPLE_HINT = "Write for example: sample:latency=50ms,fail=0.01,tokens=200,usd=0.001,seed=7"

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)\Z", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """A backend as it was asked for.

    Attributes:
        name: `sample`, `local`, `openai`.
        model: after `openai:`.
        sample: the options after `sample:`.
    """

    name: str
    model: str | None = None
    sample: SampleOptions = field(default_factory=SampleOptions)


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """A line of `pawl backends`."""

    name: str
    form: str
    what: str
    is_available: bool
    why_not: str = ""
    install: str = ""

    def to_json(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "form": self.form,
            "what": self.what,
            "available": self.is_available,
            "why_not": self.why_not,
            "install": self.install,
        }


def parse_backend(spec: str) -> BackendSpec:
    """Reads `sample:latency=50ms`, `local`, `openai:MODEL`.

    Raises:
        UsageError: `unknown_backend`, `bad_backend`.
    """
    name, _, rest = spec.strip().partition(":")
    if name == "sample":
        return BackendSpec("sample", sample=_sample_options(rest, spec))
    if name == "local":
        if rest:
            raise _bad(spec, f"`local` takes no options, found {rest!r}", "Write just: local")
        return BackendSpec("local")
    if name == "openai":
        if not rest.strip():
            raise _bad(spec, "`openai` needs a model", "Write for example: openai:gpt-5-mini")
        return BackendSpec("openai", model=rest.strip())
    if name in _NOT_YET:
        raise UsageError(
            f"backend {spec!r}: `{name}` is not in this version of Pawl; these are: {'; '.join(_FORMS)}",
            code="backend_not_yet",
            hint="A service that speaks the OpenAI protocol works with openai:MODEL and OPENAI_BASE_URL.",
        )
    raise UsageError(
        f"unknown backend {spec!r}: expected one of: {'; '.join(_FORMS)}",
        code="unknown_backend",
        hint="See what works here with: pawl backends",
    )


def _bad(spec: str, problem: str, hint: str) -> UsageError:
    return UsageError(f"backend {spec!r}: {problem}", code="bad_backend", hint=hint)


def _sample_options(text: str, spec: str) -> SampleOptions:
    readers: dict[str, tuple[str, Callable[[str], float | int]]] = {
        "latency": ("latency_s", _duration_s),
        "fail": ("fail", lambda value: _in_range(float(value), 0, 1)),
        "tokens": ("tokens", lambda value: int(_in_range(int(value), 0, 10**9))),
        "usd": ("usd", lambda value: _in_range(float(value), 0, 10**6)),
        "seed": ("seed", int),
    }
    wanted = {
        "latency": "a time like 50ms, 2s or 1m",
        "fail": "a share from 0 to 1",
        "tokens": "a whole number from 0",
        "usd": "an amount from 0",
        "seed": "a whole number",
    }
    options: dict[str, float | int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        if name not in readers:
            raise _bad(spec, f"unknown option {name!r}: expected {', '.join(readers)}", _SAMPLE_HINT)
        field_name, read = readers[name]
        if field_name in options:
            raise _bad(spec, f"option {name!r} is given twice", "Give it once.")
        try:
            options[field_name] = read(value)
        except ValueError:
            raise _bad(spec, f"{name}={value}: expected {wanted[name]}", _SAMPLE_HINT) from None
    return SampleOptions(**options)  # type: ignore[arg-type]


def _duration_s(text: str) -> float:
    found = _DURATION.match(text)
    if not found:
        raise ValueError(text)
    return float(found[1]) * _SECONDS[found[2]]


def _in_range(value: float, least: float, most: float) -> float:
    if not least <= value <= most:  # also refuses NaN
        raise ValueError(value)
    return value


def check_available(spec: BackendSpec, environ: Mapping[str, str] = os.environ) -> None:
    """Returns when `spec` can be opened here.

    Raises:
        UsageError: `backend_missing`, with the commands that install it.
    """
    problem = _missing(spec.name, environ)
    if problem is not None:
        why, install = problem
        raise UsageError(
            f"backend `{spec.name}` cannot run here: {why}",
            code="backend_missing",
            hint=f"Run: {install}"
            + (" — or choose another with --backend; see: pawl backends" if spec.name == DEFAULT_BACKEND else ""),
            install=install,
        )


def _missing(name: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Why a backend cannot run, and what to type; None when it can."""
    if name == "local":
        from engine.agents import model_store

        steps = []
        if find_spec("xllamacpp") is None:
            steps.append(("its runtime is not installed", INSTALL_RUNTIME))
        if not model_store.is_present():
            steps.append(("its model is not here", INSTALL_MODEL))
        if steps:
            return " and ".join(why for why, _ in steps), " && ".join(command for _, command in steps)
    if name == "openai" and not environ.get("OPENAI_API_KEY") and not environ.get("OPENAI_BASE_URL"):
        return "no OPENAI_API_KEY is set", "export OPENAI_API_KEY=…"
    return None


async def open_backend(spec: BackendSpec | str, environ: Mapping[str, str] = os.environ) -> Backend:
    """Opens a backend for the calls of a run; the caller closes it.

    Raises:
        UsageError: `unknown_backend`, `bad_backend`, `backend_not_yet`, `backend_missing`.
    """
    wanted = parse_backend(spec) if isinstance(spec, str) else spec
    return _open(wanted, environ)


def _open(spec: BackendSpec, environ: Mapping[str, str]) -> Backend:
    if spec.name == "sample":
        return SampleBackend(spec.sample)
    check_available(spec, environ)
    if spec.name == "local":
        from engine.agents.local import LocalBackend
        from engine.agents.model_store import where

        return LocalBackend(where())
    from engine.agents.chat import ChatBackend

    return ChatBackend.from_environment(spec.model or "", environ)


def list_backends(environ: Mapping[str, str] = os.environ) -> list[BackendInfo]:
    """What there is, and whether it works here."""
    whats = {
        "sample": "no model: made-up answers in the right shape, for tests and simulate",
        "local": "a small demo model inside Pawl: no key, no network, small answers",
        "openai": "any service that speaks the OpenAI chat protocol (OPENAI_API_KEY, OPENAI_BASE_URL)",
    }
    out = []
    for (name, what), form in zip(whats.items(), _FORMS, strict=True):
        why, install = _missing(name, environ) or ("", "")
        out.append(BackendInfo(name, form, what, not why, why, install))
    return out


@dataclass(slots=True)
class Backends:
    """The backends of one run, opened when they are first named and shared by its calls."""

    settings: AgentSettings = field(default_factory=AgentSettings)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    _open: dict[str, Backend] = field(default_factory=dict)
    _asks: dict[str, Ask] = field(default_factory=dict)

    def find(self, spec: str) -> Ask:
        """The way to ask the backend that `spec` names until its answer fits. Raises like `open_backend`."""
        ask = self._asks.get(spec)
        if ask is None:
            from engine.agents.answer import ask_until_valid

            backend = self._open[spec] = _open(parse_backend(spec), self.environ)
            ask = self._asks[spec] = partial(ask_until_valid, backend, rounds=self.settings.schema_rounds)
        return ask

    async def close(self) -> None:
        """Closes all of them."""
        self._asks.clear()
        while self._open:
            _, backend = self._open.popitem()
            await backend.close()
