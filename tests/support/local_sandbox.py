"""The sandbox without its process: the child's own code, with the pipe and the jail taken out.

Thousands of runs in one process, for tests that ask many times. `tests/contract/test_local_sandbox.py` holds it to the
real one: the same script gives the same operations, chunk by chunk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import cache
from unittest.mock import patch

from engine.assets import stdlib_files
from sandbox import Chunk, CompileError, SandboxDied, SandboxInfo, child, framing
from sandbox.process import CompiledCode, find_engine

LIBRARY_START = 20_000
"""Fewer empty lines before the library than in the product: they cost half a boot."""


@cache
def core_library() -> tuple[tuple[str, str], ...]:
    """The library without built-ins and patterns, which take three quarters of a boot."""
    return tuple((name, text) for name, text in stdlib_files() if not name.startswith(("10_", "patterns/")))


class _Child(child.Child):
    """Answers into a list; locks nothing down."""

    def __init__(self, library: Sequence[tuple[str, str]]) -> None:
        super().__init__(str(find_engine()))
        self.frames: deque[tuple[int, bytes]] = deque()
        numbers = (256 << 20, 1 << 20, 64 << 20, 20_000, LIBRARY_START, 0)
        head = b"".join(number.to_bytes(8, "little") for number in numbers)
        text = "\n;".join(text for _, text in library).encode()
        with patch.object(child.jail, "lock_down", lambda **_: "none"):
            self._boot((framing.BOOT, head + text))
        self.frames.clear()

    def _send(self, kind: int, *parts: bytes) -> None:
        self.frames.append((kind, b"".join(parts)))

    def take(self, kind: int, payload: bytes) -> None:
        if kind == framing.DELIVER:
            self._deliver(payload)
        elif kind == framing.COMPILE:
            self._compile(payload)
        else:
            self._run(payload)


class LocalSandbox:
    """The face of `sandbox.Sandbox`."""

    def __init__(self, library: Sequence[tuple[str, str]] | None = None) -> None:
        self._child = _Child(core_library() if library is None else library)
        self._bases: dict[int, tuple[int, int]] = {}
        self._next_base = 0
        self.info = SandboxInfo("quickjs", "3", "none")

    async def compile(self, code: int, source: str) -> CompiledCode:
        base, lines = self._next_base, source.count("\n") + 1
        self._child.take(framing.COMPILE, framing.u32(code) + framing.u32(base) + source.encode())
        kind, payload = self._child.frames.popleft()
        if kind == framing.REJECTED:
            line = framing.read_u32(payload, 4) - base
            raise CompileError(payload[8:].decode().removeprefix("SyntaxError: "), max(0, min(line, lines)))
        self._bases[code] = (base, lines)
        self._next_base = base + lines + 1
        return CompiledCode(code, base + 1)

    async def start(self, code: int, setup: bytes) -> None:
        self._take(framing.RUN, framing.u32(code) + setup)

    async def deliver(self, items: Sequence[tuple[bytes, int]], *, stop_on_request: bool) -> None:
        parts = [bytes((stop_on_request,))]
        for text, code in items:
            parts += (framing.u32(len(text)), framing.u32(code), text)
        self._take(framing.DELIVER, b"".join(parts))

    async def next_chunk(self) -> Chunk:
        _, payload = self._child.frames.popleft()
        return Chunk(framing.read_u32(payload, 0), payload[4] == 1, payload[5:])

    def locate(self, engine_line: int) -> tuple[int | None, int]:
        for code, (base, lines) in self._bases.items():
            if base < engine_line <= base + lines:
                return code, engine_line - base
        return None, max(0, engine_line - LIBRARY_START)

    async def close(self) -> None:
        """Nothing to reap."""

    def _take(self, kind: int, payload: bytes) -> None:
        try:
            self._child.take(kind, payload)
        except child.Dies as death:
            raise SandboxDied(death.args[0], f"{death.args[0]}: {death.args[1]}") from None
