"""What confined commands can and cannot do, at each level that this system has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.toolboxes import environment, git, opened, repository

from engine.agents import confinement, landlock
from engine.agents.confinement import BUBBLEWRAP, LANDLOCK, NONE, confined, confinement_level, repository_of
from engine.agents.tools import run_command
from engine.settings import ToolSettings

LEVELS = [
    pytest.param(BUBBLEWRAP, marks=pytest.mark.skipif(not confinement.bubblewrap(), reason="no bubblewrap here")),
    pytest.param(LANDLOCK, marks=pytest.mark.skipif(not confinement.has_landlock(), reason="no Landlock here")),
]


@pytest.fixture(params=LEVELS)
def level(request, monkeypatch):
    monkeypatch.setattr(run_command, "confinement_level", lambda confine: request.param)
    return request.param


@pytest.fixture
def home(tmp_path):
    for name in (".ssh/id_ed25519", ".netrc", ".config/gh/hosts.yml"):
        (tmp_path / "home" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "home" / name).write_text("a-key\n")
    return tmp_path / "home"


async def ran(workspace: Path, command: str, home: Path, **options) -> str:
    async with opened(workspace, environ=environment(HOME=str(home)), **options) as box:
        return (await box.run("run_command", {"command": command})).text


async def test_a_command_writes_its_workspace_and_a_folder_of_its_own(level, tmp_path, home):
    work = tmp_path / "work"
    work.mkdir()
    command = (
        "echo a > inside && mkdir d && mv inside d/moved && cat d/moved && "
        'echo b > "$TMPDIR/x" && cat "$TMPDIR/x" && echo > /dev/null && mktemp >/dev/null && echo done'
    )
    assert await ran(work, command, home) == "a\nb\ndone"
    outside = f"echo x > {tmp_path}/out; echo x > {home}/out; touch /etc/pawl-out /usr/pawl-out /var/tmp/pawl-out"
    await ran(work, outside, home)
    assert not any(
        Path(folder, name).exists() for folder in ("/etc", "/usr", "/var/tmp", home) for name in ("out", "pawl-out")
    )
    assert not (tmp_path / "out").exists()


async def test_a_temporary_folder_is_kept_for_the_next_command_and_gone_with_the_call(level, tmp_path, home):
    async with opened(tmp_path, environ=environment(HOME=str(home))) as box:
        await box.run("run_command", {"command": 'echo kept > "$TMPDIR/x"'})
        assert (await box.run("run_command", {"command": 'cat "$TMPDIR/x"'})).text == "kept"
        scratch = box._setting.scratch()
        assert Path(scratch).is_dir()
    assert not Path(scratch).exists()


async def test_homes_of_secrets_are_hidden(level, tmp_path, home):
    work = tmp_path / "work"
    work.mkdir()
    text = await ran(
        work, "cat ~/.ssh/id_ed25519 ~/.netrc ~/.config/gh/hosts.yml; cat /proc/self/root$HOME/.netrc", home
    )
    assert "a-key" not in text


async def test_secrets_are_hidden_in_a_home_that_is_not_temporary(level, tmp_path, monkeypatch):
    """A home folder that can be read but for the secrets in it."""
    hidden, readable = "/usr/share/doc", "/usr/share"
    if not os.path.isdir(hidden):
        pytest.skip("nothing to hide there")
    monkeypatch.setattr(confinement, "SECRET_HOMES", ("doc",))
    text = await ran(
        tmp_path,
        f"ls {readable} | grep -c . ; ls {hidden} | grep -c .; cat {hidden}/*/copyright | wc -c",
        Path(readable),
    )
    assert text.splitlines()[0] != "0" and "\n0" in text


async def test_our_own_process_is_out_of_reach(level, tmp_path, home):
    pid = os.getpid()
    assert b"PATH=" in Path(f"/proc/{pid}/environ").read_bytes()
    command = (
        f"tr '\\0' '\\n' < /proc/{pid}/environ; cat /proc/{pid}/ro?t/etc/hostname; cat /proc/{pid}/mem; "
        f"kill -TERM {pid}; echo killed: $?"
    )
    text = await ran(tmp_path, command, home)
    assert text.splitlines()[0] == "killed: 1"
    assert "PATH=" not in text


async def test_git_works_in_a_worktree_and_runs_nothing_of_the_command(level, tmp_path, home):
    project = repository(tmp_path / "project")
    tree = project / ".pawl/worktrees/r/1"
    git(project, "worktree", "add", "-q", "-b", "work", str(tree))
    command = "echo two >> file.txt && git add -A && git commit -qm second && git log --format=%s && git status --short"
    assert await ran(tree, command, home) == "second\nfirst"
    assert git(project, "log", "--format=%s", "work") == "second\nfirst\n"
    attack = (
        f"echo evil > {project}/.git/hooks/post-commit; git config core.fsmonitor evil; "
        f"echo evil >> {project}/.git/config; echo x > {project}/.pawl/config.toml; echo x > {project}/file.txt"
    )
    await ran(tree, attack, home)
    assert not (project / ".git/hooks/post-commit").exists()
    assert "evil" not in (project / ".git/config").read_text()
    assert not (project / ".pawl/config.toml").exists()
    assert (project / "file.txt").read_text() == "one\n"


async def test_commits_are_not_signed_and_agents_of_keys_not_named(level, tmp_path, home):
    project = repository(tmp_path / "project")
    git(project, "config", "commit.gpgsign", "true")
    environ = environment(HOME=str(home), SSH_AUTH_SOCK="/somewhere/agent", DOCKER_HOST="unix:///somewhere")
    async with opened(project, environ=environ) as box:
        text = (
            await box.run(
                "run_command", {"command": "echo x >> file.txt; git commit -qam second && git log --format=%s; env"}
            )
        ).text
    assert text.startswith("second\nfirst\n")
    assert "/somewhere" not in text


async def test_git_works_in_the_project(level, tmp_path, home):
    project = repository(tmp_path / "project")
    text = await ran(
        project, "echo two >> file.txt && git commit -qam second && git log --format=%s && git stash list", home
    )
    assert text == "second\nfirst"


@pytest.mark.parametrize("level", LEVELS[:1], indirect=True)
async def test_bubblewrap_keeps_hooks_and_state_of_the_project(level, tmp_path, home):
    project = repository(tmp_path / "project")
    await ran(
        project,
        "echo evil > .git/hooks/pre-commit; git config core.fsmonitor evil; mv .git .g; rm -rf .pawl; mv .pawl .p; "
        "echo x > .pawl/config.toml; rm -rf .git/hooks; echo /evil > .git/commondir; echo > .git/config.worktree",
        home,
    )
    assert sorted(os.listdir(project)) == [".git", ".gitignore", ".pawl", "file.txt"]
    assert "evil" not in (project / ".git/config").read_text()
    assert not {"pre-commit"} & set(os.listdir(project / ".git/hooks"))
    assert not (project / ".git/commondir").exists() and not (project / ".git/config.worktree").exists()
    assert os.listdir(project / ".pawl") == []


async def test_a_worktree_is_believed_only_when_its_repository_names_it(tmp_path):
    project = repository(tmp_path / "project")
    git(project, "worktree", "add", "-q", "-b", "work", str(tmp_path / "tree"))
    found = repository_of(str(tmp_path / "tree"))
    assert found is not None
    assert (found.own, found.common) == (str(project / ".git/worktrees/tree"), str(project / ".git"))
    victim = repository(tmp_path / "victim")
    git(victim, "worktree", "add", "-q", "-b", "w", str(tmp_path / "other"))
    for target in (victim / ".git", victim / ".git/worktrees/other", "/etc", "nowhere"):
        (tmp_path / "tree/.git").write_text(f"gitdir: {target}\n")
        assert repository_of(str(tmp_path / "tree")) is None, target
    fake = tmp_path / "tree/fake/worktrees/x"
    fake.mkdir(parents=True)
    (fake / "gitdir").write_text(str(tmp_path / "tree/.git"))
    (tmp_path / "tree/fake/HEAD").write_text("")
    (tmp_path / "tree/fake/objects").symlink_to(victim / ".git/objects")
    (tmp_path / "tree/.git").write_text(f"gitdir: {fake}\n")
    assert repository_of(str(tmp_path / "tree")) is None


def test_a_folder_that_is_no_repository_is_none_unless_it_is_the_workspaces_own(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "sub").mkdir()
    assert repository_of(str(tmp_path / "sub")) is None
    found = repository_of(str(tmp_path))
    assert found is not None and found.own == str(tmp_path / ".git")


def test_levels():
    assert confinement_level("off") == NONE
    assert confinement_level("auto") in (BUBBLEWRAP, LANDLOCK, NONE)
    assert confined(NONE, workspace="/w", scratch="/s", environ={}).words == ()


async def test_required_limits_that_are_not_there_run_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(run_command, "confinement_level", lambda confine: NONE)
    async with opened(tmp_path, settings=ToolSettings(confine="require")) as box:
        result = await box.run("run_command", {"command": "touch x"})
    assert (result.text, result.ok) == (
        "Commands are not run here: the settings require limits of the file system (tools.confine), "
        "and this system has neither bubblewrap nor Landlock. Do without commands.",
        False,
    )
    assert os.listdir(tmp_path) == []


def test_landlock_that_cannot_be_set_up_runs_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-I", "-S", landlock.__file__, json.dumps({"write": [], "read": [], "hidden": []}), "/no/such"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 126
    assert done.stderr.startswith("the command could not be confined: ")
