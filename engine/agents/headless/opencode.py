"""opencode by its command line: `opencode run --format json`.

It has no flag for a schema: the prompt asks for it. What it may do goes into `OPENCODE_PERMISSION`, which counts above
the user's configuration.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.agents.headless.faults import fault
from engine.agents.headless.fences import Fence
from engine.agents.headless.program import Launch, Program, Sign, Stream, Task, Turn, count, table
from engine.values import Json, Usage

LOGIN = "Log in with: opencode auth login — or set the API key of the model's provider."

_PERMISSIONS = {
    "read_file": ("read",),
    "list_files": ("list", "glob"),
    "grep": ("grep",),
    "edit_file": ("edit",),
    "write_file": ("edit",),
    "run_command": ("bash",),
    "fetch_url": ("webfetch", "websearch"),
}
"""Its words for our tools. It has one for editing and writing: whoever may do either may do both."""

_KEYS = (
    "ANTHROPIC_*",
    "OPENAI_*",
    "OPENCODE_*",
    "GEMINI_API_KEY",
    "GOOGLE_*",
    "OPENROUTER_API_KEY",
    "MISTRAL_API_KEY",
    "GROQ_API_KEY",
    "XAI_API_KEY",
    "DEEPSEEK_API_KEY",
    "AWS_*",
    "AZURE_*",
)


@dataclass(frozen=True, slots=True)
class Opencode(Program):
    name: str = "opencode"
    command: tuple[str, ...] = ("opencode",)
    install: str = "npm install -g opencode-ai"
    secrets: tuple[str, ...] = _KEYS
    dropped: tuple[str, ...] = ("OPENCODE_SERVER_PASSWORD",)
    login: str = LOGIN

    def check(self, fence: Fence) -> str | None:
        unknown = sorted((fence.named or frozenset()) - _PERMISSIONS.keys())
        return f"it has no tool {', '.join(unknown)}" if unknown else None

    def takes_schema(self, schema: dict[str, Json]) -> bool:
        return False

    def launch(self, task: Task) -> Launch:
        words = ["run", "--format", "json", "--dir", task.cwd]
        if task.model:
            words += ["-m", task.model]
        if task.effort:
            words += ["--variant", task.effort]
        # A title of ours: else it asks a model for one.
        words += ["--session", task.session] if task.session else ["--title", "pawl"]
        environment = {"OPENCODE_DISABLE_AUTOUPDATE": "1"}
        if permission := _permission(task.fence):
            environment["OPENCODE_PERMISSION"] = json.dumps(permission)
        prompt = f"{task.system}\n\n{task.prompt}" if task.system and not task.session else task.prompt
        return Launch(words, prompt, environment)

    def stream(self) -> Stream:
        return OpencodeStream()


def _permission(fence: Fence) -> dict[str, Json]:
    """Its tools are not confined: what somebody would have to be asked about is denied."""
    out: dict[str, Json] = {}
    if fence.named is not None:
        out["*"] = "deny"
        for tool, words in _PERMISSIONS.items():
            if fence.may(tool) and tool not in fence.unasked:
                out.update(dict.fromkeys(words, "allow"))
    for verb, tools in (("allow", fence.allowed), ("deny", fence.denied | fence.unasked)):
        for tool in sorted(tools):
            if verb == "deny" or fence.may(tool):
                out.update(dict.fromkeys(_PERMISSIONS.get(tool, (tool,)), verb))
    for verb, tool, pattern in fence.patterns:
        if not fence.may(tool):
            continue  # all of it is denied already
        for word in _PERMISSIONS.get(tool, (tool,)):
            whole = out.get(word)
            patterns = whole if isinstance(whole, dict) else {} if whole is None else {"*": whole}
            out[word] = {**patterns, pattern: verb}
    return out


@dataclass(slots=True)
class OpencodeStream(Stream):
    """Its events come when something is finished: `step_start`, `text`, `tool_use`, `step_finish`; `error`."""

    _message: str = ""
    _texts: list[str] = field(default_factory=list)

    def read(self, event: dict[str, Json]) -> Iterator[Turn | Sign]:
        if isinstance(session := event.get("sessionID"), str) and self.session is None:
            self.session = session
            # Nothing is told while the model answers, so that silence means nothing.
            yield Sign({"tool": "opencode"})
        kind, part = event.get("type"), table(event.get("part"))
        if kind == "text":
            yield from self._said(part)
        elif kind == "tool_use":
            yield from _used(part)
        elif kind == "step_finish":
            yield self._counted(part)
        elif kind == "error":
            self._failed(table(event.get("error")))

    def _said(self, part: dict[str, Json]) -> Iterator[Turn]:
        message, text = str(part.get("messageID")), str(part.get("text") or "")
        if message != self._message:
            self._message = message
            self._texts.clear()
        self._texts.append(text)
        self.value = "\n".join(self._texts)
        yield Turn("assistant", {"text": text})

    def _counted(self, part: dict[str, Json]) -> Sign:
        tokens = table(part.get("tokens"))
        cache, cost = table(tokens.get("cache")), part.get("cost")
        self.usage += Usage(
            count(tokens.get("input")) + count(cache.get("read")) + count(cache.get("write")),
            count(tokens.get("output")) + count(tokens.get("reasoning")),
            float(cost) if isinstance(cost, int | float) else 0.0,
        )
        return Sign({"usage": self.usage.to_json()})

    def _failed(self, error: dict[str, Json]) -> None:
        data, name = table(error.get("data")), str(error.get("name") or "")
        words = str(data.get("message") or name)
        if "Overflow" in name:
            words = f"context overflow: {words}"
        body = str(data.get("responseBody") or "")
        if "insufficient_quota" in body:
            words = f"quota: {words}"
        after = str(table(data.get("responseHeaders")).get("retry-after") or "")
        self.failure = fault(
            "opencode",
            words,
            status=count(data.get("statusCode")) or None,
            login=LOGIN,
            retry_after_s=float(after) if after.isdecimal() else None,
            is_retryable=data.get("isRetryable") is True,
        )


def _used(part: dict[str, Json]) -> Iterator[Turn]:
    state, name = table(part.get("state")), str(part.get("tool"))
    call = {"id": part.get("callID"), "name": name, "args": state.get("input")}
    yield Turn("assistant", {"text": "", "calls": [call]})
    is_ok = state.get("status") == "completed" and name != "invalid"
    text = str(state.get("output") or state.get("error") or "")
    yield Turn("tool", {"id": part.get("callID"), "name": name, "text": text, "ok": is_ok})
