"""S01 to S07, S12 and S14: the format of a script, told by the real sandbox and the real parser together."""

from __future__ import annotations

import pytest
from support.scripts import META, inspected, only, problems, report
from support.tiny_library import TEXT

from engine.errors import ScriptError
from engine.options import UNSET
from engine.script import check_args, decode
from sandbox import Limits, Sandbox


async def refused(text: str | bytes) -> ScriptError:
    """The error that a run of `text` is refused with."""
    with pytest.raises(ScriptError) as caught:
        (await inspected(text)).script()
    return caught.value


# ── S01


async def test_S01_top_level_await_and_return() -> None:
    script = (await inspected(META + "const x = await agent('a');\nreturn x;\n")).script()
    assert script.meta.name == "n"
    assert script.warnings == ()


@pytest.mark.parametrize(
    ("body", "column"),
    [
        ("let x: number = 1", 6),
        ("const f = (a: string) => a", 13),
        ("interface Found { file: string }", 1),
        ("const x = y as string", 13),
        ("enum Kind { A }", 1),
    ],
)
async def test_S01_typescript_is_refused_and_named(body: str, column: int) -> None:
    found = await only(body)
    assert (found.severity, found.code, found.line, found.column) == ("error", "typescript", 2, column)
    assert found.message.startswith("This looks like TypeScript. The engine says: ")
    assert found.hint == (
        "Scripts are plain JavaScript: remove type annotations, interfaces, enums, `as` and `satisfies`."
    )


async def test_S01_a_type_alias_is_refused() -> None:
    error = await refused(META + "type A = string\n")
    assert (error.code, error.fields["line"], error.exit_code) == ("syntax", 2, 2)


# ── S02


@pytest.mark.parametrize(
    "before",
    [
        "",
        "\ufeff",
        "#!/usr/bin/env pawl\n",
        "\ufeff#!/usr/bin/env pawl\n// one\n/* two\n   export const meta = 1 */\n\n",
    ],
)
async def test_S02_what_may_stand_before_meta(before: str) -> None:
    script = (await inspected(before + META + "return 1")).script()
    assert script.meta.description == "d"
    assert not script.text.startswith("\ufeff")


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("return 1", 1, 1, "The first statement must be `export const meta = {…}`; this is something else."),
        (
            "'use strict';\n" + META, 2, 1,
            "meta must be the first statement; only a `#!` line and comments may stand before it.",
        ),
        ("const meta = { name: 'a', description: 'b' };", 1, 1, "meta must be exported."),
        ("export let meta = { name: 'a', description: 'b' };", 1, 8, "meta must be a `const`."),
        (
            "export const meta = { name: 'a', description: 'b' }, other = 1;", 1, 54,
            "Nothing but meta may be declared in its statement.",
        ),
        ("// a comment only", 1, 1, "The script has no statements; it must start with its meta."),
    ],
)  # fmt: skip
async def test_S02_meta_must_be_first_and_exported(text: str, line: int, column: int, message: str) -> None:
    error = await refused(text)
    assert error.message == f"w.js:{line}:{column}: {message}"
    assert (error.code, error.fields["rule"], error.exit_code) == ("meta", "S02", 2)
    assert "export const meta = {" in error.hint or "`export`" in error.hint


async def test_S02_meta_in_strings_and_comments_is_not_meta() -> None:
    error = await refused("// export const meta = { name: 'a' }\nconst s = \"export const meta = {}\";\n")
    assert error.fields["line"] == 2


# ── S03


async def test_S03_all_that_a_pure_literal_may_hold() -> None:
    text = (
        "export const meta = {\n  name: "
        "'a\\u0041\\x42\\n\\u{1F600}\\ud83d\\ude00', \"description\": `two\nlines`, // why\n"
        "  args: { 'a-b': [1, -2, 0x1F, 1_000, .5, -1.5e3, true, false, null, [], {}, ], 7: 'seven', },\n};\nreturn 1"
    )
    script = (await inspected(text)).script()
    assert script.meta.name == "aAB\n\U0001f600\U0001f600"
    assert script.meta.description == "two\nlines"
    assert script.meta.raw["args"] == {
        "a-b": [1, -2, 31, 1000, 0.5, -1500, True, False, None, [], {}],
        "7": "seven",
    }


