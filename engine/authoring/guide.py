"""What a model has to know to write a script: made from the contract, the library's types, and the agents there are.

The rules are in `rules.md`, the one place in the package that says them (a test holds its ids to docs/scripts.md). What
the functions and options are comes from the comments of `stdlib_js/pawl.d.ts`: a global that is added there is in the
guide. Short on purpose, some 6,000 tokens at most: it is sent with every request for a script.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from engine.assets import types_file

HERE = Path(__file__).parent

_CHAPTER = re.compile(r"^// -{10,} ?(.*)$", re.MULTILINE)
_LEFT_OUT = ("JSON and schemas", "built-ins")
"""Chapters of the types that a model knows without us."""
_SHAPES_LEFT_OUT = frozenset({"Meta", "Worktree"})
"""Told by the rules, or by the functions that take them."""
_DECLARED = re.compile(
    r"^(?:/\*\*(?P<doc>(?:(?!\*/).)*)\*/\s*)?"
    r"(?:declare (?:function|const) (?P<name>\w+)|interface (?P<shape>\w+))[^\n]*",
    re.DOTALL | re.MULTILINE,
)
_MEMBER = re.compile(
    r"(?:/\*\*(?P<doc>(?:(?!\*/).)*)\*/\s*)?(?:readonly )?"
    r"(?P<name>\w+)(?P<optional>\??): (?P<type>(?:\{[^}]*\}|[^;\n{}])+)(?:;|$)",
    re.DOTALL,
)
_MOST_OF_A_DESCRIPTION = 160
MOST_AGENT_TYPES = 20


def guide(project: Path | None = None) -> str:
    """The guide, as Markdown. With a project: and the kinds of subagent that its scripts may name."""
    example = (HERE / "example.js").read_text(encoding="utf-8")
    parts = [rules().rstrip(), _reference(), _agents(project), f"## A good script\n\n```js\n{example.rstrip()}\n```"]
    return "\n\n".join(part for part in parts if part) + "\n"


def brief() -> str:
    """The least of it: for models with a short context."""
    return (HERE / "brief.md").read_text(encoding="utf-8")


@cache
def rules() -> str:
    return (HERE / "rules.md").read_text(encoding="utf-8")


@cache
def _reference() -> str:
    """Globals and options, from the types' comments."""
    text = types_file().read_text(encoding="utf-8")
    out = ["## Globals"]
    starts = [*_CHAPTER.finditer(text)]
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        if not start[1].startswith(_LEFT_OUT):
            out += _chapter(text[start.end() : end.start() if end else len(text)])
    return "\n".join(out)


def _chapter(text: str) -> Iterator[str]:
    for found in _DECLARED.finditer(text):
        doc = _sentences(found["doc"] or "")
        if found["name"] and doc:  # overloads have none
            yield f"- `{found['name']}{_parameters(text, found)}`: {doc}"
        elif found["name"]:
            continue
        elif found["shape"] not in _SHAPES_LEFT_OUT:
            body = _braced(text[found.end("shape") :])
            yield f"- {found['shape']}: {doc}".removesuffix(" ")
            yield from (f"  - {line}" for line in _members(body))


def _braced(text: str) -> str:
    """What stands between the first brace and the one that closes it."""
    depth, start = 0, text.find("{")
    for brace in re.finditer(r"[{}]", text):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return text[start + 1 : brace.start()]
    return ""


def _members(body: str) -> Iterator[str]:
    for member in _MEMBER.finditer(body):
        doc = _sentences(member["doc"] or "")
        yield f"`{member['name']}{member['optional']}: {' '.join(member['type'].split())}`" + (f" {doc}" if doc else "")


def _parameters(text: str, found: re.Match[str]) -> str:
    """`(prompt, opts?)` of a function, of its last overload; nothing of a constant."""
    declared = re.findall(rf"declare function {found['name']}\b([^\n]*(?:\n  [^\n]*)*)", text)
    if not declared:
        return ""
    names = [
        ("..." if part.lstrip().startswith("...") else "") + re.split(r"[:\s]", part.strip().lstrip("."))[0]
        for part in _arguments(declared[-1])
        if part.strip()
    ]
    return f"({', '.join(names)})"


def _arguments(signature: str) -> list[str]:
    """The texts between the commas of a signature's outermost parentheses."""
    parts, depth, angle = [""], 0, 0
    for place, character in enumerate(signature):
        if depth == 0 and character == "<":
            angle += 1
        elif depth == 0 and character == ">" and signature[place - 1] != "=":
            angle -= 1
        elif angle:
            continue
        elif character in "([{":
            depth += 1
            if depth > 1:
                parts[-1] += character
        elif character in ")]}":
            depth -= 1
            if depth == 0:
                break
            parts[-1] += character
        elif depth == 1 and character == ",":
            parts.append("")
        elif depth:
            parts[-1] += character
    return parts


def _sentences(doc: str) -> str:
    """A comment's words on one line, without its example."""
    words = re.sub(r"^\s*\*+ ?", "", doc.partition("@example")[0], flags=re.MULTILINE)
    return " ".join(words.split())


def _agents(project: Path | None) -> str:
    from engine.agents.definitions import known

    definitions = known(project)
    lines = []
    for name in sorted(definitions):
        found = definitions.get(name)
        if found is not None:
            about = " ".join(found.description.split())[:_MOST_OF_A_DESCRIPTION]
            lines.append(f"- `{name[:60]}`: {about}")
    left = lines[MOST_AGENT_TYPES:]
    more = [f"- and {len(left)} more"] if left else []
    return "\n".join(["## Kinds of subagent (`agentType`)", *lines[:MOST_AGENT_TYPES], *more])
