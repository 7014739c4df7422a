"""parallel, pipeline, race, dag: S30 to S36."""

from __future__ import annotations

import pytest
from support.runs import Project

CAUGHT = "const caught = async (f) => { try { return await f() } catch (e) { return [e.name, e.code ?? null, e.message] } };\n"


async def test_S30_results_come_in_input_order(project: Project) -> None:
    body = "return await parallel([() => agent('slow', {timeoutMinutes: 1}), () => agent('b'), 7, null])"
    value = await project.value(body)
    assert [v if v is None or isinstance(v, int) else v.split(": ")[1] for v in value] == ["slow", "b", 7, None]


async def test_S30_a_thunk_that_throws_gives_null_and_is_logged_with_its_slot(project: Project) -> None:
    body = "return await parallel([() => { throw new Error('at once') }, async () => { await agent('x'); throw new RangeError('later') }, () => 3])"
    result = await project.run(body)
    assert result.result == [None, None, 3]
    assert result.degraded is True
    assert project.warnings == [
        "parallel() slot 0: Error: at once (its result is null)",
        "parallel() slot 1: RangeError: later (its result is null)",
    ]


async def test_S30_promises_are_accepted_with_a_warning(project: Project) -> None:
    assert len(await project.value("return await parallel([agent('a'), agent('b')])")) == 2
    assert len(project.warnings) == 1
    assert "() => agent(…)" in project.warnings[0]


async def test_S31_each_item_goes_through_all_stages_on_its_own(project: Project) -> None:
    body = """
    const seen = [];
    const r = await pipeline(['a', 'b'],
      async (previous, item, index) => { seen.push([previous, item, index]); await agent(item); return previous + '1' },
      (previous, item, index) => { seen.push([previous, item, index]); return item === 'a' ? null : previous + '2' },
      (previous, item, index) => { seen.push([previous, item, index]); return previous });
    return { r, seen: seen.length, last: seen.filter(([p]) => p === null).length };
    """
    assert await project.value(body) == {"r": [None, "b12"], "seen": 6, "last": 1}


async def test_S31_a_stage_that_throws_makes_its_item_null_and_skips_the_rest(project: Project) -> None:
    body = "let n = 0; const r = await pipeline([1, 2], (x) => { if (x === 1) throw new Error('no'); return x }, (x) => { n++; return x }); return [r, n]"
    assert await project.value(body) == [[None, 2], 1]


async def test_S31_a_plain_object_after_the_last_stage_is_options(project: Project) -> None:
    body = "return await pipeline([1, 2], (x) => { if (x === 1) throw new Error('no'); return x }, {settle: true}).then((r) => r.map((s) => s.ok ? s.value : s.error.message))"
    assert await project.value(body) == ["no", 2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("parallel('x')", "parallel() needs an array first: parallel([() => agent('a'), () => agent('b')]), not \"x\""),
        ("pipeline({})", "pipeline() needs an array first: pipeline(files, (file) => agent('Review ' + file)), not {}"),
        ("pipeline([1], 5)", "pipeline() stage 1 must be a function (previous, item, index) => …, not 5"),
    ],
)
async def test_S32_type_errors_come_before_anything_starts(project: Project, call: str, message: str) -> None:
    result = await project.run(CAUGHT + f"return await caught(() => {call})")
    assert result.result == ["TypeError", "invalid", message]
    assert result.agents["total"] == 0


async def test_S32_zero_stages_return_the_items(project: Project) -> None:
    assert await project.value("return await pipeline([1, 'b', null])") == [1, "b", None]


async def test_S33_too_many_entries_is_an_error_not_a_truncation(project: Project) -> None:
    name, code, message = await project.value(CAUGHT + "return await caught(() => parallel(Array(4097).fill(() => 1)))")
    assert (name, code) == ("RangeError", "too_many_entries")
    assert "4097 entries; at most 4096" in message
    assert await project.value("return (await parallel(Array(4096).fill(() => 1))).length") == 4096


async def test_S34_settle_gives_values_and_errors(project: Project) -> None:
    body = "const r = await parallel([() => 1, () => { throw new TypeError('t') }], {settle: true}); return [r[0], r[1].ok, r[1].error instanceof TypeError]"
    assert await project.value(body) == [{"ok": True, "value": 1}, False, True]
    assert project.warnings == []


