"""Tools of MCP servers: real servers over pipes and HTTP, and bad ones."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from support.toolboxes import environment, opened

pytest.importorskip("mcp")

from engine.agents.tools import mcp as mcp_module
from engine.agents.tools.mcp import McpServers
from engine.agents.tools.mcp_shapes import shown_name
from engine.settings import McpServerSettings

SUPPORT = Path(__file__).parents[2] / "support"
GOOD = McpServerSettings(command=(sys.executable, str(SUPPORT / "mcp_server.py")))
ENVIRON = environment(A_TOKEN="a-secret-value", OTHER="other")


def bad(way: str) -> McpServerSettings:
    return McpServerSettings(command=(sys.executable, str(SUPPORT / "mcp_hostile.py"), way))


@pytest.fixture
async def servers():
    """Makes the servers of a run, and ends them."""
    made = []

    def make(**settings):
        made.append(McpServers(settings, environ=ENVIRON))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def until(holds, seconds=10.0):
    end = asyncio.get_running_loop().time() + seconds
    while not holds():
        assert asyncio.get_running_loop().time() < end, "did not happen in time"
        await asyncio.sleep(0.01)


async def test_tools_of_a_program(tmp_path, servers):
    async with opened(tmp_path, allow=["mcp(good.*)"], mcp=servers(good=GOOD)) as box:
        names = [spec.name for spec in box.specs()]
        assert {"read_file", "good__add", "good__fail"} <= set(names)
        result = await box.run("good__add", {"a": 1, "b": 2})
        assert (result.text, result.ok) == ("3", True)
        result = await box.run("good__add", {"a": 1})
        assert (result.text, result.ok) == (
            "good__add: expected the field 'b' (a whole number), found none. Call it again with that corrected.",
            False,
        )
        result = await box.run("good__fail", {})
        assert not result.ok and "Error executing tool fail" in result.text
        result = await box.run("good__flood", {"characters": 2_000_000})
        assert result.ok and len(result.text) < 31_000 and "output:1" in result.text


async def test_calls_share_one_connection(tmp_path, servers):
    shared = servers(good=GOOD)
    pids = []
    for _ in range(2):
        async with opened(tmp_path, allow=["mcp"], mcp=shared) as box:
            pids += [result.text for result in await asyncio.gather(*(box.run("good__pid", {}) for _ in range(5)))]
    assert len(set(pids)) == 1
    await shared.close()
    await until(lambda: not psutil.pid_exists(int(pids[0])))


async def test_a_program_gets_no_secrets_but_those_that_its_config_names(tmp_path, servers):
    named = McpServerSettings(command=GOOD.command, environment={"GIVEN": "$A_TOKEN", "BOTH": "${OTHER}-x"})
    async with opened(tmp_path, allow=["mcp"], mcp=servers(good=named)) as box:
        found = [(await box.run("good__variable", {"name": n})).text for n in ("A_TOKEN", "GIVEN", "BOTH", "OTHER")]
    assert found == ["[unset]", "a-secret-value", "other-x", "other"]


async def test_permissions_and_lists_of_tools(tmp_path, servers):
    shared = servers(good=GOOD)
    async with opened(tmp_path, mcp=shared) as box:
        assert (await box.run("good__add", {"a": 1, "b": 2})).text == (
            "mcp.good.add needs a person's permission, and this run has no terminal; "
            'allow it with [permissions] allow = ["mcp.good.add"]. Do without it.'
        )
    async with opened(tmp_path, mcp=shared, allow=["mcp"], deny=["mcp(good.fail)"]) as box:
        assert "good__fail" not in [spec.name for spec in box.specs()]
    async with opened(tmp_path, mcp=shared, allowed=("read_file", "mcp.good.add")) as box:
        assert [spec.name for spec in box.specs()] == ["read_file", "good__add"]
    async with opened(tmp_path, mcp=shared, allowed=("read_file",)) as box:
        assert [spec.name for spec in box.specs()] == ["read_file"]


async def test_a_server_that_dies_is_started_again(tmp_path, servers, monkeypatch):
    async with opened(tmp_path, allow=["mcp"], mcp=servers(good=GOOD)) as box:
        for _ in range(mcp_module.MOST_STARTS):
            assert (await box.run("good__add", {"a": 1, "b": 2})).text == "3"
            result = await box.run("good__die", {})
            assert not result.ok and result.text.startswith("The MCP server good ")
        result = await box.run("good__add", {"a": 1, "b": 2})
        assert not result.ok and result.text.startswith("The MCP server good cannot be used, tried 3 times: ")


@pytest.mark.parametrize(
    ("way", "problem"),
    [
        ("dies", "it ended with exit code 4: no licence found"),
        ("silent", "not ready within 1 s"),
        ("garbage", "not ready within 1 s"),
    ],
)
async def test_a_server_that_cannot_be_used_does_not_stop_the_call(tmp_path, servers, monkeypatch, way, problem):
    monkeypatch.setattr(mcp_module, "OPEN_S", 1)
    async with opened(tmp_path, allow=["mcp"], mcp=servers(odd=bad(way))) as box:
        message = f"The MCP server odd cannot be used: {problem}. Do without it."
        assert box.problems == {"odd": message}
        assert (await box.run("odd__thing", {})).text == message
        assert (await box.run("list_files", {})).ok
    await until(
        lambda: not any("mcp_hostile.py" in " ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"]))
    )


@pytest.mark.parametrize("way", ["hangs", "chatters"])
async def test_a_call_that_is_never_answered(tmp_path, servers, monkeypatch, way):
    monkeypatch.setattr(mcp_module, "CALL_S", 1)
    async with opened(tmp_path, allow=["mcp"], mcp=servers(odd=bad(way))) as box:
        name = box.specs()[-1].name
        result = await box.run(name, {})
        tool = name.removeprefix("odd__")
        assert (result.text, result.ok) == (
            f"The MCP server odd gave no answer to {tool} within 1 s. Do without it.",
            False,
        )


async def test_a_cancelled_call(tmp_path, servers):
    async with opened(tmp_path, allow=["mcp"], mcp=servers(odd=bad("hangs"), good=GOOD)) as box:
        task = asyncio.create_task(box.run("odd__wait", {}))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await box.run("good__add", {"a": 1, "b": 2})).ok


async def test_what_a_service_would_not_take_is_made_harmless(tmp_path, servers):
    async with opened(tmp_path, allow=["mcp"], mcp=servers(odd=bad("lies"))) as box:
        specs = {spec.name: spec for spec in box.specs() if spec.name.startswith("odd__")}
    assert len(specs) == 4 and all(len(name) <= 64 for name in specs)
    assert all(spec.parameters == {"type": "object"} for spec in specs.values())
    assert max(len(spec.description) for spec in specs.values()) == 4000


async def test_a_list_without_an_end(tmp_path, servers):
    async with opened(tmp_path, allow=["mcp"], mcp=servers(odd=bad("endless"))) as box:
        assert [spec.name for spec in box.specs() if "__" in spec.name] == ["odd__one"]


async def test_settings_that_name_what_is_not_there(tmp_path, servers):
    made = servers(
        missing=McpServerSettings(command=("no-such-program-here",)),
        unset=McpServerSettings(command=("x",), environment={"A": "$NOT_SET_AT_ALL"}),
    )
    async with opened(tmp_path, allow=["mcp"], mcp=made) as box:
        assert box.problems["unset"] == (
            "The MCP server unset cannot be used: its settings name the variable NOT_SET_AT_ALL, which is not set. "
            "Do without it."
        )
        assert "exit code 127" in box.problems["missing"]


@pytest.fixture
def http_server():
    """The port of a real server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, str(SUPPORT / "mcp_server.py"), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield port
    process.kill()
    process.wait()


