"""phase, log, args, budget, caps, timers, workflow, host effects: S27, S40 to S48, S60 to S63."""

from __future__ import annotations

import asyncio
import time

import pytest
from support.runs import Project, run_options, script

from engine.engine import ScriptSource
from engine.options import ResumeOptions

CAUGHT = "const caught = async (f) => { try { return await f() } catch (e) { return [e.name, e.code ?? null, e.message] } };\n"


async def test_S27_a_timer_waits_and_is_not_waited_for_again(project: Project) -> None:
    body = "const a = Date.now(); await sleep(200); let fired = 0; const t = setTimeout(() => { fired = 1 }, 1e7); clearTimeout(t); await new Promise((r) => setTimeout(r, 50)); return [Date.now() - a >= 250, fired]"
    first = await project.run(body)
    assert first.result == [True, 0]
    assert first.seconds >= 0.2
    again = await project.resume(first.run_id)
    assert again.result == [True, 0]
    assert again.seconds < 0.2


async def test_S27_a_resume_waits_for_the_rest_only(project: Project) -> None:
    async with project.engine() as engine:
        handle = await engine.start(script("await sleep(1500); return 1"), options=run_options({}))
        await asyncio.sleep(0.8)
        handle.interrupt()
        assert (await handle.result()).status == "interrupted"
    began = time.monotonic()
    assert (await project.resume(handle.run_id)).result == 1
    assert time.monotonic() - began < 1.4


async def test_S40_phases_group_the_agents_after_them(project: Project) -> None:
    await project.run(
        "phase('One'); await agent('a'); phase('Two'); await agent('b'); await agent('c', {phase: 'One'}); await agent('d')"
    )
    assert [e.phase for e in project.events if e.kind == "call_requested"] == ["One", "Two", "One", "Two"]


async def test_S41_log_prints_non_strings_as_json(project: Project) -> None:
    await project.run(
        "log('a', {b: [1]}, null, undefined, 3n, new TypeError('no')); console.warn('w'); console.log('c')"
    )
    assert project.logs == ['a {"b":[1]} null undefined 3 TypeError: no', "w", "c"]


@pytest.mark.parametrize("args", [None, 0, "", "text", [1, {"a": None}], {"deep": {"x": 1.5}}])
async def test_S42_args_are_what_the_caller_passed(project: Project, args: object) -> None:
    assert await project.value("return [args === undefined, args]", args=args) == [False, args]


async def test_S42_args_are_undefined_when_nothing_was_passed(project: Project) -> None:
    assert await project.value("return [typeof args, args === undefined]") == ["undefined", True]


async def test_S43_budget_is_logical_and_a_replay_sees_the_same(project: Project) -> None:
    body = "const at = () => [budget.total, budget.spent(), budget.remaining(), budget.costUsd.spent(), budget.agents.spent()]; const a = at(); await parallel([() => agent('x'), () => agent('y')]); return [a, at(), budget.minutes.total]"
    first = await project.run(body, backend="sample:tokens=10,usd=0.5", budget_tokens=1000)
    assert first.result == [[1000, 0, 1000, 0, 0], [1000, 20, 980, 1, 2], None]
    assert (await project.resume(first.run_id)).result == first.result
    assert (await project.value("return budget.remaining() === Infinity && budget.total === null")) is True


@pytest.mark.parametrize(
    ("cap", "code"),
    [
        ({"budget_tokens": 25}, "limit_tokens"),
        ({"max_cost_usd": 2.5}, "limit_cost"),
        ({"max_agents": 3}, "limit_agents"),
    ],
)
async def test_S43_at_the_ceiling_agent_throws(project: Project, cap: dict[str, float], code: str) -> None:
    result = await project.run(
        "for (let i = 0; i < 9; i++) await agent('x' + i)", backend="sample:tokens=10,usd=1", **cap
    )
    assert (result.status, result.error["code"], result.exit_code) == ("failed", code, 3)  # type: ignore[index]
    assert result.agents["live"] == 3
    more = await project.resume(result.run_id, **dict.fromkeys(cap, 1000))
    assert (more.status, more.agents["reused"], more.agents["live"]) == ("completed", 3, 6)