async def test_S34_fail_fast_rejects_and_cancels_the_siblings(project: Project) -> None:
    body = (
        CAUGHT
        + "return await caught(() => parallel([() => agent('x', {label: 'long'}), async () => { await sleep(1); throw new Error('first') }], {failFast: true}))"
    )
    result = await project.run(body, backend="sample:latency=30s")
    assert result.result == ["Error", None, "first"]
    assert result.seconds < 20
    async with project.engine() as engine:
        outcomes = sorted(str(s.outcome) for s in (await engine.journal.settlements(result.run_id)).values())
    assert outcomes == ["cancelled", "ok"]


async def test_S34_concurrency_limits_what_starts(project: Project) -> None:
    body = "let now = 0, most = 0; await parallel(Array(9).fill(async () => { most = Math.max(most, ++now); await agent('x'); now-- }), {concurrency: 2}); return most"
    assert await project.value(body) == 2


async def test_S35_race_takes_the_first_success_and_cancels_the_rest(project: Project) -> None:
    body = "return await race([async () => { await sleep(3600000); return 'slow' }, () => { throw new Error('no') }, async () => { await agent('x'); return 'quick' }])"
    assert await project.value(body) == "quick"


async def test_S35_race_with_no_success_rejects_in_input_order(project: Project) -> None:
    body = "try { await race([async () => { await agent('x'); throw new Error('a') }, () => { throw new Error('b') }]) } catch (e) { return [e instanceof AggregateError, e.errors.map((x) => x.message)] }"
    assert await project.value(body) == [True, ["a", "b"]]


async def test_S35_dag_starts_nodes_after_their_own_dependencies(project: Project) -> None:
    body = """
    const order = [];
    const r = await dag([{id: 'c', dependsOn: ['a', 'b']}, {id: 'a'}, {id: 'b', dependsOn: ['a']}],
      async (node, results) => { order.push(node.id); await agent(node.id); return node.id + Object.keys(results).join('') });
    return [r, order, Object.keys(r)];
    """
    assert await project.value(body) == [{"c": "cab", "a": "a", "b": "ba"}, ["a", "b", "c"], ["c", "a", "b"]]


async def test_S35_a_dag_node_that_throws_stops_its_dependants(project: Project) -> None:
    body = "return await dag([{id: 'a'}, {id: 'b', dependsOn: ['a']}, {id: 'c'}], (n) => { if (n.id === 'a') throw new Error('x'); return n.id })"
    assert await project.value(body) == {"a": None, "b": None, "c": "c"}
    assert project.warnings == [
        "dag() node 'a': Error: x (its result is null)",
        "dag() node 'b' did not run: 'a', which it depends on, failed (its result is null)",
    ]


@pytest.mark.parametrize(
    ("nodes", "code"),
    [
        ("[{id: 'a', dependsOn: ['b']}, {id: 'b', dependsOn: ['a']}]", "cycle"),
        ("[{id: 'a', dependsOn: ['zz']}]", "unknown_node"),
        ("[{id: 'a'}, {id: 'a'}]", "duplicate_node"),
        ("[{}]", "invalid"),
    ],
)
async def test_S35_a_bad_dag_is_refused_before_anything_runs(project: Project, nodes: str, code: str) -> None:
    result = await project.run(CAUGHT + f"return (await caught(() => dag({nodes}, (n) => agent(n.id))))[1]")
    assert result.result == code
    assert result.agents["total"] == 0


async def test_S36_calls_of_a_lost_slot_reject_and_later_ones_too(project: Project) -> None:
    body = """
    const seen = [];
    await race([async () => { await agent('win'); return 1 }, async () => {
      try { await sleep(1e6) } catch (e) { seen.push(e.name + ' ' + e.code) }
      try { await agent('later') } catch (e) { seen.push(e.code) }
    }]);
    await agent('after');
    return seen;
    """
    result = await project.run(body)
    assert result.result == ["CancelledError cancelled", "cancelled"]
    assert result.agents["total"] == 2


async def test_S36_a_race_that_was_won_starts_nobody_on_resume(project: Project) -> None:
    body = "const w = await race([async () => { await agent('win'); return 1 }, async () => { await sleep(3600000) }, () => agent('loser', {backend: 'sample:latency=3600s'})]); await agent('x'); return w"
    first = await project.run(body)
    again = await project.resume(first.run_id)
    assert (again.result, again.agents["live"], again.agents["reused"]) == (1, 0, 2)
