"""The dialect's words: which globals there are, which give promises, which options calls take.

`stdlib_js/` defines them and docs/scripts.md documents them; a test holds this table to the library.
"""

from __future__ import annotations

PROMISING = frozenset(
    {
        *("agent", "parallel", "pipeline", "workflow", "race", "dag", "sleep"),
        *("check", "ask", "readFile", "writeFile", "glob", "exists", "mergeWorktree"),
        *("vote", "judgePanel", "bestOf", "loopUntilDry", "retry", "tournament", "mapReduce"),
    }
)
"""Functions that return a promise."""
ASKING = (
    *("agent", "parallel", "pipeline", "workflow", "race", "dag"),
    *("vote", "judgePanel", "bestOf", "loopUntilDry", "retry", "tournament", "mapReduce"),
)
"""Functions that ask agents, or call functions that do."""

AGENT_OPTIONS = ("label", "phase", "schema", "model", "effort", "isolation", "agentType")
"""Of `agent()`, in every runtime of the dialect (S25)."""
MORE_AGENT_OPTIONS = {
    **dict.fromkeys(("tools", "timeoutMinutes", "retry", "backend", "cwd", "cache", "full"), "S26"),
    **dict.fromkeys(("goal", "check"), "S70"),
    "candidates": "S71",
}
"""Of `agent()`, ours → rule."""
JOIN_OPTIONS = ("settle", "failFast", "concurrency")
"""Of `parallel()` and `pipeline()` (S34)."""
EFFORTS = ("low", "medium", "high", "xhigh", "max")


def near(word: str, known: tuple[str, ...]) -> str:
    """` Did you mean `x`?` when a known word is at most a third of its letters away, else an empty text."""
    if len(word) > 40:
        return ""
    distance, best = min((_distance(word.lower(), name.lower()), name) for name in known)
    return f" Did you mean `{best}`?" if distance <= max(1, len(best) // 3) else ""


def _distance(a: str, b: str) -> int:
    """Letters to insert, remove, replace or swap with their neighbour (optimal string alignment)."""
    before: list[int] = []
    above = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        row = [i]
        for j, right in enumerate(b, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (left != right))
            if i > 1 and j > 1 and left == b[j - 2] and right == a[i - 2]:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, above = above, row
    return above[-1]
