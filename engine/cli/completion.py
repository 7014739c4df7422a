"""`pawl completion SHELL`: the script that a shell sources."""

from __future__ import annotations

import click

from engine.cli.command import Command, Shell, command


@command("completion", example='eval "$(pawl completion bash)"', has_json=False, has_journal=False)
@click.argument("shell_name", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: Shell, shell_name: str) -> None:
    """Print the completion script of bash, zsh or fish. For fish: pawl completion fish | source"""
    from click.shell_completion import get_completion_class

    from engine.cli.group import pawl

    found = get_completion_class(shell_name)
    assert found is not None
    made = found(pawl, {}, "pawl", "_PAWL_COMPLETE")
    # `source` of bash also starts bash to look at its version: a shell that sources this knows better
    shell.out.print(made.source_template % made.source_vars())


COMMANDS: dict[str, Command] = {"completion": completion}