async def test_S44_a_workflow_runs_inline_with_its_own_args(project: Project) -> None:
    (project.folder / "workflows").mkdir()
    (project.folder / "workflows" / "child.js").write_text(
        "export const meta = { name: 'kid', description: 'x' };\nif (args === undefined) return 'none';\nconst r = await agent('child ' + args.n); phase('inner'); return [args.n, r.slice(-7)];"
    )
    body = "return [await workflow('kid', {n: 1}), await workflow({scriptPath: 'workflows/child.js'}, {n: 2}), await workflow('child'), args ?? null]"
    first = await project.run(body)
    assert first.result == [[1, "child 1"], [2, "child 2"], "none", None]
    again = await project.resume(first.run_id)
    assert (again.result, again.agents["live"]) == (first.result, 0)
    assert (await project.replay(first.run_id)).result == first.result


@pytest.mark.parametrize(
    ("ref", "code"),
    [
        ("'nope'", "unknown_workflow"),
        ("{scriptPath: '../out.js'}", None),
        ("{scriptPath: 'broken.js'}", "syntax"),
        ("5", "invalid"),
    ],
)
async def test_S44_what_cannot_be_loaded_throws_and_can_be_caught(project: Project, ref: str, code: str | None) -> None:
    (project.folder / "broken.js").write_text("export const meta = { name: 'b', description: 'x' };\nreturn (;")
    found = await project.value(CAUGHT + f"return await caught(() => workflow({ref}))")
    assert isinstance(found, list)
    if code is not None:
        assert found[1] == code
    assert str(project.folder) not in found[2]


async def test_S44_a_name_leads_out_of_no_folder(project: Project) -> None:
    outside = project.folder.parent / "outside"  # without a suffix, a person may type it
    outside.write_text("export const meta = { name: 'o', description: 'x' };\nreturn 'treasure'")
    for ref in (str(outside), "../outside"):
        found = await project.value(CAUGHT + f"return await caught(() => workflow({ref!r}))")
        assert isinstance(found, list) and found[1] == "unknown_workflow", found


async def test_S45_a_workflow_that_calls_itself_again_is_refused(project: Project) -> None:
    (project.folder / "workflows").mkdir()
    (project.folder / "workflows" / "loop.js").write_text(
        "export const meta = { name: 'loop', description: 'x' };\nreturn await workflow('loop', args);"
    )
    assert (await project.value(CAUGHT + "return await caught(() => workflow('loop', 1))"))[1] == "workflow_cycle"


async def test_S45_nesting_ends_at_eight(project: Project) -> None:
    (project.folder / "workflows").mkdir()
    (project.folder / "workflows" / "deep.js").write_text(
        "export const meta = { name: 'deep', description: 'x' };\ntry { return await workflow('deep', args + 1) } catch (e) { return [args, e.code] }"
    )
    assert await project.value("return await workflow('deep', 1)") == [8, "too_deep"]


async def test_S46_a_refusal_is_a_settlement_and_asked_anew_on_resume(project: Project) -> None:
    body = "try { await agent('a'); await agent('b'); return 'both' } catch (e) { return e.code }"
    first = await project.run(body, max_agents=1)
    assert first.result == "limit_agents"
    assert (await project.replay(first.run_id)).result == "limit_agents"
    assert (await project.resume(first.run_id, max_agents=2)).result == "both"


async def test_S47_excess_calls_queue(project: Project) -> None:
    result = await project.run(
        "await parallel(Array.from({length: 40}, (_, i) => () => agent('x' + i)))",
        concurrency=4,
        backend="sample:latency=20ms",
    )
    assert result.seconds >= 40 / 4 * 0.02
    started = [event.call for event in project.events if event.kind == "call_started"]
    assert started == sorted(started)  # first in, first out
    assert result.agents["live"] == 40


