"""The quality patterns: vote, judgePanel, bestOf, loopUntilDry, retry, tournament, mapReduce (S72)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from support.runs import Project

from engine.agents.sample import SampleBackend
from engine.errors import AgentError
from engine.values import AgentAnswer, AgentRequest, Usage

CAUGHT = "const caught = async (f) => { try { return await f() } catch (e) { return [e.name, e.code ?? null, e.message] } };\n"
NO_ANSWER = AgentError("nobody is there", code="gone")


class Answers:
    """Answers by a rule: prompt → value; an AgentError is raised. `prompts` are those that were asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.prompts: list[str] = []
        self.rule: Callable[[str], Any] = lambda prompt: f"to {prompt}"
        answers = self

        async def run(_: SampleBackend, request: AgentRequest, emit: Callable[[dict[str, Any]], None]) -> AgentAnswer:
            answers.prompts.append(request.prompt)
            value = answers.rule(request.prompt)
            if isinstance(value, AgentError):
                raise value
            return AgentAnswer(value, Usage())

        monkeypatch.setattr(SampleBackend, "run", run)

    def take(self) -> list[str]:
        asked, self.prompts = self.prompts, []
        return sorted(asked)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    return Answers(monkeypatch)


def number(pattern: str, prompt: str) -> int:
    found = re.search(pattern, prompt)
    assert found is not None, prompt
    return int(found[1])


def labels(project: Project) -> list[str]:
    return [e.label for e in project.events if e.kind == "call_requested"]


# ---- vote


def voter(prompt: str) -> int:
    return number(r"You are voter (\d+) of", prompt)


async def test_S72_vote_gives_what_more_than_half_say(project: Project, answers: Answers) -> None:
    answers.rule = lambda prompt: "yes" if voter(prompt) in (1, 3, 4) else "no"
    result = await project.run("return await vote(5, 'Is it safe?', {label: 'safe'})")
    assert result.result == {
        "winner": "yes",
        "votes": 3,
        "of": 5,
        "missing": 0,
        "answers": ["yes", "no", "yes", "yes", "no"],
    }
    assert labels(project) == ["safe 1/5", "safe 2/5", "safe 3/5", "safe 4/5", "safe 5/5"]
    assert answers.take()[0] == ("Is it safe?\n\nYou are voter 1 of 5. Answer on your own: the answers are counted.")
    assert project.logs == []


async def test_S72_vote_counts_those_who_did_not_answer_against_the_majority(
    project: Project, answers: Answers
) -> None:
    answers.rule = lambda prompt: NO_ANSWER if voter(prompt) < 4 else "yes"
    value = await project.value("return await vote(5, 'q')")
    assert value == {"winner": None, "votes": 2, "of": 5, "missing": 3, "answers": [None, None, None, "yes", "yes"]}
    assert project.logs == [
        "vote(): 3 of 5 gave no answer",
        "vote(): no winner. The most votes for one answer are 2 of 5; 3 are needed",
    ]


async def test_S72_vote_has_no_winner_when_all_are_silent(project: Project, answers: Answers) -> None:
    answers.rule = lambda prompt: NO_ANSWER
    value = await project.value("return await vote(2, 'q')")
    assert value == {"winner": None, "votes": 0, "of": 2, "missing": 2, "answers": [None, None]}


async def test_S72_answers_that_say_the_same_are_one_whatever_the_order_of_their_keys(project: Project) -> None:
    body = "const a = [{x: 1, y: [{p: 1, q: null}]}, {y: [{q: null, p: 1}], x: 1}, {x: 2}]; return (await vote(3, i => a[i])).votes"
    assert await project.value(body) == 2


async def test_S72_vote_counts_by_key_and_gives_the_first_answer_that_has_it(project: Project) -> None:
    body = "const a = ['Yes, sure', 'no', 'yes']; return await vote(3, i => a[i], {key: text => text.toLowerCase().startsWith('yes')})"
    value = await project.value(body)
    assert (value["winner"], value["votes"]) == ("Yes, sure", 2)


