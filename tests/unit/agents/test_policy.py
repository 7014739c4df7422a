"""Permission rules: what they match, what beats what, what a model is told."""

from __future__ import annotations

import pytest

from engine.agents.policy import Gate, Policy, Ruling, Verdict, canonical_tool, check_rules, parse_rule
from engine.errors import UsageError
from engine.settings import PermissionSettings

ALLOW, ASK, DENY = Verdict.ALLOW, Verdict.ASK, Verdict.DENY


@pytest.mark.parametrize(
    ("tool", "is_confined", "verdict"),
    [
        ("read_file", False, ALLOW),
        ("list_files", False, ALLOW),
        ("grep", False, ALLOW),
        ("edit_file", False, ALLOW),
        ("write_file", False, ALLOW),
        ("run_command", True, ALLOW),
        ("run_command", False, ASK),
        ("fetch_url", True, ASK),
        ("mcp.git.log", True, ASK),
        ("something_new", True, ASK),
    ],
)
def test_what_no_rule_names_has_a_default(tool, is_confined, verdict):
    policy = Policy.from_settings(PermissionSettings(), is_confined=is_confined)
    assert policy.rule(tool, "x") == Ruling(verdict, "default")


def test_deny_beats_ask_beats_allow():
    policy = Policy(allow=["read_file"], ask=["read_file(secret*)"], deny=["read_file(secret.key)"], is_confined=True)
    assert policy.rule("read_file", "a.txt") == Ruling(ALLOW, "read_file")
    assert policy.rule("read_file", "secret.txt") == Ruling(ASK, "read_file(secret*)")
    assert policy.rule("read_file", "secret.key") == Ruling(DENY, "read_file(secret.key)")


GIT = "run_command(git status*)"


@pytest.mark.parametrize(
    "command",
    ["git status", "git status -s", "git status 2>/dev/null", "git status; git status -s", "git status '; x'"],
)
def test_a_pattern_allows_a_command_that_it_matches_as_a_whole(command):
    assert Policy(allow=[GIT], is_confined=False).rule("run_command", command) == Ruling(ALLOW, GIT)


@pytest.mark.parametrize(
    "command",
    [
        "git status; rm -rf x",
        "git status && rm x",
        "git status || rm x",
        "git status | sh",
        "git status & rm x",
        "git status\nrm x",
        "git status $(rm x)",
        'git status "$(rm x)"',
        "git status `rm x`",
        'git status "`rm x`"',
        "git status <(rm x)",
        "git status > ~/.bashrc",
        "git status >> f",
        "git status < f",
        "git status <<E\n$(rm x)\nE",
        "(git status; rm x)",
        "git status () { rm x; }",
        "git status 'unclosed",
        "git status $'\\'' ; rm x '",
        "git status \\\n; rm x",
        "X=1 git status",
        " rm x; git status",
        "git status # comment ; rm x",
        "git status\r\nrm x",
        "git status 1>/dev/null/../../f",
        "git status '\\'; rm x; '",
        'git status "\\"; rm x; "\\"',
        "",
    ],
)
def test_a_pattern_does_not_allow_more_than_it_matches(command):
    verdict = Policy(allow=[GIT], is_confined=False).rule("run_command", command).verdict
    assert verdict is ASK or command == 'git status "\\"; rm x; "\\"'  # the last: one quoted word, rightly allowed


def test_several_rules_allow_a_line_together():
    policy = Policy(allow=[GIT, "Bash(ls:*)"], is_confined=False)
    assert policy.rule("run_command", "git status && ls -l").verdict is ALLOW
    assert policy.rule("run_command", "git status && lsof").verdict is ASK


