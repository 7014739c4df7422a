"""Where scripts are: a path, or a workflow's name looked up in the project, the user's folder and what ships.

A name is `meta.name`, then the file's stem (S44). The nearest folder wins, so that a project's `review` shadows the one
that ships. Only a file that holds the name somewhere in its text can have it in its meta, so hardly any is parsed.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar

from engine.assets import workflows_dir
from engine.errors import PawlError, UsageError
from engine.project import repository_root
from engine.script import MAX_SOURCE_BYTES, decode, too_long
from engine.values import Json

PROJECT_FOLDERS = (".pawl/workflows", "workflows", ".claude/workflows", ".mimocode/workflows")
FOLDER_DIALECTS = {".mimocode": "mimo"}
"""Scripts in `FOLDER/workflows` are taken as written for that runtime (S16)."""
SUFFIXES = (".js", ".mjs")
MAX_FILES = 1000
"""Files looked at in one folder; a folder of more is not one of workflows."""
MAX_PARSERS = 4

Result = TypeVar("Result")
Origin = Literal["project", "user", "shipped"]


@dataclass(frozen=True, slots=True)
class ScriptSource:
    """A script that was found. `name` is the file's name as people know it; `path` None for standard input."""

    text: str
    path: Path | None
    name: str


@dataclass(frozen=True, slots=True)
class Workflow:
    """One line of `pawl workflows`.

    Attributes:
        name: what it is run by: `meta.name`, or the file's stem when the meta cannot be read.
        shadowed_by: the file that is run instead by this name, or None.
        problem: why it cannot be run, or None.
    """

    name: str
    path: Path
    origin: Origin
    description: str = ""
    when_to_use: str | None = None
    shadowed_by: Path | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Folder:
    path: Path
    origin: Origin


@dataclass(frozen=True, slots=True)
class _Meta:
    """What listing and lookup need of a file."""

    name: str | None
    description: str = ""
    when_to_use: str | None = None
    problem: str | None = None


_known: dict[tuple[str, int, int], _Meta] = {}
"""(path, modification time in ns, size) → what its meta said; a process looks at few files, and often at the same."""


def find(ref: str, project: Path, *, start: Path | None = None, max_bytes: int = MAX_SOURCE_BYTES) -> ScriptSource:
    """The script that a person means by a path or a workflow's name.

    Args:
        project: the project's root.
        start: where the lookup begins; the current folder by default.

    Raises:
        UsageError: `unknown_workflow` (with near names), `unreadable`.
        ScriptError: `too_long`, `encoding`, `syntax`: the file is not a text that could be a script.
    """
    if _is_path(ref):
        return _read(Path(ref), shown=ref, max_bytes=max_bytes)
    return _blocking(_find_name(ref, project, start or Path.cwd(), max_bytes))


def folder_dialect(path: Path | str | None) -> str | None:
    """The dialect of the folder of workflows that a script lies in, at any depth; None for ours."""
    parents = Path(path).parent.parts if path else ()
    for outer, name in reversed(tuple(pairwise(parents))):
        if name == "workflows" and outer in FOLDER_DIALECTS:
            return FOLDER_DIALECTS[outer]
    return None


def list_workflows(project: Path, *, start: Path | None = None) -> list[Workflow]:
    """All workflows that can be run by name, in the order of their names; those that are shadowed, too."""
    return _blocking(_list(project, start or Path.cwd()))


