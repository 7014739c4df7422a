"""Starts a command that the kernel keeps from most files (Landlock), and is replaced by it. Linux only.

Run as `python -I -S landlock.py LIMITS COMMAND…`, by itself: it imports nothing of ours, so that it starts in a few
milliseconds. LIMITS is JSON: `{"write": [path], "read": [path], "hidden": [path]}`. Everything may be read but what is
at or below `hidden`; `read` and `write` are granted also there
(`read` without what is hidden in it). Landlock knows grants only, so what surrounds a hidden
path is granted piece by piece; names of files can be listed everywhere, and what a grant covers has no exceptions.

It never fails open: a command that cannot be confined is not run, and the exit code is 126.
"""

from __future__ import annotations

import ctypes
import json
import os
import stat
import sys

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on all machines
PR_SET_NO_NEW_PRIVS = 38
PR_CAPBSET_DROP = 24
KEPT_CAPABILITIES = frozenset((0, 1, 3, 4, 5, 6, 7, 10))
"""What root keeps: rights over files (owner, mode), users, signals, low ports. Not what reads other processes, whose
environments Landlock keeps from everybody but who may measure performance (CAP_PERFMON)."""
RULE_PATH_BENEATH = 1
GIVE_VERSION = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE = 1 << 14
ALL = (1 << 15) - 1
"""Rights up to version 3: everything but ioctl on devices, which terminals need."""
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
READ = EXECUTE | READ_FILE | READ_DIR
NO_DEVICES = ALL & ~(1 << 6) & ~(1 << 11)
SCOPES = 0b11
"""From version 6: no signals to processes outside, no abstract sockets of theirs."""
LEAST_VERSION = 3
"""Before it a file outside could be truncated."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("fd", ctypes.c_int32))


def version() -> int:
    """The kernel's version of Landlock; 0 when there is none, or it is off."""
    if sys.platform != "linux":
        return 0
    found = ctypes.CDLL(None).syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(GIVE_VERSION))
    return max(int(found), 0)


def confine(*, write: list[str], read: list[str], hidden: list[str]) -> None:
    """Confines this process and all that it starts, for good. Raises OSError."""
    known = version()
    if known < LEAST_VERSION:
        raise OSError(f"Landlock is of version {known}, expected {LEAST_VERSION} or later")
    libc = ctypes.CDLL(None, use_errno=True)
    wanted = _Ruleset(ALL, 0, SCOPES if known >= 6 else 0)
    size = 24 if known >= 6 else 16 if known >= 4 else 8
    ruleset = libc.syscall(CREATE_RULESET, ctypes.byref(wanted), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")

    def grant(path: str, rights: int) -> None:
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return  # it is not there: nothing to grant
        try:
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                rights &= OF_FILES
            rule = _PathBeneath(rights, fd)
            if libc.syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, ctypes.byref(rule), ctypes.c_uint32(0)):
                raise OSError(ctypes.get_errno(), "landlock_add_rule", path)
        finally:
            os.close(fd)

    grant("/", READ_DIR)
    for path in _around("/", hidden):
        grant(path, READ)
    for start in read:
        for path in _around(start, hidden):
            grant(path, READ)
    for path in write:
        grant(path, NO_DEVICES)
    for capability in range(64):
        if capability not in KEPT_CAPABILITIES:
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # those that the kernel does not know fail
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(RESTRICT_SELF, ruleset, ctypes.c_uint32(0)):
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(ruleset)


def _around(folder: str, hidden: list[str]) -> list[str]:
    """The paths that together are `folder` without what is hidden in it. Not links: what they lead to counts."""
    inside = [path for path in hidden if folder in ("/", path) or path.startswith(folder + "/")]
    if not inside:
        return [folder]
    if folder in inside:
        return []
    out = []
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return []
    for entry in entries:
        if not entry.is_symlink():
            out += _around(entry.path, inside)
    return out


def main() -> None:
    limits, command = json.loads(sys.argv[1]), sys.argv[2:]
    try:
        confine(write=limits["write"], read=limits["read"], hidden=limits["hidden"])
        os.execvp(command[0], command)
    except OSError as error:
        print(f"the command could not be confined: {error}", file=sys.stderr)
        os._exit(126)


if __name__ == "__main__":
    main()
