"""The child process: the only user of QuickJS. Reads frames, runs jobs until idle, answers in chunks.

Started as `python -I -S -c '…' child <path of _quickjs> <parent pid> <1 if the parent's main thread started it>`. It
imports as little as it can, reads the boot frame, evaluates our library, locks itself down and only then asks for a
script. Nothing that a script does comes back into Python as a call: no callables are registered. Used of the engine,
so that `quickjs` and `quickjs-ng` both serve: Context, eval, calling an Object, execute_pending_job, set_*.

A limit that is reached ends this process; it is never a value that a script could catch and go on from (S13).
"""

from __future__ import annotations

import gc
import os
import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from time import process_time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from sandbox import framing, jail
else:
    import framing
    import jail

ITEMS_PER_CHUNK = 64
CHUNK_CPU_S = 0.05
"""A long turn answers at least this often, so that the host's watchdog can be as strict for many items as for one."""

DRAIN = (
    "((join, apply, drain) => () => apply(join, [drain()], ['']))(Array.prototype.join, Reflect.apply, __pawl.drain)"
)
"""The library's drain(), its text made flat: quickjs-ng cannot hand out a string that is a rope of its parts."""


class Dies(Exception):
    """The run is over; `args` are the kind and the detail of the death notice."""


def main() -> None:
    """The life of the process. It ends with `os._exit`: an interpreter that winds down would open files."""
    try:
        _, engine_path, parent_pid, dies_with_parent = sys.argv[1:5]
        os.chdir("/")  # to hold no folder of the user's
        jail.leave_nothing_open(framing.CHANNEL)
        if dies_with_parent == "1":
            jail.die_with_parent(int(parent_pid))
        gc.disable()
        Child(engine_path).serve()
    except Dies as death:
        kind, detail = death.args
    except MemoryError:
        kind, detail = "memory", ""
    except OSError:  # the host is gone: nobody is left to be told
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - the boundary of the process; a traceback would need files
        kind, detail = "engine", f"{type(error).__name__}: {error}"
    _send(framing.DIES, kind.encode(), b"\0", detail.encode("utf-8", "replace")[:4000])
    os._exit(0)


MEMORY_IS_GONE = (["null"], ["InternalError"], ["InternalError", "null"], ["InternalError:", "null"])
"""The words of an error for which there was no memory left: without its message, or without itself."""


