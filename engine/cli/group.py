"""The `pawl` group: knows every command by name, imports one when it is called."""

from __future__ import annotations

import difflib

import click

from engine.cli.command import Shell
from engine.cli.commands import COMMANDS, load


class LazyGroup(click.Group):
    """Lists `COMMANDS` without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found = load(cmd_name)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        formatter.write("Example:\n  pawl run repo-tour\n")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}.{near(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)


def near(name: str, known: object) -> str:
    """` Did you mean 'X'?` for the nearest of `known`, or nothing."""
    found = difflib.get_close_matches(name, list(known), n=1)  # type: ignore[call-overload]
    return f" Did you mean {found[0]!r}?" if found else ""


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("pawl-engine")
    except PackageNotFoundError:  # run from a checkout that was never installed
        number = "unknown"
    ctx.ensure_object(Shell).out.print(f"pawl {number}")
    ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
@click.option("--quiet", "-q", is_flag=True, help="Say only what must be said.")
@click.pass_context
def pawl(ctx: click.Context, quiet: bool) -> None:
    """Runs workflows of coding agents: sandboxed scripts, durable results, resume that is right."""
    ctx.ensure_object(Shell).out.is_quiet = quiet
