"""The kinds of subagent that `agentType` may name: files of the project and of the user, and three that need none.

The nearest file of a name wins, also one that cannot be used: a call that names it fails with the reason, and never
gets another definition than the one that was meant. A run parses the files that its calls name and no others; a file
is read once in the life of a version, so that all its calls mean the same text.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from engine.agents.definition_file import MAX_BYTES, NotUsable, read
from engine.errors import UsageError
from engine.project import repository_root
from engine.values import AgentDefinition

Origin: TypeAlias = Literal["project", "user", "built in"]

PROJECT_FOLDERS = (".pawl/agents", ".claude/agents", ".opencode/agent", ".opencode/agents")
NAMED_BY_STEM = (".claude",)
"""Programs that name a definition in a nested folder by its file alone; for others the folder is part of the name."""

_OWN_NAME = re.compile(rb"^name:[ \t]*[\"']?([\w-][^\"'\r\n]{0,99})", re.MULTILINE)

MAX_FILES = 1000
MAX_DEPTH = 8

BUILT_IN = (
    AgentDefinition(
        name="general",
        description="Any task; works until it is done.",
        prompt="Do the task that you are given, all of it and nothing else. Your last message is the result: "
        "give what was asked for, without a preamble.",
    ),
    AgentDefinition(
        name="explore",
        description="Finds things out by reading and searching; changes nothing, runs nothing.",
        prompt="Find out what you are asked, by reading and searching files: your tools do that and nothing else. "
        "You change nothing and run nothing. Name the files and lines that your answer rests on, and say what you "
        "did not look at.",
        tools=("read_file", "list_files", "grep"),
    ),
    AgentDefinition(
        name="verify",
        description="Tries to refute a claim; reads and runs, edits nothing; says whether it holds.",
        prompt="You are given a claim. Try to refute it: look for the case in which it is wrong. You read, search and "
        "run commands; you edit nothing, not by a command either. Say that the claim holds only when you have seen "
        "that it does; when in doubt, say that it does not.",
        tools=("read_file", "list_files", "grep", "run_command"),
    ),
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of `pawl agents`.

    Attributes:
        definition: None when the file cannot be used; `problems` says why.
        path: None for one that is built in.
        shadowed_by: the file that is meant by this name instead, or None.
        problems: why it cannot be used, or what it asks for and does not get.
    """

    name: str
    origin: Origin
    definition: AgentDefinition | None
    path: Path | None = None
    shadowed_by: Path | None = None
    problems: tuple[str, ...] = ()


class _Folder(NamedTuple):
    """Where definitions may be. `inside` is what links must not lead out of; None for the user's own folders."""

    path: Path
    origin: Origin
    inside: Path | None


class _File(NamedTuple):
    """A file that was read, or why it was not. `name` is what it is called when it does not say so itself."""

    path: Path
    name: str
    origin: Origin
    data: bytes
    problem: str | None


