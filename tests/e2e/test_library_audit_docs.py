"""workflows/audit-docs.js from end to end: a small project whose pages are partly wrong, and readers that are scripted."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from support.pawl import ROOT, Done, Pawl
from support.sampling import some
from support.scripted_model import Asked, Call, Fails, ScriptedModel, Turn

SCRIPT = str(ROOT / "workflows/audit-docs.js")

FILES = {
    "README.md": (
        "# Clock\n\n> A clock. It ticks every second,\n> and **never** twice.\n\n"
        "`clock --fast` makes it tick twice as\nfast. The default port is 8080.\n"
    ),
    "docs/hands.md": "# Hands\n\nThere are three hands.\nThe hand for hours lives in `hands/hours.py`.\nHands are beautiful.\n",
    "docs/empty.md": "",
    "clock.py": "PORT = 9090\nTICK_S = 1\nHANDS = ('hours', 'minutes')\n",
}

CLAIMS = {
    "README.md": [
        ("The default port is 8080.", "PORT is 8080"),
        ("It ticks every second", "TICK_S is 1"),
        ("`clock --fast` makes it tick twice as fast.", "there is an option --fast"),
        ("The clock is made of gold and silver.", "made up"),
    ],
    "docs/hands.md": [
        ("There are three hands.", "HANDS has three entries"),
        ("The hand for hours lives in `hands/hours.py`.", "hands/hours.py is there"),
        ("Hands are beautiful.", "they are"),
        ("There are three hands.", "HANDS has three entries"),
    ],
}
"""What the reader of each page says that it claims: one that the page does not say, one twice."""

PORT = {"state": "wrong", "why": "It is 9090", "file": "clock.py", "evidence": "PORT  =\n9090"}
HANDS = {"state": "wrong", "why": "There are two", "file": "clock.py", "evidence": "HANDS = ('hours', 'minutes')"}
READ: dict[str, list[dict[str, str]]] = {
    "PORT is 8080": [
        PORT,
        PORT,
        {"state": "stale", "why": "It was once", "file": "clock.py", "evidence": "PORT = 9090"},
    ],
    "TICK_S is 1": [{"state": "holds", "why": "It is", "file": "clock.py", "evidence": "TICK_S = 1"}],
    "there is an option --fast": [
        {"state": "wrong", "why": "No such option", "file": "clock.py", "evidence": "argparse.ArgumentParser()"}
    ],
    "HANDS has three entries": [HANDS, {"state": "holds", "why": "Three, surely"}, HANDS],
    "hands/hours.py is there": [
        {"state": "stale", "why": "No such file", "file": "clock.py", "evidence": "TICK_S = 1"},
        {"state": "holds", "why": "It is built"},
        {"state": "unverifiable", "why": "Who knows"},
    ],
    "they are": [{"state": "unverifiable", "why": "A matter of taste"}],
}
"""What the first, second and third reader of a claim find."""


def answer(asked: Asked) -> Turn:
    text = asked.text
    if page := re.search(r"A page of the documentation, ([\w/.]+):", text):
        claims = [{"quote": quote, "claim": claim} for quote, claim in CLAIMS[page[1]]]
        return Call("submit_answer", {"claims": claims})
    if "Write what should stand there" in text:
        return Call("submit_answer", {"text": "The default port is 9090." if "8080" in text else "There are $& hands."})
    claim = re.search(r"That claims: (.+)", text)
    reader = re.search(r"\(Reader (\d) of 3\.\)", text)
    assert claim is not None, text
    return Call("submit_answer", READ[claim[1]][int(reader[1]) - 1 if reader else 0])


class Clock:
    """The project, and `pawl` at work in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in FILES.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.pawl = Pawl(folder)

    def serve(self, model: ScriptedModel) -> None:
        self.pawl.environ |= {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "k"}

    def words(self, *, backend: str = "openai:scripted", allow: str = "files,ask", **args: Any) -> list[str]:
        flags = ["--backend", backend, "--allow", allow, "--yes", "--run-id", "audit"]
        return ["run", SCRIPT, "--args", json.dumps(args), *flags]

    async def do(self, *words: str) -> Done:
        return await asyncio.to_thread(self.pawl, *words)

    async def answer(self, value: str) -> Done:
        shown = (await self.do("show", "audit", "--calls", "--json")).json
        (question,) = [call for call in shown["calls"] if call["kind"] == "ask" and call["settled_at"] is None]
        assert (await self.do("answer", "audit", str(question["call"]), value)).code == 0
        return await self.do("resume", "audit", "--yes", "--json")

    @property
    def files(self) -> dict[str, str]:
        return {name: (self.folder / name).read_text() for name in FILES}


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


def told(file: str, line: int, n: int, why: str, **more: Any) -> dict[str, Any]:
    quote, claim = CLAIMS[file][n]
    given = {"file": file, "line": line, "quote": quote, "claim": claim, "why": why, "evidence": None, "votes": None}
    return {**given, **more}


