"""Rows of a fold, encoded as COPY takes them and delivered in pieces."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from projections.database.table_arrays import kinds_of
from projections.definitions.projection import Merge, Projection, Row, RowMerger, StateProjection
from projections.definitions.registry import PROJECTIONS
from projections.replay.copy_writer import EncodeRow, binary_row_encoder

ROWS_PER_PIECE: Final = 5_000


class RowPiece(NamedTuple):
    """Some encoded rows of a projection.

    Attributes:
        name: Of the projection.
        is_staged: Whether other rows may have the same keys, so that these wait to be merged in the end.
        rows: As `projections.replay.copy_writer` encodes them.
    """

    name: str
    is_staged: bool
    rows: bytes


class RowBuffer:
    """Takes rows of folded events.

    Args:
        column_types: By projection that is wanted, the types (OIDs) of its table's columns.
        deliver: Called with each piece.

    Attributes:
        rows: By projection, what takes one of its rows.
    """

    def __init__(self, column_types: Mapping[str, Sequence[int]], deliver: Callable[[RowPiece], object]) -> None:
        self._deliver = deliver
        self._encoders = {name: row_encoder(PROJECTIONS[name], types) for name, types in column_types.items()}
        self._encoded: dict[tuple[str, bool], list[bytes]] = {}
        self._mergers: dict[str, RowMerger] = {}
        self.rows: dict[str, Callable[[Row], object]] = {}
        for name, encode in self._encoders.items():
            projection = PROJECTIONS[name]
            if isinstance(projection, StateProjection):
                self.rows[name] = partial(self._append, name, self._encoded.setdefault((name, False), []), encode)
            else:
                self._mergers[name] = RowMerger(projection)
                self.rows[name] = self._mergers[name].add

    def flush(self) -> None:
        """Deliver everything."""
        for name, merger in self._mergers.items():
            projection, encode = PROJECTIONS[name], self._encoders[name]
            for row in merger.take():
                is_staged = projection.merge is Merge.ADD or not projection.is_whole(row)
                self._encoded.setdefault((name, is_staged), []).append(encode(row))
        for (name, is_staged), encoded in self._encoded.items():
            if encoded:
                self._deliver(RowPiece(name, is_staged, b"".join(encoded)))
                encoded.clear()

    def _append(self, name: str, encoded: list[bytes], encode: EncodeRow, row: Row) -> None:
        encoded.append(encode(row))
        if len(encoded) >= ROWS_PER_PIECE:
            self._deliver(RowPiece(name, is_staged=False, rows=b"".join(encoded)))
            encoded.clear()


def row_encoder(projection: Projection, column_types: Sequence[int]) -> EncodeRow:
    """Return what encodes rows of a projection.

    Raises:
        ValueError: The table does not have the columns that the projection declares.
    """
    encode = binary_row_encoder(kinds_of(projection.table), column_types)
    if encode is None:
        raise ValueError(f"the columns of {projection.name} are not those that this version writes")
    return encode
