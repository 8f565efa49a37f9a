"""Messages between a rebuild and its worker processes, over pipes: frames of a kind, a length and bytes.

Rows travel as the bytes that COPY takes, so that only the worker process encodes them.
"""

import struct
from typing import IO
from uuid import UUID

import msgspec
from msgspec import Struct

from projections.database.copy_reader import StoredRow
from projections.definitions.registry import PROJECTIONS
from projections.replay.findings import RuleViolation
from projections.replay.row_buffer import RowPiece

_FRAME = struct.Struct(">BI")
_MESSAGE = 255
"""The kind of a frame without rows. A lower one is twice the number of a projection, plus 1 if rows are staged."""
_NAMES = tuple(PROJECTIONS)


class Start(Struct, frozen=True):
    """The first message to a worker process.

    Attributes:
        database_url: libpq URI.
        columns: By wanted projection, the types (OIDs) of its table's columns.
        until: The last position that is folded.
        page_events: Events read by one COPY.
        open_reservations_max: Reservations of one code that are held.
        checks_rules: Whether every event is checked by the invariants of docs/reference/rules.md.
    """

    database_url: str
    columns: dict[str, list[int]]
    until: int
    page_events: int
    open_reservations_max: int
    checks_rules: bool


class FoldStreams(Struct, frozen=True, tag=True):
    """Fold a range of streams by id, both ends included."""

    first: UUID
    last: UUID


class CheckTiles(Struct, frozen=True, tag=True):
    """Compare a range of lowest tiles, both ends included, of a Merkle log of this size with the events."""

    first: int
    last: int
    size: int
    position: int


class PageRead(Struct, frozen=True, tag=True):
    """A page of this many events was read."""

    events: int


class OutOfOrder(Struct, frozen=True, tag=True):
    """Events (stream and version) of reservations whose rows were written before."""

    places: list[tuple[UUID, int]]


class Undecodable(Struct, frozen=True, tag=True):
    """An event that stops everything."""

    stored: StoredRow
    reason: str


class FindingsReport(Struct, frozen=True, tag=True):
    """The fields of `projections.replay.findings.Findings`."""

    listed: list[RuleViolation]
    counts: dict[str, int]
    stopped: list[UUID]


class DatabaseUnavailable(Struct, frozen=True, tag=True):
    """The database is unavailable."""

    reason: str


class JobDone(Struct, frozen=True, tag=True):
    """A job has ended."""


Job = FoldStreams | CheckTiles
Message = PageRead | OutOfOrder | Undecodable | FindingsReport | DatabaseUnavailable | JobDone

_encode = msgspec.msgpack.Encoder().encode
_start = msgspec.msgpack.Decoder(Start).decode
_job = msgspec.msgpack.Decoder(Job).decode
_message = msgspec.msgpack.Decoder(Message).decode


def send(pipe: IO[bytes], message: Start | Job | Message) -> None:
    """Send one message and flush."""
    data = _encode(message)
    pipe.write(_FRAME.pack(_MESSAGE, len(data)) + data)
    pipe.flush()


def send_rows(pipe: IO[bytes], piece: RowPiece) -> None:
    """Send rows of a projection."""
    pipe.write(_FRAME.pack(2 * _NAMES.index(piece.name) + piece.is_staged, len(piece.rows)))
    pipe.write(piece.rows)


def receive_start(pipe: IO[bytes]) -> Start:
    """Return the first message to a worker process.

    Raises:
        EOFError: The other process has ended.
    """
    return _start(_frame(pipe)[1])


def receive_job(pipe: IO[bytes]) -> Job | None:
    """Return the next job; None after the last one."""
    try:
        job: Job = _job(_frame(pipe)[1])
    except EOFError:
        return None
    return job


def receive(pipe: IO[bytes]) -> Message | RowPiece:
    """Return the next message or rows of a worker process.

    Raises:
        EOFError: It has ended.
    """
    kind, data = _frame(pipe)
    return _message(data) if kind == _MESSAGE else RowPiece(_NAMES[kind // 2], bool(kind % 2), data)


def _frame(pipe: IO[bytes]) -> tuple[int, bytes]:
    head = pipe.read(_FRAME.size)
    if len(head) < _FRAME.size:
        raise EOFError
    kind, length = _FRAME.unpack(head)
    data = pipe.read(length)
    if len(data) < length:
        raise EOFError
    return kind, data
