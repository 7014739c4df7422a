"""Which commands there are, and where. Imports none of them: start-up is a promise."""

from __future__ import annotations

import importlib
from typing import Any

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("driving", "Run a workflow."),
    "resume": ("driving", "Go on with a run that stopped, failed or was edited."),
    "replay": ("driving", "Run a recorded run again from the journal alone."),
    "new": ("new", "Write a workflow from a description."),
    "check": ("scripts", "Say everything that is wrong with scripts."),
    "simulate": ("simulating", "Try a script without a model; estimate its cost."),
    "runs": ("looking", "List the runs of this project."),
    "show": ("looking", "Show one run."),
    "search": ("looking", "Search what subagents said and did."),
    "watch": ("watching", "Watch a run live."),
    "log": ("looking", "Print the events of a run."),
    "diff": ("looking", "Compare what two runs asked and got."),
    "verify": ("looking", "Check every stored record against its checksum."),
    "pause": ("steering", "Let running agents finish, then stop."),
    "cancel": ("steering", "Stop a run for good."),
    "skip": ("steering", "Give the script null for one call."),
    "retry": ("steering", "Start one call again."),
    "answer": ("steering", "Answer a question that a run asks."),
    "mcp": ("serving", "Serve workflows to other agents."),
    "skill": ("serving", "Tell coding agents how to use Pawl."),
    "export": ("keeping", "Write a run into one file."),
    "import": ("keeping", "Read runs from a file."),
    "delete": ("keeping", "Delete runs."),
    "gc": ("keeping", "Delete old runs and what nothing refers to."),
    "workflows": ("inventory", "List the workflows that can be run by name."),
    "agents": ("inventory", "List the kinds of subagent."),
    "backends": ("inventory", "List what can answer an agent call."),
    "model": ("inventory", "The embedded model: `pawl model pull`."),
    "doctor": ("doctor", "Say what works here and what does not."),
    "init": ("initial", "Set up a project."),
    "completion": ("completion", "Print the completion script of a shell."),
}
"""Name → module of `engine.cli` that has it, and what it does. In the order of `pawl --help`."""


def load(name: str) -> Any:
    """The click command `name`; imports its module."""
    module = importlib.import_module(f"engine.cli.{COMMANDS[name][0]}")
    return module.COMMANDS[name]
