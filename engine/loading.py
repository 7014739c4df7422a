"""Child workflows: what `workflow(name)` means in one version of a run (S44, S45).

A load is resolved once a version and written down with it, so that two calls by one name get one text and a replay gets
the text that the run had. It is in no key and no history.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import orjson

from engine.errors import PawlError, ScriptError
from engine.positions import SourceText
from engine.values import LoadRow
from sandbox import CompileError
from sandbox.protocol import Load

MOST_DEEP = 8


class Resolved(NamedTuple):
    """A workflow's text, checked, and where it came from. `path` identifies it for cycles."""

    name: str
    path: str
    text: str


class Loaded(NamedTuple):
    """What the sandbox is answered: the number of a compiled code, or an error. `row` is new in this version."""

    code: int
    error: PawlError | None
    row: LoadRow | None


Resolve = Callable[[dict[str, str]], Awaitable[Resolved]]
"""Finds and checks a workflow by {"name"} or {"scriptPath"}; raises `PawlError` without host paths or file contents."""


class Compiler(Protocol):
    async def compile(self, code: int, source: str) -> object: ...


class _Frame(NamedTuple):
    """One workflow that runs: its file, the text of its args, and who called it."""

    path: str
    args: str | None
    group: int
    depth: int


class Loader:
    """Answers the loads of one version, in order."""

    def __init__(
        self, compiler: Compiler, resolve: Resolve, *, recorded: dict[str, LoadRow] | None = None, main_path: str = ""
    ) -> None:
        """
        Args:
            compiler: the sandbox; raises `CompileError`.
            recorded: for a replay: the loads of the version, by reference; nothing else is looked up then.
            main_path: what identifies the main script for cycles.
        """
        self._compiler = compiler
        self._resolve = resolve
        self._recorded = recorded
        self._rows: dict[str, LoadRow] = {}
        self._codes: dict[str, int] = {}
        self._frames: dict[int, _Frame] = {0: _Frame(main_path, None, 0, 0)}

    def sources(self) -> dict[int, SourceText]:
        """The texts that were compiled, by code number."""
        return {
            code: SourceText(self._rows[ref].script.decode(), Path(self._rows[ref].path).name)
            for ref, code in self._codes.items()
            if ref in self._rows
        }

    async def load(self, load: Load) -> Loaded:
        ref = orjson.dumps(load.ref, option=orjson.OPT_SORT_KEYS).decode()
        row = self._rows.get(ref)
        new = None
        if row is None:
            row = new = await self._row(ref, load.ref)
            self._rows[ref] = row
            if self._recorded is not None:
                new = None
        if row.error:
            return Loaded(0, PawlError.from_json(orjson.loads(row.error)), new)
        frame = _Frame(row.path, load.args, load.group, self._frames[load.group].depth + 1)
        if (refused := self._refused(frame, row.name)) is not None:
            return Loaded(0, refused, new)
        self._frames[load.id] = frame
        return Loaded(self._codes[ref], None, new)

    async def _row(self, ref: str, asked: dict[str, str]) -> LoadRow:
        """Finds, checks and compiles; what is wrong becomes the row's error, which the script may catch."""
        if self._recorded is not None:
            row = self._recorded.get(ref)
            if row is None:
                error = ScriptError("This workflow was not loaded in the recorded run.", code="unknown_workflow")
                return LoadRow(ref, "", "", b"", orjson.dumps(error.to_json()))
            if not row.error:
                self._codes[ref] = len(self._codes) + 2
                await self._compiler.compile(self._codes[ref], row.script.decode())
            return row
        try:
            found = await self._resolve(asked)
        except PawlError as error:
            return LoadRow(ref, next(iter(asked.values())), "", b"", orjson.dumps(error.to_json()))
        code = len(self._codes) + 2
        try:
            await self._compiler.compile(code, found.text)
        except CompileError as refused:
            message = f"Workflow {found.name!r} has a syntax error: {refused.message} (line {refused.line})"
            broken = ScriptError(message, code="syntax", line=refused.line)
            return LoadRow(ref, found.name, found.path, b"", orjson.dumps(broken.to_json()))
        self._codes[ref] = code
        return LoadRow(ref, found.name, found.path, found.text.encode(), b"")

    def _refused(self, frame: _Frame, name: str) -> PawlError | None:
        if frame.depth > MOST_DEEP:
            return ScriptError(
                f"Workflow {name!r} would be nested {frame.depth} deep; at most {MOST_DEEP} are.", code="too_deep"
            )
        group = frame.group
        while True:
            above = self._frames[group]
            if above.path == frame.path and above.args == frame.args and above.path:
                return ScriptError(
                    f"Workflow {name!r} calls itself again with the same args: that would never end.",
                    code="workflow_cycle",
                )
            if group == 0:
                return None
            group = above.group
