"""Scripts that turn on our own standard library, over the real engine: patched built-ins, values that lie, texts without
end, a stack that ends inside a primitive. Each run ends as its script says, or with an error that says what is wrong;
never with a frame that the host refuses, a lost join or a hang."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.runs import Project

from engine.agents.sample import SampleBackend
from engine.values import AgentAnswer, RunStatus, Usage


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


async def fate(project: Project, body: str, **given: Any) -> tuple[str | None, str]:
    """(code, message) of a run that must fail."""
    result = await project.run(body, **given)
    assert result.status is RunStatus.FAILED, result.result
    assert result.error is not None
    return result.error["code"], result.error["message"]


THE_SAME = """
  const four = await parallel([() => agent('one', {label: 'L', schema: {type: 'object', properties: {n: {type: 'integer'}}, required: ['n']}}),
    async () => { await sleep(5); return await agent('two') }, () => 3, () => { throw 4 }], {concurrency: 2});
  const piped = await pipeline(['x', 'y'], (item) => agent(item), (answer, item, i) => item + i);
  const won = await race([() => agent('r'), () => new Promise(() => {})]);
  const graph = await dag([{id: 'a'}, {id: 'b', dependsOn: ['a']}], (node, ready) => agent(node.id + (ready.a ? 1 : 0)));
  let lost = 'nothing';
  try { await race([() => { throw 1 }, () => { throw 2 }]) } catch (error) { lost = error.errors[0] + ',' + error.errors[1] }
  const failed = await parallel([() => { throw 7 }], {settle: true});
  log('said', {a: [1]}); phase('P');
  return {four, piped, won, graph, lost, failed}
