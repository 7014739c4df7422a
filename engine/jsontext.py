"""JSON text that is kept for a while. Pure."""

from __future__ import annotations

import json

import orjson

from engine.values import Json


def kept(value: Json, option: int = 0) -> bytes:
    """JSON text (UTF-8) in as many bytes as it has.

    What orjson 3.13 returns holds on to 4 KB, however short it is: 10,000 waiting requests were 40 MB. A copy does not.
    """
    return bytes(memoryview(orjson.dumps(value, option=option)))


def widened(value: Json) -> bytes:
    """JSON text (UTF-8) of what orjson refuses, in a form that it reads: half of a surrogate pair, which is no text,
    becomes U+FFFD; integers may have any size. Models and programs write both."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def written(value: Json) -> bytes:
    """`kept`, else `widened`: text that can be read again, of whatever a model or program wrote."""
    try:
        return kept(value)
    except TypeError:
        return widened(value)
