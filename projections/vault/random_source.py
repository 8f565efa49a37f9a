"""Random bytes and ids from the system's source, drawn in larger pieces.

Each call of os.urandom gives up the interpreter's lock, and under load getting it back takes longer than the call.
"""

import os
import threading
from uuid import UUID

PIECE_BYTES = 4096


_VERSION_4 = 0x4000_8000_0000_0000_0000
_RANDOM_BITS = (1 << 128) - 1 & ~0xF000_C000_0000_0000_0000
"""RFC 9562 section 5.4: all but four bits for the version and two for the variant."""


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
        return UUID(int=int.from_bytes(self.draw(16), "big") & _RANDOM_BITS | _VERSION_4)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._piece = b""
        self._used = 0


RANDOM = RandomPool()
"""The pool of this process."""
