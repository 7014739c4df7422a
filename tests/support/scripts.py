"""Texts checked as `pawl check` and a run check them: by the real sandbox and the real parser."""

from __future__ import annotations

from dataclasses import dataclass

from support.tiny_library import TEXT

from engine.checks import CheckReport, Diagnostic
from engine.positions import SourceText
from engine.script import CompileFailure, Script, check_report, checked, decode
from sandbox import CompileError, Limits, Sandbox
from sandbox.parsing import Parsed, ParserProcess

META = "export const meta = { name: 'n', description: 'd' };\n"
"""One line, so that a script's own text starts on line 2."""


@dataclass(frozen=True)
class Inspection:
    """What both children said of a text."""

    source: SourceText
    parsed: Parsed
    failure: CompileFailure | None

    def script(self) -> Script:
        return checked(self.source, self.parsed, self.failure)

    def report(self) -> CheckReport:
        return check_report(self.source, self.parsed, self.failure)


async def inspected(text: str | bytes, *, mistakes: bool = False, portable: bool = False) -> Inspection:
    """What both children say of `text`, as the file `w.js`."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    source = SourceText(decode(data, "w.js"), "w.js")
    sandbox = Sandbox.spawn(Limits(), [("tiny.js", TEXT)])
    parser = ParserProcess.spawn()
    failure = None
    try:
        await sandbox.compile(1, source.text)
    except CompileError as refused:
        failure = CompileFailure(refused.message, refused.line or None)
    finally:
        await sandbox.close()
    return Inspection(source, await parser.parse(source.data, mistakes=mistakes, portable=portable), failure)


async def report(text: str | bytes, *, mistakes: bool = False, portable: bool = False) -> CheckReport:
    return (await inspected(text, mistakes=mistakes, portable=portable)).report()


async def problems(body: str, *, mistakes: bool = False, portable: bool = False) -> list[tuple[str, int, int, str]]:
    """(code, line, column, message) of everything found in a script with a good meta before `body`."""
    found = (await report(META + body, mistakes=mistakes, portable=portable)).diagnostics
    return [(one.code, one.line, one.column, one.message) for one in found]


async def only(body: str, *, mistakes: bool = False, portable: bool = False) -> Diagnostic:
    """The one problem of a script with a good meta before `body`."""
    found = (await report(META + body, mistakes=mistakes, portable=portable)).diagnostics
    assert len(found) == 1, found
    return found[0]
