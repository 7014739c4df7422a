"""Finds secrets in what enters a run and puts `[secret:KIND]` in their place, before anything is recorded (I9).

What is masked is the same for the journal, the script, events and logs: a value is masked once, where it enters. Known
are shapes of keys, values of named environment variables, and the user's own patterns. Secrets that are encrypted,
split or encoded are not seen; docs/backends.md says so.

Every shape is found in time linear in the text (bounded or possessive counts): the text is a stranger's (I5). Few texts
hold a secret, so a shape's expression runs only when one of its plain marks is in the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple, TypeAlias

from engine.errors import UsageError
from engine.settings import SecretSettings
from engine.values import Json

MIN_VALUE_CHARACTERS = 8
"""Shorter values of environment variables are left alone: `true` and `none` stand everywhere."""


class Hit(NamedTuple):
    """A secret that was masked. `place` is a JSON pointer, empty for a text of its own; never the value."""

    kind: str
    place: str


class _Span(NamedTuple):
    start: int
    end: int
    kind: str


_Find: TypeAlias = Callable[[str], Iterator[tuple[int, int]]]


class _Shape(NamedTuple):
    kind: str
    marks: tuple[str, ...]
    find: _Find


def _expression(pattern: str) -> _Find:
    """Matches of a pattern; of its first group where it has one. Compiled when first needed: start-up counts."""
    compiled: list[re.Pattern[str]] = []

    def find(text: str) -> Iterator[tuple[int, int]]:
        if not compiled:
            compiled.append(re.compile(pattern, re.ASCII))
        group = min(compiled[0].groups, 1)
        return (match.span(group) for match in compiled[0].finditer(text))

    return find


_KEY_BLOCK = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BLOCK_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")


def _key_blocks(text: str) -> Iterator[tuple[int, int]]:
    """From BEGIN to END; a block that is cut off goes on to the end of the text."""
    at = 0
    while begin := _KEY_BLOCK.search(text, at):
        end = _KEY_BLOCK_END.search(text, begin.end())
        at = end.end() if end else len(text)
        yield begin.start(), at


_TOKEN_RUN = re.compile(r"[A-Za-z0-9_.-]{24,}+", re.ASCII)


def _json_web_tokens(text: str) -> Iterator[tuple[int, int]]:
    """Three parts joined by dots, the first two beginning like the base64 of `{"`."""
    for run in _TOKEN_RUN.finditer(text):
        start, parts = run.start(), run[0].split(".")
        for at, (head, body, tail) in enumerate(zip(parts, parts[1:], parts[2:], strict=False)):
            if "eyJ" in head and body.startswith("eyJ") and len(head) > 10 and len(body) > 10:
                first = start + sum(len(part) + 1 for part in parts[:at])
                yield first + head.index("eyJ"), first + len(head) + len(body) + len(tail) + 2
                break


_SHAPES = (
    _Shape("private_key", ("PRIVATE KEY",), _key_blocks),
    _Shape("anthropic_key", ("sk-ant-",), _expression(r"sk-ant-[A-Za-z0-9_-]{16,400}+")),
    _Shape(
        "openai_key",
        ("sk-",),
        _expression(r"(?<![A-Za-z0-9])sk-(?=[A-Za-z_-]{0,100}+[0-9])[A-Za-z0-9_-]{20,400}+"),
    ),
    _Shape("github_token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), _expression(r"gh[pousr]_[A-Za-z0-9]{30,255}+")),
    _Shape("github_token", ("github_pat_",), _expression(r"github_pat_[A-Za-z0-9_]{30,255}+")),
    _Shape("gitlab_token", ("glpat-",), _expression(r"glpat-[A-Za-z0-9_-]{20,255}+")),
    _Shape("aws_key_id", ("AKIA", "ASIA"), _expression(r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])")),
    _Shape(
        "aws_secret",
        ("secret_access_key", "SECRET_ACCESS_KEY", "SecretAccessKey", "secretAccessKey"),
        _expression(r"(?i:secret_?access_?key)[\"'\\\s:=]{1,10}([A-Za-z0-9/+=]{40})(?![A-Za-z0-9/+=])"),
    ),
    _Shape("google_key", ("AIza",), _expression(r"AIza[A-Za-z0-9_-]{35}")),
    _Shape("slack_token", ("xox", "xapp-"), _expression(r"(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,400}+")),
    _Shape("slack_webhook", ("hooks.slack.com",), _expression(r"hooks\.slack\.com/services/([A-Za-z0-9/_-]{20,200}+)")),
    _Shape("stripe_key", ("k_live_", "k_test_"), _expression(r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,255}+")),
    _Shape("npm_token", ("npm_",), _expression(r"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])")),
    _Shape("pypi_token", ("pypi-",), _expression(r"pypi-[A-Za-z0-9_-]{50,400}+")),
    _Shape("hugging_face_token", ("hf_",), _expression(r"hf_[A-Za-z0-9]{30,64}+")),
    _Shape("jwt", ("eyJ",), _json_web_tokens),
    _Shape(
        "bearer",
        ("earer ", "EARER "),
        _expression(r"(?i:bearer) {1,10}((?=[A-Za-z._~+/=-]{0,200}+[0-9])[A-Za-z0-9._~+/=-]{16,4000}+)"),
    ),
    _Shape("url_password", ("://",), _expression(r"://[^\s/:@\[\]\"'<>]{1,100}+:([^\s/@\[\]\"'<>]{3,200}+)@")),
)
"""In this order: where two overlap, the first names the kind."""

_Marks: TypeAlias = tuple[tuple[str, _Shape], ...]


def _behind(gate: str, *but: str) -> _Marks:
    pairs = [(mark, shape) for shape in _SHAPES for mark in shape.marks]
    return tuple(pair for pair in pairs if gate in pair[0] and not any(other in pair[0] for other in but))


_GATES: tuple[tuple[str, _Marks], ...] = (("-", _behind("-")), ("_", _behind("_", "-")), ("", _behind("", "-", "_")))
"""Looking for a mark takes 0.1 µs in a short text, and there are thirty: most need a character that prose lacks."""


class Masker:
    """Masks by the settings and the environment as they were when it was made.

    Raises:
        UsageError: `bad_pattern`: a pattern of the user is not a regular expression, or matches nothing at all.
    """

    def __init__(self, settings: SecretSettings, environ: Mapping[str, str]) -> None:
        self._values = _secret_values(settings.environment, environ)
        self._patterns = [_user_pattern(pattern) for pattern in settings.patterns]

    def mask_text(self, text: str) -> tuple[str, list[Hit]]:
        """`text` with its secrets replaced, and what was found, in order. The same object when nothing was."""
        spans = self._spans(text)
        if not spans:
            return text, []
        pieces, hits, at = [], [], 0
        for span in _apart(spans):
            pieces += [text[at : span.start], f"[secret:{span.kind}]"]
            hits.append(Hit(span.kind, ""))
            at = span.end
        return "".join([*pieces, text[at:]]), hits

    def mask_json(self, value: Json) -> tuple[Json, list[Hit]]:
        """`value` with the secrets in its strings and keys replaced. The same object when nothing was found.

        Without recursion: a stranger decides how deep `value` is.
        """
        if isinstance(value, str):
            return self.mask_text(value)
        if not self._is_tainted(value):
            return value, []
        root: list[Json] = [None]
        hits: list[Hit] = []
        waiting: list[tuple[Json, Json, Json, str]] = [(root, 0, value, "")]
        while waiting:
            target, key, part, place = waiting.pop()
            if isinstance(part, str):
                target[key], found = self.mask_text(part)
                hits += [Hit(hit.kind, place) for hit in found]
            elif isinstance(part, dict):
                copy: dict[str, Json] = {}
                target[key] = copy
                for name, member in part.items():
                    masked, found = self.mask_text(name)
                    while masked in copy:  # two secrets of a kind as keys: keep both members
                        masked += "'"
                    inner = f"{place}/{masked.replace('~', '~0').replace('/', '~1')}"
                    hits += [Hit(hit.kind, inner) for hit in found]
                    copy[masked] = None
                    waiting.append((copy, masked, member, inner))
            elif isinstance(part, list):
                target[key] = items = [None] * len(part)
                waiting += [(items, at, item, f"{place}/{at}") for at, item in enumerate(part)]
            else:
                target[key] = part
        return root[0], sorted(hits, key=lambda hit: hit.place)

    def _is_tainted(self, value: Json) -> bool:
        waiting = [value]
        while waiting:
            part = waiting.pop()
            if isinstance(part, str):
                if self._spans(part):
                    return True
            elif isinstance(part, dict):
                waiting += part
                waiting += part.values()
            elif isinstance(part, list):
                waiting += part
        return False

    def _spans(self, text: str) -> list[_Span]:
        spans: list[_Span] = []
        for kind, value in self._values:
            if value in text:
                at = text.find(value)
                while at >= 0:
                    spans.append(_Span(at, at + len(value), kind))
                    at = text.find(value, at + len(value))
        for pattern in self._patterns:
            spans += [_Span(*found.span(), "pattern") for found in pattern.finditer(text) if found[0]]
        tried = None
        for gate, marks in _GATES:
            if gate in text:
                for mark, shape in marks:
                    if mark in text and shape is not tried:
                        tried = shape
                        spans += [_Span(start, end, shape.kind) for start, end in shape.find(text)]
        return spans


def _apart(spans: list[_Span]) -> list[_Span]:
    """Overlapping spans joined, under the name of the one found first; by place."""
    out: list[_Span] = []
    for span in sorted(spans, key=lambda span: span.start):  # stable: the order of finding decides between equals
        if out and span.start < out[-1].end:
            out[-1] = out[-1]._replace(end=max(out[-1].end, span.end))
        else:
            out.append(span)
    return out


def _secret_values(names: tuple[str, ...], environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """(kind, value) of the variables that `names` describe, the longest first; also as they stand inside JSON text."""
    out: dict[str, str] = {}
    for name in sorted(environ):
        value = environ[name].strip()
        if len(value) >= MIN_VALUE_CHARACTERS and any(fnmatchcase(name, pattern) for pattern in names):
            for form in (value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
                out.setdefault(form, name)
    return sorted(((name, value) for value, name in out.items()), key=lambda pair: (-len(pair[1]), pair))


def _user_pattern(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"secrets.patterns: {pattern!r} is not a regular expression: {error}",
            code="bad_pattern",
            hint="Correct it in config.toml; patterns are Python regular expressions.",
        ) from None
    if compiled.fullmatch(""):
        raise UsageError(
            f"secrets.patterns: {pattern!r} matches the empty text, so it would find secrets nowhere or everywhere",
            code="bad_pattern",
            hint="Write it so that it needs at least one character.",
        )
    return compiled
