"""Whether this worker was asked to end: its parent receives the signal, its children read a shared flag.

Celery's warm shutdown waits for running tasks. A Celery message names up to 200 reservations, so tasks must know.
"""

import mmap


class ShutdownFlag:
    """A flag that forked children share with the parent that made it."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 1)

    def set(self) -> None:
        """Begin the shutdown: tasks begin nothing new."""
        self._shared[0] = 1

    def is_set(self) -> bool:
        """Return whether the worker shuts down."""
        return self._shared[0] == 1


SHUTDOWN = ShutdownFlag()
"""The flag of this worker, created before the pool forks its children."""
