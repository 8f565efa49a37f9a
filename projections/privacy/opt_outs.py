"""Opt-outs: who wants no more emails of a group that are sent without a request of theirs.

They are primary data next to the vault, under the random id of the recipient. Everything that sends such emails asks
`OptOutRepository.find_opted_out` immediately before it sends.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final, Literal, NamedTuple
from uuid import UUID

from eventsourcing.persistence import IntegrityError

from domain.model.suppression import Suppression
from projections.database.store_queries import Database, ReadableStore
from projections.sql.privacy import PrivacySql

NoEmailReason = Literal["opted_out", "suppressed"]
NO_GROUP: Final = ""
"""Stands for emails of codes that name no group."""


class OptOut(NamedTuple):
    """One choice of a person. `group`: None for emails of codes that name no group."""

    group: str | None
    at: datetime


class SuppressedAddress(NamedTuple):
    """Why an address is not written to, and for how long."""

    suppression: Suppression
    since: datetime
    until: datetime


class OptOutRepository:
    """Reads and writes the tables `opt_outs` and `suppressed_addresses`; it implements `domain.ports.OptOuts`."""

    def __init__(self, storage: ReadableStore) -> None:
        self._db = Database(storage)

    def insert(self, recipient_id: UUID, group: str | None, now: datetime) -> bool:
        """Store the choice of a person; return whether it is stored, which it is not for a person who was erased."""
        try:
            self._db.execute(PrivacySql.insert_opt_out, _row(recipient_id, group) | {"now": now})
        except IntegrityError:  # the person was erased at the same time
            return False
        return self.has_opted_out(recipient_id, group)

    def delete(self, recipient_id: UUID, group: str | None) -> bool:
        """Delete the choice of a person; return False if there is none."""
        return self._db.execute(PrivacySql.delete_opt_out, _row(recipient_id, group)) > 0

    def list_of(self, recipient_id: UUID) -> list[OptOut]:
        """Return all choices of a person, by the name of the group."""
        return [
            OptOut(name or None, at) for name, at in self._db.fetch_all(PrivacySql.opt_outs_of_recipient, recipient_id)
        ]

    def has_opted_out(self, recipient_id: UUID, group: str | None, since: datetime | None = None) -> bool:
        """Return whether a person wants no more such emails of the group. `since`: only if they said so later."""
        return any(
            opt_out.group == group and (since is None or opt_out.at > since) for opt_out in self.list_of(recipient_id)
        )

    def find_opted_out(self, recipient_ids: Collection[UUID], group: str | None) -> frozenset[UUID]:
        """Return those of these recipients to whom no such email of the group may be sent.

        They opted out, or their addresses are not written to (`list_suppressions`).
        """
        return frozenset(self.find_reasons(recipient_ids, group))

    def find_reasons(self, recipient_ids: Collection[UUID], group: str | None) -> dict[UUID, NoEmailReason]:
        """Return why no such email of the group may be sent to some of these recipients."""
        return dict(self._db.fetch_all(PrivacySql.opted_out, list(recipient_ids), group or NO_GROUP))

    def is_suppressed(self, recipient_id: UUID, group: str | None) -> bool:
        """Return whether no email of the group is sent to a person, not even one that follows from a request."""
        return bool(self._db.fetch_all(PrivacySql.suppressed, recipient_id, group or NO_GROUP))

    def list_suppressions(self, recipient_id: UUID) -> list[SuppressedAddress]:
        """Return why the address of a person is not written to, and until when."""
        rows = self._db.fetch_all(PrivacySql.suppressions_of_recipient, recipient_id)
        return [SuppressedAddress(Suppression(*reason), since, until) for *reason, since, until in rows]

    def lift_suppressions(self, recipient_id: UUID) -> bool:
        """Allow emails to the address of a person again; return False if they were allowed."""
        return self._db.execute(PrivacySql.lift_suppressions, (recipient_id,)) > 0


def _row(recipient_id: UUID, group: str | None) -> dict[str, object]:
    return {"recipient_id": recipient_id, "group": group or NO_GROUP}
