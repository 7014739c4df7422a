"""Runs whose agents are models of a service, by the real command line; the service is scripted, on loopback."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.agents_service import ModelService
from support.pawl import Done, Pawl
from support.scripted_model import Asked, Call, Fails, Holds, Refuse, Reply, Say

from engine import conversations, history
from engine.agents.conversation import GOES_ON
from engine.journal.sqlite import SqliteJournal

HEAD = "export const meta = { name: 'test', description: 'a test' }\n"
SCHEMA = (
    "{type: 'object', properties: {n: {type: 'integer', minimum: 3}}, required: ['n'], additionalProperties: false}"
)
PRICES = '[prices."fake-1"]\ninput = 1000.0\noutput = 10000.0\n'
ANSWER_USD = (7 * 1000 + 11 * 10000) / 1_000_000
"""What the service's usual answer costs at these prices."""


class Scene:
    """A project and a service: `run` runs a script's body against it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answer: Callable[[Asked], Any] = lambda _: "ok"
        self.service = ModelService(self._answer)

    def _answer(self, asked: Asked) -> Any:
        return self.answer(asked)

    def prepare(self) -> None:
        self.pawl = Pawl(self.folder, self.service.environ())

    def says(self, *replies: Any) -> None:
        """In this order, then `ok`."""
        left = list(replies)
        self.answer = lambda _: left.pop(0) if left else "ok"

    def config(self, text: str) -> None:
        (self.folder / ".pawl" / "config.toml").write_text(text)

    def run(self, body: str, *flags: str, backend: str = "openai:fake-1", **given: Any) -> Done:
        script = self.pawl.script(body, head="" if "export const meta" in body else HEAD)
        return self.pawl("run", script, "--json", "--quiet", "--run-id", "r", "--backend", backend, *flags, **given)

    def result(self, body: str, *flags: str, **given: Any) -> Any:
        done = self.run(body, *flags, **given)
        assert done.code == 0, done
        return done.json["result"]

    def call(self, number: int = 1) -> dict[str, Any]:
        """What `pawl show r --call N --transcript --json` tells, without a process for it."""

        async def look() -> dict[str, Any]:
            async with SqliteJournal(self.folder / ".pawl" / "pawl.db") as journal:
                reading = await history.read(journal, "r")
                turns = await conversations.turns_of(journal, reading, number)
                return {**history.find_call(reading, number).details(), "transcript": conversations.transcript(turns)}

        return asyncio.run(look())


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path / "project")
    with scene.service:
        scene.prepare()
        yield scene


# ── answers ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("service", ["openai", "openai-responses", "anthropic"])
def test_S20_S21_text_and_an_object(scene: Scene, service: str) -> None:
    def answer(asked: Asked) -> Any:
        if "submit_answer" not in asked.tools:
            return "  Paris.\n"
        return Reply(Call("submit_answer", {"n": 1 if asked.turn == 0 else 4}))

    scene.answer = answer
    got = scene.result(
        f"return [await agent('Where?'), await agent('How many?', {{schema: {SCHEMA}}})]\n", backend=f"{service}:fake-1"
    )
    assert got == ["  Paris.\n", {"n": 4}]
    first, second = scene.call(1), scene.call(2)
    assert [turn["role"] for turn in first["transcript"]] == ["user", "assistant"]
    assert [turn["role"] for turn in second["transcript"]] == ["user", "assistant", "tool", "assistant", "tool"]
    assert second["transcript"][2]["ok"] is False
    assert second["transcript"][2]["text"].startswith("Not accepted: ")


def test_a_full_result_says_who_answered_and_what_it_cost(scene: Scene) -> None:
    scene.config(PRICES)
    got = scene.result("return await agent('Where?', {full: true})\n")
    assert (got["value"], got["model"]) == ("ok", "fake-1")
    assert got["usage"] == {"inputTokens": 7, "outputTokens": 11}
    assert got["costUsd"] == pytest.approx(ANSWER_USD)


def test_a_model_without_a_price_is_told_once(scene: Scene) -> None:
    done = scene.run("return await parallel([1, 2, 3].map(n => () => agent('x' + n)))\n", "--events", "-")
    codes = [line.get("code") for line in done.lines if line["event"] == "log"]
    assert codes.count("price_unknown") == 1
    assert done.lines[-1]["result"]["usage"]["cost_usd"] == 0


# ── tools and definitions ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_agent_works_in_the_project(scene: Scene) -> None:
    (scene.folder / "in.txt").write_text("a line\n")

    def answer(asked: Asked) -> Any:
        steps = [
            Reply([Say("First I look."), Call("read_file", {"path": "in.txt"}), Call("grep", {"pattern": "line"})]),
            Reply(Call("write_file", {"path": "sub/out.txt", "content": "written"})),
            Reply(Call("run_command", {"command": "cat sub/out.txt; pwd"})),
        ]
        return steps[asked.turn] if asked.turn < len(steps) else Reply(f"It says {asked.results[-1].text}")

    scene.answer = answer
    got = scene.result("return await agent('Work.')\n")
    assert got == f"It says written{scene.folder}"
    assert (scene.folder / "sub" / "out.txt").read_text() == "written"
    shown = scene.pawl("show", "r", "--call", "1", "--transcript").out
    for words in ("Work.", "First I look.", '→ read_file {"path":"in.txt"}', "a line", "assistant (fake-1)", "It says"):
        assert words in shown.replace('": ', '":'), shown


def test_S24_the_tools_of_a_call_are_all_that_its_model_has(scene: Scene) -> None:
    def answer(asked: Asked) -> Any:
        return Reply(Call("run_command", {"command": "touch was-here"})) if asked.turn == 0 else asked.results[-1].text

    scene.answer = answer
    got = scene.result("return await agent('Try.', {tools: ['Read', 'grep']})\n")
    assert set(scene.service.requests[0].tools) == {"read_file", "grep"}
    assert got == "There is no tool 'run_command'. Your tools are: read_file, grep."
    assert not (scene.folder / "was-here").exists()


def test_S24_without_tools_a_model_is_shown_none(scene: Scene) -> None:
    scene.result("return await agent('Think.', {tools: []})\n")
    assert scene.service.requests[0].tools == {}


def test_S24_an_unknown_tool_is_refused_before_anything_is_spent(scene: Scene) -> None:
    body = "try { return await agent('Try.', {tools: ['read_flie']}) } catch (e) { return [e.code, e.message] }\n"
    code, message = scene.result(body)
    assert code == "unknown_tool"
    assert message.startswith("there is no tool 'read_flie'")
    assert scene.service.requests == []


def test_an_agent_definition_gives_its_prompt_its_tools_and_its_model(scene: Scene) -> None:
    path = scene.folder / ".pawl" / "agents" / "reviewer.md"
    path.parent.mkdir()
    path.write_text("---\ndescription: d\ntools: Read, Grep\nmodel: fake-2\n---\nYou review.\n")
    body = "return [await agent('A', {agentType: 'reviewer'}), await agent('B', {agentType: 'reviewer', tools: ['Read', 'Bash']})]\n"
    assert scene.result(body) == ["ok", "ok"]
    first, second = scene.service.requests
    assert (first.system, first.model, set(first.tools)) == ("You review.", "fake-2", {"read_file", "grep"})
    assert set(second.tools) == {"read_file"}, "a call's tools only narrow"


def test_an_agent_type_that_nobody_defined_is_refused(scene: Scene) -> None:
    body = "try { return await agent('A', {agentType: 'reviver'}) } catch (e) { return e.code }\n"
    assert scene.result(body) == "unknown_agent_type"
    assert scene.service.requests == []


# ── models, effort ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_phase_names_its_model_and_a_call_another(scene: Scene) -> None:
    body = (
        "export const meta = { name: 'test', description: 'd', phases: [{title: 'Find', model: 'fake-2'}, {title: 'Judge'}] }\n"
        "phase('Find')\nawait agent('a')\nawait agent('b', {model: 'fake-3'})\nphase('Judge')\nawait agent('c')\n"
    )
    scene.result(body)
    assert [asked.model for asked in scene.service.requests] == ["fake-2", "fake-3", "fake-1"]


def test_tiers_come_from_the_config_and_fall_back(scene: Scene) -> None:
    scene.config('[models]\nlite = ["openai:gone", "anthropic:small", "openai:never"]\nmax = "large"\n')
    scene.answer = lambda asked: Fails(404, "no such model") if asked.model == "gone" else f"by {asked.model}"
    body = "return [await agent('a', {model: 'haiku', full: true}), await agent('b', {model: 'opus'})]\n"
    first, second = scene.result(body)
    assert (first["value"], second) == ("by small", "by large")
    assert [(asked.api, asked.model) for asked in scene.service.requests] == [
        ("chat", "gone"), ("messages", "small"), ("chat", "large"),
    ]  # fmt: skip
    assert "no such model" in json.dumps(scene.call(1))


def test_a_model_that_takes_over_goes_on_where_the_other_one_failed(scene: Scene) -> None:
    """What the first one did with its tools is done: the second is shown it, and does not begin again."""
    scene.config('[models]\nlite = ["openai:first", "anthropic:second"]\n')

    def answer(asked: Asked) -> Any:
        if asked.model == "first" and asked.turn == 1:
            return Fails(429, "You exceeded your current quota.", code="insufficient_quota")
        if asked.turn == 0:
            return Reply(Call("run_command", {"command": "echo done >> effects; echo well"}))
        return f"found: {asked.messages[2].results[0].text}"

    scene.answer = answer
    assert scene.result("return await agent('Do it once.', {model: 'lite'})\n") == "found: well"
    assert (scene.folder / "effects").read_text() == "done\n"
    assert [(asked.model, asked.turn) for asked in scene.service.requests] == [
        ("first", 0),
        ("first", 1),
        ("second", 1),
    ]
    assert GOES_ON in scene.service.requests[-1].text


def test_a_tier_that_the_config_does_not_name_is_the_backends_own_model_and_is_told(scene: Scene) -> None:
    done = scene.run("return await agent('a', {model: 'max'})\n", "--events", "-")
    assert scene.service.requests[0].model == "fake-1"
    assert [line["code"] for line in done.lines if line["event"] == "log"].count("unknown_tier") == 1


def test_effort_is_passed_on(scene: Scene) -> None:
    scene.result("await agent('a', {effort: 'low'})\nawait agent('b')\n", PAWL_EFFORT="max")
    assert [asked.raw["reasoning_effort"] for asked in scene.service.requests] == ["low", "high"]


# ── caps ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_I6_a_cap_on_money_holds_with_prices_from_the_config(scene: Scene) -> None:
    scene.config(PRICES)
    body = "let n = 0\nfor (;;) { await agent('x' + n); n++ }\n"
    done = scene.run(body, "--max-cost", "0.5")
    assert (done.code, done.json["error"]["code"]) == (3, "limit_cost")
    assert len(scene.service.requests) == 5  # of $0.117 each: the fifth began at $0.468
    assert done.json["run_usage"]["cost_usd"] == pytest.approx(5 * ANSWER_USD)


def test_I6_a_cap_on_money_without_a_price_is_refused_at_the_start(scene: Scene) -> None:
    done = scene.run("return await agent('x')\n", "--max-cost", "0.5")
    assert (done.code, done.json["error"]["code"]) == (2, "price_unknown")
    assert done.json["error"]["message"] == "The cap on cost cannot hold: no price is known for openai:fake-1."
    assert scene.service.requests == []


def test_I6_an_agent_that_works_on_and_on_is_stopped_at_a_cap_on_tokens(scene: Scene) -> None:
    scene.answer = lambda _: Reply(Call("list_files", {}))
    done = scene.run("return await agent('x')\n", "--budget", "50")
    assert (done.code, done.json["error"]["code"]) == (3, "limit_tokens")
    assert len(scene.service.requests) == 5  # of 11 tokens each
    assert scene.call()["transcript"][-1]["role"] == "tool", "what was paid for is on record"
    resumed = scene.pawl("resume", "r", "--json", "--quiet", "--budget", "80")
    assert (resumed.code, resumed.json["error"]["code"]) == (3, "limit_tokens")
    assert len(scene.service.requests) == 8, "what was paid before the resume counts"


def test_an_agent_that_a_cap_stopped_goes_on_when_the_cap_is_raised(scene: Scene) -> None:
    """Twice: the third conversation holds the first two."""
    scene.answer = lambda asked: "done" if asked.turn == 6 else Reply(Call("list_files", {}))
    body = "return await agent('x')\n"
    assert scene.run(body, "--budget", "20").json["error"]["code"] == "limit_tokens"
    assert scene.pawl("resume", "r", "--json", "--quiet", "--budget", "40").json["error"]["code"] == "limit_tokens"
    assert scene.pawl("resume", "r", "--json", "--quiet", "--budget", "400").json["result"] == "done"
    assert len(scene.service.requests) == 7, "six calls of the tool and an answer: nothing was asked twice"
    told = [turn["text"] for turn in scene.call()["transcript"] if turn["role"] == "user"]
    assert [text.startswith("You were interrupted here") for text in told] == [False, True, True]
    assert scene.call()["meta"]["attempts"] == 3


def test_an_agent_whose_service_failed_goes_on_when_it_is_back(scene: Scene) -> None:
    down = Fails(503, "down")
    scene.says(Reply(Call("list_files", {})), down, down, Reply(Call("list_files", {})), "done")
    assert scene.result("return await agent('x', {retry: {attempts: 2, backoffSeconds: 0}})\n") is None
    assert scene.call()["meta"]["failure"] == "provider_unavailable"
    assert scene.pawl("resume", "r", "--json", "--quiet").json["result"] == "done"
    assert len(scene.service.requests) == 5
    assert "You were interrupted here" in json.dumps(scene.service.requests[-1].raw)


def test_an_agent_that_failed_by_itself_begins_again(scene: Scene) -> None:
    scene.says(Reply(Call("list_files", {})), "", "", "done")
    assert scene.result("return await agent('x')\n") is None
    assert scene.pawl("resume", "r", "--json", "--quiet").json["result"] == "done"
    assert "list_files" not in json.dumps(scene.service.requests[-1].raw["messages"])


# ── waiting ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_I7_a_rate_limit_is_waited_for_and_shown(scene: Scene) -> None:
    scene.says(Fails(429, "slow down", headers={"Retry-After": "1"}), "done")
    done = scene.run("return await agent('x')\n", "--events", "-")
    assert done.lines[-1]["result"]["result"] == "done"
    waits = [line for line in done.lines if line.get("waiting") == "rate limit"]
    assert len(waits) == 1
    assert waits[0]["call"] == 1
    assert scene.call()["meta"]["retries"] == ["rate_limited: openai: too many requests: slow down"]


def test_I7_a_longer_wait_than_is_allowed_is_null_with_its_reason(scene: Scene) -> None:
    scene.says(Fails(429, "come back tomorrow", headers={"Retry-After": "86400"}))
    done = scene.run("return await agent('x')\n")
    assert (done.code, done.json["result"], done.json["degraded"]) == (0, None, True)
    assert scene.call()["reason"] == (
        "provider_failed: openai: too many requests: come back tomorrow; it asks for 1440 minutes of patience, more than "
        "the setting agents.longest_wait_minutes. Resume later, or set agents.wait_for_resets"
    )
    resumed = scene.pawl("resume", "r", "--json", "--quiet")
    assert resumed.json["result"] == "ok"


def test_I7_the_same_of_a_service_that_is_down_for_long(scene: Scene) -> None:
    scene.says(Fails(503, "maintenance", headers={"Retry-After": "86400"}))
    assert scene.result("return await agent('x')\n") is None
    assert scene.call()["reason"] == (
        "provider_failed: openai: the service failed with 503: maintenance; it asks for 1440 minutes of patience, more "
        "than the setting agents.longest_wait_minutes. Resume later, or set agents.wait_for_resets"
    )


@pytest.mark.parametrize("service", ["openai", "openai-responses", "anthropic"])
def test_I7_a_model_that_declines_says_why_and_a_text_that_was_cut_off_is_told(scene: Scene, service: str) -> None:
    scene.says(Reply(Refuse("I would rather not.")), Reply("half of an ans", finish="length"))
    done = scene.run("return [await agent('x'), await agent('y')]\n", "--events", "-", backend=f"{service}:fake-1")
    assert done.lines[-1]["result"]["result"] == [None, "half of an ans"]
    assert scene.call()["reason"] == f"provider_failed: {service}: the model refused: I would rather not."
    assert [line["text"] for line in done.lines if line.get("code") == "cut_off"] == [
        f"{service}: an answer was cut off at the model's output limit, and is delivered as far as it goes."
    ]


# ── looking ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_agents_said_is_found(scene: Scene) -> None:
    scene.answer = lambda asked: (
        "The quetzal nests in dead trees." if "bird" in asked.prompt else "Nothing of the sort."
    )
    scene.result("return await parallel(['bird', 'fish'].map(x => () => agent('About a ' + x, {label: x})))\n")
    hits = scene.pawl("search", "quetzal", "nest*", "--json").json["hits"]
    assert [(hit["run_id"], hit["call"], hit["role"]) for hit in hits] == [("r", 1, "assistant")]
    assert scene.pawl("search", "quetzal").out.startswith("r@1 call 1  assistant: ")
    assert scene.pawl("search", "platypus").out == "Nothing found.\n"


# ── secrets ────────────────────────────────────────────────────────────────────────────────────────────────────────────

SECRET = "correct-horse-battery-staple-99"


def test_I9_a_secret_is_nowhere_but_where_it_was(scene: Scene, tmp_path: Path) -> None:
    """In a file, in a command's output, in what a model says, calls and submits: masked in all that is kept or told."""
    (scene.folder / "secrets.env").write_text(f"DB={SECRET}\n" + "x = 1\n" * 9000)

    def answer(asked: Asked) -> Any:
        assert SECRET not in json.dumps(asked.raw), "the service was told the secret"
        steps = [
            Reply(Call("read_file", {"path": "secrets.env"})),
            Reply([Say(f"I know {SECRET}."), Call("run_command", {"command": f"cat secrets.env; echo {SECRET}; env"})]),
            Reply(Call("write_file", {"path": "note.txt", "content": f"see {SECRET}"})),
            Reply(Call(f"tool_{SECRET}", {"x": SECRET})),
            Reply(Call("submit_answer", {"n": 5, "why": SECRET})),
            Fails(500, f"the service leaks {SECRET}"),
            Reply(Call("submit_answer", {"n": 5})),
        ]
        return steps[min(len(scene.service.requests) - 1, len(steps) - 1)]

    scene.answer = answer
    events = tmp_path / "events.jsonl"
    done = scene.run(
        f"return await agent('Use it.', {{schema: {SCHEMA}}})\n", "--events", str(events), MY_API_KEY=SECRET,
        PAWL_AGENTS_BACKOFF_S="0.01", PAWL_LOG=str(scene.folder / ".pawl" / "log"), PAWL_LOG_CALLS="true",
    )  # fmt: skip
    assert (done.code, done.json["result"]) == (0, {"n": 5}), done
    transcript = scene.pawl("show", "r", "--call", "1", "--transcript").out
    for what, text in (("out", done.out), ("err", done.err), ("transcript", transcript)):
        assert SECRET not in text, what
    held = [
        path for path in [*scene.folder.rglob("*"), events] if path.is_file() and SECRET.encode() in path.read_bytes()
    ]
    # A model that says a secret itself may write it where it likes; everything of ours is free of it.
    assert {path.name for path in held} <= {"secrets.env", "note.txt"}
    assert "[secret:" in transcript


