"""The host's side of the parser child: start it, hand it one script, distrust what comes back.

One process parses one script and is gone. It is started before the text is known, beside the sandbox's own child, so
that its start costs no time. The host never parses script text itself (I5), and takes the child for hostile: an answer
has a size limit, and each value of it is checked before it is believed.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from typing import Any, NamedTuple

from sandbox import deaths, framing
from sandbox.deaths import Limits, SandboxDied
from sandbox.parser_child import FOUND, PARSE, WANT_MISTAKES, WANT_PORTABLE
from sandbox.worker import Worker

_MAX_TEXT = 4_000
_MAX_FINDINGS = 500
_MAX_PLACES = 200_000

Place = tuple[int, int]
Path_ = tuple[str | int, ...]


PARSER_LIMITS = Limits(memory_bytes=384 << 20, stack_bytes=8 << 20, cpu_turn_s=4.0, frame_bytes=16 << 20)
"""What one parse may use. An honest script of 200 lines takes 5 ms and 15 MB; a hostile one of 1 MiB can take any."""


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
        kind: as of `SandboxDied`: `cpu`, `memory`, `crash`, `hostile`, …
        message: for people; the end of a sentence.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class ParserProcess:
    """One child, for one script."""

    def __init__(self, worker: Worker, limits: Limits) -> None:
        self._worker = worker
        self._limits = limits

    @classmethod
    def spawn(cls, limits: Limits = PARSER_LIMITS) -> ParserProcess:
        """Starts a child and returns at once, before it is ready. Needs no event loop."""
        return cls(Worker("parser_child", [*_extensions(), str(limits.memory_bytes)], limits), limits)

    async def parse(self, text: bytes, *, mistakes: bool = False, portable: bool = False) -> Parsed:
        """Parses `text` (UTF-8) and ends the child. To be called once.

        Args:
            mistakes: also look for what is allowed and most likely wrong.
            portable: also look for what other runtimes of the dialect refuse.

        Raises:
            ParserDied: a limit was met, the child crashed, or its answer is not one.
        """
        wants = (WANT_MISTAKES if mistakes else 0) | (WANT_PORTABLE if portable else 0)
        try:
            await self._expect(framing.BOOTED)
            self._worker.send(PARSE, bytes((wants,)), text)
            answer = await self._expect(FOUND)
        except SandboxDied as death:
            raise self._died(death) from None
        finally:
            await self._worker.close()
        try:
            return _checked(json.loads(answer), len(text))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ParserDied("hostile", f"the parser's answer has not the expected shape ({error})") from None

    def close(self) -> None:
        """Ends and reaps a child that was not asked to parse. Idempotent, never raises."""
        self._worker.close_now()

    async def _expect(self, kind: int) -> bytes:
        found, payload = await self._worker.receive()
        if found != kind:
            raise ParserDied("hostile", f"the parser sent a frame of kind {found}")
        self._worker.settle()
        return payload

    def _died(self, death: SandboxDied) -> ParserDied:
        match death.kind:
            case "cpu":
                message = f"it takes the parser more than {self._limits.cpu_turn_s:g} s of CPU time"
            case "memory" | "crash":  # where no memory is left, tree-sitter aborts
                message = f"it takes the parser more than {deaths.in_bytes(self._limits.memory_bytes)}, or crashes it"
            case _:
                message = f"the parser's process ended ({death.kind}: {death.message})"
        return ParserDied(death.kind, message)


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
