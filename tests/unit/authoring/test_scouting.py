"""The look at a workspace: facts, bounded, nothing run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from engine.authoring import scouting
from engine.authoring.scouting import report


def put(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_what_kind_of_project_it_is(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n", encoding="utf-8")
    for name in ("src/a.py", "src/b.py", "src/deep/er/c.py", "README.md", "node_modules/x/i.js", ".hidden/h.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n", encoding="utf-8")
    found = report(tmp_path)
    assert found["manifests"] == ["pyproject.toml"]
    assert (found["files"], found["isLarger"]) == (5, False)
    assert found["languages"] == {"Python": 3, "TOML": 1, "Markdown": 1}
    assert found["folders"] == {"src": 2, ".": 2, "src/deep": 1}
    assert found["testCommand"] == "python -m pytest -q"
    assert found["git"] is None
    assert {"name", "description"} == set(found["workflows"][0])


@pytest.mark.parametrize(
    ("name", "text", "command"),
    [
        ("Makefile", "build:\n\tcc\ntest: build\n\t./t\n", "make test"),
        ("Makefile", "build:\n\tcc\n", None),
        ("package.json", '{"scripts": {"test": "vitest run"}}', "npm test"),
        ("package.json", '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}', None),
        ("package.json", "not json", None),
        ("package.json", '["odd"]', None),
        ("Cargo.toml", "", "cargo test"),
        ("go.mod", "", "go test ./..."),
        ("pyproject.toml", "not toml [", None),
        ("tests/test_a.py", "", "python -m pytest -q"),
    ],
)
def test_the_test_command_is_guessed(name: str, text: str, command: str | None, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert report(tmp_path)["testCommand"] == command


def test_a_repository_says_its_branch_and_how_much_is_changed(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q", "-b", "trunk"], check=True)
    (tmp_path / "a").write_text("x", encoding="utf-8")
    subprocess.run([*git, "add", "a"], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    (tmp_path / "a").write_text("y", encoding="utf-8")
    (tmp_path / "b").write_text("y", encoding="utf-8")
    assert report(tmp_path)["git"] == {"branch": "trunk", "changedFiles": 2}


def test_a_repository_cannot_have_a_command_run(tmp_path: Path) -> None:
    """`git status` would start what core.fsmonitor names."""
    subprocess.run(["git", "-C", str(tmp_path), "init", "-q"], check=True)
    hook = tmp_path / "hook.sh"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n", encoding="utf-8")
    hook.chmod(0o755)
    subprocess.run(["git", "-C", str(tmp_path), "config", "core.fsmonitor", str(hook)], check=True)
    assert report(tmp_path)["git"] is not None
    assert not (tmp_path / "started").exists()


def test_a_large_project_is_not_walked_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scouting, "MOST_FILES", 10)
    for number in range(30):
        folder = tmp_path / f"folder{number:02}"
        folder.mkdir()
        (folder / "a.py").write_text("", encoding="utf-8")
    found = report(tmp_path)
    assert (found["files"], found["isLarger"]) == (10, True)
    assert len(found["folders"]) <= scouting.MOST_FOLDERS


def test_links_that_turn_in_circles_end(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("", encoding="utf-8")
    os.symlink(tmp_path, tmp_path / "again")
    assert report(tmp_path)["files"] == 1