def test_a_services_key_is_nowhere_but_in_its_requests(scene: Scene) -> None:
    key = "sk-test-4242424242424242424242"
    scene.says(Reply(Call("run_command", {"command": "env; cat /proc/self/environ | tr '\\0' '\\n'"})), "done")
    scene.result("return await agent('x')\n", OPENAI_API_KEY=key)
    assert scene.service.requests[0].headers["authorization"] == f"Bearer {key}"
    assert key not in json.dumps(scene.service.requests[1].raw)
    assert [p for p in scene.folder.rglob("*") if p.is_file() and key.encode() in p.read_bytes()] == []


# ── what is refused ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_subagent_cannot_start_a_workflow(scene: Scene) -> None:
    command = f"{sys.executable} -m engine.cli.main run test.js --backend sample"

    def answer(asked: Asked) -> Any:
        return Reply(Call("run_command", {"command": command})) if asked.turn == 0 else asked.results[-1].text

    scene.answer = answer
    # Without limits of the file system: they hide temporary folders, and in one of those this Pawl may be installed.
    scene.config('[tools]\nconfine = "off"\n[permissions]\nallow = ["run_command"]\n')
    got = scene.result("return await agent('Run yourself.')\n")
    assert "subagent" in got
    assert "[exit code 2]" in got
    assert [run["run_id"] for run in scene.pawl("runs", "--json").json["runs"]] == ["r"]


