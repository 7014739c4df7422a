"""Agents that do real work with tools, said by a service that decides by the conversation alone, as a model does.

An agent reads, acts by a command, writes, acts again, and answers with what it found. Told that a call may be half
done, it looks before it does it again. So a conversation that lost a turn shows: in what is done twice, or in the answer.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from support.scripted_model import Asked, Call, Holds, Reply, Say

from engine.agents.conversation import BEGINS_AGAIN, GOES_ON, HALF_DONE

AGENTS = ("ash", "elm", "oak")
STEPS = 5
"""Answers of the model in a conversation that nobody interrupts: four calls and the end."""
SCRIPT = """export const meta = { name: 'working', description: 'agents with tools' }
const agents = args?.agents ?? ['ash', 'elm', 'oak']
const found = await parallel(agents.map(n => () => agent(`You are agent ${n}. Work.`, { label: n })))
const last = await agent('You are agent sum. Work.', { label: 'sum' })
return { found, last }
"""


class Step(NamedTuple):
    call: Call
    look: Call | None = None
    is_done_if: str = ""


def steps(name: str, gate: str = "") -> list[Step]:
    """Args: gate: shell that the first command runs in its middle."""
    seen = Call("run_command", {"command": "cat effects || true"})
    return [
        Step(Call("read_file", {"path": "in.txt"})),
        Step(Call("run_command", {"command": f"echo {name}-one >> effects; {gate}echo did one"}), seen, f"{name}-one"),
        Step(Call("write_file", {"path": f"out/{name}.txt", "content": f"by {name}"})),
        Step(Call("run_command", {"command": f"echo {name}-two >> effects; echo did two"}), seen, f"{name}-two"),
    ]


class Working:
    """The service's script.

    Attributes:
        holds: (agent, number of answers before it) → the reply to hold; each once. `held` is set when one is.
        asked: by agent, how many answers each of its requests held.
        told: by agent, notes of ours that were in its newest request.
    """

    def __init__(self, gate: str = "") -> None:
        self.gate = gate
        self.holds: set[tuple[str, int]] = set()
        self.held = threading.Event()
        self.asked: dict[str, list[int]] = {}
        self.told: dict[str, Counter[str]] = {}

    def __call__(self, asked: Asked) -> Any:
        name = re.search(r"You are agent (\w+)\.", asked.text)
        assert name is not None, asked.text
        self.asked.setdefault(name[1], []).append(asked.turn)
        self.told[name[1]] = _told(asked)
        reply = self._reply(name[1], asked)
        if (name[1], asked.turn) in self.holds:
            self.holds.remove((name[1], asked.turn))
            self.held.set()
            return Holds(asyncio.Event(), reply)
        return reply

    def _reply(self, name: str, asked: Asked) -> Reply:
        results = {result.id: result.text for message in asked.messages for result in message.results}
        made = [call for message in asked.messages for call in message.calls]
        heard = []
        for step in steps(name, self.gate):
            calls = [call for call in made if dict(call.args) == dict(step.call.args)]
            if not calls:
                return Reply([Say("Next."), step.call])
            said = results[str(calls[-1].id)]
            if said == HALF_DONE:
                if step.look is None:
                    return Reply(step.call)  # reading or writing the same again does no harm
                looked = [call for call in made[made.index(calls[-1]) :] if dict(call.args) == dict(step.look.args)]
                if not looked or (seen := results[str(looked[-1].id)]) == HALF_DONE:
                    return Reply(step.look)
                if step.is_done_if not in seen:
                    return Reply(step.call)
            heard.append("half" if said == HALF_DONE else "whole")
        assert len(heard) == STEPS - 1
        return Reply(f"{name} did {len(heard)} things")


def _told(asked: Asked) -> Counter[str]:
    text = "\n".join([asked.text, *(result.text for message in asked.messages for result in message.results)])
    return Counter(
        {"half done": text.count(HALF_DONE), "goes on": text.count(GOES_ON), "again": text.count(BEGINS_AGAIN.strip())}
    )


def prepare(folder: Path) -> str:
    """The script's path, in a project whose agents can work."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "in.txt").write_text("what everybody reads\n")
    script = folder / "working.js"
    script.write_text(SCRIPT)
    return str(script)


def effects(folder: Path) -> Counter[str]:
    path = folder / "effects"
    return Counter(path.read_text().split() if path.exists() else ())


EXPECTED = {
    "found": [f"{name} did 4 things" for name in AGENTS],
    "last": "sum did 4 things",
}
EFFECTS = Counter(f"{name}-{number}" for name in (*AGENTS, "sum") for number in ("one", "two"))
