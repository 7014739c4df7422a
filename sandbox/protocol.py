"""The operations that a script's side sends, checked.

A chunk from the child is the text of a JSON array of arrays; `Decoder` turns it into the tuples below and believes
nothing: shapes, ranges, order of numbers, unknown ids. What does not fit raises `HostileFrame`, and the run ends. The
decoder holds the little state that this needs (which lanes and calls exist).

Source: `stdlib_js/2*_*.js` writes these; DESIGN, "The host treats every frame as hostile".
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import orjson


class HostileFrame(Exception):
    """A frame that our own library cannot have sent."""


class Call(NamedTuple):
    """The script asked for something. `content` is the request, `line` where in the engine's numbering, 0 unknown."""

    id: int
    lane: int
    kind: str
    content: dict[str, Any]
    label: str | None
    phase: str | None
    line: int
    full: bool


class Open(NamedTuple):
    """A join opened: lanes `first` to `first + n - 1` are its slots, `position` counts the joins of `outer`."""

    first: int
    n: int
    outer: int
    position: int


class Join(NamedTuple):
    """The join whose first slot is `first` was decided."""

    first: int
    n: int


class Woken(NamedTuple):
    """`slot` runs again, woken by what ran in lane `at` (rule W)."""

    slot: int
    at: int


class Ended(NamedTuple):
    slot: int
    at: int


class After(NamedTuple):
    """A dag node's slot starts, having waited for the slots `needs`."""

    slot: int
    needs: tuple[int, ...]


class Settled(NamedTuple):
    """A promise of the library or of `new Promise` settled in lane `at`."""

    promise: int
    at: int


class Used(NamedTuple):
    """A promise that had settled was used in lane `at` (rule U)."""

    promise: int
    at: int


class Withdrawn(NamedTuple):
    calls: tuple[int, ...]


class Delivered(NamedTuple):
    """From here on the operations follow from the delivery of `call`."""

    call: int


class Load(NamedTuple):
    """workflow(): `ref` is {"name"}, {"scriptPath"} or {"inline"} (its text); `args` JSON text or None for undefined;
    `group` the load that made the workflow which asks, 0 for the main script."""

    id: int
    lane: int
    group: int
    ref: dict[str, str]
    args: str | None


class Phase(NamedTuple):
    title: str


class Said(NamedTuple):
    """A line of log(), or a warning of the library (`code` is then its stable name)."""

    level: str
    text: str
    code: str | None
    line: int


class Finished(NamedTuple):
    """The script's promise settled: `value` is JSON text when `is_ok`, else {"name", "message", "code", "stack"}."""

    is_ok: bool
    value: Any


Op: TypeAlias = (
    Call | Open | Join | Woken | Ended | After | Settled | Used | Withdrawn | Delivered | Load | Phase | Said | Finished
)

KINDS = frozenset({"agent", "timer", "check", "ask", "readFile", "writeFile", "glob", "exists", "mergeWorktree"})
MOST_ID = 1 << 53
"""Up to here each whole number of JavaScript has a successor."""
LEVELS = frozenset({"info", "notice", "warning"})


def _no(what: str) -> HostileFrame:
    return HostileFrame(f"the sandbox sent {what}")


def _is_int(value: object) -> bool:
    return type(value) is int


def _text(value: object, what: str) -> str:
    if type(value) is not str:
        raise _no(f"{what} that is not text")
    return value


def _optional_text(value: object, what: str) -> str | None:
    return None if value is None else _text(value, what)


