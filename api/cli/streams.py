"""The standard streams of the command line."""

import os
import sys

LAST_STREAM = 2
"""The number of stderr; the process's other files have higher ones."""


def reopen_closed_streams() -> None:
    """Open /dev/null in the place of stdin, stdout or stderr if the shell has closed it."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= LAST_STREAM:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as the process
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as above
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as above