REPORT = {
    "ok": False,
    "pages": 3,
    "claims": 6,
    "holds": 2,
    "wrong": [
        told(
            "README.md", 7, 0, "It is 9090",
            evidence={"file": "clock.py", "line": 1, "text": "PORT = 9090"}, votes={"for": 3, "of": 3},
        ),
        told(
            "docs/hands.md", 3, 0, "There are two",
            evidence={"file": "clock.py", "line": 3, "text": "HANDS = ('hours', 'minutes')"}, votes={"for": 2, "of": 3},
        ),
    ],
    "stale": [],
    "unverifiable": [
        {
            **told("README.md", 6, 2, "called wrong without evidence that is there: No such option"),
            "quote": "`clock --fast` makes it tick twice as\nfast.",
        },
        told("docs/hands.md", 5, 2, "A matter of taste"),
    ],
    "unanswered": [],
    "dropped": 1,
    "gaps": [],
    "corrections": None,
}  # fmt: skip

CORRECTED = {
    **FILES,
    "README.md": FILES["README.md"].replace("8080", "9090"),
    "docs/hands.md": FILES["docs/hands.md"].replace("There are three hands.", "There are $& hands."),
}


async def test_what_is_wrong_is_told_with_its_line_and_its_evidence(clock: Clock) -> None:
    async with ScriptedModel(then=answer) as model:
        clock.serve(model)
        done = await clock.do(*clock.words(), "--json")
    told = done.json
    assert (told["status"], told["degraded"]) == ("completed", False)
    assert told["result"] == REPORT
    assert "README.md: dropped, for the page does not say: The clock is made of gold and silver.\n" in done.err
    assert "README.md:6: called wrong, and the evidence is not in clock.py\n" in done.err
    assert "docs/hands.md:4: a first reader called it stale, the others did not\n" in done.err
    assert told["agents"]["total"] == 2 + 6 + 3 * 2  # pages, claims, and two more for each of three faults
    assert clock.files == FILES
    assert (await clock.do("replay", "audit", "--json")).json["result"] == told["result"]


async def test_corrections_are_written_after_a_yes(clock: Clock) -> None:
    async with ScriptedModel(then=answer) as model:
        clock.serve(model)
        asked = await clock.do(*clock.words(fix=True), "--json")
        assert (asked.code, asked.json["status"]) == (5, "paused")
        assert clock.files == FILES
        result = (await clock.answer("write")).json["result"]
    proposed = [
        {"file": "README.md", "line": 7, "old": "The default port is 8080.", "new": "The default port is 9090."},
        {"file": "docs/hands.md", "line": 3, "old": "There are three hands.", "new": "There are $& hands."},
    ]
    assert result == {**REPORT, "corrections": {"proposed": proposed, "written": proposed, "why": None}}
    assert clock.files == CORRECTED


async def test_what_changed_while_a_person_thought_is_left_alone(clock: Clock) -> None:
    async with ScriptedModel(then=answer) as model:
        clock.serve(model)
        assert (await clock.do(*clock.words(fix=True), "--json")).code == 5
        (clock.folder / "README.md").write_text("# Another clock\n")
        done = await clock.answer("write")
    written = done.json["result"]["corrections"]["written"]
    assert [one["file"] for one in written] == ["docs/hands.md"]
    assert "README.md:7: not written, for the old words are not there exactly once\n" in done.err
    assert clock.files == {**CORRECTED, "README.md": "# Another clock\n"}


async def test_a_no_and_a_missing_permission_write_nothing(clock: Clock) -> None:
    async with ScriptedModel(then=answer) as model:
        clock.serve(model)
        assert (await clock.do(*clock.words(fix=True), "--json")).code == 5
        said_no = (await clock.answer("no")).json["result"]["corrections"]
        done = await clock.do(*clock.words(fix=True, allow="files"), "--run-id", "unasked", "--json")
    unasked = done.json["result"]["corrections"]
    assert [(len(one["proposed"]), one["written"], one["why"]) for one in (said_no, unasked)] == [
        (2, [], "nobody said yes"), (2, [], "nobody said yes"),
    ]  # fmt: skip
    assert "nothing is written: the script may ask nobody (--allow files,ask)\n" in done.err
    assert clock.files == FILES


async def test_what_nobody_read_or_verified_is_told(clock: Clock) -> None:
    def then(asked: Asked) -> Turn:
        is_out = "A page of the documentation, docs" in asked.text or "(Reader" in asked.text
        return Fails(400, "out") if is_out else answer(asked)

    async with ScriptedModel(then=then) as model:
        clock.serve(model)
        told = (await clock.do(*clock.words(), "--json")).json
    result = told["result"]
    assert (told["degraded"], result["ok"], result["wrong"]) == (True, False, [])
    assert result["gaps"] == ["docs/hands.md, from line 1: nobody read it who can be believed"]
    # One reader called it wrong and two were out: that is no majority, and no all-clear.
    assert [(one["claim"], one["why"]) for one in result["unanswered"]] == [
        ("PORT is 8080", "called wrong, and no majority agreed or disagreed: It is 9090")
    ]


