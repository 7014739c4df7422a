"""What the pages show works as it stands there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def shown(language: str, needle: str) -> list[tuple[str, str]]:
    """(page and number, text) of every block of that language that holds `needle`."""
    return [
        (f"{page.name}-{number}", text)
        for page in PAGES
        for number, text in enumerate(blocks(page, language), start=1)
        if needle in text
    ]


def pawl(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine.cli.main", *words]
    return subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(("where", "script"), shown("js", "export const meta"), ids=lambda text: text[:20])
def test_scripts_that_pages_show_are_accepted(where: str, script: str, tmp_path: Path) -> None:
    (tmp_path / "shown.js").write_text(script, encoding="utf-8")
    done = pawl("check", "shown.js", cwd=tmp_path)
    assert done.returncode == 0, f"{where}\n{done.stdout}{done.stderr}"


def test_the_program_of_the_python_page_runs(tmp_path: Path) -> None:
    (program,) = [text for text in blocks(ROOT / "docs/python.md", "python") if "asyncio.run" in text]
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert "'event': 'run_started'" in lines[0] and "'event': 'run_ended'" in lines[-2]
    assert lines[-1].startswith("completed ['Sample answer ")


def test_the_worked_example_of_the_journal_page_makes_25_calls(tmp_path: Path) -> None:
    (script,) = [text for text in blocks(ROOT / "docs/journal.md", "js") if "find ${n}" in text]
    meta = "export const meta = { name: 'worked', description: 'The worked example.' }\n"
    (tmp_path / "worked.js").write_text(meta + script, encoding="utf-8")
    edited = script.replace("agent(`find ${n}`)", "agent(n === 2 ? 'find it' : `find ${n}`)")
    (tmp_path / "edited.js").write_text(meta + edited, encoding="utf-8")

    def counts(*words: str) -> tuple[int, int]:
        done = pawl(*words, "--json", "--yes", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        agents = json.loads(done.stdout)["agents"]
        return agents["live"], agents["reused"]

    assert counts("run", "worked.js", "--backend", "sample", "--run-id", "w") == (25, 0)
    assert counts("resume", "w", "--script", "edited.js") == (9, 16)
    assert counts("resume", "w", "--script", "worked.js") == (0, 25)
