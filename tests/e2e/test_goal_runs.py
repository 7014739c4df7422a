"""Goals and checks of agents (S70), by the real command line; worker and judge are scripted, on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.judging import PRICES, Judged, is_judge, verdict
from support.repositories import Repository
from support.sampling import some
from support.scripted_model import Asked, Call, Fails, Holds, Reply

CAUGHT = """\
async function caught(make) {
  try { return await make() } catch (error) { return [error.name, error.code, error.message] }
}
"""
ANSWER_USD = (7 * 1000 + 11 * 10000) / 1_000_000


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Judged]:
    scene = Judged(tmp_path / "project")
    with scene.service:
        scene.prepare()
        yield scene


def writes_n(asked: Asked) -> Any:
    """A worker that writes how often it has been sent back, then says so."""
    if asked.results:
        return f"I wrote {asked.results[-1].text}"
    times = asked.text.count("the goal is not met yet")
    return Reply(Call("write_file", {"path": "n.txt", "content": f"round {times}"}))


# ── the judge ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_S70_the_goal_is_met_in_the_third_round(scene: Judged) -> None:
    scene.worker = writes_n

    def judge(asked: Asked) -> Any:
        if "round 2" in asked.text:
            return verdict("met", ("n.txt says 2", True, '"content": "round 2"'), reason="")
        return verdict("not met", ("n.txt says 2", False, "wrote"), reason="Write once more.")

    scene.judge = judge
    scene.config(PRICES)
    got = scene.result("return await agent('Write n.txt.', {goal: 'n.txt says 2', full: true})\n")
    assert (scene.folder / "n.txt").read_text() == "round 2"
    assert [one["met"] for one in got["verdicts"]] == ["not met", "not met", "met"]
    assert got["verdicts"][2] == {
        "met": "met",
        "criteria": [{"criterion": "n.txt says 2", "met": True, "evidence": '"content": "round 2"'}],
        "reason": "",
        "exitCode": None,
    }
    # Three rounds of two answers each, and three judges: all of it is the call's.
    assert got["costUsd"] == pytest.approx(9 * ANSWER_USD)
    assert got["usage"] == {"inputTokens": 63, "outputTokens": 99}
    # One conversation, which goes on: the worker hears why, and is not asked its task again.
    last = scene.asked_worker()[-1]
    assert last.text.count("Write n.txt.") == 1
    assert last.text.count("Write once more.") == 2
    assert "interrupted" not in last.text
    roles = [turn["role"] for turn in scene.turns()]
    assert roles == ["user", "assistant", "tool", "assistant", "judge"] * 3
    shown = scene.pawl("show", "r", "--call", "1", "--transcript").out
    assert "not met: Write once more.\n  - not met: n.txt says 2: “wrote”" in shown
    assert scene.pawl("search", "once", "more").out.count("judge: ") == 2
    shown = scene.pawl("show", "r", "--call", "1").out
    assert shown.count("verdict      not met: Write once more.\n") == 2 and "verdict      met\n" in shown


def test_S70_the_judge_sees_evidence_and_not_the_worker_s_conversation_as_its_own(scene: Judged) -> None:
    scene.worker = writes_n
    scene.judge = lambda _: verdict("met", ("written", True, "wrote"))
    scene.result(
        "return await agent('Write n.txt.', {goal: 'It is written.', check: 'echo fine; exit 0'})\n", "--allow", "check"
    )
    (asked,) = scene.asked(is_judge)
    assert [message.role for message in asked.messages if message.role != "system"] == ["user"]
    assert list(asked.tools) == ["submit_answer"]
    for part in (
        "The goal:\nIt is written.",
        'write_file {"path": "n.txt", "content": "round 0"}',
        "The command `echo fine; exit 0`, run by the host now, ended with exit code 0.\nfine",
        "I wrote ",
    ):
        assert part in asked.text


def test_S70_the_judge_may_be_another_model(scene: Judged) -> None:
    scene.config('[agents]\njudge_model = "strict"\n[models]\nstrict = ["anthropic:judge-1", "openai:judge-2"]\n')
    seen: list[tuple[str, str]] = []

    def judge(asked: Asked) -> Any:
        seen.append((asked.api, asked.model))
        return Fails(401, "no such key") if asked.api == "messages" else verdict("met", ("all", True, "Done."))

    scene.judge = judge
    assert scene.result("return await agent('x', {goal: 'All is done.'})\n") == "Done."
    assert seen == [("messages", "judge-1"), ("chat", "judge-2")]
    (turn,) = scene.turns("judge")
    assert (turn["judge"], turn["model"]) == ("openai:judge-2", "judge-2")


def test_S70_a_quote_that_was_made_up_is_no_verdict(scene: Judged) -> None:
    said = [verdict("met", ("all", True, "All 12 tests passed")), verdict("met", ("all", True, "“Done.”"))]
    scene.judge = lambda _: said.pop(0)
    got = scene.result("return await agent('x', {goal: 'All is done.', full: true})\n")
    assert [one["met"] for one in got["verdicts"]] == ["met"]
    again = scene.asked(is_judge)[1]
    assert "the quote 'All 12 tests passed' is not in the exhibits" in again.prompt
    assert [turn["text"].partition(":")[0] for turn in scene.turns("judge")] == ["no verdict", "met"]
    assert len(scene.asked_worker()) == 1


def test_S70_the_goal_s_own_words_prove_nothing(scene: Judged) -> None:
    scene.config("[agents]\nschema_rounds = 2\n")
    scene.judge = lambda _: verdict("met", ("all", True, "All tests pass"))
    got = scene.result(
        f"{CAUGHT}return await caught(() => agent('All tests pass: see to it.', {{goal: 'All tests pass'}}))\n"
    )
    assert got == [
        "AgentError",
        "judge_failed",
        "the judge failed: no verdict that counts after 2 rounds: the quote 'All tests pass' is not in the exhibits; "
        "copy one word for word, or leave it empty. Choose another judge: [agents] judge_model in the config.",
    ]


def test_S70_impossible_ends_the_call_with_what_shows_it(scene: Judged) -> None:
    scene.worker = lambda _: "There is no such file."
    scene.judge = lambda _: verdict("impossible", ("fixed", False, "There is no such file"), reason="No file.")
    body = f"{CAUGHT}return await caught(() => agent('Fix it.', {{goal: 'It is fixed.'}}))\n"
    assert scene.result(body) == ["AgentError", "goal_impossible", "the goal cannot be met: No file"]
    assert scene.call()["outcome"] == "failed"
    assert len(scene.asked_worker()) == 1


def test_S70_twelve_rounds_and_no_more(scene: Judged) -> None:
    scene.judge = lambda _: verdict("not met", ("done", False, ""), reason="Go on.")
    got = scene.result(f"{CAUGHT}return await caught(() => agent('x', {{goal: 'More.'}}))\n")
    assert got == ["AgentError", "goal_not_met", "the goal is not met after 12 rounds: Go on"]
    assert len(scene.asked_worker()) == len(scene.asked(is_judge)) == 12


def test_S70_a_judge_that_is_down_is_an_error_and_never_a_pass(scene: Judged) -> None:
    scene.config("[agents]\nbackoff_s = 0.01\n")
    scene.judge = lambda _: Fails(503, "overloaded")
    got = scene.result(f"{CAUGHT}return await caught(() => agent('x', {{goal: 'Done.'}}))\n")
    assert got[:2] == ["AgentError", "judge_failed"]
    assert "the service failed with 503: overloaded" in got[2]
    assert len(scene.asked(is_judge)) == 3  # as often as any call
    assert len(scene.asked_worker()) == 1  # its work is done, and not done again


def test_S70_a_judge_that_was_down_for_a_moment_goes_on(scene: Judged) -> None:
    scene.config("[agents]\nbackoff_s = 0.01\n")
    said = [Fails(503, "overloaded"), Fails(429, "slower"), verdict("met", ("all", True, "Done."))]
    scene.judge = lambda _: said.pop(0)
    assert scene.result("return await agent('x', {goal: 'All is done.'})\n") == "Done."
    assert scene.call()["attempts"] == 1


# ── the check ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_S70_a_check_alone_decides_by_its_exit_code(scene: Judged) -> None:
    scene.worker = writes_n
    body = "return await agent('Write.', {check: 'echo looking; grep -q \"round 1\" n.txt', full: true})\n"
    got = scene.result(body, "--allow", "check")
    command = 'echo looking; grep -q "round 1" n.txt'
    assert got["verdicts"] == [
        {"met": "not met", "criteria": [], "reason": f"The command `{command}` ended with exit code 1.", "exitCode": 1},
        {"met": "met", "criteria": [], "reason": f"The command `{command}` ended with exit code 0.", "exitCode": 0},
    ]
    assert scene.asked(is_judge) == []
    told = scene.asked_worker()[2].prompt
    assert f"The command `{command}` ended with exit code 1.\nlooking" in told
    first = scene.turns("check")[0]
    assert (first["exit_code"], first["ok"], first["command"]) == (1, False, command)


def test_S70_a_check_that_fails_is_not_met_whatever_the_judge_says(scene: Judged) -> None:
    scene.config("[agents]\ngoal_rounds = 2\n")
    body = f"{CAUGHT}return await caught(() => agent('x', {{goal: 'All is done.', check: 'exit 3'}}))\n"
    assert scene.result(body, "--allow", "check") == [
        "AgentError",
        "goal_not_met",
        "the goal is not met after 2 rounds: The command `exit 3` ended with exit code 3, so the goal is not met, "
        "although the judge says so",
    ]
    assert scene.call()["outcome"] == "failed"


def test_S63_S70_a_check_needs_permission_before_anything_is_spent(scene: Judged) -> None:
    got = scene.result(f"{CAUGHT}return await caught(() => agent('x', {{check: 'touch ran'}}))\n")
    assert got == [
        "UsageError",
        "not_permitted",
        "The option check of agent() needs the permission 'check', which this run does not have. "
        "Run with --allow check, or list it in meta.permissions and confirm it at the start.",
    ]
    assert scene.service.requests == []
    assert not (scene.folder / "ran").exists()


def test_S70_secrets_in_a_check_s_output_reach_nobody(scene: Judged) -> None:
    scene.pawl.environ["BUILD_TOKEN"] = "hunter2-hunter2-hunter2"
    scene.judge = lambda _: verdict("met", ("all", True, "Done."))
    scene.result("return await agent('x', {goal: 'All is done.', check: 'echo $BUILD_TOKEN'})\n", "--allow", "check")
    (asked,) = scene.asked(is_judge)
    assert "hunter2" not in asked.text and "[secret:" in asked.text
    assert "hunter2" not in json.dumps(scene.turns())


def test_S70_a_check_that_takes_too_long_has_failed(scene: Judged) -> None:
    scene.config("[agents]\ncheck_minutes = 0.005\ngoal_rounds = 1\n")
    got = scene.result(f"{CAUGHT}return await caught(() => agent('x', {{check: 'sleep 60'}}))\n", "--allow", "check")
    assert got[1:] == [
        "goal_not_met",
        "the goal is not met after 1 round: The command `sleep 60` was not done in time",
    ]


def test_S70_in_a_simulation_nothing_is_run_and_nobody_judges(scene: Judged) -> None:
    body = "return await agent('x', {goal: 'All is done.', check: 'touch ran', candidates: 3, full: true})\n"
    done = scene.pawl("simulate", scene.pawl.script(body), "--json")
    assert done.code == 0, done
    assert done.json["result"]["verdicts"] == [
        {
            "met": "met",
            "criteria": [{"criterion": "All is done.", "met": True, "evidence": ""}],
            "reason": "Made up: `sample` judges nothing.",
            "exitCode": 0,
        }
    ]
    # What it might cost: three draws of the usual answer.
    assert (done.json["estimate"]["agents"], done.json["estimate"]["output_tokens"]) == (1, 3000)
    assert scene.service.requests == []
    assert not (scene.folder / "ran").exists()


def test_S25_S70_the_check_runs_in_the_agent_s_worktree(scene: Judged) -> None:
    Repository.make(scene.folder, {"a.txt": "a"})
    scene.worker = writes_n
    body = "return await agent('Write.', {check: 'cat n.txt; pwd', isolation: 'worktree', full: true})\n"
    got = scene.result(body, "--allow", "check")
    assert [one["met"] for one in got["verdicts"]] == ["met"]
    assert got["worktree"]["files"] == ["n.txt"]
    assert not (scene.folder / "n.txt").exists()
    (turn,) = scene.turns("check")
    assert turn["text"].endswith("round 0" + str(scene.folder / got["worktree"]["path"]))


def test_S70_a_program_that_cannot_be_held_needs_another_judge(scene: Judged) -> None:
    program = '[programs.mine]\ncommand = ["sh", "-c", "grep -q Louder && echo LOUD || echo quiet"]\n'
    scene.config(program)
    body = f"{CAUGHT}return await caught(() => agent('Speak.', {{goal: 'It is loud.'}}))\n"
    assert scene.result(body, backend="cli:mine") == [
        "UsageError",
        "tools_unsupported",
        "cli:mine cannot be a judge: cli:mine cannot be held to the tools (none): a program of [programs] cannot be held "
        "to tools. Name another: [agents] judge_model in the config.",
    ]
    scene.config(f'[agents]\njudge_model = "openai:judge-1"\n{program}')
    scene.judge = lambda asked: (
        verdict("met", ("loud", True, "LOUD"))
        if "LOUD" in asked.text
        else verdict("not met", ("loud", False, "quiet"), reason="Louder.")
    )
    done = scene.pawl("resume", "r", "--json", "--quiet")
    assert done.json["result"] == "LOUD", done


# ── objects, interruptions, caps ───────────────────────────────────────────────────────────────────────────────────────


def test_S21_S70_an_object_is_judged_and_sent_back_in_its_conversation(scene: Judged) -> None:
    scene.worker = lambda asked: Reply(Call("submit_answer", {"n": asked.turn}))
    scene.judge = lambda asked: (
        verdict("met", ("two", True, '{"n": 2}'))
        if '{"n": 2}' in asked.text
        else verdict("not met", ("two", False, '{"n":'), reason="Count on.")
    )
    schema = "{type: 'object', properties: {n: {type: 'integer'}}, required: ['n']}"
    assert scene.result(f"return await agent('Count.', {{schema: {schema}, goal: 'n is 2'}})\n") == {"n": 2}
    assert [turn["role"] for turn in scene.turns()] == ["user", "assistant", "tool", "judge"] * 3


@pytest.mark.parametrize("kind", ["text", "object"])
def test_S70_killed_while_the_judge_thinks_the_worker_is_not_asked_again(scene: Judged, kind: str) -> None:
    is_text = kind == "text"
    scene.worker = lambda asked: f"Turn {asked.turn}." if is_text else Reply(Call("submit_answer", {"n": asked.turn}))
    waits = scene.service.event()
    count = [0]

    def judge(_: Asked) -> Any:
        count[0] += 1
        if count[0] == 1:
            return verdict("not met", ("done", False, ""), reason="Go on.")
        return Holds(
            waits, verdict("met", ("done", True, "1")) if is_text else verdict("met", ("done", True, '"n": 1'))
        )

    scene.judge = judge
    schema = "" if is_text else "schema: {type: 'object', properties: {n: {type: 'integer'}}, required: ['n']}, "
    script = scene.pawl.script(f"return await agent('x', {{{schema}goal: 'Done.', full: true}})\n")
    flags = ("--json", "--quiet", "--run-id", "r", "--backend", "openai:fake-1")
    with scene.pawl.started("run", script, *flags) as process:
        scene.service.wait_for_requests(4)  # answer, verdict, answer, and the judge that is held
        process.kill()
        process.wait()
    scene.service.let(waits)
    count[0] = 1
    scene.judge = lambda _: verdict("met", ("done", True, "Turn 1." if is_text else '{"n": 1}'))
    done = scene.pawl("resume", "r", "--json", "--quiet")
    assert done.code == 0, done
    got = done.json["result"]
    assert got["value"] == ("Turn 1." if is_text else {"n": 1})
    assert [one["met"] for one in got["verdicts"]] == ["not met", "met"]
    assert len(scene.asked_worker()) == 2
    assert len(scene.asked(is_judge)) == 3


def test_S70_verdicts_of_earlier_attempts_count_and_what_was_not_said_is_said(scene: Judged) -> None:
    scene.config("[agents]\ngoal_rounds = 2\n")
    waits = scene.service.event()
    scene.worker = lambda asked: "one" if asked.turn == 0 else Holds(waits, "two")
    scene.judge = lambda _: verdict("not met", ("done", False, ""), reason="Go on.")
    script = scene.pawl.script(f"{CAUGHT}return await caught(() => agent('x', {{goal: 'Done.'}}))\n")
    with scene.pawl.started("run", script, "--json", "--run-id", "r", "--backend", "openai:fake-1") as process:
        scene.service.wait_for_requests(3)
        process.kill()
        process.wait()
    scene.service.let(waits)
    scene.worker = lambda _: "two"
    done = scene.pawl("resume", "r", "--json", "--quiet")
    assert done.json["result"] == ["AgentError", "goal_not_met", "the goal is not met after 2 rounds: Go on"]
    assert len(scene.asked(is_judge)) == 2
    assert scene.asked_worker()[-1].text.count("the goal is not met yet") == 1


def test_S70_a_failed_goal_that_is_asked_again_has_its_rounds_again(scene: Judged) -> None:
    scene.config("[agents]\ngoal_rounds = 1\n")
    body = "return await agent('x', {check: 'test -e there'})\n"
    assert scene.run(body, "--allow", "check").code == 1
    (scene.folder / "there").touch()
    done = scene.pawl("resume", "r", "--json", "--quiet", "--allow", "check")
    assert done.code == 0, done
    assert done.json["result"] == "Done."


def test_S43_S70_a_cap_holds_between_rounds_whoever_has_spent_it(scene: Judged) -> None:
    scene.config(PRICES)
    scene.judge = lambda _: verdict("not met", ("done", False, ""), reason="Go on.", usage=(7, 500))
    done = scene.run("return await agent('x', {goal: 'Done.'})\n", "--budget", "600")
    assert done.json["error"]["code"] == "limit_tokens", done
    # 11 + 500 are under the cap, 22 + 1,000 are not: the third answer is not asked for.
    assert len(scene.asked_worker()) == 2
    assert done.json["usage"]["output_tokens"] == 1022


@pytest.mark.parametrize("request_number", some(range(1, 7)))
def test_S70_killed_at_any_request_it_ends_as_if_nothing_had_been(scene: Judged, request_number: int) -> None:
    """Two rounds with a tool each and their verdicts are six requests; only the one that was cut off is made again."""
    never, is_held = scene.service.event(), [False]

    def held(asked: Asked, says: Any) -> Any:
        if len(scene.service.requests) == request_number and not is_held[0]:
            is_held[0] = True
            return Holds(never)
        return says(asked)

    def judges(asked: Asked) -> Any:
        if '"round 1"' in asked.text:
            return verdict("met", ("twice", True, '"round 1"'), reason="")
        return verdict("not met", ("twice", False, "wrote"), reason="Write once more.")

    scene.worker = lambda asked: held(asked, writes_n)
    scene.judge = lambda asked: held(asked, judges)
    body = "return await agent('Write.', {goal: 'It is written twice.', check: 'test -s n.txt', full: true})\n"
    flags = ("--json", "--quiet", "--run-id", "r", "--backend", "openai:fake-1", "--allow", "check")
    with scene.pawl.started("run", scene.pawl.script(body), *flags) as process:
        scene.service.wait_for_requests(request_number)
        process.kill()
        process.wait()
    done = scene.pawl("resume", "r", "--json", "--quiet", "--allow", "check")
    assert done.code == 0, done
    got = done.json["result"]
    assert got["value"].startswith("I wrote ")
    assert [one["met"] for one in got["verdicts"]] == ["not met", "met"]
    assert (scene.folder / "n.txt").read_text() == "round 1"
    assert len(scene.service.requests) == 7
    said = [turn["text"] for turn in scene.turns("user")]
    assert sum("Write once more." in text for text in said) == 1
