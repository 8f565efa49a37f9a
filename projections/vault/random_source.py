"""Random bytes and ids of the system's source, read in larger blocks.

Each call of os.urandom releases the interpreter's lock, and under load it takes longer to get it again than the call.
"""

import os
import threading
from uuid import UUID

REFILL_BYTES = 4096


_VERSION_4 = 0x4000_8000_0000_0000_0000
_RANDOM_BITS = (1 << 128) - 1 & ~0xF000_C000_0000_0000_0000
"""RFC 9562 section 5.4: all but four bits for the version and two for the variant."""


class RandomByteBuffer:
    """Returns random bytes of the system, each once; a forked child does not use bytes of its parent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._piece = b""
        self._used = 0
        os.register_at_fork(after_in_child=self._reset_after_fork)

    def draw_bytes(self, count: int) -> bytes:
        """Return `count` random bytes."""
        with self._lock:
            start, self._used = self._used, self._used + count
            if self._used > len(self._piece):
                self._piece = os.urandom(max(REFILL_BYTES, count))
                start, self._used = 0, count
            return self._piece[start : self._used]

    def draw_uuid(self) -> UUID:
        """Return a random UUID (RFC 9562 version 4)."""
        return UUID(int=int.from_bytes(self.draw_bytes(16), "big") & _RANDOM_BITS | _VERSION_4)

    def _reset_after_fork(self) -> None:
        self._lock = threading.Lock()
        self._piece = b""
        self._used = 0


RANDOM = RandomByteBuffer()
"""The source of this process."""