async def test_S48_one_call_alone_always_starts(project: Project) -> None:
    result = await project.run(
        "return (await parallel([1, 2, 3].map((i) => () => agent('x' + i)))).length",
        budget_tokens=30,
        backend="sample:tokens=10",
    )
    assert (result.result, result.agents["live"]) == (3, 3)


async def test_S60_check_gives_the_exit_code(project: Project) -> None:
    body = "return [await check('echo out; echo err >&2; exit 3'), await check('true', {cwd: 'sub'}), (await check('sleep 30', {timeoutMinutes: 0.002})).ok]"
    (project.folder / "sub").mkdir()
    value = await project.value(body, allow=["check"])
    assert value[0] == {"ok": False, "exitCode": 3, "stdout": "out\n", "stderr": "err\n"}
    assert value[1]["ok"] is True
    assert value[2] is False


async def test_S61_ask_takes_an_answer_from_another_process(project: Project) -> None:
    async with project.engine() as engine:
        handle = await engine.start(
            script("return await ask('Ship it?', {choices: ['yes', 'no']})"),
            options=run_options({"allow": ["ask"], "is_detached": True}),
        )
        async for event in handle.events():
            if event.kind == "call_progress" and event.question:
                break
        async with project.engine() as other:
            assert "done" in await other.control(handle.run_id, "answer", 1, "yes")
        assert (await handle.result()).result == "yes"


async def test_S61_without_anybody_to_ask_the_run_is_paused(project: Project) -> None:
    first = await project.run("const a = await agent('x'); return await ask('Ship it?')", allow=["ask"])
    assert (first.status, first.exit_code) == ("paused", 5)
    async with project.engine() as engine:
        assert "resumed" in await engine.control(first.run_id, "answer", 2, "go")
    again = await project.resume(first.run_id)
    assert (again.result, again.agents["reused"]) == ("go", 1)


async def test_S62_files_stay_inside_the_workspace(project: Project) -> None:
    (project.folder / "a.txt").write_text("hello")
    (project.folder / "link").symlink_to("/etc")
    body = (
        CAUGHT
        + """
    return [await readFile('a.txt'), await readFile('nope.txt'), await writeFile('new/b.txt', 'B'), await glob('**/*.txt'), await exists('new'),
      (await caught(() => readFile('../x')))[0], (await caught(() => readFile('link/passwd')))[0], await exists('.pawl/pawl.db')];
    """
    )
    value = await project.value(body, allow=["files"])
    assert value[0] == "hello"
    assert value[1] is None
    assert value[3] == ["a.txt", "new/b.txt"]
    assert value[4] is True
    assert value[5] not in ("", None)
    assert not str(value[6]).startswith("root")
    assert value[7] is False


@pytest.mark.parametrize(
    ("call", "flag"),
    [("check('true')", "check"), ("ask('x')", "ask"), ("readFile('x')", "files"), ("glob('*')", "files")],
)
async def test_S63_without_permission_the_call_throws_and_names_the_flag(
    project: Project, call: str, flag: str
) -> None:
    found = await project.value(CAUGHT + f"return await caught(() => {call})")
    assert found[1] == "not_permitted"
    assert f"--allow {flag}" in found[2]


async def test_S05_args_of_a_child_are_held_against_its_schema(project: Project) -> None:
    (project.folder / "workflows").mkdir()
    (project.folder / "workflows" / "strict.js").write_text(
        "export const meta = { name: 'strict', description: 'x', args: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] } };\nreturn args.n;"
    )
    body = CAUGHT + "return [await workflow('strict', {n: 1}), (await caught(() => workflow('strict', {n: 'x'})))[1]]"
    result = await project.run(body)
    assert result.result == [1, "args"]
    assert (await project.replay(result.run_id)).result == [1, "args"]


