"""Started by a coding agent as an MCP server: carries bytes between its pipes and our socket, and knows nothing else.

The server itself is in the process that runs the call (`submit_tool.py`), where the schema is. So this needs nothing
but the standard library, starts in some 20 ms, and ends when either side does. It is run by its path, not imported.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from contextlib import suppress

_READ_BYTES = 1 << 16


def _to_agent(connection: socket.socket) -> None:
    while data := connection.recv(_READ_BYTES):
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]


def _from_agent(connection: socket.socket) -> None:
    with suppress(OSError):  # our process is gone, and this one ends with it
        while data := os.read(0, _READ_BYTES):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)


def main(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        threading.Thread(target=_from_agent, args=(connection,), daemon=True).start()
        with suppress(OSError):
            _to_agent(connection)


if __name__ == "__main__":
    main(sys.argv[1])
