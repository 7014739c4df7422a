"""`pawl mcp` with the official client: what a client can do, what it is told, and what it outlives."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from mcp.client import Client
from support.pawl import HEAD, Pawl
from support.serving import call, over_http, over_pipes, refusal

SLOW = "sample:latency=30s"
TWO = HEAD + "phase('Look')\nreturn await parallel([() => agent('a'), () => agent('b')])\n"
LARGE = HEAD + "return {text: '\\u{1F980}äx'.repeat(30_000), list: [1, null, {a: 'b'}]}\n"
ASKS = HEAD + "const a = await ask('which?', {choices: ['red', 'blue']})\nreturn {a}\n"
COMMANDS = HEAD + "return await check('echo hello')\n"


@pytest.fixture
def pawl(tmp_path: Path) -> Pawl:
    return Pawl(tmp_path / "project")


async def ran(client: Client, script: str, **arguments: Any) -> tuple[str, Any]:
    """A run to its end: its id and its status."""
    run = (await call(client, "run_workflow", script=script, **arguments))["run_id"]
    return run, await call(client, "wait_for_run", run_id=run)


async def value(client: Client, run: str) -> Any:
    page = await call(client, "run_result", run_id=run)
    assert page["next"] is None
    return json.loads(page["text"]) if page["format"] == "json" else page["text"]


def test_without_the_package_it_says_what_to_install(pawl: Pawl, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "mcp.py").write_text("raise ImportError('no mcp here')\n")
    done = pawl("mcp", PYTHONPATH=f"{tmp_path / 'broken'}:{pawl.environ['PYTHONPATH']}")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        'Error: `pawl mcp` needs the package mcp: no mcp here\nHint: Install it: pip install "pawl-engine[mcp]"\n'
    )


def test_flags_of_http_need_http(pawl: Pawl) -> None:
    done = pawl("mcp", "--allow-remote")
    assert (done.code, "go with --http" in done.err) == (2, True)


class TestTools:
    async def test_each_has_schemas_and_says_what_it_may_do(self, pawl: Pawl) -> None:
        async with over_pipes(pawl) as client:
            tools = (await client.list_tools()).tools
            hints = {tool.name: tool.annotations for tool in tools}
            assert {name for name, hint in hints.items() if hint and not hint.read_only_hint} == {
                "run_workflow",
                "resume_run",
                "cancel_run",
                "answer_question",
            }
            assert [name for name, hint in hints.items() if hint and hint.destructive_hint] == ["cancel_run"]
            for tool in tools:
                assert tool.input_schema["additionalProperties"] is False, tool.name
                assert not {"oneOf", "anyOf", "allOf"} & set(tool.input_schema), "services take none at the root"
                assert tool.output_schema is not None and tool.output_schema["required"], tool.name

    async def test_list_check_and_simulate(self, pawl: Pawl) -> None:
        pawl.script(
            "return await agent('x')\n",
            ".pawl/workflows/mine.js",
            head="export const meta = " + json.dumps({"name": "mine", "description": "Of this project."}) + "\n",
        )
        async with over_pipes(pawl) as client:
            found = {one["name"]: one for one in (await call(client, "list_workflows"))["workflows"]}
            assert (found["mine"]["origin"], found["mine"]["description"]) == ("project", "Of this project.")
            assert found["repo-tour"]["origin"] == "shipped"
            good = await call(client, "check_workflow", name="mine")
            assert (good["ok"], good["name"], good["problems"]) == (True, "mine", [])
            bad = await call(client, "check_workflow", script=HEAD + "let x = ;\n")
            assert (bad["ok"], bad["problems"][0]["line"]) == (False, 2)
            told = await call(client, "simulate_workflow", script=TWO, args={"a": 1})
            assert told["phases"] == [{"phase": "Look", "agents": 2, "width": 2}]
            assert told["estimate"]["agents"] == 2
            failed = await call(client, "simulate_workflow", script=HEAD + "throw new Error('no')\n")
            assert (failed["status"], failed["error"]["code"]) == ("failed", "script_threw")
            assert (await call(client, "list_runs")) == {"runs": [], "more": False}  # simulations leave nothing

    async def test_run_status_and_result(self, pawl: Pawl) -> None:
        async with over_pipes(pawl) as client:
            run, status = await ran(client, HEAD + "return [args, await agent('x')]\n", args={"n": [1, "ä"]})
            assert status == await call(client, "run_status", run_id=run)
            assert (status["status"], status["has_ended"], status["degraded"]) == ("completed", True, False)
            assert status["calls"] == {"total": 1, "settled": 1, "running": 0, "queued": 0, "waiting": 0}
            assert (await value(client, run))[0] == {"n": [1, "ä"]}
            assert [one["run_id"] for one in (await call(client, "list_runs"))["runs"]] == [run]
            again = await refusal(client, "run_workflow", script=TWO, run_id=run)  # asked once more after a time-out
            assert again["code"] == "run_exists"
        assert pawl("show", run, "--json").json["result"][0] == {"n": [1, "ä"]}

    async def test_args_are_passed_as_they_are(self, pawl: Pawl) -> None:
        async with over_pipes(pawl) as client:
            body = HEAD + "return {kind: typeof args, args}\n"
            for args, kind in (("7", "string"), (7, "number"), (None, "object"), ("x" * 200_000, "string")):
                run, _ = await ran(client, body, args=args)
                text = (await call(client, "run_result", run_id=run, limit=200_000))["text"]
                assert text.startswith(f'{{"kind": "{kind}"'), text[:100]
            run, _ = await ran(client, body)
            assert await value(client, run) == {"kind": "undefined"}

    async def test_a_large_result_comes_page_by_page(self, pawl: Pawl) -> None:
        async with over_pipes(pawl) as client:
            run, _ = await ran(client, LARGE)
            text, offset, pages = "", 0, 0
            while offset is not None:
                page = await call(client, "run_result", run_id=run, offset=offset, limit=9_999)
                assert (page["offset"], len(page["text"]) <= 9_999) == (offset, True)
                text, offset, pages = text + page["text"], page["next"], pages + 1
            assert (len(text), pages) == (page["total"], -(-len(text) // 9_999))
            assert json.loads(text) == {"text": "\U0001f980äx" * 30_000, "list": [1, None, {"a": "b"}]}
            past = await call(client, "run_result", run_id=run, offset=10**9)
            assert (past["text"], past["next"], past["total"]) == ("", None, len(text))

    async def test_a_run_that_failed_says_why(self, pawl: Pawl) -> None:
        async with over_pipes(pawl) as client:
            run, status = await ran(client, HEAD + "throw new Error('no')\n")
            page = await call(client, "run_result", run_id=run)
            assert (page["status"], page["error"]["code"], page["total"]) == ("failed", "script_threw", 0)
            assert status["next"] == f"resume_run with run_id {run} goes on with it"

    async def test_resume_with_another_script_reuses_what_fits(self, pawl: Pawl) -> None:
        async with over_pipes(pawl) as client:
            run, _ = await ran(client, HEAD + "const a = await agent('x')\nthrow new Error(a)\n")
            assert await call(
                client, "resume_run", run_id=run, script=HEAD + "return [await agent('x'), await agent('y')]\n"
            ) == {"run_id": run, "next": f"wait_for_run with run_id {run}"}
            status = await call(client, "wait_for_run", run_id=run)
            assert (status["version"], status["agents"]["reused"], status["agents"]["live"]) == (2, 1, 1)
            await call(client, "resume_run", run_id=run, rerun=["1"])
            status = await call(client, "wait_for_run", run_id=run)
            assert (status["version"], status["agents"]["reused"], status["agents"]["live"]) == (3, 0, 2)

    async def test_cancel(self, pawl: Pawl) -> None:
        async with over_pipes(pawl) as client:
            run = (await call(client, "run_workflow", script=TWO, backend=SLOW))["run_id"]
            await asyncio.to_thread(pawl.wait_for, run, "running")
            early = await refusal(client, "run_result", run_id=run)
            assert (early["code"], early["hint"]) == (
                "not_ended",
                "wait_for_run waits for it; run_status says how it stands.",
            )
            assert (await refusal(client, "resume_run", run_id=run))["code"] == "run_driven"
            assert (await call(client, "cancel_run", run_id=run))["outcome"] == f"Run {run}: cancel done."
            assert (await call(client, "wait_for_run", run_id=run))["status"] == "cancelled"
            assert (await refusal(client, "cancel_run", run_id=run))["code"] == "run_ended"

    async def test_a_question_is_answered(self, pawl: Pawl) -> None:
        async with over_pipes(pawl, "--allow", "ask") as client:
            run = (await call(client, "run_workflow", script=ASKS))["run_id"]
            await asyncio.to_thread(pawl.wait_for, run, "waiting")
            status = await call(client, "wait_for_run", run_id=run)  # a question ends the wait
            assert (status["status"], status["has_ended"]) == ("waiting", False)
            question = {"call": 1, "question": "which?", "choices": ["red", "blue"], "schema": None, "default": None}
            assert status["questions"] == [question]
            assert status["next"] == f"answer_question with run_id {run} and the call's number"
            assert "green" in (await refusal(client, "answer_question", run_id=run, call=1, answer="green"))["message"]
            assert (await refusal(client, "answer_question", run_id=run, call=2, answer="red"))[
                "code"
            ] == "unknown_call"
            await call(client, "answer_question", run_id=run, call=1, answer="blue")
            assert (await call(client, "wait_for_run", run_id=run))["status"] == "completed"
            assert await value(client, run) == {"a": "blue"}

    async def test_progress_is_told_while_a_client_waits(self, pawl: Pawl) -> None:
        seen: list[tuple[float, float | None, str | None]] = []

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            seen.append((progress, total, message))

        body = HEAD + "phase('Slow')\nawait agent('a')\nawait agent('b')\nreturn 1\n"
        async with over_pipes(pawl) as client:
            run = (await call(client, "run_workflow", script=body, backend="sample:latency=600ms"))["run_id"]
            done = await client.call_tool("wait_for_run", {"run_id": run}, progress_callback=hear)
        assert done.structured_content["status"] == "completed"
        steps = [progress for progress, _, _ in seen]
        assert steps == sorted(set(steps)) and len(steps) >= 2
        assert seen[-1] == (4, 4, "2 of 2 calls done, 0 running; phase Slow")

    async def test_a_wait_ends_in_time(self, pawl: Pawl) -> None:
        async with over_pipes(pawl) as client:
            run = (await call(client, "run_workflow", script=TWO, backend=SLOW))["run_id"]
            status = await call(client, "wait_for_run", run_id=run, timeout_seconds=0.1)
            assert (status["has_ended"], status["next"]) == (False, f"wait_for_run with run_id {run}")
            await call(client, "cancel_run", run_id=run)

    async def test_the_guide_is_a_tool_a_resource_and_a_prompt(self, pawl: Pawl) -> None:
        async with over_pipes(pawl) as client:
            guide = (await call(client, "read_guide"))["guide"]
            assert [str(one.uri) for one in (await client.list_resources()).resources] == ["pawl://guide"]
            assert (await client.read_resource("pawl://guide")).contents[0].text == guide  # type: ignore[union-attr]
            assert [one.name for one in (await client.list_prompts()).prompts] == ["write_workflow"]
            got = await client.get_prompt("write_workflow", {"request": "Count the files."})
            text = got.messages[0].content.text  # type: ignore[union-attr]
            assert text.startswith(guide.rstrip()) and "Count the files." in text


class TestTerms:
    """What a person did not give, no client gets."""

    async def test_no_host_effect_without_the_persons_word(self, pawl: Pawl) -> None:
        async with over_pipes(pawl) as client:
            _, status = await ran(client, COMMANDS)
            assert status["status"] == "failed"
            assert "check() needs the permission 'check'" in status["error"]["message"]
            # The config was read when the server started; a client that can write it gains nothing by it.
            (pawl.folder / ".pawl" / "config.toml").write_text('allow = ["check"]\n[limits]\nagents = 5000\n')
            _, status = await ran(client, COMMANDS)
            assert (status["status"], status["permissions"]) == ("failed", [])
            assert (await refusal(client, "run_workflow", script=TWO, max_agents=1001))["code"] == "above_limit"
            assert (await refusal(client, "run_workflow", script=TWO, allow="check"))["code"] == "bad_arguments"
        async with over_pipes(pawl) as client:  # now it is what the person's config says
            run, status = await ran(client, COMMANDS)
            assert (status["status"], (await value(client, run))["stdout"]) == ("completed", "hello\n")

    async def test_a_flag_allows_and_denies(self, pawl: Pawl) -> None:
        (pawl.folder / ".pawl" / "config.toml").write_text('allow = ["check"]\n')
        async with over_pipes(pawl, "--allow", "files") as client:
            _, status = await ran(client, COMMANDS)
            assert (status["status"], status["permissions"]) == ("failed", ["files"])

    async def test_a_simulation_reads_no_more_than_a_run(self, pawl: Pawl) -> None:
        (pawl.folder / ".pawl" / "config.toml").write_text('allow = ["files"]\n')
        (pawl.folder / "treasure.txt").write_text("gold")
        script = HEAD + "throw new Error(`found ${await readFile('treasure.txt')}`)\n"
        for flags, is_found in ((("--allow", ""), False), ((), True)):
            async with over_pipes(pawl, *flags) as client:
                told = await call(client, "simulate_workflow", script=script)
                assert (told["status"], "found gold" in told["error"]["message"]) == ("failed", is_found)

    async def test_what_a_person_allowed_one_script_is_not_anothers(self, pawl: Pawl) -> None:
        script = pawl.script("const a = await check('exit 3')\nif (!a.ok) throw new Error('again')\nreturn a\n")
        assert pawl("run", script, "--backend", "sample", "--allow", "check", "--run-id", "r").code == 1
        async with over_pipes(pawl) as client:
            await call(client, "resume_run", run_id="r", script=COMMANDS)
            status = await call(client, "wait_for_run", run_id="r")
            assert (status["version"], status["status"], status["permissions"]) == (2, "failed", [])

    async def test_a_run_goes_on_with_what_a_person_allowed_it(self, pawl: Pawl) -> None:
        script = pawl.script("await check('true')\nawait agent('x')\nthrow new Error('again')\n")
        assert pawl("run", script, "--backend", "sample", "--allow", "check", "--run-id", "r").code == 1
        async with over_pipes(pawl) as client:
            await call(client, "resume_run", run_id="r")
            status = await call(client, "wait_for_run", run_id="r")
            assert (status["error"]["code"], status["permissions"]) == ("script_threw", ["check"])

    async def test_caps_may_be_lower_never_higher(self, pawl: Pawl) -> None:
        head = "export const meta = {name: 't', description: 'd', limits: {agents: 2}}\n"
        three = head + "for (const n of [1, 2, 3]) await agent(`${n}`)\nreturn 1\n"
        async with over_pipes(pawl, "--max-agents", "5", "--max-cost", "2") as client:
            error = await refusal(client, "run_workflow", script=TWO, max_agents=6)
            assert (error["code"], error["message"]) == (
                "above_limit",
                "max_agents 6 is above what this server allows: 5",
            )
            assert (await refusal(client, "run_workflow", script=TWO, max_cost_usd=2.5))["code"] == "above_limit"
            run, status = await ran(client, three)  # the server's flag raises no limit of a script
            assert (status["caps"]["agents"], status["caps"]["cost_usd"]) == (2, 2)
            assert status["error"]["code"] == "limit_agents"
            await call(client, "resume_run", run_id=run, max_agents=4)
            status = await call(client, "wait_for_run", run_id=run)
            assert (status["status"], status["caps"]["agents"]) == ("completed", 4)
            assert (await refusal(client, "resume_run", run_id=run, max_agents=6))["code"] == "above_limit"

    async def test_a_resume_raises_no_cap_that_somebody_set(self, pawl: Pawl) -> None:
        script = pawl.script("for (const n of [1, 2, 3]) await agent(`${n}`)\nreturn 1\n")
        assert pawl("run", script, "--backend", "sample", "--max-agents", "1", "--run-id", "r").code == 3
        async with over_pipes(pawl) as client:
            assert (await refusal(client, "resume_run", run_id="r", max_agents=2))["code"] == "above_limit"

    async def test_a_large_run_needs_a_persons_word(self, pawl: Pawl) -> None:
        (pawl.folder / ".pawl" / "config.toml").write_text("[confirm]\nagents = 20\n")
        many = HEAD + "return (await parallel(Array.from({length: 40}, (_, n) => () => agent(`${n}`)))).length\n"
        costs = {"backend": "openai:gpt-5-mini", "script": many}
        async with over_pipes(pawl) as client:
            error = await refusal(client, "run_workflow", **costs, max_agents=30)  # its own cap is nobody's consent
            assert (error["code"], error["hint"]) == (
                "not_confirmed",
                "Ask the person: they start it with pawl run, or serve with pawl mcp --yes or --max-cost USD.",
            )
            assert (await call(client, "list_runs"))["runs"] == []
        async with over_pipes(pawl, "--yes", OPENAI_API_KEY="k", OPENAI_BASE_URL="http://127.0.0.1:9/v1") as client:
            run = (await call(client, "run_workflow", **costs))["run_id"]
            await call(client, "cancel_run", run_id=run)

    async def test_subagents_start_and_steer_nothing(self, pawl: Pawl) -> None:
        async with over_pipes(pawl, PAWL_INSIDE_AGENT="1") as client:
            for tool, arguments in {
                "run_workflow": {"script": TWO},
                "resume_run": {"run_id": "r"},
                "cancel_run": {"run_id": "r"},
                "answer_question": {"run_id": "r", "call": 1, "answer": "x"},
            }.items():
                assert (await refusal(client, tool, **arguments))["code"] == "inside_agent"
            assert (await call(client, "check_workflow", script=TWO))["ok"]
        assert pawl("runs", "--json").json == {"runs": []}


class TestLives:
    async def test_two_clients_at_once_over_http(self, pawl: Pawl) -> None:
        with over_http(pawl) as served:
            async with Client(served.url) as one, Client(served.url) as two:
                runs = await asyncio.gather(ran(one, TWO), ran(two, TWO), ran(one, LARGE))
                assert [status["status"] for _, status in runs] == ["completed"] * 3
                assert await value(two, runs[0][0]) == await value(one, runs[0][0])  # a run is the project's

    async def test_progress_and_wait_over_http(self, pawl: Pawl) -> None:
        seen: list[str | None] = []

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            seen.append(message)

        with over_http(pawl) as served:
            async with Client(served.url) as client:
                run = (await call(client, "run_workflow", script=TWO, backend="sample:latency=600ms"))["run_id"]
                await client.call_tool("wait_for_run", {"run_id": run}, progress_callback=hear)
        assert seen[-1] == "2 of 2 calls done, 0 running; phase Look"

    async def test_a_run_outlives_its_client(self, pawl: Pawl) -> None:
        async with over_pipes(pawl) as client:
            run = (await call(client, "run_workflow", script=TWO, backend="sample:latency=1s"))["run_id"]
        assert (await asyncio.to_thread(pawl.wait_for_status, run, "completed"))["agents"]["live"] == 2

    async def test_a_client_that_goes_while_it_waits(self, pawl: Pawl) -> None:
        with over_http(pawl) as served:
            async with Client(served.url) as client:
                run = (await call(client, "run_workflow", script=TWO, backend="sample:latency=1s"))["run_id"]
                waiting = asyncio.create_task(client.call_tool("wait_for_run", {"run_id": run}))
                await asyncio.to_thread(pawl.wait_for, run, "running")
                waiting.cancel()
            async with Client(served.url) as another:
                assert (await call(another, "wait_for_run", run_id=run))["status"] == "completed"

    async def test_a_run_outlives_a_server_that_is_killed(self, pawl: Pawl) -> None:
        with over_http(pawl) as served:
            client = Client(served.url)
            async with client:
                run = (await call(client, "run_workflow", script=TWO, backend="sample:latency=1s"))["run_id"]
                await asyncio.to_thread(pawl.wait_for, run, "running")
                served.kill()
        shown = await asyncio.to_thread(pawl.wait_for_status, run, "completed")
        assert (shown["versions"][-1]["version"], shown["agents"]["live"]) == (1, 2)

    async def test_a_run_outlives_the_whole_group_of_its_server(self, pawl: Pawl) -> None:
        with over_http(pawl) as served:
            async with Client(served.url) as client:
                run = (await call(client, "run_workflow", script=TWO, backend="sample:latency=1s"))["run_id"]
                children = psutil.Process(served.process.pid).children(recursive=True)
                assert children == []  # nothing of the run is below the server: a client that ends a tree ends no run
                os.killpg(served.process.pid, signal.SIGKILL)
        await asyncio.to_thread(pawl.wait_for_status, run, "completed")

    @pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
    async def test_a_server_that_is_told_to_end_does_so_quietly(self, pawl: Pawl, sign: signal.Signals) -> None:
        with over_http(pawl) as served:
            runs: list[str] = []

            async def wait_until_it_ends() -> None:
                async with Client(served.url) as client:
                    runs.append((await call(client, "run_workflow", script=TWO, backend=SLOW))["run_id"])
                    waiting = asyncio.create_task(client.call_tool("wait_for_run", {"run_id": runs[0]}))
                    await asyncio.to_thread(pawl.wait_for, runs[0], "running")
                    served.process.send_signal(sign)
                    await waiting

            with pytest.raises(ExceptionGroup):
                await wait_until_it_ends()
            ended = await asyncio.to_thread(pawl.ended, served.process)
            assert ended.err.strip() == ""
            assert ended.code == (-sign if sign is signal.SIGTERM else 130)
        assert pawl("cancel", runs[0]).code == 0