@pytest.mark.parametrize(
    ("given", "quorum", "winner", "votes"),
    [("aabbc", 2, None, 2), ("aabc", 2, "a", 2), ("aaab", 4, None, 3), ("abab", 3, None, 2), ("cabab", 1, None, 2)],
)
async def test_S72_vote_with_a_quorum(
    project: Project, given: str, quorum: int, winner: str | None, votes: int
) -> None:
    value = await project.value(f"return await vote({len(given)}, i => '{given}'[i], {{quorum: {quorum}}})")
    assert (value["winner"], value["votes"]) == (winner, votes)


async def test_S72_a_voter_that_throws_is_missing_and_logged(project: Project) -> None:
    value = await project.value("return await vote(3, i => { if (i === 1) throw new Error('no'); return 1 })")
    assert (value["winner"], value["missing"]) == (1, 1)
    assert project.logs == ["vote(): voter 2 of 3 failed: Error: no", "vote(): 1 of 3 gave no answer"]


async def test_S72_a_mistake_that_hits_every_voter_is_thrown(project: Project) -> None:
    body = CAUGHT + "return await caught(() => vote(3, 'q', {effort: 'huge'}))"
    name, code, message = await project.value(body)
    assert (name, code) == ("TypeError", "invalid_option")
    assert message.startswith("agent() option 'effort' must be ")


# ---- judgePanel and bestOf


def score(prompt: str) -> dict[str, Any] | AgentError:
    """By the attempt's digit; the judge of what is not `complete` gives two less."""
    points = number(r"<attempt>\n\D*(\d+)", prompt) - (0 if "is it complete" in prompt else 2)
    return {"reason": "r", "score": points}


async def test_S72_a_panel_puts_the_best_first(project: Project, answers: Answers) -> None:
    answers.rule = score
    value = await project.value("return await judgePanel(['a 5', null, 'b 9', {n: 5}], {task: 'T', judges: 2})")
    assert [(one["attempt"], one["index"], one["score"]) for one in value] == [
        ("b 9", 2, 8),
        ("a 5", 0, 4),
        ({"n": 5}, 3, 4),
    ]
    assert value[0]["scores"] == [
        {"lens": "correct: nothing in it is wrong", "score": 7, "reason": "r"},
        {"lens": "complete: nothing that is asked for is missing", "score": 9, "reason": "r"},
    ]
    assert project.logs == ["judgePanel(): 1 of 4 attempts are null, and dropped"]
    assert labels(project) == ["judge 1.1", "judge 1.2", "judge 3.1", "judge 3.2", "judge 4.1", "judge 4.2"]
    asked = answers.take()
    assert len(set(asked)) == 6
    assert all("<task>\nT\n</task>" in prompt for prompt in asked)


async def test_S72_each_lens_has_a_judge(project: Project, answers: Answers) -> None:
    answers.rule = lambda prompt: {"reason": "r", "score": 3 if "is it short?" in prompt else 6}
    value = await project.value("return await judgePanel(['a'], {lenses: ['short', 'kind']})")
    assert [(one["lens"], one["score"]) for one in value[0]["scores"]] == [("short", 3), ("kind", 6)]
    value = await project.value("return await judgePanel(['a'], {lenses: ['short', 'kind'], judges: 3})")
    assert [one["lens"] for one in value[0]["scores"]] == ["short", "kind", "short"]


async def test_S72_who_was_not_judged_comes_last_and_judges_who_are_silent_have_no_say(
    project: Project, answers: Answers
) -> None:
    def rule(prompt: str) -> Any:
        is_silent = "<attempt>\na" in prompt or "judge 1 of" in prompt
        return NO_ANSWER if is_silent else {"reason": "r", "score": 0}

    answers.rule = rule
    value = await project.value("return await judgePanel(['a', 'b'], {judges: 2})")
    assert [(one["attempt"], one["score"], len(one["scores"])) for one in value] == [("b", 0, 1), ("a", None, 0)]
    assert project.logs == [
        "judgePanel(): attempt 1 has 0 of 2 judges' scores",
        "judgePanel(): attempt 2 has 1 of 2 judges' scores",
    ]


async def test_S72_a_panel_of_nothing_is_empty(project: Project) -> None:
    result = await project.run("return [await judgePanel([]), await judgePanel([null])]")
    assert (result.result, result.agents["total"]) == ([[], []], 0)


