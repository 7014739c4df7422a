"""The child processes of a run, started before anybody knows what they will run.

A child boots in the time that Python takes to read our own modules, if it is started first. What was started ahead is
handed out once, and only where its limits are the ones that are asked for; the rest is ended by `discard`.
"""

from __future__ import annotations

from engine.assets import stdlib_files
from engine.settings import SandboxSettings
from sandbox import Limits, Sandbox
from sandbox.parsing import ParserProcess

_sandbox: tuple[Limits, Sandbox] | None = None
_parser: ParserProcess | None = None


def limits(settings: SandboxSettings) -> Limits:
    """The limits of a script's process."""
    return Limits(
        memory_bytes=settings.memory_bytes,
        stack_bytes=settings.stack_bytes,
        cpu_turn_s=settings.cpu_turn_s,
        frame_bytes=settings.frame_bytes,
    )


def prewarm() -> None:
    """Starts both children with the default limits. Sync; nothing else of ours need be imported yet."""
    global _sandbox, _parser  # noqa: PLW0603 - one command line, one pair of children
    wanted = limits(SandboxSettings())
    _sandbox = (wanted, Sandbox.spawn(wanted, stdlib_files()))
    _parser = ParserProcess.spawn()


def sandbox(settings: SandboxSettings) -> Sandbox:
    """The sandbox that was started ahead, or a new one. The caller closes it."""
    global _sandbox
    wanted = limits(settings)
    if _sandbox is not None and _sandbox[0] == wanted:
        (_, ready), _sandbox = _sandbox, None
        return ready
    return Sandbox.spawn(wanted, stdlib_files())


def parser() -> ParserProcess:
    """The parser that was started ahead, or a new one. The caller closes it."""
    global _parser
    ready, _parser = _parser, None
    return ready or ParserProcess.spawn()


def discard() -> None:
    """Ends what nobody took. Idempotent."""
    global _sandbox, _parser
    left, _sandbox = _sandbox, None
    if left is not None:
        left[1].close_now()
    unused, _parser = _parser, None
    if unused is not None:
        unused.close()
