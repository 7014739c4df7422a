"""What a good script has, told as `pawl new` tells it: by `pawl check`, simulations, a look at the text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.authoring.examining import Examined, examined
from engine.settings import Settings

BASE = (
    *("runs", "returns", "bounded", "handles_null", "no_barrier", "says_caps"),
    *("caps", "has_input", "varies", "code_does_code", "permissions"),
)
"""Checks of every script."""


@dataclass(frozen=True, slots=True)
class Examination:
    """One script with everything that is known of it.

    Attributes:
        code: the script without its comments.
        needs: the permissions that the request cannot do without.
    """

    found: Examined
    code: str
    needs: frozenset[str]

    def has(self, *codes: str) -> bool:
        """Whether one of these problems was found, in the text or in a simulation."""
        return any(problem.code in codes for problem in self.found.problems)

    def calls(self, name: str) -> bool:
        return re.search(rf"(?<![\w.]){name}\(", self.code) is not None

    @property
    def permissions(self) -> frozenset[str]:
        asked = self.found.meta.get("permissions")
        return frozenset(asked) if isinstance(asked, list) else frozenset()


CHECKS: Mapping[str, Callable[[Examination], bool]] = {
    "runs": lambda script: script.found.is_ok,
    "returns": lambda script: not script.has("result_not_returned"),
    "bounded": lambda script: not script.has("unbounded_loop", "too_many_agents", "too_slow"),
    "handles_null": lambda script: not script.has("unhandled_null", "crashes"),
    "no_barrier": lambda script: not script.has("barrier_without_need"),
    "says_caps": lambda script: not script.has("silent_cap"),
    "caps": lambda script: "agents" in (script.found.meta.get("limits") or {}),
    "has_input": lambda script: not script.has("prompt_without_input"),
    "varies": lambda script: not script.has("identical_prompts"),
    "code_does_code": lambda script: not script.has("agent_for_code"),
    "permissions": lambda script: script.needs <= script.permissions and not script.has("not_permitted"),
    "pipeline": lambda script: script.calls("pipeline"),
    "schema": lambda script: re.search(r"\bschema\b", script.code) is not None,
    "log": lambda script: script.calls("log"),
    "fan_out": lambda script: any(group.width > 1 for group in script.found.shape.groups.values()),
}
"""Name → whether a script passes."""


async def failed(text: str, checks: Iterable[str], needs: Iterable[str], *, project: Path) -> list[str]:
    """The names of the checks that a script does not pass, of `BASE` and of `checks`.

    Args:
        needs: permissions that it has to ask for.
        project: the workspace of the simulations, which may read its files.
    """
    script = Examination(await examined(project, Settings(), text), _bare(text), frozenset(needs))
    return [name for name in dict.fromkeys((*BASE, *checks)) if not CHECKS[name](script)]


def _bare(text: str) -> str:
    """Without comments on lines of their own: what they speak of is not done."""
    return re.sub(r"(?m)^\s*//.*$|/\*[\s\S]*?\*/", "", text)
