"""Candidates for each step of an agent (S71), by the real command line; worker and judge are scripted, on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.judging import PRICES, Judged, choice, is_chooser
from support.scripted_model import Asked, Call, Fails, Holds, Reply, Stalls

ANSWER_USD = (7 * 1000 + 11 * 10000) / 1_000_000


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Judged]:
    scene = Judged(tmp_path / "project")
    with scene.service:
        scene.prepare()
        yield scene


class Draws:
    """What the draws of each turn give, in order of arrival."""

    def __init__(self, *turns: list[Any]) -> None:
        self.turns = [list(turn) for turn in turns]
        self.lock = threading.Lock()

    def __call__(self, asked: Asked) -> Any:
        with self.lock:
            return self.turns[asked.turn].pop(0)


def writes(name: str) -> Call:
    return Call("write_file", {"path": name, "content": "x"})


def test_S71_only_the_chosen_calls_run_and_all_of_it_is_paid_for(scene: Judged) -> None:
    scene.config(PRICES)
    scene.worker = Draws([writes("a.txt"), writes("b.txt"), writes("c.txt")], ["done", "done", " done\n"])

    def chooser(asked: Asked) -> Any:
        proposals = asked.text.split("Proposal ")[1:]
        return choice(next(at for at, text in enumerate(proposals, 1) if "b.txt" in text), "b it is.")

    scene.chooser = chooser
    got = scene.result("return await agent('Write a file.', {candidates: 3, full: true})\n")
    assert got["value"].strip() == "done"
    assert sorted(path.name for path in scene.folder.glob("*.txt")) == ["b.txt"]
    # Three draws and a judge, then three draws that agree.
    assert got["costUsd"] == pytest.approx(7 * ANSWER_USD)
    assert got["usage"] == {"inputTokens": 49, "outputTokens": 77}
    roles = [turn["role"] for turn in scene.turns()]
    assert roles == ["user", "candidates", "assistant", "tool", "candidates", "assistant"]
    first, second = scene.turns("candidates")
    assert len(first["proposals"]) == 3
    assert first["proposals"][first["chosen"]]["actions"] == [
        {"name": "write_file", "args": {"path": "b.txt", "content": "x"}}
    ]
    assert (first["reason"], second["reason"]) == ("b it is.", "3 of 3 agree")
    assert first["usage"]["output_tokens"] == 33  # the two that were not chosen, and the judge
    shown = scene.pawl("show", "r", "--call", "1", "--transcript").out
    assert "b it is." in shown and "→ calls write_file" in shown and "- calls write_file" in shown
    assert "candidates: " in scene.pawl("search", "b it is").out


def test_S71_proposals_that_agree_need_no_judge(scene: Judged) -> None:
    same = [
        Reply(["I look.", Call("list_files", {"path": ".", "pattern": "*"})]),
        Reply(["Let me see.", Call("list_files", '{"pattern": "*", "path": "."}')]),
    ]
    scene.worker = Draws(same, ["It  is\ndone.", "It is done."])
    assert scene.result("return await agent('Look.', {candidates: 2})\n").split() == ["It", "is", "done."]
    assert scene.asked(is_chooser) == []


def test_S71_the_judge_sees_the_task_the_conversation_and_shuffled_proposals(scene: Judged) -> None:
    texts = [f"answer {letter}" for letter in "abcdefgh"]
    scene.worker = Draws([Call("list_files", {})] * 8, list(texts))
    assert scene.result("return await agent('Look at it.', {candidates: 8})\n") in texts
    (asked,) = scene.asked(is_chooser)
    assert "The task:\nLook at it." in asked.text
    assert "calls list_files {}" in asked.text and "list_files:\n" in asked.text
    assert list(asked.tools) == ["submit_answer"]
    assert [message.role for message in asked.messages if message.role != "system"] == ["user"]
    order = [text.split("\n")[1] for text in asked.text.split("Proposal ")[1:]]
    assert sorted(order) == texts
    (turn,) = [turn for turn in scene.turns("candidates") if len({p["text"] for p in turn["proposals"]}) > 1]
    assert order != [proposal["text"] for proposal in turn["proposals"]]


def test_S71_a_draw_that_fails_sinks_nothing(scene: Judged) -> None:
    scene.worker = Draws([Fails(500, "no luck"), "fine", Fails(429, "slower")])
    assert scene.result("return await agent('x', {candidates: 3})\n") == "fine"
    (turn,) = scene.turns("candidates")
    assert len(turn["proposals"]) == 1
    assert sorted(message.rpartition(": ")[2] for message in turn["failed"]) == ["no luck", "slower"]
    assert scene.call()["attempts"] == 1


def test_S71_a_draw_that_hangs_is_cut_off_and_what_it_had_read_is_paid_for(scene: Judged) -> None:
    scene.config(f"[agents]\ncandidates_wait_s = 0.05\n{PRICES}")
    never = scene.service.event()
    scene.worker = Draws([Holds(never), "fine", Stalls(3), "fine"])
    got = scene.result("return await agent('x', {candidates: 4, full: true})\n")
    assert got["value"] == "fine"
    assert got["usage"]["inputTokens"] == 28
    assert 22 < got["usage"]["outputTokens"] < 30
    (turn,) = scene.turns("candidates")
    assert turn["late"] == 2


def test_S71_when_all_draws_fail_the_step_fails_as_one_would(scene: Judged) -> None:
    scene.config("[agents]\nbackoff_s = 0.01\n")
    scene.worker = lambda _: Fails(503, "overloaded")
    got = scene.result("return await agent('x', {candidates: 2, full: true})\n")
    assert got["reason"] == ("provider_failed: openai: the service failed with 503: overloaded (3 attempts)")
    assert len(scene.service.requests) == 6


def test_S71_without_a_judge_the_first_is_taken_and_that_is_said(scene: Judged) -> None:
    scene.config("[agents]\nbackoff_s = 0.01\n")
    scene.worker = lambda asked: f"answer {len(scene.service.requests)}"
    scene.chooser = lambda _: Fails(503, "overloaded")
    done = scene.run("return await agent('x', {candidates: 2})\n", "--events", "-")
    assert done.code == 0, done
    (warning,) = [line for line in done.lines if line.get("code") == "candidates_unjudged"]
    assert warning["text"].startswith("No judge chose among candidates, the first was taken: the judge failed: openai")
    (turn,) = scene.turns("candidates")
    assert turn["chosen"] == 0
    assert done.lines[-1]["result"]["result"] == turn["proposals"][0]["text"]


def test_S71_an_object_is_a_step_too(scene: Judged) -> None:
    schema = "{type: 'object', properties: {n: {type: 'integer'}}, required: ['n']}"
    scene.worker = Draws([Call("submit_answer", {"n": 1}), Call("submit_answer", {"n": 2})])
    scene.chooser = lambda asked: choice(1 if '{"n": 2}' in asked.text.split("Proposal ")[1] else 2)
    assert scene.result(f"return await agent('x', {{candidates: 2, schema: {schema}}})\n") == {"n": 2}


def test_S71_candidates_and_a_goal_go_together(scene: Judged) -> None:
    scene.worker = Draws(["one", "two"], ["Done.", "Done."])
    said = ["not met", "met"]

    def judge(_: Asked) -> Any:
        met = said.pop(0)
        row = {"criterion": "done", "met": met == "met", "evidence": "Done." if met == "met" else ""}
        return Reply(Call("submit_answer", {"criteria": [row], "verdict": met, "reason": "Go on."}))

    scene.judge = judge
    assert scene.result("return await agent('x', {candidates: 2, goal: 'Be done.'})\n") == "Done."
    assert [turn["role"] for turn in scene.turns()] == [
        "user",
        "candidates",
        "assistant",
        "judge",
        "user",
        "candidates",
        "assistant",
        "judge",
    ]


def test_S71_a_killed_agent_goes_on_after_a_chosen_step(scene: Judged) -> None:
    waits = scene.service.event()
    scene.worker = Draws([writes("a.txt"), writes("b.txt")], [Reply("never heard")] * 2)
    turns = scene.worker

    async def worker(asked: Asked) -> Any:
        if asked.turn == 1:
            await waits.wait()
        return turns(asked)

    scene.worker = worker
    script = scene.pawl.script("return await agent('x', {candidates: 2})\n")
    with scene.pawl.started("run", script, "--json", "--run-id", "r", "--backend", "openai:fake-1") as process:
        scene.service.wait_for_requests(5)
        process.kill()
        process.wait()
    scene.service.let(waits)
    scene.worker = lambda _: "done"
    done = scene.pawl("resume", "r", "--json", "--quiet")
    assert done.json["result"] == "done", done
    assert len(list(scene.folder.glob("*.txt"))) == 1
    assert json.dumps(scene.turns()).count('"candidates"') == 2


def test_S71_what_cannot_draw_is_refused_before_anything_is_spent(scene: Judged) -> None:
    scene.config('[programs.mine]\ncommand = ["sh", "-c", "touch ran; echo hello"]\n')
    body = "try { return await agent('x', {candidates: 2}) } catch (error) { return [error.code, error.message] }\n"
    assert scene.result(body, backend="cli:mine") == [
        "unsupported_option",
        "agent() option 'candidates' cannot be kept by the backend cli:mine: it decides its steps by itself. "
        "Use a model of a provider for this call, or bestOf(n, prompt) for whole attempts.",
    ]
    assert not (scene.folder / "ran").exists()
