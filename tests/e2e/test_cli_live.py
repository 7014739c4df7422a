"""What a person sees and types: the command at a real pseudo-terminal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.pawl import Pawl, Terminal, until

HEAD = "export const meta = { name: 'tour', description: 'd', phases: [{title: 'Find'}], permissions: PERMISSIONS }\n"
FIND = "phase('Find')\nreturn await parallel([1, 2, 3].map(n => () => agent('find ' + n, {label: 'f' + n})))\n"


@pytest.fixture
def pawl(tmp_path: Path) -> Pawl:
    return Pawl(tmp_path / "project")


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r", "")


def test_the_tree_is_drawn_and_the_result_stands_below(pawl: Pawl) -> None:
    script = pawl.script("log('narrated')\n" + FIND, head=HEAD.replace("PERMISSIONS", "[]"))
    terminal = Terminal(pawl, "run", script, "--backend", "sample:latency=700ms", "--run-id", "r")
    assert terminal.wait() == 0
    seen = plain(terminal.seen)
    assert "tour · r@1 · sample:latency=700ms · at most 1,000 agents, 16 at once, no budget" in seen
    assert "▸ Find  0/3 · 3 running" in seen
    assert "▸ Find  3/3" in seen
    assert "narrated" in seen
    assert seen.index("Completed in") > seen.rindex("▸ Find")
    assert "Sample answer" in seen[seen.index("Completed in") :]
    assert terminal.seen.count("\x1b[?25l") == terminal.seen.count("\x1b[?25h"), "the cursor is left hidden"


def test_no_colour_when_that_is_asked_for(pawl: Pawl) -> None:
    pawl.environ["NO_COLOR"] = "1"
    script = pawl.script(FIND, head=HEAD.replace("PERMISSIONS", "[]"))
    terminal = Terminal(pawl, "run", script, "--backend", "sample:latency=300ms")
    assert terminal.wait() == 0
    assert re.search(r"\x1b\[[0-9;]*3[0-9][0-9;]*m", terminal.seen) is None


def test_a_terminal_that_changes_its_size_and_shows_what_fits(pawl: Pawl) -> None:
    body = "phase('Find')\nawait parallel(Array.from({length: 300}, (_, n) => () => agent('find ' + n)))\n"
    script = pawl.script(body, head=HEAD.replace("PERMISSIONS", "[]"))
    terminal = Terminal(pawl, "run", script, "--backend", "sample:latency=200ms", rows=12, columns=60)
    terminal.wait_for(" more")
    terminal.resize(8, 40)
    assert terminal.wait() == 0
    assert "▸ Find  300/300" in plain(terminal.seen)


def test_ctrl_c_interrupts_and_says_how_to_go_on(pawl: Pawl) -> None:
    script = pawl.script(FIND, head=HEAD.replace("PERMISSIONS", "[]"))
    terminal = Terminal(pawl, "run", script, "--backend", "sample:latency=30s", "--run-id", "r")
    terminal.wait_for("3 running")
    terminal.type("\x03")
    assert terminal.wait() == 5
    assert "Go on with: pawl resume r\n" in plain(terminal.seen)
    assert pawl("show", "r", "--json").json["status"] == "interrupted"


def test_S61_a_question_is_asked_and_answered_at_the_terminal(pawl: Pawl) -> None:
    body = "const a = await ask('Which colour?', {choices: ['red', 'blue']})\nreturn 'you said ' + a\n"
    terminal = Terminal(pawl, "run", pawl.script(body), "--backend", "sample", "--allow", "ask")
    terminal.wait_for("2) blue")
    terminal.type("2\n")
    assert terminal.wait() == 0
    assert "you said blue" in plain(terminal.seen)


def test_S61_a_question_answered_from_another_process_ends_the_prompt(pawl: Pawl) -> None:
    body = "return await ask('Which colour?')\n"
    terminal = Terminal(pawl, "run", pawl.script(body), "--backend", "sample", "--allow", "ask", "--run-id", "r")
    terminal.wait_for("Which colour?")
    until(lambda: pawl("answer", "r", "1", "green").code == 0, "the answer is taken")
    assert terminal.wait() == 0
    assert "green" in plain(terminal.seen)


def test_S63_permissions_are_confirmed_by_a_person_even_with_yes(pawl: Pawl) -> None:
    head = HEAD.replace("PERMISSIONS", "['check']")
    script = pawl.script("return (await check('echo from the shell')).stdout\n", head=head)
    terminal = Terminal(pawl, "run", script, "--backend", "sample", "--yes")
    terminal.wait_for("Allow for this run?")
    assert "check: run shell commands on this machine" in plain(terminal.seen)
    terminal.type("y\n")
    assert terminal.wait() == 0
    assert "from the shell" in plain(terminal.seen)


@pytest.mark.parametrize(("typed", "code"), [("n\n", 1), ("q\n", 2), ("\x04", 2), ("\x03", 130)])
def test_S63_what_a_person_does_not_allow_does_not_happen(pawl: Pawl, typed: str, code: int) -> None:
    head = HEAD.replace("PERMISSIONS", "['check']")
    script = pawl.script("return (await check('touch was-here')).ok\n", head=head)
    terminal = Terminal(pawl, "run", script, "--backend", "sample")
    terminal.wait_for("Allow for this run?")
    terminal.type(typed)
    assert terminal.wait() == code
    assert not (pawl.folder / "was-here").exists()


def test_watch_shows_the_tree_of_another_process(pawl: Pawl) -> None:
    script = pawl.script(FIND, head=HEAD.replace("PERMISSIONS", "[]"))
    pawl("run", script, "--backend", "sample:latency=2s", "--run-id", "r", "--detach")
    terminal = Terminal(pawl, "watch", "r")
    terminal.wait_for("3 running")
    assert terminal.wait() == 0
    assert "Completed in" in plain(terminal.seen)
