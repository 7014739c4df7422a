"""What every command shares: its flags, its help with one example, how its body is called.

A body is a plain or an async function whose first argument is the `Shell`. It returns its exit code (None is 0), and
raises `PawlError` for everything that a person can mend; `main` prints those.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from engine.cli.streams import Output

Body = Callable[..., "int | Coroutine[Any, Any, int | None] | None"]


@dataclass(slots=True)
class Shell:
    """Where a command runs and prints.

    Attributes:
        project: `--project`, or None: found from the current folder.
        journal: `--journal` (or PAWL_JOURNAL), or None: `.pawl/pawl.db` of the project.
    """

    out: Output = field(default_factory=Output)
    project: Path | None = None
    journal: Path | None = None


class Command(click.Command):
    """A command whose help ends in one example."""

    example: str = ""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        formatter.write(f"Example:\n  {self.example}\n")


def command(
    name: str,
    *,
    example: str,
    has_json: bool = True,
    has_journal: bool = True,
) -> Callable[[Body], Command]:
    """Makes a `Command` of a body. Flags of its own are put on the body with `click.option` first.

    Args:
        name: as typed, for usage lines.
        example: one line that works.
        has_json: it prints a result, so it takes `--json`.
        has_journal: it looks into a project, so it takes `--project` and `--journal`.
    """

    def decorate(body: Body) -> Command:
        def callback(**given: Any) -> Any:
            shell = click.get_current_context().ensure_object(Shell)
            shell.out.is_json = given.pop("as_json", False)
            shell.out.is_quiet = given.pop("is_quiet", False) or shell.out.is_quiet
            shell.project = given.pop("project", None)
            shell.journal = given.pop("journal", None)
            code = body(shell, **given)
            if inspect.iscoroutine(code):
                import asyncio

                code = asyncio.run(code)
            return code or 0

        own: list[click.Parameter] = list(reversed(getattr(body, "__click_params__", [])))
        made = Command(name, callback=callback, params=own + _shared(has_json, has_journal), help=inspect.getdoc(body))
        made.example = example
        return made

    return decorate


def _shared(has_json: bool, has_journal: bool) -> list[click.Parameter]:
    folder = click.Path(path_type=Path, file_okay=False, exists=True)
    shared: list[click.Parameter] = []
    if has_journal:
        shared += [
            click.Option(["--project"], type=folder, metavar="DIR", envvar="PAWL_PROJECT",
                         help="Project root; default: the nearest folder with .pawl or .git."),
            click.Option(["--journal"], type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
                         envvar="PAWL_JOURNAL", help="Journal file; default: .pawl/pawl.db of the project."),
        ]  # fmt: skip
    if has_json:
        shared.append(click.Option(["--json", "as_json"], is_flag=True, help="Print JSON and nothing else."))
    shared.append(click.Option(["--quiet", "-q", "is_quiet"], is_flag=True, help="Say only what must be said."))
    return shared