async def test_S72_best_of_n_takes_what_the_panel_puts_first(project: Project, answers: Answers) -> None:
    answers.rule = lambda prompt: (
        score(prompt) if "<attempt>" in prompt else f"try {number(r'attempt (.) of 3', prompt) + 4}"
    )
    value = await project.value(
        "return await bestOf(3, 'Write it.', {phase: 'Draft', judges: 1, judge: {label: 'look'}})"
    )
    assert (value["value"], value["index"], value["score"]) == ("try 7", 2, 5)
    assert [one["index"] for one in value["ranking"]] == [2, 1, 0]
    assert labels(project) == ["attempt 1/3", "attempt 2/3", "attempt 3/3", "look 1.1", "look 2.1", "look 3.1"]
    assert {e.phase for e in project.events if e.kind == "call_requested"} == {"Draft"}
    assert sum("<task>\nWrite it.\n</task>" in prompt for prompt in answers.take()) == 3


async def test_S72_best_of_nothing_is_null(project: Project) -> None:
    value = await project.value("return await bestOf(2, () => null)")
    assert value == {"value": None, "index": None, "score": None, "ranking": []}
    assert project.logs == ["bestOf(): none of 2 attempts gave an answer"]


async def test_S72_best_of_says_when_nobody_judged(project: Project, answers: Answers) -> None:
    answers.rule = lambda prompt: NO_ANSWER
    value = await project.value("return await bestOf(2, i => 'made ' + i, {judges: 1})")
    assert (value["value"], value["index"], value["score"]) == ("made 0", 0, None)
    assert project.logs[-1] == "bestOf(): nobody judged the attempts; the first one is taken"


# ---- loopUntilDry and retry


async def test_S72_a_loop_goes_on_until_it_is_dry(project: Project) -> None:
    body = """
      const seen = [];
      const found = [['a', 'b'], ['b'], ['c', 'c'], [], ['a'], ['never']];
      const end = await loopUntilDry((round, items) => { seen.push([round, items.length]); items.push('mine'); return found[round - 1] }, {key: x => x});
      return [end, seen]
    """
    end, seen = await project.value(body)
    assert end == {"items": ["a", "b", "c"], "rounds": 5, "isDry": True}
    assert seen == [[1, 0], [2, 2], [3, 2], [4, 3], [5, 3]]
    assert project.logs == []


async def test_S72_a_loop_says_when_it_stopped_before_it_was_dry(project: Project) -> None:
    value = await project.value("return await loopUntilDry(round => [{id: round}, null], {key: x => x.id, rounds: 3})")
    assert value == {"items": [{"id": 1}, {"id": 2}, {"id": 3}], "rounds": 3, "isDry": False}
    assert project.logs == [
        "loopUntilDry(): round 1: 1 of 2 items are null, and dropped",
        "loopUntilDry(): round 2: 1 of 2 items are null, and dropped",
        "loopUntilDry(): round 3: 1 of 2 items are null, and dropped",
        "loopUntilDry(): stopped after 3 rounds with 3 items, and not dry: there may be more",
    ]


async def test_S72_a_round_without_an_answer_is_not_dry(project: Project) -> None:
    body = "return await loopUntilDry(round => { if (round === 2) throw new Error('no'); return round < 5 ? null : [] }, {key: x => x, rounds: 6})"
    assert await project.value(body) == {"items": [], "rounds": 6, "isDry": True}
    assert project.logs == [
        "loopUntilDry(): round 1 gave no answer",
        "loopUntilDry(): round 2 failed: Error: no",
        "loopUntilDry(): round 3 gave no answer",
        "loopUntilDry(): round 4 gave no answer",
    ]


async def test_S72_a_loop_in_which_nobody_ever_looked_found_nothing_out(project: Project) -> None:
    value = await project.value("return await loopUntilDry(() => null, {key: x => x, rounds: 2})")
    assert value == {"items": [], "rounds": 2, "isDry": False}
    body = CAUGHT + "return await caught(() => loopUntilDry(() => { throw new RangeError('no') }, {key: x => x}))"
    assert await project.value(body) == ["RangeError", None, "no"]


