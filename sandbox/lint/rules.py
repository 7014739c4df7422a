"""All families of rules. A new one is a file with a function `Syntax -> Iterator[Finding]` and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sandbox.lint.finding import Finding
from sandbox.lint.language import find_line_separators
from sandbox.lint.modules import find_modules
from sandbox.lint.syntax import Syntax

Rule = Callable[[Syntax], Iterator[Finding]]

ALWAYS: tuple[Rule, ...] = (find_modules, find_line_separators)
"""What a run is refused for, and what it warns about."""

MISTAKES: tuple[Rule, ...] = ()
PORTABLE: tuple[Rule, ...] = ()
