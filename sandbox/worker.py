"""A confined child process as the host sees it: a pipe with frames, a watchdog, and one error for its end.

Everything that the child sends is hostile until checked: sizes before anything is allocated, and whoever reads a
payload checks the rest. The watchdog runs only while the child owes an answer, and looks at the child's CPU time, never
at the clock on the wall: a loaded machine kills nobody. Keeps I5.

The class needs no running loop to start: `__init__` starts the process and sends what it can without waiting; the loop
comes in at the first `receive`. There is one future at a time and no task.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from sandbox import deaths, framing
from sandbox.deaths import Limits, SandboxDied

LOOK_S = 0.1
"""Between two looks of the watchdog, in seconds."""
SILENT_LOOKS = 300
"""Looks without CPU time used, without an answer, and asleep: such a child waits for nothing that could come."""
BOOT_CPU_S = 5.0
"""For a child that starts, whatever its limit: imports and our own library."""
REAP_S = 5.0
READ_BYTES = 1 << 18
MOST_FRAMES_WAITING = 8
NO_CPU_CLOCK_FACTOR = 20
"""Where the system does not tell another process's CPU time, so many times the limit on the wall clock."""

_STARTER = "import sys;sys.path.append(sys.argv.pop(1));__import__(sys.argv[1]).main()"


