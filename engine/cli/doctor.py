"""`pawl doctor`: what works here and what does not, found out by doing it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.cli.command import Command, Shell, command
from engine.errors import PawlError
from engine.settings import Settings

State = Literal["ok", "note", "bad"]

LOW_DISK_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. Only `bad` makes `doctor` fail; a `note` says what is missing and how to get it."""

    name: str
    state: State
    text: str
    hint: str = ""


@command("doctor", example="pawl doctor")
async def doctor(shell: Shell) -> int:
    """Say what works here and what does not. Exits 0 unless the sandbox or the journal cannot work."""
    from engine.cli.reading import journal_path, project_of

    project, path = project_of(shell), journal_path(shell)
    findings = [_python(), _engine()]
    findings.append(await _tried("sandbox", _sandbox))
    findings.append(await _tried("journal", lambda: _journal(path)))
    findings += [_disk(path), *_settings(project), _git(), _commands(project), *_backends(project), _workflows(project)]
    is_well = not any(finding.state == "bad" for finding in findings)
    if shell.out.is_json:
        found = [{"name": f.name, "state": f.state, "text": f.text, "hint": f.hint or None} for f in findings]
        shell.out.json({"ok": is_well, "project": str(project), "journal": str(path), "findings": found})
    else:
        marks = {"ok": ("ok  ", "green"), "note": ("note", "yellow"), "bad": ("BAD ", "red")}
        for finding in findings:
            word, colour = marks[finding.state]
            shell.out.print(f"{shell.out.paint(word, colour)} {finding.name:<12} {finding.text}")
            if finding.hint:
                shell.out.print(f"     {'':<12} {finding.hint}")
    return 0 if is_well else 1


async def _tried(name: str, work: Callable[[], Awaitable[Finding]]) -> Finding:
    """What `work` found; whatever stops it is the finding."""
    try:
        return await work()
    except PawlError as error:
        return Finding(name, "bad", error.message, error.hint)
    except Exception as error:  # noqa: BLE001 - a doctor that dies of the disease helps nobody
        return Finding(name, "bad", f"{type(error).__name__}: {error}")


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", "ok", f"{version} on {sys.platform} ({os.uname().machine})")


def _engine() -> Finding:
    from importlib.metadata import PackageNotFoundError, version

    for name in ("quickjs", "quickjs-ng"):
        try:
            return Finding("javascript", "ok", f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return Finding(
        "javascript", "bad", "no JavaScript engine is installed", "pip install --force-reinstall pawl-engine"
    )


async def _sandbox() -> Finding:
    """Starts a real child and asks what holds it."""
    from engine.assets import stdlib_files
    from sandbox import Limits, Sandbox

    began = time.perf_counter()
    child = Sandbox.spawn(Limits(), stdlib_files())
    try:
        await child.compile(1, "return 1")
        level = child.info.level
    finally:
        await child.close()
    text = f"{level}; started in {(time.perf_counter() - began) * 1000:.0f} ms"
    if level == "seccomp":
        return Finding("sandbox", "ok", text)
    return Finding("sandbox", "note", text, "Without seccomp the child is held by rlimits and by having nothing else.")


async def _journal(path: Path) -> Finding:
    """Writes and syncs beside the journal, as a commit does, and reads the journal if there is one."""
    from engine.journal.sqlite import SqliteJournal

    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".pawl-doctor-") as file:
        times = []
        for _ in range(5):
            file.write(b"x" * 512)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    runs = 0
    async with SqliteJournal(path) as journal:
        async for _info in journal.runs():
            runs += 1
    return Finding("journal", "ok", f"{path}: {runs} runs; a sync takes {sorted(times)[2] * 1000:.1f} ms")


def _disk(path: Path) -> Finding:
    from engine.cli.wording import size

    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    hint = "" if free >= LOW_DISK_BYTES else "A full disk pauses no run: it fails it."
    return Finding("disk", "note" if hint else "ok", f"{size(free)} free", hint)


def _settings(project: Path) -> list[Finding]:
    from engine.config import load_settings

    try:
        load_settings(project)
    except PawlError as error:
        return [Finding("settings", "note", error.message, error.hint)]
    return [Finding("settings", "ok", "defaults, config files and PAWL_* variables fit")]


def _git() -> Finding:
    if (found := shutil.which("git")) is not None:
        return Finding("git", "ok", f"{found}, for agents with isolation: 'worktree'")
    return Finding("git", "note", "not found: agents cannot have worktrees", "Install git.")


def _commands(project: Path) -> Finding:
    """What holds the commands that subagents run."""
    from engine.agents.confinement import confinement_level

    level = confinement_level(_loaded(project).tools.confine)
    if level != "none":
        return Finding("commands", "ok", f"agents' commands are confined by {level}")
    return Finding(
        "commands",
        "note",
        "agents' commands have no file-system limits here, so each asks for permission",
        "On Linux: a kernel with Landlock (5.13), or bubblewrap.",
    )


def _loaded(project: Path) -> Settings:
    """The settings, or the defaults where they do not fit: that is a finding of its own."""
    from engine.config import load_settings

    try:
        return load_settings(project)
    except PawlError:
        return Settings()


def _backends(project: Path) -> list[Finding]:
    """Those that work here, and the default one; the others are on a page of their own."""
    from engine.agents.registry import DEFAULT_BACKEND, list_backends

    found = list_backends(_loaded(project))
    told = [
        Finding(b.name, "ok", b.what) if b.is_available else Finding(b.name, "note", b.why_not, b.install)
        for b in found
        if b.is_available or b.name == DEFAULT_BACKEND
    ]
    others = sum(not b.is_available for b in found if b.name != DEFAULT_BACKEND)
    if others:
        told.append(Finding("backends", "note", f"{others} more are known and not set up here", "pawl backends"))
    return told


def _workflows(project: Path) -> Finding:
    from engine.workflows import list_workflows

    found = [one for one in list_workflows(project) if one.shadowed_by is None]
    names = ", ".join(workflow.name for workflow in found[:8]) + (", …" if len(found) > 8 else "")
    return Finding("workflows", "ok" if found else "note", f"{len(found)} found" + (f": {names}" if found else ""))


COMMANDS: dict[str, Command] = {"doctor": doctor}