class Child:
    """One engine and what it has compiled."""

    def __init__(self, engine_path: str) -> None:
        loader = ExtensionFileLoader("_quickjs", engine_path)
        spec = spec_from_loader("_quickjs", loader)
        assert spec is not None
        self._engine = module_from_spec(spec)
        loader.exec_module(self._engine)
        self._codes: dict[int, Any] = {}
        self._input = bytearray()

    def serve(self) -> None:
        self._boot(self._read())
        while True:
            kind, payload = self._read()
            if kind == framing.DELIVER:
                self._deliver(payload)
            elif kind == framing.COMPILE:
                self._compile(payload)
            elif kind == framing.RUN:
                self._run(payload)
            else:
                raise Dies("engine", f"unknown frame {kind}")

    def _boot(self, first: tuple[int, bytes]) -> None:
        kind, payload = first
        if kind != framing.BOOT:
            raise Dies("engine", f"frame {kind} before the boot frame")
        memory, stack, self._frame_bytes, cpu_ms, library_line, with_seccomp = (
            int.from_bytes(payload[at : at + 8], "little") for at in range(0, framing.BOOT_BYTES, 8)
        )
        self._cpu_s = cpu_ms / 1000
        context = self._context = self._engine.Context()
        context.set_memory_limit(memory)
        context.set_max_stack_size(stack)
        try:
            context.eval("\n" * library_line + str(payload[framing.BOOT_BYTES :], "utf-8"))
            self._start, self._settle, self._made = (
                context.eval("__pawl." + name) for name in ("start", "settle", "made")
            )
            self._drain = context.eval(DRAIN)
            self._step = context.eval("__pawl.step")  # optional, as the next
            self._loading = context.eval("__pawl.loading")
            context.eval("delete globalThis.__pawl")
        except self._engine.JSException as error:
            raise Dies("source", str(error)) from None
        context.set_time_limit(self._cpu_s)  # for each entry into the engine; `_pump` holds the turn to it
        level = jail.lock_down(memory_bytes=memory, stack_bytes=stack, with_seccomp=bool(with_seccomp))
        self._send(framing.BOOTED, f"{level} {sys.version.split()[0]}".encode())

    def _compile(self, payload: bytes) -> None:
        code, offset = framing.read_u32(payload, 0), framing.read_u32(payload, 4)
        body = blank_export(str(payload[8:], "utf-8"))
        lines = "\n" * offset
        # Text that parses only because of its wrapper (`}); f(); (async () => {`) must not pass (S14). After a method's
        # body an object literal goes on with a comma or a brace. After a function's body in the middle of a conditional
        # come an operator or a colon, never these two. So what parses in both is a function's body. The throw keeps the
        # first from running anything; the outer function gives each workflow `args` of its own.
        mended = 0
        while True:
            try:
                self._context.eval(f'{lines}throw"parsed";({{async main(){{"use strict";{body}\n}}}})')
            except self._engine.JSException as error:
                if str(error).startswith("parsed\n"):
                    break
                line = _line_in(error) - offset
                better = _with_semicolon(body, line) if line > mended and "expecting ';'" in str(error) else None
                if better is None:
                    self._reject(code, error)
                    return
                body, mended = better, line
        try:
            self._codes[code] = self._context.eval(
                f'{lines}1?function(args){{return 1?async function(){{"use strict";{body}\n}}:0}}:0'
            )
        except self._engine.JSException as error:
            self._reject(code, error)
            return
        self._send(framing.COMPILED, framing.u32(code))

    def _reject(self, code: int, error: Exception) -> None:
        if kind := self._limit_in(error):
            raise Dies(kind, "")
        message = str(error).partition("\n")[0].encode("utf-8", "replace")[:4000]
        self._send(framing.REJECTED, framing.u32(code), framing.u32(_line_in(error)), message)

    def _run(self, payload: bytes) -> None:
        code = self._codes[framing.read_u32(payload, 0)]
        self._item(self._start, code, str(payload[4:], "utf-8"))
        self._answer(0, is_idle=True)

    def _deliver(self, payload: bytes) -> None:
        stops, at, end = payload[0], 1, len(payload)
        consumed, unanswered, answered_at = 0, 0, process_time()
        while at < end:
            length, code = framing.read_u32(payload, at), framing.read_u32(payload, at + 4)
            text = str(payload[at + 8 : at + 8 + length], "utf-8")
            at += 8 + length
            before = self._made() if stops else 0
            if code:
                self._item(self._settle, text, self._codes[code])
            else:
                self._item(self._settle, text)
            consumed += 1
            unanswered += 1
            if stops and self._made() != before:
                break
            if self._loading is not None and self._loading():
                break  # the text of a workflow has its place here, however many items came in one frame
            if at < end and (unanswered >= ITEMS_PER_CHUNK or process_time() - answered_at > CHUNK_CPU_S):
                self._answer(consumed, is_idle=False)
                unanswered, answered_at = 0, process_time()
        self._answer(consumed, is_idle=True)

    def _item(self, function: Any, *arguments: Any) -> None:
        """One settlement, then jobs until idle. The CPU check is after every job: an interrupt alone can be caught."""
        began, limit = process_time(), self._cpu_s
        job, step = self._context.execute_pending_job, self._step
        try:
            function(*arguments)
            while True:
                try:
                    while job():
                        if process_time() - began >= limit:
                            raise Dies("cpu", "")
                except self._engine.JSException as error:
                    # quickjs-ng lets a job throw. That is the script's own affair, unless it is a limit.
                    if kind := self._limit_in(error):
                        raise Dies(kind, "") from None
                    continue
                if process_time() - began >= limit:
                    raise Dies("cpu", "")
                if step is None or not step():
                    return
        except self._engine.JSException as error:
            raise Dies(self._limit_in(error) or "engine", str(error)) from None

    def _answer(self, consumed: int, *, is_idle: bool) -> None:
        """Sends what the script asked for: at most 256 operations a chunk, the last one marked."""
        try:
            text = self._drain()
            while True:
                if not isinstance(text, str):  # what is left of an engine without memory
                    raise Dies("memory", "")
                following = "[]" if text == "[]" else self._drain()
                is_last = following == "[]"
                head = framing.u32(consumed) + bytes((is_idle and is_last,))
                self._send(framing.CHUNK, head, text.encode())
                if is_last:
                    return
                text = following
        except self._engine.JSException as error:
            raise Dies(self._limit_in(error) or "engine", str(error)) from None

    def _limit_in(self, error: Exception) -> str | None:
        """The limit that `error` speaks of, or None. Text of a script can pretend to one; it ends its own run then."""
        text = str(error)
        if isinstance(error, self._engine.StackOverflow):
            return "stack"
        if "out of memory" in text or text.split() in MEMORY_IS_GONE:
            return "memory"
        if text.startswith("InternalError: interrupted"):
            return "cpu"
        return None

    def _send(self, kind: int, *parts: bytes) -> None:
        size = 1 + sum(map(len, parts))
        if size > self._frame_bytes:
            raise Dies("frame", str(size))
        _send(kind, *parts)

    def _read(self) -> tuple[int, bytes]:
        data = self._input
        while len(data) < framing.HEADER_BYTES or len(data) < 4 + framing.read_u32(data, 0):
            received = os.read(framing.CHANNEL, 1 << 18)
            if not received:
                os._exit(0)  # the host closed the pipe, or is gone
            data += received
        end = 4 + framing.read_u32(data, 0)
        kind, payload = data[4], bytes(data[5:end])
        del data[:end]
        return kind, payload


