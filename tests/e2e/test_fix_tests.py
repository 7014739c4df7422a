"""workflows/fix-tests.js from end to end: a repository with three bugs, real tests, a model that is scripted.

Two of the bugs are on neighbouring lines, so that one fix cannot be merged as it was made and is made again.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.pawl import ROOT, Done, Pawl
from support.repositories import Repository
from support.sampling import some
from support.scripted_model import Asked, Call, Fails, ScriptedModel, Turn

SCRIPT = str(ROOT / "workflows/fix-tests.js")
TESTS = f"{sys.executable} -B -m unittest discover -s tests -t ."

FILES = {
    "README.md": "# Shop\n",
    ".gitignore": "__pycache__/\n/.pawl/\n",
    "shop/__init__.py": "",
    "shop/dates.py": "def is_leap(year):\n    return year % 4 == 0\n",
    "shop/money.py": (
        '"""Money."""\n\n\ndef total(prices, tax):\n    net = sum(prices[1:])\n    return round(net - net * tax, 2)\n'
    ),
    "tests/__init__.py": "",
    "tests/test_dates.py": (
        "import unittest\nfrom shop.dates import is_leap\n\n\nclass Dates(unittest.TestCase):\n"
        "    def test_every_fourth(self):\n        self.assertTrue(is_leap(2024))\n\n"
        "    def test_not_the_hundredth(self):\n        self.assertFalse(is_leap(1900))\n"
    ),
    "tests/test_money.py": (
        "import unittest\nfrom shop.money import total\n\n\nclass Money(unittest.TestCase):\n"
        "    def test_all_prices(self):\n        self.assertEqual(total([1, 2], 0), 3)\n\n"
        "    def test_tax(self):\n        self.assertEqual(total([0, 10], 0.2), 12)\n"
    ),
}

BUGS = {
    "Years that end in 00": (
        "test_not_the_hundredth",
        "shop/dates.py",
        "year % 4 == 0",
        "year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)",
    ),
    "The first price is forgotten": ("test_all_prices", "shop/money.py", "sum(prices[1:])", "sum(prices)"),
    "Tax is taken away": ("test_tax", "shop/money.py", "net - net * tax", "net + net * tax"),
}
"""Cause → its test, its file, what is wrong, what is right."""

FIXED = {
    "shop/dates.py": "def is_leap(year):\n    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)\n",
    "shop/money.py": (
        '"""Money."""\n\n\ndef total(prices, tax):\n    net = sum(prices)\n    return round(net + net * tax, 2)\n'
    ),
}

REPORT = {
    "ok": True,
    "rounds": 1,
    "fixed": [
        {"title": title, "tests": [test], "what": f"Changed {file}", "files": [file]}
        for title, (test, file, _, _) in BUGS.items()
    ],
    "notFixed": [],
    "output": None,
}


def answer(asked: Asked) -> Turn:
    """What a good model says: it looks, edits, and says what it did."""
    text = asked.text
    if "Split the failures into causes" in text:
        causes = [{"title": title, "tests": [bug[0]], "why": "see the output"} for title, bug in BUGS.items()]
        failing = [cause for cause in causes if f"FAIL: {cause['tests'][0]}" in text]
        return Call("submit_answer", {"causes": failing})
    title = re.search(r'nothing else:\n\n(.+)|This change fixes "(.+?)"', text)
    assert title is not None, text
    _, file, wrong, right = BUGS[title[1] or title[2]]
    match asked.turn:
        case 0:
            return Call("read_file", {"path": file})
        case 1:
            return Call("edit_file", {"path": file, "old_string": wrong, "new_string": right})
        case _:
            return Call("submit_answer", {"fixed": True, "what": f"Changed {file}"})


class Shop:
    """The repository, with changes of its user in it, and `pawl` at work there."""

    def __init__(self, folder: Path, files: dict[str, str] = FILES) -> None:
        self.repository = Repository.make(folder, files)
        self.repository.write({"README.md": "# Shop\n\nThe user's words.\n", "notes.txt": "the user's\n"})
        self.pawl = Pawl(folder)

    def serve(self, model: ScriptedModel) -> None:
        self.pawl.environ |= {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "k"}

    def words(self, *, backend: str = "openai:scripted", **args: Any) -> list[str]:
        given = json.dumps({"command": TESTS, **args})
        return ["run", SCRIPT, "--args", given, "--backend", backend, "--allow", "check,files", "--yes"]

    async def do(self, *words: str) -> Done:
        return await asyncio.to_thread(self.pawl, *words)

    def passes(self) -> bool:
        done = subprocess.run(TESTS, shell=True, cwd=self.repository.folder, capture_output=True, check=False)
        return done.returncode == 0

    def assert_fixed(self) -> None:
        assert {name: self.repository.read(name) for name in FIXED} == FIXED
        assert self.passes()
        assert self.repository.git("log", "--first-parent", "--format=%s").splitlines() == [*reversed(BUGS), "Start"]
        self.assert_users_own()

    def assert_users_own(self) -> None:
        assert self.repository.status == [" M README.md", "?? notes.txt"]
        assert self.repository.read("README.md") == "# Shop\n\nThe user's words.\n"
        assert self.repository.git("branch", "--show-current") == "main"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop")


async def test_three_bugs_are_fixed_merged_and_verified(shop: Shop) -> None:
    assert not shop.passes()
    async with ScriptedModel(then=answer) as model:
        shop.serve(model)
        done = await shop.do(*shop.words(), "--run-id", "fix", "--json")
    told = done.json
    assert (told["status"], told["error"], told["degraded"]) == ("completed", None, False)
    assert told["result"] == REPORT
    assert told["agents"]["total"] == 5  # one split, three fixes, one of them again
    shop.assert_fixed()
    # What could not be merged stays for people; everything else is gone.
    assert [branch.rpartition("/")[0] for branch in shop.repository.branches] == ["", "pawl/fix"]
    assert len(shop.repository.worktrees) == 1
    replayed = await shop.do("replay", "fix", "--json")
    assert replayed.json["result"] == REPORT
    assert (await shop.do("verify")).code == 0


def killer(process: list[subprocess.Popen[str]], at: int) -> Callable[[Asked], Turn]:
    asked_before = 0

    def then(asked: Asked) -> Turn:
        nonlocal asked_before
        asked_before += 1
        if asked_before == at:
            process[0].send_signal(signal.SIGKILL)
            return Fails(500)
        return answer(asked)

    return then


@pytest.mark.parametrize("at", some([1, 2, 5, 8, 10, 11, 13], most=4))
async def test_killed_in_the_middle_and_resumed_it_gives_the_same(shop: Shop, at: int) -> None:
    """SIGKILL at one of the thirteen requests to the model: in the split, a fix, its tool calls, the second try."""
    processes: list[subprocess.Popen[str]] = []
    async with ScriptedModel(then=killer(processes, at)) as model:
        shop.serve(model)
        with shop.pawl.started(*shop.words(), "--run-id", "fix") as process:
            processes.append(process)
            assert await asyncio.to_thread(process.wait, 60) == -signal.SIGKILL
        told = (await shop.do("resume", "fix", "--yes", "--json")).json
    assert (told["status"], told["error"], told["version"]) == ("completed", None, 2)
    assert told["result"] == REPORT
    shop.assert_fixed()


@pytest.mark.parametrize("nth", some([1, 2, 3, 4], most=2))
@pytest.mark.parametrize("event", ["call_requested", "call_settled"])
async def test_killed_while_it_merges_and_resumed_it_gives_the_same(shop: Shop, event: str, nth: int) -> None:
    async with ScriptedModel(then=answer) as model:
        shop.serve(model)
        with shop.pawl.started(*shop.words(), "--run-id", "fix", "--events", "-") as process:

            def kill_at_merge() -> int:
                assert process.stdout is not None
                merges: set[int] = set()
                seen = 0
                for line in process.stdout:
                    told = json.loads(line)
                    if told["event"] == "call_requested" and told["call_kind"] == "mergeWorktree":
                        merges.add(told["call"])
                    seen += told["event"] == event and told["call"] in merges
                    if seen == nth:
                        process.send_signal(signal.SIGKILL)
                        break
                return process.wait(60)

            assert await asyncio.to_thread(kill_at_merge) == -signal.SIGKILL
        told = (await shop.do("resume", "fix", "--yes", "--json")).json
    assert (told["status"], told["error"]) == ("completed", None)
    assert told["result"] == REPORT
    shop.assert_fixed()


async def test_what_is_not_fixed_is_told(shop: Shop) -> None:
    """One agent gives up, one claims what it did not do, one would change a file that the user is changing."""

    def then(asked: Asked) -> Turn:
        if "nothing else:\n\nThe first price" in asked.text:
            return Call("submit_answer", {"fixed": False, "what": "Nobody knows what is meant"})
        if "nothing else:\n\nTax" in asked.text:
            return Call("submit_answer", {"fixed": True, "what": "All is well"})
        return answer(asked)

    shop.repository.write({"shop/dates.py": FILES["shop/dates.py"] + "\n# the user's\n"})
    before = shop.repository.head
    async with ScriptedModel(then=then) as model:
        shop.serve(model)
        told = (await shop.do(*shop.words(), "--run-id", "fix", "--json")).json
    assert (told["status"], told["error"]) == ("completed", None)
    result = told["result"]
    assert (result["ok"], result["rounds"], result["fixed"]) == (False, 1, [])
    assert {one["title"]: one["why"] for one in result["notFixed"]} == {
        "Years that end in 00": (
            f"mergeWorktree('{shop.repository.branches[-1]}') would overwrite changes of yours that are not committed: "
            "shop/dates.py. Commit or stash them, then resume the run; the branch is kept."
        ),
        "The first price is forgotten": "Nobody knows what is meant",
        "Tax is taken away": "the agent says that it is fixed, and changed nothing",
    }
    assert "FAIL: test_tax" in result["output"]
    assert shop.repository.head == before
    assert shop.repository.read("shop/dates.py").endswith("# the user's\n")


async def test_a_second_round_fixes_what_the_first_did_not(shop: Shop) -> None:
    tries: list[str] = []

    def then(asked: Asked) -> Turn:
        if "nothing else:\n\nTax" in asked.text and asked.turn == 0:
            tries.append("tax")
        if "nothing else:\n\nTax" in asked.text and len(tries) == 1:
            return Call("submit_answer", {"fixed": True, "what": "All is well"})
        return answer(asked)

    async with ScriptedModel(then=then) as model:
        shop.serve(model)
        told = (await shop.do(*shop.words(), "--json")).json
    assert told["result"] == {**REPORT, "rounds": 2}
    shop.assert_fixed()


async def test_with_only_an_agent_goes_on_until_its_own_tests_pass(shop: Shop) -> None:
    """It says that all is well before it has changed anything, and hears that it is not."""
    heard: list[str] = []

    def then(asked: Asked) -> Turn:
        if "nothing else:\n\nTax" not in asked.text:
            return answer(asked)
        match asked.turn:
            case 1:
                heard.append(asked.prompt)
                return Call("read_file", {"path": "shop/money.py"})
            case 2:
                return Call(
                    "edit_file", {"path": "shop/money.py", "old_string": "net - net", "new_string": "net + net"}
                )
            case _:
                return Call("submit_answer", {"fixed": True, "what": "Changed shop/money.py"})

    async with ScriptedModel(then=then) as model:
        shop.serve(model)
        told = (await shop.do(*shop.words(only=f"{TESTS} -k {{tests}}"), "--json")).json
    assert told["result"] == REPORT
    assert len(heard) == 1 and "FAIL: test_tax" in heard[0] and "test_all_prices" not in heard[0]
    shop.assert_fixed()


async def test_with_only_what_never_passes_is_not_merged(shop: Shop) -> None:
    (shop.pawl.folder / ".pawl/config.toml").write_text("[agents]\ngoal_rounds = 2\n")

    def then(asked: Asked) -> Turn:
        if "nothing else:\n\nTax" in asked.text:
            return Call("submit_answer", {"fixed": True, "what": "All is well"})
        return answer(asked)

    async with ScriptedModel(then=then) as model:
        shop.serve(model)
        told = (await shop.do(*shop.words(only=f"{TESTS} -k {{tests}}", rounds=1), "--json")).json
    (missed,) = told["result"]["notFixed"]
    assert missed["title"] == "Tax is taken away"
    assert missed["why"] == (
        f"the agent gave no answer (the goal is not met after 2 rounds: The command `{TESTS} -k 'test_tax'` ended with "
        "exit code 1)"
    )
    assert [one["title"] for one in told["result"]["fixed"]] == [*BUGS][:2]


async def test_without_an_answer_nothing_is_changed(shop: Shop) -> None:
    async with ScriptedModel(then=lambda asked: Fails(400, "no")) as model:
        shop.serve(model)
        told = (await shop.do(*shop.words(), "--json")).json
    assert (told["status"], told["degraded"]) == ("completed", True)
    assert (told["result"]["ok"], told["result"]["rounds"], told["result"]["fixed"]) == (False, 1, [])
    shop.assert_users_own()


async def test_tests_that_pass_cost_nothing(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop", {**FILES, **FIXED})
    told = (await shop.do(*shop.words(backend="sample"), "--json")).json
    assert told["result"] == {"ok": True, "rounds": 0, "fixed": [], "notFixed": [], "output": None}
    assert told["agents"]["total"] == 0


def test_nothing_is_wrong_with_the_script(shop: Shop) -> None:
    report = shop.pawl("check", SCRIPT, "--json").json
    assert (report["ok"], report["files"][0]["problems"]) == (True, [])


def test_a_simulation_answers_everything_and_changes_nothing(shop: Shop) -> None:
    done = shop.pawl("simulate", SCRIPT, "--args", json.dumps({"command": "touch ran"}), "--json")
    assert (done.code, done.json["result"]["ok"]) == (0, True)
    shop.assert_users_own()