@pytest.mark.parametrize(
    "command",
    [
        "rm x",
        "  rm   x",
        "ls; rm x",
        "ls && rm x",
        "ls | xargs rm x",
        "env X=1 rm x",
        "X=1 Y=2 rm x",
        "sudo -n rm x",
        "timeout -k 5 10 rm x",
        "nice -n 5 env A=b rm x",
        "sh -c 'rm x'",
        "bash -lc \"sh -c 'rm x'\"",
        "/bin/rm x",
        "'rm' x",
        'r"m" x',
        "r\\m x",
        "echo $(rm x)",
        "echo `rm x`",
        "if true; then rm x; fi",
        "eval 'rm x'",
        "(rm x)",
        "{ rm x; }",
        "echo 'a\nb'; rm x",
        "true\nrm x",
        "exec rm x",
        "busybox rm x",
        "! rm x",
    ],
)
def test_a_denied_command_is_found_also_inside_others(command):
    policy = Policy(deny=["run_command(rm *)"], is_confined=True)
    assert policy.rule("run_command", command) == Ruling(DENY, "run_command(rm *)")


def test_what_a_denied_command_is_not():
    policy = Policy(deny=["run_command(rm *)"], is_confined=True)
    for command in ("rmdir x", "echo rm", "git rm x", "ls"):
        assert policy.rule("run_command", command).verdict is ALLOW, command


def test_a_line_of_too_many_commands_to_look_through_is_denied():
    policy = Policy(deny=["run_command(rm *)"], is_confined=True)
    assert policy.rule("run_command", "true;" * 100_000).verdict is DENY


def test_matching_takes_no_long_time():
    policy = Policy(allow=["run_command(*a*a*a*a*a*a*a*b)", "read_file(**/**/**/**/x)"], is_confined=False)
    assert policy.rule("run_command", "a" * 5000).verdict is ASK
    assert policy.rule("read_file", "a/" * 500).verdict is ALLOW


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("src/**", "src/a/b.py", True),
        ("src/**", "src", True),
        ("src/**", "srcs/a", False),
        ("src/*", "src/a/b.py", False),
        ("src/*", "src/a", True),
        ("src/", "src/a/b", True),
        ("*.py", "a/b/c.py", True),
        (".env", "a/.env", True),
        ("./.env", "a/.env", False),
        ("/.env", ".env", True),
        ("**/x", "x", True),
        ("**/x", "a/b/x", True),
        ("**/x", "ax", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/c/d/b", True),
        ("a/**/b", "ab", False),
        ("a?c", "abc", True),
    ],
)
def test_patterns_of_paths(pattern, path, fits):
    assert (Policy(deny=[f"read_file({pattern})"], is_confined=True).rule("read_file", path).verdict is DENY) == fits


def test_capitals_do_not_hide_what_is_denied_and_do_not_widen_what_is_allowed():
    assert Policy(deny=["write_file(.ENV)"], is_confined=True).rule("write_file", "a/.env").verdict is DENY
    policy = Policy(ask=["write_file"], allow=["write_file(src/**)"], is_confined=True)
    assert policy.rule("write_file", "src/a").verdict is ASK


@pytest.mark.parametrize(
    ("pattern", "url", "fits"),
    [
        ("https://example.com/*", "https://example.com/a/b?c=d", True),
        ("https://example.com/*", "https://example.com/", True),
        ("https://example.com/*", "http://example.com/", False),
        ("https://example.com/*", "https://example.com.evil.org/", False),
        ("https://example.com*", "https://example.com.evil.org/", False),
        ("https://example.com*", "https://example.com/a", True),
        ("https://*.example.com/*", "https://a.example.com/x", True),
        ("https://*.example.com/*", "https://evil.org/.example.com/x", False),
        ("https://example.com/a*", "https://example.com/b", False),
        ("domain:example.com", "https://docs.example.com/a", True),
        ("domain:example.com", "https://badexample.com/a", False),
        ("http://localhost:3000/*", "http://localhost:3000/a", True),
        ("http://localhost:3000/*", "http://localhost:3001/a", False),
        ("https://EXAMPLE.com/*", "https://example.com/a", True),
        ("example.com", "https://example.com/", False),
    ],
)
def test_patterns_of_addresses(pattern, url, fits):
    policy = Policy(allow=[f"fetch_url({pattern})"], is_confined=True)
    assert (policy.rule("fetch_url", url).verdict is ALLOW) == fits


