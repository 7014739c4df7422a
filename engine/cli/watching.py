"""`pawl watch`: the live view of a run that any process drives, from its journal."""

from __future__ import annotations

import asyncio
import time

import click

from engine.cli.command import Command, Shell, command

LEAST_WAIT_S = 0.2
SHARE_OF_TIME = 10
"""Reading a long run takes a while; no more than a tenth of the time is spent on it."""


@command("watch", example="pawl watch")
@click.argument("reference", metavar="[RUN]", required=False)
async def watch(shell: Shell, reference: str | None) -> int:
    """Watch a run live until it ends; exits with the run's code. Without RUN: the newest. With --json: JSON Lines."""
    from engine import history
    from engine.cli.driver import summary
    from engine.cli.reading import journal
    from engine.cli.viewing import view_for
    from engine.cli.views import PlainView
    from engine.errors import UsageError
    from engine.timeline import Follower

    async with journal(shell) as opened:
        if reference is None:
            async for info in opened.runs():
                reference = info.run_id
                break
            else:
                raise UsageError("there is no run to watch", code="unknown_run", hint="Start one with: pawl run NAME")
        follower, view = Follower(), PlainView(shell.out) if shell.out.is_json else view_for(shell.out)
        try:
            while True:
                began = time.monotonic()
                reading = await history.read(opened, reference)
                for event in follower.news(reading):
                    if shell.out.is_json:
                        shell.out.json(event.to_json())
                    else:
                        view.show(event)
                if not reading.is_live:
                    break
                await asyncio.sleep(max(LEAST_WAIT_S, SHARE_OF_TIME * (time.monotonic() - began)))
        finally:
            view.close()
    result = history.result(reading)
    if not shell.out.is_json:
        for line in summary(result, view.board.reasons):
            shell.out.say(line)
    return result.exit_code


COMMANDS: dict[str, Command] = {"watch": watch}
