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
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from engine.agents.sample import SampleBackend, SampleOptions
from engine.errors import UsageError
from engine.ports import Backend
from engine.settings import Settings
from engine.values import AgentAnswer, AgentRequest, Json

if TYPE_CHECKING:
    from engine.agents.workbench import Permit, Workbench
    from engine.prices import Prices

Ask: TypeAlias = Callable[[AgentRequest, Callable[[dict[str, Json]], None]], Awaitable[AgentAnswer]]

DEFAULT_BACKEND = "local"

INSTALL_RUNTIME = 'pip install "pawl-engine[local]"'
INSTALL_MODEL = "pawl model pull"

PROGRAM_KINDS = ("acp", "cli")
"""Coding agents: over the Agent Client Protocol, or by their command lines."""

_FORMS = {
    "sample": "sample, sample:latency=50ms,fail=0.01,tokens=200,usd=0.001,seed=7",
    "local": "local",
    "openai": "openai:MODEL (and anthropic:, google:, …: pawl backends lists them)",
    "acp": "acp:PROGRAM or acp:PROGRAM:MODEL",
    "cli": "cli:PROGRAM or cli:PROGRAM:MODEL",
}

_SERVICE_NAME = re.compile(r"[a-z][a-z0-9-]{1,30}\Z", re.ASCII)

_SAMPLE_HINT = "Write for example: sample:latency=50ms,fail=0.01,tokens=200,usd=0.001,seed=7"

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)\Z", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """A backend as it was asked for.

    Attributes:
        name: `sample`, `local`, `acp`, `cli`, or a service: `openai`, `anthropic`…
        program: of `acp:PROGRAM` and `cli:PROGRAM`.
        model: what comes last: `openai:MODEL`, `acp:PROGRAM:MODEL`.
        sample: the options after `sample:`.
    """

    name: str
    program: str | None = None
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
    """Reads `sample:latency=50ms`, `local`, `openai:MODEL`, `acp:PROGRAM:MODEL`.

    Raises:
        UsageError: `unknown_backend`, `bad_backend`.
    """
    name, _, rest = spec.strip().partition(":")
    rest = rest.strip()
    if name == "sample":
        return BackendSpec("sample", sample=_sample_options(rest, spec))
    if name == "local":
        if rest:
            raise _bad(spec, f"`local` takes no options, found {rest!r}", "Write just: local")
        return BackendSpec("local")
    if name in PROGRAM_KINDS:
        program, _, model = rest.partition(":")
        if not program:
            raise _bad(spec, f"`{name}` needs a program", f"Write for example: {name}:claude")
        return BackendSpec(name, program=program, model=model.strip() or None)
    if is_service(name):
        if not rest:
            raise _bad(spec, f"`{name}` needs a model", f"Write for example: {name}:MODEL")
        return BackendSpec(name, model=rest)
    raise UsageError(
        f"unknown backend {spec!r}: expected one of: {'; '.join(_FORMS.values())}",
        code="unknown_backend",
        hint="See what works here with: pawl backends",
    )


@cache
def is_service(name: str) -> bool:
    """Whether a provider of models goes by this name: one of ours, else one that the library knows."""
    from engine.agents.models import SERVICES

    if name in SERVICES:
        return True
    if not _SERVICE_NAME.match(name) or find_spec("pydantic_ai") is None:
        return False
    from pydantic_ai.providers import infer_provider_class

    try:
        infer_provider_class(name)
    except ValueError:
        return False
    except ImportError:
        return True  # known; what it needs is not installed, which opening it says
    return True


def _bad(spec: str, problem: str, hint: str) -> UsageError:
    return UsageError(f"backend {spec!r}: {problem}", code="bad_backend", hint=hint)


def _sample_options(text: str, spec: str) -> SampleOptions:
    readers: dict[str, tuple[str, Callable[[str], float | int]]] = {
        "latency": ("latency_s", _duration_s),
        "fail": ("fail", lambda value: _in_range(float(value), 0, 1)),
        "tokens": ("tokens", lambda value: int(_in_range(int(value), 0, 10**9))),
        "usd": ("usd", lambda value: _in_range(float(value), 0, 10**6)),
        "seed": ("seed", int),
        "empty": ("empty", lambda value: _in_range(float(value), 0, 1)),
    }
    wanted = {
        "latency": "a time like 50ms, 2s or 1m",
        "fail": "a share from 0 to 1",
        "tokens": "a whole number from 0",
        "usd": "an amount from 0",
        "seed": "a whole number",
        "empty": "a share from 0 to 1",
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


def check_available(
    spec: BackendSpec, settings: Settings | None = None, environ: Mapping[str, str] = os.environ
) -> None:
    """Returns when `spec` can be opened here.

    Raises:
        UsageError: `backend_missing`, with the commands that install it.
    """
    problem = _missing(spec, settings or Settings(), environ)
    if problem is not None:
        why, install = problem
        shown = spec.name if spec.program is None else f"{spec.name}:{spec.program}"
        raise UsageError(
            f"backend `{shown}` cannot run here: {why}",
            code="backend_missing",
            hint=f"Run: {install}"
            + (" — or choose another with --backend; see: pawl backends" if spec.name == DEFAULT_BACKEND else ""),
            install=install,
        )


def _missing(spec: BackendSpec, settings: Settings, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Why a backend cannot run, and what to type; None when it can."""
    if spec.name == "sample":
        return None
    if spec.name == "local":
        return _local_missing()
    if spec.name in PROGRAM_KINDS:
        return _program_missing(spec, settings, environ)
    from engine.agents.models import SERVICES, Service, missing

    return missing(SERVICES.get(spec.name) or Service(spec.name, spec.name, ("PATH",)), environ)


