"""The host's side of one script: compile, run, deliver, take chunks. Knows frames and lines, nothing of operations."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sandbox import deaths, framing
from sandbox.deaths import CompileError, Limits, SandboxDied
from sandbox.worker import Worker

LIBRARY_LINE = 1_200_000
"""Our library is compiled behind so many empty lines, the scripts before it. The engine calls every text `<input>`, so
that only the line tells them apart. 1 MiB of script has at most 1,048,577 lines; 2 ms at the start of a run."""

MEMORY_CHECK_CPU_S = 0.005
"""A turn that used less CPU cannot have filled a heap; reading the peak from the system takes a fifth of a turn."""
PEAK_SHARE = 0.9
"""Of the limit, for the peak of the whole process: an allocation is refused before the heap is quite full."""


class Chunk(NamedTuple):
    """What came of the turn so far.

    Attributes:
        consumed: items of this turn's delivery that have been settled.
        idle: the turn is over: no job is left, the script waits. May be over before all items are consumed.
        ops: JSON text of an array of operations. Untrusted.
    """

    consumed: int
    idle: bool
    ops: bytes


@dataclass(frozen=True, slots=True)
class CompiledCode:
    """A compiled text. `first_line` is what the engine calls its first line."""

    code: int
    first_line: int


@dataclass(frozen=True, slots=True)
class SandboxInfo:
    """Recorded with the run and shown by `pawl doctor`. `level` is `seccomp` or `rlimits`."""

    engine: str
    python: str
    level: str


class Sandbox:
    """One script's process. Not for use by two tasks at once; a turn's chunks are taken before the next turn begins."""

    def __init__(self, worker: Worker, limits: Limits, engine: str) -> None:
        """Use `spawn`."""
        self._worker = worker
        self._limits = limits
        self._engine = engine
        self._info: SandboxInfo | None = None
        self._bases: dict[int, tuple[int, int]] = {}  # code → (engine lines before it, its own lines)
        self._next_base = 0
        self._items = 0
        self._consumed = 0
        self._is_turning = False

    @classmethod
    def spawn(cls, limits: Limits, library: Sequence[tuple[str, str]], *, with_seccomp: bool = True) -> Sandbox:
        """Starts the child and sends it our library, a sequence of (name, text), without waiting for either.

        Needs no running event loop. `with_seccomp=False` is for tests of what other systems get.
        """
        engine = find_engine()
        worker = Worker("child", [str(engine)], limits)
        sandbox = cls(worker, limits, engine_name(engine))
        numbers = (
            limits.memory_bytes,
            limits.stack_bytes,
            limits.frame_bytes,
            round(limits.cpu_turn_s * 1000),
            LIBRARY_LINE,
            int(with_seccomp),
        )
        head = b"".join(number.to_bytes(8, "little") for number in numbers)
        worker.send(framing.BOOT, head, "\n;".join(text for _, text in library).encode())
        return sandbox

    @property
    def pid(self) -> int:
        return self._worker.pid

    def out_of_memory(self) -> SandboxDied:
        """What to say of a script that ended with the engine's own error for a refused allocation."""
        return deaths.of_kind("memory", self._limits)

    @property
    def info(self) -> SandboxInfo:
        """Which engine, and what confines it. Known once `booted`, or the first `compile`, has returned."""
        if self._info is None:
            raise RuntimeError("the sandbox has not answered yet: await booted() or compile() first")
        return self._info

    async def booted(self) -> SandboxInfo:
        """Waits until the child is locked down.

        Raises:
            SandboxDied: it could not; kind `source` when our library does not evaluate.
        """
        if self._info is None:
            kind, payload = await self._worker.receive()
            parts = payload[:100].decode("ascii", "replace").split(" ")
            if kind != framing.BOOTED or len(parts) != 2 or parts[0] not in ("seccomp", "rlimits"):
                raise self._worker.condemn("hostile", "no boot frame")
            self._info = SandboxInfo(self._engine, deaths.readable(parts[1]), parts[0])
            if not self._is_turning:
                self._worker.settle()
        return self._info

    async def compile(self, code: int, source: str) -> CompiledCode:
        """Compiles a script's text; it does not run. Code 1 is the main script, 2… are workflows that it calls.

        Raises:
            CompileError: the text is no script, with its own line.
            SandboxDied: it took the compiler with it.
        """
        if "\0" in source:
            raise CompileError("a NUL character", source.count("\n", 0, source.index("\0")) + 1)
        try:
            text = source.encode()
        except UnicodeEncodeError as error:
            line = source.count("\n", 0, error.start) + 1
            raise CompileError("half of a surrogate pair, which no text file can hold", line) from None
        await self.booted()
        base, lines = self._next_base, source.count("\n") + source.count("\r") + 1
        if base + lines >= LIBRARY_LINE:
            raise CompileError(f"too many lines: all scripts of a run have {LIBRARY_LINE:,} together", 0)
        self._worker.send(framing.COMPILE, framing.u32(code), framing.u32(base), text)
        kind, payload = await self._worker.receive()
        self._worker.settle()
        if kind not in (framing.COMPILED, framing.REJECTED) or framing.read_u32(payload, 0) != code:
            raise self._worker.condemn("hostile", "no answer to the question whether a text compiles")
        if kind == framing.REJECTED:
            line = framing.read_u32(payload, 4) - base
            message = deaths.readable(payload[8:].decode("utf-8", "replace"))
            raise CompileError(message.removeprefix("SyntaxError: "), max(0, min(line, source.count("\n") + 1)))
        self._bases[code] = (base, lines)
        self._next_base = base + lines + 1
        return CompiledCode(code, base + 1)

    async def start(self, code: int, setup: bytes) -> None:
        """Calls the library's `start` with the compiled function and the JSON text `setup`. Begins a turn."""
        if code not in self._bases:
            raise ValueError(f"code {code} is not compiled")
        self._begin(0)
        self._worker.send(framing.RUN, framing.u32(code), setup)

    async def deliver(self, items: Sequence[tuple[bytes, int]], *, stop_on_request: bool) -> None:
        """Settles `items`, each (JSON text, a compiled code or 0), one after the other. Begins a turn.

        The turn may end with fewer items consumed: after the first that made the script ask for something, if
        `stop_on_request`; and when together they are more than one frame takes. Deliver the rest then.

        Raises:
            SandboxDied: kind `frame`, when the first item alone is too large.
        """
        if not items:
            raise ValueError("a turn needs at least one item")
        parts, size = [bytes((stop_on_request,))], 2
        for text, code in items:
            if code and code not in self._bases:
                raise ValueError(f"code {code} is not compiled")
            size += 8 + len(text)
            if size > self._limits.frame_bytes:
                break
            parts += (framing.u32(len(text)), framing.u32(code), text)
        if len(parts) == 1:
            raise self._worker.condemn("frame", str(size))
        self._begin((len(parts) - 1) // 3)
        self._worker.send(framing.DELIVER, *parts)

    async def next_chunk(self) -> Chunk:
        """The next part of this turn; the last one is `idle`.

        Raises:
            SandboxDied: the script reached a limit, broke the engine or the protocol.
        """
        if not self._is_turning:
            raise RuntimeError("no turn has begun: start() or deliver() first")
        if self._info is None:
            await self.booted()
        worker = self._worker
        kind, payload = await worker.receive()
        if kind != framing.CHUNK or len(payload) < 7 or payload[4] > 1:
            raise worker.condemn("hostile", f"a frame of type {kind} in a turn")
        consumed, is_idle, ops = framing.read_u32(payload, 0), payload[4] == 1, payload[5:]
        if not self._consumed <= consumed <= self._items:
            raise worker.condemn("hostile", f"{consumed} of {self._items} items consumed, {self._consumed} before")
        if not is_idle:
            if consumed == self._consumed and ops == b"[]":
                raise worker.condemn("hostile", "a chunk that tells nothing")
            worker.expect()  # it made progress: the limit counts anew
        else:
            if self._items and consumed == 0:
                raise worker.condemn("hostile", "a turn that consumed nothing")
            self._is_turning = False
            most = self._limits.memory_bytes * PEAK_SHARE
            if worker.turn_cpu_s() > MEMORY_CHECK_CPU_S and worker.peak_memory_bytes() > most:
                raise worker.condemn("memory")  # it swallowed the engine's error and went on
            worker.settle()
        self._consumed = consumed
        return Chunk(consumed, is_idle, ops)

    def locate(self, engine_line: int) -> tuple[int | None, int]:
        """Where an `<input>:LINE` of a stack is: (code number, or None for our library; line in that text)."""
        for code, (base, lines) in self._bases.items():
            if base < engine_line <= base + lines:
                return code, engine_line - base
        return None, max(0, engine_line - LIBRARY_LINE)

    async def close(self) -> None:
        """Kills and reaps the child. Idempotent; never raises."""
        await self._worker.close()

    def close_now(self) -> None:
        """`close` for where no loop runs."""
        self._worker.close_now()

    def _begin(self, items: int) -> None:
        if self._worker.died is not None:
            raise self._worker.died
        if self._is_turning:
            raise RuntimeError("the turn before has not ended: take its chunks first")
        self._items, self._consumed = items, 0
        self._is_turning = True


def find_engine() -> Path:
    """The file of the engine's extension module. It is never imported here: only the child loads it."""
    spec = importlib.util.find_spec("_quickjs")
    if spec is None or spec.origin is None:
        raise SandboxDied("engine", "The package quickjs (or quickjs-ng) is not installed: pip install quickjs")
    return Path(spec.origin)


def engine_name(engine: Path) -> str:
    """The package and version that `engine` belongs to, like "quickjs 1.19.4", read from the folder beside it."""
    for name in os.listdir(engine.parent):
        if name.startswith("quickjs") and name.endswith(".dist-info"):
            package, _, version = name.removesuffix(".dist-info").partition("-")
            return f"{package.replace('_', '-')} {version}"
    return "quickjs (version unknown)"
