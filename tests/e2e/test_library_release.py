"""workflows/release.js from end to end: a repository with a history, a scripted model, and a person who answers."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from support.pawl import ROOT, Done, Pawl
from support.repositories import Repository
from support.sampling import some
from support.scripted_model import Asked, Call, Fails, ScriptedModel, Turn

SCRIPT = str(ROOT / "workflows/release.js")
BEFORE = "# Changelog\n\n## [Unreleased]\n\n## [1.0.0] - 2025-01-01\n\nThe first.\n"
HISTORY = (
    "feat(cli): say what is wrong",
    "fix: keep the last line",
    "Make pears out of apples",
    "chore: a newer linter",
    "feat!: take pears only",
    "Nobody knows this one",
)


class Shop:
    """A repository that was released once and has a history since, and `pawl` at work in it."""

    def __init__(self, folder: Path) -> None:
        self.repository = Repository.make(folder, {"CHANGELOG.md": BEFORE, ".gitignore": "/.pawl/\n"})
        self.repository.git("tag", "v1.0.0")
        for subject in HISTORY:
            self.repository.git("commit", "--quiet", "--allow-empty", "--message", subject)
        self.head = self.repository.head
        self.pawl = Pawl(folder)

    def commit(self, subject: str) -> str:
        return self.repository.git("log", "-1", "--format=%h", "--fixed-strings", f"--grep={subject}")

    def serve(self, model: ScriptedModel) -> None:
        self.pawl.environ |= {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "k"}

    def words(self, *, backend: str = "openai:scripted", allow: str = "check,ask,files", **args: Any) -> list[str]:
        given = json.dumps({"version": "1.1.0", **args})
        return ["run", SCRIPT, "--args", given, "--backend", backend, "--allow", allow, "--yes", "--run-id", "release"]

    async def do(self, *words: str) -> Done:
        return await asyncio.to_thread(self.pawl, *words)

    async def start(self, **options: Any) -> Done:
        return await self.do(*self.words(**options), "--json")

    async def answer(self, value: str, *flags: str) -> Done:
        """What a person does from anywhere: answers the question that waits, and lets the run go on."""
        shown = (await self.do("show", "release", "--calls", "--json")).json
        (question,) = [call for call in shown["calls"] if call["kind"] == "ask" and call["settled_at"] is None]
        answered = await self.do("answer", "release", str(question["call"]), value)
        assert answered.code == 0, answered.err
        return await self.do("resume", "release", "--yes", "--json", *flags)

    @property
    def changelog(self) -> str:
        return self.repository.read("CHANGELOG.md")

    def assert_nothing_else(self) -> None:
        """Never a tag, a commit or a push."""
        assert self.repository.git("tag") == "v1.0.0"
        assert self.repository.head == self.head
        assert [line for line in self.repository.status if "CHANGELOG.md" not in line] == []


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop")


def answer(asked: Asked) -> Turn:
    """What a good model says; it also makes up a commit."""
    text = asked.text
    if "Commits of a project" in text:
        commits = [
            {"commit": _commit(text, "Make pears"), "kind": "added", "line": "Pears can be\nmade out of apples"},
            {"commit": _commit(text, "Nobody knows"), "kind": "internal", "line": "Nothing"},
            {"commit": "abcdef0", "kind": "added", "line": "A commit that is not there"},
        ]
        return Call("submit_answer", {"commits": commits})
    if "An entry of a changelog" in text:
        entry = text.split("An entry of a changelog:\n\n")[1].split("\n\nChange it")[0]
        return Call("submit_answer", {"entry": entry.replace("Pears can", "Better pears can")})
    return Call("submit_answer", {"summary": "# Pears\nare here."})


def _commit(text: str, subject: str) -> str:
    found = re.search(rf"^(\w+) {subject}", text, re.MULTILINE)
    assert found is not None
    return found[1]


def entry_of(shop: Shop, *, pears: str = "Pears") -> str:
    commit = {subject: shop.commit(subject) for subject in HISTORY}
    return (
        f"## [1.1.0] - {date.today().isoformat()}\n\n"
        "Pears are here.\n\n"
        f"### Breaking\n\n- take pears only ({commit[HISTORY[4]]})\n\n"
        f"### Added\n\n- {pears} can be made out of apples ({commit[HISTORY[2]]})\n"
        f"- cli: say what is wrong ({commit[HISTORY[0]]})\n\n"
        f"### Fixed\n\n- keep the last line ({commit[HISTORY[1]]})"
    )


def with_entry(entry: str) -> str:
    return BEFORE.replace("## [1.0.0]", f"{entry}\n\n## [1.0.0]")


async def test_a_person_publishes_and_only_the_changelog_changes(shop: Shop) -> None:
    async with ScriptedModel(then=answer) as model:
        shop.serve(model)
        asked = await shop.start(checks=["true", "test -f CHANGELOG.md"])
        assert (asked.code, asked.json["status"]) == (5, "paused")
        assert shop.changelog == BEFORE
        told = (await shop.answer("publish")).json
    assert (told["status"], told["degraded"]) == ("completed", False)
    result = told["result"]
    assert (result["status"], result["published"], result["since"]) == ("published", True, "v1.0.0")
    assert (result["commits"], len(result["notes"]), result["internal"]) == (6, 4, 2)
    assert [(one["command"], one["ok"]) for one in result["checks"]] == [("true", True), ("test -f CHANGELOG.md", True)]
    assert result["entry"] == entry_of(shop)
    assert shop.changelog == with_entry(entry_of(shop))
    shop.assert_nothing_else()


async def test_a_person_edits_in_words_and_by_hand(shop: Shop) -> None:
    async with ScriptedModel(then=answer) as model:
        shop.serve(model)
        assert (await shop.start()).code == 5
        assert (await shop.answer("edit")).code == 5
        assert (await shop.answer("Say that pears are better")).code == 5
        shown = (await shop.do("show", "release", "--calls", "--json")).json
        (question,) = [call for call in shown["calls"] if call["kind"] == "ask" and call["settled_at"] is None]
        content = (await shop.do("show", "release", "--call", str(question["call"]), "--json")).json["content"]
        assert content["question"].endswith(entry_of(shop, pears="Better pears"))
        assert (await shop.answer("edit")).code == 5
        assert (await shop.answer("## [1.1.0] - today\n\nPears.")).code == 5
        told = (await shop.answer("publish")).json
    assert told["result"]["entry"] == "## [1.1.0] - today\n\nPears."
    assert shop.changelog == with_entry("## [1.1.0] - today\n\nPears.")
    shop.assert_nothing_else()


async def test_a_person_stops_and_nothing_is_written(shop: Shop) -> None:
    async with ScriptedModel(then=answer) as model:
        shop.serve(model)
        assert (await shop.start()).code == 5
        result = (await shop.answer("stop")).json["result"]
    assert (result["status"], result["published"]) == ("stopped", False)
    assert result["entry"] == entry_of(shop)
    assert shop.changelog == BEFORE
    shop.assert_nothing_else()


async def test_a_check_that_fails_ends_it_before_anything_is_asked(shop: Shop) -> None:
    done = await shop.start(backend="sample", checks=["echo broken; exit 3", "true"])
    assert done.code == 0
    result = done.json["result"]
    assert (result["status"], result["published"], result["entry"]) == ("checks failed", False, None)
    assert result["checks"] == [
        {"command": "echo broken; exit 3", "ok": False, "exitCode": 3, "output": "broken"},
        {"command": "true", "ok": True, "exitCode": 0, "output": None},
    ]
    assert done.json["agents"]["total"] == 0
    assert shop.changelog == BEFORE


async def test_without_a_model_the_notes_are_the_commits_own_words(shop: Shop) -> None:
    async with ScriptedModel(then=lambda asked: Fails(400, "no")) as model:
        shop.serve(model)
        asked = await shop.start()
        assert '2 commits stand under "Other" as they are: nobody sorted them' in asked.err
        assert "the notes have no summary: nobody wrote one" in asked.err
        # Otherwise what failed is asked again, and notes that may be others need another yes.
        told = (await shop.answer("publish", "--keep-failures")).json
    assert (told["status"], told["degraded"]) == ("completed", True)
    others = [one["line"] for one in told["result"]["notes"] if one["kind"] == "other"]
    assert sorted(others) == ["Make pears out of apples", "Nobody knows this one"]
    assert f"### Other\n\n- Nobody knows this one ({shop.commit(HISTORY[5])})" in shop.changelog
    shop.assert_nothing_else()


@pytest.mark.parametrize(
    ("args", "status"),
    [({"since": "HEAD"}, "nothing to release"), ({"version": "1.0.0"}, None), ({"since": "nowhere"}, None)],
)
async def test_what_cannot_be_released_says_so(shop: Shop, args: dict[str, str], status: str | None) -> None:
    done = await shop.start(backend="sample", **args)
    if status is not None:
        assert (done.code, done.json["result"]["status"], done.json["result"]["published"]) == (0, status, False)
    else:
        assert (done.code, done.json["status"]) == (1, "failed")
        assert "has an entry for 1.0.0 already" in done.err or "the history since nowhere cannot be read" in done.err
    assert shop.changelog == BEFORE


async def test_a_project_without_tag_and_changelog_gets_its_first_entry(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    shop.repository.git("tag", "--delete", "v1.0.0")
    (tmp_path / "shop/CHANGELOG.md").unlink()
    async with ScriptedModel(then=answer) as model:
        shop.serve(model)
        assert (await shop.start()).code == 5
        result = (await shop.answer("publish")).json["result"]
    assert (result["since"], result["commits"]) == (None, 7)
    assert shop.changelog == f"# Changelog\n\n{result['entry']}\n"


async def test_an_entry_that_somebody_made_in_the_meantime_stays_the_only_one(shop: Shop) -> None:
    async with ScriptedModel(then=answer) as model:
        shop.serve(model)
        assert (await shop.start()).code == 5
        theirs = with_entry("## 1.1.0\n\nBy hand.")
        shop.repository.write({"CHANGELOG.md": theirs})
        done = await shop.answer("publish")
    assert (done.code, done.json["status"]) == (1, "failed")
    assert "CHANGELOG.md got an entry for 1.1.0 while the notes were looked at: nothing is written" in done.err
    assert shop.changelog == theirs


@pytest.mark.parametrize("nth", some(range(1, 7)))
async def test_killed_after_each_call_before_the_gate_and_resumed_it_gives_the_same(shop: Shop, nth: int) -> None:
    async with ScriptedModel(then=answer) as model:
        shop.serve(model)
        words = shop.words(checks=["true"])
        assert await asyncio.to_thread(killed, shop, words, "call_settled", nth) == -signal.SIGKILL
        assert (await shop.do("resume", "release", "--yes", "--json")).code == 5
        result = (await shop.answer("publish")).json["result"]
    assert result["entry"] == entry_of(shop)
    assert shop.changelog == with_entry(entry_of(shop))
    shop.assert_nothing_else()


@pytest.mark.parametrize("event", ["call_requested", "call_settled"])
@pytest.mark.parametrize("kind", ["readFile", "writeFile"])
async def test_killed_while_it_writes_and_resumed_there_is_one_entry(shop: Shop, kind: str, event: str) -> None:
    async with ScriptedModel(then=answer) as model:
        shop.serve(model)
        assert (await shop.start()).code == 5
        (call,) = [
            call["call"]
            for call in (await shop.do("show", "release", "--calls", "--json")).json["calls"]
            if call["kind"] == "ask"
        ]
        assert (await shop.do("answer", "release", str(call), "publish")).code == 0
        words = ["resume", "release", "--yes"]
        assert await asyncio.to_thread(killed, shop, words, event, 1, kind) == -signal.SIGKILL
        told = (await shop.do("resume", "release", "--yes", "--json")).json
    assert told["result"]["status"] == "published"
    assert shop.changelog == with_entry(entry_of(shop))
    shop.assert_nothing_else()


def killed(shop: Shop, words: list[str], event: str, nth: int, kind: str = "") -> int:
    """Runs a command and kills it at the nth event, of calls of one kind or of all."""
    with shop.pawl.started(*words, "--events", "-") as process:
        assert process.stdout is not None
        kinds: dict[int, str] = {}
        seen = 0
        for line in process.stdout:
            told = json.loads(line)
            if told["event"] == "call_requested":
                kinds[told["call"]] = told["call_kind"]
            seen += told["event"] == event and kinds.get(told["call"], "").startswith(kind)
            if seen == nth:
                process.send_signal(signal.SIGKILL)
                break
        return process.wait(60)


@pytest.mark.parametrize("seed", some([1, 2, 3], most=1))
@pytest.mark.parametrize("fail", [0, 0.5])
async def test_made_up_answers_never_lose_a_commit(shop: Shop, seed: int, fail: float) -> None:
    asked = await shop.start(backend=f"sample:fail={fail},seed={seed}")
    assert asked.code == 5
    result = (await shop.answer("publish", "--keep-failures")).json["result"]
    assert len(result["notes"]) + result["internal"] == result["commits"] == 6
    assert all(shop.commit(subject) in shop.changelog for subject in HISTORY if not subject.startswith("chore"))


def test_nothing_is_wrong_with_the_script(shop: Shop) -> None:
    report = shop.pawl("check", SCRIPT, "--json").json
    assert (report["ok"], report["files"][0]["problems"]) == (True, [])


def test_a_simulation_writes_nothing(shop: Shop) -> None:
    done = shop.pawl("simulate", SCRIPT, "--args", '{"version": "1.1.0", "since": "v1.0.0"}', "--json")
    assert (done.code, done.json["result"]["published"]) == (0, False)
    assert shop.changelog == BEFORE
