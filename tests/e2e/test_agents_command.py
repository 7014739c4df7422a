"""`pawl agents`, and calls that name a definition of the project."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.pawl import Pawl


@pytest.fixture
def pawl(tmp_path: Path) -> Pawl:
    found = Pawl(tmp_path / "project")
    (found.folder / ".git").mkdir()
    (found.folder / ".git/HEAD").touch()
    return found


def define(pawl: Pawl, path: str, text: str) -> Path:
    file = pawl.folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_the_list_says_where_each_is_from_what_hides_what_and_what_is_wrong(pawl: Pawl) -> None:
    near = define(pawl, ".pawl/agents/verify.md", "---\ndescription: Ours\ntools: Nonsense\n---\nVerify.\n")
    users = define(pawl, "../home/.claude/agents/mine.md", "---\nname: mine\ndescription: Of the user\n---\nDo.\n")
    broken = define(pawl, ".claude/agents/broken.md", "---\nname: [\n---\nDo.\n")
    done = pawl("agents")
    assert done.code == 0
    lines = [line.split("  ") for line in done.out.splitlines()]
    told = [[part.strip() for part in line if part.strip()] for line in lines]
    problem = (
        "cannot be used: its front matter is not YAML: expected the node content, but found '<stream end>' (line 3)"
    )
    assert told == [
        ["NAME", "FROM", "DESCRIPTION", "FILE"],
        ["broken", "project", problem, str(broken)],
        ["explore", "built in", "Finds things out by reading and searching; changes nothing, runs nothing."],
        ["general", "built in", "Any task; works until it is done."],
        ["mine", "user", "Of the user", str(users.resolve())],
        ["verify", "project", "Ours", str(near)],
        ["verify", "built in", f"hidden by {near}"],
        ["verify: Nonsense is left out: Pawl has no such tool"],
    ]


def test_the_list_as_json(pawl: Pawl) -> None:
    near = define(pawl, ".pawl/agents/explore.md", "---\ntools: [Read]\nmodel: lite\n---\nLook.\n")
    found = {(one["name"], one["origin"]): one for one in pawl("agents", "--json").json["agents"]}
    assert found["explore", "project"] == {
        "name": "explore",
        "description": "",
        "prompt": "Look.",
        "model": "lite",
        "tools": ["read_file"],
        "source": ".pawl/agents/explore.md",
        "origin": "project",
        "path": str(near),
        "shadowed_by": None,
        "usable": True,
        "problems": [],
    }
    hidden = found["explore", "built in"]
    assert (hidden["shadowed_by"], hidden["path"], hidden["usable"]) == (str(near), None, True)
    assert hidden["tools"] == ["read_file", "list_files", "grep"]
    assert found["general", "built in"]["tools"] is None


def test_a_call_uses_the_definition_and_a_changed_prompt_asks_again(pawl: Pawl) -> None:
    file = define(pawl, ".pawl/agents/reviewer.md", "---\ndescription: d\n---\nReview.\n")
    script = pawl.script("return await agent('look', { agentType: 'reviewer' })")
    first = pawl("run", script, "--backend", "sample", "--json")
    assert first.code == 0, first.err
    file.write_text("---\ndescription: another\n---\nReview.\n")
    same = pawl("resume", first.json["run_id"], "--json").json
    assert (same["agents"]["live"], same["agents"]["reused"]) == (0, 1)
    file.write_text("---\ndescription: d\n---\nReview strictly.\n")
    again = pawl("resume", first.json["run_id"], "--json").json
    assert (again["agents"]["live"], again["agents"]["reused"]) == (1, 0)


def test_a_call_that_names_a_broken_or_unknown_one_fails_with_the_reason(pawl: Pawl) -> None:
    define(pawl, ".pawl/agents/verify.md", "---\nname: verify\n---\n")
    script = pawl.script("try { await agent('x', { agentType: args }) } catch (e) { return [e.code, e.message] }")

    def thrown(name: str) -> object:
        return pawl("run", script, "--args", f'"{name}"', "--backend", "sample", "--json").json["result"]

    assert thrown("verify") == [
        "bad_agent_definition",
        "agentType 'verify' cannot be used: .pawl/agents/verify.md: it has no prompt: nothing follows the front matter. "
        "Mend the file; `pawl agents` lists what is wrong with each.",
    ]
    assert thrown("nobody") == [
        "unknown_agent_type",
        "agentType 'nobody' is not known: expected one of explore, general, verify. "
        "Use a known name, or leave agentType out.",
    ]
