"""Working copies for subagents, and the way of their changes back into the project (S25, S64).

`Worktrees` is the face of it: `enter` and `leave` around a call, `merge` for scripts, `merge_by_hand` for
people, `forget` for deleted runs.
"""

from __future__ import annotations

from engine.worktrees.life import Worktrees

__all__ = ["Worktrees"]
