"""Takes from the calling process every right that it does not need. Used by every child of ours that touches a script.

A child is started as `python -I -S -c '…'` with this folder on `sys.path`, so it says plain `import jail`. In order:

    jail.leave_nothing_open(3)          # no file, no socket but the pipe to the host
    jail.die_with_parent(parent_pid)    # as soon as possible; Linux only
    …import, allocate and read all that is needed: nothing can be opened afterwards…
    level = jail.lock_down(memory_bytes=…, stack_bytes=…)      # "seccomp" or "rlimits"

`lock_down` cannot be undone. What it must never do is fail open without saying so: the level that it returns is
recorded with the run and shown by `pawl doctor`. Keeps I5.
"""

from __future__ import annotations

import os
import resource
import sys

SECCOMP = "seccomp"
"""No system call but reading and writing the pipe, memory that is not executable, clocks and the end."""
RLIMITS = "rlimits"
"""Limits only: the operating system has no filter of system calls that we know how to use."""

PR_SET_PDEATHSIG = 1
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2
SIGKILL = 9

RET_KILL = 0x8000_0000  # the whole process, not a thread of it
RET_ALLOW = 0x7FFF_0000
LOAD_WORD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_ANY_BIT, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
NUMBER_AT, ARCH_AT, ARGUMENTS_AT = 0, 4, 16
PROT_EXEC = 4
FUTEX_COMMAND = 0x7F  # without the flags PRIVATE and CLOCK_REALTIME
FUTEX_WAIT_AND_WAKE = (0, 1, 9, 10)  # WAIT, WAKE and their BITSET forms; the rest of futex() has a history of holes
X32_BIT = 0x4000_0000

# System call numbers by machine: the audit code, then name → number. What is not named here kills.
# getpid, gettid, tgkill: abort() of the C library must end as SIGABRT, not as a forbidden call.
MACHINES: dict[str, tuple[int, dict[str, int]]] = {
    "x86_64": (
        0xC000_003E,
        {
            "read": 0, "write": 1, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigprocmask": 14,
            "rt_sigreturn": 15, "sched_yield": 24, "mremap": 25, "madvise": 28, "getpid": 39, "exit": 60,
            "gettimeofday": 96, "getrusage": 98, "times": 100, "gettid": 186, "time": 201, "futex": 202,
            "restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229, "exit_group": 231, "tgkill": 234,
            "getrandom": 318,
        },
    ),
    "aarch64": (
        0xC000_00B7,
        {
            "read": 63, "write": 64, "exit": 93, "exit_group": 94, "futex": 98, "clock_gettime": 113,
            "clock_getres": 114, "sched_yield": 124, "restart_syscall": 128, "tgkill": 131, "rt_sigprocmask": 135,
            "rt_sigreturn": 139, "times": 153, "getrusage": 165, "gettimeofday": 169, "getpid": 172, "gettid": 178,
            "brk": 214, "munmap": 215, "mremap": 216, "mmap": 222, "mprotect": 226, "madvise": 233, "getrandom": 278,
        },
    ),
}  # fmt: skip


def leave_nothing_open(channel: int) -> None:
    """Closes every file descriptor but `channel`, also those that a library of the host left inheritable."""
    os.closerange(0, channel)
    os.closerange(channel + 1, max(os.sysconf("SC_OPEN_MAX"), 1024))


