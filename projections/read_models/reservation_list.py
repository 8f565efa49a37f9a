"""Lists of reservations in the order in which they were made, for integrators and exports."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from domain.model.counted_uses import ExistingUse
from projections.database.store_queries import Database, ReadableStore
from projections.sql.read_models import ReadModelsSql


class ReservationListEntry(NamedTuple):
    """One reservation of the list, with its status: live, sent or refunded."""

    reservation_id: UUID
    code_id: UUID
    status: str
    reserved_at: datetime


def read_reservation_page(
    storage: ReadableStore, after: tuple[datetime, UUID], limit: int, code_id: UUID | None = None
) -> list[ReservationListEntry]:
    """Return reservations after a time and id; of one code, if one is named."""
    database = Database(storage)
    if code_id is None:
        rows = database.fetch_all(ReadModelsSql.reservations_from, *after, limit)
    else:
        rows = database.fetch_all(ReadModelsSql.reservations_of_code_from, code_id, *after, limit)
    return [ReservationListEntry(*row) for row in rows]


def list_newest_uses(storage: ReadableStore, code_id: UUID, limit: int) -> list[ExistingUse]:
    """Return the newest uses that a code has reserved or counted, the oldest first."""
    rows = Database(storage).fetch_all(ReadModelsSql.newest_uses_of_code, code_id, limit)
    return [ExistingUse(*row) for row in reversed(rows)]


def read_reservation_rows(
    storage: ReadableStore, reservation_ids: Sequence[UUID], *, addresses: bool
) -> dict[UUID, dict[str, Any]]:
    """Return rows of the read model by id; `email` is the typed form, if addresses are asked for."""
    rows = Database(storage).fetch_dicts(ReadModelsSql.person_of_reservations, (list(reservation_ids),))
    for row in rows:
        sealed = [row.pop(name) for name in ("digest", "pepper_id", "sealed", "key_id")]
        is_known = addresses and sealed[0] is not None
        row["email"] = storage.vault.read_text("recipient", (row["recipient_id"], *sealed)) if is_known else None
    return {row["reservation_id"]: row for row in rows}