async def test_without_a_model_nothing_is_fine(clock: Clock) -> None:
    async with ScriptedModel(then=lambda asked: Fails(400, "no")) as model:
        clock.serve(model)
        result = (await clock.do(*clock.words(), "--json")).json["result"]
    assert (result["ok"], result["claims"], len(result["gaps"])) == (False, 0, 2)


async def test_caps_and_pages_that_are_not_there_are_told(clock: Clock) -> None:
    async with ScriptedModel(then=answer) as model:
        clock.serve(model)
        capped = (await clock.do(*clock.words(most=1), "--json")).json["result"]
        none = (await clock.do(*clock.words(docs=["no/*"]), "--run-id", "none", "--json")).json["result"]
    assert (capped["claims"], capped["gaps"]) == (1, ["5 of 6 claims were not verified (most: 1)"])
    assert (none["ok"], none["pages"], none["gaps"]) == (False, 0, ["no page matches no/*"])


async def test_a_long_page_is_read_in_parts_with_its_own_lines(clock: Clock) -> None:
    lines = [f"This is line {n} of a page that is long enough to be read in parts." for n in range(1, 1001)]
    (clock.folder / "docs/hands.md").write_text("\n".join(lines) + "\n")

    def then(asked: Asked) -> Turn:
        if "A page of the documentation, docs" in asked.text:
            shown = re.findall(r"^This is line \d+ of", asked.text, re.MULTILINE)
            return Call("submit_answer", {"claims": [{"quote": shown[-1], "claim": "they are"}]})
        return answer(asked)

    async with ScriptedModel(then=then) as model:
        clock.serve(model)
        result = (await clock.do(*clock.words(docs=["docs/*.md"]), "--json")).json["result"]
    found = result["unverifiable"]
    assert len(found) == 3 and found[-1]["line"] == 1000
    assert all(one["quote"] == f"This is line {one['line']} of" for one in found)


CALLS = 27
"""Of a run without corrections: globs, pages, readers of pages and of claims, and the files of their evidence."""


@pytest.mark.parametrize("nth", some(range(1, CALLS)))
async def test_killed_after_each_call_and_resumed_it_gives_the_same(clock: Clock, nth: int) -> None:
    async with ScriptedModel(then=answer) as model:
        clock.serve(model)
        with clock.pawl.started(*clock.words(), "--events", "-") as process:

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
        told = (await clock.do("resume", "audit", "--yes", "--json")).json
    assert (told["status"], told["version"], told["result"]) == ("completed", 2, REPORT)


@pytest.mark.parametrize("event", ["call_requested", "call_settled"])
@pytest.mark.parametrize("nth", [1, 2])
async def test_killed_while_it_writes_and_resumed_it_is_written_once(clock: Clock, nth: int, event: str) -> None:
    async with ScriptedModel(then=answer) as model:
        clock.serve(model)
        assert (await clock.do(*clock.words(fix=True), "--json")).code == 5
        shown = (await clock.do("show", "audit", "--calls", "--json")).json
        (question,) = [call["call"] for call in shown["calls"] if call["kind"] == "ask"]
        assert (await clock.do("answer", "audit", str(question), "write")).code == 0
        with clock.pawl.started("resume", "audit", "--yes", "--events", "-") as process:

            def kill() -> int:
                assert process.stdout is not None
                writes: set[int] = set()
                seen = 0
                for line in process.stdout:
                    told = json.loads(line)
                    if told["event"] == "call_requested" and told["call_kind"] == "writeFile":
                        writes.add(told["call"])
                    seen += told["event"] == event and told["call"] in writes
                    if seen == nth:
                        process.send_signal(signal.SIGKILL)
                        break
                return process.wait(60)

            assert await asyncio.to_thread(kill) == -signal.SIGKILL
        told = (await clock.do("resume", "audit", "--yes", "--json")).json
    assert len(told["result"]["corrections"]["written"]) == 2
    assert clock.files == CORRECTED


@pytest.mark.parametrize("seed", some([1, 2, 3], most=1))
@pytest.mark.parametrize("fail", [0, 0.4])
async def test_made_up_answers_are_no_claims(clock: Clock, seed: int, fail: float) -> None:
    told = (await clock.do(*clock.words(backend=f"sample:fail={fail},seed={seed}"), "--json")).json
    result = told["result"]
    assert (result["claims"], result["wrong"]) == (0, [])
    assert len(result["gaps"]) >= told["agents"]["null"]
    assert result["ok"] is (result["gaps"] == [])
    assert result["gaps"] or result["dropped"] == 0


def test_nothing_is_wrong_with_the_script(clock: Clock) -> None:
    report = clock.pawl("check", SCRIPT, "--json").json
    assert (report["ok"], report["files"][0]["problems"]) == (True, [])


def test_a_simulation_changes_nothing(clock: Clock) -> None:
    done = clock.pawl("simulate", SCRIPT, "--args", '{"fix": true}', "--json")
    assert (done.code, done.json["result"]["pages"]) == (0, 3)
    assert clock.files == FILES
