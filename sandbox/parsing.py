"""The host's side of the parser child: start it, hand it one script, distrust what comes back.

One process parses one script and is gone. It is started before the text is known, beside the sandbox's own child, so
that its start costs no time. The host never parses script text itself (I5), and takes the child for hostile: an answer
has a size limit, and each value of it is checked before it is believed.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, NamedTuple

_CHILD = Path(__file__).with_name("parser_child.py")
_LENGTH_BYTES = 4
_MAX_TEXT = 4_000
_MAX_FINDINGS = 500
_MAX_PLACES = 200_000
_OUT_OF_MEMORY = 3
_WANT_MISTAKES = 1
_WANT_PORTABLE = 2

Place = tuple[int, int]
Path_ = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class ParserLimits:
    """What one parse may use. An honest script of 200 lines takes 15 ms and 15 MB.

    Attributes:
        memory_bytes: the address space gets twice that and what the interpreter needs.
        wall_s: the watchdog, for a child that neither works nor answers; a loaded machine must not trip it.
    """

    memory_bytes: int = 384 << 20
    cpu_s: int = 8
    answer_bytes: int = 16 << 20
    wall_s: float = 60.0


class Found(NamedTuple):
    """A problem in the text, as the child tells it. `start` and `end` are byte offsets into the text."""

    severity: str
    code: str
    rule: str
    start: int
    end: int
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """What the tree says about a script.

    Attributes:
        meta: the value of the `meta` literal, or None when there is none (then a finding says why).
        places: path in meta → byte range of the value; `()` is the whole literal.
        keys: path in meta → byte range of the key.
        broken: where the parser stumbled; only a help to place the engine's own error.
        more: findings that were left out.
    """

    meta: dict[str, Any] | None
    findings: tuple[Found, ...] = ()
    broken: tuple[Found, ...] = ()
    places: Mapping[Path_, Place] = field(default_factory=dict)
    keys: Mapping[Path_, Place] = field(default_factory=dict)
    more: int = 0


class ParserDied(Exception):
    """The child ended without an answer that can be believed.

    Attributes:
        kind: `cpu`, `memory`, `crash`, `wall` or `hostile`.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class ParserProcess:
    """One child, for one script."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket, limits: ParserLimits) -> None:
        self._process = process
        self._channel = channel
        self._limits = limits

    @classmethod
    def spawn(cls, limits: ParserLimits | None = None) -> ParserProcess:
        """Starts a child and returns at once, before it is ready. Needs no event loop."""
        limits = limits or ParserLimits()
        parser, grammar = _extensions()
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    str(_CHILD),
                    parser,
                    grammar,
                    str(theirs.fileno()),
                    str(limits.cpu_s),
                    str(limits.memory_bytes),
                    # The kernel ties a child's life to the thread that started it; only the main one lives long enough.
                    str(os.getpid() if threading.current_thread() is threading.main_thread() else 0),
                ],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,  # Ctrl-C at the terminal is the host's to handle
            )
        ours.setblocking(False)
        return cls(process, ours, limits)

    async def parse(self, text: bytes, *, mistakes: bool = False, portable: bool = False) -> Parsed:
        """Parses `text` (UTF-8) and ends the child. To be called once.

        Args:
            mistakes: also look for what is allowed and most likely wrong.
            portable: also look for what other runtimes of the dialect refuse.

        Raises:
            ParserDied: a limit was met, the child crashed, or its answer is not one.
        """
        wants = (_WANT_MISTAKES if mistakes else 0) | (_WANT_PORTABLE if portable else 0)
        try:
            async with asyncio.timeout(self._limits.wall_s):
                answer = await self._exchange(bytes([wants]) + text)
        except TimeoutError:
            raise ParserDied(
                "wall", f"the parser gave no answer within {self._limits.wall_s:g} seconds and was stopped"
            ) from None
        finally:
            self.close()
        try:
            return _checked(json.loads(answer), len(text))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ParserDied("hostile", f"the parser's answer has not the expected shape: {error}") from None

    def close(self) -> None:
        """Ends and reaps the child. Idempotent, never raises."""
        self._channel.close()
        if self._process.returncode is None:
            with contextlib.suppress(OSError):
                self._process.kill()
            self._process.wait()

    async def _exchange(self, request: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(self._channel, len(request).to_bytes(_LENGTH_BYTES, "little") + request)
            size = int.from_bytes(await self._receive(_LENGTH_BYTES), "little")
            if size > self._limits.answer_bytes:
                raise ParserDied(
                    "hostile", f"the parser's answer has {size:,} bytes; allowed {self._limits.answer_bytes:,}"
                )
            return await self._receive(size)
        except (OSError, EOFError):
            raise await self._death() from None

    async def _receive(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        data = bytearray()
        while len(data) < size:
            part = await loop.sock_recv(self._channel, min(size - len(data), 1 << 20))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    async def _death(self) -> ParserDied:
        """What killed the child, told from how it ended. Its end of the channel is closed, so it ends at once."""
        code = await asyncio.to_thread(self._process.wait)
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return ParserDied("cpu", f"the script takes the parser more than {self._limits.cpu_s} seconds of CPU")
        if code in (_OUT_OF_MEMORY, -signal.SIGABRT):  # tree-sitter aborts where malloc fails
            return ParserDied("memory", f"the script takes the parser more than {self._limits.memory_bytes >> 20} MiB")
        return ParserDied("crash", f"the parser ended with {_exit_name(code)}")


@cache
def _extensions() -> tuple[str, str]:
    """The two shared objects, found without importing their packages."""
    return _extension_in("tree_sitter"), _extension_in("tree_sitter_javascript")


def _extension_in(package: str) -> str:
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for suffix in EXTENSION_SUFFIXES:
            path = os.path.join(folder, "_binding" + suffix)
            if os.path.exists(path):
                return path
    raise ImportError(f"the package {package} is not installed, or has no compiled part for this Python")


def _exit_name(code: int) -> str:
    with contextlib.suppress(ValueError):
        if code < 0:
            return signal.Signals(-code).name
    return f"exit code {code}"


def _checked(answer: Any, size: int) -> Parsed:
    """The answer as a value, or ValueError: everything in it comes from a process that ran hostile text."""
    meta = answer["meta"]
    places: dict[Path_, Place] = {}
    keys: dict[Path_, Place] = {}
    value = None
    if meta is not None:
        if not isinstance(meta, dict) or not isinstance(meta["value"], dict):
            raise ValueError("meta is no object")
        value = meta["value"]
        places, keys = _checked_places(meta["places"], size), _checked_places(meta["keys"], size)
    more = answer["more"]
    if not isinstance(more, int) or isinstance(more, bool) or more < 0:
        raise ValueError("bad count")
    return Parsed(
        value,
        _checked_findings(answer["findings"], size),
        _checked_findings(answer["broken"], size),
        places,
        keys,
        more,
    )


def _checked_findings(rows: Any, size: int) -> tuple[Found, ...]:
    if not isinstance(rows, list) or len(rows) > _MAX_FINDINGS:
        raise ValueError("bad findings")
    out = []
    for row in rows:
        if not isinstance(row, list) or len(row) != 7:
            raise ValueError("bad finding")
        severity, code, rule, start, end, message, hint = row
        if severity not in ("error", "warning"):
            raise ValueError("bad severity")
        if not all(isinstance(text, str) for text in (code, rule, message, hint)):
            raise ValueError("bad text")
        start, end = _checked_range(start, end, size)
        out.append(Found(severity, code[:64], rule[:8], start, end, _printable(message), _printable(hint)))
    return tuple(out)


def _checked_places(rows: Any, size: int) -> dict[Path_, Place]:
    if not isinstance(rows, list) or len(rows) > _MAX_PLACES:
        raise ValueError("bad places")
    out: dict[Path_, Place] = {}
    for row in rows:
        path, start, end = row
        if not isinstance(path, list) or not all(type(step) in (str, int) for step in path):
            raise ValueError("bad path")
        out[tuple(path)] = _checked_range(start, end, size)
    return out


def _checked_range(start: Any, end: Any, size: int) -> Place:
    if type(start) is not int or type(end) is not int or not 0 <= start <= end <= size:
        raise ValueError("bad place")
    return start, end


def _printable(text: str) -> str:
    """Without control characters, which a terminal would obey."""
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text[:_MAX_TEXT])