async def test_S72_retry_tells_the_next_attempt_what_was_wrong(project: Project) -> None:
    body = """
      const told = [];
      const value = await retry((attempt, problem) => {
        told.push([attempt, problem]);
        if (attempt === 1) throw new TypeError('broken');
        return attempt === 2 ? null : attempt;
      }, {attempts: 5, accept: async value => value === 4 || `${value} is not four`});
      return [value, told]
    """
    assert await project.value(body) == [
        4,
        [[1, None], [2, "TypeError: broken"], [3, "There was no answer (null)."], [4, "3 is not four"]],
    ]
    assert project.logs == [
        "retry(): attempt 1 of 5 failed: TypeError: broken",
        "retry(): attempt 2 of 5 gave no answer",
        "retry(): attempt 3 of 5 was not accepted: 3 is not four",
    ]


@pytest.mark.parametrize(
    ("thunk", "options", "expected"),
    [
        ("() => null", "{}", None),
        ("n => { throw new RangeError('no ' + n) }", "{}", ["RangeError", None, "no 3"]),
        ("n => { if (n === 1) throw new Error('first'); return null }", "{}", ["Error", None, "first"]),
        ("() => 0", "{attempts: 1}", 0),
        (
            "() => 1",
            "{attempts: 2, accept: () => false}",
            ["Error", "not_accepted", "retry(): none of 2 attempts was accepted; the last problem: It was not accepted."],
        ),
        (
            "() => 1",
            "{accept: () => {}}",
            ["TypeError", "invalid_option", "retry() option 'accept' must give true, or the problem as a text, not undefined"],
        ),
    ],
)  # fmt: skip
async def test_S72_what_retry_ends_with(project: Project, thunk: str, options: str, expected: object) -> None:
    assert await project.value(CAUGHT + f"return await caught(() => retry({thunk}, {options}))") == expected


async def test_S72_retry_of_a_withdrawn_call_ends_at_once(project: Project) -> None:
    body = """
      let attempts = 0;
      await race([() => agent('quick'), () => retry(() => { attempts++; return agent('slow').then(() => sleep(1e7)) })]);
      await sleep(1);
      return attempts
    """
    assert await project.value(body) == 1


# ---- tournament and mapReduce


async def test_S72_a_tournament_leaves_one(project: Project, answers: Answers) -> None:
    def rule(prompt: str) -> Any:
        first, second = (number(rf"<{side}>\n(\d)", prompt) for side in ("first", "second"))
        return {"reason": f"{first} or {second}", "winner": "first" if first > second else "second"}

    answers.rule = rule
    value = await project.value(
        "return await tournament(['3', '5', null, '1', '9', '2'], {criteria: 'size', task: 'T'})"
    )
    assert value == {
        "winner": "9",
        "index": 4,
        "matches": [
            {"round": 1, "left": 0, "right": 1, "winner": 1, "reason": "3 or 5"},
            {"round": 1, "left": 3, "right": 4, "winner": 4, "reason": "1 or 9"},
            {"round": 2, "left": 5, "right": 1, "winner": 1, "reason": "2 or 5"},
            {"round": 3, "left": 4, "right": 1, "winner": 4, "reason": "9 or 5"},
        ],
    }
    assert project.logs == ["tournament(): 1 of 6 entries are null, and dropped"]
    assert labels(project) == ["match 1.1", "match 1.2", "match 2.1", "match 3.1"]


async def test_S72_a_match_that_nobody_decided_says_so(project: Project) -> None:
    body = "return await tournament(['a', 'b', 'c', 'd'], {compare: (a, b) => a === 'c' ? {winner: 1, reason: 'r'} : a === 'a' && b === 'b' ? null : {winner: null}})"
    value = await project.value(body)
    assert (value["winner"], value["index"]) == ("a", 0)
    assert [(one["winner"], one["reason"]) for one in value["matches"]] == [(0, None), (3, "r"), (0, None)]
    assert project.logs == [
        "tournament(): nobody decided match 1.1; entry 0 goes on because it came first",
        "tournament(): nobody decided match 2.1; entry 0 goes on because it came first",
    ]


async def test_S72_a_tournament_of_one_or_none_asks_nobody(project: Project) -> None:
    result = await project.run("return [await tournament([null, 'x']), await tournament([])]")
    assert result.result == [{"winner": "x", "index": 1, "matches": []}, {"winner": None, "index": None, "matches": []}]
    assert result.agents["total"] == 0


