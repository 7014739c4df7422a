"""Every way in which a confined child can end, and the words for it.

What a child says of its own end is untrusted like all that it sends: a kind from the list below, and a detail that
is shown only where we need it, cut and without control characters.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use. The defaults are those of the settings `sandbox.*`."""

    memory_bytes: int = 256 << 20
    stack_bytes: int = 1 << 20
    cpu_turn_s: float = 2.0
    frame_bytes: int = 64 << 20


class SandboxDied(Exception):
    """The child is gone, and with it the run's present life. The host and every other run go on.

    Attributes:
        kind: `memory`, `cpu`, `stack`, `frame` (a limit), `crash` (the engine broke), `syscall` (a forbidden system
            call), `hostile` (it broke the frame protocol), `killed` (by somebody else, or by `close`),
            `source` (our own library does not evaluate), `engine` (anything else).
        message: for people; names the limit, its value and the setting.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class CompileError(Exception):
    """The engine refuses the text. `line` is the source's own, counted from 1; 0 when the engine names none."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


NOTICES = frozenset({"memory", "cpu", "stack", "frame", "engine", "source"})
"""Kinds that a child may give as the reason of its own end."""

CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGABRT, signal.SIGFPE, signal.SIGTRAP})


def of_kind(kind: str, limits: Limits, detail: str = "") -> SandboxDied:
    """The error for a death of `kind`. `detail` is untrusted."""
    detail = readable(detail)
    match kind:
        case "memory":
            message = (
                f"The script used more memory than the limit of {in_bytes(limits.memory_bytes)} "
                f"(setting sandbox.memory_bytes = {limits.memory_bytes})"
            )
        case "cpu":
            message = (
                f"The script computed for more than {limits.cpu_turn_s:g} s of CPU time without waiting for anything "
                f"(setting sandbox.cpu_turn_s = {limits.cpu_turn_s:g})"
            )
        case "stack":
            message = (
                f"The script's calls were nested deeper than a stack of {in_bytes(limits.stack_bytes)} can hold "
                f"(setting sandbox.stack_bytes = {limits.stack_bytes})"
            )
        case "frame":
            size = f"{in_bytes(int(detail))}, " if detail.isdecimal() and len(detail) < 20 else ""
            message = (
                f"One message of the script is too large: {size}at most {in_bytes(limits.frame_bytes)} are taken "
                f"(setting sandbox.frame_bytes = {limits.frame_bytes})"
            )
        case "crash":
            message = (
                f"The script crashed the JavaScript engine ({detail}). Most often: data nested so deeply that native "
                "recursion overflows. The host and other runs are not affected"
            )
        case "syscall":
            message = (
                "The script's process made a system call that the sandbox forbids and was killed (SIGSYS). No script "
                "does that by honest means: please report it, with the script"
            )
        case "hostile":
            message = f"The script's process broke the protocol and was killed: {detail}"
        case "killed":
            message = (
                f"The script's process was ended from outside ({detail}). If nobody did that, the machine ran out of "
                "memory: see the system log"
            )
        case "source":
            message = f"The standard library does not evaluate: {detail}"
        case _:
            kind, message = "engine", f"The script's process failed: {detail}"
    return SandboxDied(kind, message)


def from_status(status: int, limits: Limits) -> SandboxDied:
    """The error for a child that ended with wait status `status` and without a word."""
    code = status if status < 0 else 0
    if code == 0:
        return of_kind("engine", limits, f"it ended with exit code {status} and without a word")
    number = -code
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number == signal.SIGXCPU:
        return of_kind("cpu", limits)
    if number == signal.SIGSYS:
        return of_kind("syscall", limits)
    if number in CRASHES:
        return of_kind("crash", limits, name)
    return of_kind("killed", limits, name)


def in_bytes(size: int) -> str:
    """`size` for people: 64 MiB, 1.5 GiB, 900 bytes."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size} bytes"


def readable(text: str) -> str:
    """Untrusted text as one short line without control characters."""
    return "".join(c if c.isprintable() else " " for c in text[:500]).strip()
