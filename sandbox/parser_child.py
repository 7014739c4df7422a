"""The process that parses one script. Started by `sandbox.parsing` through `Worker`, like the script's own child.

It loads tree-sitter, gives up every right, and only then takes the text, because a hostile script may make the parser
burn seconds and gigabytes, or crash it (I5). One text in, one answer out, exit.

    host to parser child                                      parser child to host
    P  parse     u8 wants, text                               O  booted    the jail's level
                                                              F  found     JSON that `lint.examine.examine` gives
                                                              E  dies of   kind, a NUL, detail

`sys.argv`: the module, the shared objects of tree-sitter and of its grammar, bytes of memory, then what `Worker` adds.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType
from typing import Any

CHANNEL = 3
"""`framing.CHANNEL`, which cannot be imported yet."""
PARSE = ord("P")
FOUND = ord("F")
WANT_MISTAKES = 1
WANT_PORTABLE = 2
STACK_BYTES = 8 << 20


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


def main() -> None:
    """The life of the process. It ends with `os._exit`: to free the tree of a large script takes longer than to build
    it, and nobody needs it freed."""
    find_own_modules()
    from sandbox import framing, jail

    parser_path, grammar_path, memory_bytes, parent_pid, dies_with_parent = sys.argv[2:7]
    try:
        jail.leave_nothing_open(framing.CHANNEL)
        if dies_with_parent == "1":
            jail.die_with_parent(int(parent_pid))
        gc.disable()
        serve(parser_path, grammar_path, int(memory_bytes))
    except MemoryError:
        send(framing.DIES, b"memory\0")
    except OSError:  # the host is gone: nobody is left to be told
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - the boundary of the process; a traceback would need files
        detail = f"{type(error).__name__}: {error}".encode("utf-8", "replace")
        send(framing.DIES, b"engine\0" + detail[:4000])
    os._exit(0)


def serve(parser_path: str, grammar_path: str, memory_bytes: int) -> None:
    tree_sitter = load_extension("tree_sitter._binding", parser_path)
    grammar = load_extension("tree_sitter_javascript._binding", grammar_path)
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    from json import dumps

    from sandbox import framing, jail
    from sandbox.lint.examine import examine

    level = jail.lock_down(memory_bytes=memory_bytes, stack_bytes=STACK_BYTES, channel=framing.CHANNEL)
    send(framing.BOOTED, level.encode())
    length = framing.read_u32(receive(4), 0)
    request = receive(length)
    wants, text = request[1], bytes(request[2:])
    answer = examine(
        parser.parse(text).root_node, text, mistakes=bool(wants & WANT_MISTAKES), portable=bool(wants & WANT_PORTABLE)
    )
    send(FOUND, dumps(answer, separators=(",", ":")).encode())


def receive(size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = os.read(CHANNEL, min(size - len(data), 1 << 20))
        if not part:
            raise BrokenPipeError
        data += part
    return bytes(data)


def send(kind: int, payload: bytes) -> None:
    from sandbox import framing

    data = memoryview(framing.frame(kind, payload))
    while data:
        data = data[os.write(framing.CHANNEL, data) :]
