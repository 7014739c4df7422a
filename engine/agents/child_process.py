"""Starts a coding agent's program and talks with it over pipes; nothing of it outlives us, however we end.

Like a command of `engine/processes.py` it gets a session of its own and, beside it, a guard that kills the group once
we close a pipe or die. What left the group carries a mark (`engine/marks.py`): that is killed as well, by the guard
when we are dead and by us when we are not.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType

from engine.marks import MARK, carriers, end_carriers, kill_carriers, new_mark
from engine.threads import in_thread

LINE_BYTES = 64 << 20
"""One line of output. A tool's result is part of a line; a longer one is dropped, not the conversation."""
_TAIL_BYTES = 16 << 10
_READ_BYTES = 1 << 16
_GRACE_S = 1
"""For a program that is stopped to save its session: what it writes late would be asked and paid for again."""
_LAST_WORDS_S = 5.0
"""How long a killed program's standard error may stay open."""

# $1: the guard's end of the pipe. $2: the mark. The rest: the command. The shell that runs this does not carry the
# mark, so the guard does not kill itself before it is done; the program takes the shell's place, so its pid is `$$` and
# leads the group: nobody else gets that pid while the guard lives. When we are dead, the program may save its session.
_GUARDED = f"""
exec 3</dev/fd/"$1"; mark=$2; shift 2
( read word <&3
  [ "$word" = now ] || {{ kill -TERM $$; sleep {_GRACE_S}; }}
  for round in 1 2; do
    for file in $(grep -lszxF "{MARK}=$mark" /proc/[0-9]*/environ); do
      pid=${{file#/proc/}}; kill -KILL "${{pid%/environ}}"
    done
  done
  kill -KILL 0
) </dev/null >/dev/null 2>&1 &
exec 3<&-; exec env "{MARK}=$mark" "$@"
"""


class _Protocol(asyncio.subprocess.SubprocessStreamProtocol):
    """Tells that the process is gone, not only that its pipes are closed, which others may hold open."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(limit=_READ_BYTES, loop=loop)
        self.exited: asyncio.Future[None] = loop.create_future()

    def process_exited(self) -> None:
        super().process_exited()
        if not self.exited.done():
            self.exited.set_result(None)


class ChildProcess:
    """A running program. Use `async with`: what is left of it then is killed.

    Attributes:
        stdin: write to it, `drain()`, `close()`.
        stdout: read it as lines with `lines()`, or as it is.
    """

    def __init__(self, transport: asyncio.SubprocessTransport, protocol: _Protocol, guard: int, mark: str) -> None:
        assert protocol.stdin is not None and protocol.stdout is not None and protocol.stderr is not None
        self.stdin: asyncio.StreamWriter = protocol.stdin
        self.stdout: asyncio.StreamReader = protocol.stdout
        self._stderr: asyncio.StreamReader = protocol.stderr
        self._transport = transport
        self._exited = protocol.exited
        self._guard: int | None = guard
        self._mark = mark
        self._tail = bytearray()
        self._watchers = (asyncio.ensure_future(self._keep_tail()), asyncio.ensure_future(self._clear_up()))

    @classmethod
    async def start(cls, command: Sequence[str], *, cwd: str, environment: Mapping[str, str]) -> ChildProcess:
        """Starts `command` in `cwd` with exactly `environment` and three pipes.

        Raises:
            OSError: a folder that is gone, a command too long for the system.
            ValueError: a NUL in the command.
        """
        loop = asyncio.get_running_loop()
        mark = new_mark()
        guard_end, our_end = os.pipe()
        try:
            transport, protocol = await loop.subprocess_exec(
                _Protocol,
                *("/bin/sh", "-c", _GUARDED, "pawl-agent", str(guard_end), mark, *command),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=cwd,
                env=dict(environment),
                start_new_session=True,
                pass_fds=(guard_end,),
            )
        except BaseException:
            os.close(our_end)
            raise
        finally:
            os.close(guard_end)
        return cls(transport, protocol, our_end, mark)

    async def __aenter__(self) -> ChildProcess:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            await self._ask_to_end()
        await self.close()

    @property
    def pid(self) -> int:
        return self._transport.get_pid()

    async def send(self, data: bytes) -> None:
        """Writes all of its standard input and closes it. A program that does not read it is no error."""
        with suppress(ConnectionError):
            self.stdin.write(data)
            await self.stdin.drain()
        self.stdin.close()

    async def lines(self) -> AsyncIterator[bytes]:
        """Lines of its output without their ends, until the program is gone; lines over `LINE_BYTES` are left out."""
        kept = bytearray()
        is_too_long = False
        while data := await self.stdout.read(_READ_BYTES):
            *ends, rest = data.split(b"\n")
            for end in ends:
                kept += end
                if not is_too_long and len(kept) <= LINE_BYTES:
                    yield bytes(kept)
                kept.clear()
                is_too_long = False
            kept += rest
            if len(kept) > LINE_BYTES:
                kept.clear()
                is_too_long = True
        if kept and not is_too_long:
            yield bytes(kept)

    async def wait(self) -> int:
        """Its exit code, 128 + n after signal n, as a shell counts."""
        await asyncio.shield(self._exited)
        code = self._transport.get_returncode()
        assert code is not None
        return code if code >= 0 else 128 - code

    async def error_text(self) -> str:
        """The end of what it wrote to standard error; call it when the program is gone."""
        await asyncio.wait([self._watchers[0]], timeout=_LAST_WORDS_S)
        return self._tail.decode("utf-8", "replace").strip()

    def companions(self) -> int:
        """How many processes that it has started are alive; 0 where nobody can tell."""
        return len(set(carriers(self._mark)) - {self.pid})

    def kill(self) -> None:
        """Kills the program and all that it has started, at once."""
        if self._guard is not None:
            with suppress(BrokenPipeError):
                os.write(self._guard, b"now\n")
            os.close(self._guard)  # the guard does it now; once more from here, for who has killed the guard
            self._guard = None
        if self._transport.get_returncode() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        kill_carriers(self._mark)

    async def close(self) -> None:
        """Kills what is left and returns when it is gone."""
        self.kill()
        try:
            if not self._exited.done():
                await asyncio.wait([self._exited])
            await in_thread(end_carriers, self._mark)
        finally:
            for watcher in self._watchers:
                watcher.cancel()
            await asyncio.gather(*self._watchers, return_exceptions=True)
            self._transport.close()

    async def _ask_to_end(self) -> None:
        if not self._exited.done():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGTERM)
            try:
                await asyncio.wait([self._exited], timeout=_GRACE_S)
            except asyncio.CancelledError:  # in a hurry: what called us is cancelled already
                self.kill()
                raise

    async def _clear_up(self) -> None:
        """What the program leaves running ends with it, and lets go of the pipes."""
        await asyncio.shield(self._exited)
        self.kill()

    async def _keep_tail(self) -> None:
        while data := await self._stderr.read(_READ_BYTES):
            self._tail += data
            del self._tail[:-_TAIL_BYTES]