@pytest.mark.parametrize(
    ("value", "column", "why"),
    [
        ("name", 32, "a variable is not allowed: name"),
        ("f()", 32, "a call is not allowed: f()"),
        ("...rest", 28, None),
        ("`a${b}`", 34, "a `${}` in a template is not allowed: ${b}"),
        ("a.b", 32, "a property access is not allowed: a.b"),
        ("'a' + 'b'", 32, "an operator is not allowed: 'a' + 'b'"),
        ("+1", 32, "an operator is not allowed: +1"),
        ("undefined", 32, "`undefined` is not allowed: undefined"),
        ("() => 1", 32, "a function is not allowed: () => 1"),
        ("/x/", 32, "a regular expression is not allowed: /x/"),
        ("1n", 32, "only numbers that JSON has are allowed"),
        ("1e999", 32, "the number is too large"),
        ("[1,,2]", 35, "an array with a hole is no JSON value"),
        ("'\\ud800'", 32, "it holds half of a surrogate pair, which no file can hold"),
    ],
)
async def test_S03_what_is_not_a_literal_is_refused_with_its_place(value: str, column: int, why: str | None) -> None:
    member = value if value.startswith("...") else f"k: {value}"
    text = "export const meta = { n: 1, " + member + " };"
    error = await refused(text)
    why = why or "a spread is not allowed: ...rest"
    column = text.index(member) + 1 if value.startswith("...") else column
    assert error.message == (
        f"w.js:1:{column}: meta must be a pure literal, because it is read without running the script; {why}."
    )
    assert (error.code, error.fields["rule"]) == ("meta", "S03")
    line, caret = error.fields["excerpt"].split("\n")
    assert line == text
    assert caret.index("^") == column - 1


@pytest.mark.parametrize(
    ("member", "why"),
    [
        ("[k]: 1", "a computed key is not allowed: [k]"),
        ("m() { return 1 }", "a method is not allowed: m() { return 1 }"),
        ("get g() { for (;;); }", "a method is not allowed: get g() { for (;;); }"),
        ("short", "a shorthand property is not allowed: short"),
        ("__proto__: {}", "`__proto__` sets the prototype; it is no ordinary key"),
    ],
)
async def test_S03_members_that_are_no_pairs_are_refused(member: str, why: str) -> None:
    text = "export const meta = { " + member + ", name: 'n', description: 'd' };"
    error = await refused(text)
    assert error.message.endswith(f"; {why}.")
    assert error.fields["column"] == 23


async def test_S03_a_meta_that_is_no_object() -> None:
    error = await refused("export const meta = Object.freeze({ name: 'a', description: 'b' });")
    assert error.message == "w.js:1:21: meta must be an object literal."


async def test_S03_a_repeated_key_is_a_warning() -> None:
    found = (await report("export const meta = { name: 'a', name: 'b', description: 'd' };")).diagnostics
    assert [(one.severity, one.code, one.column) for one in found] == [("warning", "meta_repeated_key", 34)]


async def test_S03_deep_nesting_is_refused() -> None:
    error = await refused("export const meta = { a: " + "[" * 80 + "]" * 80 + " };")
    assert error.message.endswith("; it is nested more than 64 deep.")


# ── S04


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ("{ description: 'd' }", "meta.name is missing."),
        ("{ name: 'n' }", "meta.description is missing."),
        ("{ name: '', description: 'd' }", "meta.name must be a non-empty string; found an empty string."),
        ("{ name: 3, description: 'd' }", "meta.name must be a non-empty string; found 3."),
        ("{ name: 'n', description: null }", "meta.description must be a non-empty string; found null."),
    ],
)
async def test_S04_name_and_description_are_required(meta: str, message: str) -> None:
    error = await refused(f"export const meta = {meta};")
    assert error.message.endswith(f": {message}")
    assert (error.code, error.fields["rule"]) == ("meta", "S04")


