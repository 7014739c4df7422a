"""File-system limits of the commands that subagents run: by bubblewrap where it starts, else by Landlock, else none.

A confined command reads the machine but for the usual homes of secrets, and writes its workspace, a temporary folder
and what git needs for a commit; never hooks and settings of git, never `.pawl`. How much of that each level can hold is
in docs/permissions.md. The network is not limited. Why both, and what they cost: docs/decisions/0009.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from engine.agents import landlock

BUBBLEWRAP, LANDLOCK, NONE = "bubblewrap", "landlock", "none"

_PROBE_S = 5.0

SECRET_HOMES = (
    ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".netrc", "_netrc", ".git-credentials", ".npmrc", ".yarnrc.yml",
    ".pypirc", ".pgpass", ".my.cnf", ".vault-token", ".password-store", ".terraform.d", ".docker/config.json",
    ".cargo/credentials", ".cargo/credentials.toml", ".gem/credentials", ".config/gh", ".config/glab-cli",
    ".config/hub", ".config/gcloud", ".config/git/credentials", ".config/op", ".config/rclone", ".config/pawl",
    ".config/containers/auth.json", ".config/google-chrome", ".config/chromium", ".config/BraveSoftware", ".mozilla",
    ".local/share/keyrings", ".claude/.credentials.json", ".claude.json", ".codex/auth.json", ".gemini",
    ".local/share/opencode/auth.json", ".bash_history", ".zsh_history", ".python_history", ".node_repl_history",
    ".psql_history", ".mysql_history",
)  # fmt: skip
"""Below the home folder."""

_RUN_KEPT = (
    "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/run/current-system", "/run/opengl-driver",
)  # fmt: skip
"""Of /run, which holds the sockets of everything that could act outside in our name: names of hosts, and programs."""
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts")

_KEPT_OF_GIT = ("hooks", "config", "config.worktree", "commondir", "gitdir", "modules", "worktrees", "info")
"""Of a repository, what makes git run something, or says where the rest is. Kept from writing."""
_MADE_BY_COMMITS = ("objects", "refs", "logs", "reftable")


def confinement_level(confine: str = "auto") -> str:
    """`bubblewrap`, `landlock` or `none`: what commands get under the setting `tools.confine`."""
    if confine == "off" or sys.platform != "linux":
        return NONE
    return BUBBLEWRAP if bubblewrap() else LANDLOCK if has_landlock() else NONE


@cache
def bubblewrap() -> str | None:
    """The program, when it is there and can start something; in many containers it cannot."""
    program = shutil.which("bwrap")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *_NAMESPACES, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "/bin/sh", "-c", ":"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=_PROBE_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return program if done.returncode == 0 else None


@cache
def has_landlock() -> bool:
    return landlock.version() >= landlock.LEAST_VERSION


# A namespace of processes: all of them end with the command, sessions of their own or not, and none sees ours.
_NAMESPACES = ("--die-with-parent", "--unshare-pid", "--unshare-ipc")


_KEPT_CAPABILITIES = ("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER")
"""Of root, in containers: a workspace there is often another user's."""


@dataclass(frozen=True, slots=True)
class Repository:
    """The git repository that a workspace is in.

    Attributes:
        top: folder of the working copy; the workspace or one above it.
        marker: its `.git`, a folder, or a file in a worktree.
        own: git's folder of this working copy.
        common: git's folder of all of them; `own` unless this is a worktree.
    """

    top: str
    marker: str
    own: str
    common: str

    @property
    def is_worktree(self) -> bool:
        return self.own != self.common


def repository_of(workspace: str) -> Repository | None:
    """The repository, or None. A worktree's `.git` file is believed only when git's own folder names it back: a
    command may have written the file, to be granted what it then points to."""
    for folder in (Path(workspace), *Path(workspace).parents):
        marker = folder / ".git"
        # Without a HEAD it is none for git, unless a command of before has just taken it away from the workspace's own.
        is_one = (marker / "HEAD").is_file() or str(folder) == workspace
        if is_one and marker.is_dir() and not marker.is_symlink():
            own = str(marker)
            return Repository(str(folder), own, own, own)
        if marker.is_file() and not marker.is_symlink():
            return _worktree(folder, marker)
    return None


def _worktree(folder: Path, marker: Path) -> Repository | None:
    try:
        word, _, target = marker.read_bytes()[:4096].decode().partition(":")
        own = Path(os.path.realpath(folder / target.strip()))
        back = Path(os.path.realpath(own / (own / "gitdir").read_bytes()[:4096].decode().strip()))
    except (OSError, ValueError):
        return None
    common = own.parent.parent
    is_ours = word == "gitdir" and own.parent.name == "worktrees" and back == Path(os.path.realpath(marker))
    is_repository = (common / "HEAD").is_file() and (common / "objects").is_dir()
    inside = own.is_relative_to(folder)
    return (
        Repository(str(folder), str(marker), str(own), str(common))
        if is_ours and is_repository and not inside
        else None
    )


