"""What the adapters of coding agents share: what a program is asked, how it is started, what its stream tells.

An adapter knows one program's flags and events and does no IO but reading its configuration. `HeadlessBackend` starts
the program, feeds the stream to the adapter and puts what it tells on record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from engine.agents.headless.fences import Fence
from engine.errors import AgentError
from engine.values import NO_USAGE, Json, Usage


@dataclass(frozen=True, slots=True)
class Task:
    """One start of a program.

    Attributes:
        prompt: what it reads: the task, a note or feedback.
        system: the agent definition's text, or an empty string.
        session: the program's own id of the conversation to go on with.
        folder: an empty folder for files that the program needs while it runs.
    """

    prompt: str
    cwd: str
    folder: str
    fence: Fence
    system: str = ""
    model: str | None = None
    effort: str | None = None
    schema: dict[str, Json] | None = None
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start it: words after the program's own, standard input, more variables, files to write before."""

    words: list[str]
    stdin: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """For the record: `role` and `body` as in `TurnRow`."""

    role: str
    body: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Sign:
    """For `emit`."""

    progress: dict[str, Json]


@dataclass(slots=True)
class Stream:
    """What has been told so far. Each program's stream fills it in.

    Attributes:
        value: the answer: a text, or an object when the program gave it as one.
        failure: why there is none.
        is_done: the program has said its last word; what it does after that nobody waits for long.
        is_total: `usage` is that of the session since it began, not of this start.
        is_unpriced: the program tells tokens and no cost; `cached_tokens` of the input were cheaper.
        service: whose prices its model has, as far as it is known.
    """

    session: str | None = None
    model: str | None = None
    usage: Usage = NO_USAGE
    value: Json = None
    failure: AgentError | None = None
    is_done: bool = False
    is_total: bool = False
    is_unpriced: bool = False
    cached_tokens: int = 0
    service: str | None = None

    def read(self, event: dict[str, Json]) -> Iterable[Turn | Sign]:
        """Takes one event, unknown ones too."""
        raise NotImplementedError

    @property
    def has_events(self) -> bool:
        """Whether a line that is JSON is an event."""
        return True

    def read_text(self, line: str) -> None:
        """Takes a line that is no event: a warning, a stack, anything."""


class Program(Protocol):
    """One coding agent.

    Attributes:
        name: of `cli:NAME`; also who owns a session's id.
        command: the words it starts with.
        install: how to get it, or an empty string.
        secrets: environment variables that it needs although they are secrets, with `*`.
        dropped: variables that it must not inherit.
        login: what to do when the service does not know who asks.
    """

    name: str
    command: tuple[str, ...]
    install: str
    secrets: tuple[str, ...]
    dropped: tuple[str, ...]
    login: str

    def check(self, fence: Fence) -> str | None:
        """Why the program cannot be held to this fence, or None."""
        ...

    def takes_schema(self, schema: dict[str, Json]) -> bool:
        """Whether the program itself sees to this schema."""
        ...

    def launch(self, task: Task) -> Launch: ...

    def stream(self) -> Stream: ...


def count(value: Json) -> int:
    """A number of tokens as programs tell it; 0 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def table(value: Json) -> dict[str, Json]:
    """The object, or an empty one where a program of another version has something else."""
    return value if isinstance(value, dict) else {}


def rows(value: Json) -> list[dict[str, Json]]:
    """The objects of a list."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
