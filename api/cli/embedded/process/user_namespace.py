"""Run a command as a user that is not root in a user namespace of its own (Linux).

Run by path: `python -I user_namespace.py UID GID COMMAND...`. Inside, our user appears as UID and all that is ours on
disk as UID's, so PostgreSQL, which refuses uid 0, runs on files that stay root's. It can do no more than before, and
less than root: outside of the mapping it has no capabilities.
"""

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
NOT_POSSIBLE = 126
"""Exit status when there is no namespace to be had; shells use it for "can't execute"."""


def enter(uid: int, gid: int) -> None:
    """Make the namespace and become the user in it.

    Raises:
        OSError: The kernel, or a container's rules, refuse it.
    """
    own_uid, own_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {own_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {own_gid} 1")


def main() -> None:
    """Enter the namespace and become the command."""
    uid, gid, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    try:
        enter(uid, gid)
    except (OSError, AttributeError) as refused:
        sys.stderr.write(f"no user namespace: {refused}\n")
        sys.exit(NOT_POSSIBLE)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted, and the caller wrote the command


if __name__ == "__main__":
    main()
