"""readFile, writeFile, glob, exists in a real folder, with everything that may lead out of it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import stat
import threading
import time
from contextlib import suppress

import pytest

from engine.effects import Files, Workspace
from engine.effects.files import FILE_BYTES
from engine.effects.globbing import find
from engine.errors import UsageError
from engine.executors import Job
from engine.values import CallKind


@pytest.fixture
def root(tmp_path):
    (tmp_path / "outside.txt").write_text("secret")
    folder = tmp_path / "project"
    for path in (
        "src/a.py",
        "src/deep/b.py",
        "src/deep/c.txt",
        "README.md",
        ".env",
        ".git/config",
        "src/.pawl/pawl.db",
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    return folder


@pytest.fixture
def files(root):
    return Files(Workspace(root))


def refused(code, message):
    return pytest.raises(UsageError, match=f"^{re.escape(message)}$", check=lambda error: error.code == code)


def test_S62_read_file_gives_text_or_null(files, root):
    assert files.read_text("README.md") == "README.md"
    assert files.read_text("./src//deep/../a.py") == "src/a.py"
    assert files.read_text(str(root / "README.md")) == "README.md", "an absolute path inside is taken"
    assert files.read_text("nope.txt") is None
    assert files.read_text("nope/nope.txt") is None
    assert files.read_text("README.md/nope") is None
    (root / "crlf.txt").write_bytes("\ufeffä\r\n\0".encode())
    assert files.read_text("crlf.txt") == "\ufeffä\r\n\0", "exactly what is there"


@pytest.mark.parametrize(
    "path", [".git/config", "src/.pawl/pawl.db", ".GIT/config", "src/../.git/config", "git-link", ".pawl"]
)
def test_S62_pawl_and_git_are_not_there(files, root, path):
    (root / "git-link").symlink_to(".git/config")
    assert files.read_text(path) is None
    assert not files.is_there(path)
    with refused("file_error", f"writeFile({path!r}): No such file or directory"):
        files.write_text(path, "x")


@pytest.mark.parametrize(
    "path", ["../outside.txt", "/etc/passwd", "link", "up/outside.txt", "absolute", "src/../../outside.txt", "/"]
)
def test_S62_nothing_leads_out_of_the_workspace(files, root, path):
    (root / "link").symlink_to("../outside.txt")
    (root / "up").symlink_to("..")
    (root / "absolute").symlink_to(root.parent / "outside.txt")
    for name, act in (
        ("readFile", files.read_text),
        ("exists", files.is_there),
        ("writeFile", lambda p: files.write_text(p, "x")),
    ):
        del name
        with refused("outside_workspace", f"{path!r} leads out of the workspace"):
            act(path)
    assert (root.parent / "outside.txt").read_text() == "secret"
    assert find(Workspace(root), "link") == find(Workspace(root), "up/*") == find(Workspace(root), "absolute") == []


def test_S62_links_that_stay_inside_are_followed(files, root):
    (root / "to-file").symlink_to("src/a.py")
    (root / "to-folder").symlink_to(root / "src" / "deep")
    (root / "src" / "deep" / "back").symlink_to("../../README.md")
    assert files.read_text("to-file") == "src/a.py"
    assert files.read_text("to-folder/back") == "README.md"
    files.write_text("to-file", "new")
    assert (root / "to-file").is_symlink() and (root / "src/a.py").read_text() == "new"
    assert find(Workspace(root), "to-folder/*.txt") == ["to-folder/c.txt"]
    assert "to-file" in find(Workspace(root), "*")


def test_S62_a_loop_of_links_is_an_error_that_ends(files, root):
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    with refused("file_error", "readFile('one'): Too many levels of symbolic links"):
        files.read_text("one")


def test_S62_a_folder_swapped_for_a_link_while_it_is_used_never_leads_out(files, root):
    """A race that lasts a second: somebody swaps a folder for a link to the outside, over and over."""
    (root.parent / "out").mkdir()
    (root.parent / "out" / "f").write_text("secret")
    (root / "spot").mkdir()
    (root / "spot" / "f").write_text("mine")
    over = threading.Event()

    def swap():
        while not over.is_set():
            for step in (
                lambda: os.rename(root / "spot", root / "aside"),
                lambda: os.symlink(root.parent / "out", root / "spot"),
                lambda: os.unlink(root / "spot"),
                lambda: os.rename(root / "aside", root / "spot"),
            ):
                with suppress(OSError):  # writeFile may have made the folder anew in between
                    step()
            shutil.rmtree(root / "aside", ignore_errors=True)

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen = set()
    try:
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            try:
                seen.add(files.read_text("spot/f"))
                files.write_text("spot/f", "mine")
            except UsageError as error:
                seen.add(error.code)
    finally:
        over.set()
        swapper.join()
    assert "mine" in seen and seen <= {"mine", None, "outside_workspace", "file_error"}
    assert os.listdir(root.parent / "out") == ["f"] and (root.parent / "out" / "f").read_text() == "secret"


def test_S62_what_is_no_text_file_is_an_error_that_says_why(files, root):
    (root / "binary").write_bytes(b"ok\xff\xfe")
    (root / "big").write_bytes(b"x" * (FILE_BYTES + 1))
    os.mkfifo(root / "pipe")
    with refused("not_text", "readFile('binary'): not UTF-8 text (byte 2)"):
        files.read_text("binary")
    with refused("file_too_large", "readFile('big'): more than 16 MiB"):
        files.read_text("big")
    with refused("not_a_file", "readFile('pipe'): not a file"):
        files.read_text("pipe")
    for path in ("src", ".", "src/.."):
        with refused("not_a_file", f"readFile({path!r}): not a file"):
            files.read_text(path)
        with refused("not_a_file", f"writeFile({path!r}): not a file"):
            files.write_text(path, "x")
    for path in ("a\0b", "\ud800"):
        with pytest.raises(UsageError, match=r"is not a path: it holds a NUL or half a character$"):
            files.read_text(path)
    with refused("file_error", f"exists({'x' * 300!r}): File name too long"):
        files.is_there("x" * 300)


def test_S62_write_file_makes_folders_replaces_whole_files_and_keeps_their_mode(files, root):
    files.write_text("new/deep/er/x.txt", "ä\n")
    assert (root / "new/deep/er/x.txt").read_bytes() == "ä\n".encode()
    os.chmod(root / "README.md", 0o750)
    before = os.stat(root / "README.md").st_ino
    files.write_text("README.md", "changed")
    after = os.stat(root / "README.md")
    assert (root / "README.md").read_text() == "changed"
    assert stat.S_IMODE(after.st_mode) == 0o750 and after.st_ino != before
    assert sorted(os.listdir(root)) == [".env", ".git", "README.md", "new", "src"], "nothing is left beside it"
    with refused("file_too_large", "writeFile('x'): more than 16 MiB"):
        files.write_text("x", "x" * (FILE_BYTES + 1))
    assert not files.is_there("x")


def test_S62_a_new_file_has_the_mode_that_the_person_s_umask_gives(files, root):
    before = os.umask(0o027)
    try:
        files.write_text("x", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(root / "x").st_mode) == 0o640


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("**/*.py", ["src/a.py", "src/deep/b.py"]),
        ("src/**", ["src/a.py", "src/deep/b.py", "src/deep/c.txt"]),
        ("src/*", ["src/a.py"]),
        ("*/", ["src/"[:-1]]),
        ("**/", ["src", "src/deep"]),
        ("*", ["README.md"]),
        (".*", [".env"]),
        ("**/*.{py,txt}", ["src/a.py", "src/deep/b.py", "src/deep/c.txt"]),
        ("{src/{a,z}.py,README.md}", ["README.md", "src/a.py"]),
        ("src/deep/[a-b].py", ["src/deep/b.py"]),
        ("src/deep/[!b].*", ["src/deep/c.txt"]),
        ("src/?.py", ["src/a.py"]),
        ("./README.md", ["README.md"]),
        ("src/**/deep/**/b.py", ["src/deep/b.py"]),
        ("**/**/a.py", ["src/a.py"]),
        (".git/*", []),
        ("**/.pawl/*", []),
        ("nothing*", []),
        ("src/a.py/*", []),
        ("[", []),
        ("{a", []),
    ],
)
def test_S62_glob(root, pattern, expected):
    assert find(Workspace(root), pattern) == expected


@pytest.mark.parametrize("pattern", ["../*", "/etc/*", "src/../../*"])
def test_S62_glob_does_not_lead_out(root, pattern):
    with refused(
        "outside_workspace", f"glob({pattern!r}) leads out of the workspace: patterns are relative to the project root"
    ):
        find(Workspace(root), pattern)


def test_S62_glob_is_linear_in_hostile_patterns(root):
    (root / ("a" * 200)).write_text("")
    started = time.process_time()
    assert find(Workspace(root), "*a" * 60 + "b") == []
    assert find(Workspace(root), "**/" * 60 + "nothing") == []
    assert time.process_time() - started < 1.0
    with pytest.raises(UsageError, match=r"stands for more than 256 patterns$"):
        find(Workspace(root), "{a,b}" * 9)


def test_S62_glob_leaves_out_names_that_are_no_text(root):
    open(os.fsencode(root) + b"/bad\xff.txt", "w").close()
    assert find(Workspace(root), "*.txt") == []


async def test_a_withdrawn_file_effect_ends_with_its_thread(root, monkeypatch):
    reached, go_on, left = threading.Event(), threading.Event(), threading.Event()

    def slow(path):
        reached.set()
        go_on.wait()
        left.set()

    files = Files(Workspace(root))
    monkeypatch.setattr(files, "read_text", slow)
    task = asyncio.create_task(files.read(Job(1, CallKind.READ_FILE, {"path": "x"}, b""), lambda body: None))
    await asyncio.to_thread(reached.wait)
    task.cancel()
    asyncio.get_running_loop().call_later(0.02, go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left.is_set()
