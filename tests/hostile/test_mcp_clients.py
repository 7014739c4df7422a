"""What strangers send to `pawl mcp`: names and paths that lead elsewhere, arguments of any shape, pages of a browser."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from support.pawl import COMMAND, HEAD, PATIENCE_S, Pawl
from support.serving import Served, call, over_http, over_pipes, refusal

SECRET = "export const meta = { name: 'secret', description: 'of another project' }\nreturn 'treasure'\n"


@pytest.fixture
def pawl(tmp_path: Path) -> Pawl:
    pawl = Pawl(tmp_path / "project")
    (tmp_path / "outside.js").write_text(SECRET)
    (tmp_path / "secret").write_text(SECRET)
    (pawl.folder / "notes").write_text(SECRET)
    (pawl.folder / "link.js").symlink_to(tmp_path / "outside.js")
    (pawl.folder / ".pawl" / "workflows").mkdir()
    return pawl


class TestScripts:
    @pytest.mark.parametrize(
        "name", ["../outside", "/etc/passwd", "..", ".", "notes", "a\0b", "..\\outside", "x" * 200]
    )
    async def test_a_name_is_no_path(self, pawl: Pawl, name: str) -> None:
        async with over_pipes(pawl) as client:
            for tool in ("check_workflow", "simulate_workflow", "run_workflow"):
                error = await refusal(client, tool, name=name)
                assert error["code"] == "unknown_workflow", error
                assert "treasure" not in json.dumps(error)

    @pytest.mark.parametrize(
        ("path", "code"),
        [
            ("../outside.js", "outside_workspace"),
            ("link.js", "outside_workspace"),
            ("/etc/hostname", "unknown_workflow"),
            ("/tmp/nothing.js", "outside_workspace"),
            ("notes", "unknown_workflow"),
            (".pawl/pawl.db", "unknown_workflow"),
            ("a/../../outside.js", "outside_workspace"),
            ("missing.js", "unknown_workflow"),
            ("a\0.js", "bad_ref"),
        ],
    )
    async def test_a_path_stays_inside(self, pawl: Pawl, path: str, code: str) -> None:
        async with over_pipes(pawl) as client:
            error = await refusal(client, "run_workflow", path=path)
            assert error["code"] == code, error
            assert "treasure" not in json.dumps(error)

    async def test_a_huge_script(self, pawl: Pawl) -> None:
        async with over_pipes(pawl) as client:
            error = await refusal(client, "check_workflow", script="x" * (1 << 21))
            assert error["code"] == "bad_arguments"
            assert len(json.dumps(error)) < 2000, "what it was sent is not sent back"
            error = await refusal(client, "run_workflow", script=HEAD + "// " + "ä" * (1 << 19) + "\n" * 1000)
            assert error["code"] == "too_long"
            assert (await call(client, "check_workflow", script=HEAD + "return 1\n"))["ok"]


class TestArguments:
    @pytest.mark.parametrize(
        ("tool", "arguments", "code"),
        [
            ("run_workflow", {}, "bad_arguments"),
            ("run_workflow", {"script": "a", "name": "b"}, "bad_arguments"),
            ("run_workflow", {"script": 7}, "bad_arguments"),
            ("run_workflow", {"script": "a", "yes": True}, "bad_arguments"),
            ("run_workflow", {"script": "a", "max_agents": -1}, "bad_arguments"),
            ("run_workflow", {"script": "a", "max_agents": True}, "bad_arguments"),
            ("run_workflow", {"script": "a", "run_id": "--allow"}, "meta"),
            ("run_workflow", {"script": HEAD, "run_id": "../x"}, "bad_arguments"),
            ("run_status", {"run_id": "nobody"}, "unknown_run"),
            ("run_status", {"run_id": ["a"]}, "bad_arguments"),
            ("run_result", {"run_id": "nobody", "offset": -1}, "bad_arguments"),
            ("resume_run", {"run_id": "nobody"}, "unknown_run"),
            ("resume_run", {"run_id": "nobody", "rerun": "all"}, "bad_arguments"),
            ("wait_for_run", {"run_id": "nobody", "timeout_seconds": 1e9}, "bad_arguments"),
            ("cancel_run", {"run_id": "-h"}, "unknown_run"),
            ("drop_tables", {}, "unknown_tool"),
        ],
    )
    async def test_are_refused_by_what_was_declared(
        self, pawl: Pawl, tool: str, arguments: dict[str, Any], code: str
    ) -> None:
        async with over_pipes(pawl) as client:
            error = await refusal(client, tool, **arguments)
            assert (error["code"], bool(error["message"])) == (code, True), error

    async def test_words_that_look_like_flags(self, pawl: Pawl) -> None:
        async with over_pipes(pawl) as client:
            assert (await refusal(client, "run_workflow", script=HEAD + "return 1\n", backend="--yes"))["code"] == (
                "unknown_backend"
            )
            run = (await call(client, "run_workflow", script=HEAD + "return 1\n", run_id="-x"))["run_id"]
            assert (await call(client, "wait_for_run", run_id=run))["status"] == "completed"
            assert (await refusal(client, "resume_run", run_id=run, rerun=["--allow=check"]))["code"] == "unknown_call"
            assert (await call(client, "resume_run", run_id=run))["run_id"] == run

    def test_lines_that_are_no_messages(self, pawl: Pawl) -> None:
        """Standard output holds answers and nothing else, whatever comes in; a broken line ends nothing."""
        hello = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": {"name": "x", "version": "1"},
            },
        }
        bad = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": 7, "arguments": "x"}}
        good = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "list_runs", "arguments": {}}}
        deep = '{"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": ' + "[" * 10_000 + "\n"
        lines = [json.dumps(hello), "not json", "[]", "\ud800".encode(errors="surrogatepass").decode("latin-1"), deep]
        lines += [json.dumps(bad), json.dumps(good)]
        process = subprocess.Popen(
            [*COMMAND, "mcp"],
            cwd=pawl.folder,
            env=pawl.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("".join(line.rstrip("\n") + "\n" for line in lines).encode())
        process.stdin.flush()
        told: dict[Any, Any] = {}
        while 3 not in told:
            message = json.loads(process.stdout.readline())
            told[message.get("id")] = message
        rest, _ = process.communicate(timeout=PATIENCE_S)
        assert rest == b"" and process.returncode == 0
        assert "error" in told[2] and told[3]["result"]["structuredContent"] == {"runs": [], "more": False}


@pytest.fixture
def served(pawl: Pawl) -> Iterator[Served]:
    with over_http(pawl) as one:
        yield one


def post(port: int, **headers: str) -> int:
    """The status of a well-formed request with these headers; `_` stands for `-`."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    body = json.dumps(
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": {"name": "x", "version": "1"},
            },
        }
    )
    usual = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    connection.request("POST", "/mcp", body, usual | {name.replace("_", "-"): text for name, text in headers.items()})
    status = connection.getresponse().status
    connection.close()
    return status