class Worker:
    """One child process that runs `main()` of a module of this folder.

    Attributes:
        died: how it ended, or None while it lives.
    """

    def __init__(self, module: str, arguments: Sequence[str], limits: Limits) -> None:
        """Starts `python -I -S`, with `sys.argv` = `["-c", module, *arguments, parent pid, "1" or "0"]`.

        The last argument says whether the main thread started it: `jail.die_with_parent` is meant for that only,
        since the kernel takes the starting thread for the parent.
        """
        self.died: SandboxDied | None = None
        self._limits = limits
        self._loop: asyncio.AbstractEventLoop | None = None
        self._input = bytearray()
        self._output = bytearray()
        self._frames: deque[tuple[int, bytes]] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._is_reading = False
        self._verdict: SandboxDied | None = None
        self._reaping_since: float | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._owes = False
        self._cpu_mark = 0.0
        self._cpu_seen = 0.0
        self._silent_looks = 0
        self._cpu_cap = -1
        self._status: int | None = None
        self.pid, self._socket = _start(module, arguments)
        self._cpu_clock = (~self.pid << 3) | 2 if sys.platform == "linux" else None  # CPUCLOCK_SCHED of a process
        self._allow_cpu(BOOT_CPU_S)

    # ---- frames

    def send(self, kind: int, *parts: bytes) -> None:
        """Sends one frame; what the pipe does not take at once goes out while we wait. The child then owes an answer.

        Raises:
            SandboxDied: it is gone already.
        """
        if self.died is not None:
            raise self.died
        self.expect()
        data = framing.frame(kind, *parts)
        if not self._output:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:  # broken pipe: the reader finds the end, and the reason
                return
            if sent == len(data):
                return
            data = data[sent:]
        was_empty = not self._output
        self._output += data
        if was_empty and self._loop is not None:
            self._loop.add_writer(self._socket, self._writable)

    async def receive(self) -> tuple[int, bytes]:
        """The next frame's type and payload.

        Raises:
            SandboxDied: no further frame comes; says why.
        """
        if self._loop is None:
            self._attach()
        while not self._frames:
            if self.died is not None:
                raise self.died
            assert self._loop is not None
            self._resume_reading()
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._frames.popleft()

    def expect(self) -> None:
        """A turn begins: the child owes an answer and has the CPU limit for it, counted from now."""
        self._owes = True
        self._silent_looks = 0
        if self._loop is not None:
            self._allow_cpu(self._limits.cpu_turn_s)
            if self._watch is None:
                self._watch = self._loop.call_later(LOOK_S, self._look)

    def settle(self) -> None:
        """The child has answered and owes nothing: no limit runs until the next `send`."""
        self._owes = False

    def condemn(self, kind: str, detail: str = "") -> SandboxDied:
        """Kills the child. Returns the error that everybody who waits for it gets."""
        if self.died is None:
            if self._verdict is None:
                self._verdict = deaths.of_kind(kind, self._limits, detail)
            self._frames.clear()
            self._kill()
            if self.died is None and self._reaping_since is None:
                self._pause_reading()
                self._await_end()
        return self.died or self._verdict or deaths.of_kind(kind, self._limits, detail)

    async def close(self) -> None:
        """Kills and reaps. Idempotent; never raises."""
        self.condemn("killed", "closed")
        deadline = time.monotonic() + REAP_S
        # The kernel's signal for this belongs to whoever owns the loop; a killed process is gone in a millisecond.
        while self._status is None and not self._reap() and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        self._end()

    def close_now(self) -> None:
        """`close` for where no loop runs."""
        self.condemn("killed", "closed")
        deadline = time.monotonic() + REAP_S
        while self._status is None and not self._reap() and time.monotonic() < deadline:
            time.sleep(0.001)
        self._end()

    # ---- the pipe

    def _attach(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._resume_reading()
        if self._output:
            self._loop.add_writer(self._socket, self._writable)
        if self._owes:
            self._watch = self._loop.call_later(LOOK_S, self._look)

    def _resume_reading(self) -> None:
        if not self._is_reading and self._loop is not None and self.died is None and self._reaping_since is None:
            self._loop.add_reader(self._socket, self._readable)
            self._is_reading = True

    def _pause_reading(self) -> None:
        if self._is_reading and self._loop is not None:
            self._loop.remove_reader(self._socket)
            self._is_reading = False

    def _readable(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._pause_reading()
            self._await_end()
            return
        buffer = self._input
        buffer += data
        while len(buffer) >= framing.HEADER_BYTES:
            length = framing.read_u32(buffer, 0)
            if not 1 <= length <= self._limits.frame_bytes:
                self.condemn("hostile", f"a frame of {length} bytes")
                return
            if len(buffer) < 4 + length:
                break
            kind, payload = buffer[4], bytes(buffer[5 : 4 + length])
            del buffer[: 4 + length]
            if kind == framing.DIES:
                self._take_notice(payload)
            elif self._verdict is None:
                self._frames.append((kind, payload))
        if len(self._frames) >= MOST_FRAMES_WAITING:
            self._pause_reading()
        self._wake()

    def _writable(self) -> None:
        try:
            sent = self._socket.send(memoryview(self._output)[:READ_BYTES])
        except BlockingIOError:
            return
        except OSError:
            self._output.clear()
            sent = 0
        del self._output[:sent]
        if not self._output and self._loop is not None:
            self._loop.remove_writer(self._socket)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done() and (self._frames or self.died is not None):
            self._waiter.set_result(None)

    # ---- the end

    def _take_notice(self, payload: bytes) -> None:
        kind, _, detail = payload.partition(b"\0")
        name = kind.decode("ascii", "replace")
        if self._verdict is not None:
            return
        if name in deaths.NOTICES:
            self._verdict = deaths.of_kind(name, self._limits, detail.decode("utf-8", "replace"))
        else:
            self.condemn("hostile", f"a death notice of kind {name!r}")

    def _await_end(self) -> None:
        """The pipe has ended. The process is gone in a moment, or is made to go."""
        if self.died is not None or self._loop is None:
            return
        now = time.monotonic()
        if self._reaping_since is None:
            self._reaping_since = now
        if self._status is not None or self._reap():
            self._end()
            return
        if now - self._reaping_since > REAP_S / 5:
            self._kill()  # it closed its pipe and lives on
        self._loop.call_later(0.001 if now - self._reaping_since < 0.1 else 0.02, self._await_end)

    def _kill(self) -> None:
        if self._status is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)
            if self._reap():
                self._end()

    def _reap(self) -> bool:
        """Takes the exit status if there is one. The pid is ours until then, so no kill can hit a stranger."""
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:  # somebody else waited for it
            self._status = 0
            return True
        if pid == 0:
            return False
        self._status = os.waitstatus_to_exitcode(status)
        return True

    def _end(self) -> None:
        if self.died is not None:
            return
        if self._verdict is None and self._status is not None:
            self._drain_last_words()
        if self._verdict is None:
            self._verdict = deaths.from_status(self._status if self._status is not None else 0, self._limits)
        self.died = self._verdict
        self._owes = False
        if self._loop is not None and not self._loop.is_closed():
            self._pause_reading()
            self._loop.remove_writer(self._socket)
            if self._watch is not None:
                self._watch.cancel()
        self._socket.close()
        self._wake()

    def _drain_last_words(self) -> None:
        """A death notice may still lie in the pipe of a process that is gone."""
        with contextlib.suppress(OSError):
            while data := self._socket.recv(READ_BYTES):
                self._input += data
                if len(self._input) > self._limits.frame_bytes:
                    return
        buffer = self._input
        while len(buffer) >= framing.HEADER_BYTES:
            length = framing.read_u32(buffer, 0)
            if length < 1 or len(buffer) < 4 + length:
                return
            if buffer[4] == framing.DIES:
                self._take_notice(bytes(buffer[5 : 4 + length]))
                return
            del buffer[: 4 + length]

    # ---- the watchdog

    def cpu_s(self) -> float:
        """CPU seconds that the child has used; where the system does not tell, seconds on the wall."""
        if self._cpu_clock is None:
            return time.monotonic()
        try:
            return time.clock_gettime(self._cpu_clock)
        except OSError:  # it is gone
            return self._cpu_seen

    def turn_cpu_s(self) -> float:
        """CPU seconds since the turn began."""
        return self.cpu_s() - self._cpu_mark

    def peak_memory_bytes(self) -> int:
        """The most memory that the child has held, or 0 where the system does not tell."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii", errors="replace")
        except OSError:
            return 0
        _, _, rest = status.partition("VmHWM:")
        number = rest.split(None, 1)[0] if rest.strip() else ""
        return int(number) << 10 if number.isdecimal() else 0

    def _allow_cpu(self, turn_s: float) -> None:
        """Moves the kernel's CPU limit ahead, in whole seconds: the net under the watchdog, which a busy loop of ours
        may keep from looking. Costs a microsecond, and a system call only when the second has changed."""
        self._turn_s = turn_s
        self._cpu_mark = self._cpu_seen = self.cpu_s()
        if self._cpu_clock is None:
            return
        cap = int(self._cpu_mark + turn_s * 1.5) + 2
        if cap != self._cpu_cap:
            self._cpu_cap = cap
            with contextlib.suppress(OSError):
                resource.prlimit(self.pid, resource.RLIMIT_CPU, (cap, resource.RLIM_INFINITY))

    def _look(self) -> None:
        self._watch = None
        if not self._owes or self.died is not None or self._loop is None:
            return  # the next turn sets a new one
        most = self._turn_s * (1.5 if self._cpu_clock is not None else NO_CPU_CLOCK_FACTOR) + 0.5
        if self.turn_cpu_s() > most:
            self.condemn("cpu")
            return
        if self._is_asleep_without_reason():
            self._silent_looks += 1
            if self._silent_looks > SILENT_LOOKS:
                self.condemn("hostile", "it owes an answer, does nothing and says nothing")
                return
        else:
            self._silent_looks = 0
        self._cpu_seen = self.cpu_s()
        self._watch = self._loop.call_later(LOOK_S, self._look)

    def _is_asleep_without_reason(self) -> bool:
        if self._cpu_clock is None or self._output or not self._is_reading or self.cpu_s() != self._cpu_seen:
            return False
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_bytes()
        except OSError:
            return False
        return stat.rpartition(b")")[2].split()[:1] == [b"S"]


def _start(module: str, arguments: Sequence[str]) -> tuple[int, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    # A number above the one that it gets in the child: duplicating a descriptor onto itself would leave it to be
    # closed on exec.
    high = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 64)
    theirs.close()
    is_main = threading.current_thread() is threading.main_thread()
    command = [
        sys.executable,
        *("-I", "-S", "-c", _STARTER, str(Path(__file__).parent), module, *arguments),
        *(str(os.getpid()), "1" if is_main else "0"),
    ]
    environment = {"TZ": "UTC", "LC_ALL": "C.UTF-8"}
    for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"):  # where a relocated interpreter finds itself
        if name in os.environ:
            environment[name] = os.environ[name]
    try:
        pid = os.posix_spawn(
            sys.executable,
            command,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, high, framing.CHANNEL),
                *((os.POSIX_SPAWN_CLOSE, number) for number in (0, 1, 2)),
            ],
            setsid=True,  # a Ctrl-C at the terminal is for the host
            setsigmask=[],
            setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXCPU],
        )
    except BaseException:
        ours.close()
        raise
    finally:
        os.close(high)
    return pid, ours
