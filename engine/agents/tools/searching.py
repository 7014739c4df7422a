"""The process that `grep` matches in. Run as `python -I -S searching.py`; imports nothing of ours.

It reads messages (four bytes of length, then the bytes) and answers each: first the pattern, answered by "" or what is
wrong with it; then, for each file, how many lines are wanted and the file's bytes, answered by `[[number, text]]`.
"""

from __future__ import annotations

import json
import re
import sys
from typing import IO

LINE_CHARACTERS = 500
"""Shown of a line."""
_MATCHED_CHARACTERS = 20_000
"""Looked at of a line."""
_CPU_S = 60
_MEMORY_BYTES = 1 << 30


def send(pipe: IO[bytes], message: bytes) -> None:
    pipe.write(len(message).to_bytes(4, "big"))
    pipe.write(message)
    pipe.flush()


def receive(pipe: IO[bytes]) -> bytes | None:
    """None at the end, also in the middle of a message."""
    size = pipe.read(4)
    if len(size) < 4:
        return None
    message = pipe.read(int.from_bytes(size, "big"))
    return message if len(message) == int.from_bytes(size, "big") else None


def matching(expression: re.Pattern[str], data: bytes, most: int) -> list[tuple[int, str]]:
    found = []
    for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), 1):
        if expression.search(line[:_MATCHED_CHARACTERS]):
            text = line.removesuffix("\r")
            found.append((number, text if len(text) <= LINE_CHARACTERS else f"{text[:LINE_CHARACTERS]} […]"))
            if len(found) >= most:
                break
    return found


def main() -> None:
    import resource

    # If whoever started it dies, a pattern that never ends must not go on.
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    source, answers = sys.stdin.buffer, sys.stdout.buffer
    asked = json.loads(receive(source) or b"{}")
    try:
        expression = re.compile(asked["pattern"], re.IGNORECASE if asked["ignore_case"] else 0)
    except (re.error, OverflowError, RecursionError) as error:
        send(answers, json.dumps(str(error) or type(error).__name__).encode())
        return
    send(answers, b'""')
    while (message := receive(source)) is not None:
        found = matching(expression, message[4:], int.from_bytes(message[:4], "big"))
        send(answers, json.dumps(found).encode())


if __name__ == "__main__":
    main()
