"""From a script and what was asked for to what a run starts with: checked text, a sandbox, effective settings.

Nothing here is durable and nothing runs yet. The sandbox child and the parser child start at once and work side by
side; the engine's word decides whether a text is a script, the parser's word gives meta and places.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import orjson

from engine import children
from engine.agents.registry import Backends
from engine.assets import stdlib_version
from engine.checks import CheckReport
from engine.errors import ScriptError, UsageError
from engine.examination import EXAMINE
from engine.leftovers import OUTPUTS
from engine.limits import Caps
from engine.loading import Inspected
from engine.options import UNSET, RunOptions
from engine.positions import SourceText, own_frames, thrown_at
from engine.routing import routes
from engine.script import CompileFailure, Script, check_args, check_report, checked, decode, parser_failure
from engine.settings import PermissionSettings, SandboxSettings, Settings
from engine.values import Json, VersionInfo
from engine.workflows import ScriptSource, folder_dialect
from sandbox import LIBRARY_LINE, CompileError, Sandbox, SandboxDied
from sandbox.parsing import ParserDied

BackendPool = Backends

DEFAULT_BACKEND = "local"
MOST_CONCURRENT = 1024


@dataclass(slots=True)
class Checked:
    """A script that may run, compiled as code 1 of a sandbox that waits to start it."""

    script: Script
    path: Path | None
    sandbox: Sandbox
    library_version: str

    @property
    def dialect(self) -> str | None:
        """What the script says, else its folder (S16)."""
        return self.script.meta.dialect or folder_dialect(self.path)

    def engine_info(self) -> dict[str, Json]:
        info = self.sandbox.info
        return {"engine": info.engine, "python": info.python, "sandbox": info.level, "stdlib": self.library_version}

    def place(self, stack: str, sources: Mapping[int, SourceText]) -> dict[str, Json]:
        """Where in the script a thrown error came from (S06)."""
        frames = own_frames(stack, self.sandbox.locate, sources)
        return thrown_at(frames, sources)


@dataclass(frozen=True, slots=True)
class Effective:
    """The settings of one version: what was asked, `meta`, the config, in that order of force."""

    backend: str
    model: str | None
    effort: str | None
    concurrency: int
    tokens: int | None
    cost_usd: float | None
    agents: int | None
    minutes: float | None
    allow: frozenset[str]
    dialect: str | None = None

    def to_json(self) -> dict[str, Json]:
        return {
            "backend": self.backend,
            "model": self.model,
            "effort": self.effort,
            "concurrency": self.concurrency,
            "tokens": self.tokens,
            "cost_usd": self.cost_usd,
            "agents": self.agents,
            "minutes": self.minutes,
            "allow": sorted(self.allow),
            **({"dialect": self.dialect} if self.dialect else {}),
        }

    def caps(self) -> Caps:
        return Caps(tokens=self.tokens, cost_usd=self.cost_usd, agents=self.agents, minutes=self.minutes)

    def caps_json(self) -> dict[str, Json]:
        """What is shown before the run starts."""
        return {
            "concurrency": self.concurrency,
            "agents": self.agents,
            "tokens": self.tokens,
            "cost_usd": self.cost_usd,
            "minutes": self.minutes,
        }


async def prepare(source: ScriptSource, args: Json, settings: SandboxSettings) -> Checked:
    """Compiles and checks a script and its args. The caller closes the sandbox.

    Raises:
        ScriptError: whatever is wrong with the script, or the args do not fit `meta.args`.
    """
    source = _normal(source, settings)
    sandbox = children.sandbox(settings)
    try:
        script = await _check(source, sandbox, 1)
        if args is not UNSET or script.meta.args_schema is not None:
            check_args(script.meta, args)
        return Checked(script, source.path, sandbox, stdlib_version())
    except BaseException:
        await sandbox.close()
        raise


async def inspect(text: str, settings: SandboxSettings) -> Inspected:
    """What the parser says of a workflow that a script calls; it is compiled in the run's own sandbox."""
    parser = children.parser()
    source = SourceText(text, "the workflow")
    try:
        decode(text.encode("utf-8", "surrogatepass"), source.file, max_bytes=settings.source_bytes)
        meta = checked(source, await parser.parse(text.encode()), None).meta
    except ParserDied as death:
        return Inspected("", None, parser_failure(source.file, death.message))
    except ScriptError as error:
        return Inspected("", None, error)
    finally:
        parser.close()
    return Inspected(meta.name, meta.args_schema, None, meta.dialect)


