"""Run a command as another user that may still enter every folder (Linux): for root where no namespace is to be had.

Run by path: `python -I with_reach.py UID GID COMMAND...`. The command runs as UID with one capability of root's kept,
CAP_DAC_OVERRIDE, so that PostgreSQL reaches programs and data below a home of mode 700. It owns what it makes. With
its user id changed it is not root to PostgreSQL, and it has less power than root, who started it.
"""

import ctypes
import os
import sys

PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 28, 47, 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
"""Without it access(2) forgets capabilities when the real user is not root, and initdb calls its programs invalid."""
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522
NOT_POSSIBLE = 126
"""Exit status when the kernel or a container's rules refuse it; shells use it for "can't execute"."""


class Header(ctypes.Structure):
    """`struct __user_cap_header_struct` of capset(2)."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class Sets(ctypes.Structure):
    """`struct __user_cap_data_struct`: 32 capabilities."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def become(uid: int, gid: int) -> None:
    """Become the user, with that one capability for whatever is executed next.

    Raises:
        OSError: The kernel, or a container's rules, refuse it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0))
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    kept = 1 << CAP_DAC_OVERRIDE
    sets = (Sets * 2)(Sets(kept, kept, kept), Sets(0, 0, 0))
    _check(libc.capset(ctypes.byref(Header(CAPABILITY_VERSION_3, 0)), sets))
    _check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def main() -> None:
    """Become the user, then the command."""
    uid, gid, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    try:
        become(uid, gid)
    except (OSError, AttributeError) as refused:
        sys.stderr.write(f"no other user with reach: {refused}\n")
        sys.exit(NOT_POSSIBLE)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted, and the caller wrote the command


if __name__ == "__main__":
    main()