async def resolve_child(ref: Json, project: Path, *, max_bytes: int = MAX_SOURCE_BYTES) -> ScriptSource:
    """The workflow that a script asks for with `workflow(ref)`: a name or `{scriptPath}` (S44).

    A path is relative to the project's root and stays, links followed, inside the project or a folder of workflows.
    The messages are for the script: no host paths, nothing of the file's text.

    Raises:
        UsageError: `unknown_workflow`, `unreadable`, `outside_workspace`, `bad_ref`.
        ScriptError: `too_long`, `encoding`, `syntax`.
    """
    if isinstance(ref, str) and ref:
        return await _find_name(ref, project, project, max_bytes, is_typed=False)
    path = ref.get("scriptPath") if isinstance(ref, dict) else None
    if isinstance(ref, dict) and isinstance(ref.get("inline"), str) and path is None:
        return _inline(ref["inline"], max_bytes)
    if isinstance(ref, dict) and isinstance(ref.get("name"), str) and path is None:
        return await _find_name(ref["name"], project, project, max_bytes, is_typed=False)
    if not isinstance(path, str) or not path or "\0" in path:
        raise UsageError(
            "workflow() takes the name of a workflow, or {scriptPath: 'path/to/file.js'}",
            code="bad_ref",
            hint="Write: await workflow('review', args)",
        )
    try:
        real = (project / path).resolve()
    except (OSError, RuntimeError):  # a circle of links
        raise _no_script(path) from None
    allowed = [project.resolve(), *(folder.path.resolve() for folder in _folders(project, project))]
    if not any(real.is_relative_to(folder) for folder in allowed):
        raise UsageError(
            f"the script {path!r} is outside the workspace",
            code="outside_workspace",
            hint="scriptPath stays inside the project, or in a folder of workflows.",
        )
    if not real.exists():  # asked only now: a script must not learn what there is outside
        raise _no_script(path)
    return _read(real, shown=path, max_bytes=max_bytes)


def _inline(text: str, max_bytes: int) -> ScriptSource:
    """A workflow whose text the script itself holds. It is named by its content, so that cycles are found."""
    name = f"inline-{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
    return ScriptSource(decode(text.encode("utf-8", "surrogatepass"), name, max_bytes=max_bytes), None, name)


def _no_script(path: str) -> UsageError:
    return UsageError(
        f"there is no script {path!r} in this project",
        code="unknown_workflow",
        hint="scriptPath is relative to the project's root.",
    )


async def _find_name(name: str, project: Path, start: Path, max_bytes: int, *, is_typed: bool = True) -> ScriptSource:
    """The workflow of this name; for a name that a person typed, else a file of the current folder."""
    for folder in _folders(project, start):
        files = _files(folder.path)
        path = await _named(name, files)
        if path is not None:
            return _read(path, shown=path.name, max_bytes=max_bytes)
    if is_typed and _is_regular(Path(name)):  # a script without a suffix; for a script's own words it could be anywhere
        return _read(Path(name), shown=name, max_bytes=max_bytes)
    raise await _unknown(name, project, start)


async def _named(name: str, files: Sequence[Path]) -> Path | None:
    """The file among `files` that has this name: by its meta, else by its stem."""
    by_stem = next((path for path in files if path.stem == name), None)
    needle = name.encode("utf-8", "surrogateescape")
    mentions = [path for path in files if needle in _bytes(path)]
    if by_stem is not None and mentions in ([], [by_stem]):
        return by_stem
    for path, meta in zip(mentions, await _metas(mentions), strict=True):
        if meta.name == name:
            return path
    return by_stem


async def _unknown(name: str, project: Path, start: Path) -> UsageError:
    known = sorted({workflow.name for workflow in await _list(project, start)})
    near = get_close_matches(name, known, n=3)
    if near:
        hint = f"Did you mean {' or '.join(near)}?"
    elif known:
        hint = "`pawl workflows` lists them; a file is named by its path, as ./name.js."
    else:
        hint = "Put workflows into .pawl/workflows, or name a file by its path, as ./name.js."
    return UsageError(f"there is no workflow {name!r}", code="unknown_workflow", hint=hint, workflow=name, near=near)


async def _list(project: Path, start: Path) -> list[Workflow]:
    places = [(folder, path) for folder in _folders(project, start) for path in _files(folder.path)]
    metas = await _metas([path for _, path in places])
    first: dict[str, Path] = {}
    out = []
    for (folder, path), meta in zip(places, metas, strict=True):
        name = meta.name or path.stem
        winner = first.setdefault(name, path)
        out.append(
            Workflow(
                name,
                path,
                folder.origin,
                meta.description,
                meta.when_to_use,
                shadowed_by=None if winner == path else winner,
                problem=meta.problem,
            )
        )
    return sorted(out, key=lambda workflow: (workflow.name, workflow.shadowed_by is not None))


