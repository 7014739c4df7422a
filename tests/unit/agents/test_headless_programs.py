"""How coding agents are started: flags, fences, schemas, templates, what they are told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.agents.headless import HeadlessBackend, missing
from engine.agents.headless.claude import Claude
from engine.agents.headless.codex import Codex
from engine.agents.headless.faults import crashed, fault, wait_s
from engine.agents.headless.fences import Fence
from engine.agents.headless.opencode import Opencode
from engine.agents.headless.plain import Template, filled, is_template
from engine.agents.headless.program import Program, Task
from engine.agents.headless.wording import prompt_for, unfinished
from engine.clock import SystemClock
from engine.errors import AgentError, UsageError
from engine.settings import PermissionSettings, ProgramSettings, Settings
from engine.values import AgentRequest, TurnRow

STRICT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
NONE = PermissionSettings()
NO_ASKING = {"bash": "deny", "webfetch": "deny", "websearch": "deny"}
ALL_ALLOWED = dict.fromkeys(NO_ASKING, "allow")


def codex(**config: Any) -> Codex:
    return Codex(config, ())


def task(fence: Fence | None = None, **fields: Any) -> Task:
    return Task(prompt="p", cwd="/w", folder="/t", fence=fence or Fence(), **fields)


def after(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1]


def test_claude_words() -> None:
    fence = Fence.of(("read_file", "Edit"), PermissionSettings(allow=("run_command(git *)",), deny=("fetch_url",)))
    launch = Claude().launch(
        task(fence, system="You.", model="opus", effort="high", schema=STRICT, session="s-1"),
    )
    words = launch.words
    assert after(words, "--tools") == "Read,Edit,NotebookEdit"
    assert "--strict-mcp-config" in words
    assert after(words, "--allowedTools") == "Bash(git *)"
    assert words[words.index("--disallowedTools") + 1 : words.index("--model")][-1] == "WebFetch"
    assert [after(words, flag) for flag in ("--model", "--effort", "--append-system-prompt", "--resume")] == [
        "opus",
        "high",
        "You.",
        "s-1",
    ]
    assert json.loads(after(words, "--json-schema")) == STRICT
    assert launch.stdin == "p"


def test_codex_words() -> None:
    launch = codex().launch(task(system='Say "a"\nb', model="gpt", effort="max", schema=STRICT, session="t-1"))
    assert launch.words == [
        *("exec", "--json", "--skip-git-repo-check", "-c", 'approval_policy="never"'),
        *(
            "-c",
            'sandbox_mode="workspace-write"',
            "-c",
            'web_search="disabled"',
            "-m",
            "gpt",
            "-c",
            'model_reasoning_effort="xhigh"',
        ),
        *("-c", 'developer_instructions="Say \\"a\\"\\nb"', "--output-schema", "/t/schema.json"),
        *("resume", "t-1", "-"),
    ]
    assert json.loads(launch.files["schema.json"]) == STRICT
    assert 'sandbox_mode="workspace-write"' not in codex(sandbox_mode="danger-full-access").launch(task()).words


@pytest.mark.parametrize(
    ("tools", "rules", "mode"),
    [
        (("read_file", "grep"), NONE, "read-only"),
        (("read_file", "run_command"), NONE, "workspace-write"),
        (None, PermissionSettings(deny=("edit_file",)), "read-only"),
        (None, PermissionSettings(ask=("run_command",)), "read-only"),
        (None, NONE, "workspace-write"),
    ],
)
def test_codex_sandbox(tools: tuple[str, ...] | None, rules: PermissionSettings, mode: str) -> None:
    fence = Fence.of(tools, rules)
    assert codex().check(fence) is None
    assert f'sandbox_mode="{mode}"' in codex().launch(task(fence)).words


@pytest.mark.parametrize(
    ("program", "tools", "rules", "why"),
    [
        (codex(), ("read_file", "edit_file"), NONE, "it edits with commands: name run_command too"),
        (codex(), (), NONE, "it always reads: name a tool that reads too"),
        (codex(), None, PermissionSettings(deny=("run_command(rm *)",)), "it cannot keep a rule with a pattern: run_command(rm *)"),
        (Claude(), ("mcp.git.log",), NONE, "it has no tool mcp.git.log"),
        (Opencode(), ("mcp.git.log",), NONE, "it has no tool mcp.git.log"),
        (Template("t", ("x",), ()), ("read_file",), NONE, "a program of [programs] cannot be held to tools"),
        (Template("t", ("x",), ()), None, PermissionSettings(deny=("read_file",)), "a program of [programs] cannot be held to the rules of [permissions]"),
        (Claude(), (), NONE, None),
        (Opencode(), (), PermissionSettings(deny=("run_command(rm *)",)), None),
    ],
)  # fmt: skip
def test_who_cannot_be_held_to_a_fence_says_so(
    program: Program, tools: tuple[str, ...] | None, rules: PermissionSettings, why: str | None
) -> None:
    assert program.check(Fence.of(tools, rules)) == why


def rules(**verbs: tuple[str, ...]) -> PermissionSettings:
    return PermissionSettings(**verbs)


@pytest.mark.parametrize(
    ("tools", "rules", "permission"),
    [
        (None, NONE, NO_ASKING),
        (None, rules(allow=("run_command", "fetch_url")), ALL_ALLOWED),
        ((), NONE, {"*": "deny", **NO_ASKING}),
        (("read_file", "write_file"), NONE, {"*": "deny", "read": "allow", "edit": "allow", **NO_ASKING}),
        (
            ("read_file", "run_command"),
            rules(allow=("Bash",)),
            {"*": "deny", "read": "allow", **NO_ASKING, "bash": "allow"},
        ),
        (("read_file", "run_command"), rules(deny=("Bash",)), {"*": "deny", "read": "allow", **NO_ASKING}),
        (None, rules(allow=("run_command(git *)",)), {**NO_ASKING, "bash": {"*": "deny", "git *": "allow"}}),
        (None, rules(deny=("edit_file(*.md)",)), {**NO_ASKING, "edit": {"*.md": "deny"}}),
        (None, rules(allow=("bash",), ask=("bash(rm *)",)), {**NO_ASKING, "bash": {"*": "allow", "rm *": "deny"}}),
        (("read_file",), rules(allow=("bash(rm *)",)), {"*": "deny", "read": "allow", **NO_ASKING}),
    ],
)
def test_opencode_permission(
    tools: tuple[str, ...] | None, rules: PermissionSettings, permission: dict[str, Any]
) -> None:
    environment = Opencode().launch(task(Fence.of(tools, rules))).environment
    assert json.loads(environment["OPENCODE_PERMISSION"]) == permission


@pytest.mark.parametrize(
    ("schema", "is_strict"),
    [
        (STRICT, True),
        ({**STRICT, "required": []}, False),
        ({"type": "object", "properties": {"n": {}}, "required": ["n"]}, False),
        ({**STRICT, "properties": {"n": {"type": "array", "items": {"type": "object"}}}}, False),
        ({**STRICT, "properties": {"n": {"anyOf": [STRICT, {"type": "null"}]}}}, True),
        ({**STRICT, "properties": {"n": {"oneOf": [STRICT]}}}, False),
    ],
)
def test_codex_takes_strict_schemas_only(schema: dict[str, Any], is_strict: bool) -> None:
    assert codex().takes_schema(schema) is is_strict


def test_templates() -> None:
    words = ("run", "--model", "{model}", "--schema={schema}", "-d", "{cwd}", "{prompt}")
    values = {"prompt": "say {model}", "model": None, "schema": None, "cwd": "/w"}
    assert filled(words, values) == ["run", "-d", "/w", "say {model}"]
    assert filled(words, {**values, "model": "m", "schema": "{}"}) == [
        *("run", "--model", "m", "--schema={}", "-d", "/w", "say {model}")
    ]
    assert is_template(ProgramSettings(("opencode", "acp"))) is False
    assert is_template(ProgramSettings(("opencode", "{prompt}"))) is True
    on_stdin = Template("t", ("x",), ("-q",)).launch(task(system="You."))
    assert (on_stdin.words, on_stdin.stdin) == (["-q"], "You.\n\np")


def request(**fields: Any) -> AgentRequest:
    usual: dict[str, Any] = {"run_id": "r", "call": 1, "identity": b"i" * 32, "attempt": 1, "workspace": "/w"}
    return AgentRequest(prompt="Task.", **(usual | fields))


class Earlier:
    def __init__(self, *turns: tuple[str, dict[str, Any]]) -> None:
        self.earlier = [TurnRow(1, 1, n, role, 0, json.dumps(body).encode()) for n, (role, body) in enumerate(turns, 1)]

    async def add(self, role: str, body: dict[str, Any], *, wait: bool = True) -> dict[str, Any]:
        return body


def test_what_a_further_attempt_is_told() -> None:
    done = {"id": "1", "name": "Write", "args": {"a": 1}}
    open_call = {"id": "2", "name": "Bash", "args": {"command": "make"}}
    trail = Earlier(
        ("assistant", {"text": "", "calls": [done, open_call]}), ("tool", {"id": "1", "text": "ok", "ok": True})
    )
    assert unfinished(trail.earlier) == ['Bash {"command": "make"}']
    assert prompt_for(request(attempt=2, trail=trail), is_continued=True, names_schema=False) == (
        "This is attempt 2 at the task below. An earlier one was started and did not finish, so that its work may be half "
        "done: look at what is there before you go on. It is not known how these ended:\n"
        '- Bash {"command": "make"}\n\nGo on with the task:\n\nTask.'
    )


def test_what_feedback_says() -> None:
    fed = request(feedback=(("{}", "n is missing"),), schema=STRICT)
    wanted = (
        "Give your final answer as one JSON object and nothing else: no sentence around it, no code fence. "
        f"It must fit this JSON Schema:\n{json.dumps(STRICT)}"
    )
    assert prompt_for(fed, is_continued=True, names_schema=False) == (
        f"That answer does not do: n is missing. Answer again.\n\n{wanted}"
    )
    assert prompt_for(fed, is_continued=False, names_schema=False) == (
        f"Task.\n\n{wanted}\n\nAn earlier answer was:\n\n{{}}\n\nIt does not do: n is missing."
    )


@pytest.mark.parametrize(
    ("words", "status", "code", "retryable"),
    [
        ("Failed to authenticate. API Error: 401 bad key", None, "provider_refused", False),
        ("API Error: Request rejected (429) · slow down", None, "rate_limited", True),
        ("exceeded retry limit, last status: 429 Too Many Requests", None, "rate_limited", True),
        ("API Error: Request rejected (429) · You exceeded your current quota", 429, "provider_quota", False),
        ("Quota exceeded. Check your plan and billing details.", None, "provider_quota", False),
        ("API Error: 402 credit balance too low", 402, "provider_quota", False),
        (
            "API Error: 529 overloaded. This is a server-side issue, usually temporary",
            529,
            "provider_unavailable",
            True,
        ),
        ("unexpected status 529 <unknown status code>: busy, url: http://x", None, "provider_unavailable", True),
        ("Codex ran out of room in the model's context window.", None, "context_exceeded", False),
        ("Prompt is too long · the request is ~200001 tokens (limit 200000)", 400, "context_exceeded", False),
        ("There's an issue with the selected model (claude-x). It may not exist", 404, "provider_refused", False),
        ("API Error: Connection to the API was lost (ECONNRESET).", None, "provider_connection", True),
        ("stream disconnected before completion: stream closed", None, "provider_connection", True),
        ("API Error: API returned an empty or malformed response (HTTP 200)", None, "provider_bad_answer", True),
        ("Incomplete response returned, reason: max_output_tokens", None, "provider_cut_off", False),
        ("Missing environment variable: `FAKE_KEY`.", None, "provider_refused", False),
        (
            "which appears to violate our Usage Policy (https://www.anthropic.com/legal/aup)",
            None,
            "provider_refusal",
            False,
        ),
        ("something new", 418, "provider_refused", False),
        ("something new", None, "program_failed", False),
    ],
)
def test_faults(words: str, status: int | None, code: str, retryable: bool) -> None:
    error = fault("claude", words, status=status)
    assert (error.code, error.retryable) == (code, retryable)


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Please try again in 11.054s.", 11.054),
        ("You've hit your usage limit. Try again in 3 days 4 hours 5 minutes.", 3 * 86400 + 4 * 3600 + 300),
        ("retry after 250ms", 0.25),
        ("usage limit reached|4102444800", None),
        ("slow down", None),
    ],
)
def test_waits(words: str, seconds: float | None) -> None:
    if "|" in words:
        assert (wait_s(words) or 0) > 86400
    else:
        assert wait_s(words) == seconds


def test_crashes() -> None:
    error = crashed("codex", 139, "panicked at main.rs")
    assert error.message == (
        "codex: the program was killed by signal 11 without an answer; its last words: panicked at main.rs"
    )
    assert (error.code, error.retryable) == ("program_crashed", True)
    assert crashed("codex", 1, "").message == (
        "codex: the program ended with exit code 1 without an answer and said nothing"
    )
    assert crashed("claude", 1, "Invalid API key · Please run /login").code == "provider_refused"


def test_unknown_and_missing_programs() -> None:
    with pytest.raises(UsageError) as caught:
        missing("ghost", Settings(), {})
    assert caught.value.code == "unknown_program"
    settings = Settings(programs={"mine": ProgramSettings(("no-such-binary",))})
    assert missing("mine", settings, {"PATH": "/nowhere"}) == (
        "there is no program 'no-such-binary' on the PATH",
        "install no-such-binary, or correct [programs.mine] in the config",
    )


async def test_a_call_that_a_template_cannot_keep_is_refused() -> None:
    settings = Settings(programs={"mine": ProgramSettings(("cat",))})
    backend = HeadlessBackend("mine", None, settings=settings, environ={"PATH": "/usr/bin:/bin"}, clock=SystemClock())
    with pytest.raises(AgentError) as caught:
        await backend.run(request(tools=("read_file",)), lambda _: None)
    assert caught.value.message == (
        "cli:mine cannot be held to what this call may do: a program of [programs] cannot be held to tools"
    )
