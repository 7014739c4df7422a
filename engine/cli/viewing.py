"""Which view of a run a person gets."""

from __future__ import annotations

import os
import sys

from engine.cli.streams import Output, is_terminal
from engine.cli.views import PlainView, View


def view_for(out: Output) -> View:
    """The live tree on a terminal that can move its cursor, else plain lines."""
    if out.is_quiet or not is_terminal(sys.stderr) or os.environ.get("TERM") in ("dumb", None):
        return PlainView(out)
    from engine.cli.live import LiveView  # a run without a terminal starts without it

    return LiveView()