async def report(source: str, file: str, settings: SandboxSettings, *, portable: bool) -> CheckReport:
    """Everything that is wrong with a script. Raises `ScriptError` only for what keeps it from being read at all."""
    text = SourceText(source, file)
    parser, sandbox = children.parser(), children.sandbox(settings)
    try:
        compiled, parsed = await asyncio.gather(
            _compile(sandbox, 1, source), parser.parse(source.encode(), mistakes=True, portable=portable)
        )
    except ParserDied as death:
        raise parser_failure(file, death.message) from None
    except SandboxDied as death:
        raise ScriptError(f"{file}: {death.message}", code="syntax", file=file) from None
    finally:
        parser.close()
        await sandbox.close()
    return check_report(text, parsed, compiled)


async def _check(source: ScriptSource, sandbox: Sandbox, code: int) -> Script:
    parser = children.parser()
    text = SourceText(source.text, str(source.path) if source.path else source.name)
    try:
        failure, parsed = await asyncio.gather(_compile(sandbox, code, source.text), parser.parse(source.text.encode()))
    except ParserDied as death:
        raise parser_failure(text.file, death.message) from None
    except SandboxDied as death:
        raise ScriptError(f"{text.file}: {death.message}", code="syntax", file=text.file) from None
    finally:
        parser.close()
    return checked(text, parsed, failure)


async def _compile(sandbox: Sandbox, code: int, text: str) -> CompileFailure | None:
    try:
        await sandbox.compile(code, text)
    except CompileError as error:
        return CompileFailure(error.message, error.line or None)
    return None


def _normal(source: ScriptSource, settings: SandboxSettings) -> ScriptSource:
    """The source with the text that engine, parser and editors count alike (see `decode`)."""
    shown = str(source.path) if source.path else source.name
    text = decode(source.text.encode("utf-8", "surrogatepass"), shown, max_bytes=settings.source_bytes)
    return source if text == source.text else ScriptSource(text=text, path=source.path, name=source.name)


def effective(options: RunOptions, prepared: Checked, settings: Settings) -> Effective:
    """A flag overrides both; else the lower of the setting and `meta.limits` (S05)."""
    meta = prepared.script.meta
    asked, own = meta.limits, settings.limits
    return Effective(
        backend=options.backend or settings.backend or DEFAULT_BACKEND,
        model=options.model or meta.model or settings.model,
        effort=options.effort or settings.effort,
        concurrency=_concurrency(options.concurrency, _lower(own.concurrency, asked.concurrency)),
        tokens=_first(options.budget_tokens, _lower(own.tokens, asked.tokens)),
        cost_usd=_first(options.max_cost_usd, _lower(own.cost_usd, asked.cost_usd)),
        agents=_first(options.max_agents, _lower(own.agents, asked.agents)),
        minutes=_first(options.max_minutes, _lower(own.minutes, asked.minutes)),
        allow=options.allow if options.allow is not None else frozenset(settings.allow),
        dialect=prepared.dialect,
    )


def resumed(options: RunOptions, prepared: Checked, before: Effective, settings: Settings) -> Effective:
    """What is not given is as recorded; what marks a run of `pawl new` stays."""
    return Effective(
        backend=options.backend or before.backend,
        model=options.model or before.model,
        effort=options.effort or before.effort,
        concurrency=_concurrency(options.concurrency, before.concurrency),
        tokens=_first(options.budget_tokens, before.tokens),
        cost_usd=_first(options.max_cost_usd, before.cost_usd),
        agents=_first(options.max_agents, before.agents),
        minutes=_first(options.max_minutes, before.minutes),
        allow=before.allow if options.allow is None else options.allow | (before.allow & {EXAMINE}),
        dialect=prepared.dialect or before.dialect,
    )


