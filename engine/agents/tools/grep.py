"""grep: lines that match a regular expression.

Expressions are Python's, which models know, and may be made to run for years; so they run in a process of their own
that is killed when time is up. Files are opened here, inside the workspace, and only their bytes are handed over.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import ClassVar

from engine.agents.matching import matches_path
from engine.agents.policy import Verdict
from engine.agents.tools import searching
from engine.agents.tools.failed import ToolFailed
from engine.agents.tools.files import FILE_BYTES, is_folder, open_file, walk, way
from engine.agents.tools.tool import Args, Setting, ToolSpec, parameters
from engine.threads import in_thread
from engine.values import Json

TIME_S = 30.0
MOST = 1000
"""Lines in one answer; `limit` may ask for fewer."""


class Grep:
    """See the module."""

    spec: ClassVar[ToolSpec] = ToolSpec(
        "grep",
        "Searches text files of the workspace for lines that match a Python regular expression, and gives "
        "FILE:LINE:TEXT. Binary files, and folders of packages and caches (node_modules, .venv, …) unless path "
        "leads there, are left out.",
        parameters(
            ("pattern",),
            pattern={"type": "string", "minLength": 1},
            path={"type": "string", "description": "A file or folder; the workspace itself when left out."},
            glob={"type": "string", "minLength": 1, "description": "Only files like this: *.py, src/**/*.ts."},
            ignore_case={"type": "boolean"},
            files_only={"type": "boolean", "description": "Give names of files with a match, no lines."},
            limit={"type": "integer", "minimum": 1, "maximum": MOST},
        ),
        is_read_only=True,
    )

    def argument(self, args: Args, setting: Setting) -> str:
        return way(setting.workspace, args.get("path") or ".")

    async def run(self, args: Args, setting: Setting, admitted: str) -> str:
        searcher = _Searcher(args["pattern"], bool(args.get("ignore_case")))
        try:
            return await in_thread(self._search, args, setting, admitted, searcher, cancel=searcher.stop)
        finally:
            searcher.stop()

    def _search(self, args: Args, setting: Setting, admitted: str, searcher: _Searcher) -> str:
        limit, files_only = args.get("limit", MOST), bool(args.get("files_only"))
        lines = list[str]()
        unread = searched = 0
        searcher.start()
        for path in _candidates(args, setting, admitted):
            if setting.gate.policy.rule("read_file", path).verdict is not Verdict.ALLOW:
                unread += 1  # what may not be read is not shown line by line either
                continue
            found = searcher.search(_bytes(setting, path), 1 if files_only else limit - len(lines) + 1)
            searched += 1
            lines += [path] * bool(found) if files_only else [f"{path}:{number}:{text}" for number, text in found]
            if len(lines) > limit:
                break
        notes = [f"[more than {limit:,}: use a narrower pattern, path or glob]"] if len(lines) > limit else []
        notes += [f"[{unread:,} files not searched: permission rules]"] if unread else []
        if not lines:
            notes.insert(0, f"[no match in {searched:,} files]")
        return "\n".join([*lines[:limit], *notes])


def _candidates(args: Args, setting: Setting, admitted: str) -> Iterator[str]:
    if not is_folder(setting.workspace, admitted):
        yield admitted
        return
    prefix = "" if admitted == "." else admitted + "/"
    for path in walk(setting.workspace, admitted):
        if "glob" not in args or matches_path(args["glob"], path.removeprefix(prefix), is_strict=True):
            yield path


def _bytes(setting: Setting, path: str) -> bytes:
    """What is searched of a file: nothing when it cannot be read, which a search of many is not stopped by."""
    try:
        fd = open_file(setting.workspace, path)
    except ToolFailed:
        return b""
    with os.fdopen(fd, "rb") as file:
        return file.read(FILE_BYTES)


class _Searcher:
    """The process that matches. Used by one thread, stopped by any."""

    def __init__(self, pattern: str, ignore_case: bool) -> None:
        self._pattern = pattern
        self._ignore_case = ignore_case
        self._process: subprocess.Popen[bytes] | None = None
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()
        self._is_stopped = False
        self._is_late = False

    def start(self) -> None:
        with self._lock:
            if self._is_stopped:
                raise ToolFailed("The search was stopped.")
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", searching.__file__],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={},
            )  # fmt: skip
            self._timer = threading.Timer(TIME_S, self._out_of_time)
            self._timer.daemon = True
            self._timer.start()
        answer = self._ask(json.dumps({"pattern": self._pattern, "ignore_case": self._ignore_case}).encode())
        if answer:
            raise ToolFailed(f"pattern: expected a Python regular expression, found {self._pattern!r}: {answer}.")

    def search(self, data: bytes, most: int) -> list[tuple[int, str]]:
        """Numbers and texts of the lines that match, `most` at most."""
        if not data or b"\0" in data[:8192]:
            return []
        found: list[tuple[int, str]] = self._ask(most.to_bytes(4, "big") + data)
        return found

    def stop(self) -> None:
        with self._lock:
            self._is_stopped = True
            timer, process, self._timer, self._process = self._timer, self._process, None, None
        if timer is not None:
            timer.cancel()
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except OSError:  # a write was under way when it was killed
                        continue

    def _out_of_time(self) -> None:
        self._is_late = True
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def _ask(self, message: bytes) -> Json:
        process = self._process
        if process is None:
            raise ToolFailed("The search was stopped.")
        assert process.stdin is not None and process.stdout is not None
        try:
            searching.send(process.stdin, message)
            answer = searching.receive(process.stdout)
        except OSError:
            answer = None
        if answer is None:
            if self._is_late:
                raise ToolFailed(
                    f"The search took longer than {TIME_S:g} s. Use a simpler pattern, a narrower path or glob."
                )
            raise ToolFailed("The search was stopped: the pattern needs too much memory or time.")
        return json.loads(answer)