def _line_in(error: Exception) -> int:
    """The engine's line of a syntax error, or 0."""
    line = str(error).partition("\n")[2].rpartition("<input>:")[2].split(":")[0].strip()
    return int(line) if line.isdecimal() else 0


def _with_semicolon(source: str, line: int) -> str | None:
    """`source` with a semicolon in front of the `await` that starts `line`; None when the line starts otherwise.

    The engine of `quickjs` reads the word after an arrow function as if it still stood inside: `await` there is a name,
    and what follows it an error. The semicolon is the one that the language would insert.
    """
    lines = source.split("\n")
    if not 0 < line <= len(lines):
        return None
    text = lines[line - 1]
    if not text.lstrip().startswith("await"):
        return None
    lines[line - 1] = ";" + text
    return "\n".join(lines)


def blank_export(source: str) -> str:
    """`source` as a function's body: the byte order mark, a `#!` line and the first `export` become blanks.

    Every line stays where it is, and every column. Linear in the text before the first statement; no regular
    expressions on hostile text.
    """
    at = 0
    if source.startswith("\ufeff"):
        source, at = " " + source[1:], 1
    if source.startswith("#!", at):
        source = source[:at] + "//" + source[at + 2 :]
    end = len(source)
    while at < end:
        if source[at].isspace() or source[at] == "\ufeff":
            at += 1
        elif source.startswith("//", at):
            newline = min((i for i in map(source.find, "\n\r\u2028\u2029", (at,) * 4) if i >= 0), default=end)
            at = newline + 1
        elif source.startswith("/*", at):
            close = source.find("*/", at + 2)
            at = end if close < 0 else close + 2
        else:
            break
    if source.startswith("export", at) and source[at + 6 : at + 7].isspace():
        rest = source[at + 6 : at + 70].lstrip()
        if rest.startswith("const") and rest[5:6].isspace():
            return source[:at] + "      " + source[at + 6 :]
    return source


def _send(kind: int, *parts: bytes) -> None:
    data = memoryview(framing.frame(kind, *parts))
    while data:
        data = data[os.write(framing.CHANNEL, data) :]
