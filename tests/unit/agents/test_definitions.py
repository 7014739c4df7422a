"""Agent definitions: where they are found, which one is meant, what their files may say, and what is wrong with them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.agents import policy
from engine.agents.definition_file import CHANGING, MAX_BYTES, TOOLS, NotUsable, read
from engine.agents.definitions import BUILT_IN, Definitions, known
from engine.agents.policy import canonical_tool
from engine.errors import UsageError
from engine.values import AgentDefinition


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    (root / ".git").mkdir(parents=True)
    (root / ".git/HEAD").touch()
    return root


def write(folder: Path, name: str, text: str = "---\ndescription: d\n---\nDo it.\n") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def definitions(project: Path, environ: Mapping[str, str] | None = None) -> Definitions:
    return Definitions(project, environ or {"HOME": str(project.parent / "home")}, canonical_tool)


def parsed(text: str | bytes) -> AgentDefinition:
    data = text.encode() if isinstance(text, str) else text
    return read(data, name="stem", source="here", canonical=canonical_tool)


def front(fields: str) -> AgentDefinition:
    return parsed(f"---\n{fields}\n---\nDo it.\n")


# ── which file ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_project_there_are_those_that_are_built_in() -> None:
    assert list(known()) == ["general", "explore", "verify"]
    assert known()["explore"].tools == ("read_file", "list_files", "grep")
    assert known()["verify"].tools == ("read_file", "list_files", "grep", "run_command")
    assert known()["general"].tools is None
    assert not {"edit_file", "write_file"} & {tool for one in BUILT_IN for tool in one.tools or ()}


def test_folders_in_the_order_of_nearness(project: Path) -> None:
    inner, home = project / "a" / "b", project.parent / "home"
    places = [
        *(above / name for above in (inner, project / "a", project)
          for name in (".pawl/agents", ".claude/agents", ".opencode/agent", ".opencode/agents")),
        home / ".config/pawl/agents",
        home / ".claude/agents",
        home / ".config/opencode/agent",
        home / ".config/opencode/agents",
    ]  # fmt: skip
    files = [write(place, "x.md") for place in places]
    write(project.parent / ".pawl" / "agents", "above.md")
    environ = {"HOME": str(home)}
    found = [one for one in definitions(inner, environ).listed() if one.name == "x"]
    assert [one.path for one in found] == files
    assert [one.origin for one in found] == ["project"] * 12 + ["user"] * 4
    assert [one.shadowed_by for one in found] == [None] + [files[0]] * 15
    assert "above" not in definitions(inner, environ)
    for path in files:
        source = definitions(inner, environ)["x"].source
        assert source.endswith("/x.md") and not source.startswith(str(project.parent))
        path.unlink()
    assert "x" not in definitions(inner, environ)


def test_the_users_config_folder_may_be_elsewhere(project: Path, tmp_path: Path) -> None:
    write(tmp_path / "xdg" / "pawl" / "agents", "x.md")
    assert "x" in definitions(project, {"HOME": "/nowhere", "XDG_CONFIG_HOME": str(tmp_path / "xdg")})
    assert "x" not in definitions(project, {})


def test_a_file_may_shadow_what_is_built_in(project: Path) -> None:
    path = write(project / ".pawl/agents", "verify.md")
    found = definitions(project)
    assert found["verify"].prompt == "Do it."
    assert [(one.name, one.shadowed_by) for one in found.listed()] == [
        ("verify", None), ("general", None), ("explore", None), ("verify", path)
    ]  # fmt: skip


def test_the_name_in_the_file_counts_and_else_the_files(project: Path) -> None:
    write(project / ".pawl/agents", "a.md", "---\nname: reviewer\n---\nReview.\n")
    write(project / ".claude/agents", "team/b.md")
    write(project / ".opencode/agent", "team/c.md")
    write(project / ".pawl/agents", "README.md", "About these.\n")
    write(project / ".pawl/agents", ".hidden.md")
    write(project / ".pawl/agents", "notes.txt")
    found = definitions(project)
    assert list(found) == ["reviewer", "b", "team/c", "general", "explore", "verify"]
    assert len(found) == 6
    assert "a" not in found
    assert found["reviewer"].source == ".pawl/agents/a.md"


def test_two_files_of_a_folder_with_one_name(project: Path) -> None:
    first = write(project / ".pawl/agents", "a.md", "---\nname: x\n---\nFirst.\n")
    write(project / ".pawl/agents", "b.md", "---\nname: x\n---\nSecond.\n")
    found = definitions(project)
    assert found["x"].prompt == "First."
    assert [one.shadowed_by for one in found.listed() if one.name == "x"] == [None, first]


def test_a_file_is_read_once_for_all_calls_of_a_version(project: Path) -> None:
    path = write(project / ".pawl/agents", "x.md")
    found = definitions(project)
    before = found["x"]
    path.write_text("---\n---\nSomething else.\n")
    assert found["x"] is before
    assert definitions(project)["x"].prompt == "Something else."


def test_only_named_files_are_parsed_and_without_files_no_yaml_is_loaded(project: Path) -> None:
    write(project / ".pawl/agents", "x.md")
    code = f"""