class Decoder:
    """Checks and decodes the chunks of one run, in order.

    Args:
        most_pending: calls that may be open at once; one more is `too_many`.
    """

    def __init__(self, *, most_pending: int, most_lanes: int = 50_000_000) -> None:
        self._last_id = 0
        self._lanes = 1  # lane 0 is the script's
        self._most_lanes = most_lanes
        self._pending: set[int] = set()
        self._loads: set[int] = set()
        self._most_pending = most_pending
        self._is_finished = False
        self.too_many = False

    def decode(self, data: bytes) -> list[Op]:
        """The operations in one chunk. Raises `HostileFrame`."""
        try:
            items = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise _no(f"a chunk that is not JSON: {error}") from None
        if type(items) is not list:
            raise _no("a chunk that is not an array")
        out: list[Op] = []
        for item in items:
            if type(item) is not list or not item or type(item[0]) is not str:
                raise _no("an operation that is not an array with a name")
            read = _READERS.get(item[0])
            if read is None or len(item) != read[0]:
                raise _no(f"an unknown operation {item[0][:20]!r} of {len(item)} parts")
            out.append(read[1](self, item))
        return out

    # What each reader may rely on: item is a list of the right length.

    def _lane(self, value: object) -> int:
        if type(value) is not int or not 0 <= value < self._lanes:
            raise _no("an unknown lane")
        return value

    def _new_id(self, value: object) -> int:
        # Promises of the script take numbers too: there may be any number between two calls.
        if type(value) is not int or not self._last_id < value <= MOST_ID:
            raise _no("a call id out of order")
        self._last_id = value
        return value

    def _line(self, value: object) -> int:
        if type(value) is not int or value < 0:
            raise _no("a line that is no line")
        return value

    def _call(self, item: list[Any]) -> Call:
        _, number, lane, kind, content, label, phase, line, full = item
        if kind not in KINDS or type(content) is not dict or type(full) is not bool:
            raise _no("a call of an unknown kind or shape")
        call = Call(
            self._new_id(number),
            self._lane(lane),
            kind,
            content,
            _optional_text(label, "a label"),
            _optional_text(phase, "a phase"),
            self._line(line),
            full,
        )
        self._pending.add(call.id)
        if len(self._pending) > self._most_pending:
            self.too_many = True
        return call

    def _open(self, item: list[Any]) -> Open:
        _, first, n, outer, position = item
        if not (_is_int(first) and _is_int(n) and _is_int(position)) or first != self._lanes or n < 0 or position < 0:
            raise _no("a join out of order")
        outer = self._lane(outer)
        self._lanes += n
        if self._lanes > self._most_lanes:
            raise _no("too many lanes")
        return Open(first, n, outer, position)

    def _join(self, item: list[Any]) -> Join:
        _, first, n = item
        if not (_is_int(first) and _is_int(n)) or not 1 <= first <= self._lanes or not 0 <= n <= self._lanes - first:
            raise _no("the end of an unknown join")
        return Join(first, n)

    def _woken(self, item: list[Any]) -> Woken:
        return Woken(self._lane(item[1]), self._lane(item[2]))

    def _ended(self, item: list[Any]) -> Ended:
        return Ended(self._lane(item[1]), self._lane(item[2]))

    def _after(self, item: list[Any]) -> After:
        if type(item[2]) is not list:
            raise _no("a start without its dependencies")
        return After(self._lane(item[1]), tuple(self._lane(x) for x in item[2]))

    def _settled(self, item: list[Any]) -> Settled:
        if not _is_int(item[1]):
            raise _no("a promise that is no number")
        return Settled(item[1], self._lane(item[2]))

    def _used(self, item: list[Any]) -> Used:
        if not _is_int(item[1]):
            raise _no("a promise that is no number")
        return Used(item[1], self._lane(item[2]))

    def _withdrawn(self, item: list[Any]) -> Withdrawn:
        calls = item[1]
        if type(calls) is not list:
            raise _no("withdrawn calls that are no list")
        for call in calls:
            if type(call) is not int or call not in self._pending:
                raise _no("an unknown withdrawn call")
            self._pending.discard(call)
        return Withdrawn(tuple(calls))

    def _delivered(self, item: list[Any]) -> Delivered:
        call = item[1]
        if type(call) is not int or call not in self._pending:
            raise _no("the delivery of an unknown call")
        self._pending.discard(call)
        return Delivered(call)

    def _load(self, item: list[Any]) -> Load:
        _, number, lane, group, ref, args = item
        if type(ref) is not dict or len(ref) != 1 or next(iter(ref)) not in ("name", "scriptPath", "inline"):
            raise _no("a workflow reference of an unknown shape")
        _text(next(iter(ref.values())), "a workflow reference")
        if group != 0 and group not in self._loads:
            raise _no("an unknown workflow")
        load = Load(self._new_id(number), self._lane(lane), group, ref, _optional_text(args, "arguments"))
        self._loads.add(load.id)
        return load

    def _phase(self, item: list[Any]) -> Phase:
        return Phase(_text(item[1], "a phase"))

    def _said(self, item: list[Any]) -> Said:
        _, level, text, code, line = item
        if level not in LEVELS:
            raise _no("a log line of an unknown level")
        return Said(level, _text(text, "a log line"), _optional_text(code, "a code"), self._line(line))

    def _finished(self, item: list[Any]) -> Finished:
        _, is_ok, value = item
        if self._is_finished or type(is_ok) is not bool:
            raise _no("a second end")
        if is_ok:
            _text(value, "a result")
        elif type(value) is not dict or any(
            type(value.get(k)) is not str for k in ("name", "message", "code", "stack")
        ):
            raise _no("an error of an unknown shape")
        self._is_finished = True
        return Finished(is_ok, value)


_READERS: dict[str, tuple[int, Any]] = {
    "c": (9, Decoder._call),
    "o": (5, Decoder._open),
    "j": (3, Decoder._join),
    "w": (3, Decoder._woken),
    "e": (3, Decoder._ended),
    "a": (3, Decoder._after),
    "s": (3, Decoder._settled),
    "u": (3, Decoder._used),
    "x": (2, Decoder._withdrawn),
    "d": (2, Decoder._delivered),
    "g": (6, Decoder._load),
    "p": (2, Decoder._phase),
    "l": (5, Decoder._said),
    "f": (3, Decoder._finished),
}
