"""`$ref` inside one schema: where it points. Nothing is ever fetched."""

from __future__ import annotations

from functools import cached_property
from urllib.parse import quote, unquote

from engine.keywords import escape
from engine.values import Json

_NAMES = (("$anchor", "#"), ("$dynamicAnchor", "#"), ("$id", ""), ("id", ""))


class References:
    """The references of one schema."""

    def __init__(self, root: dict[str, Json]) -> None:
        self._root = root

    def lookup(self, reference: str) -> Json:
        """What `#`, `#/a/b`, `#anchor` or the `$id` of a part names. Raises `LookupError`."""
        pointer = self.pointer(reference)
        return self._root if pointer == "#" else self._walk(pointer[2:])

    def pointer(self, reference: str) -> str:
        """The same reference as a JSON pointer: `#`, `#/a/b`. Raises `LookupError`."""
        return reference if reference == "#" or reference.startswith("#/") else self._named[reference]

    def _walk(self, pointer: str) -> Json:
        found: Json = self._root
        for step in unquote(pointer).split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and name.isascii() and name.isdigit():
                found = found[int(name)]
            elif isinstance(found, dict):
                found = found[name]
            else:
                raise LookupError(pointer)
        return found

    @cached_property
    def _named(self) -> dict[str, str]:
        """Where the parts with a name of their own are, by name as a reference writes it."""
        out: dict[str, str] = {}
        waiting: list[tuple[str, Json]] = [("#", self._root)]
        while waiting:
            pointer, part = waiting.pop()
            if isinstance(part, dict):
                for keyword, prefix in _NAMES:
                    name = part.get(keyword)
                    if isinstance(name, str):
                        out.setdefault(f"{prefix}{name}", pointer)
                steps = ((quote(escape(key)), value) for key, value in part.items())
            elif isinstance(part, list):
                steps = ((str(at), value) for at, value in enumerate(part))
            else:
                continue
            waiting += [(f"{pointer}/{step}", value) for step, value in steps]
        return out