class TestHttp:
    def test_hosts_and_origins(self, served: Served) -> None:
        port = served.port
        assert post(port) == 200
        assert post(port, Origin=f"http://localhost:{port}") == 200
        assert post(port, Host=f"evil.example:{port}") == 421  # a name that its owner points at 127.0.0.1
        assert post(port, Host="127.0.0.1") == 421
        assert post(port, Origin="https://evil.example") == 403
        assert post(port, Origin="null") == 403
        assert post(port, Origin=f"http://localhost:{port}.evil.example") == 403
        assert post(port, Content_Type="text/plain") == 400  # what a page may send without asking

    def test_a_body_without_end(self, served: Served) -> None:
        connection = HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE_S)
        connection.putrequest("POST", "/mcp")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(10**12))
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()
        assert post(served.port) == 200

    async def test_a_token(self, pawl: Pawl, tmp_path: Path) -> None:
        token = "t" * 40
        (tmp_path / "token").write_text(token + "\n")
        with over_http(pawl, "--token-file", str(tmp_path / "token")) as served:
            assert post(served.port) == 401
            assert post(served.port, Authorization="Bearer " + "t" * 39) == 401
            assert post(served.port, Authorization="Bearer " + token) == 200
            assert post(served.port, Authorization="Bearer " + token, Origin="https://evil.example") == 403

    async def test_other_machines(self, pawl: Pawl, tmp_path: Path) -> None:
        """Refused unless it is meant and guarded; and then still not for a browser."""
        refused = pawl("mcp", "--http", "0.0.0.0:0")
        assert (refused.code, refused.out) == (2, "")
        assert refused.err == (
            "Error: 0.0.0.0 is reached from other machines, and whoever reaches the server starts agents at your cost\n"
            "Hint: Leave the host out, or add --allow-remote and --token-file FILE.\n"
        )
        assert pawl("mcp", "--http", "0.0.0.0:0", "--allow-remote").code == 2
        (tmp_path / "short").write_text("t\n")
        short = pawl("mcp", "--http", "0.0.0.0:0", "--allow-remote", "--token-file", str(tmp_path / "short"))
        assert (short.code, "holds no token" in short.err) == (2, True)
        (tmp_path / "token").write_text("t" * 40)
        flags = ("--allow-remote", "--token-file", str(tmp_path / "token"))
        with over_http(pawl, *flags, address="0.0.0.0:0") as served:
            shown = {"Authorization": "Bearer " + "t" * 40}
            assert post(served.port) == 401
            assert post(served.port, Host="anything.example", **shown) == 200
            assert post(served.port, Origin="http://anything.example", **shown) == 403

    async def test_a_taken_port_is_said(self, pawl: Pawl, served: Served) -> None:
        again = pawl("mcp", "--http", str(served.port))
        assert (again.code, again.out) == (2, "")
        assert f"cannot listen at 127.0.0.1:{served.port}" in again.err
        async with Client(served.url) as client:
            assert (await call(client, "list_runs"))["runs"] == []
