"""`pawl check`: everything that is wrong with scripts, all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.cli.command import Command, Shell, command
from engine.cli.streams import printable
from engine.errors import ScriptError
from engine.values import Json

if TYPE_CHECKING:
    from engine.engine import Engine


@command("check", example="pawl check workflows/*.js --portable")
@click.argument("scripts", metavar="SCRIPT…", nargs=-1, required=True)
@click.option("--portable", is_flag=True, help="Warn about what other runtimes of the dialect refuse, too.")
async def check(shell: Shell, scripts: tuple[str, ...], portable: bool) -> int:
    """Say everything that is wrong with scripts, without running them. Exits 1 when one has an error."""
    from engine.engine import Engine

    reports: list[dict[str, Json]] = []
    async with Engine.open(shell.project, journal=shell.journal) as engine:
        for name in scripts:
            report, text = await _checked(engine, name, is_portable=portable)
            reports.append(report)
            shell.out.print(printable(text))
    is_ok = all(report["ok"] for report in reports)
    if shell.out.is_json:
        shell.out.json({"ok": is_ok, "files": reports})
    return 0 if is_ok else 1


async def _checked(engine: Engine, name: str, *, is_portable: bool) -> tuple[dict[str, Json], str]:
    """The report on one script for programs and for people. A file that is no text at all is a script with an error."""
    from engine.cli.inputs import script_source

    try:
        source = script_source(name, engine.project)
        report = await engine.check(
            source.text, file=name if source.path is not None else source.name, portable=is_portable
        )
    except ScriptError as error:
        problem = {
            "severity": "error",
            "code": error.code,
            "message": error.message,
            "line": error.fields.get("line", 1),
            "column": error.fields.get("column", 1),
            "end_line": error.fields.get("line", 1),
            "end_column": error.fields.get("column", 1),
            "excerpt": error.fields.get("excerpt", ""),
            "caret": "",
            "hint": error.hint,
            "rule": "",
        }
        told = {"file": name, "ok": False, "errors": 1, "warnings": 0, "more": 0, "name": None, "problems": [problem]}
        return told, "\n".join(filter(None, (f"error: {error.message}", error.fields.get("excerpt"), error.hint)))
    return report.to_json(), report.render()


COMMANDS: dict[str, Command] = {"check": check}
