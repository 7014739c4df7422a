"""Pawl runs workflows of coding agents. This is the Python API; docs/python.md has a runnable example.

Names are loaded when they are first used: `import engine` alone costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.engine import Engine, RunHandle
    from engine.errors import (
        AgentError,
        EngineBug,
        JournalError,
        LimitReached,
        PawlError,
        ReplayDiffers,
        RunStateError,
        ScriptError,
        UsageError,
    )
    from engine.options import UNSET, ResumeOptions, RunOptions, RunResult
    from engine.settings import Settings
    from engine.values import RunStatus, Usage
    from engine.workflows import ScriptSource, find

__version__ = "0.1.0"

_HOMES = {
    "engine.engine": ("Engine", "RunHandle"),
    "engine.errors": (
        "AgentError",
        "EngineBug",
        "JournalError",
        "LimitReached",
        "PawlError",
        "ReplayDiffers",
        "RunStateError",
        "ScriptError",
        "UsageError",
    ),
    "engine.options": ("UNSET", "ResumeOptions", "RunOptions", "RunResult"),
    "engine.settings": ("Settings",),
    "engine.values": ("RunStatus", "Usage"),
    "engine.workflows": ("ScriptSource", "find"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "UNSET",
    "AgentError",
    "Engine",
    "EngineBug",
    "JournalError",
    "LimitReached",
    "PawlError",
    "ReplayDiffers",
    "ResumeOptions",
    "RunHandle",
    "RunOptions",
    "RunResult",
    "RunStateError",
    "RunStatus",
    "ScriptError",
    "ScriptSource",
    "Settings",
    "Usage",
    "UsageError",
    "find",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    return getattr(import_module(home), name)