def recorded(version: VersionInfo) -> Effective:
    """The settings that a version ran with."""
    data = version.settings
    return Effective(
        backend=data["backend"],
        model=data["model"],
        effort=data["effort"],
        concurrency=data["concurrency"],
        tokens=data["tokens"],
        cost_usd=data["cost_usd"],
        agents=data["agents"],
        minutes=data["minutes"],
        allow=frozenset(version.permissions),
        dialect=data.get("dialect"),
    )


def recorded_source(version: VersionInfo) -> ScriptSource:
    path = Path(version.script_path) if version.script_path else None
    return ScriptSource(
        text=version.script.decode(), path=path, name=path.name if path else str(version.meta.get("name"))
    )


def engine_change(before: dict[str, Json], now: dict[str, Json]) -> str | None:
    """What is not as it was when a version ran: the JavaScript engine, our library. In no key; told to people."""
    parts = [
        f"{what} was {before[name]} and is {now[name]}"
        for name, what in (("engine", "the JavaScript engine"), ("stdlib", "the standard library"))
        if name in before and before[name] != now[name]
    ]
    if not parts:
        return None
    return f"Since the version that this goes on from, {', '.join(parts)}; what a script prints may differ."


def recorded_args(version: VersionInfo) -> Json:
    return UNSET if version.args is None else orjson.loads(version.args)


def start_text(run_id: str, started_at: int, args: bytes | None, chosen: Effective, settings: Settings) -> bytes:
    """What `stdlib_js/90_main.js` starts from."""
    config: dict[str, Json] = {
        "seed": run_id,
        "startedAt": started_at,
        "caps": {
            "tokens": chosen.tokens,
            "costUsd": chosen.cost_usd,
            "agents": chosen.agents,
            "minutes": chosen.minutes,
        },
        "dialect": chosen.dialect,
        "entries": settings.limits.entries,
        "resultBytes": settings.sandbox.result_bytes,
        "libraryLine": LIBRARY_LINE,
    }
    if args is not None:
        config["args"] = args.decode()
    return orjson.dumps(config)


def open_backends(chosen: Effective, settings: Settings, project: Path) -> Backends:
    """The run's backends; the default one is looked for now, so that a run without it is refused before it starts, and
    so is one with a cap on money that its models' unknown prices would never reach."""
    if settings.permissions != PermissionSettings():
        from engine.agents.policy import check_rules

        check_rules(settings.permissions)
    pool = Backends(settings, outputs=project / OUTPUTS)
    pool.find(chosen.backend)
    if chosen.cost_usd is not None:
        ways = routes(
            backend=chosen.backend,
            model=chosen.model,
            is_own_backend=False,
            models=settings.models,
            is_backend=pool.is_backend,
        )
        for way in ways.ways:
            pool.prices.require(way.backend, way.model)
    return pool


def check_schema(schema: dict[str, Json]) -> None:
    from engine.schemas import check_schema as check

    check(schema)


def validate(value: Json, schema: Json) -> str | None:
    """What is wrong with an answer, or None."""
    from engine.schemas import validator_for

    return validator_for(schema).problem(value)


def sample_value(schema: Json) -> Json:
    """A value that fits, for `pawl simulate`."""
    from random import Random

    from engine.agents.shaping import example
    from engine.schemas import validator_for

    return example(validator_for(schema), Random(0))


Number = TypeVar("Number", int, float)


def _lower(setting: Number | None, asked: Number | None) -> Number | None:
    if setting is None or asked is None:
        return asked if setting is None else setting
    return min(setting, asked)


def _first(given: Number | None, otherwise: Number | None) -> Number | None:
    return otherwise if given is None else given


def _concurrency(given: int | None, otherwise: int | None) -> int:
    chosen = given if given is not None else otherwise or 1
    if not 1 <= chosen <= MOST_CONCURRENT:
        raise UsageError(
            f"--concurrency {chosen} does not fit: expected 1 to {MOST_CONCURRENT:,}.",
            code="bad_flag",
            hint="The default is 16.",
        )
    return chosen
