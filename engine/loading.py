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
from engine.identity import canonical
from engine.positions import SourceText
from engine.script import without_text
from engine.values import Json, LoadRow
from engine.workflows import folder_dialect
from sandbox import CompileError
from sandbox.protocol import Load

MOST_DEEP = 8


class Inspected(NamedTuple):
    """What the parser says of a workflow's text: the schema of its args, or why it may not run."""

    name: str
    args_schema: dict[str, Json] | None
    problem: PawlError | None
    dialect: str | None = None


class Resolved(NamedTuple):
    """A workflow's text. `path` identifies it for cycles; `shown` is what the script called it."""

    shown: str
    path: str
    text: str


class Loaded(NamedTuple):
    """What the sandbox is answered: the number of a compiled code and its dialect, or an error. `row` is new in this
    version."""

    code: int
    error: PawlError | None
    row: LoadRow | None
    dialect: str | None = None


Resolve = Callable[[dict[str, str]], Awaitable[Resolved]]
"""Finds a workflow by {"name"}, {"scriptPath"} or {"inline"} (its text); raises `PawlError` without host paths or file
contents."""
Inspect = Callable[[str], Awaitable[Inspected]]
"""Parses a workflow's text, outside the sandbox and outside this process."""
CheckArgs = Callable[[dict[str, Json], Json], str | None]
"""What is wrong with args under a schema, or None."""


class Compiler(Protocol):
    async def compile(self, code: int, source: str) -> object: ...


class _Frame(NamedTuple):
    """One workflow that runs: its file, the text of its args, and who called it."""

    path: str
    args: bytes | None
    group: int
    depth: int


class Loader:
    """Answers the loads of one version, in order."""

    def __init__(
        self,
        compiler: Compiler,
        *,
        resolve: Resolve,
        inspect: Inspect,
        check_args: CheckArgs,
        recorded: dict[str, LoadRow] | None = None,
        main_path: str = "",
        main_args: bytes | None = None,
    ) -> None:
        """
        Args:
            compiler: the sandbox; raises `CompileError`.
            recorded: for a replay: the loads of the version, by reference; nothing else is looked up then.
            main_path, main_args: what identifies the main script for cycles; args as canonical JSON.
        """
        self._compiler = compiler
        self._resolve = resolve
        self._inspect = inspect
        self._check_args = check_args
        self._recorded = recorded
        self._rows: dict[str, LoadRow] = {}
        self._codes: dict[str, int] = {}
        self._schemas: dict[str, dict[str, Json] | None] = {}
        self._dialects: dict[str, str | None] = {}
        self._frames: dict[int, _Frame] = {0: _Frame(main_path, main_args, 0, 0)}

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
        args = None if load.args is None else canonical(orjson.loads(load.args))
        frame = _Frame(row.path, args, load.group, self._frames[load.group].depth + 1)
        refused = self._refused(frame, row.name) or self._misfit(self._schemas[ref], args, row.name)
        if refused is not None:
            return Loaded(0, refused, new)
        self._frames[load.id] = frame
        return Loaded(self._codes[ref], None, new, self._dialects[ref] or folder_dialect(row.path))

    async def _row(self, ref: str, asked: dict[str, str]) -> LoadRow:
        """Finds, compiles and checks; what is wrong becomes the row's error, which the script may catch."""
        if self._recorded is not None:
            row = self._recorded.get(ref)
            if row is None:
                error = ScriptError("This workflow was not loaded in the recorded run.", code="unknown_workflow")
                return _failed(ref, "", error)
            if not row.error:
                await self._admit(ref, row.script.decode(), row.name)
            return row
        try:
            found = await self._resolve(asked)
            name = await self._admit(ref, found.text, found.shown)
        except PawlError as error:
            return _failed(ref, next(iter(asked.values())) if "inline" not in asked else "inline", error)
        return LoadRow(ref, name, found.path, found.text.encode(), b"")

    async def _admit(self, ref: str, text: str, shown: str) -> str:
        """Compiles the text into the run's sandbox and reads its meta; returns its name.

        Raises:
            ScriptError: it is no workflow; says where, and nothing that the file says (S44).
        """
        code = len(self._codes) + 2
        try:
            await self._compiler.compile(code, text)
        except CompileError as refused:
            error = ScriptError(refused.message, code="syntax", line=refused.line, column=1)
            raise without_text(error, shown) from None
        inspected = await self._inspect(text)
        if inspected.problem is not None:
            problem = inspected.problem
            raise without_text(problem, shown) if isinstance(problem, ScriptError) else problem
        self._codes[ref] = code
        self._schemas[ref] = inspected.args_schema
        self._dialects[ref] = inspected.dialect
        return inspected.name

    def _misfit(self, schema: dict[str, Json] | None, args: bytes | None, name: str) -> PawlError | None:
        """`meta.args` of a child holds for what its caller passes (S05)."""
        if schema is None:
            return None
        problem = self._check_args(schema, {} if args is None else orjson.loads(args))
        return None if problem is None else ScriptError(f"workflow({name!r}): args do not fit: {problem}", code="args")

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


def _failed(ref: str, name: str, error: PawlError) -> LoadRow:
    return LoadRow(ref, name, "", b"", orjson.dumps(error.to_json()))
