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
from domain.working_set import WorkingSet, find_linked_reservations
from projections.database.store_queries import ReadableStore
from projections.event_store.codec import decode
from projections.read_models.campaign_list import CampaignReader
from projections.read_models.history_blocks import CAMPAIGNS
from projections.read_models.statements import HistoryReader, StatementReader
from projections.sql.event_store import EventStoreSql
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

    def load_working_set(
        self,
        past: PastState,
        *,
        reservations: Collection[UUID] = (),
        recipients: Collection[UUID] = (),
        with_pending: bool = False,
    ) -> WorkingSet:
        """Return the working set on which a command of that time is decided.

        Args:
            past: The code and the time.
            reservations: Those that the command names.
            recipients: Recipients whose reservations it may read, in addition to those of the named reservations.
            with_pending: Whether it may also read pending reservations of other recipients.
        """
        working_set = WorkingSet()
        if past.code is None:
            return working_set
        working_set.codes[past.code_id] = past.code
        if with_pending and past.code.reserved:
            for reservation in self._fold_past(ReadModelsSql.reservations_pending_at, past, (), ()):
                working_set.add_reservation(reservation)
        ids, people = set(reservations), set(recipients)
        read: tuple[set[UUID], set[UUID]] = (set(), set())
        while (ids, people) != read and (ids or people):
            read = set(ids), set(people)
            for reservation in self._fold_past(ReadModelsSql.reservations_related_at, past, ids, people):
                working_set.add_reservation(reservation)
            people |= {working_set.reservations[key].recipient_id for key in ids & working_set.reservations.keys()}
            ids |= find_linked_reservations(working_set.reservations.values())
        self._load_campaign(working_set, past.code.campaign_id, past.at, people)
        return working_set

    def _load_campaign(
        self, working_set: WorkingSet, campaign_id: UUID | None, at: datetime, people: Collection[UUID]
    ) -> None:
        """Load the campaign of the code as it was: the uses of these people, and the next deadline if it was full."""
        campaign = None if campaign_id is None else self.campaign_histories.fold_until(campaign_id, at)
        if campaign_id is None or campaign is None:
            return
        working_set.campaigns[campaign_id] = campaign
        if (limit := campaign.terms.max_per_person) is not None:
            reader = CampaignReader(self._storage)
            for person in people:
                uses = reader.list_newest_uses(campaign, limit, recipient_id=person)
                working_set.uses_of_persons[campaign_id, person] = len(uses)
        if campaign.available == 0:
            ((deadline,),) = self._db.fetch_named(ReadModelsSql.deadline_of_pending_at, at=at, campaign_id=campaign_id)
            if deadline is not None:
                working_set.campaign_deadlines[campaign_id] = deadline

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
