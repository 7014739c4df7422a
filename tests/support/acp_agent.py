"""A small coding agent that does what a plan says: the other side of `acp:` in unit tests.

Written with the protocol's own package, as real agents are; `tests/contract/test_acp_agents.py` holds us to those. The
plan is a JSON file beside a state file, so that a session outlives the process: `{"turns": [[step, …], …], …}`.

Steps: `{"say": text}`, `{"think": text}`, `{"update": {…}}` as it is, `{"print": text}` (no message),
`{"tool": {…}, "options": [kind, …], "writes": path}` (asks first), `{"read": path}`, `{"write": path, "text": …}`,
`{"submit": value}` (calls the tool of the MCP server), `{"wait": true}` (until cancelled), `{"stop": reason}`,
`{"error": [code, message, data]}`, `{"exit": code, "stderr": text}`, `{"usage": {…}}`, `{"environment": name}`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import acp
from acp.schema import (
    AgentCapabilities,
    InitializeResponse,
    LoadSessionResponse,
    NewSessionResponse,
    PermissionOption,
    PromptResponse,
    SetSessionModeResponse,
    ToolCallUpdate,
    Usage,
)


class Cancelled(Exception):
    """The client said so."""


class PlannedAgent:
    """See the module."""

    def __init__(self, plan: dict[str, Any], state: Path) -> None:
        self.plan = plan
        self.state = state
        self.client: Any = None
        self.servers: list[Any] = []
        self.cancelled = asyncio.Event()
        self.reason = "end_turn"
        self.usage: dict[str, int] | None = plan.get("usage")

    def on_connect(self, conn: Any) -> None:
        self.client = conn

    # ── what a client asks ─────────────────────────────────────────────────────────────────────────────────────────

    async def initialize(self, protocol_version: int, **_: Any) -> InitializeResponse:
        if self.plan.get("hangs") == "initialize":
            sys.stderr.write("waiting for the moon\n")
            sys.stderr.flush()
            await asyncio.Event().wait()
        capabilities = AgentCapabilities.model_validate(self.plan.get("capabilities", {}))
        return InitializeResponse.model_validate(
            {
                "protocolVersion": self.plan.get("protocol", protocol_version),
                "agentCapabilities": capabilities,
                "authMethods": self.plan.get("auth", []),
            }
        )

    async def new_session(self, cwd: str, mcp_servers: Any = None, **_: Any) -> NewSessionResponse:
        if "auth" in self.plan:
            raise acp.RequestError.auth_required()
        self.servers = list(mcp_servers or [])
        self._note({"cwd": cwd})
        return NewSessionResponse.model_validate({"sessionId": "s-1", **self.plan.get("offers", {})})

    async def load_session(self, cwd: str, session_id: str, mcp_servers: Any = None, **_: Any) -> LoadSessionResponse:
        if session_id not in self.plan.get("knows", ["s-1"]):
            raise acp.RequestError.resource_not_found(session_id)
        self.servers = list(mcp_servers or [])
        await self.client.session_update(session_id, acp.update_agent_message_text("told again"))
        return LoadSessionResponse()

    async def set_session_mode(self, session_id: str, mode_id: str, **_: Any) -> SetSessionModeResponse:
        self._note({"mode": mode_id})
        return SetSessionModeResponse()

    async def set_config_option(self, session_id: str, config_id: str, value: Any, **_: Any) -> Any:
        self._note({"option": [config_id, value]})
        from acp.schema import SetSessionConfigOptionResponse

        options = self.plan["offers"]["configOptions"]
        return SetSessionConfigOptionResponse.model_validate({"configOptions": options})

    async def cancel(self, session_id: str, **_: Any) -> None:
        self._note({"cancelled": True})
        self.cancelled.set()

    async def prompt(self, prompt: Any, session_id: str, **_: Any) -> PromptResponse:
        self._note({"prompt": prompt[0].text})
        self.reason = "end_turn"
        for step in self._next_turn():
            try:
                await self._step(session_id, step)
            except Cancelled:
                self.reason = self.plan.get("cancel_reason", "cancelled")
                break
        usage = None if self.usage is None else Usage.model_validate(self.usage)
        return PromptResponse.model_validate({"stopReason": self.reason, "usage": usage})

    # ── what it does ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _step(self, session: str, step: dict[str, Any]) -> None:
        if "say" in step:
            await self._say(session, step["say"], step.get("message"))
        elif "think" in step:
            await self.client.session_update(session, acp.update_agent_thought_text(step["think"]))
        elif "update" in step:
            params = {"sessionId": session, "update": step["update"]}
            await self.client._conn.send_notification("session/update", params)
        elif "print" in step:
            os.write(1, step["print"].encode() + b"\n")
        elif "tool" in step:
            await self._use(session, step)
        elif "read" in step:
            read = await self.client.read_text_file(session_id=session, path=step["read"], line=step.get("line"))
            await self._say(session, read.content)
        elif "write" in step:
            try:
                await self.client.write_text_file(session_id=session, path=step["write"], content=step["text"])
            except acp.RequestError as error:
                await self._say(session, f"not written: {error}")
        elif "submit" in step:
            await self._say(session, await self._submit(step["submit"]))
        elif "wait" in step:
            await self.cancelled.wait()
            raise Cancelled
        elif "stop" in step:
            self.reason = step["stop"]
        elif "error" in step:
            raise acp.RequestError(*step["error"])
        elif "environment" in step:
            await self._say(session, str(os.environ.get(step["environment"])))
        elif "exit" in step:
            sys.stderr.write(step.get("stderr", ""))
            sys.stderr.flush()
            os._exit(step["exit"])

    async def _say(self, session: str, text: str, message: str | None = None) -> None:
        update = acp.update_agent_message_text(text)
        update.message_id = message
        await self.client.session_update(session, update)

    async def _use(self, session: str, step: dict[str, Any]) -> None:
        tool = {"toolCallId": "t-1", "title": "a tool", **step["tool"]}
        start = {**tool, "sessionUpdate": "tool_call", "status": "pending"}
        await self.client._conn.send_notification("session/update", {"sessionId": session, "update": start})
        options = [
            PermissionOption.model_validate({"optionId": f"o-{kind}", "name": kind, "kind": kind})
            for kind in step.get("options", ["allow_always", "allow_once", "reject_once"])
        ]
        answer = await self.client.request_permission(
            options=options, session_id=session, tool_call=ToolCallUpdate.model_validate(tool)
        )
        outcome = getattr(answer.outcome, "option_id", "cancelled")
        self._note({"outcome": outcome})
        is_allowed = outcome.startswith("o-allow")
        if is_allowed and "writes" in step:
            Path(step["writes"]).write_text("written")
        end = {"toolCallId": tool["toolCallId"], "sessionUpdate": "tool_call_update"}
        end |= {"status": "completed" if is_allowed else "failed", "rawOutput": f"outcome {outcome}"}
        await self.client._conn.send_notification("session/update", {"sessionId": session, "update": end})
        if not is_allowed and self.plan.get("stops_when_refused"):
            raise Cancelled

    async def _submit(self, value: Any) -> str:
        """What the tool of the client's MCP server says to `value`."""
        server = self.servers[0]
        process = await asyncio.create_subprocess_exec(
            server.command, *server.args, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdin is not None and process.stdout is not None
        requests = [
            ("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x"}}),
            ("tools/list", {}),
            ("tools/call", {"name": "submit_result", "arguments": value}),
        ]
        answer: dict[str, Any] = {}
        for number, (method, params) in enumerate(requests):
            message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            process.stdin.write(json.dumps(message).encode() + b"\n")
            answer = json.loads(await process.stdout.readline())
            if method == "tools/list":
                self._note({"tools": answer["result"]["tools"]})
        process.stdin.close()
        await process.wait()
        return str(answer["result"]["content"][0]["text"])

    # ── what it remembers ──────────────────────────────────────────────────────────────────────────────────────────

    def _notes(self) -> list[dict[str, Any]]:
        if not self.state.exists():
            return []
        notes: list[dict[str, Any]] = json.loads(self.state.read_text())
        return notes

    def _note(self, what: dict[str, Any]) -> None:
        self.state.write_text(json.dumps([*self._notes(), what]))

    def _next_turn(self) -> list[dict[str, Any]]:
        turn = sum("prompt" in note for note in self._notes()) - 1
        turns: list[list[dict[str, Any]]] = self.plan["turns"]
        return turns[turn] if turn < len(turns) else [{"say": "nothing left to do"}]


if __name__ == "__main__":
    path = Path(sys.argv[1])
    asyncio.run(acp.run_agent(PlannedAgent(json.loads(path.read_text()), path.with_name("notes.json"))))
