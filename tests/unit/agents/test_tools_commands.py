"""run_command: results, limits, environment, ends."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import psutil
import pytest
from support.toolboxes import environment, opened

from engine.agents import confinement
from engine.agents.confinement import BUBBLEWRAP, LANDLOCK, NONE
from engine.agents.tools import run_command
from engine.settings import ToolSettings

LEVELS = [
    pytest.param(BUBBLEWRAP, marks=pytest.mark.skipif(not confinement.bubblewrap(), reason="no bubblewrap here")),
    pytest.param(LANDLOCK, marks=pytest.mark.skipif(not confinement.has_landlock(), reason="no Landlock here")),
    NONE,
]


@pytest.fixture(params=LEVELS)
def level(request, monkeypatch):
    monkeypatch.setattr(run_command, "confinement_level", lambda confine: request.param)
    return request.param


async def until(holds, seconds=10.0):
    end = asyncio.get_running_loop().time() + seconds
    while not holds():
        assert asyncio.get_running_loop().time() < end, "did not happen in time"
        await asyncio.sleep(0.01)


def marked() -> list[int]:
    """Living processes that some command of a test started."""
    found = []
    for process in psutil.process_iter(["pid", "status"]):
        try:
            if process.info["status"] != psutil.STATUS_ZOMBIE and process.environ().get("TEST_MARK") == str(
                os.getpid()
            ):
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@pytest.mark.parametrize(
    ("command", "text", "ok"),
    [
        ("echo out; echo err >&2", "out\n[standard error]\nerr", True),
        ("true", "[no output, exit code 0]", True),
        ("echo no; exit 3", "no\n[exit code 3]", False),
        ("kill -TERM $$", "[exit code 143]", False),
        ("cat; echo end", "end", True),
        ("a\0b", "The command cannot be started: it holds a NUL or half a character.", False),
    ],
)
async def test_results(level, tmp_path, command, text, ok):
    async with opened(tmp_path) as box:
        result = await box.run("run_command", {"command": command})
        assert (result.text, result.ok) == (text, ok)


async def test_no_secret_is_in_the_environment(level, tmp_path):
    environ = environment(A_TOKEN="a-secret-value", COPY_OF_IT="a-secret-value", PLAIN="plain", HOME=str(tmp_path))
    async with opened(tmp_path, environ=environ) as box:
        text = (await box.run("run_command", {"command": "env"})).text
    assert "a-secret-value" not in text
    assert "PLAIN=plain" in text and "PAWL_INSIDE_AGENT=1" in text


async def test_out_of_time(level, tmp_path):
    environ = environment(TEST_MARK=str(os.getpid()))
    async with opened(tmp_path, environ=environ) as box:
        result = await box.run(
            "run_command", {"command": "trap '' TERM INT HUP; echo begun; sleep 600", "timeout_s": 0.5}
        )
        assert (result.text, result.ok) == ("begun\n[killed: not done within 0.5 s]", False)
    await until(lambda: marked() == [])


async def test_a_time_of_the_settings(tmp_path):
    async with opened(tmp_path, settings=ToolSettings(command_timeout_s=0.2)) as box:
        assert (await box.run("run_command", {"command": "sleep 600"})).text == "[killed: not done within 0.2 s]"


async def test_cancelling_leaves_nothing(level, tmp_path):
    environ = environment(TEST_MARK=str(os.getpid()))
    async with opened(tmp_path, environ=environ) as box:
        command = "setsid sh -c 'sleep 600' & (setsid sleep 600 &) ; touch begun; sleep 600"
        task = asyncio.create_task(box.run("run_command", {"command": command}))
        await until((tmp_path / "begun").exists)
        await until(lambda: len(marked()) >= 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: marked() == [])


async def test_what_daemonizes_ends_with_the_command(level, tmp_path):
    environ = environment(TEST_MARK=str(os.getpid()))
    async with opened(tmp_path, environ=environ) as box:
        command = "(setsid setsid sh -c 'sleep 600' >/dev/null 2>&1 &); nohup sleep 600 >/dev/null 2>&1 & echo begun"
        assert (await box.run("run_command", {"command": command})).text == "begun"
        await until(lambda: marked() == [])


async def test_a_flood_is_cut_and_does_not_fill_memory(level, tmp_path):
    async with opened(tmp_path, settings=ToolSettings(output_characters=2000)) as box:
        result = await box.run("run_command", {"command": "head -c 50000000 /dev/zero | tr '\\0' x; echo end"})
        assert result.ok and len(result.text) < 2300
        assert "[cut: 1,048,576 of 50,000,004 bytes]" in result.text
    kept = Path(f"{tmp_path}-outputs/1.txt")
    assert kept.stat().st_size < 2 << 20


async def test_commands_of_a_run_without_limits_need_a_permission(tmp_path):
    async with opened(tmp_path, is_confined=False) as box:
        result = await box.run("run_command", {"command": "touch x"})
        assert (result.text, result.ok) == (
            "run_command(touch x) needs a person's permission, and this run has no terminal; "
            'allow it with [permissions] allow = ["run_command(touch x)"]. Do without it.',
            False,
        )
    assert os.listdir(tmp_path) == []
