"""The process that parses one script.

Started as `python -I -S parser_child.py PARSER_SO GRAMMAR_SO CHANNEL CPU_S MEMORY_BYTES PARENT_PID`. It loads
tree-sitter, gives up every right, and only then takes the text, because a hostile script may make the parser burn
seconds and gigabytes, or crash it (I5). One request in, one answer out, exit.

Request: u32 little-endian length, one byte (1: look for mistakes too, 2: also for what other runtimes refuse), the
text as UTF-8. Answer: u32 length, the JSON that `sandbox.lint.examine.examine` gives.
"""

from __future__ import annotations

import os
import resource
import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType
from typing import Any

WANT_MISTAKES = 1
WANT_PORTABLE = 2
CHANNEL = 3
"""The child's only file descriptor."""
STACK_BYTES = 8 << 20
OUT_OF_MEMORY = 3
"""Exit code."""


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


def receive(size: int) -> bytearray:
    data = bytearray()
    while len(data) < size:
        part = os.read(CHANNEL, min(size - len(data), 1 << 20))
        if not part:  # the host is gone
            os._exit(0)
        data += part
    return data


def send(body: bytes) -> None:
    data = memoryview(len(body).to_bytes(4, "little") + body)
    while data:
        data = data[os.write(CHANNEL, data) :]


def main(parser_path: str, grammar_path: str, channel: int, cpu_s: int, *, memory_bytes: int, parent_pid: int) -> None:
    find_own_modules()
    from sandbox import jail

    if channel != CHANNEL:
        os.dup2(channel, CHANNEL)
    jail.leave_nothing_open(CHANNEL)
    if parent_pid:
        jail.die_with_parent(parent_pid)
    tree_sitter = load_extension("tree_sitter._binding", parser_path)
    grammar = load_extension("tree_sitter_javascript._binding", grammar_path)
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    from json import dumps

    from sandbox.lint.examine import examine

    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    jail.lock_down(memory_bytes=memory_bytes, stack_bytes=STACK_BYTES, channel=CHANNEL)
    request = receive(int.from_bytes(receive(4), "little"))
    wants, text = request[0], bytes(request[1:])
    answer = examine(
        parser.parse(text).root_node, text, mistakes=bool(wants & WANT_MISTAKES), portable=bool(wants & WANT_PORTABLE)
    )
    send(dumps(answer, separators=(",", ":")).encode())


if __name__ == "__main__":
    try:
        parser_so, grammar_so, *numbers = sys.argv[1:]
        fd, cpu, memory, parent = map(int, numbers)
        main(parser_so, grammar_so, fd, cpu, memory_bytes=memory, parent_pid=parent)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    # The tree of a large script takes longer to free than to build, and nobody needs it freed.
    os._exit(0)
