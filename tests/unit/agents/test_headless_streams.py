"""The streams of coding agents, from lines that the pinned versions have printed (shortened where nothing reads them)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.agents.headless.claude import ClaudeStream
from engine.agents.headless.codex import CodexStream
from engine.agents.headless.opencode import OpencodeStream
from engine.agents.headless.program import Sign, Stream, Turn
from engine.values import Usage

CLAUDE = r"""
{"type":"system","subtype":"init","cwd":"/w","session_id":"c7729aeb","tools":["Bash"],"model":"claude-x"}
{"type":"system","subtype":"status","status":"requesting","session_id":"c7729aeb"}
{"type":"stream_event","event":{"type":"message_start","message":{"id":"msg_1","model":"claude-x","content":[],"usage":{"input_tokens":7,"cache_creation_input_tokens":0,"cache_read_input_tokens":3,"output_tokens":1}}},"session_id":"c7729aeb"}
{"type":"stream_event","event":{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"I write."}},"session_id":"c7729aeb"}
{"type":"assistant","message":{"id":"msg_1","model":"claude-x","content":[{"type":"text","text":"I write."}],"usage":{"input_tokens":7,"output_tokens":1}},"session_id":"c7729aeb"}
{"type":"assistant","message":{"id":"msg_1","model":"claude-x","content":[{"type":"tool_use","id":"toolu_2","name":"Write","input":{"file_path":"/w/a.txt"}}]},"session_id":"c7729aeb"}
{"type":"stream_event","event":{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"input_tokens":7,"cache_read_input_tokens":3,"output_tokens":11}},"session_id":"c7729aeb"}
{"type":"user","message":{"role":"user","content":[{"tool_use_id":"toolu_2","type":"tool_result","content":"File created"}]},"session_id":"c7729aeb"}
{"type":"system","subtype":"api_retry","attempt":1,"max_retries":1,"retry_delay_ms":534.2,"error_status":529,"error":"overloaded","session_id":"c7729aeb"}
{"type":"hologram","session_id":"c7729aeb","event":[1,2]}
{"type":"assistant","message":{"id":"msg_3","model":"claude-x","content":[{"type":"text","text":"Done now."}]},"session_id":"c7729aeb"}
{"type":"result","subtype":"success","is_error":false,"result":"Done now.","session_id":"c7729aeb","total_cost_usd":0.00062,"usage":{"input_tokens":14,"output_tokens":22},"modelUsage":{"claude-x":{"inputTokens":14,"outputTokens":22,"cacheReadInputTokens":3,"cacheCreationInputTokens":0,"costUSD":0.00062}},"permission_denials":[{"tool_name":"Bash","tool_use_id":"t","tool_input":{"command":"make"}}]}
"""

CODEX = r"""
{"type":"thread.started","thread_id":"01a22159"}
{"type":"item.completed","item":{"id":"item_0","type":"error","message":"Model metadata for `fake-model` not found."}}
{"type":"turn.started"}
{"type":"item.completed","item":{"id":"item_1","type":"agent_message","text":"I write."}}
{"type":"item.started","item":{"id":"item_2","type":"command_execution","command":"/bin/bash -lc 'cat a.txt'","aggregated_output":"","exit_code":null,"status":"in_progress"}}
{"type":"item.completed","item":{"id":"item_2","type":"command_execution","command":"/bin/bash -lc 'cat a.txt'","aggregated_output":"hi\n","exit_code":1,"status":"failed"}}
{"type":"item.completed","item":{"id":"item_3","type":"agent_message","text":"Done now."}}
{"type":"turn.completed","usage":{"input_tokens":14,"cached_input_tokens":0,"output_tokens":22,"reasoning_output_tokens":0}}
"""

OPENCODE = r"""
{"type":"step_start","timestamp":1,"sessionID":"ses_d","part":{"id":"prt_1","messageID":"msg_1","type":"step-start"}}
{"type":"text","timestamp":1,"sessionID":"ses_d","part":{"id":"prt_2","messageID":"msg_1","type":"text","text":"I write."}}
{"type":"tool_use","timestamp":1,"sessionID":"ses_d","part":{"type":"tool","tool":"write","callID":"call_2","state":{"status":"completed","input":{"filePath":"/w/a.txt"},"output":"Wrote file successfully."},"messageID":"msg_1"}}
{"type":"step_finish","timestamp":1,"sessionID":"ses_d","part":{"reason":"tool-calls","messageID":"msg_1","tokens":{"total":18,"input":7,"output":9,"reasoning":2,"cache":{"write":0,"read":3}},"cost":0.25}}
{"type":"text","timestamp":1,"sessionID":"ses_d","part":{"messageID":"msg_2","type":"text","text":"Done"}}
{"type":"text","timestamp":1,"sessionID":"ses_d","part":{"messageID":"msg_2","type":"text","text":"now."}}
{"type":"step_finish","timestamp":1,"sessionID":"ses_d","part":{"reason":"stop","messageID":"msg_2","tokens":{"input":7,"output":11,"reasoning":0,"cache":{"write":0,"read":0}},"cost":0.25}}
"""


def read(stream: Stream, lines: str) -> tuple[list[tuple[str, dict[str, Any]]], list[dict[str, Any]]]:
    """Turns for the record, and progress."""
    turns, signs = [], []
    for line in lines.strip().splitlines():
        for told in stream.read(json.loads(line)):
            if isinstance(told, Turn):
                turns.append((told.role, told.body))
            else:
                assert isinstance(told, Sign)
                signs.append(told.progress)
    return turns, signs


def test_claude() -> None:
    stream = ClaudeStream()
    turns, signs = read(stream, CLAUDE)
    write = {"id": "toolu_2", "name": "Write", "args": {"file_path": "/w/a.txt"}}
    assert turns == [
        ("assistant", {"text": "I write.", "model": "claude-x"}),
        ("assistant", {"text": "", "model": "claude-x", "calls": [write]}),
        ("tool", {"id": "toolu_2", "text": "File created", "ok": True}),
        ("assistant", {"text": "Done now.", "model": "claude-x"}),
    ]
    assert signs == [
        {"tokens": 2},
        {"tool": "Write"},
        {"usage": {"input_tokens": 10, "output_tokens": 11, "cost_usd": 0.0}},
        {"tool": None},
        {"waiting": "overloaded (529) of the service"},
        {"usage": {"input_tokens": 17, "output_tokens": 22, "cost_usd": 0.00062}},
        {
            "notice": "claude may not use Bash without being asked, and there is nobody to ask: allow it in "
            "[permissions], or in the program's own settings",
            "code": "permission_denied",
        },
    ]
    assert (stream.value, stream.session, stream.model, stream.is_done) == ("Done now.", "c7729aeb", "claude-x", True)
    assert stream.usage == Usage(17, 22, 0.00062)


def test_claude_gives_an_object() -> None:
    stream = ClaudeStream()
    read(
        stream, '{"type":"result","is_error":false,"result":"{\\"n\\":3}","structured_output":{"n":3},"session_id":"s"}'
    )
    assert stream.value == {"n": 3}


def test_claude_fails() -> None:
    stream = ClaudeStream()
    synthetic = '{"type":"assistant","message":{"model":"<synthetic>","content":[{"type":"text","text":"API Error"}]}}'
    result = (
        '{"type":"result","is_error":true,"api_error_status":429,"result":"API Error: Request rejected (429) · slow"}'
    )
    turns, _ = read(stream, f"{synthetic}\n{result}")
    assert turns == []
    assert stream.failure is not None
    assert (stream.failure.code, stream.failure.retryable) == ("rate_limited", True)
    assert stream.failure.message == "claude: API Error: Request rejected (429) · slow"


def test_codex() -> None:
    stream = CodexStream(model="m", is_total=True)
    turns, signs = read(stream, CODEX)
    call = {"id": "item_2", "name": "command_execution", "args": {"command": "/bin/bash -lc 'cat a.txt'"}}
    assert turns == [
        ("assistant", {"text": "I write.", "model": "m"}),
        ("assistant", {"text": "", "calls": [call]}),
        ("tool", {"id": "item_2", "name": "command_execution", "text": "hi\n", "ok": False}),
        ("assistant", {"text": "Done now.", "model": "m"}),
    ]
    assert signs == [{"tool": "codex"}, {"tool": "command_execution"}, {"tool": "codex"}]
    assert (stream.value, stream.session, stream.is_done) == ("Done now.", "01a22159", True)
    assert stream.usage == Usage(14, 22)


def test_codex_fails() -> None:
    stream = CodexStream()
    words = "unexpected status 401 Unauthorized: bad key, url: http://127.0.0.1:4/v1/responses"
    _, signs = read(stream, json.dumps({"type": "error", "message": f"Reconnecting... 1/5 ({words})"}))
    assert signs == [{"waiting": f"Reconnecting... 1/5 ({words})"}]
    read(stream, json.dumps({"type": "turn.failed", "error": {"message": words}}))
    assert stream.failure is not None
    assert stream.failure.to_json() == {
        "kind": "AgentError",
        "code": "provider_refused",
        "message": f"codex: {words}",
        "hint": "Log in with: codex login — or set CODEX_API_KEY, or the key that its config.toml names.",
        "fields": {"status": 401, "retryable": False},
    }


def test_opencode() -> None:
    stream = OpencodeStream()
    turns, signs = read(stream, OPENCODE)
    call = {"id": "call_2", "name": "write", "args": {"filePath": "/w/a.txt"}}
    assert turns == [
        ("assistant", {"text": "I write."}),
        ("assistant", {"text": "", "calls": [call]}),
        ("tool", {"id": "call_2", "name": "write", "text": "Wrote file successfully.", "ok": True}),
        ("assistant", {"text": "Done"}),
        ("assistant", {"text": "now."}),
    ]
    assert signs == [
        {"tool": "opencode"},
        {"usage": {"input_tokens": 10, "output_tokens": 11, "cost_usd": 0.25}},
        {"usage": {"input_tokens": 17, "output_tokens": 22, "cost_usd": 0.5}},
    ]
    assert (stream.value, stream.session) == ("Done\nnow.", "ses_d")


def test_opencode_fails() -> None:
    stream = OpencodeStream()
    data = {"message": "slow", "statusCode": 429, "isRetryable": True, "responseHeaders": {"retry-after": "7"}}
    read(stream, json.dumps({"type": "error", "sessionID": "s", "error": {"name": "APIError", "data": data}}))
    assert stream.failure is not None
    assert (stream.failure.code, stream.failure.retry_after_s) == ("rate_limited", 7)


@pytest.mark.parametrize("kind", [ClaudeStream, CodexStream, OpencodeStream])
@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": None},
        {"type": "assistant", "message": 7},
        {"type": "assistant", "message": {"content": ["x", None]}},
        {"type": "user", "message": {"content": [{"type": "tool_result", "content": None}]}},
        {"type": "stream_event", "event": {"type": "message_delta", "usage": "lots"}},
        {"type": "result", "is_error": True, "errors": 5, "modelUsage": [], "permission_denials": {"a": 1}},
        {"type": "item.completed", "item": [1]},
        {"type": "item.started", "item": {"type": "mcp_tool_call"}},
        {"type": "turn.completed", "usage": {"input_tokens": -1, "output_tokens": True}},
        {"type": "turn.failed"},
        {"type": "error", "error": "text"},
        {"type": "text", "part": []},
        {"type": "tool_use", "part": {"state": "odd"}},
        {"type": "step_finish", "part": {"tokens": 3, "cost": "free"}},
    ],
    ids=lambda event: str(event)[:40],
)
def test_odd_events_break_nothing(kind: type[Stream], event: dict[str, Any]) -> None:
    stream = kind()
    list(stream.read(event))
    assert stream.usage == Usage()
