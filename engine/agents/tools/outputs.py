"""Results that are too long for a model: the start and the end are shown, the whole is kept and can be read.

A kept output goes by `output:N`, which `read_file` understands. It is a file outside of the workspace, masked before it
is written (I9), and a call reads its own only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from engine.agents.tools.failed import ToolFailed

KEPT_CHARACTERS = 8 << 20
"""Of one output. More is a command gone wild."""
MOST_KEPT = 200
"""Outputs of one call: with the former, a bound on the disk."""

_NAME = re.compile(r"output:(\d{1,6})", re.ASCII)


def is_output(path: str) -> bool:
    return _NAME.fullmatch(path) is not None


class Outputs:
    """The kept outputs of one call. The folder is made with the first of them."""

    def __init__(self, folder: Path, *, limit: int, mask: Callable[[str], str]) -> None:
        self._folder = folder
        self._limit = limit
        self._mask = mask

    def fit(self, text: str) -> str:
        """`text`, or its start and end with a line between that says where the rest is."""
        if len(text) <= self._limit:
            return text
        head = _to_line_end(text[: self._limit * 2 // 3])
        tail = _from_line_start(text[len(text) - self._limit // 3 :])
        first, cut = head.count("\n") + 1, len(text) - len(head) - len(tail)
        name = self._keep(text)
        how = f'read_file with path "{name}" and offset {first} has the rest' if name else "the rest was not kept"
        return f"{head}\n[… {cut:,} of {len(text):,} characters cut; {how} …]\n{tail}"

    def read(self, path: str) -> str:
        """The text of `output:N`. Raises `ToolFailed`."""
        found = _NAME.fullmatch(path)
        file = self._folder / f"{int(found[1])}.txt" if found else None
        if file is None or not file.is_file():
            raise ToolFailed(f"There is no {path}: this task has {self._count()} kept outputs.")
        return file.read_text("utf-8", "replace")

    def _keep(self, text: str) -> str | None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for number in range(self._count() + 1, MOST_KEPT + 1):
                try:  # another tool of the same call may keep one at this moment
                    fd = os.open(self._folder / f"{number}.txt", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                except FileExistsError:
                    continue
                with os.fdopen(fd, "w", encoding="utf-8", errors="replace", newline="") as file:
                    file.write(self._mask(text[:KEPT_CHARACTERS]))
                return f"output:{number}"
        except OSError:
            return None  # a full disk must not fail the tool
        return None

    def _count(self) -> int:
        try:
            return sum(1 for name in os.listdir(self._folder) if name.endswith(".txt"))
        except OSError:
            return 0


def _to_line_end(text: str) -> str:
    """Without its last, half line, unless that is most of it."""
    end = text.rfind("\n")
    return text[:end] if end > len(text) // 2 else text


def _from_line_start(text: str) -> str:
    start = text.find("\n")
    return text[start + 1 :] if 0 <= start < len(text) // 2 else text
