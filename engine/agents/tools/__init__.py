"""The tools of provider agents: what a model may ask for, and the one place where it is admitted, run and cut to size.

A model's mistake is never an exception here: it is told what is wrong and goes on. One file a tool; `Toolbox` owns who
may use which, checks arguments and asks the policy before anything is done.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.agents.environment import for_subagents
from engine.agents.policy import Gate, parse_rule
from engine.agents.tools.arguments import misfit
from engine.agents.tools.files import in_thread
from engine.agents.tools.outputs import Outputs
from engine.agents.tools.read_file import ReadFile
from engine.agents.tools.run_command import RunCommand
from engine.agents.tools.tool import Setting, Tool, ToolFailed, ToolResult, ToolSpec
from engine.masking import Masker
from engine.ports import Clock
from engine.settings import SecretSettings, ToolSettings
from engine.values import Json
from engine.workspace import Workspace

if TYPE_CHECKING:
    from engine.agents.tools.mcp import McpServers

__all__ = ["ToolResult", "ToolSpec", "Toolbox"]

_TOOLS: tuple[type[Tool], ...] = (ReadFile, RunCommand)


class Toolbox:
    """The tools of one call.

    Args:
        workspace: absolute folder; no file tool leaves it.
        allowed: canonical names, with patterns or not; None is every tool.
        environ: ours. Commands get it without `secret_names` (patterns) and their values.
        mcp: the servers of the run.
        overflow: folder for what is cut from results; made when needed.
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
        secret_names: tuple[str, ...],
        mcp: McpServers | None,
        overflow: Path,
    ) -> None:
        self._allowed = None if allowed is None else tuple(map(parse_rule, allowed))
        self._gate = gate
        self._mcp = mcp
        self._scratch: str | None = None
        self._remove: Callable[[], object] | None = None
        masker = Masker(SecretSettings(environment=secret_names), environ)
        self._setting = Setting(
            workspace=Workspace(workspace),
            settings=settings,
            gate=gate,
            clock=clock,
            environ=for_subagents(environ, secret_names),
            outputs=Outputs(
                Path(overflow), limit=settings.output_characters, mask=lambda text: masker.mask_text(text)[0]
            ),
            scratch=self._scratch_folder,
        )
        self._tools: dict[str, Tool] = {tool.spec.name: tool() for tool in _TOOLS if self._is_offered(tool.spec.name)}

    async def open(self) -> None:
        """Connects to MCP servers. One that fails is told of when its tools are asked for."""

    async def close(self) -> None:
        """Removes the temporary folder of this call's commands; the servers are the run's."""
        if self._remove is not None:
            remove, self._remove, self._scratch = self._remove, None, None
            await in_thread(remove)

    def specs(self) -> list[ToolSpec]:
        """What the model may call, as it is shown to it."""
        return [tool.spec for tool in self._tools.values()]

    async def run(self, name: str, args: Json) -> ToolResult:
        """Does what a model asks for, or says why not. Raises nothing but cancellation."""
        try:
            return ToolResult(self._setting.outputs.fit(await self._run(name, args)), ok=True)
        except ToolFailed as failure:
            return ToolResult(self._setting.outputs.fit(str(failure)), ok=False)

    async def _run(self, name: str, args: Json) -> str:
        tool = self._tools.get(name)
        if tool is None:
            raise ToolFailed(f"There is no tool {name!r}. Your tools are: {', '.join(self._tools) or 'none'}.")
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

    def _is_offered(self, tool: str) -> bool:
        return self._allowed is None or any(rule.tool == tool for rule in self._allowed)

    def _refuse_unlisted(self, tool: str, argument: str) -> None:
        if self._allowed is not None and not any(rule.covers(tool, argument) for rule in self._allowed):
            listed = ", ".join(rule.text for rule in self._allowed if rule.tool == tool)
            raise ToolFailed(f"{tool}({argument}) is not among your tools, which have {listed}.")
