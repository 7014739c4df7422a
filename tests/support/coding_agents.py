"""Real coding agents in a home of their own, pointed at a scripted model.

`make coding-agents` installs the pinned versions; a program on the PATH does as well. A test that finds none is skipped.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from support.scripted_model import ScriptedModel

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = ROOT / ".coding-agents/node_modules/.bin"
MODELS = {"claude": "claude-scripted", "codex": "scripted-model", "opencode": "scripted/scripted-model"}


def find_program(name: str) -> str:
    """The path of a program; skips the test when it is not here."""
    found = shutil.which(name, path=str(INSTALLED)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: make coding-agents")
    return found


def agent_environment(program: str, home: Path, model: ScriptedModel) -> dict[str, str]:
    """All that a program needs to live in `home` and to ask `model`; nothing of the person who runs the tests."""
    binary = Path(find_program(program))
    node = shutil.which("node")
    folders = [str(binary.parent), *([str(Path(node).parent)] if node else []), "/usr/local/bin", "/usr/bin", "/bin"]
    temporary = home / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    environment = {
        "HOME": str(home),
        "PATH": os.pathsep.join(folders),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
    }
    return environment | {"claude": _claude, "codex": _codex, "opencode": _opencode}[program](home, model)


def _claude(home: Path, model: ScriptedModel) -> dict[str, str]:
    return {
        "ANTHROPIC_BASE_URL": model.origin,
        "ANTHROPIC_API_KEY": "key-of-a-test",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
    }


def _codex(home: Path, model: ScriptedModel) -> dict[str, str]:
    """Its sandbox refuses to work with a CODEX_HOME below TMPDIR: that is why TMPDIR is below the home here."""
    (home / ".codex").mkdir(exist_ok=True)
    (home / ".codex/config.toml").write_text(
        f"""
model = "scripted-model"
model_provider = "scripted"
[model_providers.scripted]
name = "scripted"
base_url = "{model.url}"
env_key = "SCRIPTED_API_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
[sandbox_workspace_write]
# Else it makes folders (.git, .codex) in /tmp to keep them from being written, and /tmp looks like a project.
exclude_slash_tmp = true
""",
        encoding="utf-8",
    )
    return {"SCRIPTED_API_KEY": "key-of-a-test"}


def _opencode(home: Path, model: ScriptedModel) -> dict[str, str]:
    options = {"baseURL": model.url, "apiKey": "key-of-a-test"}
    provider = {"npm": "@ai-sdk/openai-compatible", "options": options, "models": {"scripted-model": {}}}
    name = MODELS["opencode"]
    config = {"provider": {"scripted": provider}, "model": name, "small_model": name}
    return {
        "OPENCODE_CONFIG_CONTENT": json.dumps(config),
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
    }
