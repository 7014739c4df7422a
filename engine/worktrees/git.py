"""Runs git as a subprocess, the same on every machine: no hooks, no pager, no prompts, no variables of a caller.

A git command gets a session of its own and, while it changes something, our lock on the repository (`Repository.lock`):
when we are killed it still runs to its end, and whoever comes next waits for it. So no file is left half-written by us.

What a repository's own configuration names is run where git has no way around it: filters (LFS is one) and merge
drivers.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import UsageError

TIMEOUT_S = 600.0
"""One command. A checkout of a large repository takes minutes; nothing that we ask for takes more."""

_KEPT_VARIABLES = frozenset(
    {
        *("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"),
        *("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH", "GIT_LFS_SKIP_SMUDGE"),
    }
)
"""Of those that begin with GIT_: who somebody is and where the configuration is; not which repository is meant."""

_ALWAYS = (
    *(
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "gc.auto=0",
        "-c",
        "maintenance.auto=false",
    ),
    *("-c", "core.quotePath=false", "-c", "advice.detachedHead=false", "-c", "core.untrackedCache=false"),
)


class GitFailed(UsageError):
    """A git command ended with a failure. `said` is what it printed to standard error, `exit_code` its exit code."""

    def __init__(self, what: str, said: str, exit_code: int | None) -> None:
        self.said = said
        self.git_exit_code = exit_code
        code, hint = _explain(said, exit_code)
        reason = _last_lines(said) or f"exit code {exit_code}"
        super().__init__(f"git {what} failed: {reason}", code=code, hint=hint)


@dataclass(frozen=True, slots=True)
class Git:
    """git in one folder. Immutable: `at` and `using` give another one.

    Attributes:
        variables: set for the commands: `GIT_DIR`, `GIT_INDEX_FILE`…
        inherited: open files that the command keeps open: the lock.
    """

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    inherited: tuple[int, ...] = ()

    def at(self, folder: Path) -> Git:
        return Git(folder, self.variables, self.inherited)

    def using(self, **variables: str | Path) -> Git:
        return Git(self.folder, {**self.variables, **{k: str(v) for k, v in variables.items()}}, self.inherited)

    def holding(self, fd: int) -> Git:
        return Git(self.folder, self.variables, (*self.inherited, fd))

    def text(self, *words: str | Path, given: bytes | None = None) -> str:
        """Standard output without its last line end; a name that is not UTF-8 keeps its bytes (as `os.fsdecode`)."""
        return os.fsdecode(self._run(words, given, (0,)).stdout).removesuffix("\n")

    def names(self, *words: str | Path, given: bytes | None = None) -> list[str]:
        """Output that `-z` separates."""
        return [os.fsdecode(name) for name in self._run(words, given, (0,)).stdout.split(b"\0") if name]

    def is_so(self, *words: str | Path) -> bool:
        """For commands that answer with their exit code: 0 or 1."""
        return self._run(words, None, (0, 1)).returncode == 0

    def maybe(self, *words: str | Path) -> str | None:
        """As `text`, or None when the command says no: a reference or a setting that does not exist."""
        try:
            return self.text(*words)
        except GitFailed as error:
            if error.git_exit_code in (1, 128) and error.code == "git_failed":
                return None
            raise

    def ended(
        self, *words: str | Path, given: bytes | None = None, fine: Sequence[int] = (0,)
    ) -> subprocess.CompletedProcess[bytes]:
        return self._run(words, given, fine)

    def _run(
        self, words: Sequence[str | Path], given: bytes | None, fine: Sequence[int]
    ) -> subprocess.CompletedProcess[bytes]:
        command = ["git", "--no-pager", *_ALWAYS, *map(str, words)]
        try:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=_environment(self.variables),
                stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                pass_fds=self.inherited,
            )
        except FileNotFoundError:
            if shutil.which("git") is None:
                raise UsageError(
                    "git is not installed, or not on the PATH", code="git_missing", hint="Install git, and try again."
                ) from None
            raise GitFailed(str(words[0]), "its folder is gone", None) from None
        try:
            out, said = process.communicate(given, timeout=TIMEOUT_S)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise GitFailed(str(words[0]), f"not done within {TIMEOUT_S:g} s", None) from None
            raise
        done = subprocess.CompletedProcess(command, process.returncode, out, said)
        if done.returncode not in fine:
            raise GitFailed(str(words[0]), said.decode(errors="replace"), done.returncode)
        return done


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _KEPT_VARIABLES}
    return {
        **kept,
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_EDITOR": "true",
        "GIT_OPTIONAL_LOCKS": "0",
        **variables,
    }


def _explain(said: str, exit_code: int | None) -> tuple[str, str]:
    """A code and one thing to do, for what people meet."""
    text = said.lower()
    if "dubious ownership" in text:
        return "repository_not_trusted", "If you trust it: git config --global --add safe.directory FOLDER"
    if "not a git repository" in text:
        return "not_a_repository", "Run `git init` and commit once, or leave isolation out."
    if "no space left" in text or "disk quota" in text:
        return "disk_full", "Make room, then resume the run."
    if "index.lock" in text:
        return "index_locked", "Another git command is running; if none is, remove the file that git names."
    if exit_code is None:
        return "git_failed", "Look at what slows git down in this repository."
    return "git_failed", ""


def _last_lines(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("hint:")]
    return "; ".join(lines[-3:])[:600]
