"""mergeWorktree(): git merges, whole or not at all, once however often it is cut off (S64)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.repositories import CLEAN, Pen, Repository, worktrees

from engine.effects import Merges, Workspace, simulated_effects
from engine.errors import UsageError
from engine.executors import Job
from engine.permissions import NotPermitted
from engine.values import CallKind
from engine.worktrees import Worktrees, life, merging
from engine.worktrees.git import Git

FILES = {"a.txt": "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "b.txt": "b\n", "src/c.txt": "c\n", ".gitignore": "*.log\n"}
NOTHING = {"ok": True, "commit": None, "conflicts": [], "files": [], "summary": ""}


@pytest.fixture(autouse=True)
def only_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CLEAN.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.make(tmp_path / "project", FILES)


async def changed(
    trees: Worktrees, call: int, files: dict[str, str | None], *, label: str | None = None
) -> dict[str, object]:
    """A subagent that changes `files` (None: deletes) in a worktree of its own."""
    folder = Path(await trees.enter(call, label))
    for name, text in files.items():
        path = folder / name
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return await trees.leave(call)


def merge(trees: Worktrees, branch: str | None, **options: str):
    return Merges(trees).run(Job(9, CallKind.MERGE, {"branch": branch, **options}, b""), lambda body: None)


async def test_S64_changes_come_into_the_current_branch(repository: Repository) -> None:
    pen = Pen()
    trees = worktrees(repository.folder, pen)
    await changed(trees, 1, {"b.txt": "better\n", "new/d.txt": "d\n", "src/c.txt": None}, label="improve b")
    repository.commit({"other.txt": "o\n"}, "Meanwhile")
    before = repository.head
    told = await merge(trees, "pawl/run/1")
    assert told == {
        "ok": True,
        "commit": repository.head,
        "conflicts": [],
        "files": ["b.txt", "new/d.txt", "src/c.txt"],
        "summary": " b.txt     | 2 +-\n new/d.txt | 1 +\n src/c.txt | 1 -\n 3 files changed, 2 insertions(+), 2 deletions(-)",
    }
    assert (repository.read("b.txt"), repository.read("new/d.txt")) == ("better\n", "d\n")
    assert not (repository.folder / "src").exists()
    assert repository.git("log", "-1", "--format=%s|%P").split("|")[0] == "Merge improve b"
    assert repository.git("rev-parse", "HEAD^1") == before
    assert (repository.status, repository.branches, repository.worktrees) == ([], ["main"], [])
    assert pen.states == [(1, "made"), (1, "kept"), (1, "merged")]
    assert await merge(trees, "pawl/run/1") == told  # asked again, it is not done again
    assert await merge(worktrees(repository.folder, pen), "pawl/run/1") == told


async def test_S64_conflicts_are_told_and_nothing_is_touched(repository: Repository) -> None:
    pen = Pen()
    trees = worktrees(repository.folder, pen)
    await changed(trees, 1, {"a.txt": "one\n2\n3\n4\n5\n6\n7\n8\n9\n", "new.txt": "n\n"})
    await changed(trees, 2, {"a.txt": "uno\n2\n3\n4\n5\n6\n7\n8\n9\n", "src/c.txt": "2\n"})
    repository.write({"b.txt": "the user's\n"})
    assert (await merge(trees, "pawl/run/1"))["ok"] is True
    before = (repository.head, repository.status)
    told = await merge(trees, "pawl/run/2")
    assert told == {
        "ok": False,
        "commit": None,
        "conflicts": ["a.txt"],
        "files": ["a.txt", "src/c.txt"],
        "summary": " a.txt     | 2 +-\n src/c.txt | 2 +-\n 2 files changed, 2 insertions(+), 2 deletions(-)",
    }
    assert (repository.head, repository.status) == before == (repository.head, [" M b.txt"])
    assert repository.read("a.txt").startswith("one\n2\n")
    assert pen.states[-1] == (2, "conflict")
    assert repository.branches == ["main", "pawl/run/2"]
    repository.commit({"a.txt": FILES["a.txt"]}, "Take the first one back")
    assert (await merge(trees, "pawl/run/2"))["ok"] is True


async def test_S64_both_sides_of_one_file_come_together(repository: Repository) -> None:
    trees = worktrees(repository.folder, Pen())
    await changed(trees, 1, {"a.txt": "one\n2\n3\n4\n5\n6\n7\n8\n9\n"})
    await changed(trees, 2, {"a.txt": "1\n2\n3\n4\n5\n6\n7\n8\nnine\n"})
    assert (await merge(trees, "pawl/run/1", message="First"))["ok"] is True
    assert (await merge(trees, "pawl/run/2", message="Second\nwith a line too many"))["ok"] is True
    assert repository.read("a.txt") == "one\n2\n3\n4\n5\n6\n7\n8\nnine\n"
    assert repository.git("log", "--first-parent", "--format=%s").splitlines() == [
        "Second with a line too many",
        "First",
        "Start",
    ]


async def test_S64_nothing_changed_is_nothing_to_merge(repository: Repository) -> None:
    trees = worktrees(repository.folder, Pen())
    await changed(trees, 1, {})
    head = repository.head
    assert await merge(trees, None) == NOTHING
    assert await merge(trees, "pawl/run/1") == NOTHING
    assert repository.head == head


async def test_S64_changes_of_the_user_are_kept_or_named(repository: Repository) -> None:
    trees = worktrees(repository.folder, Pen())
    await changed(
        trees, 1, {"b.txt": "b2\n", "src/c.txt": "c2\n", "new.txt": "n\n", "folder/x.txt": "x\n", "n.log/y": "y"}
    )
    repository.write(
        {"b.txt": "mine\n", "a.txt": "mine\n", "new.txt": "mine\n", "unrelated.txt": "mine\n", "folder": "f"}
    )
    repository.write({"n.log": "ignored, and mine"})
    repository.git("add", "a.txt", "b.txt")
    before = (repository.head, repository.status, repository.git("diff", "--cached"))
    with pytest.raises(UsageError) as error:
        await merge(trees, "pawl/run/1")
    assert (error.value.code, error.value.message) == (
        "changes_in_the_way",
        "mergeWorktree('pawl/run/1') would overwrite changes of yours that are not committed: "
        "b.txt, folder/x.txt, new.txt",
    )
    assert error.value.hint == "Commit or stash them, then resume the run; the branch is kept."
    assert (repository.head, repository.status, repository.git("diff", "--cached")) == before

    for name in ("new.txt", "folder"):
        (repository.folder / name).unlink()
    repository.git("checkout", "--quiet", "HEAD", "--", "b.txt")
    assert (await merge(trees, "pawl/run/1"))["ok"] is True
    assert (repository.read("a.txt"), repository.read("b.txt")) == ("mine\n", "b2\n")
    assert (repository.read("unrelated.txt"), repository.read("n.log")) == ("mine\n", "ignored, and mine")
    assert repository.status == ["M  a.txt", "?? unrelated.txt"]


async def test_S64_a_file_that_was_only_touched_is_no_change(repository: Repository) -> None:
    trees = worktrees(repository.folder, Pen())
    await changed(trees, 1, {"b.txt": "b2\n"})
    os.utime(repository.folder / "b.txt", (1, 1))
    assert (await merge(trees, "pawl/run/1"))["ok"] is True
    assert repository.status == []


async def test_S64_ignored_files_are_not_overwritten(repository: Repository) -> None:
    trees = worktrees(repository.folder, Pen())
    folder = Path(await trees.enter(1))
    repository.write({"result.log": "theirs\n"}, at=folder)
    repository.git("add", "--force", "result.log", at=folder)
    await trees.leave(1)
    repository.write({"result.log": "mine\n"})
    with pytest.raises(UsageError, match=r"not committed: result\.log$"):
        await merge(trees, "pawl/run/1")
    assert repository.read("result.log") == "mine\n"


async def test_S64_changes_taken_along_are_not_merged(repository: Repository) -> None:
    repository.write({"b.txt": "dirty\n", "loose.txt": "loose\n"})
    trees = worktrees(repository.folder, Pen(), takes_dirty=True)
    await changed(trees, 1, {"a.txt": "one\n2\n3\n4\n5\n6\n7\n8\n9\n", "new.txt": "n\n"})
    await changed(trees, 2, {"b.txt": "dirty and fixed\n"})
    before = repository.status
    told = await merge(trees, "pawl/run/1")
    assert (told["ok"], told["files"]) == (True, ["a.txt", "new.txt"])
    assert repository.status == before
    assert (repository.show("HEAD", "b.txt"), repository.git("log", "-1", "--format=%P").count(" ")) == ("b", 0)
    assert await merge(trees, "pawl/run/1") == told
    told = await merge(trees, "pawl/run/2")  # it was written on top of what HEAD does not have
    assert (told["ok"], told["conflicts"]) == (False, ["b.txt"])
    repository.commit({}, "Commit the changes")
    assert (await merge(trees, "pawl/run/2"))["ok"] is True
    assert repository.read("b.txt") == "dirty and fixed\n"


async def test_S64_a_merge_of_the_user_is_not_disturbed(repository: Repository) -> None:
    trees = worktrees(repository.folder, Pen())
    await changed(trees, 1, {"new.txt": "n\n"})
    repository.git("checkout", "--quiet", "-b", "side")
    repository.commit({"b.txt": "side\n"}, "Side")
    repository.git("checkout", "--quiet", "main")
    repository.commit({"b.txt": "main\n"}, "Main")
    with pytest.raises(AssertionError, match="Merge conflict"):
        repository.git("merge", "side")
    before = repository.status
    with pytest.raises(UsageError) as error:
        await merge(trees, "pawl/run/1")
    assert (error.value.code, error.value.message) == (
        "merge_in_progress",
        "mergeWorktree(): a merge, rebase, cherry-pick or revert of yours is not finished in this project",
    )
    assert (repository.status, (repository.folder / ".git/MERGE_HEAD").exists()) == (before, True)


@pytest.mark.parametrize(
    "branch", ["main", "pawl/other/1", "pawl/run/77", "refs/heads/main", "--help", "", "pawl/run/1 "]
)
async def test_S64_only_branches_of_this_run(repository: Repository, branch: str) -> None:
    trees = worktrees(repository.folder, Pen())
    await changed(trees, 1, {"new.txt": "n\n"})
    await changed(worktrees(repository.folder, Pen(), run_id="other"), 1, {"new.txt": "n\n"})
    with pytest.raises(UsageError) as error:
        await merge(trees, branch)
    assert (error.value.code, error.value.message) == (
        "unknown_worktree",
        f"mergeWorktree({branch!r}): not the branch of a worktree of this run; those are pawl/run/…",
    )


async def test_S64_not_while_its_subagent_works(repository: Repository) -> None:
    trees = worktrees(repository.folder, Pen())
    await trees.enter(1)
    with pytest.raises(UsageError) as error:
        await merge(trees, "pawl/run/1")
    assert (error.value.code, error.value.message) == (
        "worktree_in_use",
        "mergeWorktree('pawl/run/1'): call 1 still works in it",
    )


async def test_S64_a_branch_that_somebody_deleted(repository: Repository) -> None:
    trees = worktrees(repository.folder, Pen())
    await changed(trees, 1, {"new.txt": "n\n"})
    repository.git("update-ref", "-d", "refs/heads/pawl/run/1")
    with pytest.raises(UsageError) as error:
        await merge(trees, "pawl/run/1")
    assert error.value.code == "worktree_lost"


async def test_S64_a_person_merged_it_by_hand(repository: Repository) -> None:
    trees = worktrees(repository.folder, Pen())
    await changed(trees, 1, {"new.txt": "n\n"})
    repository.git("merge", "--quiet", "pawl/run/1")
    head = repository.head
    assert await merge(trees, "pawl/run/1") == NOTHING
    assert (repository.head, repository.branches) == (head, ["main"])


async def test_S64_by_hand_and_then_by_the_script(repository: Repository) -> None:
    pen = Pen()
    trees = worktrees(repository.folder, pen)
    await changed(trees, 1, {"new.txt": "n\n"}, label="add new")
    with pytest.raises(UsageError, match=r"^Call 2 of run run has no worktree$"):
        await Worktrees.merge_by_hand(repository.folder, "run", pen.rows, 2)
    told = await Worktrees.merge_by_hand(repository.folder, "run", pen.rows, 1)
    assert (told["ok"], told["commit"], told["files"]) == (True, repository.head, ["new.txt"])
    assert (repository.branches, pen.states[-1]) == (["main"], (1, "kept"))
    assert await Worktrees.merge_by_hand(repository.folder, "run", pen.rows, 1) == told
    assert await merge(worktrees(repository.folder, pen), "pawl/run/1") == told
    assert pen.states[-1] == (1, "merged")


class Killed(BaseException):
    """In place of SIGKILL: nothing after it happens, no clean-up either."""


@pytest.mark.parametrize("command", ["commit-tree", "update-ref", "read-tree", "diff"])
@pytest.mark.parametrize("is_before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_S64_cut_off_at_any_command_and_done_again(
    repository: Repository, command: str, is_before: bool, nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pen = Pen()
    trees = worktrees(repository.folder, pen)
    await changed(trees, 1, {"b.txt": "b2\n", "src/c.txt": None, "new.txt": "n\n"})
    repository.write({"a.txt": "the user's\n"})
    run, seen = Git._run, []

    def dies(self: Git, words, given, fine):
        if seen == ["dead"]:
            raise Killed  # the clean-up that a killed process does not get to
        if words[0] == command:
            seen.append(command)
        is_it = seen.count(command) == nth and words[0] == command
        if is_it and is_before:
            seen[:] = ["dead"]
            raise Killed
        done = run(self, words, given, fine)
        if is_it:
            seen[:] = ["dead"]
            raise Killed
        return done

    with monkeypatch.context() as patch:
        patch.setattr(Git, "_run", dies)
        try:
            await merge(trees, "pawl/run/1")
        except Killed:
            pass
        else:
            assert seen != ["dead"]
    told = await merge(worktrees(repository.folder, pen), "pawl/run/1")
    assert (told["ok"], told["files"]) == (True, ["b.txt", "new.txt", "src/c.txt"])
    assert told["commit"] == repository.head
    assert repository.git("log", "--first-parent", "--format=%s").splitlines() == ["Merge Call 1", "Start"]
    assert repository.status == [" M a.txt"]
    assert (repository.read("a.txt"), repository.read("b.txt")) == ("the user's\n", "b2\n")
    assert (repository.branches, repository.worktrees) == (["main"], [])
    assert repository.git("for-each-ref", "refs/pawl") == ""


async def test_S64_cut_off_before_the_row_it_gives_the_same(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    pen = Pen()
    trees = worktrees(repository.folder, pen)
    await changed(trees, 1, {"b.txt": "b2\n"})

    async def dies(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(life.Worktrees, "_write", dies)
        with pytest.raises(Killed):
            await merge(trees, "pawl/run/1")
    head = repository.head
    repository.commit({"later.txt": "l\n"}, "Later")
    told = await merge(worktrees(repository.folder, pen), "pawl/run/1")
    assert (told["ok"], told["commit"], told["files"]) == (True, head, ["b.txt"])


async def test_S64_a_power_cut_in_the_middle_of_writing(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are written, one of them in part, the index is not: git itself died. The user goes on, then resumes."""
    pen = Pen()
    trees = worktrees(repository.folder, pen)
    await changed(trees, 1, {"b.txt": "a longer text\n", "src/c.txt": "c2\n", "a.txt": "1\n", "new.txt": "n\n"})

    def dies(repository_: object, git: Git, head: str, commit: str, branch: str) -> None:
        git.text("update-ref", merging.MERGING, commit)
        repository.write({"b.txt": "a lon", "src/c.txt": "c2\n", "a.txt": "the user's since\n", "new.txt": ""})
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(merging, "bring_in", dies)
        with pytest.raises(Killed):
            await merge(trees, "pawl/run/1")
    with pytest.raises(UsageError, match=r"not committed: a\.txt$"):
        await merge(worktrees(repository.folder, pen), "pawl/run/1")
    assert repository.status == [" M a.txt"]
    assert (repository.read("b.txt"), repository.read("src/c.txt")) == ("b\n", "c\n")


