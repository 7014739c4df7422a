"""Paths that a script gives, kept inside the workspace, also through symbolic links and while somebody changes them.

A path is never checked first and used later: it is walked, folder by folder, each opened relative to the one before and
never following a link by itself. A link is read and walked in its turn. So what was reached is inside, whatever moves
in the meantime. `.pawl` and `.git` are not there for scripts, at any depth (S62).
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from engine.errors import UsageError

HIDDEN = frozenset({".pawl", ".git"})

_MOST_LINKS = 40  # as Linux itself
# O_PATH needs no right to list a folder, as a plain walk by the system would not; other systems have no such flag.
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Place(NamedTuple):
    """Where a path leads: `name` in the open folder `folder_fd`; it is not a link, and may not exist.

    `name` is `.` when the path leads to the root or to a folder by way of `..`. `parts` is the way from the root.
    """

    folder_fd: int
    name: str
    parts: tuple[str, ...]


def is_hidden(name: str) -> bool:
    """Whether `name` is not there for scripts; some file systems take `.GIT` for `.git`."""
    return name.casefold() in HIDDEN


class Workspace:
    """The project root, and the only way from a script's path to a file."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.path.realpath(root)
        # A link may name the root by the name that it was given by.
        self._names = tuple({_parts(self.root), _parts(os.path.abspath(root))})

    @contextmanager
    def place(self, path: str, *, makes_folders: bool = False) -> Iterator[Place]:
        """Walks to `path`, which is relative to the root (or absolute, and inside).

        Raises:
            UsageError: `outside_workspace`, or `bad_path` for one that no file can have.
            OSError: as the system says; FileNotFoundError also for what is hidden.
        """
        if "\0" in path or any("\ud800" <= character <= "\udfff" for character in path):
            raise UsageError(f"{path!r} is not a path: it holds a NUL or half a character", code="bad_path")
        root_fd = os.open(self.root, _FOLDER & ~os.O_NOFOLLOW)
        open_fds, names = [root_fd], list[str]()
        todo = deque(self._relative(path, path))
        links = 0
        try:
            while todo:
                part = todo.popleft()
                if part == "..":
                    if not names:
                        raise _outside(path)
                    names.pop()
                    os.close(open_fds.pop())
                    continue
                if is_hidden(part):
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
                target = _link(part, open_fds[-1])
                if target is not None:
                    links += 1
                    if links > _MOST_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                    if target.startswith("/"):
                        while names:
                            names.pop()
                            os.close(open_fds.pop())
                    todo.extendleft(reversed(self._relative(target, path)))
                    continue
                if not todo:
                    yield Place(open_fds[-1], part, (*names, part))
                    return
                open_fds.append(_enter(part, open_fds[-1], makes=makes_folders))
                names.append(part)
            yield Place(open_fds[-1], ".", tuple(names))
        finally:
            for fd in open_fds:
                os.close(fd)

    def folder(self, path: str) -> str:
        """The absolute path of the folder that `path` leads to. Raises as `place`, and `not_a_folder`."""
        try:
            with self.place(path) as place:
                os.close(_enter(place.name, place.folder_fd, makes=False))
                return os.path.join(self.root, *place.parts)
        except OSError as error:
            raise UsageError(
                f"{path!r} is not a folder of the workspace: {error.strerror}", code="not_a_folder"
            ) from None

    def missing_way(self, path: str) -> str:
        """Where `path` would lead when the folders that are missing on its way were made, as `place` makes them.

        Raises:
            FileNotFoundError: it is hidden, or leads through what is missing and back (`..`).
            UsageError, OSError: as `place`.
        """
        parts = list(self._relative(path, path))
        if any(map(is_hidden, parts)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        for count in range(len(parts) - 1, -1, -1):
            try:
                with self.place("/".join(parts[:count]) or ".") as place:
                    os.close(_enter(place.name, place.folder_fd, makes=False))
                    known = place.parts
            except FileNotFoundError:
                continue
            if ".." in parts[count:]:
                break
            return "/".join((*known, *parts[count:]))
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    def _relative(self, path: str, asked: str) -> tuple[str, ...]:
        """The parts of `path` from where it starts: the folder it is in, or the root when it is absolute."""
        parts = _parts(path)
        if not path.startswith("/"):
            return parts
        for root in self._names:
            if parts[: len(root)] == root:
                return parts[len(root) :]
        raise _outside(asked)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part not in ("", "."))


def _outside(path: str) -> UsageError:
    return UsageError(
        f"{path!r} leads out of the workspace",
        code="outside_workspace",
        hint="Give a path below the project root; links must stay inside it too.",
    )


def _link(name: str, folder_fd: int) -> str | None:
    try:
        return os.readlink(name, dir_fd=folder_fd)
    except OSError:
        return None  # no link, or nothing: whoever opens it is told


def _enter(name: str, folder_fd: int, *, makes: bool) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=folder_fd)
    except FileNotFoundError:
        if not makes:
            raise
    with suppress(FileExistsError):  # somebody else made it at the same moment
        os.mkdir(name, dir_fd=folder_fd)
    return os.open(name, _FOLDER, dir_fd=folder_fd)
