"""How the patterns of permission rules match paths, addresses and commands. Pure.

`*` stands for any text and `?` for one character; in a path `*` stops at `/` and `**` does not. Matching takes time
linear in text times pattern: the text is a model's.

Commands are read as a shell reads them only as far as it takes to be sure: what a strict match does not understand
(substitutions, redirections, odd quotes) it does not match, and a loose match looks into everything that could be run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from urllib.parse import urlsplit

_HARMLESS = re.compile(r"(?<![<>&\w])(?:[12]?>{1,2}\s*/dev/null|2>&1|&>\s*/dev/null)(?=[\s;|&)]|$)")
"""Redirections that write nowhere."""
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=", re.ASCII)
# fmt: off
_WRAPPERS = frozenset((
    "env", "sudo", "doas", "nohup", "time", "nice", "ionice", "exec", "command", "builtin", "xargs", "stdbuf", "setsid",
    "timeout", "busybox", "if", "then", "else", "elif", "do", "while", "until", "!", "eval",
))
# fmt: on
_SHELLS = frozenset(("sh", "bash", "dash", "zsh", "ksh", "ash"))
_DEEPEST = 5
_MOST_PARTS = 1000


def matches_name(pattern: str, name: str) -> bool:
    """`SERVER.TOOL`, whole."""
    return _glob(pattern, name)


def matches_path(pattern: str, path: str, *, is_strict: bool) -> bool:
    """A path from the workspace's root. A pattern without `/` is about a name in any folder; one that ends in `/`,
    about everything below. Loose: also when only capitals differ, for file systems that do not tell them apart."""
    if not is_strict:
        pattern, path = pattern.casefold(), path.casefold()
    if pattern.endswith("/"):
        pattern += "**"
    pattern, is_anchored = pattern.removeprefix("./"), "/" in pattern
    pattern = pattern.removeprefix("/")
    path = path or "."
    if is_anchored:
        # `src/**` is about src itself, too: else a listing of it would be another thing than one of all it holds.
        return _path_glob(pattern, path) or (pattern.endswith("/**") and _path_glob(pattern[:-3], path))
    return any(_path_glob(pattern, name) for name in path.split("/"))


def matches_url(pattern: str, url: str) -> bool:
    """`domain:HOST` is the host and those below it. Else scheme, host and the rest are matched each by its own part
    of the pattern, so that `https://example.com*` is not `https://example.com.evil.org`."""
    try:
        found = urlsplit(url)
        host = (found.hostname or "").lower()
        port = found.port
    except ValueError:
        return False
    if pattern.startswith("domain:"):
        domain = pattern.removeprefix("domain:").strip().lower()
        return _glob(domain, host) or host.endswith(f".{domain}")
    scheme, mark, rest = pattern.partition("://")
    if not mark:
        return False
    authority, slash, path = rest.partition("/")
    if not slash and authority.endswith("*") and not authority.endswith(".*") and authority != "*":
        authority, path = authority[:-1].rstrip(":"), "*"
    elif not slash:
        path = "" if authority != "*" else "*"
    wanted = found.scheme, host if port is None else f"{host}:{port}"
    after = found.path.removeprefix("/") + (f"?{found.query}" if found.query else "")
    return (
        _glob(scheme.lower(), wanted[0])
        and (_glob(authority.lower(), wanted[1]) or (":" not in authority and _is_default(found.scheme, port)
             and _glob(authority.lower(), host)))
        and _glob(path, after)
    )  # fmt: skip


def _is_default(scheme: str, port: int | None) -> bool:
    return port is None or (scheme, port) in (("http", 80), ("https", 443))


def matches_command(pattern: str, command: str, *, is_strict: bool) -> bool:
    """Strict: every command in the line matches, and nothing else is in it. Loose: any of them may."""
    if is_strict:
        parts = plain_parts(command)
        return bool(parts) and all(_matches_part(pattern, part) for part in parts or ())
    count = 0
    for part in (command.strip(), *islice(possible_parts(command), _MOST_PARTS)):
        count += 1
        if _matches_part(pattern, part):
            return True
    return count > _MOST_PARTS  # too much to be sure


def _matches_part(pattern: str, part: str) -> bool:
    if pattern.endswith(":*"):  # as in `Bash(git:*)`: the words before, and any after
        prefix = pattern[:-2]
        return part == prefix or part.startswith(f"{prefix} ")
    return _glob(pattern, part)


def plain_parts(command: str) -> list[str] | None:
    """The commands of a line, or None where something may be run or written that cannot be seen here."""
    parts, current, at = [], list[str](), 0
    quote = ""
    text = _HARMLESS.sub(" ", command) if "'" not in command and '"' not in command else command
    while at < len(text):
        character = text[at]
        following = text[at + 1 : at + 2]
        if quote == "'":
            quote = "" if character == "'" else quote
        elif character == "`" or (character == "$" and following in ("(", "'", '"')):
            return None
        elif character == "\\":
            if following in ("", "\n"):
                return None
            current.append(character)
            at += 1
            character = following
        elif quote == '"':
            quote = "" if character == '"' else quote
        elif character in "'\"":
            quote = character
        elif character in "<>(){}" or character == "\r" or (character == "#" and text[at - 1 : at].isspace()):
            return None
        elif character in ";&|\n":
            parts.append("".join(current).strip())
            current = []
            at += 1
            continue
        current.append(character)
        at += 1
    parts.append("".join(current).strip())
    return None if quote else [part for part in parts if part]


def possible_parts(command: str, depth: int = 0) -> Iterator[str]:
    """Everything in a line that may be a command: between separators and inside quotes, without what stands before
    the program, with and without the program's folder."""
    for piece in re.split(r"&&|\|\||[;&|\n`(){}]|\$\(|[<>]\(", command):
        yield from _forms(piece.strip(), depth)
    if depth == 0:
        # Separators inside quotes are none: once more as a shell would split it.
        for part in plain_parts(command) or ():
            yield from _forms(part, depth)


