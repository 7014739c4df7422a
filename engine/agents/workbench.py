"""What provider agents and coding agents work with: the policy, the tools of a call, the servers behind some of them.

One instance serves one version of a run. Everything in it is made when it is first needed: a run of `sample` or `local`
makes nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engine.agents.confinement import confinement_level
from engine.agents.policy import Gate, Policy
from engine.clock import SystemClock
from engine.executors import Emit
from engine.ports import Clock
from engine.settings import Settings
from engine.values import AgentRequest

if TYPE_CHECKING:
    from engine.agents.tools import Toolbox
    from engine.agents.tools.mcp import McpServers

Permit = Callable[[AgentRequest, str, str, Emit], Awaitable[bool]]
"""Asks the person at the terminal: the call that wants it, the tool, its main argument."""


@dataclass(slots=True)
class Workbench:
    """See the module.

    Attributes:
        outputs: folder that keeps what was cut from the results of tools.
        permit: None when there is nobody to ask.
    """

    settings: Settings
    outputs: Path
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    clock: Clock = field(default_factory=SystemClock)
    permit: Permit | None = None
    _policy: Policy | None = None
    _servers: McpServers | None = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    def gate(self, request: AgentRequest, emit: Emit) -> Gate:
        """The policy for one call. Raises `UsageError` (`bad_rule`)."""
        if self._policy is None:
            level = confinement_level(self.settings.tools.confine)
            self._policy = Policy.from_settings(self.settings.permissions, is_confined=level != "none")
        if self.permit is None:
            return Gate(self._policy, None)
        permit = self.permit

        async def approve(tool: str, argument: str) -> bool:
            return await permit(request, tool, argument, emit)

        return Gate(self._policy, approve)

    async def tools(self, request: AgentRequest, emit: Emit) -> Toolbox:
        """The tools of one call, ready for use."""
        from engine.agents.tools import Toolbox

        if self._servers is None and self.settings.mcp:
            async with self._opening:
                if self._servers is None:
                    from engine.agents.tools.mcp import McpServers

                    self._servers = McpServers(
                        self.settings.mcp, environ=self.environ, secret_names=self.settings.secrets.environment
                    )
        box = Toolbox(
            workspace=request.workspace,
            allowed=request.tools,
            settings=self.settings.tools,
            gate=self.gate(request, emit),
            clock=self.clock,
            environ=self.environ,
            secrets=self.settings.secrets,
            mcp=self._servers,
            overflow=self.outputs / request.run_id / str(request.call),
        )
        await box.open()
        for server, words in box.problems.items():
            emit({"notice": words, "code": f"mcp_{server}"})
        return box

    async def close(self) -> None:
        servers, self._servers = self._servers, None
        if servers is not None:
            await servers.close()
