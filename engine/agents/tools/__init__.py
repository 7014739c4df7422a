"""The tools of provider agents: what a model may ask for, and the one place where it is admitted, run and cut to size.

A model's mistake is never an exception here: it is told what is wrong and goes on. One file a tool; `Toolbox` owns who
may use which, checks arguments and asks the policy before anything is done.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.agents.environment import for_subagents
from engine.agents.policy import MCP, Gate, Verdict, parse_rule
from engine.agents.tools.arguments import misfit
from engine.agents.tools.edit_file import EditFile
from engine.agents.tools.failed import ToolFailed
from engine.agents.tools.fetch_url import FetchUrl
from engine.agents.tools.grep import Grep
from engine.agents.tools.list_files import ListFiles
from engine.agents.tools.outputs import Outputs
from engine.agents.tools.read_file import ReadFile
from engine.agents.tools.run_command import RunCommand
from engine.agents.tools.tool import Setting, Tool, ToolResult, ToolSpec
from engine.agents.tools.write_file import WriteFile
from engine.masking import Masker
from engine.ports import Clock
from engine.settings import SecretSettings, ToolSettings
from engine.threads import in_thread
from engine.values import Json
from engine.workspace import Workspace

if TYPE_CHECKING:
    from engine.agents.tools.mcp import McpServers
    from engine.agents.tools.mcp_shapes import ServerTool

__all__ = ["ToolResult", "ToolSpec", "Toolbox"]

_TOOLS: tuple[type[Tool], ...] = (ReadFile, ListFiles, Grep, EditFile, WriteFile, RunCommand, FetchUrl)


class Toolbox:
    """The tools of one call.

    Args:
        workspace: absolute folder; no file tool leaves it.
        allowed: canonical names, with patterns or not; None is every tool.
        environ: ours. Commands get it without the variables that `secrets` names and their values.
        mcp: the servers of the run.
        overflow: folder for what is cut from results; made when needed.

    Attributes:
        problems: of MCP servers that cannot be used, by name, in words; known after `open`.
    """

    def __init__(
        self,
        *,
        workspace: str,
        allowed: tuple[str, ...] | None,
        settings: ToolSettings,
        gate: Gate,
        clock: Clock,
        environ: Mapping[str, str],
        secrets: SecretSettings,
        mcp: McpServers | None,
        overflow: Path,
    ) -> None:
        self._allowed = None if allowed is None else tuple(map(parse_rule, allowed))
        self._gate = gate
        self._mcp = mcp
        self._server_tools: dict[str, ServerTool] = {}
        self.problems: dict[str, str] = {}
        self._scratch: str | None = None
        self._remove: Callable[[], object] | None = None
        masker = Masker(secrets, environ)
        self._setting = Setting(
            workspace=Workspace(workspace),
            settings=settings,
            gate=gate,
            clock=clock,
            environ=for_subagents(environ, secrets.environment),
            outputs=Outputs(
                Path(overflow), limit=settings.output_characters, mask=lambda text: masker.mask_text(text)[0]
            ),
            scratch=self._scratch_folder,
        )
        self._tools: dict[str, Tool] = {tool.spec.name: tool() for tool in _TOOLS if self._is_offered(tool.spec.name)}

    async def open(self) -> None:
        """Connects to the MCP servers whose tools may be asked for. One that fails is in `problems`."""
        if self._mcp is None:
            return
        names = [name for name in self._mcp.names() if self._may_offer(name)]
        for found in await asyncio.gather(*map(self._connected, names)):
            for tool in found:
                named = f"{tool.server}.{tool.name}"
                is_listed = self._allowed is None or any(rule.covers(MCP, named) for rule in self._allowed)
                if is_listed and self._gate.policy.rule(MCP, named).verdict is not Verdict.DENY:
                    self._server_tools[tool.spec.name] = tool

    async def _connected(self, server: str) -> list[ServerTool]:
        assert self._mcp is not None
        try:
            return await self._mcp.tools(server)
        except ToolFailed as failure:
            self.problems[server] = str(failure)
            return []

    def _may_offer(self, server: str) -> bool:
        if self._allowed is None:
            return True
        return any(
            rule.tool == MCP and (rule.pattern is None or rule.pattern.split(".")[0] in (server, "*"))
            for rule in self._allowed
        )

    async def close(self) -> None:
        """Removes the temporary folder of this call's commands; the servers are the run's."""
        if self._remove is not None:
            remove, self._remove, self._scratch = self._remove, None, None
            await in_thread(remove)

    def specs(self) -> list[ToolSpec]:
        """What the model may call, as it is shown to it."""
        return [*(tool.spec for tool in self._tools.values()), *(tool.spec for tool in self._server_tools.values())]

    async def run(self, name: str, args: Json) -> ToolResult:
        """Does what a model asks for, or says why not. Raises nothing but cancellation."""
        try:
            return ToolResult(self._setting.outputs.fit(await self._run(name, args)), ok=True)
        except ToolFailed as failure:
            return ToolResult(self._setting.outputs.fit(str(failure)), ok=False)
        except UnicodeEncodeError:
            # Where the locale is ASCII, so are the names of files.
            return ToolResult(f"{name}: names of files are in ASCII on this system. Choose another name.", ok=False)

    async def _run(self, name: str, args: Json) -> str:
        if name in self._server_tools:
            return await self._run_of_server(self._server_tools[name], args)
        tool = self._tools.get(name)
        if tool is None:
            raise ToolFailed(self._unknown(name))
        problem = misfit(args, tool.spec.parameters)
        if problem is not None:
            raise ToolFailed(f"{name}: {problem}. Call it again with that corrected.")
        admitted = tool.argument(args, self._setting)
        self._refuse_unlisted(name, admitted)
        refusal = await self._gate.admit(name, admitted)
        if refusal is not None:
            raise ToolFailed(refusal)
        return await tool.run(args, self._setting, admitted)

    def _scratch_folder(self) -> str:
        if self._scratch is None:
            self._scratch = tempfile.mkdtemp(prefix="pawl-")
            # Also when the call is dropped without a close.
            self._remove = weakref.finalize(self, shutil.rmtree, self._scratch, ignore_errors=True)
        return self._scratch

    async def _run_of_server(self, tool: ServerTool, args: Json) -> str:
        assert self._mcp is not None
        problem = misfit(args, tool.spec.parameters)
        if problem is not None:
            raise ToolFailed(f"{tool.spec.name}: {problem}. Call it again with that corrected.")
        refusal = await self._gate.admit(f"{MCP}.{tool.server}.{tool.name}", "")
        if refusal is not None:
            raise ToolFailed(refusal)
        return await self._mcp.call(tool, args)

    def _unknown(self, name: str) -> str:
        for server, problem in self.problems.items():
            if name.startswith(f"{server}__"):
                return problem
        return f"There is no tool {name!r}. Your tools are: {', '.join(spec.name for spec in self.specs()) or 'none'}."

    def _is_offered(self, tool: str) -> bool:
        return self._allowed is None or any(rule.tool == tool for rule in self._allowed)

    def _refuse_unlisted(self, tool: str, argument: str) -> None:
        if self._allowed is not None and not any(rule.covers(tool, argument) for rule in self._allowed):
            listed = ", ".join(rule.text for rule in self._allowed if rule.tool == tool)
            raise ToolFailed(f"{tool}({argument}) is not among your tools, which have {listed}.")