async def test_S72_map_reduce_makes_one_of_many(project: Project) -> None:
    body = """
      const groups = [];
      const value = await mapReduce([1, 2, 3, 4, 5, 6, 7], (item, index) => item === 4 ? null : 10 * item + index,
        (values, depth) => { groups.push([depth, values]); return values.join('+') }, {fan: 2});
      return [value, groups]
    """
    value, groups = await project.value(body)
    assert value == "10+21+32+54+65+76"
    assert groups == [
        [1, [10, 21]], [1, [32, 54]], [1, [65, 76]], [2, ["10+21", "32+54"]], [3, ["10+21+32+54", "65+76"]],
    ]  # fmt: skip
    assert project.logs == ["mapReduce(): item 3 gave no answer; it is dropped"]


async def test_S72_map_reduce_of_one_value_is_reduced_and_of_none_is_null(project: Project) -> None:
    body = "const r = values => ({all: values}); return [await mapReduce([1], x => x, r), await mapReduce([], x => x, r), await mapReduce([1], () => null, r)]"
    assert await project.value(body) == [{"all": [1]}, None, None]
    assert project.logs == [
        "mapReduce(): nothing is left to return; the result is null",
        "mapReduce(): item 0 gave no answer; it is dropped",
        "mapReduce(): nothing is left to return; the result is null",
    ]


async def test_S72_map_reduce_says_what_a_failed_group_lost(project: Project) -> None:
    body = "return await mapReduce([1, 2, 3, 4], x => x, (values) => { if (values[0] === 1) throw new Error('no'); return values.length }, {fan: 2})"
    assert await project.value(body) == 2
    assert project.logs == ["mapReduce(): group 0 of 2 values at depth 1 failed: Error: no; it is dropped"]
    body = CAUGHT + "return await caught(() => mapReduce([1, 2], () => { throw new RangeError('all') }, x => x))"
    assert await project.value(body) == ["RangeError", None, "all"]


# ---- Arguments


MISTAKES = {
    "vote(0, 'q')": "vote() needs a number first: vote(3, 'Is it safe?'), a whole number from 1 to 4096, not 0",
    "vote(3)": "vote() needs a prompt or a function second: vote(3, i => agent(…)), not undefined",
    "vote(3, 'q', 5)": "vote() takes options as an object, not 5",
    "vote(3, 'q', {key: 'x'})": "vote() option 'key' must be a function answer => text, not \"x\"",
    "vote(3, 'q', {quorum: 4})": "vote() option 'quorum' must be a whole number from 1 to 3, not 4",
    "vote(3, 'q', {full: true})": "vote() takes no option 'full': answers with their costs are never the same. Use vote(n, i => …)",
    "vote(1, () => 'x', {key: () => null})": "vote() option 'key' must give a string, a number or a boolean, not null for \"x\"",
    "judgePanel('x')": "judgePanel() needs an array first: judgePanel([one, another], {task: '…'}), not \"x\"",
    "judgePanel([1], {judges: 0})": "judgePanel() option 'judges' must be a whole number from 1 to 100, not 0",
    "judgePanel([1], {lenses: []})": "judgePanel() option 'lenses' must be an array of texts, like ['correct', 'short'], not []",
    "judgePanel([1], {schema: {}})": "judgePanel() takes no option 'schema': the judges give a reason and a score",
    "bestOf(2, 'q', {lenses: 'x'})": "bestOf() option 'lenses' must be an array of texts, like ['correct', 'short'], not \"x\"",
    "bestOf(2, 'q', {judge: {full: true}})": "bestOf() takes no option 'full': the judges give a reason and a score",
    "loopUntilDry([], {})": "loopUntilDry() needs a function first: loopUntilDry((round, items) => …, {key: item => item.id}), not []",
    "loopUntilDry(() => [])": "loopUntilDry() option 'key' must be a function item => text, by which items are the same, not undefined",
    "loopUntilDry(() => [], {key: x => x, rounds: 1e9})": "loopUntilDry() option 'rounds' must be a whole number from 1 to 1000, not 1000000000",
    "loopUntilDry(() => [], {key: x => x, rounds: 1})": "loopUntilDry() option 'dry' must be a whole number from 1 to 1, not 2",
    "loopUntilDry(() => ({}), {key: x => x})": "loopUntilDry() round 1 must give an array of items, or null for no answer, not {}",
    "retry('x')": "retry() needs a function first: retry((attempt, problem) => agent(…)), not \"x\"",
    "retry(() => 1, {attempts: 0})": "retry() option 'attempts' must be a whole number from 1 to 100, not 0",
    "tournament({})": "tournament() needs an array first: tournament(designs, {criteria: '…'}), not {}",
    "tournament([], {compare: 1})": "tournament() option 'compare' must be a function (a, b) => {winner: 0 or 1, reason}, not 1",
    "tournament([1, 2], {compare: () => 1})": "tournament() option 'compare' must give {winner: 0, 1 or null, reason}, not 1",
    "mapReduce(1)": "mapReduce() needs an array first: mapReduce(files, (file) => …, (parts) => …), not 1",
    "mapReduce([], 1)": "mapReduce() needs a function second: (item, index) => …, not 1",
    "mapReduce([], x => x)": "mapReduce() needs a function third: (values, depth) => …, not undefined",
    "mapReduce([], x => x, x => x, {fan: 1})": "mapReduce() option 'fan' must be a whole number from 2 to 4096, not 1",
}  # fmt: skip


