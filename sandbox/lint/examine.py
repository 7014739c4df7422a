"""One text, looked at with all rules: the whole answer of the parser child."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.lint.finding import Problem
from sandbox.lint.ignoring import without_ignored
from sandbox.lint.language import find_broken
from sandbox.lint.meta import meta_answer, read_meta, repeated_keys
from sandbox.lint.rules import ALWAYS, MISTAKES, PORTABLE
from sandbox.lint.syntax import Syntax

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_FINDINGS = 200


def examine(root: Node, text: bytes, *, mistakes: bool, portable: bool) -> dict[str, Any]:
    """Looks at one tree.

    Args:
        mistakes: look for what is allowed and most likely wrong, too.
        portable: warn about what other runtimes of the dialect refuse (S12).

    Returns:
        `{"meta": {"value", "places", "keys"} | null, "broken": [finding], "findings": [finding], "more": n}`. `broken`
        is where this parser stumbled: it only says where, since the engine decides whether a script compiles.
    """

    syntax = Syntax(root, text)
    meta = None
    findings = []
    try:
        literal = read_meta(syntax)
    except Problem as problem:
        findings.append(problem.finding)
    else:
        syntax.literal = literal
        meta = meta_answer(literal)
        findings += repeated_keys(syntax, literal)
    for rule in (*ALWAYS, *(MISTAKES if mistakes else ()), *(PORTABLE if portable else ())):
        findings.extend(rule(syntax))
    findings = without_ignored(syntax, findings)
    findings.sort(key=lambda finding: (finding.severity != "error", finding.start))
    kept = sorted(findings[:MAX_FINDINGS], key=lambda finding: finding.start)
    return {
        "meta": meta,
        "broken": find_broken(syntax),
        "findings": kept,
        "more": len(findings) - len(kept),
    }
