"""deep-research, bug-hunt, compare and triage from end to end, with a model that is scripted: what their results say."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.pawl import ROOT, Pawl
from support.scripted_model import Asked, Call, Fails, ScriptedModel, Turn

Says = Callable[[Asked], Turn]
OUT = Fails(400, "out of order")
"""Not retried: there is no answer."""


async def told(folder: Path, name: str, says: Says, project: dict[str, str] | None = None, /, **args: Any) -> Any:
    """What `pawl run` tells, with the workflow run on a project of such files."""
    pawl = Pawl(folder / "project")
    for path, text in (project or {}).items():
        (pawl.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (pawl.folder / path).write_text(text, encoding="utf-8")
    async with ScriptedModel(then=says) as model:
        pawl.environ |= {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "k"}
        flags = ["--backend", "openai:scripted", "--allow", "check,files", "--yes", "--json"]
        words = ["run", str(ROOT / "workflows" / f"{name}.js"), "--args", json.dumps(args), *flags]
        done = await asyncio.to_thread(pawl, *words)
    assert done.code == 0, done.err
    assert done.json["status"] == "completed"
    return {**done.json["result"], "log": done.err}


def submit(**answer: Any) -> Call:
    return Call("submit_answer", answer)


# ---- deep-research

DOCS = {
    "docs/a.md": "Sessions live in the database.\nThey are deleted\nafter a day.\n",
    "docs/b.md": "Redis was dropped because it lost sessions.\n",
}
CLAIMS = {
    "docs/a.md": [
        {"claim": "Sessions are kept for a day", "quote": "They are deleted after a day."},
        {"claim": "Sessions are encrypted", "quote": "Sessions are encrypted."},
        {"claim": "Sessions are in a table", "quote": "Sessions live in the database."},
    ],
    "docs/b.md": [{"claim": "Redis lost sessions", "quote": "it lost sessions"}],
}


def researcher(report: Callable[[str], Turn], doubts: Callable[[str, int], Turn]) -> Says:
    def says(asked: Asked) -> Turn:
        text = asked.text
        if source := re.search(r"From (\S+):", text):
            return submit(claims=CLAIMS[source[1]])
        if claim := re.search(r"Claim: (.+)", text):
            sceptic = re.search(r"Sceptic (\d)", text)
            assert sceptic is not None
            return doubts(claim[1], int(sceptic[1]))
        return report(text)

    return says


def believes(claim: str, _sceptic: int) -> Turn:
    return submit(because="seen", refuted=claim == "Sessions are in a table")


async def test_a_report_cites_what_survived_and_code_has_looked_up(tmp_path: Path) -> None:
    def report(text: str) -> Turn:
        known = re.findall(r"^\[(\d)\] (.+) \((\S+)\)$", text, re.M)
        assert known == [("1", "Sessions are kept for a day", "docs/a.md"), ("2", "Redis lost sessions", "docs/b.md")]
        return submit(report="# Sessions\n\nThey end after a day. [1] Redis lost them [2].")

    result = await told(
        tmp_path, "deep-research", researcher(report, believes), DOCS, question="Why?", files=["docs/*.md"]
    )
    assert result["status"] == "answered"
    assert result["report"] == (
        "# Sessions\n\nThey end after a day. [1] Redis lost them [2].\n\n"
        '[1] docs/a.md: "They are deleted after a day."\n[2] docs/b.md: "it lost sessions"'
    )
    assert [claim["claim"] for claim in result["refuted"]] == ["Sessions are in a table"]
    assert (result["dropped"], result["unused"], result["uncited"], result["unknown"]) == (1, [], [], [])
    assert "dropped, for docs/a.md does not say: Sessions are encrypted." in result["log"]


async def test_citations_that_do_not_exist_are_sent_back_and_told(tmp_path: Path) -> None:
    drafts: list[str] = []

    def report(text: str) -> Turn:
        drafts.append(text)
        return submit(report="They end after a day [1, 7]. Everybody likes that.")

    result = await told(
        tmp_path, "deep-research", researcher(report, believes), DOCS, question="Why?", files=["docs/*.md"]
    )
    assert len(drafts) == 3
    assert "Draft 1 was not accepted. These citations do not exist: [7]" in drafts[1]
    assert (result["status"], result["unknown"]) == ("incomplete", [7])
    assert (result["uncited"], result["unused"]) == (["Everybody likes that."], [2])


async def test_a_sceptic_that_is_out_refutes_nothing(tmp_path: Path) -> None:
    def doubts(claim: str, sceptic: int) -> Turn:
        return OUT if claim == "Redis lost sessions" and sceptic > 1 else submit(because="seen", refuted=False)

    def report(text: str) -> Turn:
        return submit(report="It is so [1][2].")

    result = await told(
        tmp_path, "deep-research", researcher(report, doubts), DOCS, question="Why?", files=["docs/*.md"]
    )
    assert [(c["claim"], c["votes"]) for c in result["undecided"]] == [
        ("Redis lost sessions", {"for": 1, "against": 0, "missing": 2})
    ]
    assert (result["status"], result["refuted"]) == ("incomplete", [])


async def test_searched_sources_are_read_once_and_must_be_there(tmp_path: Path) -> None:
    research = researcher(lambda _: submit(report="It lost them [1]."), believes)

    def says(asked: Asked) -> Turn:
        if "from this angle" in asked.text:
            return submit(sources=[{"at": at, "why": "says it"} for at in ("docs/b.md", "docs/no.md", "docs/b.md#top")])
        return research(asked)

    result = await told(tmp_path, "deep-research", says, DOCS, question="Why?", angles=["history", "speed"])
    assert result["sources"] == ["docs/b.md", "docs/no.md"]
    assert (result["status"], result["gaps"]) == ("incomplete", ["docs/no.md could not be read"])


# ---- bug-hunt

CODE = {"shop/money.py": "def mean(prices):\n    return sum(prices) / len(prices)\n\n\nRATE = 2\n"}


def bug(title: str, line: int, severity: str = "major") -> dict[str, Any]:
    return {"title": title, "file": "shop/money.py", "line": line, "why": f"{title}!", "severity": severity}


def hunter(judge: Callable[[str, str], Turn], second: Turn | None = None) -> Says:
    """Finds three bugs in the first round and nothing after it; `judge` gets a title and what a judge has to do."""

    def says(asked: Asked) -> Turn:
        text = asked.text
        if title := re.search(r"claims about \S+:\n\n(.+)", text):
            return judge(title[1], text)
        if "Round 1." in text:
            return submit(bugs=[bug("No prices", 2), bug("Rate is odd", 5, "critical"), bug("Typo", 1, "minor")])
        return second or submit(bugs=[bug("No prices, again", 2)])

    return says


async def test_bugs_are_hunted_until_dry_and_judged_in_three_ways(tmp_path: Path) -> None:
    def judge(title: str, text: str) -> Turn:
        assert "ended with exit code 3" in text and "1 failed" in text
        verdict = {
            "No prices": "not real" if "Argue for the code" in text else "real",
            "Rate is odd": "not real",
            "Typo": "real" if "Reproduce it" in text else "not real" if "Read the code" in text else "cannot tell",
        }[title]
        return submit(because="I looked", verdict=verdict)

    result = await told(
        tmp_path, "bug-hunt", hunter(judge), CODE, files=["shop/*.py"], lenses=["all"], command="echo 1 failed; exit 3"
    )
    assert [found["title"] for found in result["confirmed"]] == ["No prices"]
    assert [found["title"] for found in result["refuted"]] == ["Rate is odd"]
    assert [found["title"] for found in result["undecided"]] == ["Typo"]
    assert [judge["verdict"] for judge in result["confirmed"][0]["judges"]] == ["real", "real", "not real"]
    assert (result["rounds"], result["isDry"], result["complete"]) == (3, True, False)
    assert result["command"] == {"ok": False, "exitCode": 3}


async def test_rounds_without_an_answer_are_not_dry(tmp_path: Path) -> None:
    result = await told(
        tmp_path,
        "bug-hunt",
        hunter(lambda *_: submit(because="yes", verdict="real"), OUT),
        CODE,
        files=["shop/*.py"],
        lenses=["all"],
        rounds=3,
    )
    assert len(result["confirmed"]) == 3
    assert (result["isDry"], result["complete"]) == (False, False)
    assert result["gaps"] == ["the hunt was not dry after 3 rounds: there may be more"]


async def test_judges_that_are_out_decide_nothing(tmp_path: Path) -> None:
    def judge(_title: str, text: str) -> Turn:
        return submit(because="yes", verdict="not real") if "Reproduce it" in text else OUT

    result = await told(tmp_path, "bug-hunt", hunter(judge), CODE, files=["shop/*.py"], lenses=["all"])
    assert (result["confirmed"], result["refuted"], len(result["undecided"])) == ([], [], 3)
    assert [one["verdict"] for one in result["undecided"][0]["judges"]] == ["not real", "no answer", "no answer"]


async def test_a_pattern_that_matches_nothing_is_no_clean_hunt(tmp_path: Path) -> None:
    result = await told(tmp_path, "bug-hunt", lambda _: OUT, CODE, files=["src/*.py"])
    assert (result["complete"], result["gaps"], result["rounds"]) == (False, ["no file matches src/*.py"], 0)


# ---- compare

SCORES = {"red": 4, "blue": 9, "grey": 9}


def chooser(better: Callable[[str, str], str | None]) -> Says:
    """Scores by SCORES; `better` gets the first and the second option and names one of them, or nobody."""

    def says(asked: Asked) -> Turn:
        text = asked.text
        if pair := re.search(r"<first>\n(\w+).*?</first>\n<second>\n(\w+)", text, re.S):
            name = better(pair[1], pair[2])
            answer = {"reason": f"{name} is better", "better": "first" if name == pair[1] else "second"}
            return OUT if name is None else submit(**answer)
        option = re.search(r"One of the options:\n\n(\w+)", text)
        assert option is not None
        return submit(reason="so it seems", score=SCORES[option[1]])

    return says


ARGS: dict[str, Any] = {"options": ["red: loud", "grey", "blue: calm"], "criteria": ["seen: from afar"]}


async def test_the_winner_of_the_tournament_wins(tmp_path: Path) -> None:
    result = await told(tmp_path, "compare", chooser(lambda a, b: "blue" if "blue" in (a, b) else "grey"), **ARGS)
    assert (result["winner"], result["agreed"], result["complete"]) == ("blue", False, True)
    assert result["ranking"] == [
        {"option": "blue", "score": 9, "wins": 1},
        {"option": "grey", "score": 9, "wins": 1},
        {"option": "red", "score": 4, "wins": 0},
    ]
    assert result["matches"][-1]["reason"] == "blue is better"


async def test_judges_who_take_the_first_leave_it_to_scores_and_order(tmp_path: Path) -> None:
    result = await told(tmp_path, "compare", chooser(lambda first, _: first), **ARGS)
    assert (result["winner"], result["agreed"]) == ("grey", True)
    reasons = [match["reason"] for match in result["matches"]]
    assert "the judges differ; it has the better scores (9 and 4)" in reasons[0]
    assert "the judges differ; it was named first" in reasons[1]


async def test_matches_that_nobody_judged_have_no_winner(tmp_path: Path) -> None:
    result = await told(tmp_path, "compare", chooser(lambda *_: None), **ARGS)
    assert (result["winner"], result["agreed"], result["complete"]) == (None, False, False)
    assert result["gaps"] == ["2 of 2 matches were decided by nobody"]


# ---- triage

ALERTS = [
    {"id": "A", "text": "disk 12 of host a1 is full since 10:42"},
    {"id": "B", "text": "no login to the shop, status 500"},
    {"id": "C", "text": "disk 7 of host f3 is full since 11:03"},
    {"id": "D", "text": "no login to the shop, status 404"},
    {"id": "E", "text": "please add a dark mode"},
]


def sorter(asked: Asked) -> Turn:
    text = asked.text
    if "same cause" in text:
        assert "status 500" in text and "status 404" in text
        return submit(because="the shop is down", same=True)
    if "disk" in text:
        return submit(title="Disks are full", severity="major", area="data", why="writes fail")
    if "status 500" in text:
        return submit(title="Login fails", severity="critical", area="crash", why="nobody gets in")
    if "status 404" in text:
        return submit(title="Login is gone", severity="minor", area="crash", why="no page")
    return submit(title="Dark mode", severity="minor", area="usage", why="a wish")


async def test_items_are_joined_ranked_routed_and_counted(tmp_path: Path) -> None:
    routes = {"critical": "on-call", "data": "storage"}
    files = {"alerts.json": json.dumps(ALERTS, indent=1)}
    result = await told(tmp_path, "triage", sorter, files, file="alerts.json", routes=routes)
    assert [(g["title"], g["severity"], g["route"], g["items"]) for g in result["groups"]] == [
        ("Login fails", "critical", "on-call", ["B", "D"]),
        ("Disks are full", "major", "storage", ["A", "C"]),
        ("Dark mode", "minor", "nobody", ["E"]),
    ]
    assert result["ok"] is True
    assert result["counts"] == {
        "items": 5,
        "entries": 4,
        "groups": 3,
        "severity": {"critical": 1, "major": 1, "minor": 1},
        "area": {"crash": 1, "data": 1, "usage": 1},
        "route": {"nobody": 1, "on-call": 1, "storage": 1},
    }


async def test_what_nobody_classified_goes_to_a_person(tmp_path: Path) -> None:
    def says(asked: Asked) -> Turn:
        return OUT if "dark mode" in asked.text or "same cause" in asked.text else sorter(asked)

    result = await told(tmp_path, "triage", says, items=ALERTS)
    assert [entry["items"] for entry in result["unclassified"]] == [["E"]]
    assert (result["undecided"], result["ok"], len(result["groups"])) == ([["B", "D"]], False, 3)


async def test_caps_are_told(tmp_path: Path) -> None:
    result = await told(tmp_path, "triage", sorter, items=ALERTS, most=3, pairs=0)
    assert (result["leftOut"], result["notAsked"], result["ok"]) == (["E"], 1, False)
    assert "left out: 1 items of 1 entries beyond the first 3" in result["log"]


async def test_lines_of_a_file_are_items(tmp_path: Path) -> None:
    result = await told(tmp_path, "triage", sorter, {"app.log": "disk 1 is full\n\ndisk 2 is full\n"}, file="app.log")
    assert [group["items"] for group in result["groups"]] == [["1", "2"]]