def test_tools_of_servers():
    policy = Policy(allow=["mcp(git.*)", "mcp__web__get"], deny=["mcp.git.push"], is_confined=True)
    assert policy.rule("mcp.git.log", "").verdict is ALLOW
    assert policy.rule("mcp", "git.log").verdict is ALLOW
    assert policy.rule("mcp.git.push", "").verdict is DENY
    assert policy.rule("mcp.web.get", "").verdict is ALLOW
    assert policy.rule("mcp.web.put", "").verdict is ASK
    assert Policy(deny=["mcp"], is_confined=True).rule("mcp.a.b", "").verdict is DENY


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Read", "read_file"),
        ("read_file", "read_file"),
        ("Glob", "list_files"),
        ("LS", "list_files"),
        ("Grep", "grep"),
        ("search", "grep"),
        ("Edit", "edit_file"),
        ("Write", "write_file"),
        ("Bash", "run_command"),
        ("run", "run_command"),
        ("WebFetch", "fetch_url"),
        ("Bash(git:*)", "run_command(git:*)"),
        ("mcp__git__log", "mcp.git.log"),
        ("mcp__git", "mcp.git.*"),
        ("mcp.git.*", "mcp.git.*"),
    ],
)
def test_names_of_other_programs(given, name):
    assert canonical_tool(given) == name


def test_an_unknown_tool_gets_near_names():
    with pytest.raises(UsageError) as caught:
        canonical_tool("raed_file")
    assert (caught.value.code, caught.value.message) == ("unknown_tool", "there is no tool 'raed_file'")
    assert caught.value.hint == (
        "Did you mean read_file or edit_file? Tools are read_file, list_files, grep, edit_file, write_file, run_command, "
        "fetch_url, and mcp.SERVER.TOOL."
    )


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("run_command(", "expected TOOL or TOOL(PATTERN)"),
        ("", "expected TOOL or TOOL(PATTERN)"),
        ("read_file()", "the pattern is empty; leave out the parentheses to mean every use"),
        ("mcp.git.log(x)", "tools of MCP servers take no pattern of their arguments"),
    ],
)
def test_a_bad_rule_says_which_and_why(rule, problem):
    with pytest.raises(UsageError) as caught:
        check_rules(PermissionSettings(deny=(rule,)))
    assert caught.value.message == f"permission rule {rule!r}: {problem}"
    assert caught.value.code == "bad_rule"


def test_a_pattern_of_everything_is_none():
    assert parse_rule("fetch_url(*)").pattern is None
    policy = Policy(allow=["fetch_url(*)"], is_confined=True)
    assert policy.rule("fetch_url", "http://localhost/").verdict is ALLOW
    assert not policy.names("fetch_url", "http://localhost/")


async def test_a_gate_says_why_not():
    policy = Policy(deny=["read_file(.env)"], is_confined=True)
    assert await Gate(policy, None).admit("read_file", "a.txt") is None
    assert await Gate(policy, None).admit("read_file", ".env") == (
        "read_file(.env) is denied by the permission rule 'read_file(.env)'. Do without it."
    )
    assert await Gate(policy, None).admit("fetch_url", "https://example.com/") == (
        "fetch_url(https://example.com/) needs a person's permission, and this run has no terminal; "
        'allow it with [permissions] allow = ["fetch_url(https://example.com/)"]. Do without it.'
    )


async def test_a_gate_asks_the_person():
    asked = []

    async def approve(tool, argument):
        asked.append((tool, argument))
        return argument == "https://yes/"

    gate = Gate(Policy(is_confined=True), approve)
    assert await gate.admit("fetch_url", "https://yes/") is None
    assert await gate.admit("fetch_url", "https://no/") == (
        "fetch_url(https://no/) was not permitted: a person was asked and said no. Do without it."
    )
    assert await gate.admit("read_file", "a") is None
    assert asked == [("fetch_url", "https://yes/"), ("fetch_url", "https://no/")]
