"""workflows/code-review.js from end to end: a repository with changes in it, reviewers and sceptics that are scripted."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from support.pawl import ROOT, Done, Pawl
from support.repositories import Repository
from support.sampling import some
from support.scripted_model import Asked, Call, Fails, ScriptedModel, Turn

SCRIPT = str(ROOT / "workflows/code-review.js")
DIMENSIONS = ["correctness: wrong results", "security: what an attacker could do"]

TWENTY = "".join(f"line {n}\n" for n in range(1, 21))
FILES = {
    ".gitignore": "/.pawl/\n",
    "shop/money.py": "def total(prices):\n    return sum(prices)\n",
    "shop/long.py": TWENTY,
    "shop/gone.py": "x = 1\n",
    "logo.bin": "\0\1",
}
CHANGED = {
    "shop/money.py": "def total(prices):\n    eval(prices)\n    return sum(prices[1:])\n",
    "shop/long.py": TWENTY.replace("line 2\n", "line two\n-- not a heading\n++ neither\n").replace("line 19\n", ""),
    "shop/naïve name.py": "print('a b/c')\n",
    "logo.bin": "\0\2",
}
"""Committed on a branch of its own, but for the last lines: what is reviewed is the files as they are."""


def finding(title: str, file: str, line: int, severity: str = "major", **more: str) -> dict[str, Any]:
    return {"title": title, "file": file, "line": line, "why": f"{title}, it is", "severity": severity, **more}


FOUND = {
    "correctness": [
        finding("The first price is lost", "shop/money.py", 3, "critical"),
        finding("Line two is odd", "shop/long.py", 2, "minor"),
        finding("A file that is not there", "shop/no.py", 1),
        finding("A line that was not changed", "shop/long.py", 400),
    ],
    "security": [
        finding("Prices are run as code", "shop/money.py", 2),
        finding("the first price is lost!", "shop/money.py", 3),
    ],
}
AGAINST = {"Line two is odd": 2, "Prices are run as code": 1}
"""How many of three sceptics refute it."""


def answer(asked: Asked) -> Turn:
    text = asked.text
    if dimension := re.search(r"Only one thing counts: (\w+)", text):
        return Call("submit_answer", {"findings": FOUND[dimension[1]]})
    title = re.search(r"line \d+:\n\n(.+)", text)
    sceptic = re.search(r"Sceptic (\d) of", text)
    assert title is not None and sceptic is not None, text
    return Call("submit_answer", {"refuted": int(sceptic[1]) <= AGAINST.get(title[1], 0), "because": "seen"})


class Shop:
    """A branch with commits, changes that are not committed, and a file that git does not know."""

    def __init__(self, folder: Path) -> None:
        self.repository = Repository.make(folder, FILES)
        self.repository.git("switch", "--quiet", "--create", "work")
        self.repository.git("rm", "--quiet", "shop/gone.py")
        self.repository.commit({**CHANGED, "shop/money.py": "def total(prices):\n    return sum(prices[1:])\n"}, "Work")
        self.repository.write({"shop/money.py": CHANGED["shop/money.py"], "notes.txt": "new\n"})
        self.repository.git("branch", "--force", "old", "main")
        self.pawl = Pawl(folder)

    def serve(self, model: ScriptedModel) -> None:
        self.pawl.environ |= {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "k"}

    def words(self, *, backend: str = "openai:scripted", **args: Any) -> list[str]:
        given = json.dumps({"dimensions": DIMENSIONS, **args})
        flags = ["--backend", backend, "--allow", "check,files", "--yes", "--run-id", "review"]
        return ["run", SCRIPT, "--args", given, *flags]

    async def do(self, *words: str) -> Done:
        return await asyncio.to_thread(self.pawl, *words)

    async def review(self, **args: Any) -> Done:
        done = await self.do(*self.words(**args), "--json")
        assert done.code == 0, done.err
        return done


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop")


def told(found: dict[str, Any], state: str, against: int, missing: int = 0) -> dict[str, Any]:
    votes = {"for": 3 - against - missing, "against": against, "missing": missing}
    return {**found, "state": state, "votes": votes}


REPORT = {
    "verdict": "blocking",
    "blocking": 2,
    "findings": [
        told({"dimension": "correctness", **FOUND["correctness"][0]}, "confirmed", 0),
        told({"dimension": "security", **FOUND["security"][0]}, "confirmed", 1),
    ],
    "undecided": [],
    "refuted": 1,
    "dropped": 2,
    "gaps": ["files that git does not know yet: notes.txt"],
    "files": ["shop/gone.py", "shop/long.py", "shop/money.py", "shop/naïve name.py"],
}


async def test_findings_are_placed_doubted_and_ranked(shop: Shop) -> None:
    async with ScriptedModel(then=answer) as model:
        shop.serve(model)
        done = await shop.review(base="main")
    assert (done.json["status"], done.json["degraded"]) == ("completed", False)
    assert done.json["result"] == REPORT
    assert done.json["agents"]["total"] == 2 + 3 * 3
    assert "dropped, for shop/no.py:1 was not shown to correctness: A file that is not there\n" in done.err
    assert "dropped, for shop/long.py:400 was not shown to correctness: A line that was not changed\n" in done.err
    assert "dropped, for another reviewer found the same: 1\n" in done.err
    assert "nothing to read: Binary files a/logo.bin and b/logo.bin differ\n" in done.err
    assert shop.repository.status == [" M shop/money.py", "?? notes.txt"]
    assert (await shop.do("replay", "review", "--json")).json["result"] == REPORT


async def test_reviewers_read_numbered_lines_and_sceptics_what_is_around(shop: Shop) -> None:
    async with ScriptedModel(then=answer) as model:
        shop.serve(model)
        await shop.review(base="main", hint="Prices are cents.")
    reviewer = model.requests[0].text
    assert "shop/gone.py\n    1 - x = 1\n" in reviewer
    assert (
        "    1   line 1\n    2 - line 2\n    2 + line two\n    3 + -- not a heading\n    4 + ++ neither\n" in reviewer
    )
    assert "   20   line 18\n   21 - line 19\n   21   line 20\n\nshop/money.py\n" in reviewer
    assert "shop/naïve name.py\n    1 + print('a b/c')\n" in reviewer
    assert reviewer.endswith("\n\nPrices are cents.")
    sceptics = {asked.text for asked in model.requests if "Sceptic" in asked.text}
    assert len(sceptics) == 9  # no two are asked the same
    assert all("line two" not in text for text in sceptics if "shop/money.py, line" in text)


async def test_what_nobody_could_look_at_is_no_clean_bill(shop: Shop) -> None:
    """A reviewer and two sceptics of one finding are out: a gap, and a finding that nobody decided."""

    def then(asked: Asked) -> Turn:
        if "Only one thing counts: security" in asked.text or "(Sceptic 2" in asked.text or "(Sceptic 3" in asked.text:
            return Fails(400, "out")
        return answer(asked)

    async with ScriptedModel(then=then) as model:
        shop.serve(model)
        done = await shop.review(base="main")
    result = done.json["result"]
    assert (done.json["degraded"], result["verdict"], result["blocking"], result["findings"]) == (
        True,
        "incomplete",
        0,
        [],
    )
    assert {(one["title"], one["state"], one["votes"]["missing"]) for one in result["undecided"]} == {
        ("The first price is lost", "undecided", 2), ("Line two is odd", "undecided", 2),
    }  # fmt: skip
    gap = "security has no review that can be believed of shop/gone.py, shop/long.py, shop/money.py, shop/naïve name.py"
    assert result["gaps"] == ["files that git does not know yet: notes.txt", gap]
    assert f"not reviewed: {gap}\n" in done.err


async def test_no_findings_in_all_that_was_read_is_clear(shop: Shop) -> None:
    async with ScriptedModel(then=lambda asked: Call("submit_answer", {"findings": []})) as model:
        shop.serve(model)
        done = await shop.review(base="main", paths=["shop/*.py"])
    assert (done.json["result"]["verdict"], done.json["result"]["gaps"]) == ("clear", [])
    assert done.json["result"]["files"] == REPORT["files"]


async def test_the_cap_on_findings_keeps_the_most_severe_and_says_so(shop: Shop) -> None:
    async with ScriptedModel(then=answer) as model:
        shop.serve(model)
        done = await shop.review(base="main", paths=["shop/*.py"], most=1, blocking="critical")
    result = done.json["result"]
    assert [one["title"] for one in result["findings"]] == ["The first price is lost"]
    assert result["gaps"] == ["2 findings beyond the first 1 were not verified"]
    assert (result["verdict"], result["blocking"]) == ("blocking", 1)


async def test_whole_files_are_read_when_paths_are_given(shop: Shop) -> None:
    async with ScriptedModel(then=answer) as model:
        shop.serve(model)
        done = await shop.review(paths=["shop/*.py", "*.bin", "shop/money.py"])
    result = done.json["result"]
    assert result["files"] == ["shop/long.py", "shop/money.py", "shop/naïve name.py", "logo.bin"]
    assert [one["title"] for one in result["findings"]] == ["The first price is lost", "Prices are run as code"]
    assert "Review this code:\n\nshop/long.py\n    1   line 1\n    2   line two\n" in model.requests[0].text


async def test_a_large_diff_is_shared_out(shop: Shop) -> None:
    lines = "".join(f"a line that is number {n} of very many lines\n" for n in range(1, 2001))
    shop.repository.commit({"shop/large.py": lines}, "Large")
    async with ScriptedModel(then=lambda asked: Call("submit_answer", {"findings": []})) as model:
        shop.serve(model)
        done = await shop.review(base="main")
    shown = [number for asked in model.requests for number in re.findall(r"^ +(\d+) \+ a line that", asked.text, re.M)]
    assert sorted(map(int, shown)) == sorted([*range(1, 2001)] * 2)  # each line once for each dimension
    assert done.json["agents"]["total"] == len(model.requests) > 4


@pytest.mark.parametrize(
    ("args", "verdict", "gaps"),
    [
        ({"base": "work", "paths": ["shop/long.py"]}, "nothing to review", []),
        ({"paths": ["nowhere/*"]}, "incomplete", ["no file matches nowhere/*"]),
    ],
)
async def test_nothing_to_review_is_not_a_clear_review(
    shop: Shop, args: dict[str, Any], verdict: str, gaps: list[str]
) -> None:
    told = (await shop.review(backend="sample", **args)).json
    assert (told["result"]["verdict"], told["result"]["gaps"], told["agents"]["total"]) == (verdict, gaps, 0)


async def test_a_ref_that_is_none_ends_the_run(shop: Shop) -> None:
    done = await shop.do(*shop.words(backend="sample", base="no';touch${IFS}x;'"), "--json")
    assert (done.code, done.json["status"]) == (1, "failed")
    assert done.json["error"]["message"] == "Error: git says: fatal: bad revision 'no';touch${IFS}x;''"
    assert not (shop.repository.folder / "x").exists()


async def test_without_a_model_nothing_is_clear(shop: Shop) -> None:
    async with ScriptedModel(then=lambda asked: Fails(400, "no")) as model:
        shop.serve(model)
        done = await shop.review(base="main", paths=["shop/*.py"])
    assert (done.json["result"]["verdict"], len(done.json["result"]["gaps"])) == ("incomplete", 2)


@pytest.mark.parametrize("nth", some(range(1, 13)))
async def test_killed_after_each_call_and_resumed_it_gives_the_same(shop: Shop, nth: int) -> None:
    async with ScriptedModel(then=answer) as model:
        shop.serve(model)
        with shop.pawl.started(*shop.words(base="main"), "--events", "-") as process:

            def kill() -> int:
                assert process.stdout is not None
                settled = 0
                for line in process.stdout:
                    settled += json.loads(line)["event"] == "call_settled"
                    if settled == nth:
                        process.send_signal(signal.SIGKILL)
                        break
                return process.wait(60)

            assert await asyncio.to_thread(kill) == -signal.SIGKILL
        told = (await shop.do("resume", "review", "--yes", "--json")).json
    assert (told["status"], told["version"], told["result"]) == ("completed", 2, REPORT)


@pytest.mark.parametrize("seed", some([1, 2, 3], most=1))
@pytest.mark.parametrize("fail", [0, 0.4])
async def test_made_up_answers_are_never_a_clear_review(shop: Shop, seed: int, fail: float) -> None:
    """What `sample` makes up names no line of the diff."""
    told = (await shop.review(backend=f"sample:fail={fail},seed={seed}", base="main", paths=["shop/*.py"])).json
    result = told["result"]
    assert (result["findings"], result["undecided"], result["refuted"]) == ([], [], 0)
    assert len(result["gaps"]) >= told["agents"]["null"]
    assert result["verdict"] == ("incomplete" if result["gaps"] else "clear")
    assert result["gaps"] or result["dropped"] == 0


def test_nothing_is_wrong_with_the_script(shop: Shop) -> None:
    report = shop.pawl("check", SCRIPT, "--json").json
    assert (report["ok"], report["files"][0]["problems"]) == (True, [])


def test_a_simulation_reads_files_and_asks_nobody(shop: Shop) -> None:
    done = shop.pawl("simulate", SCRIPT, "--args", '{"paths": ["shop/*.py"]}', "--json")
    assert (done.code, done.json["result"]["files"]) == (0, ["shop/long.py", "shop/money.py", "shop/naïve name.py"])