def _folders(project: Path, start: Path) -> list[_Folder]:
    """Folders of workflows, the nearest first."""
    out = [_Folder(folder / name, "project") for folder in _upwards(project, start) for name in PROJECT_FOLDERS]
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    out.append(_Folder(Path(config) / "pawl" / "workflows", "user"))
    out.append(_Folder(workflows_dir(), "shipped"))
    seen: set[Path] = set()
    unique = []
    for folder in out:
        real = Path(os.path.realpath(folder.path))
        if real not in seen:
            seen.add(real)
            unique.append(folder)
    return unique


def _upwards(project: Path, start: Path) -> Iterator[Path]:
    """From `start` up to the repository's root (or the project's, where there is no repository)."""
    start, project = start.absolute(), project.absolute()
    if not start.is_relative_to(project):
        start = project
    top = repository_root(project)
    for folder in (start, *start.parents):
        yield folder
        if folder == top:
            return


def _files(folder: Path) -> list[Path]:
    """The scripts in a folder, by name. A folder that cannot be read has none."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(SUFFIXES))
    except OSError:
        return []
    return [folder / name for name in names[:MAX_FILES] if not name.startswith(".")]


async def _metas(paths: Sequence[Path]) -> list[_Meta]:
    """What the metas of these files say; parsed a few at a time, each by a process of its own."""
    slots = asyncio.Semaphore(MAX_PARSERS)

    async def one(path: Path) -> _Meta:
        async with slots:
            return await _meta(path)

    return await asyncio.gather(*(one(path) for path in paths))


async def _meta(path: Path) -> _Meta:
    from sandbox.parsing import ParserDied, ParserProcess

    try:
        status = path.stat()
        key = (str(path), status.st_mtime_ns, status.st_size)
        if key in _known:
            return _known[key]
        text = _read(path, shown=path.name).text
        parsed = await ParserProcess.spawn().parse(text.encode())
    except OSError as error:
        return _Meta(None, problem=error.strerror or str(error))
    except PawlError as error:
        return _Meta(None, problem=error.message)
    except ParserDied as died:
        return _Meta(None, problem=died.message)
    raw = parsed.meta or {}
    problem = next((found.message for found in parsed.findings if found.severity == "error"), None)
    found = _Meta(
        raw["name"] if isinstance(raw.get("name"), str) and raw["name"] else None,
        raw["description"] if isinstance(raw.get("description"), str) else "",
        raw["whenToUse"] if isinstance(raw.get("whenToUse"), str) else None,
        problem,
    )
    _known[key] = found
    return found


def _is_path(ref: str) -> bool:
    return "/" in ref or os.sep in ref or ref.endswith(SUFFIXES) or ref in (".", "..")


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _read(path: Path, *, shown: str, max_bytes: int = MAX_SOURCE_BYTES) -> ScriptSource:
    """The text of a file. `shown` is what messages call it.

    Raises:
        UsageError: `unknown_workflow`, `unreadable`. ScriptError: as of `decode`.
    """
    data = _content(path, shown, max_bytes)
    return ScriptSource(decode(data, shown, max_bytes=max_bytes), path.absolute(), path.name)


def _content(path: Path, shown: str, max_bytes: int = MAX_SOURCE_BYTES) -> bytes:
    """The file's bytes. Never blocks, never reads much: a FIFO, a device, a folder, a huge file are refused."""
    try:
        # O_NONBLOCK, because opening a FIFO waits for its writer; the check of the kind is on what was opened.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(fd, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise UsageError(f"{shown!r} is {_kind(mode)}, not a script", code="unreadable", hint="Name a file.")
            data = file.read(max_bytes + 1)
            if len(data) > max_bytes:
                raise too_long(shown, os.fstat(file.fileno()).st_size, max_bytes)
            return data
    except FileNotFoundError:
        raise UsageError(
            f"there is no file {shown!r}", code="unknown_workflow", hint="Check the path; `pawl workflows` lists names."
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a path"
        raise UsageError(
            f"cannot read {shown!r}: {reason}", code="unreadable", hint="Check the path and its rights."
        ) from None


def _bytes(path: Path) -> bytes:
    try:
        return _content(path, path.name)
    except UsageError:
        return b""


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    return next((name for test, name in kinds if test(mode)), "a device")


def _blocking(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs a coroutine to its end, whether or not this thread runs a loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
