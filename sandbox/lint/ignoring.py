"""`// pawl-ignore: silent_cap — the rest comes next week`: warnings that the author of a script has thought about.

The comment is about its own line, or, alone on a line, about the next one. It names the codes; an error is never
ignored.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING

from sandbox.lint.finding import Finding

if TYPE_CHECKING:
    from sandbox.lint.syntax import Syntax

_COMMENT = re.compile(r"^(?://|/\*)\s*pawl-ignore:\s*([a-z_]+(?:\s*,\s*[a-z_]+)*)(?![a-z_])")
_LINE_END = re.compile(rb"\n")


def without_ignored(syntax: Syntax, findings: list[Finding]) -> list[Finding]:
    comments = [
        node for node in syntax.all("comment") if b"pawl-ignore:" in syntax.text[node.start_byte : node.end_byte]
    ]
    if not comments:
        return findings
    ends = [found.start() for found in _LINE_END.finditer(syntax.text)]
    ignored: set[tuple[int, str]] = set()
    for node in comments:
        told = _COMMENT.match(syntax.text_of(node))
        if told is None:
            continue
        line = bisect_right(ends, node.start_byte - 1)
        begin = ends[line - 1] + 1 if line else 0
        if not syntax.text[begin : node.start_byte].strip():
            line = bisect_right(ends, node.end_byte - 1) + 1
        ignored.update((line, code.strip()) for code in told[1].split(","))
    return [
        found
        for found in findings
        if found.severity == "error" or (bisect_right(ends, found.start - 1), found.code) not in ignored
    ]