import sys, pathlib
from engine.agents.definitions import Definitions
found = Definitions(pathlib.Path({str(project)!r}), {{}}, str)
print("general" in found, "nobody" in found, "yaml" in sys.modules, "x" in found, "yaml" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True False False True True\n"


# ── what can change an answer ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_text_for_keys_says_what_can_change_an_answer(project: Path, tmp_path: Path) -> None:
    text = "---\nname: x\ntools: Read, Grep\nmodel: lite\ndescription: {}\n---\nDo it.\n"
    write(project / ".pawl/agents", "one.md", text.format("a"))
    write(tmp_path / "home/.claude/agents", "two.md", text.format("b").replace("Read, Grep", "[Grep, Read]"))
    near, far = (one.definition for one in definitions(project).listed()[:2])
    assert near is not None and far is not None
    assert (near.source, far.source) == (".pawl/agents/one.md", "~/.claude/agents/two.md")
    assert near.text == far.text == "x\nlite\ngrep,read_file\nDo it."


# ── what is wrong ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_name_whose_file_is_broken_is_an_error_and_never_another_definition(project: Path) -> None:
    write(project / ".pawl/agents", "x.md", "---\nname: verify\ntools: 5\n---\nDo it.\n")
    found = definitions(project)
    assert "verify" in found
    assert found.get("verify") is None  # a call's key
    with pytest.raises(UsageError) as caught:
        found["verify"]
    assert (caught.value.code, caught.value.message, caught.value.hint) == (
        "bad_agent_definition",
        "agentType 'verify' cannot be used: .pawl/agents/x.md: tools: expected names separated by commas, or a list of "
        "names",
        "Mend the file; `pawl agents` lists what is wrong with each.",
    )
    with pytest.raises(KeyError):
        found["nobody"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it has no prompt: nothing follows the front matter"),
        ("---\nname: x\n---\n \n", "it has no prompt: nothing follows the front matter"),
        ("---\nname: x\nDo it.\n", "its front matter has no end: expected a line of ---"),
        ("---\n- a\n---\nDo it.\n", "its front matter is no list of fields: expected lines such as name: reviewer"),
        ("---\nname: [a\n---\nDo it.\n", "its front matter is not YAML: expected ',' or ']', but got '<stream end>' (line 3)"),
        ("---\nname: !!python/name:os.system\n---\nDo it.\n", "its front matter is not YAML: "
         "could not determine a constructor for the tag 'tag:yaml.org,2002:python/name:os.system'"),
        ("---\nname: " + "[" * 5000 + "\n---\nDo it.\n", "its front matter is not YAML: RecursionError"),
        ("---\nname: on\n---\nDo it.\n", "name: expected text, found True; put it in quotes"),
        ("---\nname: [a]\n---\nDo it.\n", "name: expected text, found a list"),
        ('---\nname: "a\\nb"\n---\nDo it.\n', "name: expected 1 to 100 characters on one line"),
        ("---\nmodel: 5\n---\nDo it.\n", "model: expected text, found 5; put it in quotes"),
        ("---\ntools: {write: maybe}\n---\nDo it.\n", "tools: write: expected true or false"),
        ("---\ndisable: true\n---\nDo it.\n", "it is disabled: its front matter says so"),
        (b"---\nname: x\n---\n\xff\n", "it is not UTF-8 (byte 17)"),
        (b"x" * (MAX_BYTES + 1), "it is larger than 64 KiB"),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_a_file_that_is_no_definition(text: str | bytes, problem: str) -> None:
    with pytest.raises(NotUsable) as caught:
        parsed(text)
    assert str(caught.value).startswith(problem)


def test_files_that_cannot_be_read_are_listed_with_the_reason(project: Path, tmp_path: Path) -> None:
    folder = project / ".pawl/agents"
    outside = write(tmp_path, "outside.md")
    inside = write(project, "docs/inside.md")
    folder.mkdir(parents=True)
    (folder / "broken.md").symlink_to("nowhere.md")
    (folder / "circle.md").symlink_to("circle.md")
    (folder / "inside.md").symlink_to(inside)
    (folder / "out.md").symlink_to(outside)
    os.mkfifo(folder / "pipe.md")
    (folder / "link").symlink_to(tmp_path)
    problems = {one.name: one.problems for one in definitions(project).listed() if one.origin == "project"}
    assert problems == {
        "broken": ("it cannot be read: No such file or directory",),
        "circle": ("it cannot be read: Too many levels of symbolic links",),
        "inside": (),
        "out": ("it is a link out of the project",),
        "pipe": ("it is no file",),
    }


def test_the_users_own_links_may_lead_anywhere(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "home/.claude/agents"
    folder.mkdir(parents=True)
    (folder / "x.md").symlink_to(write(tmp_path / "dotfiles", "x.md"))
    assert definitions(project)["x"].prompt == "Do it."


# ── what a file may say ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_definition_of_claude_code() -> None:
    text = (
        "\ufeff---\r\nname: reviewer\r\n"
        "description: Use it when: code is done. Examples: <example>user: 'it's done'</example> # now\r\n"
        "tools: Read, Grep, Bash, mcp__github__issues, TodoWrite, Task\r\nmodel: inherit\r\ncolor: red\r\n---\r\n\r\n"
        "You review.\r\n---\r\nBe strict.\r\n"
    )
    assert parsed(text) == AgentDefinition(
        name="reviewer",
        description="Use it when: code is done. Examples: <example>user: 'it's done'</example> # now",
        prompt="You review.\n---\nBe strict.",
        tools=("grep", "mcp.github.issues", "read_file", "run_command"),
        source="here",
        problems=(
            "TodoWrite is left out: Pawl has no such tool",
            "Task is left out: Pawl has no such tool",
        ),
    )


def test_a_definition_of_opencode() -> None:
    text = (
        "---\ndescription: Reviews\nmode: primary\nmodel: anthropic/claude-sonnet-4\ntemperature: 0.1\n"
        "tools:\n  write: false\n  bash: false\npermission:\n  edit: deny\n  webfetch: ask\n---\nReview.\n"
    )
    found = parsed(text)
    assert (found.name, found.model) == ("stem", "anthropic/claude-sonnet-4")
    assert found.tools == ("grep", "list_files", "read_file")
    assert found.problems == ("permission webfetch: only [permissions] of the config can ask; the tool is left out",)


def test_text_without_front_matter_is_a_prompt() -> None:
    assert parsed("Do it.\n") == AgentDefinition(name="stem", description="", prompt="Do it.", source="here")


ALL = tuple(sorted(TOOLS))


@pytest.mark.parametrize(
    ("fields", "tools"),
    [
        ("description: d", None),
        ('tools: "*"', None),
        ("tools: {write: true}", None),
        ("permission: allow", None),
        ("permission: {bash: {'*': allow}}", None),
        ("tools:", ()),
        ("tools: []", ()),
        ("tools: ''", ()),
        ("tools: NotebookEdit", ()),
        ("tools: [Read, grep]", ("grep", "read_file")),
        ("tools: Bash(git log:*, git diff:*), Read", ("read_file",)),
        ("tools: {'*': false}", ()),
        ("tools: {'*': false, read: true}", ("read_file",)),
        ("tools: {'my_server_*': false}", ALL),
        ("disallowedTools: Write, Edit", ("fetch_url", "grep", "list_files", "read_file", "run_command")),
        ("disallowedTools: Unknown", ALL),
        ("tools: Read, Bash\ndisallowedTools: Bash(rm:*)", ("read_file",)),
        ("tools: Read, Bash\npermissionMode: plan", ("read_file",)),
        ("tools: mcp__github__*", ("mcp.github.*",)),
        ("tools: mcp__github__*\ndisallowedTools: mcp__github__issues", ()),
        ("tools: mcp__github__issues\ndisallowedTools: mcp__github__*", ()),
        ("tools: mcp__github__issues\ndisallowedTools: mcp__github", ()),
        ("tools: mcp__github__issues, mcp__git__log\ndisallowedTools: mcp__github", ("mcp.git.log",)),
        ("tools: mcp__github__get_*\ndisallowedTools: mcp__github__get_key", ()),
        ("tools: mcp, Read\ndisallowedTools: mcp__github", ("read_file",)),
        ("tools: mcp__github, Read\ndisallowedTools: mcp", ("read_file",)),
        ("tools: Bash(*), LS", ("list_files", "run_command")),
        ("tools: Agent(worker), Task, Read", ("read_file",)),
        ("permission: deny", ()),
        ("permission: {'*': deny, read: allow}", ("read_file",)),
        ("permission: {bash: {'*': ask, 'git *': allow}}", tuple(name for name in ALL if name != "run_command")),
        ("permission: {task: deny}", ALL),
    ],
)
def test_tools_are_never_more_than_was_meant(fields: str, tools: tuple[str, ...] | None) -> None:

    assert front(fields).tools == tools


_VALUES = st.sampled_from(["Read", "Write", "Bash", "Bash(git *)", "Unknown", "*", "Edit"])


@given(st.lists(_VALUES), st.lists(_VALUES.filter(lambda name: name != "*"), min_size=1))
def test_what_is_taken_away_is_gone(allowed: list[str], removed: list[str]) -> None:
    found = front(f"tools: {allowed}\ndisallowedTools: {removed}")
    taken = {canonical_tool(bare) for name in removed if (bare := name.partition("(")[0]) != "Unknown"}
    assert found.tools is not None and not taken & set(found.tools)


@given(st.text(alphabet="abn:{}[]*&!-'\"\n \t#|>,.~%@`é", max_size=60), st.sampled_from(["", "---\n", "name: x\n"]))
def test_any_text_is_a_definition_or_is_refused(text: str, start: str) -> None:
    try:
        found = parsed(f"---\n{start}{text}\n---\nDo it.\n")
    except NotUsable:
        return
    assert found.name and found.prompt and set(found.tools or ()) <= set(TOOLS)


def test_what_plan_mode_takes_away_is_what_changes_things() -> None:
    assert set(CHANGING) == {"edit_file", "write_file", "run_command"}


def test_the_tools_are_those_of_the_policy() -> None:
    assert TOOLS == policy.TOOLS