def die_with_parent(parent_pid: int) -> None:
    """The kernel kills this process when the thread that started it ends. Linux only; elsewhere nothing happens.

    The end of the pipe says the same to a child that reads; this reaches one that computes.
    """
    if sys.platform != "linux":
        return
    _prctl(PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != parent_pid:  # it died before the kernel knew our wish
        os._exit(0)


def lock_down(*, memory_bytes: int, stack_bytes: int, channel: int = 3, with_seccomp: bool = True) -> str:
    """Gives up every right but computing and using `channel`, for good.

    Args:
        memory_bytes: what the guest's heap may hold; the address space gets twice that and 256 MiB, since the
            interpreter and copies of frames live beside the heap.
        stack_bytes: what the guest's stack may hold; native recursion shares the thread's stack, which gets more.
        channel: the one file descriptor that may be read and written.
        with_seccomp: False for tests of what other systems get.

    Returns:
        `SECCOMP` or `RLIMITS`.
    """
    if sys.platform == "linux":
        import ctypes  # noqa: F401 - now, for the limits below forbid to open its files
    _limit(resource.RLIMIT_STACK, max(64 << 20, 8 * stack_bytes))
    _limit(resource.RLIMIT_AS, 2 * memory_bytes + (256 << 20))
    for name in ("RLIMIT_CORE", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_MEMLOCK"):
        _limit(getattr(resource, name), 0)
    if with_seccomp and sys.platform == "linux" and os.uname().machine in MACHINES and _filter_calls(channel):
        return SECCOMP
    return RLIMITS


def _limit(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    try:
        resource.setrlimit(which, (value, value))
    except (OSError, ValueError):  # macOS refuses some; every limit here is a second line of defence
        return


def _prctl(option: int, second: int, third: object = 0) -> int:
    import ctypes

    return int(ctypes.CDLL(None).prctl(option, ctypes.c_ulong(second), third, ctypes.c_ulong(0), ctypes.c_ulong(0)))


def _filter_calls(channel: int) -> bool:
    import ctypes

    program = b"".join(filter_program(os.uname().machine, channel=channel, pid=os.getpid()))
    instructions = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    header = Program(len(program) // 8, ctypes.addressof(instructions))
    if _prctl(PR_SET_NO_NEW_PRIVS, 1, ctypes.c_ulong(0)) != 0:
        return False
    return _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(header)) == 0


def filter_program(machine: str, *, channel: int, pid: int) -> list[bytes]:
    """The allow-list as a BPF program, one 8-byte instruction each. Anything that is not allowed kills the process.

    The arguments are 64 bits wide and the filter sees words of 32: it reads the low ones, which is where the kernel
    looks for file descriptors, protection bits, futex commands and process ids.
    """
    audit_code, numbers = MACHINES[machine]
    lines = [
        _op(LOAD_WORD, ARCH_AT),
        _op(JUMP_EQUAL, audit_code, 1, 0),
        _op(RETURN, RET_KILL),
        _op(LOAD_WORD, NUMBER_AT),
        _op(JUMP_AT_LEAST, X32_BIT, 0, 1),  # x32: the same audit code, other meanings
        _op(RETURN, RET_KILL),
    ]
    checked = {
        "read": _if_argument_is(0, (channel,)),
        "write": _if_argument_is(0, (channel,)),
        "mmap": _unless_bits(2, PROT_EXEC),
        "mprotect": _unless_bits(2, PROT_EXEC),
        "futex": _if_argument_is(1, FUTEX_WAIT_AND_WAKE, mask=FUTEX_COMMAND),
        "tgkill": _if_argument_is(0, (pid,)),
    }
    for name, number in numbers.items():
        body = checked.get(name) or [_op(RETURN, RET_ALLOW)]
        lines += [_op(JUMP_EQUAL, number, 0, len(body)), *body]
    return [*lines, _op(RETURN, RET_KILL)]


def _if_argument_is(index: int, values: tuple[int, ...], *, mask: int | None = None) -> list[bytes]:
    lines = [_op(LOAD_WORD, ARGUMENTS_AT + 8 * index)]
    if mask is not None:
        lines.append(_op(AND, mask))
    for left, value in zip(range(len(values), 0, -1), values, strict=True):
        lines.append(_op(JUMP_EQUAL, value, left, 0))
    return [*lines, _op(RETURN, RET_KILL), _op(RETURN, RET_ALLOW)]


def _unless_bits(index: int, bits: int) -> list[bytes]:
    return [
        _op(LOAD_WORD, ARGUMENTS_AT + 8 * index),
        _op(JUMP_ANY_BIT, bits, 0, 1),
        _op(RETURN, RET_KILL),
        _op(RETURN, RET_ALLOW),
    ]


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return code.to_bytes(2, "little") + bytes((if_true, if_false)) + value.to_bytes(4, "little")
