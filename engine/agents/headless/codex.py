"""Codex by its command line: `codex exec --json`.

It does everything with commands, in a sandbox of its own. So it can be held to reading, or let work in its folder, but
not to some tools of several. Its usage is the session's since it began; what an earlier start has told is subtracted
where the record has it.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.agents.headless.faults import fault
from engine.agents.headless.fences import EDITING, READING, Fence
from engine.agents.headless.program import Launch, Program, Sign, Stream, Task, Turn, count, table
from engine.values import Json, Usage

LOGIN = "Log in with: codex login — or set CODEX_API_KEY, or the key that its config.toml names."

_EFFORTS = {"max": "xhigh"}
_NOT_STRICT = frozenset(
    {"allOf", "oneOf", "not", "if", "dependentRequired", "dependentSchemas", "patternProperties", "propertyNames"}
)


@dataclass(frozen=True, slots=True)
class Codex(Program):
    """`config` is the user's own configuration of the program, as far as it can be read."""

    config: Mapping[str, Json]
    secrets: tuple[str, ...]
    name: str = "codex"
    command: tuple[str, ...] = ("codex",)
    install: str = "npm install -g @openai/codex"
    dropped: tuple[str, ...] = ()
    login: str = LOGIN

    @staticmethod
    def by(environ: Mapping[str, str]) -> Codex:
        """Reads which variables hold the keys of services that its user has set up."""
        config = _config(environ)
        services = table(config.get("model_providers")).values()
        keys = [str(table(service).get("env_key")) for service in services if table(service).get("env_key")]
        return Codex(config, ("OPENAI_*", "CODEX_*", *keys))

    def check(self, fence: Fence) -> str | None:
        if rules := fence.denials():
            return f"it cannot keep a rule with a pattern: {', '.join(rules)}"
        named = fence.named
        if named is None:
            return None
        if unknown := sorted(named - {*READING, *EDITING, "run_command", "fetch_url"}):
            return f"it has no tool {', '.join(unknown)}"
        if not named & {*READING, *EDITING, "run_command"}:
            return "it always reads: name a tool that reads too"
        if named & set(EDITING) and "run_command" not in named:
            return "it edits with commands: name run_command too"
        return None

    def takes_schema(self, schema: dict[str, Json]) -> bool:
        """The program asks its service for strict adherence, which refuses a schema with anything optional."""
        return _is_strict(schema)

    def launch(self, task: Task) -> Launch:
        words = ["exec", "--json", "--skip-git-repo-check", "-c", 'approval_policy="never"']
        if not task.fence.may("run_command") or (task.fence.denied & set(EDITING)):
            words += ["-c", 'sandbox_mode="read-only"']
        elif "sandbox_mode" not in self.config:
            words += ["-c", 'sandbox_mode="workspace-write"']
        if not task.fence.may("fetch_url") or "fetch_url" in task.fence.unasked:
            words += ["-c", 'web_search="disabled"']
        if task.model:
            words += ["-m", task.model]
        if task.effort:
            words += ["-c", f"model_reasoning_effort={_toml(_EFFORTS.get(task.effort, task.effort))}"]
        if task.system:
            words += ["-c", f"developer_instructions={_toml(task.system)}"]
        files = {}
        if task.schema is not None:
            files["schema.json"] = json.dumps(task.schema)
            words += ["--output-schema", str(Path(task.folder) / "schema.json")]
        if task.session:
            words += ["resume", task.session]
        return Launch([*words, "-"], task.prompt, files=files)

    def stream(self) -> Stream:
        model = self.config.get("model")
        service = "openai" if self.config.get("model_provider", "openai") == "openai" else None
        return CodexStream(
            model=model if isinstance(model, str) else None, is_total=True, is_unpriced=True, service=service
        )


def _config(environ: Mapping[str, str]) -> dict[str, Json]:
    home = environ.get("CODEX_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".codex")
    try:
        return tomllib.loads(Path(home, "config.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # the program says what is wrong with it


def _toml(text: str) -> str:
    """A TOML string: JSON's, but for the one control character that JSON leaves as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _is_strict(schema: Json) -> bool:
    if isinstance(schema, list):
        return all(_is_strict(part) for part in schema)
    if not isinstance(schema, dict):
        return True
    if _NOT_STRICT & schema.keys():
        return False
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        names = set(table(schema.get("properties")))
        if schema.get("additionalProperties") is not False or names != set(schema.get("required") or ()):
            return False
    parts = [*table(schema.get("properties")).values(), *table(schema.get("$defs")).values()]
    return all(_is_strict(part) for part in [*parts, schema.get("items"), schema.get("anyOf")])


_CALLS = {
    "command_execution": ("command", "aggregated_output"),
    "file_change": ("changes", "status"),
    "mcp_tool_call": ("arguments", "result"),
    "web_search": ("query", "query"),
    "collab_tool_call": ("prompt", "status"),
}
"""Items that are work: the field with what was wanted, and the one with what came of it."""


@dataclass(slots=True)
class CodexStream(Stream):
    """Its events: `thread.started`, `item.started` and `item.completed`, `turn.completed` or `turn.failed`."""

    _texts: int = 0

    def read(self, event: dict[str, Json]) -> Iterator[Turn | Sign]:
        kind = event.get("type")
        item = table(event.get("item"))
        if kind == "thread.started" and isinstance(thread := event.get("thread_id"), str):
            self.session = thread
            # Nothing is told while the model answers, so that silence means nothing.
            yield Sign({"tool": "codex"})
        elif kind == "item.started" and item.get("type") in _CALLS:
            yield Turn("assistant", {"text": "", "calls": [_call(item)]})
            yield Sign({"tool": _tool(item)})
        elif kind == "item.completed":
            yield from self._completed(item)
        elif kind == "turn.completed":
            told = table(event.get("usage"))
            self.usage = Usage(count(told.get("input_tokens")), count(told.get("output_tokens")))
            self.cached_tokens = count(told.get("cached_input_tokens"))
            self.is_done = True
        elif kind == "turn.failed":
            self.failure = fault("codex", str(table(event.get("error")).get("message") or ""), login=LOGIN)
            self.is_done = True
        elif kind == "error":
            yield Sign({"waiting": str(event.get("message") or "an error")[:200]})

    def _completed(self, item: dict[str, Json]) -> Iterator[Turn | Sign]:
        kind = item.get("type")
        if kind == "agent_message":
            self.value = str(item.get("text") or "")
            yield Turn("assistant", {"text": self.value, "model": self.model})
        elif kind in _CALLS:
            came = item.get(_CALLS[kind][1])
            text = came if isinstance(came, str) else json.dumps(came, ensure_ascii=False)
            is_ok = item.get("status") in (None, "completed") and item.get("exit_code") in (None, 0)
            yield Turn("tool", {"id": item.get("id"), "name": _tool(item), "text": text, "ok": is_ok})
            yield Sign({"tool": "codex"})


def _tool(item: dict[str, Json]) -> str:
    return str(item.get("tool") or item.get("type"))


def _call(item: dict[str, Json]) -> dict[str, Json]:
    wanted = _CALLS[str(item.get("type"))][0]
    return {"id": item.get("id"), "name": _tool(item), "args": {wanted: item.get(wanted)}}
