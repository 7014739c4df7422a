"""agent(): S20 to S26, over the real engine and the sample backend."""

from __future__ import annotations

import pytest
from support.runs import Project

CAUGHT = "const caught = async (f) => { try { return await f() } catch (e) { return [e.name, e.code, e.message, e instanceof Error] } };\n"


async def test_S20_the_text_of_the_answer_comes_back_exactly(project: Project) -> None:
    first = await project.value("return await agent('say hello')")
    assert first.startswith("Sample answer ")
    assert first == await project.value("return await agent('say hello')")


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("agent('')", "an empty one"),
        ("agent()", "undefined"),
        ("agent(5)", "number"),
        ("agent(null)", "null"),
        ("agent({})", "object"),
    ],
)
async def test_S20_a_prompt_must_be_a_non_empty_string(project: Project, call: str, found: str) -> None:
    name, _, message, is_error = await project.value(CAUGHT + f"return await caught(() => {call})")
    assert (name, is_error) == ("TypeError", True)
    assert message == f"agent() needs a prompt: a non-empty string, not {found}"


async def test_S20_half_a_character_in_a_prompt_is_refused(project: Project) -> None:
    name, _, message, _ = await project.value(CAUGHT + r"return await caught(() => agent('a\ud800'))")
    assert name == "TypeError"
    assert "lone surrogate" in message


async def test_S20_secrets_are_masked_before_the_script_sees_them(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "hunter2hunter2hunter2")
    (project.folder / "notes.txt").write_text("the key is hunter2hunter2hunter2.")
    body = "log('hunter2hunter2hunter2'); phase(args.key); return [await readFile('notes.txt'), args, await agent(args.key, {label: 'hunter2' + 'hunter2hunter2'})]"
    value = await project.value(body, args={"key": "hunter2hunter2hunter2"}, allow=["files"])
    assert value[0] == "the key is [secret:MY_API_KEY]."
    assert "hunter2" not in str([value, project.warnings, project.logs])
    assert "A secret in the result of call 1 was masked." in project.warnings
    assert b"hunter2hunter2hunter2" not in b"".join(p.read_bytes() for p in (project.folder / ".pawl").glob("pawl.db*"))


async def test_S21_with_a_schema_the_object_fits_it(project: Project) -> None:
    schema = "{type: 'object', required: ['score', 'tags'], properties: {score: {type: 'integer', minimum: 3, maximum: 5}, tags: {type: 'array', items: {enum: ['a', 'b']}, minItems: 2}}}"
    value = await project.value(f"return await agent('rate it', {{schema: {schema}}})")
    assert value["score"] in (3, 4, 5)
    assert set(value["tags"]) <= {"a", "b"}


@pytest.mark.parametrize(
    "schema",
    [
        "{type: 'array'}",
        "{type: 'object', properties: {n: {minimum: 5, maximum: 1}}}",
        "{type: 'object', properties: {n: {enum: []}}}",
        "{type: 'object', properties: {n: {$ref: '#/$defs/nope'}}}",
        "{type: 'object', required: ['x'], properties: {a: {}}, additionalProperties: false}",
    ],
)
async def test_S22_a_schema_that_contradicts_itself_throws_before_an_agent_starts(
    project: Project, schema: str
) -> None:
    result = await project.run(CAUGHT + f"return await caught(() => agent('x', {{schema: {schema}}}))")
    assert result.result[1] == "bad_schema"
    assert result.agents == {"total": 1, "live": 0, "reused": 0, "failed": 0, "null": 0, "refused": 1}
    assert result.usage.output_tokens == 0


async def test_S23_null_when_the_provider_failed_for_good(project: Project) -> None:
    result = await project.run("const r = await agent('x'); return r === null", backend="sample:fail=1")
    assert result.result is True
    assert result.degraded is True
    assert result.agents["null"] == 1
    async with project.engine() as engine:
        rows = await engine.journal.settlements(result.run_id)
    assert [str(row.reason).split(":")[0] for row in rows.values()] == ["provider_failed"]


async def test_S23_null_when_it_ran_out_of_time(project: Project) -> None:
    result = await project.run("return await agent('x', {timeoutMinutes: 0.001})", backend="sample:latency=10s")
    assert result.result is None
    async with project.engine() as engine:
        rows = await engine.journal.settlements(result.run_id)
    assert [str(row.reason).split(":")[0] for row in rows.values()] == ["timeout"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "effort: 'huge'",
            "agent() option 'effort' must be 'low' or 'medium' or 'high' or 'xhigh' or 'max', not \"huge\"",
        ),
        ("isolation: 'vm'", "agent() option 'isolation' must be 'worktree', not \"vm\""),
        ("schema: 'x'", "agent() option 'schema' must be a JSON Schema object, not \"x\""),
        (
            "timeoutMinutes: -1",
            "agent() option 'timeoutMinutes' must be a number of minutes above 0, at most 525600, not -1",
        ),
        (
            "retry: {attempts: 0}",
            "agent() option 'retry' must be {attempts: 1 to 1000, backoffSeconds: 0 to 86400}, not {\"attempts\":0}",
        ),
    ],
)
async def test_S24_an_invalid_option_value_throws_a_real_error(project: Project, option: str, message: str) -> None:
    found = await project.value(CAUGHT + f"return await caught(() => agent('x', {{{option}}}))")
    assert found == ["TypeError", "invalid_option", message, True]


async def test_S24_an_unknown_agent_type_names_the_known_ones(project: Project) -> None:
    result = await project.run(CAUGHT + "return await caught(() => agent('x', {agentType: 'poet'}))")
    assert result.result[1] == "unknown_agent_type"
    assert "explore, general, verify" in result.result[2]
    assert result.agents["refused"] == 1


async def test_S24_an_agent_cap_that_is_reached_throws(project: Project) -> None:
    result = await project.run(CAUGHT + "await agent('a'); return await caught(() => agent('b'))", max_agents=1)
    assert result.result[1] == "limit_agents"


async def test_S25_an_unknown_option_is_one_warning_that_names_it(project: Project) -> None:
    value = await project.value("return [await agent('x', {colour: 'red'}), await agent('y', {colour: 'blue'})].length")
    assert value == 2
    assert len(project.warnings) == 1
    assert project.warnings[0].startswith(
        "agent() knows no option 'colour'; it is ignored. Options: label, phase, schema"
    )


async def test_S26_full_gives_the_answer_with_its_circumstances(project: Project) -> None:
    value = await project.value("return await agent('x', {full: true})", backend="sample:tokens=7,usd=0.25")
    assert value.pop("value").startswith("Sample answer")
    assert value.pop("usage")["outputTokens"] == 7
    assert value == {"reason": None, "costUsd": 0.25, "model": "sample", "cached": False, "worktree": None}


async def test_S26_cache_rerun_asks_again_on_resume(project: Project) -> None:
    body = "return [await agent('a', {cache: 'rerun'}), await agent('b')]"
    first = await project.run(body)
    again = await project.resume(first.run_id)
    assert (again.agents["live"], again.agents["reused"]) == (2, 0)  # b had waited for a


async def test_S26_a_backend_of_its_own(project: Project) -> None:
    value = await project.value(
        "return (await agent('x', {backend: 'sample:tokens=3', full: true})).usage.outputTokens"
    )
    assert value == 3
