"""Runs scripts the way the product does: the real engine, sandbox, journal on disk and sample backend."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.engine import Engine, RunHandle, ScriptSource
from engine.options import UNSET, ResumeOptions, RunOptions, RunResult
from engine.settings import Settings

META = "export const meta = { name: 'test', description: 'A test.' };\n"


@dataclass
class Project:
    """A folder with a journal. `run` wraps the body of a script with `meta`; `warnings` are those of the last run."""

    folder: Path
    settings: Settings = Settings()

    def __post_init__(self) -> None:
        (self.folder / ".pawl").mkdir(exist_ok=True)
        self.events: list[Any] = []

    def engine(self) -> Engine:
        return Engine.open(self.folder, journal=self.folder / ".pawl" / "pawl.db", settings=self.settings)

    async def run(
        self, body: str, *, args: Any = UNSET, run_id: str | None = None, reuse_from: str | None = None, **options: Any
    ) -> RunResult:
        async with self.engine() as engine:
            handle = await engine.start(
                script(body), args=args, options=run_options(options), run_id=run_id, reuse_from=reuse_from
            )
            return await self.end(handle)

    async def resume(
        self,
        run: str,
        body: str | None = None,
        *,
        args: Any = UNSET,
        how: ResumeOptions = ResumeOptions(),
        **options: Any,
    ) -> RunResult:
        async with self.engine() as engine:
            source = None if body is None else script(body)
            handle = await engine.resume(
                run, script=source, args=args, options=run_options(options, default=None), how=how
            )
            return await self.end(handle)

    async def replay(self, run: str) -> RunResult:
        async with self.engine() as engine:
            return await engine.replay(run)

    async def end(self, handle: RunHandle) -> RunResult:
        self.events = [event async for event in handle.events()]
        return await handle.result()

    async def value(self, body: str, **given: Any) -> Any:
        """The result of a script that must complete."""
        result = await self.run(body, **given)
        assert result.error is None, result.error
        return result.result

    @property
    def warnings(self) -> list[str]:
        return [e.text for e in self.events if e.kind == "log" and e.level == "warning"]

    @property
    def logs(self) -> list[str]:
        return [e.text for e in self.events if e.kind == "log" and e.level != "warning"]


def script(body: str, *, name: str = "test") -> ScriptSource:
    text = body if "export const meta" in body else META + body
    return ScriptSource(text=text, path=None, name=name)


def run_options(options: dict[str, Any], default: str | None = "sample") -> RunOptions:
    options.setdefault("backend", default)
    if isinstance(options.get("allow"), (list, tuple, set)):
        options["allow"] = frozenset(options["allow"])
    return RunOptions(**options)
