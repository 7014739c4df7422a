"""What the built-in agents are told before a call, and what their requests are in our words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.agents.acp.permissions import Use, use_of
from engine.agents.acp.programs import Terms, environment, find_program
from engine.agents.headless.fences import Fence
from engine.settings import PermissionSettings, ProgramSettings, Settings

RULES = PermissionSettings(deny=("fetch_url", "read_file(keys/**)"))


def opening(program: str, tools: tuple[str, ...] | None = None, rules: PermissionSettings = RULES, **more: Any) -> Any:
    return find_program(program, Settings(), {}).opening(Terms(Fence.of(tools, rules), **more))


def test_claude_is_not_given_what_is_denied() -> None:
    found = opening("claude", ("read_file", "grep"), model="m", system="Be terse.")
    options = found.meta["claudeCode"]["options"]
    assert options["tools"] == ["Read", "Grep"]
    assert options["disallowedTools"][-3:] == ["WebFetch", "WebSearch", "Read(keys/**)"]
    assert found.meta["systemPrompt"] == {"append": "Be terse."}
    assert (found.mode, found.has_system) == ("default", True)
    assert found.environment["ANTHROPIC_MODEL"] == found.environment["ANTHROPIC_CUSTOM_MODEL_OPTION"] == "m"


@pytest.mark.parametrize(
    ("tools", "deny", "mode"),
    [
        (None, (), "workspace-write"),
        (("read_file",), (), "read-only"),
        (None, ("run_command",), "read-only"),
        (None, ("write_file",), "read-only"),
    ],
)
def test_codex_is_held_by_its_mode(tools: tuple[str, ...] | None, deny: tuple[str, ...], mode: str) -> None:
    found = opening("codex", tools, PermissionSettings(deny=deny), model="m")
    assert (found.mode, found.environment["INITIAL_AGENT_MODE"]) == (mode, mode)
    assert json.loads(found.environment["CODEX_CONFIG"]) == {"model": "m", "web_search": "disabled"}


def test_opencode_asks_for_everything() -> None:
    asked = json.loads(opening("opencode").environment["OPENCODE_PERMISSION"])
    assert asked == {
        **dict.fromkeys(("read", "list", "glob", "grep", "edit", "bash", "external_directory"), "ask"),
        **dict.fromkeys(("webfetch", "websearch", "question", "task"), "deny"),
    }
    asked = json.loads(opening("opencode", ("read_file",)).environment["OPENCODE_PERMISSION"])
    assert list(asked)[:2] == ["*", "pawl_submit_result"]
    assert [name for name, verb in asked.items() if verb == "ask"] == ["read", "external_directory"]


def test_an_entry_of_the_config_takes_the_place_of_a_command() -> None:
    programs = {"claude": ProgramSettings(("mine", "--acp"), {"X_TOKEN": "$MY_TOKEN"})}
    settings = Settings(programs=programs)
    environ = {"MY_TOKEN": "token-of-mine", "ANTHROPIC_API_KEY": "key-of-mine", "OTHER_TOKEN": "token-of-another"}
    found = find_program("claude", settings, environ)
    assert (found.command, found.tells_of_calls) == (("mine", "--acp"), True)
    assert environment(found, settings, environ) == {
        "ANTHROPIC_API_KEY": "key-of-mine",
        "PAWL_INSIDE_AGENT": "1",
        "X_TOKEN": "token-of-mine",
    }


@pytest.mark.parametrize(
    ("call", "use"),
    [
        ({"kind": "read", "rawInput": {"file_path": "/w/a"}}, Use("read_file", paths=("/w/a",))),
        ({"kind": "edit", "locations": [{"path": "/w/a"}], "rawInput": {}}, Use("edit_file", paths=("/w/a",))),
        (
            {"kind": "edit", "_meta": {"claudeCode": {"toolName": "Write"}}, "rawInput": {"file_path": "/w/a"}},
            Use("write_file", paths=("/w/a",)),
        ),
        ({"kind": "edit", "rawInput": {"changes": {"/w/a": {}, "/w/b": {}}}}, Use("edit_file", paths=("/w/a", "/w/b"))),
        ({"kind": "delete", "locations": [{"path": "/w/a"}]}, Use("write_file", paths=("/w/a",))),
        ({"kind": "execute", "rawInput": {"command": "make"}}, Use("run_command", "make")),
        ({"kind": "execute", "rawInput": {"command": ["ls", "a b"]}}, Use("run_command", "ls 'a b'")),
        ({"kind": "execute", "rawInput": {"command": ["bash", "-lc", "make x"]}}, Use("run_command", "make x")),
        ({"kind": "execute", "title": "make all"}, Use("run_command", "make all")),
        ({"kind": "fetch", "rawInput": {"url": "https://a.b"}}, Use("fetch_url", "https://a.b")),
        ({"kind": "think"}, None),
        ({"kind": "other", "title": "mcp__pawl__submit_result"}, None),
        ({"title": "pawl_submit_result", "rawInput": {"n": 1}}, None),
        ({"kind": "execute", "title": "mcp.pawl.submit_result", "rawInput": {"n": 1}}, None),
        # A command that only looks like the tool is a command.
        (
            {"kind": "execute", "title": "pawl_submit_result", "rawInput": {"command": "pawl_submit_result"}},
            Use("run_command", "pawl_submit_result"),
        ),
        ({"kind": "other", "title": "mcp__git__log"}, Use("mcp.git.log")),
        ({"kind": "switch_mode", "title": "Ready to code?"}, Use("mcp.agent.Ready_to_code")),
        ({"kind": "other", "title": "/etc/*"}, Use("mcp.agent.etc", paths=("/etc",))),
        ({}, Use("mcp.agent.unknown")),
    ],
    ids=str,
)
def test_what_is_asked_in_our_words(call: dict[str, Any], use: Use | None) -> None:
    assert use_of(call) == use
