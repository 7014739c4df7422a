"""How a script starts, what it may rely on, how it ends: S08, S10, S11, S13, S15."""

from __future__ import annotations

import pytest
from support.runs import Project

HOUR = 3_600_000


async def test_S01_top_level_await_and_return_and_null_without_one(project: Project) -> None:
    assert await project.value("return await agent('x')") is not None
    assert await project.value("await agent('x')") is None


async def test_S08_patched_built_ins_change_only_the_scripts_own_values(project: Project) -> None:
    body = """
    Object.prototype.toJSON = () => 'evil'; Array.prototype.toJSON = () => ['evil'];
    Promise.prototype.then = () => 'evil'; Array.prototype.map = () => ['evil']; Array.prototype.push = () => 0;
    Array.prototype[Symbol.iterator] = function* () { yield 'evil' };
    Map.prototype.get = () => 'evil'; Map.prototype.set = () => 'evil'; Map.prototype.delete = () => 'evil';
    JSON.stringify = () => '"evil"'; JSON.parse = () => 'evil'; Reflect.apply = () => 'evil'; Object.keys = () => ['evil'];
    String.prototype.slice = () => 'evil'; String.prototype.charCodeAt = () => 0; Math.round = () => 7;
    Object.defineProperty(Array.prototype, '0', { set() {}, get() { return 'evil' }, configurable: true });
    delete Object.prototype.toJSON; delete Array.prototype.toJSON;
    const a = await agent('first');
    const b = await parallel([() => agent('second'), async () => { await sleep(5); return 'third' }]);
    const c = await pipeline(['x'], (v) => agent('fourth ' + v));
    const d = await race([() => agent('fifth')]);
    const e = await dag([{ id: 'n' }, { id: 'm', dependsOn: ['n'] }], (n) => agent('node ' + n.id));
    return a + '|' + b[1] + '|' + c.length + '|' + d + '|' + e.m;
    """
    value = await project.value(body)
    texts = [part.split(": ")[-1] for part in value.split("|")]
    assert texts == ["first", "third", "1", "fifth", "node m"]


async def test_S08_a_patched_to_json_changes_the_scripts_own_result_only(project: Project) -> None:
    result = await project.run("Object.prototype.toJSON = () => 'evil'; const a = await agent('x'); return { a }")
    assert result.result == "evil"
    assert result.status == "completed"


@pytest.mark.parametrize(
    "name", ["process", "fetch", "XMLHttpRequest", "Deno", "Bun", "std", "os", "__pawl", "module", "exports"]
)
async def test_S08_there_is_no_host(project: Project, name: str) -> None:
    assert await project.value(f"return typeof {name}") == "undefined"


async def test_S08_code_made_at_run_time_has_no_other_powers(project: Project) -> None:
    body = "return [typeof (0, eval)('typeof process'), new Function('return typeof globalThis.__pawl')(), (async () => {}).constructor('return typeof require')() instanceof Promise]"
    assert await project.value(body) == ["string", "undefined", True]


async def test_S10_the_same_run_replays_the_same_numbers_and_two_runs_differ(project: Project) -> None:
    body = "const a = Math.random(); await agent('x'); return [a, Math.random(), ...(await parallel([() => Math.random(), () => Math.random()]))]"
    first = await project.run(body)
    assert all(0 <= x < 1 for x in first.result)
    assert len(set(first.result)) == 4
    assert (await project.resume(first.run_id)).result == first.result
    assert (await project.replay(first.run_id)).result == first.result
    assert (await project.run(body)).result != first.result


async def test_S10_an_edit_in_one_lane_moves_no_numbers_in_another(project: Project) -> None:
    body = "return await parallel([async () => { %s return Math.random() }, async () => Math.random()])"
    first = await project.run(body % "")
    edited = await project.resume(first.run_id, body % "Math.random(); await parallel([() => Math.random()]);")
    assert edited.result[1] == first.result[1]
    assert edited.result[0] != first.result[0]