@pytest.mark.parametrize(
    ("member", "column", "message"),
    [
        ("phases: 'x'", 56, "meta.phases must be an array; found 'x'. It is ignored."),
        ("phases: ['Find']", 57, "A phase must be an object with a title; found 'Find'. It is ignored."),
        (
            "phases: [{ title: 3 }]", 66,
            "The title of a phase must be a non-empty string; found 3. The phase is ignored.",
        ),
        ("phases: [{ title: 'a', detial: 'x' }]", 71,
         "A phase has no member `detial`; it is ignored. Did you mean `detail`?"),
        ("whenToUse: 3", 59, "meta.whenToUse must be a non-empty string; found 3. It is ignored."),
        ("whentouse: 'x'", 48, "meta has no member `whentouse`; it is ignored. Did you mean `whenToUse`?"),
        ("version: '1.0'", 48, "meta has no member `version`; it is ignored."),
    ],
)  # fmt: skip
async def test_S04_odd_members_are_warnings_never_errors(member: str, column: int, message: str) -> None:
    inspection = await inspected("export const meta = { name: 'n', description: 'd', " + member + " };\nreturn 1")
    script = inspection.script()
    found = [(one.severity, one.message) for one in script.warnings]
    assert found == [("warning", message)]
    assert script.warnings[0].column == column + 4


async def test_S04_good_phases_stay_beside_bad_ones() -> None:
    text = (
        "export const meta = { name: 'n', description: 'd', whenToUse: 'w', model: 'm', "
        "phases: [{ title: 'A', detail: 'x' }, 7, { title: 'B', model: 'big' }] };"
    )
    meta = (await inspected(text)).script().meta
    assert [(phase.title, phase.detail, phase.model) for phase in meta.phases] == [("A", "x", None), ("B", None, "big")]
    assert (meta.when_to_use, meta.model) == ("w", "m")


# ── S05

ARGS = (
    "args: { type: 'object', properties: { topic: { type: 'string' }, n: { type: 'integer' } }, required: ['topic'] }"
)


async def test_S05_args_are_held_against_the_schema() -> None:
    meta = (await inspected(f"export const meta = {{ name: 'n', description: 'd', {ARGS} }};")).script().meta
    check_args(meta, {"topic": "x", "n": 3})
    with pytest.raises(ScriptError) as caught:
        check_args(meta, {"topic": "x", "n": "three"})
    assert caught.value.message == "args do not fit the workflow 'n': at /n: expected integer, found \"three\""
    assert (caught.value.code, caught.value.fields["path"], caught.value.exit_code) == ("args", "/n", 2)


async def test_S05_no_args_do_only_where_an_empty_object_would() -> None:
    meta = (await inspected(f"export const meta = {{ name: 'n', description: 'd', {ARGS} }};")).script().meta
    with pytest.raises(ScriptError) as caught:
        check_args(meta, UNSET)
    assert caught.value.message == (
        "args do not fit the workflow 'n': no args were given; at /: missing required key 'topic'"
    )
    optional = (
        await inspected("export const meta = { name: 'n', description: 'd', args: { type: 'object' } };")
    ).script()
    check_args(optional.meta, UNSET)


async def test_S05_args_may_be_anything_that_the_schema_says() -> None:
    meta = (
        (await inspected("export const meta = { name: 'n', description: 'd', args: { type: 'string' } };"))
        .script()
        .meta
    )
    check_args(meta, "text")
    with pytest.raises(ScriptError, match="expected string, found 3"):
        check_args(meta, 3)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("args: 'object'", "meta.args must be a JSON Schema, an object; found 'object'."),
        ("limits: 5", "meta.limits must be an object; found 5."),
        ("limits: { agents: 0 }", "meta.limits.agents must be a whole number above 0; found 0."),
        ("limits: { agents: 1.5 }", "meta.limits.agents must be a whole number above 0; found 1.5."),
        (
            "limits: { concurrency: 2000 }",
            "meta.limits.concurrency must be a whole number above 0, at most 1,024; found 2000.",
        ),
        ("limits: { costUsd: '3' }", "meta.limits.costUsd must be a number above 0; found '3'."),
        ("permissions: 'check'", "meta.permissions must be an array of check, ask, files; found 'check'."),
        (
            "permissions: ['file']",
            "There is no permission 'file'; known are check, ask, files. Did you mean `files`?",
        ),
    ],
)
async def test_S05_what_does_not_fit_is_refused(member: str, message: str) -> None:
    error = await refused("export const meta = { name: 'n', description: 'd', " + member + " };")
    assert error.message.partition(": ")[2] == message
    assert (error.code, error.fields["rule"]) == ("meta", "S05")


