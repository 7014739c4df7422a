"""The process that parses one script: `python -I -S parser_child.py SOCKET PARSER_SO GRAMMAR_SO CPU_S MEMORY_BYTES`.

It loads tree-sitter, gives up every right, and only then takes the text, because a hostile script may make the parser
burn seconds and gigabytes, or crash it (I5). One request in, one answer out, exit.

Request: u32 little-endian length, one byte (1: look for mistakes too, 2: also for what other runtimes refuse), the
text as UTF-8. Answer: u32 length, the JSON that `sandbox.lint.examine` gives.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType
from typing import Any

WANT_MISTAKES = 1
WANT_PORTABLE = 2


def load_extension(name: str, path: str) -> Any:
    """Loads one shared object by its path, so that nothing else of site-packages is in reach."""
    loader = ExtensionFileLoader(name, path)
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def find_own_modules() -> None:
    """Makes `sandbox.lint` importable without running `sandbox/__init__.py`, which is the host's side."""
    package = ModuleType("sandbox")
    package.__path__ = [os.path.dirname(os.path.abspath(__file__))]
    sys.modules["sandbox"] = package


def limit(*, cpu_s: int, memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def receive(channel: socket.socket, size: int) -> bytearray:
    data = bytearray()
    while len(data) < size:
        part = channel.recv(min(size - len(data), 1 << 20))
        if not part:  # the host is gone
            os._exit(0)
        data += part
    return data


def main(fd: int, parser_path: str, grammar_path: str, cpu_s: int, memory_bytes: int) -> None:
    find_own_modules()
    tree_sitter = load_extension("tree_sitter._binding", parser_path)
    grammar = load_extension("tree_sitter_javascript._binding", grammar_path)
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    from json import dumps

    from sandbox.lint import examine

    channel = socket.socket(fileno=fd)
    limit(cpu_s=cpu_s, memory_bytes=memory_bytes)
    request = receive(channel, int.from_bytes(receive(channel, 4), "little"))
    wants, text = request[0], bytes(request[1:])
    answer = examine(
        parser.parse(text).root_node, text, mistakes=bool(wants & WANT_MISTAKES), portable=bool(wants & WANT_PORTABLE)
    )
    body = dumps(answer, separators=(",", ":")).encode()
    channel.sendall(len(body).to_bytes(4, "little") + body)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    # The tree of a large script takes longer to free than to build, and nobody needs it freed.
    os._exit(0)
