"""Runs untrusted JavaScript in a process that has nothing. Knows nothing of the engine that uses it.

    sandbox = Sandbox.spawn(Limits(), [("core.js", text)])
    await sandbox.compile(1, "return 1 + 1")
    await sandbox.start(1, b"{}")
    while not (chunk := await sandbox.next_chunk()).idle: ...

What confines the script, what does not, and on which systems: LIMITATIONS.md beside this file.
"""

from sandbox.deaths import CompileError, Limits, SandboxDied
from sandbox.process import LIBRARY_LINE, Chunk, CompiledCode, Sandbox, SandboxInfo

__all__ = ["LIBRARY_LINE", "Chunk", "CompileError", "CompiledCode", "Limits", "Sandbox", "SandboxDied", "SandboxInfo"]
