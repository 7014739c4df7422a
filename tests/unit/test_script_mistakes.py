"""What `pawl check` says of scripts that are allowed and most likely wrong: sandbox/lint/{calls,awaits,story}.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.scripts import META, only, problems, report

from sandbox.lint.words import AGENT_OPTIONS, EFFORTS, MORE_AGENT_OPTIONS, PROMISING, near

ROOT = Path(__file__).parents[2]


async def only_mistake(body: str) -> tuple[str, str, int, int, str, str]:
    found = await only(body, mistakes=True)
    assert found.severity == "warning"
    return found.code, found.rule, found.line, found.column, found.message, found.hint


@pytest.mark.parametrize(
    ("body", "column", "message", "hint"),
    [
        ("agent('a');\nreturn 1", 1, "Nobody waits for this agent(): it is cut off when the script ends.",
         "Write: await agent('a')"),
        ("parallel([() => agent('a')]).then(log);\nreturn 1", 1,
         "Nobody waits for this parallel(): it is cut off when the script ends.",
         "Write: await parallel([() => agent('a')]).then(log)"),
        ("const a = agent('a');\nreturn 1", 11, "Nobody waits for this agent(): `a` is never used.",
         "Write: await agent('a')"),
        ("const a = agent('a');\nreturn `is ${a}`", 11,
         "agent() gives a promise, and line 3 uses `a` as if it were the result.", "Write: await agent('a')"),
        ("const a = agent('a');\nif (a) return a.text\nreturn 0", 11,
         "agent() gives a promise, and line 3 uses `a` as if it were the result.", "Write: await agent('a')"),
        ("const { a } = agent('a', { schema: {} });\nreturn a", 15,
         "agent() gives a promise, and it is used here as if it were its result.",
         "Write: await agent('a', { schema: {} })"),
        ("return agent('a').length", 8, "agent() gives a promise, and it is used here as if it were its result.",
         "Write: (await agent('a'))"),
        ("return `${agent('a')}`", 11, "agent() gives a promise, and it is used here as if it were its result.",
         "Write: (await agent('a'))"),
        ("return agent('a') || 'nothing'", 8, "agent() gives a promise, and it is used here as if it were its result.",
         "Write: (await agent('a'))"),
        ("for (const a of parallel([])) log(a)\nreturn 1", 17,
         "parallel() gives a promise, and it is used here as if it were its result.", "Write: (await parallel([]))"),
        ("return [...pipeline([], (x) => x)]", 12,
         "pipeline() gives a promise, and it is used here as if it were its result.",
         "Write: (await pipeline([], (x) => x))"),
        ("log(workflow('w'))\nreturn 1", 5,
         "workflow() gives a promise, and it is used here as if it were its result.", "Write: (await workflow('w'))"),
        ("return JSON.stringify(agent('a'))", 23,
         "agent() gives a promise, and it is used here as if it were its result.", "Write: (await agent('a'))"),
    ],
)  # fmt: skip
async def test_a_missing_await(body: str, column: int, message: str, hint: str) -> None:
    assert await only_mistake(body) == ("missing_await", "S15", 2, column, message, hint)


@pytest.mark.parametrize(
    "body",
    [
        "return agent('a')",
        "return await agent('a')",
        "const a = agent('a'), b = agent('b');\nreturn [await a, await b]",
        "const a = agent('a');\nlog(`${await a}`);\nreturn a",
        "return Promise.all([agent('a'), agent('b')])",
        "const all = [agent('a')];\nreturn Promise.all(all)",
        "const f = () => agent('a');\nreturn f()",
        "async function f() { return agent('a') }\nreturn f()",
        "const a = ok ? agent('a') : null;\nreturn await a",
        "return agent('a').then((x) => x, () => null).finally(() => 1)",
        "void agent('a');\nreturn 1",
        "for await (const x of [agent('a')]) log(x)\nreturn 1",
        "const agent = (x) => ({ x });\nagent('a');\nreturn agent('b').x",
        "let a;\na = agent('a');\nreturn a",
        "return { a: agent('a') }",
        "const list = [];\nlist.push(agent('a'));\nreturn Promise.all(list)",
    ],
)
async def test_no_await_is_missing(body: str) -> None:
    assert [found for found in await problems(body, mistakes=True) if found[0] == "missing_await"] == []


@pytest.mark.parametrize(
    ("body", "column", "message", "hint"),
    [
        ("return parallel([agent('a')])", 18,
         "parallel() takes functions; a promise has started before parallel() can limit or cancel it.",
         "Write: () => agent('a')"),
        ("return parallel([await agent('a')])", 18,
         "parallel() takes functions; an awaited call ends before the next one starts.", "Write: () => agent('a')"),
        ("return parallel([1, 2].map((n) => agent(`x ${n}`)))", 28,
         "parallel() takes functions; a promise has started before parallel() can limit or cancel it.",
         "Write: .map((n) => () => agent(`x ${n}`))"),
        ("return parallel([1].map(async n => { return await agent('x') }))", 25,
         "parallel() takes functions; a promise has started before parallel() can limit or cancel it.",
         "Write: .map(n => async () => …)"),
        ("return race([agent('a')])", 14,
         "race() takes functions; a promise has started before race() can limit or cancel it.",
         "Write: () => agent('a')"),
    ],
)  # fmt: skip
async def test_promises_where_functions_belong(body: str, column: int, message: str, hint: str) -> None:
    assert await only_mistake(body) == ("promise_not_function", "S30", 2, column, message, hint)


@pytest.mark.parametrize(
    "body",
    [
        "return parallel([1].map((n) => () => agent(`a ${n}`)))",
        "return parallel([() => agent('a'), async () => (await agent('b'))?.x])",
        "return parallel(thunks)",
        "return parallel([1].map((n) => make(n)))",
        "return parallel([1, null, ready])",
    ],
)
async def test_functions_where_functions_belong(body: str) -> None:
    assert await problems(body, mistakes=True) == []


@pytest.mark.parametrize(
    ("body", "code", "rule", "column", "message"),
    [
        ("return agent()", "agent_prompt", "S20", 8, "agent() needs a prompt."),
        ("return agent('')", "agent_prompt", "S20", 14,
         "The prompt of agent() must be a non-empty string; this is ''."),
        ("return agent(['a'])", "agent_prompt", "S20", 14,
         "The prompt of agent() must be a non-empty string; this is ['a']."),
        ("return agent({ prompt: 'a' })", "agent_prompt", "S20", 14,
         "agent() takes the prompt as its first argument, a string, and the options as its second."),
        ("return agent('a', { lable: 'x' })", "unknown_option", "S25", 21,
         "agent() has no option `lable`; it is ignored. Did you mean `label`?"),
        ("return agent('a', { 'temperature': 1 })", "unknown_option", "S25", 21,
         "agent() has no option `temperature`; it is ignored."),
        ("return agent('a', { effort: 'hgih' })", "bad_option", "S25", 29,
         "`effort` must be 'low' or 'medium' or 'high' or 'xhigh' or 'max'; agent() will throw. Did you mean `high`?"),
        ("return agent('a', { isolation: 'docker' })", "bad_option", "S25", 32,
         "`isolation` must be 'worktree'; agent() will throw."),
        ("return parallel([], { settled: true })", "unknown_option", "S34", 23,
         "parallel() has no option `settled`; it is ignored. Did you mean `settle`?"),
        ("return parallel(() => agent('a'))", "not_an_array", "S32", 17, "parallel() takes one array of functions."),
        ("return pipeline('a', (x) => x)", "not_an_array", "S32", 17,
         "pipeline() takes an array of items first, then one function for each stage."),
        ("return pipeline([1], agent('x'), (x) => x)", "not_a_function", "S32", 22,
         "A stage of pipeline() is a function of (previous, item, index)."),
    ],
)  # fmt: skip
async def test_calls_that_cannot_do_what_was_meant(body: str, code: str, rule: str, column: int, message: str) -> None:
    found = await only_mistake(body)
    assert found[:5] == (code, rule, 2, column, message)
    assert found[5]


async def test_phases_that_meta_does_not_announce() -> None:
    text = (
        "export const meta = { name: 'n', description: 'd', phases: [{ title: 'Find' }, { title: 'Fix' }] };\n"
        "phase('Find');\nphase('Fnd');\nreturn agent('a', { phase: 'Report' })"
    )
    found = (await report(text, mistakes=True)).diagnostics
    assert [(one.code, one.rule, one.line, one.column, one.message) for one in found] == [
        ("unknown_phase", "S40", 3, 7,
         "meta.phases announces no phase 'Fnd'; it gets a group of its own. Did you mean `Find`?"),
        ("unknown_phase", "S40", 4, 28, "meta.phases announces no phase 'Report'; it gets a group of its own."),
    ]  # fmt: skip


async def test_without_announced_phases_any_title_does() -> None:
    assert await problems("phase('Any');\nreturn 1", mistakes=True) == []


@pytest.mark.parametrize(
    ("body", "is_found"),
    [
        ("const a = await agent('a');\nlog(a)", True),
        ("const f = () => { return 1 };\nlog(await agent('a'), f())", True),
        ("if (await agent('a')) { return 1 }", False),
        ("log('nothing to do')", False),
    ],
)
async def test_a_script_that_returns_nothing(body: str, is_found: bool) -> None:
    codes = [found[0] for found in await problems(body, mistakes=True)]
    assert codes == (["result_not_returned"] if is_found else [])


async def test_a_run_does_not_look_for_mistakes() -> None:
    assert await problems("agent();") == []


@pytest.mark.parametrize("path", sorted((ROOT / "workflows").glob("*.js")), ids=lambda path: path.name)
async def test_the_workflows_that_ship_have_no_mistakes(path: Path) -> None:
    assert (await report(path.read_bytes(), mistakes=True)).diagnostics == ()


def test_the_words_are_those_of_the_library() -> None:
    library = (ROOT / "stdlib_js" / "40_agent.js").read_text(encoding="utf-8")
    options = library[library.index("const OPTIONS = {") : library.index("const NAMES")]
    known = re.findall(r"^    (\w+): ", options, re.MULTILINE)
    assert sorted(set(known) - {"__proto__"}) == sorted((*AGENT_OPTIONS, *MORE_AGENT_OPTIONS))
    assert all(f'"{word}"' in library for word in EFFORTS)


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [("lable", "label"), ("agenttype", "agentType"), ("efort", "effort"), ("x" * 100, None), ("zzz", None)],
)
def test_near_words(word: str, suggestion: str | None) -> None:
    assert near(word, AGENT_OPTIONS) == (f" Did you mean `{suggestion}`?" if suggestion else "")


def test_promising_functions_are_sorted_out_of_the_rest() -> None:
    assert "agent" in PROMISING and "phase" not in PROMISING and "log" not in PROMISING


assert META.count("\n") == 1, "the lines above count on it"
