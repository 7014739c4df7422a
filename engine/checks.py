"""What `pawl check` says of a script: every problem at once, with its place, worded so that a model can mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from engine.errors import ScriptError
from engine.positions import Excerpt, SourceText
from engine.values import Json

Severity = Literal["error", "warning"]

SCRIPT_ERROR_CODES = {"import": "forbidden", "require": "forbidden", "export": "forbidden"}
"""Code of a diagnostic → code of the `ScriptError` that refuses a run for it; others by their beginning."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem of a script.

    Attributes:
        code: stable; docs/checks.md lists all.
        rule: the rule of the script contract that it comes from, or an empty string.
        line: from 1; `column`: in characters, from 1; `end_column`: after the last character.
        excerpt: the line of the file; `caret`: what to show below it.
        hint: what to do about it, best as the corrected line.
    """

    severity: Severity
    code: str
    message: str
    line: int
    column: int
    end_line: int
    end_column: int
    excerpt: str
    caret: str
    hint: str = ""
    rule: str = ""

    @classmethod
    def at(
        cls,
        source: SourceText,
        start: int,
        end: int,
        *,
        severity: Severity,
        code: str,
        message: str,
        hint: str = "",
        rule: str = "",
    ) -> Diagnostic:
        """A problem of the bytes from `start` to `end`."""
        span = source.span(start, end)
        excerpt: Excerpt = source.excerpt(span)
        return cls(severity, code, message, *span, excerpt.text, excerpt.caret, hint, rule)

    def to_json(self) -> dict[str, Json]:
        return {name: getattr(self, name) for name in self.__slots__}

    def to_error(self, file: str) -> ScriptError:
        """The error that refuses a run for this problem."""
        code = SCRIPT_ERROR_CODES.get(self.code) or ("meta" if self.code.startswith("meta") else "syntax")
        return ScriptError(
            f"{file}:{self.line}:{self.column}: {self.message}",
            code=code,
            hint=self.hint,
            file=file,
            line=self.line,
            column=self.column,
            excerpt=f"{self.excerpt}\n{self.caret}",
            problem=self.code,
            rule=self.rule,
        )

    def render(self, file: str) -> str:
        """For people: place, what, the line with a caret, what to do."""
        rule = f" [{self.rule}]" if self.rule else ""
        lines = [f"{file}:{self.line}:{self.column}: {self.severity}: {self.message}{rule}"]
        lines += [f"    {self.excerpt}", f"    {self.caret}"] if self.excerpt.strip() else []
        lines += [f"    {line}" for line in self.hint.splitlines()]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Everything that is known to be wrong with one script, in the order of the text.

    Attributes:
        meta: what the script says of itself, or None when that could not be read.
        more: problems beyond those listed.
    """

    file: str
    diagnostics: tuple[Diagnostic, ...] = ()
    meta: dict[str, Json] | None = None
    more: int = 0

    @property
    def errors(self) -> Sequence[Diagnostic]:
        return [found for found in self.diagnostics if found.severity == "error"]

    @property
    def warnings(self) -> Sequence[Diagnostic]:
        return [found for found in self.diagnostics if found.severity == "warning"]

    @property
    def is_ok(self) -> bool:
        """Whether the script can be run: it has no error; warnings do not count."""
        return not self.errors

    def to_json(self) -> dict[str, Json]:
        return {
            "file": self.file,
            "ok": self.is_ok,
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "more": self.more,
            "name": (self.meta or {}).get("name"),
            "problems": [found.to_json() for found in self.diagnostics],
        }

    def render(self) -> str:
        """For people: each problem, then one line that counts them."""
        blocks = [found.render(self.file) for found in self.diagnostics]
        if self.more:
            blocks.append(f"{self.file}: and {self.more} more")
        counts = [
            f"{number} {word}{'' if number == 1 else 's'}"
            for number, word in ((len(self.errors), "error"), (len(self.warnings), "warning"))
            if number
        ]
        blocks.append(f"{self.file}: {', '.join(counts) if counts else 'ok'}")
        return "\n".join(blocks)
