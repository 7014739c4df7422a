"""workflows/migrate.js from end to end: a repository whose files use an old function, a command that knows, and git.

Two of the changes touch neighbouring lines of one file that both need, so that the second is done again when the first
has been merged.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from support.pawl import ROOT, Done, Pawl
from support.repositories import Repository
from support.sampling import some
from support.scripted_model import Asked, Call, Fails, ScriptedModel, Turn

SCRIPT = str(ROOT / "workflows/migrate.js")
COMMAND = f"{sys.executable} -B check.py"

FILES = {
    ".gitignore": "__pycache__/\n/.pawl/\n/app/.pawl/\n",
    # Runs every module. A module that uses the new function must be listed, and none may use both.
    "check.py": (
        "import pathlib, sys\n"
        "users = pathlib.Path('users.txt').read_text().split()\n"
        "for path in sorted(pathlib.Path('src').glob('*.py')):\n"
        "    text = path.read_text()\n"
        "    compile(text, str(path), 'exec')\n"
        "    if 'new(' in text and path.stem not in users:\n"
        "        sys.exit(f'{path}: is not in users.txt')\n"
        "    if 'new(' in text and 'old(' in text:\n"
        "        sys.exit(f'{path}: is migrated by half')\n"
    ),
    "users.txt": "first\nlast\n",
    "src/apple.py": "def eat():\n    return old(1)\n",
    "src/pear.py": "def eat():\n    return old(2)\n",
    "src/plum.py": "def eat():\n    return old(3) + old(4)\n",
    "src/stone.py": "def eat():\n    return None\n",
}

DONE = {
    "users.txt": "first\napple\npear\nplum\nlast\n",
    "src/apple.py": "def eat():\n    return new(1)\n",
    "src/pear.py": "def eat():\n    return new(2)\n",
    "src/plum.py": "def eat():\n    return new(3) + new(4)\n",
}
FRUIT = ("apple", "pear", "plum")


def fruit_of(asked: Asked) -> str:
    found = re.search(r"Do this in src/(\w+)\.py", asked.text)
    assert found is not None, asked.text
    return found[1]


def answer(asked: Asked) -> Turn:
    """What a good model does: it reads both files, edits them, and says so."""
    if "Find all files" in asked.text:
        return Call("submit_answer", {"files": [f"src/{fruit}.py" for fruit in FRUIT]})
    fruit = fruit_of(asked)
    match asked.turn:
        case 0:
            return Call("read_file", {"path": f"src/{fruit}.py"})
        case 1:
            return Call("read_file", {"path": "users.txt"})
        case 2:
            listed = next(result for result in asked.results if "last" in result.text)
            known = [name for name in FRUIT if re.search(rf"\b{name}\b", listed.text)]
            wanted = sorted([*known, fruit])
            lines = lambda names: "".join(f"{name}\n" for name in ("first", *names, "last"))  # noqa: E731
            return Call("write_file", {"path": "users.txt", "content": lines(wanted)})
        case 3:
            return Call("write_file", {"path": f"src/{fruit}.py", "content": DONE[f"src/{fruit}.py"]})
        case _:
            return Call("submit_answer", {"outcome": "changed", "what": f"{fruit} is new"})


class Orchard:
    """The repository, with changes of its user in it, and `pawl` at work there."""

    def __init__(self, folder: Path, files: dict[str, str] = FILES, *, below: str = ".") -> None:
        self.repository = Repository.make(folder, files)
        self.repository.write({"notes.txt": "the user's\n"})
        self.pawl = Pawl(folder / below)

    def serve(self, model: ScriptedModel) -> None:
        self.pawl.environ |= {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "k"}

    def words(self, *, backend: str = "openai:scripted", run_id: str = "migrate", **args: Any) -> list[str]:
        given = {"task": "Use new() instead of old().", "command": COMMAND, "files": ["src/*.py"], "containing": "old("}
        wanted = {name: value for name, value in {**given, **args}.items() if value is not None}
        flags = ["--backend", backend, "--allow", "check,files", "--yes", "--run-id", run_id]
        return ["run", SCRIPT, "--args", json.dumps(wanted), *flags]

    async def do(self, *words: str) -> Done:
        return await asyncio.to_thread(self.pawl, *words)

    async def migrate(self, **args: Any) -> Any:
        done = await self.do(*self.words(**args), "--json")
        assert done.code == 0, done.err
        return done.json

    @property
    def subjects(self) -> list[str]:
        return self.repository.git("log", "--first-parent", "--format=%s").splitlines()

    def assert_migrated(self) -> None:
        assert {name: self.repository.read(name) for name in DONE} == DONE
        assert self.subjects == [*(f"Migrate src/{fruit}.py" for fruit in reversed(FRUIT)), "Start"]
        assert self.repository.status == ["?? notes.txt"]
        assert self.repository.git("branch", "--show-current") == "main"


REPORT = {
    "ok": True,
    "why": None,
    "sites": 3,
    "migrated": [
        {"file": f"src/{fruit}.py", "what": f"{fruit} is new", "files": [f"src/{fruit}.py", "users.txt"]}
        for fruit in FRUIT
    ],
    "nothingToDo": [],
    "failed": [],
    "waiting": [],
    "final": {"ok": True, "exitCode": 0, "output": None},
}


@pytest.fixture
def orchard(tmp_path: Path) -> Orchard:
    return Orchard(tmp_path / "orchard")


async def test_all_sites_are_migrated_verified_and_merged(orchard: Orchard) -> None:
    async with ScriptedModel(then=answer) as model:
        orchard.serve(model)
        told = await orchard.migrate()
    assert (told["status"], told["degraded"]) == ("completed", False)
    assert told["result"] == REPORT
    assert told["agents"]["total"] == 5  # three files, two of them again on the merged state
    orchard.assert_migrated()
    replayed = await orchard.do("replay", "migrate", "--json")
    assert replayed.json["result"] == REPORT
    assert (await orchard.do("verify")).code == 0


async def test_an_agent_finds_the_files_and_code_drops_what_is_not_there(orchard: Orchard) -> None:
    def then(asked: Asked) -> Turn:
        if "Find all files" in asked.text:
            files = ["src/pear.py", "src/apple.py", "src/apple.py", "src/grape.py", "../secret", "src", "src/plum.py"]
            return Call("submit_answer", {"files": files})
        return answer(asked)

    async with ScriptedModel(then=then) as model:
        orchard.serve(model)
        done = await orchard.do(*orchard.words(files=None, containing=None), "--json")
    assert done.json["result"] == REPORT
    for made_up in ("src/grape.py", "../secret", "src"):
        assert f"dropped, for there is no such file: {made_up}\n" in done.err


async def test_an_agent_whose_change_fails_goes_on_until_the_command_passes(orchard: Orchard) -> None:
    heard: list[str] = []

    def then(asked: Asked) -> Turn:
        if fruit_of(asked) != "apple":
            return answer(asked)
        if asked.turn == 0:
            return Call("write_file", {"path": "src/apple.py", "content": DONE["src/apple.py"]})
        if asked.turn == 2:
            heard.append(asked.prompt)
            return Call("write_file", {"path": "users.txt", "content": "first\napple\nlast\n"})
        return Call("submit_answer", {"outcome": "changed", "what": "apple is new"})

    async with ScriptedModel(then=then) as model:
        orchard.serve(model)
        told = await orchard.migrate()
    assert told["result"] == REPORT
    assert len(heard) == 1 and "src/apple.py: is not in users.txt" in heard[0]
    orchard.assert_migrated()


async def test_what_fails_is_told_and_the_rest_is_merged(orchard: Orchard) -> None:
    """One change breaks the command however often it is told, and one agent gives up."""

    def then(asked: Asked) -> Turn:
        fruit = fruit_of(asked)
        if fruit == "apple" and asked.turn == 0:
            return Call("write_file", {"path": "src/apple.py", "content": "def eat():\n    return new(1) + old(1)\n"})
        if fruit == "apple":
            return Call("submit_answer", {"outcome": "changed", "what": "All of it"})
        if fruit == "pear":
            return Call("submit_answer", {"outcome": "cannot be done", "what": "Nobody knows what new() takes"})
        return answer(asked)

    (orchard.pawl.folder / ".pawl/config.toml").write_text("[agents]\ngoal_rounds = 2\n")
    async with ScriptedModel(then=then) as model:
        orchard.serve(model)
        told = await orchard.migrate()
    result = told["result"]
    assert (result["ok"], result["why"], result["sites"]) == (False, None, 3)
    assert [one["file"] for one in result["migrated"]] == ["src/plum.py"]
    failed = {one["file"]: one for one in result["failed"]}
    assert failed["src/apple.py"]["why"] == (
        f"the goal is not met after 2 rounds: The command `{COMMAND}` ended with exit code 1 (`pawl show` names the branch)"
    )
    assert failed["src/pear.py"] == {"file": "src/pear.py", "why": "Nobody knows what new() takes", "branch": None}
    kept = [branch for branch in orchard.repository.branches if branch != "main"]
    assert [orchard.repository.show(branch, "src/apple.py") for branch in kept] == [
        "def eat():\n    return new(1) + old(1)"
    ]
    assert orchard.subjects == ["Migrate src/plum.py", "Start"]
    assert orchard.repository.read("src/apple.py") == FILES["src/apple.py"]


async def test_claims_without_changes_do_not_count(orchard: Orchard) -> None:
    def then(asked: Asked) -> Turn:
        if fruit_of(asked) == "apple":
            return Call("submit_answer", {"outcome": "nothing to do", "what": "It is a stone"})
        return Call("submit_answer", {"outcome": "changed", "what": "All is well"})

    async with ScriptedModel(then=then) as model:
        orchard.serve(model)
        result = (await orchard.migrate(most=2))["result"]
    assert result["nothingToDo"] == [{"file": "src/apple.py", "why": "It is a stone"}]
    lie = "the agent says that it is changed, and changed nothing"
    assert result["failed"] == [{"file": "src/pear.py", "why": lie, "branch": None}]
    assert (result["ok"], result["sites"], result["waiting"]) == (False, 3, ["src/plum.py"])
    assert orchard.subjects == ["Start"]


async def test_changes_that_only_fail_together_are_told(orchard: Orchard) -> None:
    (orchard.pawl.folder / ".pawl/config.toml").write_text("[agents]\ngoal_rounds = 1\n")
    command = 'test "$(grep -l "new(" src/*.py | wc -l)" -lt 2'
    async with ScriptedModel(then=answer) as model:
        orchard.serve(model)
        # The second is done again on the merged state, where it does not pass any more: it is not merged.
        result = (await orchard.migrate(command=command))["result"]
    assert [one["file"] for one in result["migrated"]] == ["src/apple.py"]
    assert [one["file"] for one in result["failed"]] == ["src/pear.py", "src/plum.py"]
    assert result["failed"][0]["why"].startswith("conflicts in users.txt, and when it was done again: the goal is not")
    assert (result["ok"], result["final"]["ok"]) == (False, True)

    def alone(asked: Asked) -> Turn:
        """Without the file that all of them change, nothing conflicts."""
        fruit = fruit_of(asked)
        if asked.turn == 0:
            return Call("write_file", {"path": f"src/{fruit}.py", "content": DONE[f"src/{fruit}.py"]})
        return Call("submit_answer", {"outcome": "changed", "what": "New"})

    orchard.repository.git("reset", "--quiet", "--hard", "HEAD~1")
    async with ScriptedModel(then=alone) as model:
        orchard.serve(model)
        result = (await orchard.migrate(command=command, run_id="together"))["result"]
    assert len(result["migrated"]) == 3
    assert (result["ok"], result["why"]) == (False, "the command fails on everything together")
    assert result["final"] == {"ok": False, "exitCode": 1, "output": ""}


async def test_a_pattern_that_matches_nothing_is_not_done(orchard: Orchard) -> None:
    told = await orchard.migrate(backend="sample", files=["source/*.py"])
    assert (told["result"]["ok"], told["result"]["why"]) == (False, "there is no such file")
    assert told["agents"]["total"] == 0


async def test_a_command_that_fails_before_stops_it(orchard: Orchard) -> None:
    result = (await orchard.migrate(backend="sample", command="echo red; exit 7"))["result"]
    assert (result["ok"], result["why"]) == (False, "the command fails before anything was changed")
    assert result["final"] == {"ok": False, "exitCode": 7, "output": "red"}
    assert orchard.subjects == ["Start"]


async def test_the_users_own_changes_come_first(orchard: Orchard) -> None:
    orchard.repository.write({"src/apple.py": FILES["src/apple.py"] + "# the user's\n"})
    async with ScriptedModel(then=answer) as model:
        orchard.serve(model)
        result = (await orchard.migrate())["result"]
    (failed,) = result["failed"]
    assert failed["file"] == "src/apple.py" and failed["branch"] in orchard.repository.branches
    assert "would overwrite changes of yours that are not committed: src/apple.py" in failed["why"]
    assert [one["file"] for one in result["migrated"]] == ["src/pear.py", "src/plum.py"]
    assert orchard.repository.read("src/apple.py").endswith("# the user's\n")


async def test_a_project_below_the_top_of_its_repository(tmp_path: Path) -> None:
    orchard = Orchard(tmp_path / "orchard", {f"app/{name}": text for name, text in FILES.items()}, below="app")
    async with ScriptedModel(then=answer) as model:
        orchard.serve(model)
        result = (await orchard.migrate())["result"]
    assert result["ok"] is True
    assert [one["files"] for one in result["migrated"]] == [[f"app/src/{fruit}.py", "app/users.txt"] for fruit in FRUIT]
    assert orchard.repository.read("app/users.txt") == DONE["users.txt"]


async def test_without_answers_nothing_is_changed(orchard: Orchard) -> None:
    async with ScriptedModel(then=lambda asked: Fails(400, "no")) as model:
        orchard.serve(model)
        told = await orchard.migrate()
        found = await orchard.migrate(run_id="search", files=None, containing=None)
    assert (told["status"], told["degraded"]) == ("completed", True)
    assert {one["why"].partition(" (")[0] for one in told["result"]["failed"]} == {"the agent gave no answer"}
    assert (told["result"]["ok"], len(told["result"]["failed"])) == (False, 3)
    assert (found["result"]["ok"], found["result"]["why"]) == (False, "nobody found the files to migrate")
    assert orchard.subjects == ["Start"]


async def test_a_cap_in_the_middle_does_not_hide_what_was_merged(orchard: Orchard) -> None:
    """Three agents may be asked: nobody is left to do again what conflicts."""
    async with ScriptedModel(then=answer) as model:
        orchard.serve(model)
        done = await orchard.do(*orchard.words(), "--max-agents", "3", "--json")
    result = done.json["result"]
    assert [one["file"] for one in result["migrated"]] == ["src/apple.py"]
    whys = {one["file"]: one["why"] for one in result["failed"]}
    start = "conflicts in users.txt, and when it was done again: "
    assert [*whys] == ["src/pear.py", "src/plum.py"] and all(why.startswith(start) for why in whys.values())
    assert "3 agents" in whys["src/pear.py"]
    assert (result["ok"], orchard.subjects) == (False, ["Migrate src/apple.py", "Start"])


async def test_without_git_every_file_says_why(tmp_path: Path) -> None:
    orchard = Orchard(tmp_path / "orchard")
    shutil.rmtree(tmp_path / "orchard/.git")
    async with ScriptedModel(then=answer) as model:
        orchard.serve(model)
        result = (await orchard.migrate())["result"]
    assert result["ok"] is False and len(result["failed"]) == 3
    assert all("git" in one["why"] for one in result["failed"])


@pytest.mark.parametrize("nth", some(range(1, 19)))
async def test_killed_after_each_call_and_resumed_it_gives_the_same(orchard: Orchard, nth: int) -> None:
    async with ScriptedModel(then=answer) as model:
        orchard.serve(model)
        with orchard.pawl.started(*orchard.words(), "--events", "-") as process:

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
        told = (await orchard.do("resume", "migrate", "--yes", "--json")).json
    assert (told["status"], told["error"], told["version"]) == ("completed", None, 2)
    assert told["result"] == REPORT
    orchard.assert_migrated()


@pytest.mark.parametrize("seed", some([1, 2, 3], most=1))
@pytest.mark.parametrize("fail", [0, 0.4])
async def test_made_up_answers_account_for_every_file(orchard: Orchard, seed: int, fail: float) -> None:
    told = await orchard.migrate(backend=f"sample:fail={fail},seed={seed}")
    result = told["result"]
    named = [one["file"] for one in result["nothingToDo"] + result["failed"]]
    assert sorted(named) == [f"src/{fruit}.py" for fruit in FRUIT]
    assert result["ok"] is (result["failed"] == [])
    assert (result["migrated"], orchard.subjects) == ([], ["Start"])


def test_nothing_is_wrong_with_the_script(orchard: Orchard) -> None:
    report = orchard.pawl("check", SCRIPT, "--json").json
    assert (report["ok"], report["files"][0]["problems"]) == (True, [])


def test_a_simulation_changes_nothing(orchard: Orchard) -> None:
    given = json.dumps({"task": "t", "command": "touch ran", "files": ["src/*.py"]})
    done = orchard.pawl("simulate", SCRIPT, "--args", given, "--json")
    assert (done.code, done.json["result"]["sites"]) == (0, 4)
    assert orchard.repository.status == ["?? notes.txt"]
