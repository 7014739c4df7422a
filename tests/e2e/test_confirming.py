"""A first run that may get large, at the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.pawl import Pawl

BODY = "for (let i = 0; i < args; i++) await agent('x' + i, { retry: { attempts: 1 } })\nreturn 'done'\n"
NOWHERE = {"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "PAWL_AGENTS_ATTEMPTS": "1"}


@pytest.fixture
def pawl(tmp_path: Path) -> Pawl:
    found = Pawl(tmp_path / "project")
    (found.folder / ".pawl" / "config.toml").write_text("[confirm]\nagents = 3\n")
    return found


def test_without_a_terminal_a_large_first_run_is_refused_before_anything_starts(pawl: Pawl) -> None:
    done = pawl("run", pawl.script(BODY), "--args", "1000", "--backend", "openai:m", "--json", **NOWHERE)
    assert (done.code, done.json["run_id"], done.json["error"]["code"]) == (2, None, "not_confirmed")
    assert done.json["error"]["message"] == (
        "test.js is a large workflow: it has no run here to go by, and with made-up answers it made 4 agent calls and "
        "wanted more: about 20,000 tokens for $0.1080, by the settings' table ([estimate] in config.toml): nothing is "
        "recorded yet"
    )
    assert done.json["error"]["hint"] == "Confirm with --yes, or cap it: --max-agents N, --max-cost USD."
    assert pawl("runs", "--json").json == {"runs": []}


@pytest.mark.parametrize("flags", [("--yes",), ("--budget", "1000000"), ("--max-agents", "50"), ("--max-cost", "0")])
def test_consent_is_a_flag_or_a_cap(pawl: Pawl, flags: tuple[str, ...]) -> None:
    script = pawl.script(BODY)
    done = pawl("run", script, "--args", "5", "--backend", "openai:gpt-5", *flags, "--json", **NOWHERE)
    assert (done.json["error"] or {}).get("code") != "not_confirmed"


def test_a_small_first_run_just_starts(pawl: Pawl) -> None:
    done = pawl("run", pawl.script(BODY), "--args", "2", "--backend", "openai:m", "--json", **NOWHERE)
    assert (done.code, done.json["result"], done.json["agents"]["null"]) == (0, "done", 2)
