"""File-system limits of the commands that subagents run."""

from __future__ import annotations


def confinement_level(confine: str = "auto") -> str:
    return "none"
