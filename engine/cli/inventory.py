"""`pawl workflows`, `agents`, `backends`, `model pull`: what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.cli.command import Command, Shell, command
from engine.cli.streams import one_line, table

if TYPE_CHECKING:
    from engine.agents.definitions import Listed
    from engine.values import Json
    from engine.workflows import Workflow


@command("workflows", example="pawl workflows")
def workflows(shell: Shell) -> None:
    """List the workflows that can be run by name."""
    from engine.cli.reading import project_of
    from engine.workflows import list_workflows

    found = list_workflows(project_of(shell))
    if shell.out.is_json:
        told = [
            {
                "name": one.name,
                "description": one.description,
                "when_to_use": one.when_to_use,
                "path": str(one.path),
                "origin": one.origin,
                "shadowed_by": None if one.shadowed_by is None else str(one.shadowed_by),
                "problem": one.problem,
            }
            for one in found
        ]
        shell.out.json({"workflows": told})
    elif not found:
        shell.out.print("No workflows here. pawl init writes an example.")
    else:
        rows = [(one.name, one.origin, one_line(_about(one), 80), str(one.path)) for one in found]
        shell.out.print(table(rows, head=("NAME", "FROM", "DESCRIPTION", "FILE")))


def _about(one: Workflow) -> str:
    if one.problem is not None:
        return f"cannot run: {one.problem}"
    return f"hidden by {one.shadowed_by}" if one.shadowed_by is not None else one.description


@command("agents", example="pawl agents", has_journal=False)
def agents(shell: Shell) -> None:
    """List the kinds of subagent that `agentType` may name, with where each comes from and what is wrong with it."""
    from engine.agents.definitions import listed
    from engine.cli.reading import project_of

    found = sorted(listed(project_of(shell)), key=lambda one: one.name)  # of one name, the nearest stays first
    if shell.out.is_json:
        shell.out.json({"agents": [_agent_json(one) for one in found]})
        return
    rows = [
        (one_line(one.name), one.origin, _about_agent(one), str(one.path or ""))
        for one in found
    ]  # fmt: skip
    shell.out.print(table(rows, head=("NAME", "FROM", "DESCRIPTION", "FILE")))
    for one in found:
        for problem in one.problems if one.definition is not None and one.shadowed_by is None else ():
            shell.out.print(f"{one_line(one.name)}: {one_line(problem)}")


def _about_agent(one: Listed) -> str:
    if one.shadowed_by is not None:
        return f"hidden by {one_line(str(one.shadowed_by))}"
    if one.definition is None:
        return one_line(f"cannot be used: {one.problems[0]}")
    return one_line(one.definition.description, 100)


def _agent_json(one: Listed) -> dict[str, Json]:
    known = one.definition
    return {
        "name": one.name,
        "description": known.description if known is not None else "",
        "prompt": known.prompt if known is not None else "",
        "model": known.model if known is not None else None,
        "tools": None if known is None or known.tools is None else list(known.tools),
        "source": known.source if known is not None else str(one.path),
        "origin": one.origin,
        "path": None if one.path is None else str(one.path),
        "shadowed_by": None if one.shadowed_by is None else str(one.shadowed_by),
        "usable": known is not None,
        "problems": list(one.problems),
    }


@command("backends", example="pawl backends", has_journal=False)
def backends(shell: Shell) -> None:
    """List what can answer an agent call, and whether it works here."""
    from engine.agents.registry import list_backends
    from engine.cli.reading import project_of
    from engine.config import load_settings

    found = list_backends(load_settings(project_of(shell)))
    if shell.out.is_json:
        shell.out.json({"backends": [one.to_json() for one in found]})
        return
    rows = [
        (one.name, "ready" if one.is_available else "not set up", one.form, one_line(one.what, 60))
        for one in sorted(found, key=lambda one: not one.is_available)
    ]
    shell.out.print(table(rows, head=("NAME", "HERE", "--backend", "WHAT")))
    missing = [one for one in found if not one.is_available]
    if missing:
        shell.out.print("\nTo set one up:")
        rest = [(f"  {one.name}", f"{one.why_not}:", one.install) for one in missing]
        shell.out.print(table(rest, head=("", "", "")).strip("\n"))


class ModelGroup(click.Group):
    """Ends its help as every command does."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        formatter.write("Example:\n  pawl model pull\n")


model = ModelGroup("model", help="The embedded language model: no key, no network once it is here.")


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
