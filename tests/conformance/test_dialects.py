"""Scripts as they are written for Claude Code, Qwen Code and MiMo Code, from the folders that those keep them in; and what
`meta.dialect: 'mimo'` changes (S16)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.runs import Project, run_options
from support.scripts import report

from engine.agents.sample import SampleBackend
from engine.engine import Engine, ScriptSource
from engine.errors import AgentError
from engine.options import RunResult
from engine.values import AgentAnswer, AgentRequest, Usage
from engine.workflows import folder_dialect

MIMO = "export const meta = { name: 'm', description: 'd', dialect: 'mimo' }\n"
PAWL = "export const meta = { name: 'p', description: 'd' }\n"
CAUGHT = "const caught = async (f) => { try { return await f() } catch (e) { return [e.name, e.code ?? null, e.message] } };\n"


def saved(project: Project, path: str, text: str) -> ScriptSource:
    """A script in a folder of workflows."""
    file = project.folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return ScriptSource(text, file, file.name)


async def run_saved(project: Project, source: ScriptSource, **options: Any) -> RunResult:
    async with project.engine() as engine:
        given = options.pop("args", None)
        handle = await engine.start(source, options=run_options(options), **({} if given is None else {"args": given}))
        return await project.end(handle)


# ---- Scripts of other runtimes, as they are

CLAUDE_CODE = """// Flaky tests: find, then judge each by three.
export const meta = {
  name: 'find-flaky',
  description: 'Finds flaky tests and has them judged',
  phases: [{ title: 'Scan', detail: 'read the logs' }, { title: 'Judge', model: 'haiku' }],
}

const FOUND = { type: 'object', properties: { tests: { type: 'array', items: { type: 'string' } } }, required: ['tests'] }
const VERDICT = { type: 'object', properties: { flaky: { type: 'boolean' } }, required: ['flaky'] }

phase('Scan')
const scan = await agent('List tests that were retried in ' + (args && args.log ? args.log : 'ci.log'), { schema: FOUND, label: 'scan' })
const tests = (scan ? scan.tests : []).slice(0, 3)
log(`${tests.length} tests`)