@pytest.mark.parametrize(("call", "message"), MISTAKES.items(), ids=MISTAKES.keys())
async def test_S72_arguments_are_checked_before_anybody_is_asked(project: Project, call: str, message: str) -> None:
    result = await project.run(CAUGHT + f"return await caught(() => {call})")
    assert result.result is not None, result.error
    assert (result.result[0], result.result[2]) == ("TypeError", message)
    assert result.agents["total"] == 0


async def test_S72_options_that_a_pattern_does_not_know_are_named(project: Project) -> None:
    await project.run("await retry(() => 1, {attempt: 2}); await mapReduce([1], x => x, x => 1, {concurrency: 1})")
    assert project.warnings == [
        "retry() knows no option 'attempt'; it is ignored. Options: attempts, accept",
        "mapReduce() knows no option 'concurrency'; it is ignored. Options: fan",
    ]


# ---- Resume, replay, edits: a pattern is a part of the script like any other (I2, I3, I4)

ALL = """
  const ballot = await vote(3, 'Is EDITED safe?', {key: text => text.length > 0});
  const best = await bestOf(2, 'Write it.', {judges: 2});
  const dry = await loopUntilDry(async round => [await agent('Find something. Round ' + round)], {key: x => x.slice(0, 3), rounds: 4});
  const sure = await retry((attempt) => agent('Say it, attempt ' + attempt), {accept: () => true});
  const top = await tournament(['a', 'b', 'c'], {criteria: 'c'});
  const one = await mapReduce(['x', 'y', 'z'], item => agent('Read ' + item), (values, depth) => agent('Merge ' + depth + values.join()), {fan: 2});
  return {ballot, best, dry, sure, top, one}
"""


async def test_I4_patterns_replay_bit_for_bit(project: Project) -> None:
    first = await project.run(ALL)
    assert first.error is None, first.error
    assert (await project.replay(first.run_id)).result == first.result


async def test_I2_a_run_that_was_stopped_in_any_pattern_ends_with_the_same(project: Project, answers: Answers) -> None:
    def rule(prompt: str) -> Any:
        if "<attempt>" in prompt:
            return {"reason": "r", "score": len(prompt) % 10}
        return {"reason": "r", "winner": "second"} if "<first>" in prompt else f"to {prompt[:20]} {prompt[-9:]}"

    answers.rule = rule
    whole = await project.run(ALL)
    asked = len(answers.take())
    for stop in range(1, asked):
        first = await project.run(ALL, max_agents=stop)
        before = answers.take()
        again = await project.resume(first.run_id, max_agents=100)
        assert again.result == whole.result, f"stopped after {stop} of {asked} calls"
        assert len(before) + len(answers.take()) == asked, "nobody is asked twice"


