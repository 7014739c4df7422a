"""run_command: a shell command in the workspace, without secrets, in limits of time, output and file system."""

from __future__ import annotations

from typing import ClassVar

from engine.agents.confinement import BUBBLEWRAP, NONE, confined, confinement_level
from engine.agents.tools.failed import ToolFailed
from engine.agents.tools.tool import Args, Setting, ToolSpec, parameters
from engine.marks import MARK, end_carriers, new_mark
from engine.processes import Ended, run_shell
from engine.threads import in_thread

LONGEST_S = 3600

_DOORS = frozenset(
    ("SSH_AUTH_SOCK", "SSH_AGENT_PID", "GPG_AGENT_INFO", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "DOCKER_HOST")
)
"""Variables that name who acts outside in our name; a confined command has no business there."""


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
        ended = await self._ended(admitted, timeout_s, setting)
        out = ended.stdout
        if ended.stderr:
            out += ("" if not out or out.endswith("\n") else "\n") + f"[standard error]\n{ended.stderr}"
        if ended.exit_code is None:
            raise ToolFailed(setting.outputs.fit(f"{out.rstrip()}\n[killed: not done within {timeout_s:g} s]".lstrip()))
        if ended.exit_code != 0:
            raise ToolFailed(setting.outputs.fit(f"{out.rstrip()}\n[exit code {ended.exit_code}]".lstrip()))
        return out.rstrip() or "[no output, exit code 0]"

    async def _ended(self, command: str, timeout_s: float, setting: Setting) -> Ended:
        level = confinement_level(setting.settings.confine)
        if level == NONE and setting.settings.confine == "require":
            raise ToolFailed(
                "Commands are not run here: the settings require limits of the file system (tools.confine), "
                "and this system has neither bubblewrap nor Landlock. Do without commands."
            )
        limits = confined(level, workspace=setting.workspace.root, scratch=setting.scratch(), environ=setting.environ)
        mark = new_mark()
        environment = {**setting.environ, "TMPDIR": limits.temporary, MARK: mark}
        if level != NONE:
            environment = {name: value for name, value in environment.items() if name not in _DOORS}
            # Caches of package managers and compilers are in the home folder, where nothing can be written.
            environment |= {"XDG_CACHE_HOME": f"{limits.temporary}/cache"}
            environment |= {"npm_config_cache": f"{limits.temporary}/cache/npm", "GIT_TERMINAL_PROMPT": "0"}
            if "GIT_CONFIG_COUNT" not in environment:  # keys for signatures are out of reach: a commit would fail
                environment |= {
                    "GIT_CONFIG_COUNT": "1",
                    "GIT_CONFIG_KEY_0": "commit.gpgsign",
                    "GIT_CONFIG_VALUE_0": "false",
                }
        try:
            return await run_shell(
                command,
                cwd=setting.workspace.root,
                timeout_s=timeout_s,
                clock=setting.clock,
                environment=environment,
                within=limits.words,
            )
        except (OSError, ValueError) as error:
            said = (error.strerror if isinstance(error, OSError) else None) or "it holds a NUL or half a character"
            raise ToolFailed(f"The command cannot be started: {said}.") from None
        finally:
            limits.settle()
            if level != BUBBLEWRAP:
                await in_thread(end_carriers, mark)
