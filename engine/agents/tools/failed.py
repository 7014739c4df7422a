"""How a tool says no."""

from __future__ import annotations


class ToolFailed(Exception):
    """The tool cannot do what was asked. The message is for the model: what, why, what to do instead."""