async def test_S45_a_main_script_that_calls_itself_with_its_own_args_is_a_cycle(project: Project) -> None:
    (project.folder / "workflows").mkdir()
    path = project.folder / "workflows" / "self.js"
    path.write_text(
        "export const meta = { name: 'self', description: 'x' };\ntry { return await workflow('self', args) } catch (e) { return e.code }"
    )
    async with project.engine() as engine:
        source = ScriptSource(text=path.read_text(), path=path, name="self.js")
        handle = await engine.start(source, args={"b": 1, "a": 2}, options=run_options({}))
        assert (await handle.result()).result == "workflow_cycle"


async def test_S23_the_102_call_case_one_failed_call_runs_exactly_one_again(project: Project) -> None:
    """In other runtimes one failed call of 102 threw 96 finished ones away."""
    body = "return (await parallel(Array.from({length: 102}, (_, i) => () => agent('call ' + i, i === 4 ? {backend: args.four} : {})))).filter((x) => x === null).length"
    first = await project.run(body, args={"four": "sample:fail=1"})
    assert (first.result, first.degraded, first.agents["null"]) == (1, True, 1)
    again = await project.resume(first.run_id)
    assert (again.agents["live"], again.agents["reused"]) == (1, 101)


async def test_S36_the_worked_example_runs_nine_and_two(project: Project) -> None:
    body = """
    await agent('scan');
    await pipeline([1, 2, 3, 4], (x) => agent('find ' + x + (args?.['find' + x] ?? '')),
      (v, x) => parallel([1, 2, 3].map((k) => () => agent('verify ' + x + '.' + k))), (v, x) => agent('fix ' + x));
    await agent('test');
    await parallel([() => agent('z1' + (args?.z1 ?? '')), () => agent('z2')]);
    return await agent('report');
    """
    first = await project.run(body)
    assert first.agents["live"] == 25
    edited = await project.resume(first.run_id, args={"find2": "!"}, how=ResumeOptions(explain=True))
    assert (edited.agents["live"], edited.agents["reused"]) == (9, 16)
    reasons = [(line.label, line.reason) for line in edited.explained if not line.reused]
    assert reasons[0] == ("find 2!", "request")
    assert all(reason == "history" for _, reason in reasons[1:])
    end = await project.resume(first.run_id, args={"find2": "!", "z1": "!"})
    assert (end.agents["live"], end.agents["reused"]) == (2, 23)
    back = await project.resume(first.run_id + "@1")
    assert (back.agents["live"], back.result) == (0, first.result)


async def test_S26_another_run_takes_its_records_over_at_no_cost(project: Project) -> None:
    body = "const a = await agent('a', {full: true}); return [a.cached, a.value, await agent('b'), budget.spent()]"
    first = await project.run(body, backend="sample:tokens=10")
    other = await project.run(body, backend="sample:tokens=10", reuse_from=first.run_id)
    assert other.run_id != first.run_id
    assert (other.agents["reused"], other.agents["live"], other.run_usage.output_tokens) == (2, 0, 0)
    assert other.result == [True, first.result[1], first.result[2], 0]
    assert (await project.resume(other.run_id)).result == other.result
    assert (await project.replay(other.run_id)).result == other.result


async def test_S26_what_sample_made_is_reused_only_by_sample(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "no key at all")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")  # nobody answers there
    first = await project.run("return await agent('x', {retry: {attempts: 1}})", backend="sample")
    again = await project.resume(first.run_id, backend="openai:nobody", how=ResumeOptions(explain=True))
    assert again.agents["reused"] == 0
    assert again.explained[0].reason == "sample"


async def test_S13_a_resume_under_another_library_warns(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await project.run("return await agent('x')")
    monkeypatch.setattr("engine.setup.stdlib_version", lambda: "another")
    again = await project.resume(first.run_id)
    assert (again.agents["reused"], again.degraded) == (1, False)
    assert len(project.warnings) == 1
    assert "the standard library was" in project.warnings[0]
