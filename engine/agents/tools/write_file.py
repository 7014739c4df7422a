"""write_file: a new file, or another content for one."""

from __future__ import annotations

from typing import ClassVar

from engine.agents.tools.failed import ToolFailed
from engine.agents.tools.files import replace, way
from engine.agents.tools.tool import Args, Setting, ToolSpec, parameters
from engine.threads import in_thread


class WriteFile:
    """See the module."""

    spec: ClassVar[ToolSpec] = ToolSpec(
        "write_file",
        "Writes a text file of the workspace, whole: a new one (missing folders are made), or in place of what is "
        "there. To change parts of a file, use edit_file.",
        parameters(
            ("path", "content"),
            path={"type": "string", "minLength": 1, "description": "Relative to the workspace."},
            content={"type": "string"},
        ),
        is_read_only=False,
    )

    def argument(self, args: Args, setting: Setting) -> str:
        return way(setting.workspace, args["path"])

    async def run(self, args: Args, setting: Setting, admitted: str) -> str:
        try:
            data = args["content"].encode()
        except UnicodeEncodeError:
            raise ToolFailed(f"{admitted}: the content holds half a character (a lone surrogate).") from None
        is_new = await in_thread(replace, setting.workspace, admitted, data)
        lines = args["content"].count("\n") + (not args["content"].endswith("\n") and bool(data))
        return f"{'Made' if is_new else 'Replaced'} {admitted}: {lines:,} lines, {len(data):,} bytes."