async def test_S05_a_schema_that_is_none_is_refused_at_its_place() -> None:
    text = "export const meta = { name: 'n', description: 'd', args: { properties: { a: { type: 'strin' } } } };"
    error = await refused(text)
    assert error.fields["column"] == text.index("'strin'") + 1
    assert error.message.partition(": ")[2].startswith("meta.args cannot be used: schema is impossible at ")


async def test_S05_limits_and_permissions_are_read() -> None:
    text = (
        "export const meta = { name: 'n', description: 'd', permissions: ['files', 'check', 'files'],\n"
        "  limits: { agents: 5, concurrency: 2, tokens: 1000, costUsd: 0.5, minutes: 1.5 } };"
    )
    meta = (await inspected(text)).script().meta
    limits = meta.limits
    assert (limits.agents, limits.concurrency, limits.tokens, limits.cost_usd, limits.minutes) == (5, 2, 1000, 0.5, 1.5)
    assert meta.permissions == ("check", "files")


# ── S06


@pytest.mark.parametrize(
    ("body", "line", "column", "code", "message"),
    [
        ("const a = [1,\n2", 2, 11, "unclosed", "This [ is not closed. The engine says: "),
        (
            "const s = 'abc\nx", 2, 11, "unclosed",
            "The string that starts with this ' does not end on its line. The engine says: ",
        ),
        ("const a = {b: 1 c: 2}", 2, 17, "syntax", "Syntax error: "),
        ("a b", 2, 3, "missing", "A ; is missing here. The engine says: "),
        ("\n\nconst x = 1;\nconst x = 2", 5, 1, "syntax",
         "Syntax error: "),
        ("}", 2, 1, "unopened", "This } closes nothing. The engine says: "),
    ],
)  # fmt: skip
async def test_S06_syntax_errors_have_line_column_excerpt_and_caret(
    body: str, line: int, column: int, code: str, message: str
) -> None:
    found = await only(body)
    assert (found.severity, found.code, found.line) == ("error", code, line)
    text = (META + body).split("\n")[line - 1]
    assert found.excerpt == text
    assert found.caret.index("^") == found.column - 1
    assert found.column in (column, column - 1)  # a parser may take the space before a token for its start
    assert found.message.startswith(message)  # what the engine says is its own, and differs


async def test_S06_the_error_of_a_run_says_the_same() -> None:
    error = await refused(META + "let x = 1;\nx +* 2;\n")
    assert error.code == "syntax"
    assert error.message == "w.js:3:4: Syntax error: unexpected token in expression: '*'."
    assert (error.fields["file"], error.fields["line"], error.fields["column"]) == ("w.js", 3, 4)
    assert error.fields["excerpt"] == "x +* 2;\n   ^"
    assert error.exit_code == 2


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
async def test_S06_all_line_ends_count_as_one_line(end: str) -> None:
    found = (await report((META + "const a = `x\n`;\n/*\n*/\na b\n").replace("\n", end))).diagnostics
    assert [(one.line, one.excerpt) for one in found] == [(6, "a b")]


async def test_S06_an_invisible_line_break_is_refused() -> None:
    found = await only("const a = '\u2028';\nlet\u2028b = 1;\nreturn b")
    assert (found.code, found.line, found.column) == ("line_separator", 3, 4)
    assert found.message == "U+2028 stands between two tokens: an invisible line break."
    assert await problems("const a = '\u2028'; /* \u2029 */\nreturn `\u2028`") == []