@dataclass(frozen=True, slots=True)
class Confinement:
    """The limits of one command.

    Attributes:
        words: stand before the words of the command.
        temporary: where the command finds its temporary folder.
    """

    words: tuple[str, ...]
    temporary: str
    _unwanted: tuple[str, ...] = field(default=())

    def settle(self) -> None:
        """After the command: removes what it may have made where nothing was to be kept."""
        for path in self._unwanted:
            if os.path.islink(path) or os.path.isfile(path):
                os.unlink(path)
            elif os.path.isdir(path):
                shutil.rmtree(path, ignore_errors=True)


def confined(level: str, *, workspace: str, scratch: str, environ: Mapping[str, str]) -> Confinement:
    """The limits of a command in `workspace`.

    Args:
        workspace: a real path, as `Workspace.root` is.
        scratch: a folder for temporary files, the command's own.
        environ: where the home folder is found.
    """
    if level == NONE:
        return Confinement((), scratch)
    workspace, scratch = os.path.realpath(workspace), os.path.realpath(scratch)
    hidden = _hidden(environ)
    repository = repository_of(workspace)
    if level == LANDLOCK:
        return _by_landlock(workspace, scratch, hidden, repository)
    return _by_bubblewrap(workspace, scratch, hidden, repository)


def _hidden(environ: Mapping[str, str]) -> list[str]:
    """Real paths of what secrets are usually kept in, as far as it is there."""
    homes = {home for home in (environ.get("HOME"), os.path.expanduser("~")) if home and os.path.isabs(home)}
    found = {os.path.realpath(os.path.join(home, name)) for home in homes for name in SECRET_HOMES}
    if config := environ.get("XDG_CONFIG_HOME"):
        found |= {
            os.path.realpath(os.path.join(config, name.removeprefix(".config/")))
            for name in SECRET_HOMES
            if name.startswith(".config/")
        }
    return sorted(path for path in found if os.path.exists(path) and path != "/")


def _by_landlock(workspace: str, scratch: str, hidden: list[str], repository: Repository | None) -> Confinement:
    write = [workspace, scratch, *_DEVICES]
    read = [path for path in _RUN_KEPT if os.path.exists(path)]
    if repository is not None:
        read += [repository.top, repository.common]
        if repository.is_worktree:
            write += [repository.own, *(os.path.join(repository.common, name) for name in _MADE_BY_COMMITS)]
    limits = {"write": write, "read": read, "hidden": [*hidden, "/run", "/tmp"]}
    words = (sys.executable, "-I", "-S", landlock.__file__, json.dumps(limits))
    return Confinement(words, scratch, tuple(_not_there(repository)))


def _by_bubblewrap(workspace: str, scratch: str, hidden: list[str], repository: Repository | None) -> Confinement:
    """Mounts, those of folders before those of what is in them: the nearest one counts."""
    nothing = os.path.join(scratch, ".nothing")
    os.makedirs(nothing, exist_ok=True)
    mounts: dict[str, tuple[str, ...]] = {path: ("--ro-bind", path) for path in _RUN_KEPT if os.path.exists(path)}
    mounts["/run"] = ("--tmpfs",)
    mounts["/tmp"] = ("--bind", scratch)
    for path in hidden:
        mounts[path] = ("--tmpfs",) if os.path.isdir(path) else ("--ro-bind", "/dev/null")
    for folder in (Path(workspace), *Path(workspace).parents):
        state = str(folder / ".pawl")
        if os.path.isdir(state) and not os.path.islink(state):
            mounts[state] = ("--ro-bind", state)
    if repository is not None:
        own_state = os.path.join(workspace, ".pawl")
        if (repository.is_worktree or repository.top == workspace) and not os.path.lexists(own_state):
            mounts[own_state] = ("--ro-bind", nothing)
        mounts.setdefault(repository.top, ("--ro-bind", repository.top))
        mounts |= _mounts_of(repository, nothing)
    mounts[workspace] = ("--bind", workspace)
    program = bubblewrap()
    assert program is not None
    rights = [word for name in _KEPT_CAPABILITIES for word in ("--cap-add", name)] if os.geteuid() == 0 else []
    words = [program, *_NAMESPACES, *rights, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    for path, how in sorted(mounts.items(), key=lambda pair: (pair[0].count("/"), pair[0])):
        words += [*how, path]
    words += ["--chdir", workspace, "--"]
    return Confinement(tuple(words), "/tmp", tuple(_not_there(repository)))


def _mounts_of(repository: Repository, nothing: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    own, common = repository.own, repository.common
    if repository.is_worktree:
        yield repository.marker, ("--ro-bind", repository.marker)
        yield common, ("--ro-bind", common)
        for name in _MADE_BY_COMMITS:
            if os.path.isdir(os.path.join(common, name)):
                yield os.path.join(common, name), ("--bind", os.path.join(common, name))
    yield own, ("--bind", own)
    for name in _KEPT_OF_GIT:
        path = os.path.join(own, name)
        if os.path.lexists(path):
            yield path, ("--ro-bind", path)
        elif name == "hooks" and not repository.is_worktree:
            yield path, ("--ro-bind", nothing)


def _not_there(repository: Repository | None) -> Iterator[str]:
    """What a repository does not have now and must not get from a command."""
    for name in _KEPT_OF_GIT if repository is not None else ():
        assert repository is not None
        path = os.path.join(repository.own, name)
        if name in ("commondir", "config.worktree") and not os.path.lexists(path):
            yield path