"""

PATCHES = {
    "members_of_every_object": """
      const names = ['i', 't', 'u', 'v', 'e', 'own', 'fits', 'expected', 'attempts', 'name', 'message', 'code', 'fields', 'receive', 'text', 'next', 'then0', 'isDecided'];
      for (let n = 0; n < names.length; n++) Object.defineProperty(Object.prototype, names[n], {__proto__: null, value: {message: 'not mine'}, writable: true, configurable: true});
    """,
    "setters_on_every_object": """
      const names = ['i', 't', 'lane', 'call', 'promise', 'left', 'ok', 'value', 'error', 'label', 'phase', 'full', 'place', 'at', 'key', 'up'];
      for (let n = 0; n < names.length; n++) Object.defineProperty(Object.prototype, names[n], {__proto__: null, set() { throw new Error('set') }, configurable: true});
    """,
    "places_of_every_array": "for (let n = 0; n < 9; n++) Object.defineProperty(Array.prototype, n, {__proto__: null, set() { throw new Error('set') }, get() { return 'mine' }, configurable: true});",
    "every_object_iterable": "Object.prototype[Symbol.iterator] = function* () { yield 'mine' };",
    "iteration_of_arrays": "Array.prototype[Symbol.iterator] = () => { throw new Error('mine') };",
    "next_of_iterators": "Object.getPrototypeOf([][Symbol.iterator]()).next = () => { throw new Error('mine') };",
    "classes_that_know_nobody": "for (const C of [Error, Promise, Promise.prototype.constructor]) Object.defineProperty(C, Symbol.hasInstance, {value() { throw new Error('mine') }, configurable: true});",
    "no_error": "globalThis.Error = 5; globalThis.TypeError = 6; globalThis.AggregateError = 7;",
    "no_methods": """
      const {ownKeys} = Reflect;
      const none = (target) => { const keys = ownKeys(target); for (let n = 0; n < keys.length; n++) if (keys[n] !== 'constructor') try { target[keys[n]] = undefined } catch {} };
      const all = [Array, String, Number, Function, RegExp, Map, Set, Promise, Date];
      for (let n = 0; n < all.length; n++) { none(all[n].prototype); none(all[n]) } // from here on, `await` is what is left of promises
      none(JSON); none(Math); none(Reflect); none(Object);
    """,
    "evil_methods": """
      const evil = function () { throw new Error('mine') };
      Promise.prototype.then = Promise.prototype.catch = Promise.prototype.finally = Promise.resolve = evil;
      Map.prototype.get = Map.prototype.set = Map.prototype.has = Map.prototype.delete = Map.prototype.forEach = evil;
      Array.prototype.push = Array.prototype.map = Array.prototype.forEach = Array.prototype.join = Array.from = evil;
      Function.prototype.call = Function.prototype.apply = Function.prototype.bind = evil;
      JSON.parse = JSON.stringify = Reflect.apply = Object.keys = Object.defineProperty = Object.setPrototypeOf = evil;
      RegExp.prototype.exec = RegExp.prototype.test = String.prototype.slice = String.prototype.indexOf = String.prototype.charCodeAt = evil;
    """,
    "no_globals": "const {agent, parallel, pipeline, race, dag, sleep, log, phase, Promise} = globalThis; const keys = Reflect.ownKeys(globalThis); for (let n = 0; n < keys.length; n++) try { delete globalThis[keys[n]] } catch {}",
    "the_class_of_our_promises": "const ours = Object.getPrototypeOf(agent('probe')); delete ours.constructor; ours.then = () => { throw new Error('mine') };",
}


@pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES.keys())
async def test_S08_patched_built_ins_change_no_call_join_or_result(project: Project, patch: str) -> None:
    expected = await project.value(THE_SAME)
    patched = await project.run(patch + THE_SAME)
    assert patched.error is None, patched.error
    assert patched.result == expected
    assert '{"a":[1]}' in project.logs[-1]
    assert (await project.replay(patched.run_id)).result == expected


LIES = {
    "label": ("agent('x', {get label() { return n++ ? {} : 'ok' }})", None),
    "phase": ("agent('x', {get phase() { return n++ ? 7 : 'ok' }})", None),
    "schema_is_a_date": ("agent('x', {schema: new Date(0)})", "agent() option 'schema' must be a JSON Schema object, not \"1970-01-01T00:00:00.000Z\""),
    "schema_is_nothing": ("agent('x', {schema: {toJSON() {}}})", "agent() option 'schema' must be a JSON Schema object, not object"),
    "schema_is_a_list": ("agent('x', {schema: {toJSON: () => [1]}})", "agent() option 'schema' must be a JSON Schema object, not [1]"),
    "retry_is_text": ("agent('x', {retry: {toJSON: () => 'x'}})", "agent() option 'retry' must be {attempts: 1 to 1000, backoffSeconds: 0 to 86400}, not \"x\""),
    "attempts_change": ("agent('x', {retry: {get attempts() { return n++ > 1 ? 'x' : 1 }}})", "agent() option 'retry' must be {attempts: 1 to 1000, backoffSeconds: 0 to 86400}, not {\"attempts\":\"x\"}"),
    "tools_change": ("agent('x', {tools: new Proxy(['a'], {get: (t, k) => k === '0' && n++ ? 5 : t[k]})})", "agent() option 'tools' must be an array of tool names, not [5]"),
    "attempts_without_end": ("agent('x', {retry: {attempts: 1e300}})", "agent() option 'retry' must be {attempts: 1 to 1000, backoffSeconds: 0 to 86400}, not {\"attempts\":1e+300}"),
    "minutes_without_end": ("agent('x', {timeoutMinutes: 1e308})", "agent() option 'timeoutMinutes' must be a number of minutes above 0, at most 525600, not 1e+308"),
    "sleep_without_end": ("sleep(1e300)", "sleep() needs milliseconds from 0 to 3153600000000 (100 years), not 1e+300"),
    "choices": ("ask('q', {choices: Object.assign([1], {toJSON: () => 5})})", "ask() option 'choices' must be an array with at least one entry, not 5"),
    "default_is_nothing": ("ask('q', {default: {toJSON() {}}})", "ask() option 'default' must be a value, not object"),
    "path_changes": ("workflow({get scriptPath() { return n++ ? {} : 'gone.js' }}).catch((error) => error.code)", None),
    "symbol_option": ("parallel([], {[Symbol('s')]: 1})", None),
    "length": ("parallel(new Proxy([], {get: (t, k) => k === 'length' ? n++ ? 1e9 : 0 : t[k]}))", None),
    "length_is_text": ("parallel(new Proxy([], {get: (t, k) => k === 'length' ? 'x' : t[k]}))", "parallel() got an array without a length"),
    "node_without_end": ("dag([{get id() { return n++ ? 5 : 'a' }}], () => 1)", None),
    "needs_a_symbol": ("dag([{id: 'a', dependsOn: [Symbol('s')]}], () => 1)", "dag() node 'a' depends on symbol, which is no node"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "message"), LIES.values(), ids=LIES.keys())
async def test_S08_what_reads_differently_each_time_is_read_once_or_refused(
    project: Project, call: str, message: str | None
) -> None:
    body = (
        f"let n = 0; try {{ await {call}; return null }} catch (error) {{ return error.name + ': ' + error.message }}"
    )
    assert await project.value(body) == (None if message is None else "TypeError: " + message)


async def test_S08_arrays_that_change_while_their_entries_run_change_nothing(project: Project) -> None:
    body = """
      const nodes = [{id: 'a'}, {id: 'b', dependsOn: ['a']}];
      const thunks = [() => agent('one'), () => agent('two')];
      const items = ['x', 'y'];
      const empty = (list, value) => { list.length = 0; return value };
      return [
        Object.keys(await dag(nodes, async (node) => empty(nodes, await agent(node.id)))),
        (await parallel([async () => empty(thunks, await thunks[0]()), ...thunks], {concurrency: 1})).length,
        await pipeline(items, async (item) => empty(items, item), (_, item) => item, {concurrency: 1}),
      ]
    """
    assert await project.value(body) == [["a", "b"], 3, ["x", "y"]]


async def test_S08_a_getter_that_throws_leaves_the_lane_where_it_was(project: Project) -> None:
    body = """
      const bad = (first) => Object.defineProperty([first, 0], 1, {get() { throw new Error('bad') }});
      const caught = [];
      for (const start of [() => parallel(bad(() => 1)), () => pipeline(bad(1), (x) => agent('never')), () => race(bad(() => 1)), () => dag(bad({id: 'a'}), () => 1)]) {
        try { await start() } catch (error) { caught.push(error.message) }
      }
      await agent('after');
      return caught
    """
    result = await project.run(body)
    assert result.result == ["bad"] * 4
    assert [e.lane for e in project.events if e.kind == "call_requested"] == [""]


THROWN = {
    "toJSON_of_nothing": ("throw {toJSON() {}}", "Error: a value that is not JSON"),
    "revoked": ("const {proxy, revoke} = Proxy.revocable({}, {}); revoke(); throw proxy", "Error: a value that is not JSON"),
    "symbol": ("throw Symbol('s')", "Error: a symbol"),
    "evil_getters": ("throw {get message() { throw 1 }, get name() { throw 1 }, get stack() { throw 1 }, get code() { throw 1 }}", None),
    "half_a_character": ("throw new Error('\\ud83d')", "Error: \N{REPLACEMENT CHARACTER}"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "message"), THROWN.values(), ids=THROWN.keys())
async def test_S08_whatever_is_thrown_ends_the_run_as_the_scripts_error(
    project: Project, body: str, message: str | None
) -> None:
    code, told = await fate(project, body)
    assert code == "script_threw"
    assert message is None or told == message


async def test_S08_log_takes_what_nothing_else_takes(project: Project) -> None:
    body = "const {proxy, revoke} = Proxy.revocable({}, {}); revoke(); log(proxy); log([proxy]); log(1n, Symbol('s')); log({get a() { throw 1 }}); return 1"
    assert await project.value(body) == 1
    assert project.logs[0].startswith("[") and "proxy" in project.logs[0]
    assert len(project.logs) == 4


async def test_S08_a_stack_that_ends_inside_a_primitive_leaves_frames_and_joins_right(project: Project) -> None:
    body = """
      const dive = (start) => { const f = () => { try { start() } catch {} return 1 + f() }; try { f() } catch (error) { return error.name } };
      const ends = [() => parallel([() => 1]).catch(() => 0), () => pipeline([1], (x) => x), () => race([() => 1]).catch(() => 0), () => dag([{id: 'a'}], () => 1), () => log('deep')].map(dive);
      const after = await parallel([() => agent('a'), () => race([() => agent('b'), () => agent('c')])]);
      return [new Set(ends).size, after.length, after.includes(null)]
    """
    assert await project.value(body) == [1, 2, False]


async def test_S08_a_stack_that_ends_inside_agent_makes_no_call_by_halves(project: Project) -> None:
    body = """
      const f = (n) => { if (n < 300) agent('p' + n).catch(() => 0); return 1 + f(n + 1) };
      const won = await race([async () => { try { f(0) } catch {} try { const g = () => { try { agent('deep') } catch {} return 1 + g() }; g() } catch {} await new Promise(() => {}) }, async () => 'won']);
      return [won, typeof await agent('after')]
    """
    result = await project.run(body, max_agents=100_000)
    assert (result.error, result.result) == (None, ["won", "string"])


async def test_S08_deep_nesting_is_an_error_with_its_place(project: Project) -> None:
    nest = "let s = {type: 'object'}; for (let i = 0; i < 5000; i++) s = {properties: {a: s}};"
    told = await project.value(
        nest
        + "try { await agent('x', {schema: s}) } catch (error) { return [error.name, error.code, error.message.length < 500] }"
    )
    assert told == ["TypeError", "not_json", True]
    code, message = await fate(project, "let s = 1; for (let i = 0; i < 5000; i++) s = [s]; return s")
    assert code == "result_not_json"
    assert message.startswith("The value at …[0][0]") and message.endswith("is nested deeper than 200")


async def test_S08_joins_nested_far_deeper_than_the_stack_are_cancelled_together(project: Project) -> None:
    body = """
      const f = async (n) => { await 0; return n ? parallel([() => f(n - 1)]) : (Math.random(), agent('deep')) };
      return race([() => f(3000), async () => { await agent('a'); return 'won' }])
    """
    assert await project.value(body) == "won"


async def test_S06_a_name_with_digits_is_not_a_line(project: Project) -> None:
    await project.run("const o = {'GET:7'() { log('here') }};\nreturn o['GET:7']()")
    lines = [e.line for e in project.events if e.kind == "log"]
    assert lines in ([2], [3])  # of the function's own line, or where the engine has none, of its call


async def test_S08_long_texts_for_people_are_cut(project: Project) -> None:
    body = "await agent('x', {label: 'L'.repeat(5e6), phase: 'P'.repeat(5e6)}); phase('Q'.repeat(5e6)); log('m'.repeat(5e6)); throw new Error('e'.repeat(5e6))"
    code, message = await fate(project, body)
    assert (code, len(message)) == ("script_threw", len("Error: ") + 65536 + len(" … (5000000 characters)"))
    titles = [e.title for e in project.events if e.kind == "phase"]
    assert titles == ["Q" * 1000 + " … (5000000 characters)"]
    assert max(len(line) for line in project.logs) < 66_000


async def test_S15_a_structured_result_of_ten_megabytes_takes_less_than_a_turn(project: Project) -> None:
    body = (
        "const a = []; for (let i = 0; i < 80000; i++) a.push({path: 'src/file' + i, text: 'x'.repeat(90)}); return a"
    )
    began = time.monotonic()
    assert len(await project.value(body)) == 80_000
    assert time.monotonic() - began < 30


async def test_S20_a_long_prompt_with_one_emoji_takes_less_than_a_turn(project: Project) -> None:
    assert "Sample answer" in await project.value("return agent('😀' + 'a'.repeat(5 << 20))")


async def test_S10_a_million_promises_between_two_calls_are_no_attack(project: Project) -> None:
    # Numbers of promises are what is tested here, not the CPU that they cost on a slow machine.
    project.settings = replace(project.settings, sandbox=replace(project.settings.sandbox, cpu_turn_s=20.0))
    body = "const pause = Array.from({length: 6}, (_, i) => agent('p' + i)); await agent('a'); for (let turn = 0; turn < 6; turn++) { for (let i = 0; i < 180000; i++) new Promise(() => {}); await pause[turn] } return await agent('b')"
    assert "Sample answer" in await project.value(body)


async def test_S41_a_flood_of_lines_leaves_one_warning_and_a_run_that_goes_on(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.telling.MOST_SAID", 50)
    body = "for (let i = 0; i < 1000; i++) { log('line ' + i); phase('phase ' + i) } await parallel([() => { throw 1 }]); agent('nobody waits'); return 1"
    result = await project.run(body)
    assert (result.result, result.degraded) == (1, True)
    assert project.logs == [f"line {i}" for i in range(25)]
    assert [e.title for e in project.events if e.kind == "phase"] == [f"phase {i}" for i in range(25)]
    assert [e.code for e in project.events if e.kind == "log" and e.level == "warning"] == ["log_full", "not_awaited"]
    assert project.warnings[0] == (
        "The script said more than 50 lines or 32 MiB with log() and phase(); from here on its lines are neither shown "
        "nor kept. Write large output to a file."
    )
    monkeypatch.setattr("engine.telling.MOST_SAID_CHARACTERS", 100)
    await project.run("log('x'.repeat(60)); log('y'.repeat(60)); log('z'); return 1")
    assert project.logs == ["x" * 60]


async def test_S21_an_answer_nested_deeper_than_json_is_written_does_not_fit(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nested(*_: Any) -> AgentAnswer:
        return AgentAnswer('{"a":' * 300 + "1" + "}" * 300, Usage())

    monkeypatch.setattr(SampleBackend, "run", nested)
    body = "try { await agent('x', {schema: {type: 'object'}}) } catch (error) { return error.message }"
    assert (await project.value(body)).startswith(
        "no answer fits the schema after 5 rounds: the answer cannot be written as JSON: Recursion limit reached; nest it less deeply"
    )


MANY = """
  const out = [];
  const note = (...values) => { out.push(values.join(' ')); log(...values) };
  const number = () => Math.random().toFixed(6);
  note(number(), Date.now(), new Date(2024, 0, 1).toISOString(), new Date('2024-01-01T10:00:00').getTime(), String(new Date(0)), new Date(0).toLocaleString());
  try { null.x } catch (error) { note(error.message, error.stack) }
  note([5, 1, 4, 2].sort(() => Math.random() - 0.5).join());
  for (const ms of [5, 5, 0, 3]) setTimeout(() => note('timer', ms, number(), Date.now()), ms);
  let open; const gate = new Promise((resolve) => { open = resolve });
  const late = [];
  const one = await parallel([
    async () => { const a = await agent('a'); note('a', number(), Date.now()); const b = await agent('b after ' + a); open(b); note('b', number()); return b },
    async () => { const b = await gate; note('gate', number()); return agent('c after ' + b) },
    () => pipeline([1, 2, 3, 4], (n) => agent('p' + n), async (_, n) => { note('pipe', n, number(), Date.now()); await sleep(n); return agent('q' + n + number()) }),
    () => race([() => agent('r1'), async () => { await agent('r2'); note('r2 first'); return agent('r2b') }, async () => { try { return await agent('r3') } catch (error) { note(error.code); return 'never' } }]).then((won) => { note('won', won, number()); return won }),
    () => dag([{id: 'x'}, {id: 'y'}, {id: 'z', dependsOn: ['x', 'y']}], async (node, ready) => { const v = await agent(node.id + Object.keys(ready)); note('node', node.id, number(), Date.now()); return v }),
    async () => { late.push((async () => { await agent('l1'); await agent('l2'); note('late', number(), Date.now()); return agent('l3') })()); return 'left' },
  ]);
  note('joined', number(), Date.now(), budget.spent(), budget.agents.spent());
  const found = [];
  for (let i = 0; i < 3; i++) { found.push(await Promise.race([agent('loop' + i), agent('other' + i)])); note(found[i], number()) }
  const seen = new Map();
  await parallel([1, 2, 3, 4, 5].map((i) => async () => { seen.set(i, await agent('m' + i)); note([...seen.keys()]) }));
  await Promise.all(late); await sleep(20);
  const after = await parallel(found.map((f, i) => async () => { await sleep(i % 2); return agent('f' + i + f) }), {concurrency: 2});
  return {one, out, after, keys: [...seen.keys()], at: Date.now(), number: number()}
