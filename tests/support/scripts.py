"""Texts checked as `pawl check` and a run check them: by the real sandbox and the real parser."""

from __future__ import annotations

from support.tiny_library import TEXT

from engine.checks import CheckReport, Diagnostic
from engine.inspection import Inspection, inspect
from engine.script import decode
from sandbox import Limits, Sandbox
from sandbox.parsing import ParserProcess

META = "export const meta = { name: 'n', description: 'd' };\n"
"""One line, so that a script's own text starts on line 2."""


async def inspected(text: str | bytes, *, mistakes: bool = False, portable: bool = False) -> Inspection:
    """What both children say of `text`, as the file `w.js`."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    decoded = decode(data, "w.js")
    sandbox = Sandbox.spawn(Limits(), [("tiny.js", TEXT)])
    parser = ParserProcess.spawn()
    try:
        return await inspect(decoded, "w.js", sandbox, parser, mistakes=mistakes, portable=portable)
    finally:
        await sandbox.close()


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