async def test_S06_what_the_engine_lacks_is_said_in_words() -> None:
    sandbox = Sandbox.spawn(Limits(), [("tiny.js", TEXT)])
    try:
        await sandbox.booted()
        has_static_blocks = "-ng" in sandbox.info.engine
    finally:
        await sandbox.close()
    found = await problems("class A { static { } }\nreturn 1")
    if has_static_blocks:
        assert found == []
    else:
        message = "Static blocks of classes are newer than this engine. The engine says: invalid property name."
        assert found == [("unsupported_syntax", 2, 11, message)]


# ── S07


@pytest.mark.parametrize(
    ("body", "column", "what"),
    [
        ("import x from 'y';", 1, "`import`"),
        ("import { x } from 'y';", 1, "`import`"),
        ("import 'y';", 1, "`import`"),
        ("const x = await import('y');", 17, "`import()`"),
        ("const x = require('fs');", 11, "`require()`"),
        ("if (a) { require('fs').readFileSync('x') }", 10, "`require()`"),
    ],
)
async def test_S07_imports_are_refused(body: str, column: int, what: str) -> None:
    error = await refused(META + body)
    assert error.message == (
        f"w.js:2:{column}: {what} is not allowed. A workflow script has no modules: what it may use is there as "
        "globals (agent, parallel, pipeline, workflow, …)."
    )
    assert (error.code, error.fields["rule"], error.exit_code) == ("forbidden", "S07", 2)


@pytest.mark.parametrize("body", ["export const b = 1;", "export default 1;", "const b = 1; export { b };"])
async def test_S07_other_exports_are_refused(body: str) -> None:
    error = await refused(META + body)
    assert error.code == "forbidden"
    assert error.message.partition(": ")[2] == ("Only meta is exported; the result of a script is what it returns.")


@pytest.mark.parametrize(
    "body",
    [
        "const has = typeof require === 'function'; return has",
        "return \"import x from 'y'; require('z'); export default 1\"",
        "return `import('x') ${1} require('y') export`",
        "// import x from 'y'\n/* require('x')\nexport default 1 */ return 1",
        "const o = { import: 1, require: 2, export: 3 }; return o.import + o.require + o.export",
        "const o = { require() { return 1 } }; return o.require('x')",
        "const require = (name) => name; return require('x')",
        "function f(require) { return require('x') } return f((x) => x)",
        "return /import(x)require(y)/.test('a')",
    ],
)
async def test_S07_the_words_elsewhere_trip_nothing(body: str) -> None:
    assert await problems(body) == []


# ── S12


