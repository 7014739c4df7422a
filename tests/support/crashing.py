"""Crashes of the real process: how they are armed, what they leave behind, and what must hold all the same.

Run as a program (`python -m support.crashing POINT NUMBER WITNESS ARGUMENTS…`) it is `pawl ARGUMENTS…` with a fault
function handed in: the process kills itself with SIGKILL when POINT is reached for the NUMBER-th time. It also writes
to WITNESS what the sandbox sent and which points were reached, each with one write that the page cache keeps: the
host's own word for what it did is not what the tests go by.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from support.pawl import PATIENCE_S, ROOT, Done

from engine.values import CallRow

RUN = "crashed"

REFERENCE = r"""
export const meta = { name: 'reference', description: 'every kind of call in every kind of join' }

// What is said here was seen by the script: it must be in the journal, whatever happens after it.
const saw = (name, value) => { log('saw ' + JSON.stringify([name, value])); return value }
const ask = async (name, options) => saw(name, await agent('do ' + name, { label: name, ...options }))
// Counted from outside: every execution leaves a line.
const count = async (name) => saw(name, (await check(`echo ${name} >> executions; sleep 0.01; echo did ${name}`)).stdout)

const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] }
const first = await ask('first', { schema })
const one = await count('one')

const wide = await parallel([1, 2, 3].map((n) => async () => [
  await ask('wide ' + n), await count('wide-' + n), Math.random(),
]))

const piped = await pipeline(
  ['a', 'b', 'c'],
  (x) => ask('find ' + x),
  async (found, x) => { await count('pipe-' + x); return found },
  (found, x) => ask(`judge ${x}: ${found}`),
)

