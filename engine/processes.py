"""Runs shell commands so that nothing of them outlives us, however we end.

A command gets a session of its own, so that the terminal's Ctrl-C does not reach it and all that it starts can be
killed together. Beside it, in the same process group, a guard waits on a pipe that only we hold open: when we close it,
or die of anything at all, the guard kills the group, itself included. So clean-up needs no pid that may be another's by
now, and no cooperation from us after a SIGKILL. What a command moves into a session of its own is out of reach; that
is the one way to leave something behind, and it takes intent.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from engine.ports import Clock

KEPT_BYTES = 1 << 20
"""Of each stream (S60). The rest is read and dropped, so that the command never blocks on a full pipe."""

_LAST_OUTPUT_S = 2.0
"""How long output may still come when the group is dead: only a process that left the group can hold the pipe open."""

# The guard is started first and is not a child of the command's shell in any way that shell can see: `wait` and `jobs`
# there know nothing of it. The command's shell replaces this one, so its pid leads the group.
_GUARDED = 'exec 3<&0 </dev/null; (read _ <&3; kill -KILL 0) >/dev/null 2>&1 & exec 3<&-; exec "$@"'


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. `exit_code` is 128 + n after signal n, as a shell counts, and None when time ran out."""

    exit_code: int | None
    stdout: str
    stderr: str


class _Stream:
    """The first `KEPT_BYTES` of an output, and how much there was."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._total = 0

    def add(self, data: bytes) -> None:
        self._total += len(data)
        if len(self._kept) < KEPT_BYTES:
            self._kept += data[: KEPT_BYTES - len(self._kept)]

    def text(self) -> str:
        is_cut = self._total > KEPT_BYTES
        # Not final when cut: half a character at the cut is dropped, not shown as a replacement.
        text = codecs.getincrementaldecoder("utf-8")("replace").decode(bytes(self._kept), final=not is_cut)
        return f"{text}\n[cut: {KEPT_BYTES:,} of {self._total:,} bytes]\n" if is_cut else text


class _Protocol(asyncio.SubprocessProtocol):
    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.streams = {1: _Stream(), 2: _Stream()}
        self.exited: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.streams[fd].add(data)

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


async def run_shell(
    command: str,
    *,
    cwd: str,
    timeout_s: float,
    clock: Clock,
    environment: Mapping[str, str] | None = None,
    within: Sequence[str] = (),
) -> Ended:
    """Runs `command` with `/bin/sh -c` in `cwd`, standard input empty, and waits for its end or for `timeout_s`.

    When it ends, is cancelled or runs out of time, everything left in its process group is killed.

    Args:
        environment: in place of ours.
        within: words of a program that starts the shell, in limits of its own; they stand before the shell's.

    Raises:
        OSError: it could not be started: a folder that is gone, a command too long for the system.
        ValueError: a NUL in the command.
    """
    loop = asyncio.get_running_loop()
    guard_end, our_end = os.pipe()  # neither is inherited, but for the one that becomes standard input
    is_open = True
    try:
        transport, protocol = await loop.subprocess_exec(
            _Protocol,
            *("/bin/sh", "-c", _GUARDED, "pawl-check", *within, "/bin/sh", "-c", command),
            stdin=guard_end,
            cwd=cwd,
            env=environment,
            start_new_session=True,
        )
    except BaseException:
        os.close(our_end)
        raise
    finally:
        os.close(guard_end)

    def kill() -> None:
        nonlocal is_open
        if is_open:
            is_open = False
            os.close(our_end)
            # The guard does it now. Once more from here, for a command that killed its guard: safe while its own
            # process, which leads the group, has not been waited for.
            if transport.get_returncode() is None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(transport.get_pid(), signal.SIGKILL)

    is_late = False

    def out_of_time() -> None:
        nonlocal is_late
        is_late = True
        kill()

    alarm = clock.call_later(timeout_s, out_of_time)
    try:
        await asyncio.shield(protocol.exited)
        kill()
        await asyncio.wait([protocol.closed], timeout=_LAST_OUTPUT_S)
    finally:
        alarm.cancel()
        kill()
        if not protocol.exited.done():  # cancelled: SIGKILL was sent; nothing is left behind when this returns
            await asyncio.wait([protocol.exited])
        transport.close()

    code = transport.get_returncode()
    assert code is not None
    return Ended(
        exit_code=None if is_late else code if code >= 0 else 128 - code,
        stdout=protocol.streams[1].text(),
        stderr=protocol.streams[2].text(),
    )