def _local_missing() -> tuple[str, str] | None:
    from engine.agents import model_store

    steps = []
    if find_spec("xllamacpp") is None or find_spec("pydantic_ai") is None:
        steps.append(("its runtime is not installed", INSTALL_RUNTIME))
    if not model_store.is_present():
        steps.append(("its model is not here", INSTALL_MODEL))
    if not steps:
        return None
    return " and ".join(why for why, _ in steps), " && ".join(command for _, command in steps)


def _program_missing(spec: BackendSpec, settings: Settings, environ: Mapping[str, str]) -> tuple[str, str] | None:
    from engine.agents import acp, headless

    assert spec.program is not None
    find = acp.missing if spec.name == "acp" else headless.missing
    return find(spec.program, settings, environ)


@runtime_checkable
class NarrowsTools(Protocol):
    """A program that can be held to some tools and not to others."""

    def check_tools(self, tools: tuple[str, ...]) -> None:
        """Raises `UsageError` (`tools_unsupported`) for tools that it cannot be held to."""
        ...


@dataclass(slots=True)
class Backends:
    """The backends of one run, opened when they are first named and shared by its calls.

    Attributes:
        outputs: folder for what is cut from the results of tools.
        permit: asks the person at the terminal; None when there is none.
    """

    settings: Settings = field(default_factory=Settings)
    outputs: Path = Path(".pawl/outputs")
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    permit: Permit | None = None
    _open: dict[str, Backend] = field(default_factory=dict)
    _asks: dict[str, Ask] = field(default_factory=dict)
    _specs: dict[str, BackendSpec] = field(default_factory=dict)
    _bench: Workbench | None = None
    _known_prices: Prices | None = None

    def find(self, spec: str) -> Ask:
        """The way to ask the backend that `spec` names until its answer fits.

        Raises:
            UsageError: `unknown_backend`, `bad_backend`, `backend_missing`.
        """
        ask = self._asks.get(spec)
        if ask is None:
            from engine.agents.answer import ask_until_valid

            backend = self._open[spec] = self._opened(self._spec(spec))
            ask = self._asks[spec] = partial(ask_until_valid, backend, rounds=self.settings.agents.schema_rounds)
        return ask

    def let_ask(self, permit: Permit) -> None:
        """There is a person at the terminal, who may be asked what subagents may do. Also after a backend was found."""
        self.permit = permit
        if self._bench is not None:
            self._bench.permit = permit

    def is_backend(self, word: str) -> bool:
        return word in ("sample", "local", *PROGRAM_KINDS) or is_service(word)

    def line(self, spec: str) -> str:
        """Whose rate limits count: of one service and key, whatever the model; of one program."""
        found = self._spec(spec)
        return found.name if found.program is None else f"{found.name}:{found.program}"

    def acts(self, spec: str) -> bool:
        """Whether agents of this backend have tools to change anything with."""
        return self._spec(spec).name not in ("sample", "local")

    def draws(self, spec: str) -> bool:
        """Whether a step can be drawn several times (S71): a coding agent decides its steps by itself."""
        return self._spec(spec).name not in PROGRAM_KINDS

    def tools(self, spec: str, names: tuple[str, ...]) -> tuple[str, ...]:
        """The canonical names of tools that a call asks for. Raises `UsageError` (`unknown_tool`, `no_tools`)."""
        from engine.agents.policy import canonical_tool

        found = self._spec(spec)
        if found.name == "local" and names:
            raise UsageError(
                f"backend `local` has no tools; the call asks for {', '.join(names)}",
                code="no_tools",
                hint="Leave `tools` out, or use another backend: the demo model cannot call any.",
            )
        canonical = tuple(dict.fromkeys(canonical_tool(name) for name in names))
        if found.name in PROGRAM_KINDS:
            self.find(spec)
            backend = self._open[spec]
            assert isinstance(backend, NarrowsTools)
            backend.check_tools(canonical)
        return canonical

    async def close(self) -> None:
        """Closes all of them, and what they worked with."""
        self._asks.clear()
        while self._open:
            _, backend = self._open.popitem()
            await backend.close()
        bench, self._bench = self._bench, None
        if bench is not None:
            await bench.close()

    def _spec(self, spec: str) -> BackendSpec:
        found = self._specs.get(spec)
        if found is None:
            found = self._specs[spec] = parse_backend(spec)
        return found

    def _opened(self, spec: BackendSpec) -> Backend:
        if spec.name == "sample":
            return SampleBackend(spec.sample)
        check_available(spec, self.settings, self.environ)
        if spec.name == "local":
            from engine.agents.local import LocalBackend
            from engine.agents.model_store import where

            return LocalBackend(where(), settings=self.settings.agents)
        if spec.name in PROGRAM_KINDS:
            return self._program(spec)
        from engine.agents.provider import ProviderBackend

        return ProviderBackend(
            spec.name,
            spec.model or "",
            environ=self.environ,
            settings=self.settings.agents,
            prices=self.prices,
            bench=self.bench,
        )

    def _program(self, spec: BackendSpec) -> Backend:
        from engine.agents import acp, headless

        assert spec.program is not None
        bench = self.bench
        if spec.name == "acp":
            return acp.AcpBackend(
                spec.program,
                spec.model,
                settings=self.settings,
                environ=self.environ,
                clock=bench.clock,
                gate=bench.gate,
                start_s=self.settings.agents.start_s,
            )
        return headless.HeadlessBackend(
            spec.program, spec.model, settings=self.settings, environ=self.environ, clock=bench.clock
        )

    @property
    def prices(self) -> Prices:
        if self._known_prices is None:
            from engine.prices import Prices

            self._known_prices = Prices(self.settings.prices)
        return self._known_prices

    @property
    def bench(self) -> Workbench:
        if self._bench is None:
            from engine.agents.workbench import Workbench

            self._bench = Workbench(self.settings, self.outputs, self.environ, permit=self.permit)
        return self._bench