const quick = await race([() => ask('quick'), () => ask('slow', { backend: 'sample:latency=600s' })])
await sleep(20)
await writeFile('notes/piped.txt', piped.join('\n'))
const read = saw('read', await readFile('notes/piped.txt'))
const child = await workflow({ scriptPath: 'child.js' }, { n: 2 })
const last = await count('last')
return { first, one, wide, piped, quick, read, child, last, luck: Math.random() }
"""

CHILD = r"""
export const meta = { name: 'child', description: 'called by the reference' }
const out = []
for (let i = 0; i < args.n; i++) {
  const name = 'child-' + i
  const value = await agent('ask ' + name, { label: 'ask ' + name })
  log('saw ' + JSON.stringify(['ask ' + name, value]))
  const { ok, stdout } = await check(`echo ${name} >> executions; echo did ${name}`)
  log('saw ' + JSON.stringify([name, stdout]))
  out.push(value, ok)
}
return out
"""

FLAGS = ("--backend", "sample:latency=10ms", "--allow", "check,files", "--json", "--quiet")


class Fault(NamedTuple):
    """The process dies when `point` is reached for the `number`-th time."""

    point: str
    number: int


NEVER = Fault("never", 0)

HESITATION_S = 0.1
"""A commit that is about to fail takes so long (on the journal's thread): a host that does not wait for it shows it."""


@dataclass(frozen=True)
class Remains:
    """What a crash (or an end) left on disk, read from a copy: the resume finds it untouched.

    Attributes:
        settled: names of the calls that have a settlement.
        in_flight: names of the calls that have an attempt and no settlement.
        attempts: attempts on record by name.
        values: settled values by name.
        executions: lines that the checks wrote, by name: counted outside of everything that is tested.
    """

    exists: bool = False
    settled: frozenset[str] = frozenset()
    in_flight: frozenset[str] = frozenset()
    attempts: Counter[str] = field(default_factory=Counter)
    values: dict[str, Any] = field(default_factory=dict)
    executions: Counter[str] = field(default_factory=Counter)


class Victim:
    """A project with the reference workflow, whose processes are killed and resumed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / ".pawl" / "pawl.db"
        self.journal.parent.mkdir(parents=True)
        (folder / "reference.js").write_text(REFERENCE)
        (folder / "child.js").write_text(CHILD)
        self._witnesses = 0
        self.crashes: list[Remains] = []

    # Processes

    def arguments(self) -> list[str]:
        """Of the command that goes on: `run` while there is no run, then `resume`."""
        if self.remains().exists:
            return ["resume", RUN, "--json", "--quiet"]
        return ["run", "reference.js", "--run-id", RUN, *FLAGS]

    def start(self, arguments: list[str], fault: Fault = NEVER) -> subprocess.Popen[str]:
        self._witnesses += 1
        witness = self.folder / f"witness-{self._witnesses}"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PAWL_", "XDG_"))}
        return subprocess.Popen(
            [sys.executable, "-m", "support.crashing", fault.point, str(fault.number), str(witness), *arguments],
            cwd=self.folder,
            env={**kept, "HOME": str(self.folder), "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self, process: subprocess.Popen[str]) -> Done:
        out, err = process.communicate(timeout=PATIENCE_S)
        assert "Traceback" not in err, err
        return Done(process.returncode, out, err)

    def command(self, *arguments: str) -> Done:
        return self.end(self.start(list(arguments)))

    def crash(self, fault: Fault) -> bool:
        """Runs or resumes until `fault`; whether it was reached: a run that is over by then has exit code 0."""
        done = self.end(self.start(self.arguments(), fault))
        assert done.code in (0, -signal.SIGKILL), done
        self.after_crash()
        return done.code != 0

    def crash_after(self, seconds: float) -> bool:
        """Runs or resumes, and kills it from outside after so long; whether it was still there."""
        process = self.start(self.arguments())
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        done = self.end(process)
        assert done.code in (0, -signal.SIGKILL), done
        self.after_crash()
        return done.code != 0

    # What is left

    def remains(self) -> Remains:
        if not self.journal.exists():
            return Remains(executions=self.executions())
        with tempfile.TemporaryDirectory() as copy:
            for path in self.journal.parent.glob("pawl.db*"):
                if not path.name.endswith("-shm"):  # belongs to processes that share the file, not to what is stored
                    shutil.copy(path, copy)
            return asyncio.run(_read(Path(copy) / self.journal.name, self.executions()))

    def executions(self) -> Counter[str]:
        path = self.folder / "executions"
        return Counter(path.read_text().split("\n")[:-1] if path.exists() else ())

    def witnessed(self, witness: int | None = None) -> tuple[Counter[str], list[tuple[str, Any]]]:
        """Of the newest process (or of one): points reached, and what the script said that it saw."""
        path = self.folder / f"witness-{witness or self._witnesses}"
        points: Counter[str] = Counter()
        saw: list[tuple[str, Any]] = []
        for line in path.read_text().split("\n")[:-1] if path.exists() else ():
            told = json.loads(line)
            if isinstance(told, str):
                points[told] += 1
            else:
                said = [op[2] for op in told if op[0] == "l" and op[2].startswith("saw ")]
                saw += [tuple(json.loads(text[4:])) for text in said]
        return points, saw

    # What must hold

    def after_crash(self) -> None:
        """I1, and I3 so far."""
        now = self.remains()
        for name, value in self.witnessed()[1]:
            assert name in now.values, f"I1: the script saw the result of {name!r}, which is not in the journal"
            assert now.values[name] == value, f"I1: the script saw another result of {name!r} than the journal has"
        for name, times in now.executions.items():
            assert times <= now.attempts[name], f"I3: {name} was executed {times} times, without an attempt on record"
        for before in self.crashes:
            for name in before.settled:
                assert now.attempts[name] == before.attempts[name], f"I3: {name} had its result and was asked again"
                assert now.executions[name] == before.executions[name], f"I3: {name} was done and was done again"
        if any("quick" in before.settled for before in self.crashes):
            first = next(before for before in self.crashes if "quick" in before.settled)
            assert now.attempts["slow"] == first.attempts["slow"], "S36: a race that was won started its loser again"
        self.crashes.append(now)

    def finish(self, expected: Any) -> None:
        """Resumes to the end: I2, I3, and a journal that is whole and replays."""
        done = self.command(*self.arguments())
        assert done.code == 0, done
        told = json.loads(done.out)
        assert told["status"] == "completed"
        assert told["result"] == expected, "I2: the result is not the uninterrupted run's"
        self.after_crash()
        now = self.crashes[-1]
        for name, attempts in now.attempts.items():
            in_flight = sum(name in crash.in_flight for crash in self.crashes)
            assert attempts <= 1 + in_flight, f"I3: {name} was asked {attempts} times, {in_flight} times in flight"
        counted = {name for name in now.attempts if now.executions[name]}
        assert counted == COUNTED
        for argument in (("verify",), ("replay", RUN)):
            done = self.command(*argument)
            assert done.code == 0, done


COUNTED = {"one", "wide-1", "wide-2", "wide-3", "pipe-a", "pipe-b", "pipe-c", "last", "child-0", "child-1"}


def _name(row: CallRow) -> str:
    """What the reference calls it: checks by what they echo, agents by label, the rest by kind."""
    if row.kind == "check":
        return str(json.loads(row.content)["command"].split()[1])
    return row.label or "" if row.kind == "agent" else {"readFile": "read"}.get(row.kind, row.kind)


async def _read(path: Path, executions: Counter[str]) -> Remains:
    from engine.errors import UsageError
    from engine.journal.sqlite import SqliteJournal

    names: dict[int, str] = {}
    attempts: Counter[str] = Counter()
    values: dict[str, Any] = {}
    async with SqliteJournal(path) as journal:
        try:
            info = await journal.run_info(RUN)
        except UsageError:
            return Remains(executions=executions)
        for version in range(1, info.versions + 1):
            for row in await journal.calls(RUN, version):
                if row.content:
                    names[row.call] = _name(row)
        for attempt in await journal.attempts(RUN):
            attempts[names[attempt.call]] += 1
        settlements = await journal.settlements(RUN)
    for call, row in settlements.items():
        value = json.loads(row.value) if row.value else None
        values[names[call]] = value["stdout"] if isinstance(value, dict) and "stdout" in value else value
    in_flight = frozenset(name for call, name in names.items() if attempts[name] and call not in settlements)
    settled = frozenset(names[call] for call in settlements)
    return Remains(True, settled, in_flight, attempts, values, executions)


def plan_of(points: Counter[str], known: tuple[str, ...]) -> list[Fault]:
    """Every point × every time that it was reached."""
    return [Fault(point, number) for point in known for number in range(1, points[point] + 1)]


SEED = int(os.environ.get("CRASH_SEED") or random.SystemRandom().randrange(1 << 32))
"""Of everything that is chosen by chance; printed at the end of a session."""


def main() -> NoReturn:
    point, number, witness, *arguments = sys.argv[1:]
    reached: Counter[str] = Counter()
    file = os.open(witness, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)

    def fault(name: str) -> None:
        reached[name] += 1
        os.write(file, json.dumps(name).encode() + b"\n")
        if name == point and reached[name] == int(number):
            if name == "before_commit":
                time.sleep(HESITATION_S)
            os.kill(os.getpid(), signal.SIGKILL)

    from engine.cli import main as cli
    from engine.engine import Engine
    from sandbox import Chunk, Sandbox

    open_engine, next_chunk = Engine.open, Sandbox.next_chunk

    def open_with_fault(*given: Any, **named: Any) -> Engine:
        return open_engine(*given, fault=fault, **named)

    async def witnessed_chunk(sandbox: Sandbox) -> Chunk:
        chunk = await next_chunk(sandbox)
        os.write(file, chunk.ops + b"\n")
        return chunk

    Engine.open = open_with_fault  # type: ignore[method-assign]
    Sandbox.next_chunk = witnessed_chunk  # type: ignore[method-assign]
    sys.exit(cli.run(arguments))


if __name__ == "__main__":
    main()
