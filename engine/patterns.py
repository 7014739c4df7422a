"""Regular expressions of strangers: matched in bounded time, and used to make strings that match.

A script's schema may hold any `pattern`, and a model's answer any text; with Python's `re` the two could stop the
host for years (I5). This is the part of ECMA-262 that describes text plainly (classes, groups, alternation, counts,
anchors, `\\b`), run as a set of states: time grows with text × pattern, never faster. Look-around and back-references
cannot be run so; they are refused, with the place. Source: Thompson 1968; R. Cox, "Regular Expression Matching Can Be
Simple And Fast".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import Any, Literal, TypeAlias

MAX_STATES = 20_000
"""A pattern of more is refused: counts like `{1000}{1000}` multiply."""
MAX_STEPS = 2_000_000
"""States looked at in one search, about half a second. Only a hostile pattern on a long text gets there."""

_LAST = 0x10FFFF
_Ranges: TypeAlias = tuple[tuple[int, int], ...]

_DIGIT: _Ranges = ((48, 57),)
_WORD: _Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: _Ranges = (
    (9, 13),
    (32, 32),
    (0xA0, 0xA0),
    (0x1680, 0x1680),
    (0x2000, 0x200A),
    (0x2028, 0x2029),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
    (0xFEFF, 0xFEFF),
)
_NEWLINE: _Ranges = ((10, 10), (13, 13), (0x2028, 0x2029))
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0}


class PatternError(ValueError):
    """The pattern is malformed, or uses what cannot be matched in bounded time. The message ends with the place."""


class PatternTooSlow(Exception):
    """`MAX_STEPS` was reached before the search could tell."""


@dataclass(frozen=True, slots=True)
class _Chars:
    ranges: _Ranges

    def holds(self, code: int) -> bool:
        return any(low <= code <= high for low, high in self.ranges)


@dataclass(frozen=True, slots=True)
class _Sequence:
    parts: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    branches: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    body: _Node
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class _Assertion:
    kind: Literal["^", "$", "b", "B"]


_Node: TypeAlias = _Chars | _Sequence | _Choice | _Repeat | _Assertion


def _inverted(ranges: _Ranges) -> _Ranges:
    out, next_code = [], 0
    for low, high in sorted(ranges):
        if low > next_code:
            out.append((next_code, low - 1))
        next_code = max(next_code, high + 1)
    if next_code <= _LAST:
        out.append((next_code, _LAST))
    return tuple(out)


_CLASSES: dict[str, _Ranges] = {
    "d": _DIGIT,
    "D": _inverted(_DIGIT),
    "w": _WORD,
    "W": _inverted(_WORD),
    "s": _SPACE,
    "S": _inverted(_SPACE),
}


class _Parser:
    """Pattern text → tree, by recursive descent."""

    MAX_DEPTH = 100

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def parse(self) -> _Node:
        node = self.choice()
        if self.at < len(self.text):
            raise self.error("a `)` that closes nothing")
        return node

    def error(self, what: str) -> PatternError:
        return PatternError(f"{what}, at character {self.at + 1} of {self.text!r}")

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self, text: str) -> bool:
        if self.text.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def choice(self) -> _Node:
        branches = [self.sequence()]
        while self.take("|"):
            branches.append(self.sequence())
        return branches[0] if len(branches) == 1 else _Choice(tuple(branches))

    def sequence(self) -> _Node:
        parts: list[_Node] = []
        while (char := self.peek()) and char not in "|)":
            parts.append(self.repeated())
        return parts[0] if len(parts) == 1 else _Sequence(tuple(parts))

    def repeated(self) -> _Node:
        node = self.atom()
        start = self.at
        if self.take("*"):
            counts: tuple[int, int | None] | None = (0, None)
        elif self.take("+"):
            counts = (1, None)
        elif self.take("?"):
            counts = (0, 1)
        else:
            counts = self.counts()
        if counts is None:
            return node
        if isinstance(node, _Assertion):
            self.at = start
            raise self.error("nothing here can be repeated")
        self.take("?")  # lazy or greedy: the same strings match
        if self.peek() in ("*", "+", "?") and self.peek():
            raise self.error("a second quantifier on the same thing")
        return _Repeat(node, *counts)

    def counts(self) -> tuple[int, int | None] | None:
        """`{2}`, `{2,}`, `{2,5}`; any other brace is a character of its own, as in browsers."""
        end = self.text.find("}", self.at)
        if self.peek() != "{" or end < 0:
            return None
        low, comma, high = self.text[self.at + 1 : end].partition(",")
        if not (
            low.isascii()
            and low.isdigit()
            and len(low) < 7
            and (not high or (high.isascii() and high.isdigit() and len(high) < 7))
        ):
            return None
        least = int(low)
        most = int(high) if high else None if comma else least
        if most is not None and most < least:
            raise self.error("a count whose end is below its start")
        self.at = end + 1
        return least, most

    def atom(self) -> _Node:
        char = self.peek()
        if char in "*+?":
            raise self.error("nothing to repeat")
        if char == "(":
            return self.group()
        if char == "[":
            return self.char_class()
        self.at += 1
        if char in ("^", "$"):
            return _Assertion("^" if char == "^" else "$")
        if char == ".":
            return _Chars(_inverted(_NEWLINE))
        if char == "\\":
            if self.peek() in ("b", "B"):
                kind: Literal["b", "B"] = "b" if self.peek() == "b" else "B"
                self.at += 1
                return _Assertion(kind)
            return _Chars(self.escape())
        return _Chars(((ord(char), ord(char)),))

    def group(self) -> _Node:
        for opening in ("(?=", "(?!", "(?<=", "(?<!"):
            if self.text.startswith(opening, self.at):
                raise self.error("look-ahead and look-behind cannot be matched in bounded time")
        self.at += 1
        if self.take("?<"):
            name_end = self.text.find(">", self.at)
            if name_end < 0:
                raise self.error("a group name without `>`")
            self.at = name_end + 1
        elif self.take("?") and not self.take(":"):
            raise self.error("an unknown kind of group")
        self.depth += 1
        if self.depth > self.MAX_DEPTH:
            raise self.error(f"groups more than {self.MAX_DEPTH} deep")
        node = self.choice()
        self.depth -= 1
        if not self.take(")"):
            raise self.error("a `(` that is never closed")
        return node

    def escape(self) -> _Ranges:
        char = self.peek()
        if not char:
            raise self.error("a `\\` at the end")
        self.at += 1
        if char in _CLASSES:
            return _CLASSES[char]
        if char in "xu":
            code = self.hex_code(2 if char == "x" else 4)
        elif char == "c" and self.peek().isalpha():
            code = ord(self.peek()) % 32
            self.at += 1
        elif char in "pP":
            self.at -= 1
            raise self.error("Unicode properties (`\\p`) are not supported; name the characters")
        elif char in "123456789k":
            self.at -= 1
            raise self.error("back-references cannot be matched in bounded time")
        elif char in _CONTROLS:
            code = _CONTROLS[char]
        else:
            code = ord(char)
        return ((code, code),)

    def hex_code(self, digits: int) -> int:
        if digits == 4 and self.take("{"):
            end = self.text.find("}", self.at)
            text, self.at = self.text[self.at : end], end + 1
        else:
            text = self.text[self.at : self.at + digits]
            self.at += digits
            if len(text) < digits:
                raise self.error("an escape that is cut off")
        try:
            code = int(text, 16)
        except ValueError:
            code = -1
        if not 0 <= code <= _LAST:
            raise self.error("an escape that is no character")
        return code

    def char_class(self) -> _Node:
        start = self.at
        self.at += 1
        is_negated = self.take("^")
        ranges: list[tuple[int, int]] = []
        while not self.take("]"):
            low = self.class_member()
            if self.peek() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                high = self.class_member()
                if len(low) > 1 or len(high) > 1 or low[0][0] != low[0][1]:
                    ranges += [*low, (45, 45), *high]
                    continue
                if low[0][0] > high[0][1]:
                    raise self.error("a range whose end is below its start")
                low = ((low[0][0], high[0][1]),)
            ranges += low
            if self.at >= len(self.text):
                self.at = start
                raise self.error("a `[` that is never closed")
        return _Chars(_inverted(tuple(ranges)) if is_negated else tuple(ranges))

    def class_member(self) -> _Ranges:
        char = self.peek()
        if not char:
            raise self.error("a `[` that is never closed")
        self.at += 1
        if char == "\\":
            if self.take("b"):
                return ((8, 8),)
            return self.escape()
        return ((ord(char), ord(char)),)


_AT_START, _AT_END, _AT_EDGE = 1, 2, 4


@dataclass(slots=True)
class _Machine:
    """States and their ways out. A state either eats one character, or stands for others at no cost."""

    eats: list[_Chars | None] = field(default_factory=list)
    ways: list[list[tuple[int, str]]] = field(default_factory=list)  # (state, assertion or "")

    def state(self) -> int:
        if len(self.ways) >= MAX_STATES:
            raise PatternError(f"the pattern stands for more than {MAX_STATES:,} states; use minLength and maxLength")
        self.eats.append(None)
        self.ways.append([])
        return len(self.ways) - 1

    def build(self, node: _Node, before: int) -> int:
        """Adds `node` behind the state `before`; returns the state after it."""
        if isinstance(node, _Sequence):
            for part in node.parts:
                before = self.build(part, before)
            return before
        after = self.state()
        if isinstance(node, _Chars):
            eater = self.state()
            self.eats[eater] = node
            self.ways[before].append((eater, ""))
            self.ways[eater].append((after, ""))
        elif isinstance(node, _Assertion):
            self.ways[before].append((after, node.kind))
        elif isinstance(node, _Choice):
            for branch in node.branches:
                self.ways[self.build(branch, self._fork(before))].append((after, ""))
        else:
            for _ in range(node.least):
                before = self.build(node.body, before)
            if node.most is None:
                loop = self._fork(before)
                self.ways[self.build(node.body, loop)].append((loop, ""))
                before = loop
            else:
                for _ in range(node.most - node.least):
                    self.ways[before].append((after, ""))
                    before = self.build(node.body, before)
            self.ways[before].append((after, ""))
        return after

    def _fork(self, before: int) -> int:
        fork = self.state()
        self.ways[before].append((fork, ""))
        return fork


class Pattern:
    """One pattern, ready to search. Make it with `compile_pattern`."""

    _MOST_REMEMBERED = 2_000

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = _Parser(text).parse()
        self._machine = _Machine()
        self._start = self._machine.state()
        self._accept = self._machine.build(self.tree, self._start)
        self._has_edges = "\\b" in text or "\\B" in text
        self._closed: dict[tuple[frozenset[int], int], tuple[tuple[int, ...], bool]] = {}
        self._moved: dict[tuple[tuple[int, ...], str], frozenset[int]] = {}
        self._steps = 0

    @property
    def size(self) -> int:
        """States: what it costs."""
        return len(self._machine.ways)

    def search(self, text: str) -> bool:
        """Whether the pattern matches anywhere in `text`. Raises `PatternTooSlow`."""
        self._steps = 0
        states = frozenset((self._start,))
        for at in range(len(text) + 1):
            around = (_AT_START if at == 0 else 0) | (_AT_END if at == len(text) else 0)
            if self._has_edges and self._is_word(text, at - 1) != self._is_word(text, at):
                around |= _AT_EDGE
            closed, is_accepted = self._close(states, around)
            if is_accepted:
                return True
            if at < len(text):
                states = self._move(closed, text[at])
        return False

    @staticmethod
    def _is_word(text: str, at: int) -> bool:
        return 0 <= at < len(text) and any(low <= ord(text[at]) <= high for low, high in _WORD)

    def _close(self, states: frozenset[int], around: int) -> tuple[tuple[int, ...], bool]:
        """The eating states that can be reached without eating, and whether the end can."""
        known = self._closed.get((states, around))
        if known is not None:
            return known
        seen, waiting = set(states), list(states)
        while waiting:
            for state, assertion in self._machine.ways[waiting.pop()]:
                if state not in seen and self._holds(assertion, around):
                    seen.add(state)
                    if self._machine.eats[state] is None:
                        waiting.append(state)
        self._count(len(seen))
        result = (tuple(sorted(s for s in seen if self._machine.eats[s] is not None)), self._accept in seen)
        self._remember(self._closed, (states, around), result)
        return result

    def _move(self, closed: tuple[int, ...], char: str) -> frozenset[int]:
        known = self._moved.get((closed, char))
        if known is not None:
            return known
        code = ord(char)
        self._count(len(closed))
        following = {self._start}  # a match may begin at any place
        for state in closed:
            chars = self._machine.eats[state]
            if chars is not None and chars.holds(code):
                following.add(self._machine.ways[state][0][0])
        result = frozenset(following)
        self._remember(self._moved, (closed, char), result)
        return result

    @staticmethod
    def _holds(assertion: str, around: int) -> bool:
        if not assertion:
            return True
        if assertion == "^":
            return bool(around & _AT_START)
        if assertion == "$":
            return bool(around & _AT_END)
        return bool(around & _AT_EDGE) == (assertion == "b")

    def _count(self, states: int) -> None:
        self._steps += states
        if self._steps > MAX_STEPS:
            raise PatternTooSlow(self.text)

    def _remember(self, memory: dict[Any, Any], key: object, value: object) -> None:
        if len(memory) >= self._MOST_REMEMBERED:
            memory.clear()
        memory[key] = value

    def example(self, random: Random, *, longer: int = 0) -> str:
        """A string made from the pattern. It matches, unless anchors or `\\b` stand where text must not be.

        Args:
            longer: how many repetitions to add where the pattern leaves the number open.
        """
        return _example(self.tree, random, longer)

    def plain(self) -> str | None:
        """The pattern written with bracketed classes, groups and counts alone, for makers of grammars.

        What it matches, the pattern matches, in printable ASCII without quotes; not the other way round. Without
        anchors: it is for whole strings. None where that cannot be written.
        """
        try:
            return _plain(self.tree, is_first=True, is_last=True)
        except PatternError:
            return None


_PLAIN_RANGES: _Ranges = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E))
_PLAIN_REPEATS = 12


def _plain(node: _Node, *, is_first: bool, is_last: bool) -> str:
    if isinstance(node, _Chars):
        pairs = [(max(a, low), min(b, high)) for low, high in node.ranges for a, b in _PLAIN_RANGES]
        ranges = [f"{_class_char(low)}-{_class_char(high)}" for low, high in pairs if low <= high]
        if not ranges:
            raise PatternError("no printable character fits")
        return f"[{''.join(ranges)}]"
    if isinstance(node, _Sequence):
        last = len(node.parts) - 1
        return "".join(
            _plain(part, is_first=is_first and at == 0, is_last=is_last and at == last)
            for at, part in enumerate(node.parts)
        )
    if isinstance(node, _Choice):
        branches = [_plain(branch, is_first=is_first, is_last=is_last) for branch in node.branches]
        return f"({'|'.join(branches)})"
    if isinstance(node, _Repeat):
        most = node.least + _PLAIN_REPEATS if node.most is None else node.most
        return f"({_plain(node.body, is_first=False, is_last=False)}){{{node.least},{most}}}"
    if (node.kind == "^" and is_first) or (node.kind == "$" and is_last):
        return ""
    raise PatternError("an anchor inside")


def _class_char(code: int) -> str:
    return chr(code) if chr(code).isalnum() else f"\\x{code:02X}"


def _example(node: _Node, random: Random, longer: int) -> str:
    if isinstance(node, _Chars):
        return _pick(node, random)
    if isinstance(node, _Sequence):
        return "".join(_example(part, random, longer) for part in node.parts)
    if isinstance(node, _Choice):
        return _example(random.choice(node.branches), random, longer)
    if isinstance(node, _Repeat):
        most = node.least + 2 + longer if node.most is None else node.most
        wanted = random.randint(node.least, min(most, node.least + 2)) if not longer else min(most, node.least + longer)
        return "".join(_example(node.body, random, longer) for _ in range(wanted))
    return ""


def _pick(chars: _Chars, random: Random) -> str:
    """A member, printable ASCII where there is one: answers are read by people."""
    readable = [(max(low, 32), min(high, 126)) for low, high in chars.ranges if low <= 126 and high >= 32]
    plain = [(max(low, a), min(high, b)) for low, high in readable for a, b in _WORD if low <= b and high >= a]
    ranges = plain or readable or [r for r in chars.ranges if r[0] < 0xD800 or r[1] > 0xDFFF]
    if not ranges:
        return ""
    low, high = random.choice(ranges)
    return chr(random.randint(low, high))


@lru_cache(maxsize=512)
def compile_pattern(text: str) -> Pattern:
    """Raises `PatternError`."""
    return Pattern(text)
