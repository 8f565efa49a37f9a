"""A code and its reservations as they were at a past time, as the working set on which a command is decided."""

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import groupby
from typing import Final, LiteralString, NamedTuple, cast
from uuid import UUID

from domain.events.reservation import ReservationEvent
from domain.model.campaign import Campaign
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.model.reservation_transitions import fold_reservation
from domain.model.suppression import Suppression
from projections.database.store_queries import ReadableStore
from projections.event_store.codec import decode
from projections.read_models.campaign_list import CampaignReader
from projections.read_models.history_blocks import CAMPAIGNS
from projections.read_models.statements import HistoryReader, StatementReader
from projections.sql.event_store import EventStoreSql
from projections.sql.privacy import PrivacySql
from projections.sql.read_models import ReadModelsSql

RELATED_MAX: Final = 200
"""Most reservations of the named recipients that are loaded, the newest at that time."""
PENDING_MAX: Final = 1_000
"""Most reservations that were pending that are loaded, the oldest: far more than one command settles."""


class PastState(NamedTuple):
    """A code at a time; `code` is None before it was issued.

    Attributes:
        at: The time that commands are decided at.
        version: Version of the last event that had taken effect.
    """

    code_id: UUID
    at: datetime
    version: int
    code: RedeemCode | None


class PastStateReader(StatementReader):
    """Reads states of codes and reservations at past times.

    Attributes:
        campaign_histories: Histories of the campaigns of codes.
    """

    def __init__(self, storage: ReadableStore) -> None:
        super().__init__(storage)
        self.campaign_histories: HistoryReader[Campaign] = HistoryReader(storage, CAMPAIGNS)

    def find_state_at(self, code_id: UUID, at: datetime) -> PastState | None:
        """Return a code as it was at a time; None if there is no such code at all."""
        if self.find_newest_version(code_id) == 0:
            return None
        code = self.fold_until(code_id, at)
        return PastState(code_id, at, code.version if code else 0, code)

    def find_recipient_ids(self, digests: Sequence[bytes]) -> dict[bytes, UUID]:
        """Return ids of recipients by those of these digests that the vault has."""
        rows = self._db.fetch_all(EventStoreSql.recipient_ids_of_digests, list(digests))
        return {bytes(digest): recipient_id for digest, recipient_id in rows}

    def fold_related(
        self, past: PastState, reservation_ids: Collection[UUID], recipient_ids: Collection[UUID]
    ) -> list[Reservation]:
        """Return reservations as they were then: those with these ids, what follows them, and those of recipients."""
        return self._fold_past(ReadModelsSql.reservations_related_at, past, reservation_ids, recipient_ids)

    def fold_pending(self, past: PastState) -> list[Reservation]:
        """Return reservations that were pending then."""
        return self._fold_past(ReadModelsSql.reservations_pending_at, past, (), ())

    def find_campaign_at(self, past: PastState) -> Campaign | None:
        """Return the campaign of the code as it was then; None if it had none."""
        if past.code is None or past.code.campaign_id is None:
            return None
        return self.campaign_histories.fold_until(past.code.campaign_id, past.at)

    def count_uses_in(self, campaign: Campaign, person: Collection[UUID]) -> int:
        """Return how many uses a person had in a past state of a campaign, up to its limit per person.

        Args:
            campaign: The state.
            person: The recipients whom it counts as that person, at least one.
        """
        limit = campaign.terms.max_per_person
        if limit is None:
            return 0
        return len(CampaignReader(self._storage).list_newest_uses(campaign, limit, recipient_ids=person))

    def count_mailbox_uses_in(
        self, campaign: Campaign, recipient_id: UUID, digests: Sequence[bytes]
    ) -> tuple[bytes | None, int, Sequence[UUID]]:
        """Return the mailbox of a recipient, as the vault has it now, the uses of its addresses, and who has those.

        Args:
            campaign: The state, which counts by mailbox.
            recipient_id: The recipient.
            digests: Of the mailbox, if the recipient may be new; else those that are stored count.
        """
        reader = CampaignReader(self._storage)
        person = reader.find_person(campaign, recipient_id, digests)
        uses = self.count_uses_in(campaign, person)
        stored = reader.find_mailboxes([recipient_id]).get(recipient_id)
        return digests[0] if digests else stored, uses, person

    def find_suppressions_at(
        self, recipient_ids: Collection[UUID], at: datetime
    ) -> dict[UUID, tuple[Suppression, ...]]:
        """Return why addresses of recipients were not written to, as far as that stands now."""
        rows = self._db.fetch_named(PrivacySql.suppressions_at, ids=list(recipient_ids), at=at)
        suppressions: dict[UUID, tuple[Suppression, ...]] = {}
        for recipient_id, *reason in rows:
            suppressions[recipient_id] = (*suppressions.get(recipient_id, ()), Suppression(*reason))
        return suppressions

    def find_deadline_at(self, campaign: Campaign, at: datetime) -> datetime | None:
        """Return the next deadline of the uses that a campaign counted and that were pending at a time."""
        ((deadline,),) = self._db.fetch_named(
            ReadModelsSql.deadline_of_pending_at, at=at, campaign_id=campaign.campaign_id, since=campaign.counts_from
        )
        return cast("datetime | None", deadline)

    def _fold_past(
        self, statement: LiteralString, past: PastState, ids: Collection[UUID], people: Collection[UUID]
    ) -> list[Reservation]:
        """Return reservations as of the version of a past state."""
        rows = self._db.fetch_named(
            statement,
            code_id=past.code_id,
            version=past.version,
            at=past.at,
            ids=list(ids),
            recipients=list(people),
            limit=RELATED_MAX if ids or people else PENDING_MAX,
        )
        histories = (
            [(version, cast("ReservationEvent", decode(topic, bytes(state)))) for _, version, topic, state in group]
            for _, group in groupby(rows, key=lambda row: row[0])
        )
        return [fold_reservation(past.code_id, history) for history in histories]