def _forms(part: str, depth: int) -> Iterator[str]:
    if not part:
        return
    yield part
    try:
        words = shlex.split(part, comments=False)
    except ValueError:
        words = part.replace('"', " ").replace("'", " ").split()
    yield " ".join(words)
    while words:
        program = words[0].rsplit("/", 1)[-1]
        if program != words[0]:
            yield " ".join([program, *words[1:]])
        if program in _SHELLS and depth < _DEEPEST:
            for word in words[1:]:
                if not word.startswith("-"):
                    yield from possible_parts(word, depth + 1)
        if program == "eval" and depth < _DEEPEST:
            yield from possible_parts(" ".join(words[1:]), depth + 1)
        if program in _WRAPPERS or _ASSIGNMENT.match(words[0]):
            words = words[1:]
            # Options of the wrapper and their values: `timeout -k 5 10 rm`, `nice -n 5 rm`, `env -i X=1 rm`.
            while words and (words[0].startswith("-") or re.fullmatch(r"\d+(?:\.\d+)?[smhd]?", words[0])):
                words = words[1:]
            yield " ".join(words)
        else:
            return


def _glob(pattern: str, text: str) -> bool:
    return _expression(pattern, False).fits(text)


def _path_glob(pattern: str, path: str) -> bool:
    return _expression(pattern, True).fits(path)


class _Expression:
    """A glob as a row of tokens, run as a set of states."""

    def __init__(self, pattern: str, is_path: bool) -> None:
        self.tokens = _tokens(pattern, is_path)

    def fits(self, text: str) -> bool:
        states = self._with_stars({0})
        for character in text:
            following = set()
            for state in states:
                if state < len(self.tokens):
                    token = self.tokens[state]
                    if token == "**" or (token == "*" and character != "/"):
                        following.add(state)
                    elif (token == "?" and character != "/") or token in (f"={character}", "any"):
                        following.add(state + 1)
            states = self._with_stars(following)
            if not states:
                return False
        return len(self.tokens) in states

    def _with_stars(self, states: set[int]) -> set[int]:
        out, waiting = set[int](), list(states)
        while waiting:
            state = waiting.pop()
            if state not in out:
                out.add(state)
                token = self.tokens[state] if state < len(self.tokens) else ""
                waiting += [state + 1] * (token in ("*", "**", "folders")) + [state + 3] * (token == "folders")
        return out


def _tokens(pattern: str, is_path: bool) -> list[str]:
    """`*`, `**`, `?`, `any` (one character, `/` too), `=c` for itself, `folders`: the next two or nothing."""
    tokens: list[str] = []
    for found in re.finditer(r"\*+|.", pattern, re.DOTALL):
        part = found[0]
        if part.startswith("*"):
            is_folders = is_path and len(part) > 1 and pattern[found.end() : found.end() + 1] == "/"
            if is_folders and (found.start() == 0 or pattern[found.start() - 1] == "/"):
                tokens.append("folders")
            tokens.append("*" if is_path and len(part) == 1 else "**")
        elif part == "?":
            tokens.append("?" if is_path else "any")
        else:
            tokens.append(f"={part}")
    return tokens


@lru_cache(maxsize=512)
def _expression(pattern: str, is_path: bool) -> _Expression:
    return _Expression(pattern, is_path)