async def test_I3_an_edit_of_one_prompt_asks_again_only_what_it_can_have_changed(
    project: Project, answers: Answers
) -> None:
    answers.rule = lambda prompt: {"reason": "r", "score": 5} if "<attempt>" in prompt else "yes"
    body = "return await parallel([() => vote(3, 'Is A safe?'), () => bestOf(2, 'Write B.', {judges: 1, task: 'B'}), () => vote(2, 'Is C safe?')])"
    first = await project.run(body)
    assert len(answers.take()) == 3 + 4 + 2
    await project.resume(first.run_id, body.replace("Is A safe?", "Is A good?"))
    assert [prompt.partition("\n")[0] for prompt in answers.take()] == ["Is A good?"] * 3
    await project.resume(first.run_id, body.replace("task: 'B'", "task: 'B, short'"))
    assert ["<task>\nB, short" in prompt for prompt in answers.take()] == [True, True], "its judges only"


async def test_I3_one_judge_who_was_silent_is_asked_again_and_no_other(project: Project, answers: Answers) -> None:
    answers.rule = lambda prompt: (
        NO_ANSWER if "judge 2 of" in prompt and "<attempt>\nb" in prompt else {"reason": "r", "score": 5}
    )
    body = "return (await judgePanel(['a', 'b'])).map(one => one.scores.length)"
    first = await project.run(body)
    assert first.result == [3, 2]
    answers.take()
    answers.rule = lambda prompt: {"reason": "r", "score": 5}
    assert (await project.resume(first.run_id)).result == [3, 3]
    assert len(answers.take()) == 1


PATCHES = {
    "setters_on_arrays": "for (let n = 0; n < 9; n++) Object.defineProperty(Array.prototype, n, {__proto__: null, set() { throw new Error('mine') }, get() { return 'mine' }, configurable: true});",
    "members_of_every_object": "for (const name of ['key', 'quorum', 'label', 'full', 'schema', 'judges', 'lenses', 'task', 'phase', 'accept', 'attempts', 'fan', 'dry', 'rounds', 'criteria', 'compare', 'ok', 'value', 'winner', 'answer', 'votes', 'score', 'judge']) Object.defineProperty(Object.prototype, name, {__proto__: null, value: {message: 'not mine'}, writable: true, configurable: true});",
    "iteration": "Array.prototype[Symbol.iterator] = () => { throw new Error('mine') };",
    "methods": "const evil = () => { throw new Error('mine') }; Array.prototype.sort = Array.prototype.push = Array.prototype.join = Map.prototype.get = Map.prototype.set = Map.prototype.forEach = Math.ceil = JSON.stringify = Object.defineProperty = evil;",
    "globals": "for (const name of ['agent', 'parallel', 'pipeline', 'log', 'judgePanel', 'TypeError', 'Math', 'Map', 'JSON']) globalThis[name] = undefined;",
}
HELD = """
  const saying = {key: x => x.a};
  const ballot = await ours.vote(3, 'Is it safe?', {schema: {type: 'object', required: ['a'], properties: {a: {type: 'boolean'}}}, key: x => x.a});
  const best = await ours.bestOf(2, 'Write it.', {judges: 1});
  const dry = await ours.loopUntilDry(round => round < 3 ? [{id: 'a' + round}] : [], {key: x => x.id});
  const sure = await ours.retry(attempt => attempt === 1 ? null : 'x', {accept: x => x === 'x'});
  const top = await ours.tournament(['a', 'b', 'c'], {criteria: 'c'});
  const one = await ours.mapReduce(['x', 'y', 'z'], item => item, (values, depth) => '' + depth + values[0] + values.length, {fan: 2});
  return {ballot, best, dry, sure, top, one}
"""


@pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES.keys())
async def test_S08_S72_patched_built_ins_change_no_pattern(project: Project, patch: str) -> None:
    ours = "const ours = {vote, bestOf, loopUntilDry, retry, tournament, mapReduce};\n"
    expected = await project.value(ours + HELD)
    assert await project.value(ours + patch + HELD) == expected


def test_S72_types_and_words_know_every_pattern() -> None:
    from engine.assets import stdlib_files, types_file
    from sandbox.lint.words import PROMISING

    names = [name.removeprefix("patterns/").removesuffix(".js") for name, _ in stdlib_files() if "/" in name]
    assert names == ["bestOf", "judgePanel", "loopUntilDry", "mapReduce", "retry", "tournament", "vote"]
    assert set(names) <= PROMISING
    types = types_file().read_text()
    assert [name for name in names if f"declare function {name}" not in types] == []
