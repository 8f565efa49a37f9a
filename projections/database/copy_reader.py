"""Reads the event log by binary COPY: stored events with their positions, not decoded."""

import struct
from collections.abc import Callable, Generator
from typing import Any

from psycopg import Connection
from psycopg.abc import Query

_HEAD = struct.Struct(">hi16siqiqi")
_COPY_HEADER_BYTES = 19
_TRAILER_BYTES = 2

StoredRow = tuple[bytes, int, int, str, bytes]
"""One row of the log, not decoded yet: stream, version, position, topic, state. A bare tuple, as millions are made."""


def read_copied_events(
    conn: Connection[Any], query: Query, params: tuple[Any, ...], on_block: Callable[[], object] = lambda: None
) -> Generator[StoredRow, None, None]:
    """Yield the rows of a statement that copies the log; read it to its end, or close it.

    Args:
        conn: The connection, idle.
        query: The statement.
        params: Its parameters.
        on_block: Called whenever rows have come, some dozens of them at a time.

    psycopg waits for each row, which costs as much as decoding it; rows that libpq has buffered are taken from there.
    """
    topics: dict[bytes, str] = {}
    unpack, head, take = _HEAD.unpack_from, _HEAD.size, conn.pgconn.get_copy_data
    with conn.cursor().copy(query, params) as copy:
        begin = _COPY_HEADER_BYTES
        while block := copy.read():
            data = bytes(block)[begin:]
            begin = 0
            on_block()
            while len(data) > _TRAILER_BYTES:
                _, _, stream, _, version, _, position, length = unpack(data)
                end = head + length
                raw = data[head:end]
                if (topic := topics.get(raw)) is None:
                    topic = topics[raw] = raw.decode()
                yield stream, version, position, topic, data[end + 4 :]
                size, more = take(1)
                if size <= 0:
                    break
                data = bytes(more)
