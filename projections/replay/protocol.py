"""What a rebuild and its folding processes say to one another, over pipes: frames of a kind, a length and bytes.

Rows travel as the bytes that COPY takes, so that nobody but the folding process looks at them.
"""

import struct
from datetime import datetime
from typing import IO
from uuid import UUID

import msgspec
from msgspec import Struct

from projections.database.copy_reader import StoredRow
from projections.replay.findings import Finding

_FRAME = struct.Struct(">BI")
_MESSAGE = 255
"""The kind of a frame that holds no rows; below it is the number of a table."""


class Start(Struct, frozen=True):
    """The first word to a folding process.

    Attributes:
        database_url: libpq URI.
        columns: By read model that is wanted, the types (OIDs) of its columns.
        until: The last position.
        page_events: Events read by one COPY.
        open_reservations_max: Reservations held of the code at hand.
        rules: Whether every event is checked by the invariants of docs/rules.md.
    """

    database_url: str
    columns: dict[str, list[int]]
    until: int
    page_events: int
    open_reservations_max: int
    rules: bool


class FoldStreams(Struct, frozen=True, tag=True):
    """Fold a range of streams by id, both ends in it."""

    first: UUID
    last: UUID


class CheckTiles(Struct, frozen=True, tag=True):
    """Compare lowest tiles with the events: of a range of numbers, both ends in it, of a Merkle log of this size."""

    first: int
    last: int
    size: int
    position: int


class Told(Struct, frozen=True, tag=True):
    """So many events more were read."""

    events: int


class Late(Struct, frozen=True, tag=True):
    """Events (stream and version) of reservations whose rows were given out before."""

    places: list[tuple[UUID, int]]


class ClosedCases(Struct, frozen=True, tag=True):
    """Ends of cases whose rows were given out before."""

    rows: list[tuple[UUID, datetime, str]]


class Poisoned(Struct, frozen=True, tag=True):
    """An event that stops everything."""

    stored: StoredRow
    why: str


class Found(Struct, frozen=True, tag=True):
    """What `projections.replay.findings.Findings` holds."""

    kept: list[Finding]
    counts: dict[str, int]
    stopped: list[UUID]


class DatabaseUnavailable(Struct, frozen=True, tag=True):
    """The database is away."""

    why: str


class Done(Struct, frozen=True, tag=True):
    """A job is done."""


Job = FoldStreams | CheckTiles
Word = Told | Late | ClosedCases | Poisoned | Found | DatabaseUnavailable | Done

_encode = msgspec.msgpack.Encoder().encode
_start = msgspec.msgpack.Decoder(Start).decode
_job = msgspec.msgpack.Decoder(Job).decode
_word = msgspec.msgpack.Decoder(Word).decode


def send(pipe: IO[bytes], word: Start | Job | Word) -> None:
    """One word, at once."""
    data = _encode(word)
    pipe.write(_FRAME.pack(_MESSAGE, len(data)) + data)
    pipe.flush()


def send_rows(pipe: IO[bytes], table: int, rows: bytes) -> None:
    """Rows of a table, by its number."""
    pipe.write(_FRAME.pack(table, len(rows)))
    pipe.write(rows)


def receive_start(pipe: IO[bytes]) -> Start:
    """What a folding process begins with.

    Raises:
        EOFError: Nobody is there any more.
    """
    return _start(_frame(pipe)[1])


def receive_job(pipe: IO[bytes]) -> Job | None:
    """The next job; None when there is none any more."""
    try:
        job: Job = _job(_frame(pipe)[1])
    except EOFError:
        return None
    return job


def receive(pipe: IO[bytes]) -> Word | tuple[int, bytes]:
    """A word of a folding process, or rows with the number of their table.

    Raises:
        EOFError: It has ended.
    """
    kind, data = _frame(pipe)
    return _word(data) if kind == _MESSAGE else (kind, data)


def _frame(pipe: IO[bytes]) -> tuple[int, bytes]:
    head = pipe.read(_FRAME.size)
    if len(head) < _FRAME.size:
        raise EOFError
    kind, length = _FRAME.unpack(head)
    data = pipe.read(length)
    if len(data) < length:
        raise EOFError
    return kind, data
