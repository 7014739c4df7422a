"""All families of rules. A new one is a file with a function `Syntax -> Iterator[Finding]` and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sandbox.lint.awaits import find_missing_awaits
from sandbox.lint.barriers import find_needless_barriers
from sandbox.lint.calls import find_bad_calls
from sandbox.lint.caps import find_silent_caps
from sandbox.lint.finding import Finding
from sandbox.lint.language import find_line_separators
from sandbox.lint.loops import find_unbounded_loops
from sandbox.lint.modules import find_modules
from sandbox.lint.nulls import find_unhandled_nulls
from sandbox.lint.portable import find_unportable
from sandbox.lint.prompts import find_identical_prompts, find_prompts_without_input, find_tasks_for_code
from sandbox.lint.story import find_result_not_returned, find_unknown_phases
from sandbox.lint.syntax import Syntax

Rule = Callable[[Syntax], Iterator[Finding]]

ALWAYS: tuple[Rule, ...] = (find_modules, find_line_separators)
"""What a run is refused for, and what it warns about."""

MISTAKES: tuple[Rule, ...] = (
    *(find_bad_calls, find_missing_awaits, find_unknown_phases, find_result_not_returned),
    *(find_needless_barriers, find_unbounded_loops, find_unhandled_nulls, find_silent_caps),
    *(find_tasks_for_code, find_prompts_without_input, find_identical_prompts),
)
"""What is allowed and most likely not what was meant; only `pawl check` looks for it."""

PORTABLE: tuple[Rule, ...] = (find_unportable,)
"""What other runtimes of the dialect refuse: `pawl check --portable`."""
