"""Random bytes and ids of the system's source, read in larger blocks.

Each call of os.urandom releases the interpreter's lock, and under load it takes longer to get it again than the call.
"""

import os
import time
from collections.abc import Callable
from io import BytesIO
from typing import Final
from uuid import UUID

from msgspec import msgpack

REFILL_BYTES = 4096


_VERSION_4 = 0x4000_8000_0000_0000_0000
_RANDOM_BITS = (1 << 128) - 1 & ~0xF000_C000_0000_0000_0000
"""RFC 9562 section 5.4: all but four bits for the version and two for the variant."""
_ORDERED_BITS: Final = 80
"""RFC 9562 section 5.7: version, variant and 74 random bits behind 48 bits of milliseconds."""
_ORDERED_BYTES: Final = _ORDERED_BITS // 8
_VERSION_7: Final = 0x7000_8000_0000_0000_0000
_ORDERED_RANDOM_BITS: Final = (1 << _ORDERED_BITS) - 1 & ~0xF000_C000_0000_0000_0000
_PACKED_ID_BEGINS: Final = b"\xc4\x10"
"""What precedes 16 bytes in MessagePack."""
_unpack_id: Final = msgpack.Decoder(UUID).decode
"""Makes a UUID of 16 packed bytes, in a fifth of the time that the class itself takes."""


class RandomByteBuffer:
    """Returns random bytes of the system, each once; a forked child does not use bytes of its parent.

    It may be used by several threads: a read of the piece is one operation of the interpreter.

    Args:
        clock: Seconds since 1970, for ids that sort by time.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._piece = BytesIO()
        os.register_at_fork(after_in_child=self._drop_piece)

    def draw_bytes(self, count: int) -> bytes:
        """Return `count` random bytes."""
        drawn = self._piece.read(count)
        if len(drawn) < count:
            piece = self._piece = BytesIO(os.urandom(REFILL_BYTES + count))
            return piece.read(count)
        return drawn

    def draw_uuid(self) -> UUID:
        """Return a random UUID (RFC 9562 version 4)."""
        return _make_uuid(int.from_bytes(self.draw_bytes(16)) & _RANDOM_BITS | _VERSION_4)

    def draw_ordered_uuid(self) -> UUID:
        """Return a UUID that sorts by its time (RFC 9562 version 7) and cannot be guessed: 74 bits are random.

        New rows with such ids go to the end of an index. Random ids go to a random page each, which PostgreSQL has to
        find, and after each checkpoint to write whole into the WAL.
        """
        random_bits = int.from_bytes(self.draw_bytes(_ORDERED_BYTES)) & _ORDERED_RANDOM_BITS
        return _make_uuid(int(self._clock() * 1000) << _ORDERED_BITS | _VERSION_7 | random_bits)

    def _drop_piece(self) -> None:
        self._piece = BytesIO()


def _make_uuid(number: int) -> UUID:
    return _unpack_id(_PACKED_ID_BEGINS + number.to_bytes(16))


RANDOM = RandomByteBuffer()
"""The source of this process."""