async def test_tools_of_an_address(tmp_path, servers, http_server):
    await until(lambda: _listens(http_server), 30)
    url = f"http://127.0.0.1:{http_server}/mcp"
    made = servers(web=McpServerSettings(url=url, headers={"X-Key": "$A_TOKEN"}))
    async with opened(tmp_path, allow=["mcp"], mcp=made) as box:
        assert box.problems == {}
        assert (await box.run("web__add", {"a": 4, "b": 5})).text == "9"
    await made.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_an_address_where_nobody_is(tmp_path, servers):
    async with opened(tmp_path, allow=["mcp"], mcp=servers(web=McpServerSettings(url="http://127.0.0.1:9/mcp"))) as box:
        assert box.problems["web"].startswith("The MCP server web cannot be used: ")


HOST = """
import asyncio, os, sys
from engine.agents.tools.mcp import McpServers
from engine.settings import McpServerSettings
async def main():
    servers = McpServers({"good": McpServerSettings(command=(sys.executable, sys.argv[1]))}, environ=os.environ)
    tools = {tool.name: tool for tool in await servers.tools("good")}
    print(await servers.call(tools["pid"], {}), flush=True)
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""


def killed_host() -> str:
    """What a process prints that opens a server and is killed."""
    done = subprocess.run(
        [sys.executable, "-c", HOST, str(SUPPORT / "mcp_server.py")],
        cwd=Path(__file__).parents[3], env=dict(os.environ), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout


async def test_a_program_does_not_outlive_us():
    pid = int(await asyncio.to_thread(killed_host))
    await until(lambda: not psutil.pid_exists(pid))


def test_two_names_never_become_one():
    names = {shown_name("a", "b.c"), shown_name("a", "b c"), shown_name("a", "b_c"), shown_name("a", "x" * 99)}
    assert len(names) == 4 and all(len(name) <= 64 for name in names)
