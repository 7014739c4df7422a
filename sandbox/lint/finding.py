"""What a rule finds: one problem with its place, worded for whoever has to mend it, often a model."""

from __future__ import annotations

from typing import Literal, NamedTuple

Severity = Literal["error", "warning"]


class Finding(NamedTuple):
    """One problem. `start` and `end` are byte offsets into the text.

    Attributes:
        code: a stable word, documented in docs/checks.md.
        rule: the rule of the contract that it comes from (`S07`), or an empty string.
        hint: one thing to do, best as the corrected line.
    """

    severity: Severity
    code: str
    rule: str
    start: int
    end: int
    message: str
    hint: str = ""


class Problem(Exception):
    """Carries a finding out of a reader that cannot go on after it."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding
