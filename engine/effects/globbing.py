"""Finds files by pattern inside a workspace: `*`, `?`, `[a-z]`, `[!a]`, `{a,b}`, and `**` for any depth of folders.

As people who write shells and JavaScript expect: a leading dot must be written (`*` does not match `.env`), `**` does
not follow links to folders, a pattern that ends in `/` finds folders, any other finds files. Results are relative to
the root, with `/`, sorted by code point, each once. What cannot be read or named in UTF-8 is left out.

A pattern comes from a script and is hostile (I5): names are matched without a regular expression, in time linear in
name times pattern, and each folder is visited once for each part of the pattern.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from engine.errors import UsageError
from engine.workspace import Workspace, is_hidden

MOST_MATCHES = 100_000
"""More is a pattern that went wrong, and a value that no prompt can hold."""

_MOST_ALTERNATIVES = 256


def find(workspace: Workspace, pattern: str, is_withdrawn: Callable[[], bool] = lambda: False) -> list[str]:
    """The root-relative paths that match `pattern`.

    Raises:
        UsageError: `bad_pattern`, `outside_workspace`, `too_many_files`.
    """
    found: set[str] = set()
    for alternative in _alternatives(pattern):
        parts = [part for part in alternative.split("/") if part not in ("", ".")]
        if alternative.startswith("/") or ".." in parts:
            raise UsageError(
                f"glob({pattern!r}) leads out of the workspace: patterns are relative to the project root",
                code="outside_workspace",
            )
        if parts:
            search = _Search(workspace, tuple(map(_part, parts)), alternative.endswith("/"))
            search.run(found, is_withdrawn)
        if len(found) > MOST_MATCHES:
            raise UsageError(
                f"glob({pattern!r}) matches more than {MOST_MATCHES:,} files",
                code="too_many_files",
                hint="Use a narrower pattern.",
            )
    return sorted(found)


class _Any:
    """`**`: any number of folders, none included."""


class _Name(NamedTuple):
    """A pattern of one name."""

    tokens: tuple[_Token, ...]

    def fits(self, name: str) -> bool:
        """Greedy, going back to the last `*` only: that is enough for globs, and linear in name times pattern."""
        if name.startswith(".") and (self.tokens[0] is None or self.tokens[0] != (False, ((".", "."),))):
            return False
        at = token = 0
        star: tuple[int, int] | None = None
        while at < len(name):
            if token < len(self.tokens) and self.tokens[token] is None:
                star = (token, at)
                token += 1
            elif token < len(self.tokens) and _is_one_of(self.tokens[token], name[at]):
                at, token = at + 1, token + 1
            elif star is not None:
                star = (star[0], star[1] + 1)
                token, at = star[0] + 1, star[1]
            else:
                return False
        return all(rest is None for rest in self.tokens[token:])


_Token: TypeAlias = tuple[bool, tuple[tuple[str, str], ...]] | None
"""One character: whether the ranges are negated, and the ranges. None is `*`."""

_Part: TypeAlias = "str | _Name | _Any"


def _is_one_of(token: _Token, character: str) -> bool:
    assert token is not None
    negated, ranges = token
    return negated != any(low <= character <= high for low, high in ranges)


class _Search:
    """One pattern without alternatives. Folders to visit are on a stack: a tree may be deeper than Python's."""

    def __init__(self, workspace: Workspace, parts: tuple[_Part, ...], wants_folders: bool) -> None:
        self._workspace = workspace
        self._parts = parts
        self._wants_folders = wants_folders
        self._todo: list[tuple[str, int]] = [("", 0)]
        self._seen: set[tuple[str, int]] = set()

    def run(self, found: set[str], is_withdrawn: Callable[[], bool]) -> None:
        while self._todo and not is_withdrawn() and len(found) <= MOST_MATCHES:
            step = self._todo.pop()
            if step not in self._seen:
                self._seen.add(step)
                self._visit(*step, found)

    def _visit(self, folder: str, index: int, found: set[str]) -> None:
        """Matches the parts from `index` on in `folder`, which is "" or ends in `/`."""
        part = self._parts[index]
        is_last = index == len(self._parts) - 1
        if isinstance(part, str):
            self._take(folder + part, self._kind(folder + part), index, found)
            return
        if isinstance(part, _Any) and not is_last:
            self._todo.append((folder, index + 1))
        for name, kind in self._entries(folder):
            path = folder + name
            if isinstance(part, _Name):
                if part.fits(name):
                    self._take(path, kind if kind != stat.S_IFLNK else self._kind(path), index, found)
            elif not name.startswith("."):
                if kind == stat.S_IFDIR:
                    self._todo.append((path + "/", index))
                if is_last:
                    self._take(path, kind if kind != stat.S_IFLNK else self._kind(path), index, found)

    def _take(self, path: str, kind: int, index: int, found: set[str]) -> None:
        """`path` fits the part at `index`: goes on below it, or adds it when it is what is looked for."""
        if index < len(self._parts) - 1:
            if kind == stat.S_IFDIR:
                self._todo.append((path + "/", index + 1))
        elif kind == (stat.S_IFDIR if self._wants_folders else stat.S_IFREG):
            found.add(path)

    def _kind(self, path: str) -> int:
        """What is at `path`, through links that stay inside; 0 for nothing, hidden, or a link that leads out."""
        try:
            with self._workspace.place(path) as place:
                return stat.S_IFMT(os.stat(place.name, dir_fd=place.folder_fd, follow_symlinks=False).st_mode)
        except (OSError, UsageError):
            return 0

    def _entries(self, folder: str) -> list[tuple[str, int]]:
        """Names in `folder`, and whether each is a file, a folder or a link."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with self._workspace.place(folder) as place:
                fd = os.open(place.name, flags, dir_fd=place.folder_fd)
        except (OSError, UsageError):
            return []
        try:
            with os.scandir(fd) as scan:
                return [
                    (entry.name, _kind_of(entry))
                    for entry in scan
                    if not is_hidden(entry.name) and _is_text(entry.name)
                ]
        except OSError:
            return []
        finally:
            os.close(fd)


def _kind_of(entry: os.DirEntry[str]) -> int:
    if entry.is_symlink():
        return stat.S_IFLNK
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    return stat.S_IFREG if entry.is_file(follow_symlinks=False) else 0


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _alternatives(pattern: str) -> list[str]:
    """`pattern` with each `{a,b}` written out, innermost first; a brace without a comma or a partner is itself."""
    done: list[str] = []
    todo = [pattern]
    while todo:
        text = todo.pop()
        braces = _braces(text)
        if braces is None:
            done.append(text)
        else:
            start, end = braces
            todo += [text[:start] + choice + text[end + 1 :] for choice in text[start + 1 : end].split(",")]
        if len(done) + len(todo) > _MOST_ALTERNATIVES:
            raise UsageError(
                f"glob({pattern!r}) stands for more than {_MOST_ALTERNATIVES} patterns",
                code="bad_pattern",
                hint="Use fewer alternatives in braces.",
            )
    return done


def _braces(text: str) -> tuple[int, int] | None:
    """Where the first innermost `{…}` with a comma in it starts and ends."""
    start = -1
    for index, character in enumerate(text):
        if character == "{":
            start = index
        elif character == "}" and start >= 0:
            if "," in text[start:index]:
                return start, index
            start = -1
    return None


def _part(text: str) -> _Part:
    if text == "**":
        return _Any()
    if not any(character in "*?[" for character in text):
        return text
    tokens: list[_Token] = []
    at = 0
    while at < len(text):
        character, at = text[at], at + 1
        if character == "*":
            if not tokens or tokens[-1] is not None:
                tokens.append(None)
        elif character == "?":
            tokens.append((True, ()))
        elif character == "[" and (end := text.find("]", at + 1 + text.startswith("!", at))) > 0:
            tokens.append(_character_class(text[at:end]))
            at = end + 1
        else:
            tokens.append((False, ((character, character),)))
    return _Name(tuple(tokens))


def _character_class(text: str) -> _Token:
    negated = text.startswith("!")
    members, ranges, at = text[negated:], list[tuple[str, str]](), 0
    while at < len(members):
        if members[at + 1 : at + 2] == "-" and at + 2 < len(members):
            ranges.append((members[at], members[at + 2]))
            at += 3
        else:
            ranges.append((members[at], members[at]))
            at += 1
    return negated, tuple(ranges)
