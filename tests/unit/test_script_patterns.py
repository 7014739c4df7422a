"""The anti-patterns that `pawl check` warns of: sandbox/lint/{barriers,loops,nulls,prompts,caps,ignoring,story}.py."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from support.scripts import META, problems, report

ROOT = Path(__file__).parents[2]
CODES = frozenset(
    {
        *("barrier_without_need", "unbounded_loop", "unhandled_null", "result_not_returned"),
        *("agent_for_code", "prompt_without_input", "identical_prompts", "silent_cap"),
    }
)
ASK = "const items = args.items; const S = {};\n"
"""The second line of each text below, which then starts on line 3."""

FOUND = [
    # Each: the code, its rule, and a text in which it is all that is wrong, on line 3.
    ("barrier_without_need", "S31",
     "const a = await parallel(items.map((i) => () => agent(`x ${i}`)));\n"
     "return parallel(a.filter(Boolean).map((x) => () => agent(`y ${x}`)))"),
    ("barrier_without_need", "S31",
     "const a = await parallel(items.map((i) => () => agent(`x ${i}`)));\nphase('Next');\n"
     "return await pipeline(a, (x) => agent(`y ${x}`))"),
    ("unbounded_loop", "S46", "while (true) { const a = await agent('x'); if (a?.includes('done')) break }\nreturn 1"),
    ("unbounded_loop", "S46", "for (;;) { if (await agent('x')) break }\nreturn 1"),
    ("unbounded_loop", "S46", "let ok = false; while (!ok) { const a = await agent('x'); ok = a === 'ok' }\nreturn 1"),
    ("unbounded_loop", "S46", "let a; do { a = await agent('x', { schema: S }) } while (a?.more)\nreturn 1"),
    ("unbounded_loop", "S46",
     "const all = []; while (all.length < 10) { all.push(...((await agent('x', { schema: S }))?.bugs ?? [])) }\n"
     "return all"),
    ("unbounded_loop", "S46",
     "let dry = 0; while (dry < 2) { const a = await agent('x'); if (a === null) { dry++; continue } dry = 0 }\n"
     "return 1"),
    ("unbounded_loop", "S46", "while (true) { if (await step()) break }\nreturn 1\n"
     "async function step() { return (await agent('x')) === 'done' }"),
    ("unhandled_null", "S23", "return (await agent('x', { schema: S })).items"),
    ("unhandled_null", "S23", "const { bugs } = await agent('x', { schema: S });\nreturn bugs"),
    ("unhandled_null", "S23", "const a = await agent('x', { schema: S });\nreturn a.bugs"),
    ("unhandled_null", "S23", "const a = await agent('x', { schema: S });\nfor (const bug of a.bugs) log(bug)\nreturn 1"),
    ("unhandled_null", "S23", "const all = await parallel(items.map((i) => () => agent(`x ${i}`, { schema: S })));\n"
     "return all.flatMap((one) => one.bugs)"),
    ("unhandled_null", "S23", "const all = await pipeline(items, (i) => agent(`x ${i}`, { schema: S }));\n"
     "log(`${all.length}`);\nfor (const one of all) log(one.name)\nreturn 1"),
    ("unhandled_null", "S23", "return (await parallel(items.map((i) => () => agent(`x ${i}`)))).map(({ a }) => a)"),
    ("agent_for_code", "", "return agent(`Sort the list of names alphabetically: ${items}`)"),
    ("agent_for_code", "", "return agent(`Remove all duplicates from ${JSON.stringify(items)}`)"),
    ("agent_for_code", "", "return agent('Count the lines in README.md')"),
    ("agent_for_code", "", "return agent(`Parse the following JSON: ${items}`)"),
    ("agent_for_code", "", "return agent('Format the dates as ISO: ' + items)"),
    ("agent_for_code", "", "return agent(`Join the names with commas: ${items}`)"),
    ("agent_for_code", "", "return agent(`Calculate the average of ${items}`)"),
    ("agent_for_code", "", "return agent(`How many items are in ${items}`)"),
    ("prompt_without_input", "S20", "return parallel(items.map((file) => () => agent('Review it.', { label: file })))"),
    ("prompt_without_input", "S20", "return pipeline(items, (file) => agent('Review it.'))"),
    ("prompt_without_input", "S20", "return pipeline(items, (f) => agent(`a ${f}`), (found, f) => agent(`Check ${f}`))"),
    ("prompt_without_input", "S20", "return agent('Summarise the following report:')"),
    ("prompt_without_input", "S20", "return agent('Find the bugs in this file.')"),
    ("identical_prompts", "S30", "return parallel(Array.from({ length: 3 }, () => () => agent('Propose a design.')))"),
    ("identical_prompts", "S30",
     "return parallel(Array.from({ length: 3 }, (_, i) => () => agent(`Refute ${args.claim}`, { label: `no ${i}` })))"),
    ("identical_prompts", "S30", "return parallel([() => agent('Look.'), () => agent('Look.', { label: 'b' })])"),
    ("silent_cap", "S41", "return pipeline(items.slice(0, 10), (i) => agent(`x ${i}`))"),
    ("silent_cap", "S41", "const few = items.slice(0, args.most); const all = await parallel(few.map((i) => () => agent(`x ${i}`)));\n"
     "return all"),
    ("silent_cap", "S41", "for (const i of items.slice(0, 5)) await agent(`x ${i}`)\nreturn 1"),
    ("result_not_returned", "S01", "await vote(3, 'Is it so?')"),
]  # fmt: skip

FINE = [
    # The barrier has a reason: something looks at all of them.
    "const a = await parallel(items.map((i) => () => agent(`x ${i}`)));\nlog(`${a.filter(Boolean).length} of ${a.length}`)\n"
    "return parallel(a.filter(Boolean).map((x) => () => agent(`y ${x}`)))",
    "const a = await parallel(items.map((i) => () => agent(`x ${i}`)));\n"
    "return parallel([...new Set(a)].map((x) => () => agent(`y ${x}`)))",
    "const a = await parallel(items.map((i) => () => agent(`x ${i}`)));\n"
    "return parallel(a.map((x, i, all) => () => agent(`y ${x} of ${all}`)))",
    "const a = await parallel(items.map((i) => () => agent(`x ${i}`)));\nif (args.deep) {\n"
    "  return parallel(a.map((x) => () => agent(`y ${x}`)))\n}\nreturn a",
    # Loops with a bound.
    "for (let round = 1; round <= 5; round++) { if (await agent(`x ${round}`)) break }\nreturn 1",
    "let n = 0; while (true) { if (++n > 5) break; await agent(`x ${n}`) }\nreturn 1",
    "let n = 0; let ok = false; while (!ok && n < 3) { n += 1; ok = (await agent('x')) !== null }\nreturn 1",
    "let tries = 3; while (tries--) await agent('x')\nreturn 1",
    "let n = 0; do { n = n + 1; await agent('x') } while (n < 3)\nreturn 1",
    "const queue = [...items]; while (queue.length > 0) { await agent(`x ${queue.shift()}`) }\nreturn 1",
    "while (budget.total && budget.remaining() > 1000) await agent('x')\nreturn 1",
    "const end = Date.now() + 1000; while (Date.now() < end) await agent('x')\nreturn 1",
    "let node = args.tree; while (node) { await agent(`x ${node.name}`); node = node.next }\nreturn 1",
    "while (true) { if ((await ask('Go on?')) === 'no') break; await agent('x') }\nreturn 1",
    "while (hasMore()) await agent('x')\nreturn 1\nfunction hasMore() { return false }",
    "const seen = []; while (true) { seen.push(await agent('x')); if (seen.length >= 5) break }\nreturn 1",
    "let i = 0; while (true) { i++; if (i === 3) return 1 }",
    # Nulls that somebody looks at.
    "return (await agent('x', { schema: S }))?.items ?? []",
    "const a = await agent('x', { schema: S });\nif (!a) return null\nreturn a.bugs",
    "const a = await agent('x', { schema: S });\nif (a === null) return null\nreturn a.bugs",
    "const a = await agent('x', { schema: S });\nreturn a ? a.bugs : []",
    "const a = await agent('x', { schema: S });\nneed(a);\nreturn a.bugs\nfunction need(x) { if (!x) throw new Error('x') }",
    "const { value, reason } = await agent('x', { full: true });\nreturn [value, reason]",
    "const { value } = await agent('x', args.options);\nreturn value",
    "try { return (await agent('x', { schema: S })).items } catch { return [] }",
    "const all = await parallel(items.map((i) => () => agent(`x ${i}`)));\nreturn all.filter(Boolean).map((one) => one.bugs)",
    "const all = await parallel(items.map((i) => () => agent(`x ${i}`)));\nreturn all.flatMap((one) => one?.bugs ?? [])",
    "const all = await parallel(items.map((i) => async () => ({ i, a: await agent(`x ${i}`) })));\n"
    "return all.map((one) => one.i)",
    "return { ...(await agent('x', { schema: S })) }",
    "const text = await agent('x');\nreturn `They said: ${text}`",
    # Tasks that need a judgement.
    "return agent(`Sort the list of findings by severity: ${items}`)",
    "return agent(`Deduplicate the following entries that mean the same: ${items}`)",
    "return agent(`Count the ways in which this can fail: ${items}`)",
    "return agent('Filter the list to what matters: ' + items)",
    "return agent(`Merge the drafts into one: ${items}`)",
    "return agent('Parse the grammar of the language by hand and describe it.')",
    "return agent('List the files that hold tests, sorted.')",
    # Prompts that have what they need.
    "return pipeline(items, (_file) => agent(`Guess ${Math.random()}`))",
    "return pipeline(items, (f, _, i) => agent(`Part ${i} of ${args.all}`))",
    "return pipeline(items, (f) => agent(`a ${f}`), (_found, f) => agent(`Check ${f}`))",
    "return parallel(items.map((type) => () => agent('Look around.', { agentType: type })))",
    "return parallel(items.map((file) => () => agent(promptOf(file))))\nfunction promptOf(x) { return x }",
    "return agent('Do the following:\\n1. read README.md\\n2. say what is missing')",
    "return agent('What does this file say: README.md')",
    "return agent('Summarise the following report:\\n' + items)",
    # Prompts that differ.
    "return parallel(Array.from({ length: 3 }, (_, i) => () => agent(`Propose design ${i + 1}.`)))",
    "return parallel([() => agent('Look.', { model: 'a' }), () => agent('Look.', { model: 'b' })])",
    "return parallel(Array.from({ length: 3 }, () => () => agent(next())))\nfunction next() { return `${Math.random()}` }",
    "return vote(3, 'Is it so?')",
    # Caps that are told, and what is no cap.
    "const few = items.slice(0, 10);\nlog(`${items.length - few.length} are left out`);\n"
    "return pipeline(few, (i) => agent(`x ${i}`))",
    "const few = items.slice(0, 10), rest = items.slice(10);\nconst a = await pipeline(few, (i) => agent(`x ${i}`));\n"
    "return { a, rest }",
    "return pipeline(items, (i) => agent(`x ${i.slice(0, 80)}`))",
    "const text = args.text.slice(0, 4000);\nreturn agent(`x ${text}`)",
]  # fmt: skip


async def codes(body: str) -> list[str]:
    return [found[0] for found in await problems(ASK + body, mistakes=True)]


@pytest.mark.parametrize(("code", "rule", "body"), FOUND, ids=[f"{n}-{case[0]}" for n, case in enumerate(FOUND)])
async def test_an_anti_pattern(code: str, rule: str, body: str) -> None:
    found = (await report(META + ASK + body, mistakes=True)).diagnostics
    assert [(one.severity, one.code, one.rule, one.line) for one in found] == [("warning", code, rule, 3)]
    assert found[0].message.endswith(".") and found[0].hint


@pytest.mark.parametrize("body", FINE)
async def test_what_only_looks_like_one(body: str) -> None:
    assert await codes(body) == []


async def test_the_words_of_a_warning() -> None:
    body = FOUND[0][2]
    found = (await report(META + ASK + body, mistakes=True)).diagnostics[0]
    assert found.message == "Line 4 goes over `a` item by item, and has to wait here for the slowest of all."
    assert found.hint == (
        "Let each go on by itself: await pipeline(items, (item) => agent(`… ${item}`), (found) => agent(`… ${found}`))"
    )


@pytest.mark.parametrize(
    "comment",
    [
        "// pawl-ignore: silent_cap — the rest comes next week\n{}",
        "  /* pawl-ignore: unhandled_null, silent_cap - known */\n{}",
        "{} // pawl-ignore: silent_cap",
    ],
)
async def test_a_comment_silences_one_line(comment: str) -> None:
    line = "const a = await pipeline(items.slice(0, 10), (i) => agent(`x ${i}`))"
    assert await codes(f"{line}\nreturn a") == ["silent_cap"]
    assert await codes(f"{comment.replace('{}', line)}\nreturn a") == []


@pytest.mark.parametrize(
    "body",
    [
        "// pawl-ignore: unbounded_loop\nreturn pipeline(items.slice(0, 10), (i) => agent(`x ${i}`))",
        "// pawl-ignore: silent_cap\n\nreturn pipeline(items.slice(0, 10), (i) => agent(`x ${i}`))",
        "log; // pawl-ignore: silent_cap\nreturn pipeline(items.slice(0, 10), (i) => agent(`x ${i}`))",
        "const s = '// pawl-ignore: silent_cap';\nreturn pipeline(items.slice(0, 10), (i) => agent(`x ${i}`))",
        "// pawl-ignore:\nreturn pipeline(items.slice(0, 10), (i) => agent(`x ${i}`))",
    ],
)
async def test_a_comment_silences_nothing_else(body: str) -> None:
    assert await codes(body) == ["silent_cap"]


async def test_an_error_is_never_ignored() -> None:
    assert await codes("// pawl-ignore: require\nreturn require('x')") == ["require"]


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("workflows/*.js"), *ROOT.glob("engine/authoring/*.js")]), ids=lambda path: path.name
)
async def test_nothing_is_said_of_our_own_scripts(path: Path) -> None:
    found = (await report(path.read_bytes(), mistakes=True)).diagnostics
    assert [one.render(path.name) for one in found if one.code in CODES] == []


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (path.name, text)
        for path in sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md"])
        if path.name != "checks.md"
        for text in re.findall(r"```js\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    ],
)
async def test_nothing_is_said_of_the_examples_in_the_docs(page: str, text: str) -> None:
    found = (await report(text if "export const meta" in text else META + text, mistakes=True)).diagnostics
    wrong = [one.render(page) for one in found if one.code in CODES - {"result_not_returned"}]
    assert wrong == []


@pytest.mark.parametrize(
    "part",
    [
        "while (true) {{ const a{n} = await agent('x'); if (a{n}.b) break }}\n",
        "const l{n} = items.slice(0, 3); await pipeline(l{n}, (i) => agent(`x ${{i}}`));\n",
        "const p{n} = await parallel(items.map((i) => () => agent(`x ${{i}}`)));\n"
        "await parallel(p{n}.map((x) => () => agent(`y ${{x}}`)));\n",
    ],
)
async def test_a_long_script_takes_no_long_time(part: str) -> None:
    """Four times the text takes about four times as long; sixteen times would be a rule that is quadratic."""
    times = []
    for size in (250, 1000):
        text = META + ASK + "".join(part.format(n=n) for n in range(size))
        began = time.perf_counter()
        await report(text, mistakes=True)
        times.append(time.perf_counter() - began)
    assert times[1] < 3.5, times


async def test_a_script_made_of_nested_loops_is_still_examined() -> None:
    depth = 400
    text = META + "while (true) {" * depth + "await agent('x')" + "}" * depth + "\nreturn 1"
    found = (await report(text, mistakes=True)).diagnostics
    assert {one.code for one in found} == {"unbounded_loop"}
