"""A look at the workspace before a script is written for it: read by code, bounded, nothing is run but `git`.

What is found are facts with a place, for a prompt: names of files and folders are the project's own words, so all of it
goes to the model as JSON data, never as text of ours.
"""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.values import Json

MOST_FILES = 20_000
"""Files looked at; a larger project is said to be larger."""
MOST_FOLDERS = 12
MOST_LANGUAGES = 8
MOST_WORKFLOWS = 30
GIT_S = 5.0
MANIFEST_BYTES = 1 << 20

_PASSED_OVER = frozenset(
    {"node_modules", "vendor", "venv", "dist", "build", "target", "__pycache__", "coverage", "site-packages"}
)
_MANIFESTS = {
    "pyproject.toml": "Python",
    "setup.py": "Python",
    "requirements.txt": "Python",
    "package.json": "JavaScript",
    "Cargo.toml": "Rust",
    "go.mod": "Go",
    "pom.xml": "Java",
    "build.gradle": "Java",
    "build.gradle.kts": "Kotlin",
    "Gemfile": "Ruby",
    "composer.json": "PHP",
    "mix.exs": "Elixir",
    "Package.swift": "Swift",
    "CMakeLists.txt": "C or C++",
    "Makefile": "make",
    "Dockerfile": "Docker",
}
_SUFFIXES = {
    ".py": "Python", ".js": "JavaScript", ".mjs": "JavaScript", ".jsx": "JavaScript", ".ts": "TypeScript",
    ".tsx": "TypeScript", ".rs": "Rust", ".go": "Go", ".java": "Java", ".kt": "Kotlin", ".rb": "Ruby", ".php": "PHP",
    ".c": "C", ".h": "C", ".cc": "C++", ".cpp": "C++", ".hpp": "C++", ".cs": "C#", ".swift": "Swift", ".ex": "Elixir",
    ".scala": "Scala", ".sh": "shell", ".sql": "SQL", ".md": "Markdown", ".rst": "reStructuredText", ".html": "HTML",
    ".css": "CSS", ".json": "JSON", ".yaml": "YAML", ".yml": "YAML", ".toml": "TOML",
}  # fmt: skip


def report(project: Path) -> dict[str, Json]:
    """What the project is like; every list in it is short."""
    manifests = [name for name in _MANIFESTS if (project / name).is_file()]
    return {
        "project": project.name,
        "manifests": manifests,
        **_sizes(project),
        "testCommand": _test_command(project, frozenset(manifests)),
        "git": _git(project),
        "workflows": _workflows(project),
    }


def _sizes(project: Path) -> dict[str, Json]:
    files, folders, languages = 0, Counter[str](), Counter[str]()
    for folder, name in _files(project):
        files += 1
        folders["/".join(folder.split("/")[:2]) or "."] += 1
        if language := _SUFFIXES.get(os.path.splitext(name)[1].lower()):
            languages[language] += 1
        if files == MOST_FILES:
            break
    return {
        "files": files,
        "isLarger": files == MOST_FILES,
        "languages": dict(languages.most_common(MOST_LANGUAGES)),
        "folders": dict(folders.most_common(MOST_FOLDERS)),
        "moreFolders": max(0, len(folders) - MOST_FOLDERS),
    }


def _files(project: Path) -> Iterator[tuple[str, str]]:
    """(folder, name) of every file that is not hidden, generated or somebody else's."""
    for here, folders, names in os.walk(project):
        folders[:] = sorted(name for name in folders if name[0] != "." and name not in _PASSED_OVER)
        inside = os.path.relpath(here, project)
        for name in sorted(names):
            if name[0] != ".":
                yield ("" if inside == "." else inside.replace(os.sep, "/")), name


def _test_command(project: Path, manifests: frozenset[str]) -> str | None:
    """A guess, by what a person would look for first."""
    guesses: tuple[tuple[str, Callable[[], bool], str], ...] = (
        ("Makefile", lambda: "\ntest:" in "\n" + _text(project / "Makefile"), "make test"),
        ("package.json", lambda: _has_npm_test(project / "package.json"), "npm test"),
        ("pyproject.toml", lambda: _uses_pytest(project), "python -m pytest -q"),
        ("Cargo.toml", lambda: True, "cargo test"),
        ("go.mod", lambda: True, "go test ./..."),
        ("mix.exs", lambda: True, "mix test"),
        ("pom.xml", lambda: True, "mvn -q test"),
    )
    for manifest, holds, command in guesses:
        if manifest in manifests and holds():
            return command
    return "python -m pytest -q" if (project / "tests").is_dir() and any(project.glob("tests/test_*.py")) else None


def _has_npm_test(path: Path) -> bool:
    try:
        scripts = json.loads(_text(path)).get("scripts") or {}
        return "no test specified" not in str(scripts.get("test", "no test specified"))
    except (ValueError, AttributeError):
        return False


def _uses_pytest(project: Path) -> bool:
    text = _text(project / "pyproject.toml")
    try:
        tools = tomllib.loads(text).get("tool") or {}
    except tomllib.TOMLDecodeError:
        tools = {}
    return "pytest" in tools or "pytest" in text


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MANIFEST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _git(project: Path) -> dict[str, Json] | None:
    """Branch, how many files differ from it; None outside of a repository, or when git does not say."""
    try:
        done = subprocess.run(
            [
                "git",
                "-C",
                str(project),
                "-c",
                "core.fsmonitor=false",
                "status",
                "--porcelain=v1",
                "--branch",
                "--untracked-files=normal",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_S,
            check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    head, *changed = done.stdout.decode("utf-8", "replace").splitlines() or [""]
    return {"branch": head.removeprefix("## ").partition("...")[0][:100], "changedFiles": len(changed)}


def _workflows(project: Path) -> list[dict[str, Json]]:
    """What a script may call by name."""
    from engine.workflows import list_workflows

    usable = [one for one in list_workflows(project, start=project) if not one.problem and not one.shadowed_by]
    return [{"name": one.name, "description": one.description[:160]} for one in usable[:MOST_WORKFLOWS]]
