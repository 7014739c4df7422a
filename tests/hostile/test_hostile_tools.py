"""Attacks of a model on its host, by way of its tools: out of the workspace, past the policy, at our secrets and time."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from support.toolboxes import environment, opened, repository

from engine.agents.confinement import BUBBLEWRAP, LANDLOCK, NONE, bubblewrap, has_landlock
from engine.agents.tools import run_command

SECRET = "the-secret-text"
LEVELS = [
    pytest.param(BUBBLEWRAP, marks=pytest.mark.skipif(not bubblewrap(), reason="no bubblewrap here")),
    pytest.param(LANDLOCK, marks=pytest.mark.skipif(not has_landlock(), reason="no Landlock here")),
]


@pytest.fixture(params=LEVELS)
def level(request, monkeypatch):
    monkeypatch.setattr(run_command, "confinement_level", lambda confine: request.param)
    return request.param


@pytest.fixture
def work(tmp_path):
    """A workspace with a secret beside it, one above, and one in its `.git` and `.pawl`."""
    work = tmp_path / "work"
    for name in (
        "work/.git/config",
        "work/.pawl/config.toml",
        "work/sub/.git/config",
        "beside/secret",
        "work-2/secret",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(SECRET)
    (tmp_path / "secret").write_text(SECRET)
    (work / "a.txt").write_text("plain\n")
    return work


def links(work: Path) -> list[str]:
    outside = work.parent
    made = {
        "file": outside / "secret",
        "folder": outside / "beside",
        "up": "..",
        "chain": "folder",
        "root": "/",
        "proc": "/proc/self/root",
        "cwd": "/proc/self/cwd/../secret",
        "git": ".git",
        "state": ".pawl/config.toml",
        "loop": "loop",
        "sub/deep": "../../secret",
        "named": f"{work}/../secret",
    }
    for name, target in made.items():
        (work / name).symlink_to(target)
    return list(made)


OUTSIDE = [
    "../secret", "../beside/secret", "../work-2/secret", "./../secret", "a.txt/../../secret", "sub/../../secret",
    "/etc/passwd", "//etc/passwd", "/proc/self/environ", "/proc/self/" "root/etc/passwd", "/dev/zero", "~/.ssh/id_rsa",
    ".git/config", ".GIT/config", "sub/.git/config", ".pawl/config.toml", ".Pawl/config.toml", "./.git/./config",
    "sub/../.git/config", "file", "folder/secret", "up/secret", "chain/secret", "root/etc/passwd", "proc/etc/passwd", "cwd",
    "git/config", "state", "loop", "sub/deep", "named", "output:../../secret", "output:1/../x", "output:999999999",
    "\0", "\ud800", "a" * 5000, "/".join(["a"] * 3000), "file:///etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: ascii(path[:30]))
async def test_no_path_leads_out(work, path):
    links(work)
    async with opened(work) as box:
        for tool, args in (
            ("read_file", {"path": path}),
            ("grep", {"pattern": "", "path": path} | {"pattern": "."}),
            ("list_files", {"path": path}),
            ("edit_file", {"path": path, "old_string": SECRET[:5], "new_string": "x"}),
        ):
            result = await box.run(tool, args)
            assert not result.ok, (tool, result.text)
            assert SECRET not in result.text and "root:" not in result.text
    await nothing_was_changed(work)


@pytest.mark.parametrize(
    "path",
    [path for path in OUTSIDE if not path.startswith(("~", "output:", "file:"))],
    ids=lambda path: ascii(path[:30]),
)
async def test_nothing_is_written_outside(work, path):
    links(work)
    async with opened(work) as box:
        result = await box.run("write_file", {"path": path, "content": "evil"})
        assert not result.ok
    await nothing_was_changed(work)


async def nothing_was_changed(work: Path) -> None:
    for path in (work.parent / "secret", work / ".git/config", work / ".pawl/config.toml", work / "sub/.git/config"):
        assert path.read_text() == SECRET
    assert sorted(os.listdir(work.parent)) == ["beside", "secret", "work", "work-2"]


@pytest.mark.parametrize(
    "pattern",
    ["../*", "/etc/*", "**/../../*", "{..,a}/secret", "*/config", ".git/*", "**/.pawl/*", "up/*", "root/etc/*", ".*/*"],
)
async def test_no_pattern_leads_out(work, pattern):
    links(work)
    async with opened(work) as box:
        result = await box.run("list_files", {"pattern": pattern})
    assert "secret" not in result.text.replace(pattern, "").replace("../secret", "")
    assert "passwd" not in result.text and "config" not in result.text.replace(repr(pattern), "")


async def test_files_that_never_end_or_never_begin_do_not_hang_a_tool(work, monkeypatch):
    os.mkfifo(work / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(work)  # the name of a socket is short
        listener.bind("socket")
        if os.geteuid() == 0:
            with suppress(OSError):
                os.mknod(work / "zero", 0o666 | 0o020000, os.makedev(1, 5))
        async with opened(work) as box, asyncio.timeout(20):
            for name in ("pipe", "socket", "zero"):
                if not (work / name).exists():
                    continue
                assert (await box.run("read_file", {"path": name})).text.endswith("(a pipe, socket or device).")
                assert not (await box.run("edit_file", {"path": name, "old_string": "a", "new_string": "b"})).ok
                assert not (await box.run("write_file", {"path": name, "content": "a"})).ok
            assert (await box.run("grep", {"pattern": "plain"})).text == "a.txt:1:plain"


async def test_a_folder_that_is_swapped_for_a_link_all_the_time(work):
    """Whatever moves, what is read and written is inside."""
    (work / "d").mkdir()
    (work / "d/secret").write_text("inside")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            if not (work / "d/secret").exists():  # write_file made the folder anew while it was away
                shutil.rmtree(work / "d", ignore_errors=True)
                shutil.rmtree(work / "away", ignore_errors=True)
                (work / "d").mkdir(exist_ok=True)
                (work / "d/secret").write_text("inside")
            with suppress(OSError):
                os.rename(work / "d", work / "away")
                os.symlink(work.parent / "beside", work / "d")
                os.unlink(work / "d")
                os.rename(work / "away", work / "d")
                for _ in range(200):  # as long as a tool may take
                    os.stat(work / "d")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        async with opened(work) as box:
            read = 0
            for n in range(120):
                result = await box.run("read_file", {"path": "d/secret"})
                read += result.ok
                assert SECRET not in result.text
                await box.run("write_file", {"path": "d/made", "content": f"{n}"})
                await box.run("edit_file", {"path": "d/secret", "old_string": SECRET, "new_string": "evil"})
                assert SECRET not in (await box.run("list_files", {"path": "d"})).text
    finally:
        stop.set()
        thread.join()
    assert (work.parent / "beside/secret").read_text() == SECRET
    assert os.listdir(work.parent / "beside") == ["secret"]
    assert read > 0, "the race never let a read through: it shows nothing"


async def test_a_denied_file_that_is_swapped_in_is_not_read(work):
    """The policy looks at a path; what is opened is that path, or nothing."""
    (work / ".env").write_text(SECRET)
    (work / "d").mkdir()
    (work / "d/x").write_text("inside")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            with suppress(OSError):
                os.symlink("../.env", work / "d/new")
                os.rename(work / "d/new", work / "d/x")
                (work / "d/new").write_text("inside")
                os.rename(work / "d/new", work / "d/x")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        async with opened(work, deny=["read_file(.env)"]) as box:
            for _ in range(120):
                assert SECRET not in (await box.run("read_file", {"path": "d/x"})).text
                assert SECRET not in (await box.run("grep", {"pattern": "secret", "path": "d"})).text
    finally:
        stop.set()
        thread.join()


async def test_writing_does_not_go_through_links_and_hard_links(level, work):
    outside = work.parent / "secret"
    async with opened(work, environ=environment(HOME=str(work.parent))) as box:
        await box.run(
            "run_command", {"command": f"ln -s {outside} soft; ln {outside} hard; ln -s {outside.parent} dir"}
        )
        for path in ("soft", "hard", "dir/secret"):
            await box.run("write_file", {"path": path, "content": "evil"})
    assert outside.read_text() == SECRET
    os.link(outside, work / "linked")  # as if it had been there before
    async with opened(work) as box:
        assert (await box.run("write_file", {"path": "linked", "content": "new"})).ok
    assert outside.read_text() == SECRET


async def test_a_command_does_not_leave_its_limits(level, work):
    outside = work.parent / ".netrc"
    outside.write_text(SECRET)
    environ = environment(HOME=str(work.parent))
    async with opened(work, environ=environ) as box:
        for command in (
            f"echo evil > {outside}",
            f"cat /proc/self/root{outside}; echo evil > /proc/self/root{outside}",
            f"cd .. && echo evil > .netrc; rm -f {outside}; mv {outside} {outside}.x",
            f"mount --bind {outside.parent} . 2>/dev/null; cat .netrc; umount / ; umount /tmp",
            f"unshare -Urm sh -c 'mount -t tmpfs none /mnt; umount -l /tmp; umount -l {work.parent}; cat {outside}; echo evil > {outside}'",
            f"chroot / sh -c 'cat {outside}; echo evil > {outside}'",
            f"exec 9<>{outside}; echo evil >&9",
            f"truncate -s 0 {outside}; chmod 777 {outside}; ln -f {outside} here && echo evil > here",
            f"nsenter -t 1 -m cat {outside}; nsenter -t {os.getpid()} -m cat {outside}",
        ):
            text = (await box.run("run_command", {"command": command, "timeout_s": 20})).text
            assert SECRET not in text, command
            assert outside.read_text() == SECRET, command


async def test_a_command_finds_no_secret_of_ours_in_other_processes(level, work):
    environ = environment(MY_API_KEY="sk-value-of-a-key", HOME=str(work.parent))
    async with opened(work, environ=environ) as box:
        command = (
            "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -a 'value-of-a-ke[y]'"
        )
        result = await box.run("run_command", {"command": command})
    assert "value-of-a-key" not in result.text


@pytest.mark.parametrize("level", LEVELS[:1], indirect=True)
async def test_hooks_and_state_are_out_of_reach_of_commands(level, tmp_path):
    project = repository(tmp_path / "project")
    (project / ".pawl/config.toml").write_text("backend = 'sample'\n")
    async with opened(project, environ=environment(HOME=str(tmp_path))) as box:
        for command in (
            "echo evil > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit",
            "rm -rf .git/hooks; mkdir .git/hooks; echo evil > .git/hooks/pre-commit",
            "mv .git .g && mkdir -p .git/hooks && echo evil > .git/hooks/pre-commit",
            "git config core.hooksPath /tmp; git config --worktree core.hooksPath /tmp; echo '[core] evil=1' >> .git/config",
            "echo 'allow = [\"check\"]' > .pawl/config.toml; rm -rf .pawl; mv .pawl .p; ln -sfn /tmp .pawl",
            "cp -r .git .x && echo evil >> .x/config && rm -rf .git; mv -T .x .git",
        ):
            await box.run("run_command", {"command": command})
    assert "evil" not in (project / ".git/config").read_text()
    assert "hooksPath" not in (project / ".git/config").read_text()
    assert not (project / ".git/hooks/pre-commit").exists()
    assert (project / ".pawl/config.toml").read_text() == "backend = 'sample'\n"


@pytest.mark.parametrize("confined", [*LEVELS, NONE])
async def test_a_fork_bomb_in_sessions_of_its_own_ends(work, monkeypatch, confined):
    monkeypatch.setattr(run_command, "confinement_level", lambda confine: confined)
    async with opened(work, environ=environment(HOME=str(work))) as box, asyncio.timeout(60):
        command = "trap '' TERM; for i in 1 2 3 4 5 6 7 8; do setsid sh -c 'trap \"\" TERM; setsid sleep 600 & sleep 600' & done; wait"
        result = await box.run("run_command", {"command": command, "timeout_s": 1})
        assert result.text == "[killed: not done within 1 s]"
        left = (await box.run("run_command", {"command": "ps -eo args | grep -c '[s]leep 600'"})).text
        assert left.startswith("0")


async def test_arguments_of_every_shape_are_answered(work):
    """Whatever a model sends, it gets an answer and the loop goes on."""
    values = [None, True, 0, -1, 1e308, 10**30, "", "x" * 100_000, "\0", "\ud800", [], {}, [[]], {"path": {"path": 1}}]
    async with opened(work, is_confined=False) as box:
        for spec in box.specs():
            for value in values:
                assert isinstance((await box.run(spec.name, value)).text, str)
                for name in spec.parameters["properties"]:
                    args = dict.fromkeys(spec.parameters["required"], "a.txt") | {name: value}
                    assert isinstance((await box.run(spec.name, args)).text, str), (spec.name, name, value)
        for name in ("", "read_file ", "../read_file", "__import__", "mcp", "x" * 1000):
            assert not (await box.run(name, {})).ok


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(.*)*b", "(?:a?){30}a{30}"])
async def test_expressions_that_would_run_for_years(work, pattern, monkeypatch):
    from engine.agents.tools import grep

    monkeypatch.setattr(grep, "TIME_S", 1.0)
    (work / "evil.txt").write_text("a" * 60 + "!\n")
    async with opened(work) as box, asyncio.timeout(20):
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.05)
                ticks += 1

        ticker = asyncio.create_task(tick())
        result = await box.run("grep", {"pattern": pattern, "path": "evil.txt"})
        ticker.cancel()
    assert result.text.startswith(("The search took longer than 1 s.", "[no match", "evil.txt:1:"))
    assert ticks > 0 or result.ok
