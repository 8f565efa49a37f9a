"""Random bytes and ids from the system's source, drawn in larger pieces.

Each call of os.urandom gives up the interpreter's lock, and under load getting it back takes longer than the call.
"""

import os
import threading
from uuid import UUID

PIECE_BYTES = 4096


class RandomPool:
    """Hands out the system's random bytes, each once; a forked child begins with none of its parent's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._piece = b""
        self._used = 0
        os.register_at_fork(after_in_child=self._forget)

    def draw(self, count: int) -> bytes:
        """`count` random bytes."""
        with self._lock:
            start, self._used = self._used, self._used + count
            if self._used > len(self._piece):
                self._piece = os.urandom(max(PIECE_BYTES, count))
                start, self._used = 0, count
            return self._piece[start : self._used]

    def uuid(self) -> UUID:
        """A random UUID (RFC 9562 version 4)."""
        return UUID(bytes=self.draw(16), version=4)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._piece = b""
        self._used = 0


POOL = RandomPool()
"""The pool of this process."""
