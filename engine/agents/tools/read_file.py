"""read_file: the lines of a text file, numbered, as many as fit."""

from __future__ import annotations

import os
from typing import ClassVar

from engine.agents.tools.failed import ToolFailed
from engine.agents.tools.files import FILE_BYTES, open_file, text_of, way
from engine.agents.tools.outputs import is_output
from engine.agents.tools.tool import Args, Setting, ToolSpec, parameters
from engine.threads import in_thread

LINES = 2000
"""Without `limit`."""
LINE_CHARACTERS = 2000
"""Longer lines are cut: minified code and data say little to a model."""


class ReadFile:
    """See the module."""

    spec: ClassVar[ToolSpec] = ToolSpec(
        "read_file",
        "Reads a text file of the workspace. Lines come as NUMBER, a tab, the text. Give offset and limit for parts "
        "of a long file. `output:N` is the whole of a result that was cut.",
        parameters(
            ("path",),
            path={"type": "string", "minLength": 1, "description": "Relative to the workspace, or output:N."},
            offset={"type": "integer", "minimum": 1, "description": "The first line to read; 1 when left out."},
            limit={"type": "integer", "minimum": 1, "description": f"How many lines; {LINES} when left out."},
        ),
        is_read_only=True,
    )

    def argument(self, args: Args, setting: Setting) -> str:
        return args["path"] if is_output(args["path"]) else way(setting.workspace, args["path"])

    async def run(self, args: Args, setting: Setting, admitted: str) -> str:
        return await in_thread(self._read, args, setting, admitted)

    def _read(self, args: Args, setting: Setting, admitted: str) -> str:
        offset, limit = args.get("offset", 1), args.get("limit", LINES)
        budget = setting.settings.output_characters
        if is_output(admitted):
            return _window(setting.outputs.read(admitted).split("\n"), offset, limit, budget, admitted)
        with os.fdopen(open_file(setting.workspace, admitted), "rb") as file:
            data = file.read(FILE_BYTES)
            if len(data) == FILE_BYTES and file.read(1):
                raise ToolFailed(f"{admitted} has more than {FILE_BYTES >> 20} MiB. Look at it with grep or a command.")
        text = text_of(data, admitted)
        if not text:
            return f"[{admitted} is empty]"
        lines = text.split("\n")
        if lines[-1] == "":
            lines.pop()
        return _window(lines, offset, limit, budget, admitted)


def _window(lines: list[str], offset: int, limit: int, budget: int, path: str) -> str:
    if offset > len(lines):
        raise ToolFailed(f"{path} has {len(lines):,} lines; line {offset:,} is past its end.")
    shown, used = list[str](), 0
    last = min(len(lines), offset - 1 + limit)
    for number in range(offset, last + 1):
        text = lines[number - 1].removesuffix("\r")
        if len(text) > LINE_CHARACTERS:
            text = f"{text[:LINE_CHARACTERS]} [… {len(text) - LINE_CHARACTERS:,} characters cut …]"
        line = f"{number}\t{text}"
        used += len(line) + 1
        if used > budget - 200 and shown:
            last = number - 1
            break
        shown.append(line)
    if last < len(lines):
        shown.append(f"[lines {offset:,} to {last:,} of {len(lines):,}; go on with offset {last + 1}]")
    return "\n".join(shown)