"""


@pytest.mark.parametrize("concurrency", [1, 3, 16, 1000])
async def test_S13_replay_and_resume_see_what_the_run_saw_whatever_took_how_long(
    project: Project, monkeypatch: pytest.MonkeyPatch, concurrency: int
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    answer = SampleBackend.run

    async def slow(self: SampleBackend, *given: Any) -> Any:
        await asyncio.sleep(chance.choice([0, 0.001, 0.004, 0.02]))
        return await answer(self, *given)

    monkeypatch.setattr(SampleBackend, "run", slow)
    first = await project.run(MANY, concurrency=concurrency)
    assert first.error is None
    lines = project.logs
    replayed = await project.replay(first.run_id)
    assert (replayed.result, replayed.status) == (first.result, first.status)
    again = await project.resume(first.run_id, MANY + "\n// edited")
    assert again.result == first.result
    assert [e.call for e in project.events if e.kind == "call_started"] == []
    assert project.logs == lines


@pytest.mark.parametrize("hook", ["() => ({})", "() => undefined", "() => { agent('again'); return '<input>:1' }"])
async def test_S06_a_hook_into_stacks_moves_no_line(project: Project, hook: str) -> None:
    hooks = f"Error.prepareStackTrace = {hook}; Error.stackTraceLimit = 0;\n"
    await project.run(hooks + "log('here');\nawait agent('p', {bogus: 1})")
    assert [e.line for e in project.events if e.kind == "log"] == [3, 4]


@pytest.mark.parametrize("ms", ["1n", "Symbol('s')", "{valueOf() { throw 1 }}", "-1", "NaN", "'soon'"])
async def test_S27_what_is_no_time_is_refused_by_name(project: Project, ms: str) -> None:
    message = await project.value(f"try {{ await sleep({ms}) }} catch (error) {{ return error.message }}")
    assert message.startswith("sleep() needs milliseconds from 0 to 3153600000000 (100 years), not ")


async def test_S46_a_flood_of_calls_that_nobody_awaits_ends_with_the_limit_by_name(project: Project) -> None:
    limits = replace(project.settings.sandbox, pending_calls=1000)
    project.settings = replace(project.settings, sandbox=limits)
    code, message = await fate(project, "for (let i = 0; i < 1001; i++) agent('p' + i); return 1")
    assert (code, message) == ("sandbox_pending", "The script has more than 1,000 calls pending at once.")
    assert await project.value("return 2") == 2


async def test_I5_many_long_prompts_at_once_are_more_than_one_message(project: Project) -> None:
    body = "return (await parallel(Array.from({length: 170}, (_, i) => () => agent(i + 'x'.repeat(400_000))))).length"
    assert await project.value(body) == 170
