"""Says at the end which seed the crashes of this session had."""

from __future__ import annotations

import pytest
from support.crashing import SEED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"crashes: CRASH_SEED={SEED} repeats them")
