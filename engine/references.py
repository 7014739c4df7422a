"""`$ref` inside one schema: where it points. Nothing is ever fetched."""

from __future__ import annotations

from functools import cached_property
from urllib.parse import unquote

from engine.values import Json

_NAMES = (("$anchor", "#"), ("$dynamicAnchor", "#"), ("$id", ""), ("id", ""))


class References:
    """The references of one schema."""

    def __init__(self, root: dict[str, Json]) -> None:
        self._root = root

    def lookup(self, reference: str) -> Json:
        """What `#`, `#/a/b`, `#anchor` or the `$id` of a part names. Raises `LookupError`."""
        if reference == "#":
            return self._root
        if reference.startswith("#/"):
            return self._walk(reference[2:])
        return self._named[reference]

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
    def _named(self) -> dict[str, Json]:
        """Parts with a name of their own, as a reference writes it."""
        out: dict[str, Json] = {}
        waiting: list[Json] = [self._root]
        while waiting:
            part = waiting.pop()
            if isinstance(part, dict):
                for keyword, prefix in _NAMES:
                    name = part.get(keyword)
                    if isinstance(name, str):
                        out.setdefault(f"{prefix}{name}", part)
                waiting += part.values()
            elif isinstance(part, list):
                waiting += part
        return out
