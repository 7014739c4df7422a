"""The host's side: turns, chunks, compile errors, lines, and children that lie."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from dataclasses import replace
from typing import Any

import pytest
from support.tiny_library import LIBRARY, LIMITS, end_of, ops_of_turn, sandbox_of

from sandbox import LIBRARY_LINE, Chunk, CompileError, Limits, Sandbox, SandboxDied, framing
from sandbox.child import blank_export

# ---- turns


async def test_a_request_is_answered_and_the_script_ends() -> None:
    async with sandbox_of(
        'const a = await call("q"); return [a, args_are_gone()]; function args_are_gone() { return typeof __pawl }'
    ) as sandbox:
        await sandbox.start(1, b"{}")
        assert await sandbox.next_chunk() == Chunk(0, True, b'[[1,"q"]]')
        await sandbox.deliver([(b'[1,{"x":"\\u00e9\\ud800"}]', 0)], stop_on_request=False)
        assert await sandbox.next_chunk() == Chunk(1, True, b'[["end",true,[{"x":"\xc3\xa9\\ud800"},"undefined"]]]')


async def test_one_settlement_then_jobs_until_idle_then_the_next() -> None:
    source = """
      const seen = [];
      const one = async (n) => { await call(n); seen.push(n); await 0; await 0; seen.push(-n) };
      await Promise.all([one(1), one(2), one(3)]);
      return seen
    """
    async with sandbox_of(source) as sandbox:
        await sandbox.start(1, b"{}")
        assert len(await ops_of_turn(sandbox)) == 3
        await sandbox.deliver([(b"[2,0]", 0), (b"[1,0]", 0), (b"[3,0]", 0)], stop_on_request=False)
        assert await ops_of_turn(sandbox) == [["end", True, [2, -2, 1, -1, 3, -3]]]


async def test_a_turn_stops_after_the_item_that_asked_for_something() -> None:
    async with sandbox_of(
        'const go = async (n) => { await call(n); if (n === 2) await call("more") }; await Promise.all([go(1), go(2), go(3)])'
    ) as sandbox:
        await sandbox.start(1, b"{}")
        await ops_of_turn(sandbox)
        items = [(b"[%d,0]" % n, 0) for n in (1, 2, 3)]
        await sandbox.deliver(items, stop_on_request=True)
        assert await sandbox.next_chunk() == Chunk(2, True, b'[[4,"more"]]')
        await sandbox.deliver(items[2:], stop_on_request=True)
        assert await sandbox.next_chunk() == Chunk(1, True, b"[]")


async def test_a_large_fan_out_comes_in_slices_and_long_turns_answer_on_the_way() -> None:
    async with sandbox_of(
        "await Promise.all(Array.from({ length: 1000 }, (_, i) => call(i))); return 'all'"
    ) as sandbox:
        await sandbox.start(1, b"{}")
        sizes = []
        while not (chunk := await sandbox.next_chunk()).idle:
            sizes.append(len(json.loads(chunk.ops)))
        assert [*sizes, len(json.loads(chunk.ops))] == [256, 256, 256, 232]
        await sandbox.deliver([(b"[%d,0]" % n, 0) for n in range(1, 1001)], stop_on_request=False)
        consumed = []
        while not (chunk := await sandbox.next_chunk()).idle:
            consumed.append(chunk.consumed)
        assert len(consumed) >= 15 and consumed == sorted(set(consumed))
        assert chunk == Chunk(1000, True, b'[["end",true,"all"]]')


async def test_items_that_do_not_fit_into_a_frame_are_left_for_the_next() -> None:
    async with sandbox_of(
        "let n = 0; const one = async () => { const v = await call(0); n += v.length }; await Promise.all([one(), one(), one()]); return n"
    ) as sandbox:
        await sandbox.start(1, b"{}")
        await ops_of_turn(sandbox)
        items = [(b'[%d,"%s"]' % (n, b"x" * (3 << 20)), 0) for n in (1, 2, 3)]
        await sandbox.deliver(items, stop_on_request=False)
        assert await sandbox.next_chunk() == Chunk(2, True, b"[]")
        await sandbox.deliver(items[2:], stop_on_request=False)
        assert await ops_of_turn(sandbox) == [["end", True, 9 << 20]]


async def test_an_item_larger_than_a_frame_ends_the_run() -> None:
    async with sandbox_of("await call(0)") as sandbox:
        await sandbox.start(1, b"{}")
        await ops_of_turn(sandbox)
        with pytest.raises(SandboxDied) as caught:
            await sandbox.deliver([(b"[1,%s]" % (b"1" * (9 << 20)), 0)], stop_on_request=False)
        assert caught.value.kind == "frame"


async def test_each_item_has_the_cpu_limit_for_itself() -> None:
    """Fifteen items of a fifth of the limit each: together they pass it, none does."""
    source = """
      const one = async () => { await call(0); const t = 4e5; let x = 0; for (let i = 0; i < t; i++) x += i; return x };
      await Promise.all(Array.from({ length: 40 }, one)); return "done"
    """
    limits = replace(LIMITS, cpu_turn_s=0.3)
    async with sandbox_of(source, limits) as sandbox:
        await sandbox.start(1, b"{}")
        await ops_of_turn(sandbox)
        await sandbox.deliver([(b"[%d,0]" % n, 0) for n in range(1, 41)], stop_on_request=False)
        assert await ops_of_turn(sandbox) == [["end", True, "done"]]


async def test_turns_in_the_wrong_order_are_refused() -> None:
    async with sandbox_of("await call(0)") as sandbox:
        with pytest.raises(RuntimeError, match=r"no turn has begun"):
            await sandbox.next_chunk()
        await sandbox.start(1, b"{}")
        with pytest.raises(RuntimeError, match=r"the turn before has not ended"):
            await sandbox.deliver([(b"[1,0]", 0)], stop_on_request=False)
        with pytest.raises(ValueError, match=r"code 7 is not compiled"):
            await sandbox.deliver([(b"[1,0]", 7)], stop_on_request=False)


# ---- compile


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("let a = ;", 1),
        ("const ok = 1;\n\nlet a = ;\n", 3),
        ("let a = 1;\nlet a = 2;", 2),
        ("const x = `never ended", 1),
        ("if (true) {\n  return 1", 2),
        ("const a: string = 'TypeScript'", 1),
        ("import fs from 'fs'", 1),
        ("\n\nexport default 1", 3),
    ],
)
async def test_S06_a_syntax_error_has_the_files_own_line(source: str, line: int) -> None:
    sandbox = Sandbox.spawn(LIMITS, LIBRARY)
    try:
        for code in (1, 2):
            with pytest.raises(CompileError) as caught:
                await sandbox.compile(code, source)
            assert caught.value.line == line
            assert caught.value.message and "\n" not in caught.value.message
        await sandbox.compile(1, "return 1")  # a bad text leaves the child as it was
    finally:
        await sandbox.close()


@pytest.mark.parametrize(
    "source",
    [
        "}); f(); (async () => {",
        "}, function () {",
        "} * function () {",
        "}(call(1)), function () {",
        "}), call(1), (async function () {",
        "}[call(1)] = function () {",
        "} in function () {",
        "}\nin\nfunction () {",
        "}`${call(1)}` + function () {",
        "}:0?0:{a(){",
        "}}), ({ main() {",
        "} : 0; ({ async main() {",
        "}}]",
        "}, get, function () {",
        "}; function () {",
        "} /*",
        "return 1 //\n}, {",
    ],
)
async def test_S14_text_that_parses_only_because_of_its_wrapper_is_refused_and_does_not_run(source: str) -> None:
    sandbox = Sandbox.spawn(LIMITS, LIBRARY)
    try:
        with pytest.raises(CompileError):
            await sandbox.compile(1, source)
        await sandbox.compile(1, "return 1")
        await sandbox.start(1, b"{}")
        assert await ops_of_turn(sandbox) == [["end", True, 1]]  # and no call was made
    finally:
        await sandbox.close()


@pytest.mark.parametrize(
    "source",
    [
        "const f = () => { return 1 }\nawait null\nreturn f()",
        "const f = () => 1\nawait null\nreturn f()",
        "const f = () => 1\n  await f()\nconst g = (x) => x\nawait g(1)\nreturn g(f())",
        "let f\nf = (x) => x\nawait f(1)\nreturn f(1)",
        "const o = { f: () => 1 }\nawait o\nreturn o.f()",
        "function f() { return 1 }\nawait f()\nreturn f()",
    ],
)
async def test_S01_await_after_an_arrow_function_needs_no_semicolon(source: str) -> None:
    assert await end_of(source) == ["end", True, 1]


async def test_S06_await_where_it_cannot_stand_keeps_its_line() -> None:
    sandbox = Sandbox.spawn(LIMITS, LIBRARY)
    try:
        with pytest.raises(CompileError) as caught:
            await sandbox.compile(1, "const f = () => 1\nawait f()\nconst g = () => {\n  await f()\n}\n")
        assert caught.value.line == 4
    finally:
        await sandbox.close()


@pytest.mark.parametrize(
    "source",
    [
        "return 1 // a comment at the end",
        "\ufeffreturn 1",
        "#!/usr/bin/env pawl\nreturn 1",
        "\ufeff#!/usr/bin/env pawl\n/* about\n   it */ // more\nexport const meta = { name: 'x' };\nreturn 1",
        "export const meta = {}\nreturn this === undefined && 1",
        "'use strict'; return 1",
        "return 1\r\n// windows\r\n",
    ],
)
async def test_S02_what_may_stand_before_the_first_statement(source: str) -> None:
    kind, is_well, value = await end_of(source)
    assert (kind, is_well) == ("end", True)
    assert value == 1


async def test_text_that_no_engine_may_get_is_refused_by_the_host() -> None:
    sandbox = Sandbox.spawn(LIMITS, LIBRARY)
    try:
        with pytest.raises(CompileError) as nul:
            await sandbox.compile(1, "let a\n\0")
        assert (nul.value.message, nul.value.line) == ("a NUL character", 2)
        with pytest.raises(CompileError) as half:
            await sandbox.compile(1, "let a\nb = '\ud800'")
        assert (half.value.message, half.value.line) == ("half of a surrogate pair, which no text file can hold", 2)
        with pytest.raises(CompileError) as long:
            await sandbox.compile(1, "\n" * LIBRARY_LINE)
        assert long.value.message == "too many lines: all scripts of a run have 1,200,000 together"
    finally:
        await sandbox.close()


@pytest.mark.parametrize(
    ("source", "blanked"),
    [
        ("export const a", "       const a"),
        ("// x\nexport\tconst a", "// x\n      \tconst a"),
        ("/* export const */ export const a", "/* export const */        const a"),
        ("\ufeff#!x\nexport const a", " //x\n       const a"),
        ("export default 1", "export default 1"),
        ("export constant", "export constant"),
        ("exported const", "exported const"),
        ("/* never ended", "/* never ended"),
        ("'export const a'", "'export const a'"),
        ("", ""),
    ],
)
def test_only_the_leading_export_becomes_blank(source: str, blanked: str) -> None:
    assert blank_export(source) == blanked
    assert len(blanked) == len(source)


# ---- lines


async def test_S06_lines_of_a_stack_lead_to_their_own_text() -> None:
    main = "// one\n// two\nawait call(0);\nconst g = () => {\n\n  throw new Error('here')\n}\ng()"
    child = "// one\nconst h = () => {\n  throw new Error('there')\n}\nh()"
    async with sandbox_of(main) as sandbox:
        await sandbox.compile(2, child)
        await sandbox.start(1, b"{}")
        await ops_of_turn(sandbox)
        await sandbox.deliver([(b"[1,0]", 0)], stop_on_request=False)
        ((_, is_well, name, stack),) = await ops_of_turn(sandbox)
        assert (is_well, name) == (False, "Error: here")
        lines = [int(part.split(")")[0].split(":")[0]) for part in stack.split("<input>:")[1:]]
        assert sandbox.locate(lines[0]) == (1, 6)
    async with sandbox_of("return await call(0)") as sandbox:
        await sandbox.compile(2, child)
        await sandbox.start(1, b"{}")
        await ops_of_turn(sandbox)
        await sandbox.deliver([(b"[1,0]", 2)], stop_on_request=False)
        ((_, is_well, name, stack),) = await ops_of_turn(sandbox)
        assert (is_well, name) == (False, "Error: there")
        assert sandbox.locate(int(stack.split("<input>:")[1].split(")")[0].split(":")[0])) == (2, 3)
        assert sandbox.locate(LIBRARY_LINE + 4) == (None, 4)


# ---- ends


async def test_a_library_that_does_not_evaluate_is_named() -> None:
    sandbox = Sandbox.spawn(LIMITS, [("bad.js", "let x = ;")])
    with pytest.raises(SandboxDied) as caught:
        await sandbox.booted()
    assert caught.value.kind == "source"
    assert caught.value.message.startswith(
        "The standard library does not evaluate: SyntaxError: unexpected token in expression: ';'"
    )
    await sandbox.close()


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (
            signal.SIGKILL,
            "killed",
            "The script's process was ended from outside (SIGKILL). If nobody did that, the machine ran out of memory: see the system log",
        ),
        (
            signal.SIGSEGV,
            "crash",
            "The script crashed the JavaScript engine (SIGSEGV). Most often: data nested so deeply that native recursion overflows. The host and other runs are not affected",
        ),
        (
            signal.SIGXCPU,
            "cpu",
            "The script computed for more than 0.5 s of CPU time without waiting for anything (setting sandbox.cpu_turn_s = 0.5)",
        ),
        (
            signal.SIGSYS,
            "syscall",
            "The script's process made a system call that the sandbox forbids and was killed (SIGSYS). No script does that by honest means: please report it, with the script",
        ),
    ],
)
async def test_each_signal_has_its_error(number: signal.Signals, kind: str, message: str) -> None:
    async with sandbox_of("await call(0)") as sandbox:
        await sandbox.start(1, b"{}")
        await ops_of_turn(sandbox)
        os.kill(sandbox.pid, number)
        with pytest.raises(SandboxDied) as caught:  # noqa: PT012 - which of the two notices is a matter of time
            await sandbox.deliver([(b"[1,0]", 0)], stop_on_request=False)
            await sandbox.next_chunk()
        assert (caught.value.kind, caught.value.message) == (kind, message)
        with pytest.raises(SandboxDied):  # and again, for whoever asks later
            await sandbox.deliver([(b"[1,0]", 0)], stop_on_request=False)


async def test_close_wakes_whoever_waits() -> None:
    sandbox = Sandbox.spawn(replace(LIMITS, cpu_turn_s=60), LIBRARY)
    await sandbox.compile(1, "while (true) {}")
    await sandbox.start(1, b"{}")
    waiting = asyncio.ensure_future(sandbox.next_chunk())
    await asyncio.sleep(0)
    await sandbox.close()
    with pytest.raises(SandboxDied) as caught:
        await waiting
    assert caught.value.kind == "killed"


# ---- children that lie


class Liar:
    """A sandbox whose child has been replaced by a socket that says what a test wants."""

    def __init__(self, sandbox: Sandbox, theirs: socket.socket) -> None:
        self.sandbox = sandbox
        self.theirs = theirs

    def say(self, data: bytes) -> None:
        self.theirs.sendall(data)


async def lying_sandbox() -> Liar:
    sandbox = Sandbox.spawn(LIMITS, LIBRARY)
    await sandbox.compile(1, "await call(0)")
    worker: Any = sandbox._worker
    loop = asyncio.get_running_loop()
    loop.remove_reader(worker._socket)
    worker._socket.close()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    worker._socket = ours
    loop.add_reader(ours, worker._readable)
    await sandbox.start(1, b"{}")
    return Liar(sandbox, theirs)


def chunk(consumed: int, idle: int, ops: bytes) -> bytes:
    return framing.frame(framing.CHUNK, framing.u32(consumed), bytes((idle,)), ops)


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        ((8 << 20).to_bytes(4, "little").replace(b"\0\0\x80", b"\1\0\x80") + b"C", "a frame of 8388609 bytes"),
        (b"\xff\xff\xff\xffC", "a frame of 4294967295 bytes"),
        (b"\0\0\0\0C", "a frame of 0 bytes"),
        (framing.frame(ord("Z"), b"1234567"), "a frame of type 90 in a turn"),
        (framing.frame(framing.CHUNK, b"12"), "a frame of type 67 in a turn"),
        (framing.frame(framing.COMPILED, b"1234567"), "a frame of type 75 in a turn"),
        (chunk(1, 1, b"[]"), "1 of 0 items consumed, 0 before"),
        (chunk(0, 7, b"[]"), "a frame of type 67 in a turn"),
        (chunk(0, 0, b"[]"), "a chunk that tells nothing"),
        (framing.frame(framing.DIES, b"wonder\0\x1b[31m"), "a death notice of kind 'wonder'"),
    ],
)
async def test_a_lie_ends_the_child(data: bytes, detail: str) -> None:
    liar = await lying_sandbox()
    with liar.theirs:
        liar.say(data)
        with pytest.raises(SandboxDied) as caught:
            await liar.sandbox.next_chunk()
        assert caught.value.kind == "hostile"
        assert caught.value.message == f"The script's process broke the protocol and was killed: {detail}"
    await liar.sandbox.close()


async def test_a_truncated_frame_is_an_end_not_a_wait() -> None:
    liar = await lying_sandbox()
    with liar.theirs:
        liar.say(b"\x40\0\0\0C123")
    with pytest.raises(SandboxDied):
        await liar.sandbox.next_chunk()
    await liar.sandbox.close()


async def test_frames_in_pieces_are_put_together() -> None:
    liar = await lying_sandbox()
    with liar.theirs:
        waiting = asyncio.ensure_future(liar.sandbox.next_chunk())
        for byte in chunk(0, 1, b"[1]"):
            liar.say(bytes((byte,)))
            await asyncio.sleep(0)
        assert await waiting == Chunk(0, True, b"[1]")
    await liar.sandbox.close()


async def test_a_death_notice_cannot_write_to_the_terminal() -> None:
    liar = await lying_sandbox()
    with liar.theirs:
        liar.say(framing.frame(framing.DIES, b"engine\0bad \x1b]0;x\x07\n" + b"y" * 9999))
    with pytest.raises(SandboxDied) as caught:
        await liar.sandbox.next_chunk()
    assert caught.value.message.isprintable() and len(caught.value.message) < 600
    await liar.sandbox.close()


def test_the_defaults_are_those_of_the_settings() -> None:
    from engine.settings import SandboxSettings

    settings, limits = SandboxSettings(), Limits()
    for name in Limits.__slots__:
        assert getattr(limits, name) == getattr(settings, name)
