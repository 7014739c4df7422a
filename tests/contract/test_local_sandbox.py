"""The sandbox without a process does what the real one does: the tests that make thousands of runs stand on this."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest
from support.harness import STARTED_AT
from support.local_sandbox import LIBRARY_START, LocalSandbox
from support.programs import random_program

from engine.assets import stdlib_files
from sandbox import LIBRARY_LINE, CompileError, Limits, Sandbox

CHILD = "return await agent('from the child of ' + args.x)"


async def conversation(sandbox: Any, library_line: int, text: str, seed: int) -> list[tuple[int, bool, Any]]:
    """All chunks of a run in which calls are answered in an order that the seed decides, several in a frame."""
    rnd = random.Random(seed)
    caps = {"tokens": None, "costUsd": None, "agents": None, "minutes": None}
    config = {"seed": "s", "startedAt": STARTED_AT, "caps": caps, "entries": 4096, "resultBytes": 1 << 20}
    out: list[tuple[int, bool, Any]] = []
    calls: list[int] = []
    loads: list[int] = []

    async def turn() -> int:
        while True:
            chunk = await sandbox.next_chunk()
            found = orjson.loads(chunk.ops)
            out.append((chunk.consumed, chunk.idle, found))
            for op in found:
                match op:
                    case ["c", number, *_]:
                        calls.append(number)
                    case ["g", number, *_]:
                        loads.append(number)
                    case ["x", gone]:
                        calls[:] = [call for call in calls if call not in gone]
                    case ["d", number]:
                        calls.remove(number)
            if chunk.idle:
                return int(chunk.consumed)

    await sandbox.compile(1, text)
    await sandbox.compile(2, CHILD)
    await sandbox.start(1, orjson.dumps({**config, "libraryLine": library_line}))
    await turn()
    while (calls or loads) and not any(op[0] == "f" for _, _, found in out for op in found):
        if loads:
            await sandbox.deliver([(b'{"i":%d}' % loads.pop(0), 2)], stop_on_request=False)
        else:
            some = rnd.sample(calls, rnd.randint(1, min(4, len(calls))))
            items = [(orjson.dumps({"i": n, "t": STARTED_AT + n, "u": [1, 0, 1], "v": f"answer {n}"}), 0) for n in some]
            await sandbox.deliver(items, stop_on_request=rnd.random() < 0.5)
        await turn()
    await sandbox.close()
    return out


@pytest.mark.parametrize("seed", range(6))
async def test_the_same_script_gives_the_same_operations(seed: int) -> None:
    text = random_program(random.Random(seed), is_open=True, size=2 + seed % 2).script()
    real = Sandbox.spawn(Limits(), stdlib_files())
    expected = await conversation(real, LIBRARY_LINE, text, seed)
    assert await conversation(LocalSandbox(stdlib_files()), LIBRARY_START, text, seed) == expected
    assert await conversation(LocalSandbox(), LIBRARY_START, text, seed) == expected
    assert len(expected) > 2


async def test_an_error_of_a_text_has_the_same_words_and_line() -> None:
    found = []
    for sandbox in (Sandbox.spawn(Limits(), stdlib_files()), LocalSandbox()):
        with pytest.raises(CompileError) as caught:
            await sandbox.compile(1, "const a = 1;\n\nlet = ;")  # type: ignore[attr-defined]
        found.append((str(caught.value), caught.value.line))
        await sandbox.close()  # type: ignore[attr-defined]
    assert found[0] == found[1]
