"""`pawl check`: everything that is wrong with scripts, all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.cli.command import Command

if TYPE_CHECKING:
    pass

COMMANDS: dict[str, Command] = {}
