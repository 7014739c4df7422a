"""edit_file: replaces one text in a file by another, exactly.

The old text must be there once, so that what is changed is what was meant. A file with Windows line ends keeps them: a
model sees and writes lines without.
"""

from __future__ import annotations

import difflib
import re
from typing import ClassVar

from engine.agents.tools.failed import ToolFailed
from engine.agents.tools.files import read_bytes, replace, text_of, way
from engine.agents.tools.tool import Args, Setting, ToolSpec, parameters
from engine.threads import in_thread

_NEAR_LINES = 5000
"""Of a file, looked at for what may have been meant."""
_SHOWN = 5


class EditFile:
    """See the module."""

    spec: ClassVar[ToolSpec] = ToolSpec(
        "edit_file",
        "Replaces old_string by new_string in a text file of the workspace. old_string must be in the file exactly "
        "once, white space included and without line numbers: give lines around it to make it so, or replace_all.",
        parameters(
            ("path", "old_string", "new_string"),
            path={"type": "string", "minLength": 1, "description": "Relative to the workspace."},
            old_string={"type": "string", "minLength": 1},
            new_string={"type": "string"},
            replace_all={"type": "boolean", "description": "Replace every occurrence."},
        ),
        is_read_only=False,
    )

    def argument(self, args: Args, setting: Setting) -> str:
        return way(setting.workspace, args["path"])

    async def run(self, args: Args, setting: Setting, admitted: str) -> str:
        return await in_thread(self._edit, args, setting, admitted)

    def _edit(self, args: Args, setting: Setting, admitted: str) -> str:
        old, new = args["old_string"], args["new_string"]
        if old == new:
            raise ToolFailed("old_string and new_string are the same: nothing would change.")
        data = read_bytes(setting.workspace, admitted)
        text = text_of(data, admitted)
        if "\r\n" in text and "\r" not in old:
            old, new = old.replace("\n", "\r\n"), re.sub(r"(?<!\r)\n", "\r\n", new)
        count = text.count(old)
        if count == 0:
            raise ToolFailed(f"old_string is not in {admitted}. {_nearest(text, args['old_string'])}".rstrip())
        if count > 1 and not args.get("replace_all"):
            raise ToolFailed(
                f"old_string is in {admitted} {count} times, at lines {_places(text, old)}. "
                "Give more lines around the one that is meant, or set replace_all."
            )
        try:
            changed = text.replace(old, new).encode()
        except UnicodeEncodeError:
            raise ToolFailed(f"{admitted}: new_string holds half a character (a lone surrogate).") from None
        replace(setting.workspace, admitted, changed, only_if=data)
        return f"Edited {admitted}: {count} place{'s' if count > 1 else ''}, at line {_places(text, old)}."


def _places(text: str, old: str) -> str:
    lines, at = list[str](), text.find(old)
    while at >= 0 and len(lines) <= _SHOWN:
        lines.append(f"{text.count(chr(10), 0, at) + 1:,}")
        at = text.find(old, at + len(old))
    return ", ".join(lines[:_SHOWN]) + (", …" if len(lines) > _SHOWN else "")


def _nearest(text: str, old: str) -> str:
    """What a model may have got wrong."""
    wanted = old.splitlines() or [old]
    if all(re.match(r"\s*\d+\t", line) for line in wanted):
        return "Leave out the line numbers and the tab behind them: they are not in the file."
    lines = text.splitlines()[:_NEAR_LINES]
    bare = [line.strip() for line in wanted if line.strip()]
    stripped = [line.strip() for line in lines]
    for at in range(len(lines)):
        if bare and stripped[at : at + len(bare)] == bare:
            shown = "\n".join(lines[at : at + min(len(bare), _SHOWN)])
            return f"Lines with other white space are at line {at + 1:,}:\n{shown}"
    first = bare[0] if bare else ""
    near = difflib.get_close_matches(first, [line for line in stripped if line], n=1, cutoff=0.6) if first else []
    if not near:
        return "Read the file again."
    at = stripped.index(near[0])
    return f"The nearest is line {at + 1:,}:\n" + "\n".join(lines[at : at + min(len(wanted), _SHOWN)])