class Definitions(Mapping[str, AgentDefinition]):
    """All definitions by name. Looks for files when it is first asked.

    `in` is true of a name whose file cannot be used, `get` has None for it, and `[]` raises `UsageError`
    (`bad_agent_definition`) with the file and what is wrong with it.
    """

    def __init__(self, project: Path | None, environ: Mapping[str, str], canonical: Callable[[str], str]) -> None:
        self._project = project
        self._environ = environ
        self._canonical = canonical
        self._files: list[_File] | None = None
        self._read: dict[Path, Listed] = {}

    def __getitem__(self, name: str) -> AgentDefinition:
        found = self._find(name)
        if found is None:
            raise KeyError(name)
        if found.definition is None:
            assert found.path is not None
            raise UsageError(
                f"agentType {name!r} cannot be used: {self.shown(found.path)}: {found.problems[0]}",
                code="bad_agent_definition",
                hint="Mend the file; `pawl agents` lists what is wrong with each.",
            )
        return found.definition

    def get(self, name: str, default: Any = None) -> Any:
        found = self._find(name)
        return default if found is None or found.definition is None else found.definition

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(one.name for one in self.listed()))

    def __len__(self) -> int:
        return len({one.name for one in self.listed()})

    def listed(self) -> list[Listed]:
        """All of them, the nearest first, those that are shadowed too."""
        winners: dict[str, Path] = {}
        out = []
        for file in self._all_files():
            one = self._parsed(file)
            winner = winners.setdefault(one.name, file.path)
            shadowed_by = None if winner == file.path else winner
            out.append(Listed(one.name, one.origin, one.definition, file.path, shadowed_by, one.problems))
        return out + [
            Listed(one.name, "built in", one, shadowed_by=winners.get(one.name)) for one in BUILT_IN
        ]  # fmt: skip

    def shown(self, path: Path) -> str:
        """A path as scripts and models may see it: not where on this machine."""
        home = self._environ.get("HOME")
        if self._project is not None and path.is_relative_to(self._project):
            return str(path.relative_to(self._project))
        if home and path.is_relative_to(home):
            return f"~/{path.relative_to(home)}"
        return "/".join(path.parts[-3:])

    def _find(self, name: str) -> Listed | None:
        needle = name.encode("utf-8", "surrogatepass")
        for file in self._all_files():
            # Only a file that holds the name somewhere can give it to itself.
            if (file.name == name or needle in file.data) and (found := self._parsed(file)).name == name:
                return found
        built_in = next((one for one in BUILT_IN if one.name == name), None)
        return None if built_in is None else Listed(name, "built in", built_in)

    def _parsed(self, file: _File) -> Listed:
        found = self._read.get(file.path)
        if found is None:
            found = self._read[file.path] = self._parse(file)
        return found

    def _parse(self, file: _File) -> Listed:
        if file.problem is not None:
            return Listed(file.name, file.origin, None, file.path, problems=(file.problem,))
        try:
            one = read(file.data, name=file.name, source=self.shown(file.path), canonical=self._canonical)
        except NotUsable as error:
            # What it calls itself, if that can be seen: that name must not fall to a file farther away.
            own = _OWN_NAME.search(file.data)
            name = own[1].decode("utf-8", "replace").strip() if own is not None else file.name
            return Listed(name, file.origin, None, file.path, problems=(str(error),))
        return Listed(one.name, file.origin, one, file.path, problems=one.problems)

    def _all_files(self) -> list[_File]:
        if self._files is None:
            seen: set[str] = set()
            self._files = []
            for folder in self._folders():
                real = os.path.realpath(folder.path)
                if real not in seen:
                    seen.add(real)
                    self._files += _files(folder)
        return self._files

    def _folders(self) -> Iterator[_Folder]:
        if self._project is None:
            return
        project = self._project.absolute()
        top = repository_root(project)
        for above in (project, *project.parents):
            for name in PROJECT_FOLDERS:
                yield _Folder(above / name, "project", top)
            if above == top:
                break
        home = self._environ.get("HOME")
        config = self._environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else None)
        if config:
            yield _Folder(Path(config, "pawl", "agents"), "user", None)
        if home:
            yield _Folder(Path(home, ".claude", "agents"), "user", None)
        if config:
            yield _Folder(Path(config, "opencode", "agent"), "user", None)
            yield _Folder(Path(config, "opencode", "agents"), "user", None)


def known(project: Path | None = None, environ: Mapping[str, str] | None = None) -> Definitions:
    """All definitions by name; without a project, those that are built in."""
    return Definitions(project, os.environ if environ is None else environ, _canonical)


def listed(project: Path | None = None, environ: Mapping[str, str] | None = None) -> list[Listed]:
    """Every definition there is, the nearest first; those that are shadowed or cannot be used, too."""
    return known(project, environ).listed()


def _canonical(name: str) -> str:
    from engine.agents.policy import canonical_tool

    return canonical_tool(name)


def _files(folder: _Folder) -> Iterator[_File]:
    """The definitions in a folder and the folders in it, by path. A folder that cannot be read has none."""
    is_by_stem = folder.path.parent.name in NAMED_BY_STEM
    paths = _paths(folder.path, folder.inside, MAX_DEPTH)
    for path in sorted(paths)[:MAX_FILES]:
        name = path.stem if is_by_stem else path.relative_to(folder.path).with_suffix("").as_posix()
        data, problem = _content(path, folder.inside)
        yield _File(path, name, folder.origin, data, problem)


def _paths(folder: Path, inside: Path | None, depth: int) -> Iterator[Path]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries[:MAX_FILES]:
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if os.path.isdir(path):  # entry.is_dir() raises for a circle of links
            if depth and not _leads_out(path, inside):
                yield from _paths(path, inside, depth - 1)
        elif entry.name.endswith(".md") and entry.name.lower() != "readme.md":
            yield path


def _leads_out(path: Path, inside: Path | None) -> bool:
    return inside is not None and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(inside))


def _content(path: Path, inside: Path | None) -> tuple[bytes, str | None]:
    """A file's bytes, or why there are none. Never blocks, never reads much."""
    if _leads_out(path, inside):
        return b"", "it is a link out of the project"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)  # no waiting for a pipe's writer
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return b"", "it is no file"
            return file.read(MAX_BYTES + 1), None
    except OSError as error:
        return b"", f"it cannot be read: {error.strerror or error}"
