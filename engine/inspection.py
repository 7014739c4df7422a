"""One text before both children at once: the sandbox says whether it compiles, the parser what it says and where."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from engine.checks import CheckReport
from engine.positions import SourceText
from engine.script import CompileFailure, Script, check_report, checked, parser_failure
from sandbox import CompileError
from sandbox.parsing import Parsed, ParserDied, ParserProcess

MAIN_CODE = 1


class Compiler(Protocol):
    """The part of `Sandbox` that is needed here."""

    async def compile(self, code: int, source: str) -> object: ...


@dataclass(frozen=True, slots=True)
class Inspection:
    """What both children said of a text."""

    source: SourceText
    parsed: Parsed
    failure: CompileFailure | None

    def script(self) -> Script:
        """The script. Raises `ScriptError` with the first error of the text."""
        return checked(self.source, self.parsed, self.failure)

    def report(self) -> CheckReport:
        """Every problem of the text."""
        return check_report(self.source, self.parsed, self.failure)


async def inspect(
    text: str,
    file: str,
    compiler: Compiler,
    parser: ParserProcess,
    *,
    code: int = MAIN_CODE,
    mistakes: bool = False,
    portable: bool = False,
) -> Inspection:
    """Compiles and parses `text`, in parallel. The parser's process has ended afterwards; the compiler's has not.

    Raises:
        ScriptError: `syntax`: the parser could not take the text. SandboxDied: the compiler could not.
    """
    parsing = asyncio.ensure_future(parser.parse(text.encode(), mistakes=mistakes, portable=portable))
    try:
        failure = await _failure(compiler, code, text)
        parsed = await parsing
    except ParserDied as died:
        if failure is not None:  # the engine's own word has a line
            parsed = Parsed(None)
        else:
            raise parser_failure(file, died.message) from None
    finally:
        if not parsing.done():
            parsing.cancel()
            await asyncio.wait((parsing,))
    return Inspection(SourceText(text, file), parsed, failure)


async def _failure(compiler: Compiler, code: int, text: str) -> CompileFailure | None:
    try:
        await compiler.compile(code, text)
    except CompileError as refused:
        return CompileFailure(refused.message, refused.line or None)
    return None
