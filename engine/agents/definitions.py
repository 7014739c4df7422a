"""The kinds of subagent that need no file: what `agentType` may name. Their text is part of a call's key."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from engine.values import AgentDefinition

_BUILT_IN = (
    AgentDefinition(
        name="general",
        description="Any task; works until it is done.",
        prompt="Do the task that you are given, all of it and nothing else. Your last message is the result: "
        "give what was asked for, without a preamble.",
    ),
    AgentDefinition(
        name="explore",
        description="Finds things out; changes nothing.",
        prompt="Find out what you are asked, by reading and searching. Change nothing. Name the files and lines "
        "that your answer rests on, and say what you did not look at.",
        tools=("read", "search"),
    ),
    AgentDefinition(
        name="verify",
        description="Tries to refute a claim; says whether it holds.",
        prompt="You are given a claim. Try to refute it: look for the case in which it is wrong. Change nothing. "
        "Say that it holds only when you have seen that it does; when in doubt, say that it does not.",
        tools=("read", "search", "run"),
    ),
)


def known() -> Mapping[str, AgentDefinition]:
    """All definitions by name."""
    return MappingProxyType({definition.name: definition for definition in _BUILT_IN})
