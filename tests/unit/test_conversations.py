"""What `pawl show --transcript` and `pawl search` show, to people and to programs."""

from __future__ import annotations

import json

from support.journals import call_row, new_version, settlement_row, turn_row, version_end, worktree_row

from engine import conversations, history, overview
from engine.cli import showing
from engine.journal.memory import MemoryJournal
from engine.values import RunStatus


async def recorded() -> MemoryJournal:
    journal = MemoryJournal()
    first = await journal.create_run("r", name="n", project="/p", version=new_version())
    first.add(call_row(1))
    body = {"text": "Let me look.", "calls": [{"id": "c1", "name": "grep", "args": {"pattern": "tusk"}}], "model": "m"}
    first.add(turn_row(1, 1, role="user", body=b'{"text":"Find the walrus.\\u001b[31m"}'))
    first.add(turn_row(1, 2, body=json.dumps({**body, "native": {"kind": "response"}}).encode()))
    first.add(turn_row(1, 3, role="tool", body=b'{"id":"c1","name":"grep","text":"none","ok":false}'))
    await first.end(version_end(status=RunStatus.INTERRUPTED, result=None))
    second = await journal.resume_run("r", new_version())
    second.add(call_row(2, number=1))
    second.add(call_row(1, number=2, content=b""))
    second.add(turn_row(1, 4, attempt=2, role="session", body=b'{"session":"s-1"}'))
    second.add(turn_row(1, 5, attempt=2, body=b'{"text":"It sleeps."}'))
    meta = {"asked_model": "lite", "fell_back": ["openai:a: quota"], "notices": ["cut short"]}
    second.add(settlement_row(1, meta=json.dumps({**meta, "worktree": {"state": "kept"}}).encode()))
    # A record that another run made: its worktree is not this run's.
    second.add(settlement_row(2, meta=b'{"worktree":{"state":"kept","branch":"pawl/other/1"}}'))
    second.add(worktree_row(1, state="made"))
    second.add(worktree_row(1))
    await second.end(version_end())
    return journal


async def test_a_transcript_shows_every_turn_of_all_attempts() -> None:
    journal = await recorded()
    reading = await history.read(journal, "r")
    turns = await conversations.turns_of(journal, reading, 2)
    lines = list(showing.transcript_lines(history.find_call(reading, 2), turns))
    text = "\n".join(lines)
    for part in ("── attempt 1", "user ·", "  Find the walrus.", "assistant (m) ·", "  Let me look.",
                 '  → grep {"pattern": "tusk"}', "grep (failed) ·", "── attempt 2", "  s-1", "  It sleeps."):  # fmt: skip
        assert part in text
    assert "\x1b" not in text  # a terminal's codes in what a model said stay text
    assert text.index("attempt 1") < text.index("attempt 2")
    forged = turns[0]._replace(role="\x1b[2Juser", body=b'{"text":"x","seq":9}')
    assert "\x1b" not in "\n".join(showing.transcript_lines(history.find_call(reading, 2), [forged]))
    assert conversations.transcript([forged])[0]["seq"] == 1
    told = conversations.transcript(turns)
    assert [turn["role"] for turn in told] == ["user", "assistant", "tool", "session", "assistant"]
    assert "native" not in told[1]


async def test_a_call_without_a_conversation_says_so() -> None:
    journal = await recorded()
    reading = await history.read(journal, "r")
    lines = list(showing.transcript_lines(history.find_call(reading, 1), []))
    assert lines[-1] == "No conversation is on record: it was not started, or its backend keeps none."


async def test_a_hit_names_the_call_by_its_number_in_that_version() -> None:
    journal = await recorded()
    hits = await conversations.search(journal, "sleeps", None, limit=5)
    assert [(hit.found.version, hit.call, hit.found.call) for hit in hits] == [(2, 2, 1)]
    assert list(showing.hit_lines(hits)) == [
        "r@2 call 2  assistant: It ⟦sleeps⟧.",
        "-- the whole conversation: pawl show r@2 --call 2 --transcript",
    ]
    assert [hit.call for hit in await conversations.search(journal, "walrus", "r@1", limit=5)] == [1]


async def test_what_was_asked_and_what_ran_and_where_are_shown() -> None:
    reading = await history.read(await recorded(), "r")
    text = "\n".join(showing.call_lines(history.find_call(reading, 2)))
    assert "asked for    lite" in text
    assert "fell back    openai:a: quota" in text
    assert "notices      cut short" in text
    assert "worktree     kept · pawl/run-1/1 · /p/.pawl/worktrees/run-1/1 · a.py | 1 +" in text
    told = overview.shown(reading, with_calls=False)
    (tree,) = told["worktrees"]
    assert (tree["call"], tree["state"], tree["files"]) == (2, "kept", ["a.py"])
    assert "worktree     kept · pawl/run-1/1 · /p/.pawl/worktrees/run-1/1 · a.py | 1 +" in "\n".join(
        showing.run_lines(reading, {**told, "journal": "j"})
    )


async def test_a_call_shows_its_worktree_as_it_stands_now() -> None:
    journal = await recorded()
    third = await journal.resume_run("r", new_version())
    third.add(worktree_row(1, state="conflict", body=b'{"conflicts":["a.py","b\\u001b.py"]}'))
    await third.end(version_end())
    reading = await history.read(journal, "r@2")
    other, call = overview.shown(reading, with_calls=True)["calls"]
    assert (call["worktree"]["state"], call["worktree"]["conflicts"]) == ("conflict", ["a.py", "b\x1b.py"])
    assert other["worktree"] == {"state": "kept", "branch": "pawl/other/1"}
    (tree,) = overview.shown(reading, with_calls=False)["worktrees"]
    assert tree == {"call": 2, **call["worktree"]}
    assert "conflicts in a.py, b\\x1b.py" in "\n".join(showing.call_lines(history.find_call(reading, 2)))
    third_reading = await history.read(journal, "r")
    assert [tree["call"] for tree in overview.shown(third_reading, with_calls=False)["worktrees"]] == [None]
