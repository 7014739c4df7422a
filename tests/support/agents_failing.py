"""A service that fails in every way that services fail, for several agents of one run; and what it says it served.

What happens to an agent is a list of turns, taken one a request; when it is used up, the service is healthy and answers.
`Service.served` is the service's own word for what it was asked and what it counted: the journal is held to that.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from support.scripted_model import Asked, Call, Cuts, Fails, Garbage, Refuse, Reply, Say, ScriptedModel, Stalls

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 5}},
    "required": ["n"],
    "additionalProperties": False,
}
LONG = "A sentence that is long enough to be cut off somewhere in its middle, wherever that is. " * 8
PIECES = 400
"""More than any answer here is streamed in: what an answer that never ended may count for, at most."""
MOST_OUT = 11
"""Output tokens that the service counts for an answer."""
ENDLESS = "endless"
"""From here on the agent does nothing but call a tool."""

FAILURES: dict[str, Any] = {
    "429": Fails(429, "slow down"),
    "429 for 2 s": Fails(429, "slow down", headers={"Retry-After": "2"}),
    "429 for ever": Fails(429, "come back tomorrow", headers={"Retry-After": "86400"}),
    "429 reset": Fails(
        429, "slow down", headers={"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m3s"}
    ),
    "429 in words": Fails(429, "slow down", headers={"Retry-After": "soon"}),
    "429 in the stream": Fails(429, "slow down", after_tokens=1),
    "quota": Fails(429, "You exceeded your current quota.", code="insufficient_quota"),
    "500": Fails(500),
    "502": Fails(502, "bad gateway"),
    "503 for 5 s": Fails(503, "maintenance", headers={"Retry-After": "5"}),
    "503 for ever": Fails(503, "maintenance", headers={"Retry-After": "86400"}),
    "529": Fails(529, "overloaded"),
    "500 in the stream": Fails(500, "the other half is lost", after_tokens=2),
    "400": Fails(400, "no such parameter"),
    "400 too long": Fails(400, "This model's maximum context length is 10 tokens.", code="context_length_exceeded"),
    "401": Fails(401, "who are you?"),
    "403": Fails(403, "not you"),
    "404": Fails(404, "no such model"),
    "418": Fails(418, "I'm a teapot"),
    "cut before the head": Cuts(0),
    "cut at once": Cuts(3, Reply(LONG)),
    "cut in the first event": Cuts(70, Reply(LONG)),
    "cut in the middle": Cuts(900, Reply(LONG)),
    "cut in a call": Cuts(500, Reply(Call("read_file", {"path": LONG}))),
    "a page": Garbage(b"<html><body>502 Bad Gateway</body></html>"),
    "other JSON": Garbage(),
    "nothing": Garbage(b""),
    "half an object": Garbage(b'{"id": "x", "cho'),
    "null": Garbage(b"null"),
    "no bytes of text": Garbage(b"\xff\xfe\x00\x01"),
    "stall": Stalls(2),
    "silence": Stalls(0),
}
MISTAKES: dict[str, Any] = {
    "a look": Reply(Call("read_file", {"path": "a.txt"})),
    "two looks": Reply([Say("Let me see."), Call("read_file", {"path": "a.txt"}), Call("list_files", {})]),
    "same ids": Reply([Call("read_file", {"path": "a.txt"}, id="call_0")]),
    "no such file": Reply(Call("read_file", {"path": "nowhere.txt"})),
    "outside": Reply(Call("read_file", {"path": "../../etc/passwd"})),
    "unknown tool": Reply(Call("launch_rocket", {"when": "now"})),
    "tool without a name": Reply(Call("", {"when": "now"})),
    "args that are no JSON": Reply(Call("read_file", '{"path": "a.t')),
    "args that are a list": Reply(Call("read_file", '["a.txt"]')),
    "args that are null": Reply(Call("read_file", "null")),
    "no args": Reply(Call("read_file", "")),
    "args that do not fit": Reply(Call("read_file", {"path": 7, "colour": "red"})),
    "misfit": Reply(Call("submit_answer", {"n": 1})),
    "misfit that is no JSON": Reply(Call("submit_answer", '{"n": ')),
    "misfit that is a list": Reply(Call("submit_answer", "[5]")),
    "two answers": Reply([Call("submit_answer", {"n": "x"}), Call("submit_answer", {"n": 6})]),
    "a look and an answer": Reply([Call("read_file", {"path": "a.txt"}), Call("submit_answer", {"n": 8})]),
    "empty": Reply(""),
    "blank": Reply("  \n "),
    "no parts": Reply(()),
    "refusal": Reply(Refuse()),
    "filtered": Reply("I would", finish="content_filter"),
    "cut off at the limit": Reply("half of an ans", finish="length"),
    "a call cut off at the limit": Reply(Call("submit_answer", '{"n": 1'), finish="length"),
    "text that ends with tool_calls": Reply("a text", finish="tool_calls"),
    "a call that ends with stop": Reply(Call("read_file", {"path": "a.txt"}), finish="stop"),
    "a reason nobody knows": Reply("a text of some sort", finish="out_of_coffee"),
    "another model": Reply("from somebody else", model="fake-2"),
    ENDLESS: ENDLESS,
}
TURNS = FAILURES | MISTAKES


@dataclass
class Service:
    """What becomes of each agent's requests. `plans` by agent's number, in names of `TURNS`.

    Attributes:
        served: the names of what each agent got, in order; `healthy` for what was no part of its plan.
        counted: input and output tokens of the answers that were sent to their ends.
        broken: answers that were begun and not ended.
        openings: by agent, how many answers each request held.
        on_request: called with each, before it is answered.
    """

    plans: Mapping[int, Sequence[str]]
    served: dict[int, list[str]] = field(default_factory=dict)
    counted: Counter[str] = field(default_factory=Counter)
    broken: int = 0
    openings: dict[int, list[int]] = field(default_factory=dict)
    on_request: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self._left = {agent: list(plan) for agent, plan in self.plans.items()}
        self.model = ScriptedModel(then=self.answer)

    def heal(self) -> None:
        """From now on all is well."""
        self._left = {}

    def answer(self, asked: Asked) -> Any:
        found = re.search(r"agent-(\d+)", asked.text)
        assert found is not None, f"a request of nobody: {asked.text!r}"
        self.on_request()
        agent = int(found[1])
        left = self._left.get(agent, [])
        name = (ENDLESS if left[0] == ENDLESS else left.pop(0)) if left else "healthy"
        self.served.setdefault(agent, []).append(name)
        self.openings.setdefault(agent, []).append(asked.turn)
        turn = self._turn(name, asked, agent)
        if isinstance(turn, Reply):
            self.counted["in"] += turn.usage[0]
            self.counted["out"] += turn.usage[1]
        elif isinstance(turn, Stalls | Cuts) or (isinstance(turn, Fails) and turn.after_tokens is not None):
            self.broken += 1
        return turn

    def _turn(self, name: str, asked: Asked, agent: int) -> Any:
        if name == ENDLESS:
            return Reply(Call("list_files", {}))
        if name != "healthy":
            return TURNS[name]
        if "submit_answer" in asked.tools:
            return Reply(Call("submit_answer", {"n": 100 + agent}))
        return Reply(f"answer of agent-{agent}")

    async def without_connections(self) -> None:
        """Returns when every client has hung up."""
        async with asyncio.timeout(10):
            while self.model.connections:
                self.model.left.clear()
                await self.model.left.wait()


@contextmanager
def variables(**values: str) -> Iterator[None]:
    """Variables of the environment, for the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class HurriedClock:
    """Time in which waits of seconds take milliseconds; what is written down is wall time all the same."""

    def __init__(self, times: float) -> None:
        self._times = times

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic() * self._times

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._times)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds / self._times, callback)
