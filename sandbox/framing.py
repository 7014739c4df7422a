"""The words that the host and its confined children say to each other. Imported by both sides; imports nothing.

A frame is a u32 length (little endian, counting what follows), one type byte, and the payload. JSON text inside a
payload is passed on, never parsed here.

    host to script child                                     script child to host
    B  boot      six u64: memory, stack and frame bytes,      O  booted    the jail's level, a space, the Python version
                 CPU ms, library line, seccomp; source        K  compiled  u32 code number
    L  compile   u32 code number, u32 line offset, source     S  rejected  u32 code number, u32 engine line, message
    R  run       u32 code number, JSON text for start()       C  chunk     u32 items consumed, u8 idle, JSON text of ops
    D  deliver   u8 stop_on_request, then for each item       E  dies of   kind, a NUL, detail
                 u32 length, u32 code or 0, JSON text

All numbers are unsigned, little endian; all text is UTF-8. Payloads of boot and death are binary and not JSON so that
the child need not import a JSON parser: that alone is a third of its start-up time.
"""

from __future__ import annotations

CHANNEL = 3
"""The child's only file descriptor."""

HEADER_BYTES = 5
BOOT_BYTES = 48
MAX_U32 = 0xFFFF_FFFF

BOOT = ord("B")
COMPILE = ord("L")
RUN = ord("R")
DELIVER = ord("D")

BOOTED = ord("O")
COMPILED = ord("K")
REJECTED = ord("S")
CHUNK = ord("C")
DIES = ord("E")


def frame(kind: int, *parts: bytes) -> bytes:
    """One frame, ready to be written."""
    length = 1 + sum(map(len, parts))
    return b"".join((length.to_bytes(4, "little"), bytes((kind,)), *parts))


def u32(number: int) -> bytes:
    return number.to_bytes(4, "little")


def read_u32(payload: bytes | bytearray, at: int) -> int:
    """The number at offset `at`; a payload that is too short gives a wrong one, so check its length first."""
    return int.from_bytes(payload[at : at + 4], "little")