def test_without_a_key_the_run_is_refused_with_what_to_type(scene: Scene) -> None:
    del scene.pawl.environ["OPENAI_API_KEY"], scene.pawl.environ["OPENAI_BASE_URL"]
    done = scene.run("return await agent('x')\n")
    assert (done.code, done.json["error"]["code"]) == (2, "backend_missing")
    assert done.json["error"]["message"] == (
        "backend `openai` cannot run here: no OPENAI_API_KEY or OPENAI_BASE_URL is set"
    )
    assert "export OPENAI_API_KEY=…" in done.json["error"]["hint"]
    assert scene.pawl("runs", "--json").json == {"runs": []}


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [("OPENAI_BASE_URL", "127.0.0.1:1/v1", 2), ("OPENAI_API_KEY", "clé", 0), ("OPENAI_API_KEY", "two\nlines", 0)],
)
def test_variables_that_cannot_be_right_are_said_to_be_wrong(
    scene: Scene, variable: str, value: str, code: int
) -> None:
    done = scene.run("return await agent('x', {retry: {attempts: 1}})\n", **{variable: value})
    told = done.out + scene.pawl("show", "r", "--call", "1", "--json").out
    assert variable in told, done
    assert done.code in (0, 1, 2)
    assert scene.service.requests == []


def test_I7_nobody_listens(scene: Scene) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: closed for everybody
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        done = scene.run("return await agent('x')\n", OPENAI_BASE_URL=url, PAWL_AGENTS_BACKOFF_S="0.01")
    assert (done.code, done.json["result"], done.json["degraded"]) == (0, None, True)
    assert scene.call()["reason"] == (
        "provider_failed: openai: cannot be reached, or broke off: Connection error. (3 attempts)"
    )
    assert scene.pawl("resume", "r", "--json", "--quiet").json["result"] == "ok"


