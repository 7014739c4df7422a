"""Worktrees of subagents (S25): real git, and subagents that do everything that a shell lets them do."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support.repositories import CLEAN, Pen, Repository, worktrees

from engine.errors import UsageError
from engine.worktrees import Worktrees, life, making
from engine.worktrees.repository import safe

FILES = {"a.txt": "a\n", "src/b.txt": "b\n", ".gitignore": "*.log\n"}


@pytest.fixture(autouse=True)
def only_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CLEAN.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.make(tmp_path / "project", FILES)


def refusal(error: pytest.ExceptionInfo[UsageError]) -> tuple[str, str]:
    return error.value.code, error.value.message


async def test_S25_a_changed_worktree_is_kept_and_told(repository: Repository) -> None:
    pen = Pen()
    trees = worktrees(repository.folder, pen)
    base = repository.head
    folder = Path(await trees.enter(3, "fix a"))
    assert folder == repository.folder / ".pawl/worktrees/run/3"
    assert [(row.call, row.state, row.path, row.branch, row.base) for row in pen.rows] == [
        (3, "made", str(folder), "pawl/run/3", base)
    ]
    assert (folder / "src/b.txt").read_text() == "b\n"

    (folder / "a.txt").write_text("changed\n")
    (folder / "new.txt").write_text("new\n")
    (folder / "ignored.log").write_text("noise\n")
    assert await trees.leave(3) == {
        "state": "kept",
        "path": ".pawl/worktrees/run/3",
        "branch": "pawl/run/3",
        "base": base,
        "files": ["a.txt", "new.txt"],
        "changed": 2,
        "summary": " a.txt   | 2 +-\n new.txt | 1 +\n 2 files changed, 2 insertions(+), 1 deletion(-)",
    }
    assert pen.states == [(3, "made"), (3, "kept")]
    assert repository.show("pawl/run/3", "a.txt") == "changed"
    assert repository.git("log", "-1", "--format=%an <%ae>%n%B", "pawl/run/3") == (
        "A. Tester <tester@example.org>\nfix a\n\nBy call 3 of Pawl's run run."
    )
    assert repository.git("status", "--porcelain", at=folder) == ""
    assert (repository.status, repository.head, repository.git("branch", "--show-current")) == ([], base, "main")


async def test_S25_an_unchanged_worktree_is_gone_without_a_trace(repository: Repository) -> None:
    pen = Pen()
    trees = worktrees(repository.folder, pen)
    folder = Path(await trees.enter(1))
    (folder / "build.log").write_text("ignored files are no change\n")
    left = await trees.leave(1)
    assert (left["state"], left["files"], left["summary"]) == ("removed", [], "")
    assert pen.states == [(1, "made"), (1, "removed")]
    assert not folder.exists() and not folder.parent.exists()
    assert (repository.branches, repository.worktrees, repository.status) == (["main"], [], [])
    assert await trees.leave(1) == left


async def test_S25_sixteen_at_once(repository: Repository) -> None:
    pen = Pen()
    trees = worktrees(repository.folder, pen)
    folders = await asyncio.gather(*(trees.enter(call) for call in range(1, 17)))
    for folder in folders[::2]:
        Path(folder, "mine.txt").write_text(folder)
    left = await asyncio.gather(*(trees.leave(call) for call in range(1, 17)))
    assert [one["state"] for one in left] == ["kept", "removed"] * 8
    assert repository.branches == sorted(["main", *(f"pawl/run/{call}" for call in range(1, 17, 2))])


async def test_S25_each_starts_from_the_current_commit(repository: Repository) -> None:
    trees = worktrees(repository.folder, Pen())
    first = Path(await trees.enter(1))
    repository.commit({"a.txt": "later\n"}, "Later")
    second = Path(await trees.enter(2))
    assert ((first / "a.txt").read_text(), (second / "a.txt").read_text()) == ("a\n", "later\n")


async def test_S25_uncommitted_changes_come_along_when_asked(repository: Repository) -> None:
    repository.write({"a.txt": "dirty\n", "new.txt": "new\n", "noise.log": "noise\n"})
    (repository.folder / "src/b.txt").unlink()
    repository.write({"staged.txt": "staged\n"})
    repository.git("add", "staged.txt")
    before = repository.status
    pen = Pen()
    clean = worktrees(repository.folder, pen)
    without = Path(await clean.enter(1))
    assert (without / "a.txt").read_text() == "a\n"

    trees = worktrees(repository.folder, pen, takes_dirty=True)
    folder = Path(await trees.enter(2))
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert names == [".git", ".gitignore", "a.txt", "new.txt", "staged.txt"]
    assert (folder / "a.txt").read_text() == "dirty\n"
    assert repository.status == before
    assert repository.git("stash", "list") == ""
    (folder / "a.txt").write_text("dirty and fixed\n")
    left = await trees.leave(2)
    assert (left["state"], left["files"]) == ("kept", ["a.txt"])
    assert await trees.leave(1) == {**left, "state": "removed", "files": [], "changed": 0, "summary": ""} | {
        "path": ".pawl/worktrees/run/1", "branch": "pawl/run/1", "base": repository.head,
    }  # fmt: skip


async def test_S25_a_resume_goes_on_in_the_same_worktree(repository: Repository) -> None:
    pen = Pen()
    folder = await worktrees(repository.folder, pen).enter(1)
    Path(folder, "half.txt").write_text("half done\n")
    repository.commit({"a.txt": "moved on\n"}, "Move on")
    again = worktrees(repository.folder, pen)
    assert await again.enter(1) == folder
    assert Path(folder, "half.txt").read_text() == "half done\n"
    await again.leave(1)  # the run stops here, the call is not settled
    third = worktrees(repository.folder, pen)
    assert await third.enter(1) == folder
    assert pen.states == [(1, "made"), (1, "kept"), (1, "made")]
    assert (await third.leave(1))["files"] == ["half.txt"]


@pytest.mark.parametrize("step", ["make", "fill"])
async def test_S25_one_that_a_kill_left_half_made_is_made_again(
    repository: Repository, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies in the middle: nothing after the step's own work happens, no clean-up either."""

    class Killed(BaseException):
        pass

    pen = Pen()
    trees = worktrees(repository.folder, pen)
    work = getattr(making, step)

    def dies(*args: object) -> None:
        if step == "make":
            work(*args)
        raise Killed

    async def nobody(*_: object) -> None:
        pass

    with monkeypatch.context() as patch:
        patch.setattr(making, step, dies)
        patch.setattr(life.Worktrees, "_undo", nobody)
        with pytest.raises(Killed):
            await trees.enter(1)
    assert pen.states == [(1, "made")]
    folder = Path(await worktrees(repository.folder, pen).enter(1))
    assert (folder / "a.txt").read_text() == "a\n"
    assert (repository.branches, repository.worktrees) == (["main", "pawl/run/1"], [str(folder)])


