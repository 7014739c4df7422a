"""Start-up is a promise: what a command does not need is not imported (docs/performance.md)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"pydantic", "httpx", "rich", "structlog", "xllamacpp", "jsonschema", "tree_sitter", "_quickjs", "quickjs"}
"""Top-level packages that cost tens of milliseconds, or that a host process must never load (the engines)."""

PROGRAM = """
import json, os, sys
from engine.cli import main
code = main.run(sys.argv[1:])
sys.stdout.flush()
os.write(2, b"\\nLOADED " + json.dumps(sorted({name.split(".")[0] for name in sys.modules})).encode() + b"\\n")
sys.exit(code)
"""

SCRIPT = """
export const meta = { name: 'two', description: 'Two agents.', phases: [{ title: 'Ask' }] }
phase('Ask')
return await parallel([() => agent('one'), () => agent('two')])
"""


def loaded(*words: str, cwd: Path) -> set[str]:
    """The top-level packages that are in the process after that command line."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    last = done.stderr.rstrip().splitlines()[-1]
    return set(json.loads(last.removeprefix("LOADED ")))


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("run", "--help"), ("runs",)], ids=" ".join)
def test_looking_loads_nothing_heavy(words: tuple[str, ...], tmp_path: Path) -> None:
    assert loaded(*words, cwd=tmp_path) & HEAVY == set()


def test_help_loads_no_database(tmp_path: Path) -> None:
    assert loaded("--help", cwd=tmp_path) & {"aiosqlite", "sqlite3", "asyncio"} == set()


def test_a_run_and_its_resume_load_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "two.js").write_text(SCRIPT, encoding="utf-8")
    assert loaded("run", "two.js", "--backend", "sample", "--run-id", "r", cwd=tmp_path) & HEAVY == set()
    assert loaded("resume", "r", cwd=tmp_path) & HEAVY == set()
    assert loaded("replay", "r", cwd=tmp_path) & HEAVY == set()