def list_backends(settings: Settings | None = None, environ: Mapping[str, str] = os.environ) -> list[BackendInfo]:
    """What there is, and whether it works here."""
    from engine.agents import acp, headless
    from engine.agents.models import SERVICES

    settings = settings or Settings()
    rows = [
        (BackendSpec("sample"), "no model: made-up answers in the right shape, for tests and simulate"),
        (BackendSpec("local"), "a small demo model inside Pawl: no key, no network, small answers, no tools"),
    ]
    rows += [(BackendSpec(name, model="MODEL"), service.what) for name, service in SERVICES.items()]
    for kind, module in (("acp", acp), ("cli", headless)):
        how = "over the Agent Client Protocol" if kind == "acp" else "by its command line"
        for program in dict.fromkeys((*module.PROGRAMS, *settings.programs)):
            rows.append((BackendSpec(kind, program=program), f"the coding agent {program}, {how}"))
    out = []
    for spec, what in rows:
        why, install = _missing(spec, settings, environ) or ("", "")
        name = spec.name if spec.program is None else f"{spec.name}:{spec.program}"
        form = _FORMS[name] if name in ("sample", "local") else f"{name}:MODEL" if spec.model else f"{name}[:MODEL]"
        out.append(BackendInfo(name, form, what, not why, why, install))
    return out
