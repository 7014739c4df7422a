"""Scripts that attack the engine, its limits and the frame protocol: each ends with one clear error, within a bound of
time, and the same host runs the next script as if nothing had been (I5). The rows of the behaviour table and more."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import pytest
from support.tiny_library import LIMITS, end_of

from sandbox import SandboxDied, deaths

CPU = "The script computed for more than 0.5 s of CPU time without waiting for anything (setting sandbox.cpu_turn_s = 0.5)"
MEMORY = "The script used more memory than the limit of 64 MiB (setting sandbox.memory_bytes = 67108864)"
FRAME = "at most 8 MiB are taken (setting sandbox.frame_bytes = 8388608)"
CRASH = "The script crashed the JavaScript engine"

MOST_SECONDS = 30.0
"""A limit of 0.5 s CPU, the kernel's granularity of whole seconds and a machine that is shared by others."""


@dataclass(frozen=True)
class Attack:
    name: str
    source: str
    kinds: tuple[str, ...] = ("cpu",)
    """What may end it. More than one where the two engines, or two runs, meet another limit first."""


ATTACKS = (
    # --- computing
    Attack("loop", "while (true) {}"),
    Attack("loop_after_await", 'await call("x"); while (true) {}'),
    Attack("loop_in_try_finally", "for (;;) try { while (true) {} } catch {} finally { while (true) {} }"),
    Attack("catch_chain_survives_interrupts", "const f = async () => { while (true) {} }; const g = () => f().catch(g); return g()"),
    Attack("await_in_catch", "for (;;) { try { await (async () => { while (true) {} })() } catch {} }"),
    Attack("microtask_flood", "for (;;) await 0"),
    Attack("then_flood", "const f = () => Promise.resolve().then(f); f(); return new Promise(() => {})", ("cpu", "memory")),
    Attack("thenable_flood", "const t = { then(r) { r(t) } }; await t"),
    Attack("regex_bomb", 'return /^(a+)+$/.test("a".repeat(40) + "b")'),
    Attack("regex_alternatives", 'return /(?:a|a|a|a)*$(?!x)y/.test("a".repeat(64))'),
    Attack("join_bomb", 'return Array(2 ** 32 - 1).join("").length', ("cpu", "memory", "script")),
    Attack("indexof_bomb", "return Array(2 ** 32 - 1).indexOf(1)"),
    Attack("typed_array_length_bomb", "return Array.prototype.includes.call({ length: 2 ** 53 - 1 }, 1)"),
    Attack("sort_comparator", "[3, 1, 2].sort(() => { while (true) {} })"),
    Attack("to_string_of_thrown", "throw { toString() { while (true) {} } }", ("cpu", "script")),
    Attack("stack_getter_of_thrown", "throw { get stack() { while (true) {} }, get message() { while (true) {} } }", ("cpu", "script")),
    Attack("to_string_thrown_in_job", "Promise.resolve().then(() => { throw { toString() { while (true) {} } } }); await 0; for (;;) await 0"),
    Attack("to_json", "return { toJSON() { while (true) {} } }"),
    Attack("getter_in_result", "return { get x() { while (true) {} } }"),
    Attack("proxy_result", "return new Proxy({}, { ownKeys() { while (true) {} } })"),
    Attack("global_getter", 'Object.defineProperty(globalThis, "other", { get() { while (true) {} } }); return other'),
    Attack("bigint_power", "let x = 3n; for (;;) x *= x", ("cpu", "memory", "script")),
    Attack("date_parse_loop", 'for (;;) Date.parse("2020-01-01T00:00:00Z")'),
    Attack("generator_without_end", "function* g() { for (;;) yield 1 } for (const _ of g());"),
    Attack("spread_without_end", "return [...{ *[Symbol.iterator]() { for (;;) yield 1 } }]", ("cpu", "memory")),
    Attack("eval_loop", 'for (;;) (0, eval)("1 + 1")'),
    Attack("function_constructor_loop", 'Function("while (true) {}")()'),
    Attack("species", "class A extends Array { static get [Symbol.species]() { while (true) {} } } new A(3).map(x => x)"),
    # --- memory
    Attack("array_bomb", "const a = []; for (;;) a.push([1, 2, 3, {}])", ("memory", "cpu")),
    Attack("string_bomb", 'let s = "ab"; const a = []; for (let i = 0; ; i++) a.push((s + i).repeat(1000))', ("memory", "cpu")),
    Attack("object_bomb", 'const o = {}; for (let i = 0; ; i++) o["k" + i] = { i }', ("memory", "cpu")),
    Attack("promise_bomb", "const a = []; for (;;) a.push(new Promise(() => {}))", ("memory", "cpu")),
    Attack("buffer_bomb", "const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1))", ("memory", "script")),
    Attack("closure_bomb", "let f = () => 0; for (;;) { const g = f; f = () => g }", ("memory", "cpu")),
    Attack("map_bomb", "const m = new Map(); for (let i = 0; ; i++) m.set({}, i)", ("memory", "cpu")),
    Attack("swallowed_bomb", "for (;;) { const a = []; try { for (;;) a.push(new Uint8Array(1 << 20).fill(1)) } catch {} }", ("cpu", "memory")),
    Attack("swallowed_bomb_then_waits", "try { const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1)) } catch {} await call(1)", ("memory",)),
    Attack("swallowed_in_a_promise", "const f = async () => { const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1)) }; await f().catch(() => 1); await call(1)", ("memory",)),
    Attack("pending_calls_without_end", "for (;;) call(1)", ("memory", "cpu", "script")),
    # --- one message
    Attack("large_request", 'await call("x".repeat(9 << 20))', ("frame",)),
    Attack("large_result", 'return "y".repeat(9 << 20)', ("frame",)),
    # --- stack and native recursion
    Attack("deep_stringify", "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a", ("crash", "cpu", "stack", "script")),
    Attack("nested_regex", 'let r = "a|"; for (let i = 0; i < 34; i++) r = "(?:" + r + ")+"; return new RegExp(r).test("b".repeat(99))', ("crash", "cpu", "memory", "stack", "script")),
)  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_attack_ends_with_a_clear_error_and_the_host_goes_on(attack: Attack) -> None:
    began = time.monotonic()
    try:
        end = await end_of(attack.source)
        kind, message = "script", ""
        assert end[1] is False, f"it ended well: {end}"
    except SandboxDied as death:
        kind, message = death.kind, death.message
    seconds = time.monotonic() - began
    assert kind in attack.kinds, message
    if kind == "cpu":
        assert message == CPU
    elif kind == "memory":
        assert message == MEMORY
    elif kind == "frame":
        assert message.startswith("One message of the script is too large: 9 MiB, ") and message.endswith(FRAME)
    elif kind == "crash":
        assert message.startswith(CRASH)
    elif kind == "stack":
        assert (
            message
            == "The script's calls were nested deeper than a stack of 1 MiB can hold (setting sandbox.stack_bytes = 1048576)"
        )
    assert seconds < MOST_SECONDS
    assert await end_of('return (await call("next")) === null') == ["end", True, True]


