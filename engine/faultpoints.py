"""The places where the crash tests end the process: names, and what is called there when nothing is armed.

A fault is a function that is handed in (`Engine.open(fault=…)`) and called with the name of each point that is reached.
There is no switch for it: no flag, variable or setting of the product arms one. The tests start the command line with a
`main` of their own, which hands in a function that kills the process (`tests/support/crashing.py`).

Points of the journal are reached on its thread (`before_commit`, `after_commit`) or on the loop; a fault may end the
process, and does nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

FaultPoint: TypeAlias = Callable[[str], None]

JOURNAL = ("before_commit", "after_commit", "before_callbacks")
"""Of each group: its rows are written and not committed; committed and synced; nobody has been told yet."""
RUN = ("before_start", "before_deliver", "after_deliver", "before_end")
"""The lease is held and the script has not begun; around a turn of deliveries; the script has ended, unrecorded."""
POINTS = (*JOURNAL, *RUN)


def no_fault(_point: str) -> None:
    """Nothing is armed."""