KILLED = """
import asyncio, sys
from pathlib import Path
from support.repositories import Pen, worktrees
from engine.values import WorktreeRow

pen = Pen([WorktreeRow(1, "kept", sys.argv[2], "pawl/run/1", sys.argv[3], 0, b"{}")])
asyncio.run(worktrees(Path(sys.argv[1]), pen).merge("pawl/run/1"))
"""


def start_merging(repository: Repository, folder: str, base: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", KILLED, str(repository.folder), folder, base]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})


async def test_S64_git_runs_to_its_end_when_we_are_killed(repository: Repository, tmp_path: Path) -> None:
    """SIGKILL while git writes files. Git holds our lock, so whoever comes next waits until it is done."""
    started, go = tmp_path / "started", tmp_path / "go"
    os.mkfifo(go)
    os.mkfifo(started)
    repository.commit({".gitattributes": "b.txt filter=slow\n"}, "Filter")
    base = repository.head
    pen = Pen()
    trees = worktrees(repository.folder, pen)
    await changed(trees, 1, {"b.txt": "b2\n", "src/c.txt": "c2\n"})
    repository.git("config", "filter.slow.smudge", f"echo > {started}; cat {go} > /dev/null; cat")
    with start_merging(repository, str(repository.folder / ".pawl/worktrees/run/1"), base) as process:
        started.read_bytes()  # git is in the middle
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    repository.git("config", "filter.slow.smudge", "cat")
    go.write_bytes(b"")  # opened and closed: git goes on
    told = await merge(worktrees(repository.folder, pen), "pawl/run/1")
    assert (told["ok"], told["files"]) == (True, ["b.txt", "src/c.txt"])
    assert (repository.read("b.txt"), repository.read("src/c.txt"), repository.status) == ("b2\n", "c2\n", [])


async def test_S63_merging_needs_the_permission_files() -> None:
    with pytest.raises(UsageError) as error:
        NotPermitted(CallKind.MERGE).check(Job(1, CallKind.MERGE, {"branch": "pawl/run/1"}, b""))
    assert error.value.message == "mergeWorktree() needs the permission 'files', which this run does not have."


async def test_S63_a_simulation_merges_nothing(tmp_path: Path) -> None:
    effect = simulated_effects(Workspace(tmp_path), lambda schema: None)[CallKind.MERGE]
    answer = await effect.run(Job(1, CallKind.MERGE, {"branch": "pawl/run/1"}, b""), 1, lambda body: None)
    assert answer.value == NOTHING
