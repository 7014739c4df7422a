"""Toolboxes for tests: a workspace in a temporary folder, everything allowed unless said otherwise."""

from __future__ import annotations

import os
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path

from engine.agents.policy import Gate, Policy
from engine.agents.tools import Toolbox
from engine.clock import SystemClock
from engine.settings import SecretSettings, ToolSettings


def environment(**more: str) -> dict[str, str]:
    """Ours, without proxies: no test leaves this machine."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")} | more


def toolbox(
    workspace: Path,
    *,
    allowed=None,
    allow=(),
    ask=(),
    deny=(),
    approve=None,
    is_confined=True,
    settings=None,
    clock=None,
    environ=None,
    mcp=None,
    overflow=None,
) -> Toolbox:
    return Toolbox(
        workspace=str(workspace),
        allowed=allowed,
        settings=settings or ToolSettings(),
        gate=Gate(Policy(allow=allow, ask=ask, deny=deny, is_confined=is_confined), approve),
        clock=clock or SystemClock(),
        environ=environ if environ is not None else environment(),
        secrets=SecretSettings(environment=("*_API_KEY", "*_TOKEN"), patterns=("customer-[0-9]{6}",)),
        mcp=mcp,
        overflow=overflow or workspace.parent / f"{workspace.name}-outputs",
    )


@asynccontextmanager
async def opened(workspace: Path, **options):
    box = toolbox(workspace, **options)
    await box.open()
    try:
        yield box
    finally:
        await box.close()


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main", *words],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def repository(folder: Path) -> Path:
    """A repository with one commit and a `.pawl`."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q")
    git(folder, "config", "user.name", "a")
    git(folder, "config", "user.email", "a@b.c")
    (folder / "file.txt").write_text("one\n")
    (folder / ".gitignore").write_text(".pawl\n")
    (folder / ".pawl").mkdir()
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder
