"""The skill file that tells a coding agent how to use Pawl: where each program looks for it, and whose it is.

Only what Pawl wrote is replaced or removed: the last line is a mark with the hash of all that stands before it. Nobody
else's file is touched, and no program's config is: how to register the server is said, not done.

Where programs look: Claude Code in `.claude/skills`; Codex in `.agents/skills`; OpenCode in `.opencode/skills`, and in
the folders of the other two. A program that would find the skill twice gets it once.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UsageError

NAME = "pawl"
TITLES = {"claude": "Claude Code", "codex": "Codex", "opencode": "OpenCode"}

_MARK = re.compile(r"<!-- written by `pawl skill install`; sha256 ([0-9a-f]{64}) -->\n\Z")

_OPENCODE = """\
  add to opencode.json (or ~/.config/opencode/opencode.json for all projects):
    {"mcp": {"pawl": {"type": "local", "command": ["pawl", "mcp"], "enabled": true}}}"""


@dataclass(frozen=True, slots=True)
class Skill:
    """The skill of one program.

    Attributes:
        path: the file; None for a program that reads another's.
        registration: how a person gives it the tools.
    """

    program: str
    path: Path | None
    registration: str

    @property
    def title(self) -> str:
        return TITLES[self.program]


def places(programs: Sequence[str], project: Path | None, *, is_shared: bool = True) -> list[Skill]:
    """The skills of `programs` in a project, or the user's own when it is None.

    Args:
        is_shared: a program that reads the folder of another one of them gets no file of its own.
    """
    home = Path.home()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    claude = Path(os.environ.get("CLAUDE_CONFIG_DIR") or home / ".claude")
    roots = {
        "claude": claude if project is None else project / ".claude",
        "codex": (home if project is None else project) / ".agents",
        "opencode": config / "opencode" if project is None else project / ".opencode",
    }
    scope = "user" if project is None else "project"
    steps = {
        "claude": f"  claude mcp add --scope {scope} pawl -- pawl mcp",
        "codex": "  codex mcp add pawl -- pawl mcp     # and for runs of any length, in ~/.codex/config.toml:\n"
        "    [mcp_servers.pawl]\n    tool_timeout_sec = 600",
        "opencode": _OPENCODE,
    }
    out = []
    for program in programs:
        is_read_elsewhere = is_shared and program == "opencode" and len(programs) > 1
        path = None if is_read_elsewhere else roots[program] / "skills" / NAME / "SKILL.md"
        out.append(Skill(program, path, steps[program]))
    return out


def text() -> str:
    """The skill with its mark."""
    body = (Path(__file__).parent / "skill.md").read_text(encoding="utf-8")
    return f"{body}\n<!-- written by `pawl skill install`; sha256 {_hash(body)} -->\n"


def refuse_foreign(skill: Skill, *, is_forced: bool) -> None:
    """Raises `UsageError` when the file is there and is not ours (`skill_foreign`), or was edited (`skill_edited`)."""
    if skill.path is None or not os.path.lexists(skill.path):
        return
    found = None if skill.path.is_symlink() or not skill.path.is_file() else _read(skill.path)
    mark = None if found is None else _MARK.search(found)
    if found is None or mark is None:
        raise UsageError(
            f"{skill.path} was not written by Pawl",
            code="skill_foreign",
            hint="Nothing was changed. Move it away, or choose another program with --for.",
        )
    if _hash(found[: mark.start() - 1]) != mark[1] and not is_forced:
        raise UsageError(
            f"{skill.path} was edited since Pawl wrote it",
            code="skill_edited",
            hint="Nothing was changed. Keep your text elsewhere, then use --force.",
        )


def write(skill: Skill) -> bool:
    """Writes the skill, in one piece; False when it is there already. Ask `refuse_foreign` first."""
    if skill.path is None or (skill.path.exists() and _read(skill.path) == text()):
        return False
    try:
        skill.path.parent.mkdir(parents=True, exist_ok=True)
        new = skill.path.with_name(f".SKILL.md.{os.getpid()}")
        new.write_text(text(), encoding="utf-8")
        new.replace(skill.path)
    except OSError as error:
        raise UsageError(f"cannot write {skill.path}: {error.strerror or error}", code="unwritable") from None
    return True


def remove(skill: Skill) -> bool:
    """Removes the skill and its folder, unless that holds more. Ask `refuse_foreign` first."""
    if skill.path is None or not skill.path.exists():
        return False
    skill.path.unlink()
    if not any(skill.path.parent.iterdir()):
        skill.path.parent.rmdir()
    return True


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def _hash(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
