"""What the jail forbids: one forbidden system call of each class, made by a child that has locked itself down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import jail

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine not in jail.MACHINES, reason="no seccomp filter for this system"
)

FOLDER = Path(jail.__file__).parent
X86_64, AARCH64 = "x86_64", "aarch64"

# name → number on x86_64, on aarch64 (None: the machine has no such call), arguments
FORBIDDEN: dict[str, tuple[int, int | None, tuple[int, ...]]] = {
    "open": (2, None, (0, 0, 0)),
    "openat": (257, 56, (-100, 0, 0, 0)),
    "openat2": (437, 437, (-100, 0, 0, 0)),
    "stat": (4, None, (0, 0)),
    "unlinkat": (263, 35, (-100, 0, 0)),
    "mkdirat": (258, 34, (-100, 0, 0)),
    "getdents64": (217, 61, (3, 0, 0)),
    "chdir": (80, 49, (0,)),
    "socket": (41, 198, (2, 1, 0)),
    "socketpair": (53, 199, (1, 1, 0, 0)),
    "connect": (42, 203, (3, 0, 0)),
    "sendmsg": (46, 211, (3, 0, 0)),
    "recvmsg": (47, 212, (3, 0, 0)),
    "execve": (59, 221, (0, 0, 0)),
    "execveat": (322, 281, (-100, 0, 0, 0, 0)),
    "fork": (57, None, ()),
    "vfork": (58, None, ()),
    "clone": (56, 220, (17, 0, 0, 0, 0)),
    "clone3": (435, 435, (0, 0)),
    "kill": (62, 129, (1, 0)),
    "tkill": (200, 130, (1, 0)),
    "tgkill_another": (234, 131, (1, 1, 0)),
    "ptrace": (101, 117, (0, 0, 0, 0)),
    "process_vm_readv": (310, 270, (1, 0, 0, 0, 0, 0)),
    "process_vm_writev": (311, 271, (1, 0, 0, 0, 0, 0)),
    "pidfd_open": (434, 434, (1, 0)),
    "mmap_exec": (9, 222, (0, 4096, 5, 34, -1, 0)),
    "mmap_write_exec": (9, 222, (0, 4096, 7, 34, -1, 0)),
    "mprotect_exec": (10, 226, (0, 4096, 5)),
    "pkey_mprotect": (329, 288, (0, 4096, 5, -1)),
    "prctl": (157, 167, (15, 0, 0, 0, 0)),
    "seccomp": (317, 277, (0, 0, 0)),
    "ioctl": (16, 29, (3, 0x5401, 0)),
    "fcntl": (72, 25, (3, 1, 0)),
    "dup": (32, 23, (3,)),
    "close": (3, 57, (3,)),
    "read_other": (0, 63, (0, 0, 0)),
    "write_other": (1, 64, (1, 0, 0)),
    "sendfile": (40, 71, (3, 3, 0, 1)),
    "memfd_create": (319, 279, (0, 0)),
    "io_uring_setup": (425, 425, (1, 0)),
    "bpf": (321, 280, (0, 0, 0)),
    "perf_event_open": (298, 241, (0, 0, -1, -1, 0)),
    "userfaultfd": (323, 282, (0,)),
    "unshare": (272, 97, (0x10000000,)),
    "setns": (308, 268, (3, 0)),
    "mount": (165, 40, (0, 0, 0, 0, 0)),
    "setuid": (105, 146, (0,)),
    "setrlimit": (160, 164, (0, 0)),
    "prlimit64": (302, 261, (0, 7, 0, 0)),
    "rt_sigaction": (13, 134, (10, 0, 0, 8)),
    "shmget": (29, 194, (0, 4096, 0)),
    "keyctl": (250, 219, (0, 0, 0, 0, 0)),
    "setsid": (112, 157, ()),
    "nanosleep": (35, 101, (0, 0)),
    "futex_requeue_pi": (202, 98, (0, 12, 0, 0, 0, 0)),
    "no_such_call": (9999, 9999, ()),
    "x32_read": (0x4000_0000, None, (3, 0, 0)),
}

CHILD = """\
import sys
sys.path.append(sys.argv[1])
import jail, ctypes, os
numbers = [int(a) for a in sys.argv[2:]]
call = ctypes.CDLL(None, use_errno=True).syscall
arguments = [ctypes.c_long(n) for n in numbers]
level = jail.lock_down(memory_bytes=64 << 20, stack_bytes=1 << 20)
if arguments:
    call(*arguments)
os.write(3, level.encode())
os._exit(0)
"""


def locked_down(code: str, *arguments: object) -> tuple[int, bytes]:
    """Runs `code` in a child whose descriptor 3 is a pipe to us: exit status and what it wrote."""
    reader, writer = os.pipe()
    move = "import os,sys;os.dup2(int(sys.argv.pop(1)),3);exec(sys.argv.pop(1))"
    command = [sys.executable, "-I", "-S", "-c", move, str(writer), code, str(FOLDER), *map(str, arguments)]
    try:
        process = subprocess.Popen(command, pass_fds=(writer,), stderr=subprocess.DEVNULL)
    finally:
        os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    return process.wait(), said


def test_a_locked_down_process_can_still_work() -> None:
    code = CHILD.replace(
        "if arguments:",
        "x = bytearray(100 << 20); y = [object() for _ in range(10 ** 5)]; import time; time.time()\nif 0:",
    )
    assert locked_down(code) == (0, b"seccomp")


@pytest.mark.parametrize("name", FORBIDDEN)
def test_forbidden_call_kills(name: str) -> None:
    on_x86_64, on_aarch64, arguments = FORBIDDEN[name]
    number = on_x86_64 if os.uname().machine == X86_64 else on_aarch64
    if number is None:
        pytest.skip(f"{name} does not exist on {os.uname().machine}")
    assert locked_down(CHILD, number, *arguments) == (-signal.SIGSYS, b"")


@pytest.mark.parametrize("name", ["getpid", "getrandom"])
def test_allowed_call_does_not_kill(name: str) -> None:
    """The counter-proof: the way in which the calls above are made is not what kills."""
    number = jail.MACHINES[os.uname().machine][1][name]
    assert locked_down(CHILD, number, 0, 0, 0) == (0, b"seccomp")


def test_abort_of_the_engine_ends_as_a_crash() -> None:
    code = CHILD.replace("if arguments:", "ctypes.CDLL(None).abort()\nif 0:")
    assert locked_down(code)[0] == -signal.SIGABRT


def test_the_filter_names_each_call_for_both_machines() -> None:
    x86_64, aarch64 = (set(jail.MACHINES[machine][1]) for machine in (X86_64, AARCH64))
    assert x86_64 - aarch64 == {"time"}
    assert aarch64 - x86_64 == set()
    for machine in (X86_64, AARCH64):
        program = jail.filter_program(machine, channel=3, pid=1)
        assert all(len(instruction) == 8 for instruction in program)
        assert len(program) < 256


def test_without_seccomp_the_level_says_so() -> None:
    code = CHILD.replace("stack_bytes=1 << 20)", "stack_bytes=1 << 20, with_seccomp=False)")
    assert locked_down(code) == (0, b"rlimits")
