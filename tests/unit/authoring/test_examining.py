"""What code says of a script that a model wrote: checked, simulated, nothing of it done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.authoring import examine as examine_by_name
from engine.authoring.examining import Examined, examined
from engine.authoring.guide import HERE, brief
from engine.errors import UsageError
from engine.settings import PermissionSettings, Settings

HEAD = "export const meta = { name: 'x', description: 'd', limits: { agents: 50 } }\n"
LIST = "{ type: 'object', required: ['all'], properties: { all: { type: 'array', items: { type: 'object', required: ['name'], properties: { name: { type: 'string' } } } } } }"


async def look(script: str, project: Path) -> Examined:
    return await examined(project, Settings(), script if "export const meta" in script else HEAD + script)


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        ("return await agent('x'", "unclosed", "is not closed"),
        ("// nothing\nreturn 1", "meta_missing", "export const meta"),
        ("return await agnet('x')", "crashes", "when every agent answers: the script fails: ReferenceError: 'agnet' is not defined (line 2)"),
        (f"const a = await agent('x', {{ schema: {LIST} }})\nreturn a.all", "crashes", "when no agent answers (each gives null): the script fails: TypeError"),
        (f"const a = await agent('x', {{ schema: {LIST} }})\nreturn a?.all[0].name ?? null", "crashes", "when every list in an answer is empty: the script fails: TypeError"),
        ("return await pipeline([1, 2], async n => (await agent('x' + n)).length)", "crashes", "an error became a null: pipeline() slot"),
        ("let i = 0\nwhile (i < 1e6) await agent('x' + i++)\nreturn i", "too_many_agents", "it made 50 agents and wanted more"),
        ("return await agent('x', { agentType: 'nobody' })", "unknown_agent_type", "a call is refused: agentType 'nobody' is not known"),
        ("return await agent('x', { schema: { type: 'array' } })", "bad_schema", "a call is refused: schema is impossible at /type"),
        ("return await workflow('nothing like it')", "unknown_workflow", "there is no workflow"),
        ("return await new Promise(() => {})", "deadlock", "the script fails"),
        ("return { f: () => 1 }", "result_not_json", "the script fails"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_an_error(script: str, code: str, words: str, tmp_path: Path) -> None:
    found = await look(script, tmp_path) if code != "meta_missing" else await examined(tmp_path, Settings(), script)
    assert not found.is_ok
    errors = [problem for problem in found.problems if problem.is_error]
    assert [problem.code for problem in errors] == [code]
    assert words in errors[0].to_json()["text"]


async def test_a_script_that_computes_for_ever_costs_one_simulation(tmp_path: Path) -> None:
    found = await look("for (;;);", tmp_path)
    assert [problem.code for problem in found.problems if problem.is_error] == ["sandbox_cpu"]


async def test_saying_that_it_cannot_go_on_is_no_crash(tmp_path: Path) -> None:
    script = "const a = await agent('x')\nif (a === null) throw new Error('nobody answered')\nreturn a"
    assert (await look(script, tmp_path)).problems == []


async def test_a_script_that_says_so_of_made_up_args_gets_a_warning(tmp_path: Path) -> None:
    script = "if (await readFile('a file') === null) throw new Error('there is no file')\nreturn await agent('x')"
    found = await look(script, tmp_path)
    assert found.is_ok
    assert [(problem.code, problem.is_error) for problem in found.problems] == [("fails", False)]


async def test_args_are_made_up_as_the_script_declares_them(tmp_path: Path) -> None:
    script = """export const meta = { name: 'x', description: 'd', args: { type: 'object', required: ['n'], properties: { n: { type: 'integer', minimum: 3, maximum: 3 } } } }
return await parallel(Array.from({ length: args.n }, (_, i) => () => agent('x' + i, { label: 'ask ' + i, phase: 'Ask' })))"""
    found = await look(script, tmp_path)
    assert found.is_ok
    assert found.to_json()["shape"] == [
        {"phase": "Ask", "agents": 3, "width": 3, "labels": ["ask 0", "ask 1", "ask 2"], "effects": {}}
    ]
    assert found.to_json()["agents"] == {"simulated": 3, "most": 1000}


async def test_S63_nothing_that_it_asks_for_is_done(tmp_path: Path) -> None:
    script = f"""const out = await check('touch {tmp_path}/done')
await writeFile('written.txt', 'x')
return [out.ok, await ask('Go on?'), await agent('x', {{ backend: 'cli:claude' }})]"""
    found = await look(script, tmp_path)
    assert found.is_ok, found.problems
    assert list(tmp_path.iterdir()) == []
    assert found.to_json()["shape"][0]["effects"] == {"check": 1, "writeFile": 1, "ask": 1}


async def test_what_was_read_is_not_told_where_rules_say_what_may_be_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("the words of a file", encoding="utf-8")
    steals = [
        "null[await readFile('.env')]",
        "throw new Error(await globalThis['read' + 'File']('.env'))",
        "await parallel([async () => null[await readFile('.env')]])\nreturn 1",
        "await agent('x', { [await readFile('.env')]: 1 })\nreturn 1",
        "await agent('x', { agentType: await readFile('.env') })\nreturn 1",
    ]
    rules = Settings(permissions=PermissionSettings(deny=("read_file(.env)",)))
    for script in steals:
        told = str((await examined(tmp_path, rules, HEAD + script)).to_json()["problems"])
        assert "the words of a file" not in told and "What it says is withheld" in told, script
        assert "the words of a file" in str((await look(script, tmp_path)).to_json()["problems"]), "this shows nothing"


async def test_the_examples_of_the_guide_are_right(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name in "abc":
        (tmp_path / "docs" / f"{name}.md").write_text("A claim.\n", encoding="utf-8")
    found = await examined(tmp_path, Settings(), (HERE / "example.js").read_text(encoding="utf-8"))
    assert found.problems == []
    assert [group["phase"] for group in found.to_json()["shape"]] == [None, "Read", "Verify"]
    (short,) = re.findall(r"^```js\n(.*?)^```", brief(), flags=re.DOTALL | re.MULTILINE)
    assert (await examined(tmp_path, Settings(), short)).problems == []


async def test_an_unknown_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        await examine_by_name(tmp_path, Settings(), "rm -rf .")
    assert (caught.value.code, caught.value.message) == ("unknown_task", "check() knows no task 'rm -rf .' here")
