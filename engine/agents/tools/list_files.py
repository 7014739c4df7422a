"""list_files: what is in a folder, or the files that match a pattern."""

from __future__ import annotations

import os
import re
from typing import ClassVar

from engine.agents.tools.failed import ToolFailed
from engine.agents.tools.files import SKIPPED, entries, told, way
from engine.agents.tools.tool import Args, Setting, ToolSpec, parameters
from engine.effects.globbing import find
from engine.threads import in_thread

MOST = 2000
"""Names in one answer."""


class ListFiles:
    """See the module."""

    spec: ClassVar[ToolSpec] = ToolSpec(
        "list_files",
        "Lists what is in a folder of the workspace (folders end in /), or with a pattern the files that match it, "
        "relative to the workspace, sorted. In a pattern ** stands for any depth of folders: **/*.py. Folders of "
        "packages and caches (node_modules, .venv, …) are left out unless they are named.",
        parameters(
            (),
            path={"type": "string", "description": "The folder; the workspace itself when left out."},
            pattern={"type": "string", "minLength": 1, "description": "Relative to path: *.md, src/**/*.{ts,tsx}."},
        ),
        is_read_only=True,
    )

    def argument(self, args: Args, setting: Setting) -> str:
        return way(setting.workspace, args.get("path") or ".")

    async def run(self, args: Args, setting: Setting, admitted: str) -> str:
        return await in_thread(self._list, args, setting, admitted)

    def _list(self, args: Args, setting: Setting, admitted: str) -> str:
        pattern = args.get("pattern")
        found = entries(setting.workspace, admitted)  # also says when it is no folder
        if pattern is None:
            names = [name + "/" * is_folder for name, is_folder in found]
        else:
            names = _matching(setting, admitted, pattern)
        if not names:
            return f"[no files match {pattern!r} in {admitted}]" if pattern else f"[{admitted} is empty]"
        more = f", the first {MOST:,} are shown; use a narrower pattern" if len(names) > MOST else ""
        what = "files" if pattern else "entries"
        return "\n".join([*names[:MOST], f"[{len(names):,} {what}{more}]"])


def _matching(setting: Setting, folder: str, pattern: str) -> list[str]:
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise ToolFailed(f"pattern {pattern!r}: expected one relative to path, without `..`. Set path instead.")
    # The folder's name is no pattern. A brace cannot be quoted: any character there, and only what is inside counts.
    prefix = "" if folder == "." else folder + "/"
    quoted = re.sub(r"[*?\[]", r"[\g<0>]", prefix).replace("{", "?")
    with told(folder):
        found = find(setting.workspace, quoted + pattern)
    skipped = SKIPPED - set(pattern.split("/")) - set(folder.split("/"))
    return [
        path
        for path in found
        if path.startswith(prefix) and skipped.isdisjoint(os.path.dirname(path.rstrip("/")).split("/"))
    ]
