"""What makes two calls the same: canonical JSON, the key of a request, its identity. Pure (I3, I4).

* key: SHA-256 over a version tag, the kind, and canonical JSON of everything in the request that can change the answer.
* identity: key + history (`engine.lanes`) + occurrence, the n-th request of a run with the same two.
* a record's hash, of which histories are made: its identity and its generation, the how-many-th record it is with that
  identity. No clock, path, host, version of ours or order of arrival goes into any of them.
"""

from __future__ import annotations

from hashlib import sha256

import orjson

from engine.jsontext import kept
from engine.values import Json

KEY_TAG = b"pawl key 1\n"
RECORD_TAG = b"pawl record 1\n"

NOT_IN_KEY = frozenset({"timeoutMinutes", "retry", "cache"})
"""Options that change how a call is carried out, not what is asked. Label, phase, `full` never get into a request."""


def canonical(value: Json) -> bytes:
    """JSON text with sorted keys, no spaces, shortest numbers, UTF-8: the same bytes on every machine."""
    return kept(value, orjson.OPT_SORT_KEYS)


def call_key(kind: str, content: dict[str, Json], definition: str | None = None) -> bytes:
    """32 bytes over what was asked. `definition` is the text of the agent definition that `agentType` names."""
    asked = content
    for name in NOT_IN_KEY:
        if name in content:
            asked = {k: v for k, v in content.items() if k not in NOT_IN_KEY}
            break
    text = KEY_TAG + kind.encode() + b"\n" + canonical(asked)
    if definition is not None:
        text += b"\n" + definition.encode()
    return sha256(text).digest()


def call_identity(key: bytes, history: bytes, occurrence: int) -> bytes:
    return sha256(key + history + occurrence.to_bytes(8, "big")).digest()


def record_hash(identity: bytes, generation: int) -> int:
    return int.from_bytes(sha256(RECORD_TAG + identity + generation.to_bytes(4, "big")).digest(), "big")