async def test_S25_what_cannot_be_made_leaves_nothing(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise UsageError("No space left", code="disk_full")

    monkeypatch.setattr(making, "fill", full)
    pen = Pen()
    with pytest.raises(UsageError, match="No space left"):
        await worktrees(repository.folder, pen).enter(1)
    assert pen.states == [(1, "made"), (1, "removed")]
    assert (repository.branches, repository.worktrees) == (["main"], [])


async def test_S25_a_folder_of_the_project_in_the_worktree(repository: Repository) -> None:
    trees = worktrees(repository.folder, Pen())
    assert await trees.enter(1, cwd="src") == str(repository.folder / ".pawl/worktrees/run/1/src")
    with pytest.raises(UsageError) as error:
        await trees.enter(2, cwd="../../..")
    assert refusal(error) == ("outside_workspace", "'../../..' leads out of the workspace")


async def test_S25_a_project_below_the_top_of_its_repository(repository: Repository) -> None:
    repository.commit({"apps/web/page.txt": "page\n"}, "Add the web app")
    project = repository.folder / "apps/web"
    pen = Pen()
    trees = worktrees(project, pen)
    folder = Path(await trees.enter(1))
    assert folder == project / ".pawl/worktrees/run/1/apps/web"
    (folder / "page.txt").write_text("new page\n")
    left = await trees.leave(1)
    assert (left["path"], left["files"]) == (".pawl/worktrees/run/1", ["apps/web/page.txt"])
    assert repository.status == []
    merged = await trees.merge("pawl/run/1")
    assert (merged["ok"], repository.read("apps/web/page.txt")) == (True, "new page\n")


# What stands in the way.


async def test_a_folder_without_a_repository(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        await worktrees(tmp_path, Pen()).enter(1)
    assert refusal(error) == ("not_a_repository", "Worktrees need a git repository, and the project is in none.")
    assert error.value.hint == "Run `git init` and commit once, or leave isolation out."


async def test_a_repository_without_a_commit(tmp_path: Path) -> None:
    Repository(tmp_path).git("init", "--quiet")
    with pytest.raises(UsageError) as error:
        await worktrees(tmp_path, Pen()).enter(1)
    assert refusal(error) == ("no_commit", "Worktrees start from a commit, and this repository has none yet.")


async def test_a_bare_repository(tmp_path: Path) -> None:
    Repository(tmp_path).git("init", "--quiet", "--bare")
    with pytest.raises(UsageError) as error:
        await worktrees(tmp_path, Pen()).enter(1)
    assert error.value.code == "bare_repository"


async def test_no_git(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UsageError) as error:
        await worktrees(repository.folder, Pen()).enter(1)
    assert refusal(error) == ("git_missing", "git is not installed, or not on the PATH")


@pytest.mark.parametrize("link", [".pawl", ".pawl/worktrees", ".pawl/worktrees/run"])
async def test_links_are_not_followed_to_where_worktrees_are_made(
    repository: Repository, tmp_path: Path, link: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (repository.folder / link).parent.mkdir(parents=True, exist_ok=True)
    (repository.folder / link).symlink_to(elsewhere)
    with pytest.raises(UsageError) as error:
        await worktrees(repository.folder, Pen()).enter(1)
    assert refusal(error) == ("worktree_place", f"No worktrees can be made in {link}: it is a symbolic link")
    assert list(elsewhere.iterdir()) == []


async def test_names_that_are_taken(repository: Repository) -> None:
    repository.git("branch", "pawl/run/1")
    (repository.folder / ".pawl/worktrees/run/1-2").mkdir(parents=True)
    pen = Pen()
    trees = worktrees(repository.folder, pen)
    folder = Path(await trees.enter(1))
    assert (folder.name, pen.rows[0].branch) == ("1-3", "pawl/run/1-3")
    await trees.leave(1)
    assert repository.branches == ["main", "pawl/run/1"]
    assert (repository.folder / ".pawl/worktrees/run/1-2").is_dir()


async def test_a_branch_where_our_folder_of_branches_must_be(repository: Repository) -> None:
    repository.git("branch", "pawl")
    pen = Pen()
    with pytest.raises(UsageError) as error:
        await worktrees(repository.folder, pen).enter(1)
    assert refusal(error) == (
        "worktree_branch",
        "No branch can be made below pawl/: there is a branch of the name 'pawl'",
    )
    assert (error.value.hint, pen.rows) == ("Rename it: git branch -m pawl another-name", [])


@pytest.mark.parametrize("run_id", [".git", "a..b", "x.lock", "end.", "-x", "..."])
async def test_ids_that_git_does_not_take(repository: Repository, run_id: str) -> None:
    trees = worktrees(repository.folder, Pen(), run_id=run_id)
    folder = Path(await trees.enter(1))
    (folder / "a.txt").write_text("x\n")
    left = await trees.leave(1)
    assert left["branch"] == f"pawl/{safe(run_id)}/1"
    assert (await trees.merge(left["branch"]))["ok"] is True


async def test_variables_and_hooks_of_others_change_nothing(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Repository.make(tmp_path / "other", {"other.txt": "o\n"})
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.folder))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    ran = tmp_path / "ran"
    hooks = repository.folder / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "pre-commit", "post-commit", "pre-merge-commit", "post-merge", "commit-msg",
                 "prepare-commit-msg", "reference-transaction", "post-index-change", "post-rewrite", "pre-auto-gc"):  # fmt: skip
        (hooks / name).write_text(f"#!/bin/sh\necho {name} >> {ran}\n")
        (hooks / name).chmod(0o755)
    with (repository.folder / ".git/config").open("a") as config:
        config.write(f"[core]\n\tfsmonitor = {hooks}/post-merge\n\tpager = touch {ran}\n[commit]\n\tgpgsign = true\n")
        config.write(f"[diff]\n\texternal = touch {ran}\n[gpg]\n\tprogram = {hooks}/post-merge\n")
    trees = worktrees(repository.folder, Pen(), takes_dirty=True)
    folder = Path(await trees.enter(1))
    (folder / "a.txt").write_text("x\n")
    left = await trees.leave(1)
    assert (await trees.merge(left["branch"]))["ok"] is True
    assert not ran.exists(), ran.read_text()
    assert repository.read("a.txt") == "x\n"
    assert other.folder.joinpath("other.txt").exists()


async def test_a_change_that_only_reading_the_file_shows_is_not_lost(repository: Repository) -> None:
    """As many bytes, in the very moment in which git wrote the file and its index; and looked at later."""
    repository.git("config", "core.trustctime", "false")
    trees = worktrees(repository.folder, Pen())
    folder = Path(await trees.enter(1))
    (index,) = (repository.folder / ".git/worktrees").glob("*/index")
    moment = (1_000_000_000_000_000_000,) * 2
    os.utime(folder / "a.txt", ns=moment)
    repository.git("update-index", "--refresh", at=folder)
    (folder / "a.txt").write_text("x\n")
    for path in (folder / "a.txt", index):
        os.utime(path, ns=moment)
    assert (await trees.leave(1))["files"] == ["a.txt"]


async def test_without_an_identity_pawl_signs(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CLEAN:
        if "NAME" in name or "EMAIL" in name:
            monkeypatch.delenv(name)
    repository.git("config", "user.useConfigOnly", "true")
    trees = worktrees(repository.folder, Pen())
    folder = Path(await trees.enter(1))
    (folder / "a.txt").write_text("x\n")
    await trees.leave(1)
    assert repository.git("log", "-1", "--format=%an <%ae> %cn", "pawl/run/1") == "Pawl <pawl@localhost> Pawl"


async def test_a_detached_head(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "--detach")
    trees = worktrees(repository.folder, Pen())
    folder = Path(await trees.enter(1))
    (folder / "a.txt").write_text("x\n")
    await trees.leave(1)
    assert (await trees.merge("pawl/run/1"))["ok"] is True
    assert (repository.read("a.txt"), repository.git("branch", "--show-current")) == ("x\n", "")


# What subagents do with a shell.


async def test_a_subagent_that_commits_itself(repository: Repository) -> None:
    trees = worktrees(repository.folder, Pen())
    folder = Path(await trees.enter(1, "work"))
    repository.commit({"a.txt": "one\n"}, "Mine", at=folder)
    (folder / "a.txt").write_text("two\n")
    left = await trees.leave(1)
    assert left["files"] == ["a.txt"]
    assert repository.git("log", "--format=%s", "main..pawl/run/1").splitlines() == ["work", "Mine"]


async def test_a_subagent_that_switches_to_a_branch_of_its_own(repository: Repository) -> None:
    trees = worktrees(repository.folder, Pen())
    folder = Path(await trees.enter(1))
    mine = repository.commit({"lost.txt": "on our branch\n"}, "On ours", at=folder)
    repository.git("checkout", "--quiet", "-b", "elsewhere", "main", at=folder)
    repository.commit({"a.txt": "elsewhere\n"}, "Elsewhere", at=folder)
    left = await trees.leave(1)
    assert (left["files"], left["lost"]) == (["a.txt"], mine)
    assert repository.show("pawl/run/1", "a.txt") == "elsewhere"
    assert repository.git("branch", "--show-current", at=folder) == "pawl/run/1"
    assert repository.git("status", "--porcelain", at=folder) == ""


async def test_a_subagent_that_deletes_its_branch(repository: Repository) -> None:
    trees = worktrees(repository.folder, Pen())
    folder = Path(await trees.enter(1))
    (folder / "a.txt").write_text("x\n")
    repository.git("update-ref", "-d", "refs/heads/pawl/run/1", at=folder)
    assert (await trees.leave(1))["files"] == ["a.txt"]
    assert repository.show("pawl/run/1", "a.txt") == "x"


async def test_a_subagent_that_deletes_its_worktree(repository: Repository) -> None:
    pen = Pen()
    trees = worktrees(repository.folder, pen)
    folder = Path(await trees.enter(1))
    shutil.rmtree(folder)
    assert (await trees.leave(1))["state"] == "removed"

    folder = Path(await trees.enter(2))
    repository.commit({"a.txt": "kept\n"}, "Kept", at=folder)
    shutil.rmtree(folder)
    resumed = worktrees(repository.folder, pen)
    assert await resumed.enter(2) == str(folder)
    assert (folder / "a.txt").read_text() == "kept\n"
    shutil.rmtree(folder)
    assert (await resumed.leave(2))["files"] == ["a.txt"]
    assert (await resumed.merge("pawl/run/2"))["ok"] is True
    assert (repository.read("a.txt"), repository.branches, repository.worktrees) == ("kept\n", ["main"], [])


@pytest.mark.parametrize("how", ["git_file", "admin", "linked"])
async def test_a_subagent_that_breaks_the_link_to_the_repository(
    repository: Repository, tmp_path: Path, how: str
) -> None:
    """Without a `.git` of its own a worktree is, for git, a part of the project around it."""
    repository.write({"mine.txt": "the user's\n"})
    trees = worktrees(repository.folder, Pen())
    folder = Path(await trees.enter(1))
    (folder / "a.txt").write_text("x\n")
    match how:
        case "git_file":
            (folder / ".git").unlink()
        case "admin":
            shutil.rmtree(repository.folder / ".git/worktrees")
        case "linked":
            other = Repository.make(tmp_path / "other", {"other.txt": "o\n"})
            (folder / ".git").write_text(f"gitdir: {other.folder}/.git\n")
    before = repository.head
    left = await trees.leave(1)
    assert (left["state"], left["files"]) == ("kept", ["a.txt"])
    assert (repository.status, repository.head) == (["?? mine.txt"], before)
    assert repository.show("pawl/run/1", "a.txt") == "x"


async def test_a_subagent_that_leaves_a_merge_half_done(repository: Repository) -> None:
    trees = worktrees(repository.folder, Pen())
    folder = Path(await trees.enter(1))
    repository.commit({"a.txt": "ours\n"}, "Ours", at=folder)
    repository.git("checkout", "--quiet", "-b", "side", "main", at=folder)
    repository.commit({"a.txt": "theirs\n"}, "Theirs", at=folder)
    repository.git("checkout", "--quiet", "pawl/run/1", at=folder)
    with pytest.raises(AssertionError, match="Merge conflict"):
        repository.git("merge", "side", at=folder)
    (repository.folder / ".git/worktrees/1/index.lock").touch()
    left = await trees.leave(1)
    assert left["files"] == ["a.txt"]
    assert "<<<<<<<" in repository.show("pawl/run/1", "a.txt")


@pytest.mark.parametrize("has_commit", [False, True])
async def test_a_repository_inside_stays_where_it_is(repository: Repository, has_commit: bool) -> None:
    trees = worktrees(repository.folder, Pen())
    folder = Path(await trees.enter(1))
    inner = folder / "inner *[x]"
    repository.git("init", "--quiet", str(inner))
    (inner / "file.txt").write_text("x\n")
    if has_commit:
        repository.commit({}, "Inner", at=inner)
    left = await trees.leave(1)
    assert (left["state"], left["files"], left["inner_repositories"]) == ("kept", [], ["inner *[x]"])
    assert (inner / "file.txt").exists()


async def test_ten_thousand_files(repository: Repository) -> None:
    trees = worktrees(repository.folder, Pen())
    folder = Path(await trees.enter(1))
    for number in range(10_000):
        (folder / f"file-{number:05}").write_text("x\n")
    left = await trees.leave(1)
    assert (len(left["files"]), left["changed"]) == (1000, 10_000)
    assert len(left["summary"]) < 8001 and "10000 files changed" in left["summary"]
    assert (await trees.merge("pawl/run/1"))["ok"] is True
    assert repository.status == []


async def test_names_and_files_of_every_kind(repository: Repository) -> None:
    trees = worktrees(repository.folder, Pen())
    folder = Path(await trees.enter(1))
    (folder / 'quote" and\nline').write_text("x\n")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.txt")).write_text("x\n")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    os.mkfifo(folder / "pipe")
    left = await trees.leave(1)
    assert left["files"] == ["link", 'quote" and\nline', "run.sh", "\N{REPLACEMENT CHARACTER}.txt"]
    assert (await trees.merge("pawl/run/1"))["files"] == left["files"]
    assert os.readlink(repository.folder / "link") == "/etc/passwd"
    assert (repository.folder / "run.sh").stat().st_mode & stat.S_IXUSR


async def test_read_only_folders_do_not_stop_the_removal(repository: Repository) -> None:
    trees = worktrees(repository.folder, Pen())
    folder = Path(await trees.enter(1))
    (folder / "deep.log").mkdir()
    (folder / "deep.log/file").write_text("x")
    (folder / "deep.log").chmod(0o500)
    assert (await trees.leave(1))["state"] == "removed"
    assert not folder.exists()


async def test_a_link_in_place_of_the_worktree_is_not_followed(repository: Repository, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    trees = worktrees(repository.folder, Pen())
    folder = Path(await trees.enter(1))
    shutil.rmtree(folder)
    folder.symlink_to(precious)
    assert (await trees.leave(1))["state"] == "removed"
    assert (precious / "file").exists() and not folder.is_symlink()


async def test_forget_takes_all_of_a_deleted_run_and_nothing_else(repository: Repository) -> None:
    pen, other = Pen(), Pen()
    trees, others = worktrees(repository.folder, pen), worktrees(repository.folder, other, run_id="other")
    repository.git("worktree", "add", "--quiet", "-b", "user", str(repository.folder.parent / "user"))
    for call in (1, 2):
        Path(await trees.enter(call), "new.txt").write_text("x\n")
    theirs = await others.enter(1)
    await trees.leave(1)  # the second one is as a kill leaves it
    assert await Worktrees.forget(repository.folder, "run", pen.rows) == ["pawl/run/1", "pawl/run/2"]
    assert repository.branches == ["main", "pawl/other/1", "user"]
    assert sorted(repository.worktrees) == sorted([str(repository.folder.parent / "user"), theirs])
    assert await Worktrees.forget(repository.folder, "run", pen.rows) == []


HOLDER = """
import sys, time
from pathlib import Path
from engine.worktrees.repository import Repository
with Repository.of(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def holder_of(repository: Repository) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, str(repository.folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def test_another_process_is_waited_for(repository: Repository) -> None:
    with holder_of(repository) as holder:
        assert holder.stdin is not None and holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        pen = Pen()
        entering = asyncio.ensure_future(worktrees(repository.folder, pen).enter(1))
        done, _ = await asyncio.wait([entering], timeout=0.2)
        assert done == set() and pen.states == [(1, "made")]
        holder.stdin.close()
        assert Path(await entering).is_dir()
