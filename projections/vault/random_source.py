"""Random bytes and ids from the system's source, drawn in larger pieces.

Each call of os.urandom gives up the interpreter's lock, and under load getting it back takes longer than the call.
"""

import os
import threading
from uuid import UUID

REFILL_BYTES = 4096


_VERSION_4 = 0x4000_8000_0000_0000_0000
_RANDOM_BITS = (1 << 128) - 1 & ~0xF000_C000_0000_0000_0000
"""RFC 9562 section 5.4: all but four bits for the version and two for the variant."""


class BufferedRandom:
    """Hands out the system's random bytes, each once; a forked child begins with none of its parent's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._piece = b""
        self._used = 0
        os.register_at_fork(after_in_child=self._reset_after_fork)

    def draw_bytes(self, count: int) -> bytes:
        """`count` random bytes."""
        with self._lock:
            start, self._used = self._used, self._used + count
            if self._used > len(self._piece):
                self._piece = os.urandom(max(REFILL_BYTES, count))
                start, self._used = 0, count
            return self._piece[start : self._used]

    def draw_uuid(self) -> UUID:
        """A random UUID (RFC 9562 version 4)."""
        return UUID(int=int.from_bytes(self.draw_bytes(16), "big") & _RANDOM_BITS | _VERSION_4)

    def _reset_after_fork(self) -> None:
        self._lock = threading.Lock()
        self._piece = b""
        self._used = 0


RANDOM = BufferedRandom()
"""The pool of this process."""