CATCHABLE = (
    ("recursion", "const f = () => f() + 1; try { f() } catch (e) { return e.name }", "InternalError|RangeError"),
    ("deep_json_parse", 'try { JSON.parse("[".repeat(1e6)) } catch (e) { return e.name }', "InternalError|RangeError|SyntaxError"),
    ("deep_source", 'try { eval("(".repeat(1e6)) } catch (e) { return e.name }', "InternalError|RangeError|SyntaxError"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "source", "names"), CATCHABLE, ids=[row[0] for row in CATCHABLE])
async def test_stack_overflow_is_an_ordinary_error_of_the_language(name: str, source: str, names: str) -> None:
    kind, is_well, value = await end_of(source)
    assert (kind, is_well) == ("end", True)
    assert value in names.split("|")


@pytest.mark.parametrize(
    "source",
    [
        "Object.prototype.toJSON = () => { throw 1 }; return 1",
        "Promise.prototype.then = undefined; Array.prototype.push = undefined; JSON.stringify = () => 'x'; return 1",
        "Map.prototype.get = () => { throw 1 }; Function.prototype.call = null; return 1",
        "Object.defineProperty(Array.prototype, 0, { set() { throw 1 }, get() { return 7 } }); return 1",
    ],
)
async def test_S08_patched_built_ins_are_the_scripts_own_affair(source: str) -> None:
    assert await end_of(source) == ["end", True, 1]
    assert await end_of("return 2") == ["end", True, 2]


async def test_S13_no_limit_is_a_value_that_a_script_goes_on_from() -> None:
    source = """
      const seen = [];
      for (let i = 0; i < 3; i++) {
        try { await (async () => { while (true) {} })() } catch (e) { seen.push(String(e)) }
      }
      return seen
    """
    with pytest.raises(SandboxDied) as caught:
        await end_of(source)
    assert (caught.value.kind, caught.value.message) == ("cpu", CPU)


async def test_a_low_limit_of_frames_names_itself() -> None:
    with pytest.raises(SandboxDied) as caught:
        await end_of('return "x".repeat(5000)', replace(LIMITS, frame_bytes=4096))
    assert caught.value.message == (
        "One message of the script is too large: 4.905 KiB, at most 4 KiB are taken (setting sandbox.frame_bytes = 4096)"
    )


async def test_without_seccomp_the_limits_hold_as_well() -> None:
    with pytest.raises(SandboxDied) as caught:
        await end_of("while (true) {}", with_seccomp=False)
    assert caught.value.kind == "cpu"


def test_every_kind_of_death_names_what_to_do() -> None:
    for kind, setting in (
        ("memory", "memory_bytes"),
        ("cpu", "cpu_turn_s"),
        ("stack", "stack_bytes"),
        ("frame", "frame_bytes"),
    ):
        assert f"(setting sandbox.{setting} = " in deaths.of_kind(kind, LIMITS).message
