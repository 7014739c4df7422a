"""Claude Code by its command line: `claude -p --output-format stream-json`.

Its `--allowedTools` only approves in advance; what a call is narrowed to goes through `--tools`, which takes the others
away. A schema that the program does not understand it drops without a word: the answer is then the text, and whoever
validates it asks again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.agents.headless.faults import fault, quote
from engine.agents.headless.fences import Fence
from engine.agents.headless.program import Launch, Program, Sign, Stream, Task, Turn, count, rows, table
from engine.errors import AgentError
from engine.values import Json, Usage

LOGIN = "Log in with: claude /login — or set ANTHROPIC_API_KEY."

_TOOLS = {
    "read_file": ("Read",),
    "list_files": ("Glob",),
    "grep": ("Grep",),
    "edit_file": ("Edit", "NotebookEdit"),
    "write_file": ("Write",),
    "run_command": ("Bash",),
    "fetch_url": ("WebFetch",),
}
_NEVER = ("Workflow", "CronCreate", "ScheduleWakeup", "EnterWorktree", "ExitWorktree", "AskUserQuestion")
"""Subagents start no workflows, outlive no call, leave no folder and ask nobody."""

_OWN_RETRIES = "2"
"""Of a request, before the failure is ours to wait out: ours are seen and slow other calls down, too."""

_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Claude(Program):
    name: str = "claude"
    command: tuple[str, ...] = ("claude",)
    install: str = "npm install -g @anthropic-ai/claude-code"
    secrets: tuple[str, ...] = ("ANTHROPIC_*", "CLAUDE_CODE_*", "AWS_*")
    dropped: tuple[str, ...] = ("CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SSE_PORT")
    login: str = LOGIN

    def check(self, fence: Fence) -> str | None:
        unknown = sorted((fence.named or frozenset()) - _TOOLS.keys())
        return f"it has no tool {', '.join(unknown)}" if unknown else None

    def takes_schema(self, schema: dict[str, Json]) -> bool:
        return True

    def launch(self, task: Task) -> Launch:
        words = ["-p", "--output-format", "stream-json", "--verbose", "--include-partial-messages"]
        words += ["--permission-mode", "acceptEdits", *_fence_words(task.fence)]
        if task.model:
            words += ["--model", task.model]
        if task.effort:
            words += ["--effort", task.effort]
        if task.system:
            words += ["--append-system-prompt", task.system]
        if task.schema is not None:
            words += ["--json-schema", json.dumps(task.schema, ensure_ascii=False)]
        if task.session:
            words += ["--resume", task.session]
        return Launch(words, task.prompt, {"CLAUDE_CODE_MAX_RETRIES": _OWN_RETRIES, "DISABLE_AUTOUPDATER": "1"})

    def stream(self) -> Stream:
        return ClaudeStream()


def _fence_words(fence: Fence) -> list[str]:
    words: list[str] = []
    if fence.named is not None:
        tools = [name for tool in _TOOLS if fence.may(tool) for name in _TOOLS[tool]]
        words += ["--tools", ",".join(dict.fromkeys(tools)), "--strict-mcp-config"]
    approved = [name for tool in sorted(fence.allowed) for name in _TOOLS.get(tool, (tool,))]
    forbidden = [*_NEVER, *(name for tool in sorted(fence.denied) for name in _TOOLS.get(tool, (tool,)))]
    for verb, tool, pattern in fence.patterns:
        target = approved if verb == "allow" else forbidden
        target += [f"{name}({pattern})" for name in _TOOLS.get(tool, (tool,))]
    if approved:
        words += ["--allowedTools", *approved]
    return [*words, "--disallowedTools", *forbidden]


@dataclass(slots=True)
class ClaudeStream(Stream):
    """Its events: `system`, `stream_event` (the service's own, while it answers), `assistant` and `user` (whole
    blocks), `rate_limit_event`, and `result` at the end."""

    _paid: dict[str, Usage] = field(default_factory=dict)  # by message: a message is told more than once
    _message: str = ""
    _tokens: float = 0
    _reset_s: float | None = None

    def read(self, event: dict[str, Json]) -> Iterator[Turn | Sign]:
        if isinstance(session := event.get("session_id"), str) and session:
            self.session = session
        kind = event.get("type")
        if kind == "stream_event":
            yield from self._partial(table(event.get("event")))
        elif kind == "assistant":
            yield from self._said(event)
        elif kind == "user":
            yield from self._results(event)
        elif kind == "system":
            yield from self._system(event)
        elif kind == "rate_limit_event":
            info = table(event.get("rate_limit_info"))
            if info.get("status") == "rejected" and (resets := count(info.get("resetsAt"))):
                self._reset_s = max(0.0, resets - time.time())
        elif kind == "result":
            yield from self._ended(event)

    def _system(self, event: dict[str, Json]) -> Iterator[Turn | Sign]:
        if event.get("subtype") == "init" and isinstance(model := event.get("model"), str):
            self.model = model
        elif event.get("subtype") == "api_retry":
            why = f"{event.get('error') or 'an error'} ({event.get('error_status') or 'no answer'}) of the service"
            yield Sign({"waiting": why})

    def _partial(self, event: dict[str, Json]) -> Iterator[Sign]:
        kind = event.get("type")
        if kind == "message_start":
            message = table(event.get("message"))
            self._message = str(message.get("id") or "")
            self._paid[self._message] = _usage(table(message.get("usage")))
            self._tokens = 0
        elif kind == "content_block_delta":
            delta = table(event.get("delta"))
            text = delta.get("text") or delta.get("partial_json") or delta.get("thinking") or ""
            self._tokens += len(str(text)) / _CHARACTERS_PER_TOKEN
            before = sum(usage.output_tokens for message, usage in self._paid.items() if message != self._message)
            yield Sign({"tokens": before + max(1, round(self._tokens))})
        elif kind == "message_delta":
            self._paid[self._message] = _usage(table(event.get("usage")))
            self.usage = sum(self._paid.values(), Usage())
            yield Sign({"usage": self.usage.to_json()})

    def _said(self, event: dict[str, Json]) -> Iterator[Turn | Sign]:
        message = table(event.get("message"))
        if message.get("model") == "<synthetic>":  # the program's own words about a failure: `result` has them, too
            return
        if isinstance(message.get("model"), str) and not event.get("parent_tool_use_id"):
            self.model = message["model"]
        texts, calls = [], []
        for block in rows(message.get("content")):
            if block.get("type") == "text":
                texts.append(str(block.get("text")))
            elif block.get("type") == "tool_use":
                calls.append({"id": block.get("id"), "name": block.get("name"), "args": block.get("input")})
        if texts or calls:
            body: dict[str, Json] = {"text": "\n".join(texts), "model": message.get("model")}
            if calls:
                body["calls"] = calls
            yield Turn("assistant", body)
        for call in calls:
            yield Sign({"tool": call["name"]})

    def _results(self, event: dict[str, Json]) -> Iterator[Turn | Sign]:
        for block in rows(table(event.get("message")).get("content")):
            if block.get("type") == "tool_result":
                content = block.get("content")
                parts = [str(part.get("text") or f"[{part.get('type')}]") for part in rows(content)]
                text = content if isinstance(content, str) else "\n".join(parts)
                yield Turn("tool", {"id": block.get("tool_use_id"), "text": text, "ok": not block.get("is_error")})
                yield Sign({"tool": None})

    def _ended(self, event: dict[str, Json]) -> Iterator[Turn | Sign]:
        self.is_done = True
        by_model = rows(list(table(event.get("modelUsage")).values()))
        cost = event.get("total_cost_usd")
        cost_usd = float(cost) if isinstance(cost, int | float) else 0.0
        if by_model:  # subagents of its own are in it
            names = ("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
            tokens_in = sum(count(row.get(name)) for row in by_model for name in names)
            self.usage = Usage(tokens_in, sum(count(row.get("outputTokens")) for row in by_model), cost_usd)
        else:
            told = _usage(table(event.get("usage")))
            self.usage = Usage(told.input_tokens, told.output_tokens, cost_usd)
        yield Sign({"usage": self.usage.to_json()})
        yield from _denials(rows(event.get("permission_denials")))
        if event.get("is_error"):
            self.failure = self._failure(event)
        else:
            self.value = event.get("structured_output") or event.get("result") or ""

    def _failure(self, event: dict[str, Json]) -> AgentError:
        subtype = str(event.get("subtype") or "")
        errors = event.get("errors")
        told = "; ".join(map(str, errors)) if isinstance(errors, list) else ""
        words = str(event.get("result") or told or subtype)
        if subtype == "error_max_structured_output_retries":
            return AgentError(f"claude: no answer of its fits the schema: {quote(words)}", code="schema_invalid")
        if event.get("stop_reason") == "refusal":
            return AgentError(f"claude: the model refused: {quote(words)}", code="provider_refusal")
        status = count(event.get("api_error_status")) or None
        return fault("claude", words, status=status, login=LOGIN, retry_after_s=self._reset_s)


def _denials(denials: list[dict[str, Json]]) -> Iterator[Sign]:
    names = sorted({str(row.get("tool_name")) for row in denials})
    if names:
        yield Sign(
            {
                "notice": f"claude may not use {', '.join(names)} without being asked, and there is nobody to ask: "
                "allow it in [permissions], or in the program's own settings",
                "code": "permission_denied",
            }
        )


def _usage(told: dict[str, Json]) -> Usage:
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return Usage(sum(count(told.get(name)) for name in names), count(told.get("output_tokens")))
