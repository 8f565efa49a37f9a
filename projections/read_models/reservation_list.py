"""Lists of reservations in the order in which they were made, for integrators and exports."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from projections.read_models.reader import Reader
from projections.sql.read_models import ReadModelsSql


class ReservationListEntry(NamedTuple):
    """One reservation of the list, with its status: live, sent or refunded."""

    reservation_id: UUID
    code_id: UUID
    status: str
    reserved_at: datetime


class ReservationListReader(Reader):
    """Reads pages of reservations."""

    def list_page(
        self, after: tuple[datetime, UUID], limit: int, code_id: UUID | None = None
    ) -> list[ReservationListEntry]:
        """Return reservations after a time and id; of one code, if one is named."""
        if code_id is None:
            rows = self._fetch_all(ReadModelsSql.reservations_from, *after, limit)
        else:
            rows = self._fetch_all(ReadModelsSql.reservations_of_code_from, code_id, *after, limit)
        return [ReservationListEntry(*row) for row in rows]

    def read_rows(self, reservation_ids: Sequence[UUID], *, addresses: bool) -> dict[UUID, dict[str, Any]]:
        """Return rows of the read model by id; `email` is the typed form, if addresses are asked for."""
        with self._open_cursor() as cursor:
            records = cursor.execute(ReadModelsSql.person_of_reservations, (list(reservation_ids),)).fetchall()
            names = [column.name for column in cursor.description or ()]
        rows = {}
        for values in records:
            row = dict(zip(names, values, strict=True))
            sealed = [row.pop(name) for name in ("digest", "pepper_id", "sealed", "key_id")]
            is_known = addresses and sealed[0] is not None
            columns = (row["recipient_id"], *sealed)
            row["email"] = self._storage.vault.read_text("recipient", columns) if is_known else None
            rows[row["reservation_id"]] = row
        return rows
