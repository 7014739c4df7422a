"""`pawl workflows`, `agents`, `backends`, `model pull`: what is there."""

from __future__ import annotations

import click

from engine.cli.command import Command, Shell, command
from engine.cli.streams import one_line, table


@command("workflows", example="pawl workflows")
def workflows(shell: Shell) -> None:
    """List the workflows that can be run by name, nearest first."""
    from engine.workflows import available

    from engine.cli.reading import project_of

    found = available(project_of(shell))
    if shell.out.is_json:
        shell.out.json({"workflows": [one.to_json() for one in found]})
    elif not found:
        shell.out.print("No workflows here. pawl init writes an example.")
    else:
        rows = [(one.name, one_line(one.description, 70), str(one.path)) for one in found]
        shell.out.print(table(rows, head=("NAME", "DESCRIPTION", "FILE")))


@command("agents", example="pawl agents", has_journal=False)
def agents(shell: Shell) -> None:
    """List the kinds of subagent that `agentType` may name."""
    from engine.agents.definitions import known

    found = list(known().values())
    if shell.out.is_json:
        told = [
            {
                "name": one.name,
                "description": one.description,
                "prompt": one.prompt,
                "model": one.model,
                "tools": None if one.tools is None else list(one.tools),
                "source": one.source,
            }
            for one in found
        ]
        shell.out.json({"agents": told})
    else:
        rows = [(one.name, one_line(one.description, 80), one.source) for one in found]
        shell.out.print(table(rows, head=("NAME", "DESCRIPTION", "FROM")))


@command("backends", example="pawl backends", has_journal=False)
def backends(shell: Shell) -> None:
    """List what can answer an agent call, and whether it works here."""
    from engine.agents.registry import list_backends

    found = list_backends()
    if shell.out.is_json:
        shell.out.json({"backends": [one.to_json() for one in found]})
        return
    for one in found:
        state = "ready" if one.is_available else f"not here: {one.why_not}"
        shell.out.print(f"{one.name:<8} {one.what}\n         {state}\n         --backend {one.form}")
        if not one.is_available:
            shell.out.print(f"         {one.install}")


@click.group("model", help="The embedded language model: no key, no network once it is here.")
def model() -> None:
    """Holds `pull`."""


def _model_epilog(_ctx: click.Context, formatter: click.HelpFormatter) -> None:
    formatter.write_paragraph()
    formatter.write("Example:\n  pawl model pull\n")


model.format_epilog = _model_epilog  # type: ignore[method-assign]


@command("pull", example="pawl model pull", has_journal=False)
def pull(shell: Shell) -> None:
    """Fetch the embedded model once (98 MB), checked against its pinned hash, into the user's cache."""
    from engine.agents import model_store

    path = model_store.pull(shell.out.say)
    if shell.out.is_json:
        shell.out.json({"model": model_store.NAME, "file": str(path), "bytes": path.stat().st_size})
    else:
        shell.out.print(f"{model_store.NAME} is in {path}")


model.add_command(pull)

COMMANDS: dict[str, Command | click.Group] = {
    "workflows": workflows,
    "agents": agents,
    "backends": backends,
    "model": model,
}
