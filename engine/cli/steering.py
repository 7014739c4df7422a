"""`pawl pause`, `cancel`, `skip`, `retry`, `answer`: durable messages to whoever drives a run."""

from __future__ import annotations

import click

from engine.cli.command import Command, Shell, command
from engine.values import Json


async def _send(shell: Shell, run: str, kind: str, call: int | None = None, value: Json = None) -> None:
    from engine.engine import Engine
    from engine.history import parse_reference

    run_id, _ = parse_reference(run)
    async with Engine.open(shell.project, journal=shell.journal) as engine:
        outcome = await engine.control(run_id, kind, call, value)
    if shell.out.is_json:
        shell.out.json({"run_id": run_id, "control": kind, "call": call, "outcome": outcome})
    else:
        shell.out.print(outcome)


@command("pause", example="pawl pause RUN")
@click.argument("run", metavar="RUN")
async def pause(shell: Shell, run: str) -> None:
    """Let running agents finish, start no more, and end the run as paused."""
    await _send(shell, run, "pause")


@command("cancel", example="pawl cancel RUN")
@click.argument("run", metavar="RUN")
async def cancel(shell: Shell, run: str) -> None:
    """Stop a run and everything that it started."""
    await _send(shell, run, "cancel")


@command("skip", example="pawl skip RUN 3")
@click.argument("run", metavar="RUN")
@click.argument("call", metavar="CALL")
async def skip(shell: Shell, run: str, call: str) -> None:
    """Give the script null for a call that has not been delivered yet."""
    from engine.cli.inputs import call_number

    await _send(shell, run, "skip", call_number(call))


@command("retry", example="pawl retry RUN 3")
@click.argument("run", metavar="RUN")
@click.argument("call", metavar="CALL")
async def retry(shell: Shell, run: str, call: str) -> None:
    """Stop the attempt at a call and start another."""
    from engine.cli.inputs import call_number

    await _send(shell, run, "retry", call_number(call))


@command("answer", example="pawl answer RUN 3 yes")
@click.argument("run", metavar="RUN")
@click.argument("call", metavar="CALL")
@click.argument("value", metavar="VALUE")
async def answer(shell: Shell, run: str, call: str, value: str) -> None:
    """Answer a question that a run asks: a choice by its text or number, JSON where it has a schema, else text."""
    from engine import history
    from engine.cli.asking import meant
    from engine.cli.inputs import call_number, text_value
    from engine.cli.reading import journal

    number, text = call_number(call), text_value(value, "VALUE")
    async with journal(shell) as opened:
        question = history.find_call(await history.read(opened, run), number)
    await _send(shell, run, "answer", number, meant(text, question.content))


COMMANDS: dict[str, Command] = {"pause": pause, "cancel": cancel, "skip": skip, "retry": retry, "answer": answer}