async def test_S11_the_clock_moves_only_when_a_result_is_delivered(project: Project) -> None:
    body = """
    const a = Date.now(); for (let i = 0; i < 1e5; i++); const b = new Date().getTime();
    await sleep(30); const c = Date.now();
    return [a === b, c - a >= 30, Number.isInteger(c), new Date(0).toISOString(), Date.UTC(2024, 0, 1), new Date(2024, 0, 1).getTime(),
      new Date(2024, 5, 1).getTimezoneOffset(), (new Date(0)).constructor === Date, typeof Date(), a, c];
    """
    result = await project.run(body)
    january = 1_704_067_200_000
    assert result.result[:9] == [True, True, True, "1970-01-01T00:00:00.000Z", january, january, 0, True, "string"]
    assert (await project.replay(result.run_id)).result == result.result
    assert (await project.resume(result.run_id)).result == result.result


@pytest.mark.parametrize(
    "name", ["WeakRef", "FinalizationRegistry", "Atomics", "SharedArrayBuffer", "performance", "__date_clock"]
)
async def test_S13_what_could_differ_between_runs_is_absent(project: Project, name: str) -> None:
    assert await project.value(f"return typeof {name}") == "undefined"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("try { while (true) {} } catch (e) {} return 1", "sandbox_cpu"),
        ("const f = () => new Promise(() => { while (true) {} }).catch(f); await f()", "sandbox_cpu"),
        ("const a = []; while (true) a.push('x'.repeat(1e6) + a.length)", "sandbox_memory"),
        ("await new Promise(() => {})", "deadlock"),
    ],
)
async def test_S13_a_limit_always_ends_the_run(project: Project, body: str, code: str) -> None:
    result = await project.run(body)
    assert (result.status, result.error["code"]) == ("failed", code)  # type: ignore[index]
    assert result.exit_code == 1


async def test_S15_calls_that_nobody_awaits_are_cut_off_with_one_warning(project: Project) -> None:
    body = "agent('one', {label: 'forgotten', backend: 'sample:latency=3600s'});\nsetTimeout(() => log('never'), 1e7);\nawait agent('two');\nreturn 1;"
    result = await project.run(body)
    assert (result.result, result.degraded) == (1, True)
    assert project.warnings == [
        "The script ended while nobody waited for agent 'forgotten' made in line 2 and 1 more: cut off. "
        "Write `await` before the call."
    ]
    async with project.engine() as engine:
        rows = await engine.journal.settlements(result.run_id)
    assert sorted(str(row.outcome) for row in rows.values()) == ["cancelled", "cancelled", "ok"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("() => 1", "JSON cannot hold the function at $"),
        ("{a: [1, Symbol('x')]}", "JSON cannot hold the symbol at $.a[1]"),
        ("{n: 10n}", "JSON cannot hold the bigint at $.n"),
        ("(() => { const a = {}; a.b = { c: a }; return a })()", "The value at $.b.c contains itself"),
        ("{ p: [agent('x')] }", "The value at $.p[0] is a promise that nobody awaited. Write `await` before it."),
    ],
)
async def test_S15_a_result_that_is_not_json_is_an_error_with_its_path(
    project: Project, value: str, message: str
) -> None:
    result = await project.run(f"return {value}")
    assert result.status == "failed"
    assert (result.error["code"], result.error["message"]) == ("result_not_json", message)  # type: ignore[index]


async def test_S15_undefined_members_are_dropped_and_no_number_is_null(project: Project) -> None:
    assert await project.value("return { a: undefined, b: NaN, c: -Infinity, d: [undefined], e: -0 }") == {
        "b": None,
        "c": None,
        "d": [None],
        "e": 0,
    }


async def test_S15_a_result_that_is_too_large_is_refused_with_its_size(project: Project) -> None:
    result = await project.run("return 'x'.repeat(17 * 1024 * 1024)")
    assert result.error["code"] == "result_too_large"  # type: ignore[index]
    assert "17825794 characters" in result.error["message"]  # type: ignore[index]


async def test_S06_a_throw_names_its_place_in_the_script(project: Project) -> None:
    result = await project.run(
        "await agent('x');\nconst find = (list) => {\n  const n = 1;\n  return list.missing.length;\n};\nfind({});"
    )
    error = result.error
    assert error is not None
    assert error["code"] == "script_threw"
    assert error["message"].startswith("TypeError: ")
    assert error["fields"]["line"] == 5
    assert "return list.missing.length" in error["fields"]["excerpt"]