const judged = await pipeline(
  tests,
  (test) => agent(`Why is ${test} flaky?`, { label: `why:${test}`, phase: 'Judge' }),
  (why, test, i) => parallel([0, 1, 2].map(n => () => agent(`Verdict ${n} on ${test} (${i}): ${why}`, { schema: VERDICT, phase: 'Judge' })))
    .then(votes => ({ test, flaky: votes.filter(Boolean).filter(v => v.flaky).length >= 2 })),
)
const broken = await parallel([() => { throw new Error('script bug') }, () => agent('fine')])
if (budget.total !== null && budget.remaining() < 1000) log('short of budget')
return { judged: judged.filter(Boolean).length === tests.length, broken: broken[0] }
"""

QWEN_CODE = """export const meta = {
  name: 'audit-routes',
  description: 'Audits each route',
  whenToUse: 'before a release',
  phases: [{ title: 'Find', detail: 'list routes' }],
}
phase('Find')
const list = await agent('List the routes.', {
  label: 'routes', effort: 'low', stallMs: 60000, disallowedTools: ['write_file'],
  schema: { type: 'object', properties: { routes: { type: 'array', items: { type: 'string' } } }, required: ['routes'] },
})
if (list === null) return { failed: 'nobody listed the routes' }
const audited = await pipeline(list.routes, route => agent(`Audit ${route}`, { label: route }), (note, route) => note === null ? null : { route, note })
return { audited: audited.filter(Boolean).length, of: list.routes.length, total: budget.total }
"""

MIMO_CODE = """export const meta = {
  name: "staged-report",
  description: "Reads, plans as a graph, writes a report",
  phases: [{ title: "Plan" }, { title: "Write" }],
  permissions: [{ permission: "bash", patterns: ["git *"], always: ["git *"], reason: "history" }],
}
phase("Plan")
const topic = (args && args.topic) || "the build"
const before = await readFile("report.md")
const steps = await dag(
  [{ id: "facts" }, { id: "risks", dependsOn: ["facts"] }, { id: "plan", dependsOn: ["facts", "risks"] }],
  (node, inputs) => agent(`${node.id} of ${topic}: ${inputs.map((x) => x.id + "=" + x.result).join("; ")}`, { label: node.id, timeoutMs: 600000 }),
)
const last = steps.find((step) => step.id === "plan").result
phase("Write")
const drafts = await parallel(["short", "long"].map((kind) => () => agent(`Write a ${kind} report from ${last}`, { retry: { attempts: 1, baseMs: 5 } })))
const helper = await workflow(`export const meta = { name: "count", description: "counts" }
return args.texts.filter(Boolean).length`, { texts: drafts })
await writeFile("out/report.md", drafts[0] || "nothing")
return { before, args: args === null, steps: steps.map((step) => step.id), helper, wrote: await exists("out/report.md"), files: await glob("out/*.md") }
"""


async def test_S16_a_script_for_claude_code_runs_as_it_is(project: Project) -> None:
    result = await run_saved(project, saved(project, ".claude/workflows/find-flaky.js", CLAUDE_CODE))
    assert result.error is None, result.error
    assert result.result == {"judged": True, "broken": None}


async def test_S16_a_script_for_qwen_code_runs_as_it_is(project: Project) -> None:
    result = await run_saved(project, saved(project, ".pawl/workflows/audit-routes.js", QWEN_CODE))
    assert result.error is None, result.error
    assert result.result["audited"] == result.result["of"]
    assert [text.partition(";")[0] for text in project.warnings] == [
        "agent() knows no option 'stallMs'",
        "agent() knows no option 'disallowedTools'",
    ]


async def test_S16_a_script_for_mimo_code_runs_as_it_is(project: Project) -> None:
    source = saved(project, ".mimocode/workflows/staged-report.js", MIMO_CODE)
    result = await run_saved(project, source, allow={"files"})
    assert result.error is None, result.error
    assert result.result == {
        "before": None,
        "args": True,
        "steps": ["facts", "risks", "plan"],
        "helper": 2,
        "wrote": True,
        "files": ["out/report.md"],
    }
    assert project.warnings == ["A permission for tools of agents, as MiMo Code has them, is ignored."]
    again = await project.resume(result.run_id)
    assert (again.result, again.agents["live"]) == (result.result, 0)
    assert (await project.replay(result.run_id)).result == result.result


# ---- Which dialect a script is in


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/p/.mimocode/workflows/a.js", "mimo"),
        ("/p/.mimocode/workflows/deep/er/a.js", "mimo"),
        ("/p/.mimocode/a.js", None),
        ("/p/workflows/a.js", None),
        ("/p/.mimocode/workflows/.claude/workflows/a.js", "mimo"),
        (".mimocode/workflows/a.js", "mimo"),
        ("a.js", None),
        (None, None),
    ],
)
def test_S16_the_folder_selects(path: str | None, dialect: str | None) -> None:
    assert folder_dialect(path) == dialect
    assert folder_dialect(None if path is None else Path(path)) == dialect


async def test_S16_meta_is_stronger_than_the_folder(project: Project) -> None:
    body = "return await parallel([() => { throw new Error('no') }])"
    text = "export const meta = { name: 'x', description: 'y', dialect: 'pawl' }\n" + body
    assert (await run_saved(project, saved(project, ".mimocode/workflows/x.js", text))).result == [None]
    assert (await run_saved(project, saved(project, ".claude/workflows/x.js", MIMO + body))).error is not None


async def test_S16_a_resume_keeps_the_dialect_of_the_run(project: Project) -> None:
    body = CAUGHT + "await agent('a'); return await caught(() => parallel([() => { throw new Error('no') }]))"
    first = await run_saved(project, saved(project, ".mimocode/workflows/x.js", PAWL + body))
    rejected = ["Error", None, "no"]
    assert first.result == rejected
    (project.folder / ".mimocode/workflows/x.js").unlink()
    assert (await project.resume(first.run_id)).result == rejected
    edited = await project.resume(first.run_id, PAWL + body + "// edited, and from nowhere")
    assert edited.result == rejected
    assert (await project.replay(first.run_id)).result == rejected
    ours = PAWL.replace("description", "dialect: 'pawl', description") + body
    assert (await project.resume(first.run_id, ours)).result == [None]


async def test_S16_children_have_their_own_dialect(project: Project) -> None:
    body = CAUGHT + "return [args === null, await caught(() => parallel([() => { throw new Error('no') }]))]"
    saved(project, ".mimocode/workflows/theirs.js", PAWL.replace("'p'", "'theirs'") + body)
    saved(project, ".pawl/workflows/ours.js", PAWL.replace("'p'", "'ours'") + body)
    calls = "return [await workflow('theirs'), await workflow('ours'), await caught(() => parallel([() => { throw new Error('no') }]))]"
    theirs, ours = [True, ["Error", None, "no"]], [False, [None]]
    first = await project.run(PAWL + CAUGHT + calls)
    assert first.result == [theirs, ours, [None]]
    assert (await project.replay(first.run_id)).result == first.result
    assert (await project.resume(first.run_id)).result == first.result
    assert await project.value(MIMO + CAUGHT + calls) == [theirs, ours, ["Error", None, "no"]]


async def test_S16_an_unknown_dialect_is_refused() -> None:
    text = MIMO.replace("'mimo'", "'klingon'")
    (found,) = (await report(text + "return 1\n")).diagnostics
    assert (found.severity, found.rule, found.code) == ("error", "S16", "meta_dialect")
    assert found.message == "meta.dialect must be one of pawl, mimo; found 'klingon'."


async def test_S16_permissions_for_tools_of_agents_are_ignored_with_a_warning() -> None:
    text = MIMO.replace("dialect", "permissions: [{ permission: 'bash', patterns: ['*'] }, 'files'], dialect")
    (found,) = (await report(text + "return 1\n")).diagnostics
    assert (found.severity, found.code, found.message) == (
        "warning",
        "meta_permissions",
        "A permission for tools of agents, as MiMo Code has them, is ignored.",
    )


async def test_S12_a_dialect_is_not_portable() -> None:
    (found,) = (await report(MIMO + "return 1\n", portable=True)).diagnostics
    assert found.rule == "S16"
    assert found.message.startswith("Not portable: meta.dialect ")


# ---- What it changes


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("parallel([() => agent('a'), () => { throw new RangeError('no') }])", ["RangeError", None, "no"]),
        ("parallel([() => 1, () => { throw new Error('no') }], {failFast: false})", [1, None]),
        ("parallel([() => 1, async () => { throw 5 }], {settle: true}).then(r => r.map(s => s.ok))", [True, False]),
        ("pipeline([1, 2], x => { if (x === 2) throw new Error('no'); return x }, x => x)", ["Error", None, "no"]),
        ("pipeline([1, 2], x => x === 2 ? null : x, (x, item, i) => [x, item, i])", [[1, 1, 0], [None, 2, 1]]),
        ("vote(3, i => { if (i) return 'b'; throw new Error('no') }).then(b => [b.winner, b.missing])", ["b", 1]),
    ],
)
async def test_S30_mimo_a_slot_that_throws_rejects(project: Project, call: str, expected: object) -> None:
    assert await project.value(MIMO + CAUGHT + f"return await caught(() => {call})") == expected


async def test_S35_mimo_dag_takes_and_gives_lists(project: Project) -> None:
    body = """
      const seen = [];
      const nodes = [{ id: 'c', dependsOn: ['b', 'a'] }, { id: 'a' }, { id: 'b', dependsOn: ['a'] }];
      const results = await dag(nodes, async (node, inputs) => { seen.push([node.id, inputs]); await agent(node.id); return node.id.toUpperCase() });
      return [results, seen, await dag([], x => x)]
    """
    results, seen, empty = await project.value(MIMO + body)
    assert results == [{"id": "c", "result": "C"}, {"id": "a", "result": "A"}, {"id": "b", "result": "B"}]
    assert seen == [
        ["a", []],
        ["b", [{"id": "a", "result": "A"}]],
        ["c", [{"id": "b", "result": "B"}, {"id": "a", "result": "A"}]],
    ]
    assert empty == []


async def test_S35_mimo_a_node_that_throws_rejects_and_starts_no_other(project: Project) -> None:
    body = """
      const started = [];
      const run = node => { started.push(node.id); if (node.id === 'a') throw new TypeError('no'); return agent(node.id) };
      return [await caught(() => dag([{ id: 'a' }, { id: 'b', dependsOn: ['a'] }], run)), started,
        await caught(() => dag([{ id: 'a', dependsOn: ['a'] }], run))]
    """
    rejected, started, cycle = await project.value(MIMO + CAUGHT + body)
    assert (rejected, started) == (["TypeError", None, "no"], ["a"])
    assert cycle == ["TypeError", "cycle", "dag() nodes depend on each other in a cycle: a ← a"]


NEVER_FITS = "{schema: {type: 'object', required: ['a'], properties: {a: {type: 'string', pattern: '^x$'}}}}"


@pytest.mark.parametrize(
    ("call", "warning"),
    [
        ("agent('x', {agentType: 'nobody'})", "agent() gives null, as in MiMo Code: agentType 'nobody' is not known"),
        (f"agent('x', {NEVER_FITS})", "agent() gives null, as in MiMo Code: no answer fits the schema after 5 rounds"),
        ("agent('x', {schema: {type: 'array'}})", "agent() gives null, as in MiMo Code: "),
    ],
)
async def test_S24_mimo_agent_gives_null_where_others_throw(
    project: Project, monkeypatch: pytest.MonkeyPatch, call: str, warning: str
) -> None:
    async def never(*_: Any) -> AgentAnswer:
        return AgentAnswer({"a": "y"}, Usage())

    monkeypatch.setattr(SampleBackend, "run", never)
    result = await project.run(MIMO + f"return [await {call}, (await parallel([() => {call}]))[0]]")
    assert result.result == [None, None]
    assert result.degraded is True
    assert [text[: len(warning)] for text in project.warnings] == [warning, warning]
    assert (await project.replay(result.run_id)).result == [None, None]


async def test_S46_mimo_agents_over_the_cap_are_null(project: Project) -> None:
    body = "return (await parallel([1, 2, 3].map(n => () => agent('x' + n)))).map(a => a === null)"
    result = await project.run(MIMO + body, max_agents=2)
    assert result.result == [False, False, True]


async def test_S24_mimo_argument_mistakes_still_throw(project: Project) -> None:
    body = CAUGHT + "return [await caught(() => agent('')), await caught(() => agent('x', {effort: 'huge'}))]"
    assert [one[0] for one in await project.value(MIMO + body)] == ["TypeError", "TypeError"]


async def test_S26_mimo_timeouts_are_milliseconds(project: Project) -> None:
    body = "return await agent('x', {timeoutMs: 300, label: 'slow'})"
    assert (await project.run(MIMO + body, backend="sample:latency=30s")).result is None
    assert project.warnings == []
    assert await project.value(MIMO + "return await agent('x', {timeoutMs: 0})") is not None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", {"_worktree": {"branch": "b", "directory": "w", "changed": True}, "result": "text"}),
        ({"a": 1}, {"a": 1, "_worktree": {"branch": "b", "directory": "w", "changed": True}}),
    ],
)
async def test_S25_mimo_a_worktree_is_told_beside_the_answer(
    project: Project, monkeypatch: pytest.MonkeyPatch, value: Any, expected: object
) -> None:
    worktree = {"path": "w", "branch": "b", "base": "c", "state": "kept", "files": [], "changed": 1, "summary": ""}

    async def working(_: Any, request: AgentRequest, emit: Callable[[Any], None]) -> AgentAnswer:
        if request.prompt == "fail":
            raise AgentError("gone", code="gone")
        return AgentAnswer(value, Usage(), meta={"worktree": worktree if request.prompt == "change" else None})

    monkeypatch.setattr(SampleBackend, "run", working)
    schema = ", schema: {type: 'object'}" if isinstance(value, dict) else ""
    body = f"const ask = prompt => agent(prompt, {{isolation: 'worktree'{schema}}}); return [await ask('change'), await ask('look'), await ask('fail')]"
    result = await project.run(MIMO + body)
    assert result.error is None, result.error
    assert result.result == [expected, value, None]


async def test_S44_mimo_a_child_that_fails_is_null_and_one_that_is_called_wrongly_throws(project: Project) -> None:
    child = "`export const meta = { name: 'c', description: 'd' }; ${body}`"
    body = f"""
      const run = (body, given) => caught(() => workflow({child}, given));
      return [await run('return args'), await run('return args.n', {{n: 3}}), await run('throw new TypeError("no")'),
        await run('return [', 1), await caught(() => workflow('nobody')), await run('return await workflow("nobody")')]
    """
    result = await project.run(MIMO + CAUGHT + body)
    nothing, three, failed, broken, unknown, deep = result.result
    assert (nothing, three, failed) == (None, 3, None)
    assert broken[:2] == ["ScriptError", "syntax"]
    assert unknown == deep == ["ScriptError", "unknown_workflow", "there is no workflow 'nobody'"]
    assert project.warnings == ["workflow() gives null, as in MiMo Code: TypeError: no"]
    assert (await project.replay(result.run_id)).result == result.result


async def test_S45_mimo_two_inline_workflows_in_each_other_are_no_cycle(project: Project) -> None:
    inner = (
        "export const meta = { name: 'inner', description: 'd' }; return parallel([() => { throw new Error('mine') }])"
    )
    outer = f"export const meta = {{ name: 'outer', description: 'd' }}; return [await workflow({orjson.dumps(inner).decode()})]"
    assert await project.value(MIMO + f"return await workflow({orjson.dumps(outer).decode()})") == [None]
    assert project.warnings == ["workflow() gives null, as in MiMo Code: Error: mine"]


async def test_S44_a_text_is_a_name_in_our_dialect(project: Project) -> None:
    body = "return await caught(() => workflow('export const meta = 1'))"
    assert (await project.value(PAWL + CAUGHT + body))[1] == "unknown_workflow"


async def test_S16_a_run_says_its_dialect(project: Project) -> None:
    first = await project.run(MIMO + "return 1")
    plain = await project.run(PAWL + "return 1")
    async with Engine.open(project.folder, journal=project.folder / ".pawl" / "pawl.db") as engine:
        assert (await engine.journal.version(first.run_id, 1)).settings["dialect"] == "mimo"
        assert "dialect" not in (await engine.journal.version(plain.run_id, 1)).settings


PATCHES = {
    "setters": "for (let n = 0; n < 9; n++) Object.defineProperty(Array.prototype, n, {__proto__: null, set() { throw new Error('set') }, get() { return 'mine' }, configurable: true});",
    "members": "for (const name of ['id', 'result', 'timeoutMs', 'timeoutMinutes', 'retry', 'dialect', 'isNullOnError', 'settle', 'failFast', '_worktree', 'd']) Object.defineProperty(Object.prototype, name, {__proto__: null, value: 'not mine', writable: true, configurable: true});",
    "methods": "const evil = () => { throw new Error('mine') }; String.prototype.indexOf = String.prototype.includes = Array.prototype.map = Array.prototype.push = evil;",
}


@pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES.keys())
async def test_S08_S16_patched_built_ins_change_no_dialect(project: Project, patch: str) -> None:
    body = """
      const graph = await dag([{ id: 'a' }, { id: 'b', dependsOn: ['a'] }], (node, inputs) => agent(node.id + inputs.length));
      const child = await workflow("export const meta = { name: 'c', description: 'd' }; return [args, await agent('c')]");
      const nobody = await agent('x', { agentType: 'nobody', timeoutMs: 60000, retry: { attempts: 9 } });
      return { graph, child, nobody, failed: await caught(() => parallel([() => agent('y'), () => { throw new RangeError('no') }])) }
    """
    expected = await project.value(MIMO + CAUGHT + body)
    assert expected["failed"] == ["RangeError", None, "no"]
    assert await project.value(MIMO + CAUGHT + patch + body) == expected