# ── surroundings ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "surroundings", [{"LC_ALL": "C", "LANG": "C"}, {"LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Apia"}]
)
def test_in_a_strange_locale(scene: Scene, surroundings: dict[str, str]) -> None:
    def answer(asked: Asked) -> Any:
        if asked.turn == 0:
            return Reply(Call("write_file", {"path": "ümlaut.txt", "content": "İıŞş 🦜"}))
        return Reply(Call("run_command", {"command": "cat *.txt"})) if asked.turn == 1 else asked.results[-1].text

    scene.answer = answer
    assert scene.result("return await agent('Schreib Größe 🦜.')\n", **surroundings) == "İıŞş 🦜"
    assert scene.service.requests[0].prompt == "Schreib Größe 🦜."
    assert (scene.folder / "ümlaut.txt").read_text() == "İıŞş 🦜"


def test_where_names_of_files_are_in_ascii_a_tool_says_so(scene: Scene) -> None:
    scene.answer = lambda asked: (
        Reply(Call("write_file", {"path": "ümlaut.txt", "content": "x"})) if asked.turn == 0 else asked.results[-1].text
    )
    got = scene.result("return await agent('Größe 🦜')\n", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert got == "write_file: names of files are in ASCII on this system. Choose another name."


def test_from_a_folder_below_agents_work_in_the_project(scene: Scene) -> None:
    below = scene.folder / "deep" / "down"
    below.mkdir(parents=True)
    scene.says(Reply(Call("write_file", {"path": "here.txt", "content": "x"})), "done")
    assert scene.result("return await agent('x')\n", cwd=below) == "done"
    assert (scene.folder / "here.txt").exists()


def test_a_run_that_is_cancelled_lets_its_service_go(scene: Scene) -> None:
    held = scene.service.event()
    scene.answer = lambda _: Holds(held)
    script = scene.pawl.script("return await agent('x')\n")
    with scene.pawl.started(
        "run", script, "--json", "--quiet", "--run-id", "r", "--backend", "openai:fake-1"
    ) as process:
        scene.service.wait_for_requests(1)
        assert scene.pawl("cancel", "r").code == 0
        done = scene.pawl.ended(process)
    assert (done.code, done.json["status"]) == (4, "cancelled")
