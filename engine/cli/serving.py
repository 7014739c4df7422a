"""`pawl mcp`: Pawl as a server of tools for other agents; and `pawl skill`, which tells them about it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.cli.command import Command, Shell, command
from engine.cli.driving import Amount
from engine.values import Json

if TYPE_CHECKING:
    from engine.engine import Engine
    from engine.options import RunOptions
    from engine.serving.skills import Skill
    from engine.serving.terms import Terms
    from engine.workflows import ScriptSource

PROGRAMS = ("claude", "codex", "opencode")


@command("mcp", example="pawl mcp --max-cost 5 --allow files", has_json=False)
@click.option("--http", "address", metavar="[HOST:]PORT", help="Serve over HTTP at /mcp, not standard input.")
@click.option("--allow-remote", is_flag=True, help="With --http: also a HOST that other machines reach; needs a token.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="With --http: clients must show the token in this file.",
)
@click.option("--allow", metavar="LIST", help="Host effects of runs: of check, ask, files.")
@click.option("--yes", is_flag=True, help="Large runs start without anybody's consent.")
@click.option("--backend", metavar="B", help="Default backend of runs.")
@click.option("--model", metavar="M", help="Default model of the agents.")
@click.option("--concurrency", type=click.IntRange(1, 1024), metavar="N", help="At most so many agents at once.")
@click.option("--budget", type=click.IntRange(0), metavar="TOKENS", help="At most so many output tokens for a run.")
@click.option("--max-cost", type=Amount(0), metavar="USD", help="US dollars, likewise.")
@click.option("--max-agents", type=click.IntRange(0), metavar="N", help="Agent calls, likewise.")
@click.option("--max-minutes", type=Amount(0), metavar="M", help="Minutes driven, likewise.")  # fmt: skip
def mcp(shell: Shell, *, address: str | None, allow_remote: bool, token_file: Path | None, **flags: Any) -> int:
    """Serve workflows to other agents over the Model Context Protocol.

    What clients may do is settled here and by the settings: they get no more than --allow and the caps say.
    """
    import asyncio

    from engine.cli.failing import as_pawl_error
    from engine.serving.desk import Desk
    from engine.serving.server import make_server, require_mcp, serve_stdio

    if address is None and (allow_remote or token_file is not None):
        raise click.UsageError("--allow-remote and --token-file go with --http.", click.get_current_context())
    require_mcp()
    server = make_server(Desk(_terms(shell, flags), _confirm), version=_version(), report=as_pawl_error)
    if address is not None:
        return _serve_http(shell, server, address, token_file, is_remote_allowed=allow_remote)
    # The reader of standard input cannot be interrupted in another way; nothing is kept here that an end could lose.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(serve_stdio(server))
    return 0


def _serve_http(shell: Shell, server: Any, address: str, token_file: Path | None, *, is_remote_allowed: bool) -> int:
    import asyncio

    from engine.serving import http

    host, port = http.address_of(address)
    token = None if token_file is None else http.token_in(token_file)
    http.refuse_careless(host, token, is_remote_allowed=is_remote_allowed)
    listener = http.listening(host, port)
    shown = f"[{host}]" if ":" in host else host
    shell.out.note(f"Serving at http://{shown}:{listener.getsockname()[1]}{http.PATH}")
    asyncio.run(http.serve_http(server, listener, host, token))
    return 0


def _terms(shell: Shell, flags: dict[str, Any]) -> Terms:
    """What the person who starts the server allows; read once, for as long as it lives."""
    from engine.cli.inputs import effects
    from engine.cli.reading import journal_path, project_of
    from engine.config import load_settings
    from engine.serving.terms import Terms

    project = project_of(shell)
    settings = load_settings(project)
    words = {"concurrency": "concurrency", "budget_tokens": "budget", "max_cost_usd": "max_cost"}
    words |= {"max_agents": "max_agents", "max_minutes": "max_minutes"}
    caps = {name: flags[flag] for name, flag in words.items() if flags[flag] is not None}
    allow = effects(flags["allow"])
    return Terms(
        project=project,
        journal=journal_path(shell).absolute(),
        settings=settings,
        flags=caps,
        allow=frozenset(settings.allow) if allow is None else allow,
        is_confirmed=flags["yes"] or bool(caps.keys() & {"max_agents", "max_cost_usd", "budget_tokens"}),
        backend=flags["backend"],
        model=flags["model"],
    )


async def _confirm(engine: Engine, script: ScriptSource, options: RunOptions, args: Json) -> None:
    """As `pawl run` without a terminal; a client's own caps are nobody's consent."""
    from engine.cli.confirming import confirmed
    from engine.cli.streams import Output
    from engine.errors import UsageError

    try:
        await confirmed(engine, script, options, Output(is_quiet=True), is_yes=False, args=args)
    except UsageError as error:
        if error.code == "not_confirmed":
            error.hint = "Ask the person: they start it with pawl run, or serve with pawl mcp --yes or --max-cost USD."
        raise


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pawl-engine")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "unknown"


class SkillGroup(click.Group):
    """Ends its help as every command does."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        formatter.write("Example:\n  pawl skill install --for claude\n")