@pytest.mark.parametrize(
    ("code", "rule", "what"),
    [
        ("Math.random()", "S10", "Math.random"),
        ("Date.now()", "S11", "Date.now"),
        ("new Date()", "S11", "new Date() without arguments"),
        ("new Date", "S11", "new Date() without arguments"),
        ("Date()", "S11", "Date()"),
        ("await sleep(1)", "S27", "sleep"),
        ("setTimeout(() => 1, 5)", "S27", "setTimeout"),
        ("await race([])", "S35", "race"),
        ("await dag([], () => 1)", "S35", "dag"),
        ("await parallel([], { settle: true })", "S34", "the option `settle` of parallel()"),
        ("await parallel([], { failFast: true })", "S34", "the option `failFast` of parallel()"),
        ("await pipeline([], { concurrency: 2 })", "S34", "the option `concurrency` of pipeline()"),
        ("await agent('a', { timeoutMinutes: 2 })", "S26", "the option `timeoutMinutes` of agent()"),
        ("await agent('a', { full: true })", "S26", "the option `full` of agent()"),
        ("await agent('a', { goal: 'x' })", "S70", "the option `goal` of agent()"),
        ("await agent('a', { candidates: 3 })", "S71", "the option `candidates` of agent()"),
        ("budget.costUsd.total", "S43", "budget.costUsd"),
        ("budget.agents.spent()", "S43", "budget.agents"),
        ("budget.minutes.remaining()", "S43", "budget.minutes"),
        ("await check('ls')", "S60", "check"),
        ("await ask('q')", "S61", "ask"),
        ("await readFile('f')", "S62", "readFile"),
        ("await writeFile('f', '')", "S62", "writeFile"),
        ("await glob('*')", "S62", "glob"),
        ("await exists('f')", "S62", "exists"),
        ("await vote(3, 'x')", "S72", "vote"),
        ("await mapReduce([])", "S72", "mapReduce"),
        ("new URL('http://x')", "S09", "URL"),
        ("structuredClone({})", "S09", "structuredClone"),
        ("console.log(1)", "S09", "console"),
        ("[1].at(-1)", "S09", ".at()"),
        ("[1].toSorted()", "S09", ".toSorted()"),
        ("Object.groupBy([], (x) => x)", "S09", "Object.groupBy"),
        ("Promise.withResolvers()", "S09", "Promise.withResolvers"),
        ("new Error('x', { cause: 1 })", "S09", "`cause` of an error"),
    ],
)
async def test_S12_each_extension_is_a_warning_with_its_rule(code: str, rule: str, what: str) -> None:
    found = (await report(META + f"const value = {code};\nreturn value", portable=True)).diagnostics
    assert [(one.severity, one.code, one.rule, one.line) for one in found] == [("warning", "not_portable", rule, 2)]
    assert found[0].message == f"Not portable: {what} is not part of what all runtimes of the dialect have."


@pytest.mark.parametrize("member", ["args: {}", "limits: { agents: 3 }", "permissions: ['check']"])
async def test_S12_our_members_of_meta(member: str) -> None:
    text = "export const meta = { name: 'n', description: 'd', " + member + " };\nreturn 1"
    found = (await report(text, portable=True)).diagnostics
    assert [(one.code, one.rule, one.column) for one in found] == [("not_portable", "S05", 52)]


async def test_S12_a_script_of_common_rules_alone_is_portable() -> None:
    body = """\
phase('Find')
log('start', { a: 1 })
const found = await parallel([() => agent('a', { label: 'l', phase: 'p', schema: { type: 'object' }, model: 'm',
  effort: 'high', isolation: 'worktree', agentType: 't' })])
const next = await pipeline(found.filter(Boolean).flat(), (item) => agent(`x ${item}`), (before, item, i) => i)
const child = await workflow('other', { now: new Date(0).getTime(), left: budget.remaining() })
const sleep = (ms) => ms, Random = { now: () => 4 }
return { next, child, args, total: budget.total, slept: sleep(5), max: Math.max(1, 2), utc: Date.UTC(2020) }
"""
    assert await problems(body, mistakes=True, portable=True) == []


async def test_S12_names_of_the_scripts_own_are_not_ours() -> None:
    body = "const sleep = (ms) => ms;\nfunction retry(f) { return f() }\nreturn [sleep(1), retry(() => 2)]"
    assert await problems(body, portable=True) == []


# ── S14


async def test_S14_a_script_of_a_mebibyte_is_taken_and_one_byte_more_is_not() -> None:
    filler = "//" + "x" * ((1 << 20) - len(META) - 2)
    script = (await inspected(META + filler)).script()
    assert len(script.text) == 1 << 20
    with pytest.raises(ScriptError) as caught:
        decode((META + filler + "x").encode(), "w.js")
    assert caught.value.message == "w.js: the script has 1,048,577 bytes; allowed are 1,048,576"
    assert (caught.value.code, caught.value.exit_code) == ("too_long", 2)


@pytest.mark.parametrize(
    "body",
    [
        "}); f(); (async () => {",
        "return 1 } , async other() { return 2",
        "} ; { ",
        "}}; f(); ({ async main() {{",
        "}, 1) ; (async function () { 'use strict';",
    ],
)
async def test_S14_text_that_only_parses_because_of_its_wrapper_is_refused(body: str) -> None:
    error = await refused(META + body)
    assert error.code == "syntax"
    assert error.fields["line"] == 2
