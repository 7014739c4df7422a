"""run_command: a shell command in the workspace, without secrets, in limits of time, output and file system."""

from __future__ import annotations

from typing import ClassVar

from engine.agents.tools.tool import Args, Setting, ToolFailed, ToolSpec, parameters
from engine.processes import run_shell

LONGEST_S = 3600


class RunCommand:
    """See the module."""

    spec: ClassVar[ToolSpec] = ToolSpec(
        "run_command",
        "Runs a command with /bin/sh in the workspace and gives its exit code and output. Standard input is empty; "
        "everything that the command started ends with it. Files outside of the workspace may be read-only or hidden.",
        parameters(
            ("command",),
            command={"type": "string", "minLength": 1},
            timeout_s={"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_S, "description": "Seconds."},
        ),
        is_read_only=False,
    )

    def argument(self, args: Args, setting: Setting) -> str:
        return str(args["command"])

    async def run(self, args: Args, setting: Setting, admitted: str) -> str:
        timeout_s = float(args.get("timeout_s") or setting.settings.command_timeout_s)
        try:
            ended = await run_shell(
                admitted,
                cwd=setting.workspace.root,
                timeout_s=timeout_s,
                clock=setting.clock,
                environment=setting.environ,
            )
        except (OSError, ValueError) as error:
            said = (error.strerror if isinstance(error, OSError) else None) or "it holds a NUL or half a character"
            raise ToolFailed(f"The command cannot be started: {said}.") from None
        out = ended.stdout
        if ended.stderr:
            out += ("" if not out or out.endswith("\n") else "\n") + f"[standard error]\n{ended.stderr}"
        if ended.exit_code is None:
            raise ToolFailed(setting.outputs.fit(f"{out.rstrip()}\n[killed: not done within {timeout_s:g} s]".lstrip()))
        if ended.exit_code != 0:
            raise ToolFailed(setting.outputs.fit(f"{out.rstrip()}\n[exit code {ended.exit_code}]".lstrip()))
        return out.rstrip() or "[no output, exit code 0]"