skill = SkillGroup("skill", help="Tell Claude Code, Codex and OpenCode how to use Pawl.")

_FOR = click.option("--for", "program", type=click.Choice([*PROGRAMS, "all"]), default="all", show_default=True,
                    help="Whose skill.")  # fmt: skip
_USER = click.option("--user", "is_user", is_flag=True, help="For all of your projects.")
_PROJECT = click.option("--project", type=click.Path(path_type=Path, exists=True, file_okay=False), is_flag=False,
                        flag_value=".", metavar="[DIR]", help="For one project, this one by default.")  # fmt: skip


@command("install", example="pawl skill install --for claude", has_journal=False)
@_FOR
@_USER
@_PROJECT
@click.option("--force", is_flag=True, help="Also over a skill of ours that was edited.")
def install(shell: Shell, program: str, is_user: bool, force: bool) -> None:
    """Write a skill that tells an agent when and how to use Pawl; and say how to register the server with it."""
    from engine.serving import skills

    chosen = _chosen(shell, program, is_user=is_user, is_shared=True)
    for one in chosen:  # all or nothing
        skills.refuse_foreign(one, is_forced=force)
    written = [str(one.path) for one in chosen if skills.write(one)]
    files = [str(one.path) for one in chosen if one.path is not None]
    if shell.out.is_json:
        steps = [{"program": one.program, "steps": one.registration} for one in chosen]
        shell.out.json({"files": files, "written": written, "register": steps})
        return
    for path in files:
        shell.out.print(f"{'wrote' if path in written else 'is up to date:'} {path}")
    for one in chosen:
        shell.out.print(f"\nTo give {one.title} the tools:\n{one.registration}")


@command("uninstall", example="pawl skill uninstall --for claude", has_journal=False)
@_FOR
@_USER
@_PROJECT
@click.option("--force", is_flag=True, help="Also a skill of ours that was edited.")
def uninstall(shell: Shell, program: str, is_user: bool, force: bool) -> None:
    """Remove the skills that `pawl skill install` wrote, and nothing else."""
    from engine.serving import skills

    chosen = _chosen(shell, program, is_user=is_user, is_shared=False)
    for one in chosen:
        skills.refuse_foreign(one, is_forced=force)
    removed = [str(one.path) for one in chosen if skills.remove(one)]
    if shell.out.is_json:
        shell.out.json({"removed": removed})
    else:
        shell.out.print("\n".join(f"removed {path}" for path in removed) or "There is nothing to remove.")


def _chosen(shell: Shell, program: str, *, is_user: bool, is_shared: bool) -> list[Skill]:
    from engine.cli.reading import project_of
    from engine.serving import skills

    if is_user and shell.project is not None:
        raise click.UsageError("--user and --project exclude each other.", click.get_current_context())
    programs = PROGRAMS if program == "all" else (program,)
    return skills.places(programs, None if is_user else project_of(shell), is_shared=is_shared)


skill.add_command(install)
skill.add_command(uninstall)

COMMANDS: dict[str, Command | click.Group] = {"mcp": mcp, "skill": skill}
