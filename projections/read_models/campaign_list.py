"""Campaigns with the sums of their codes, one by one and in pages, and their histories."""

from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime
from typing import Any, Final, Literal, NamedTuple, cast
from uuid import UUID

from domain.events.campaign import (
    CampaignTerms,
    CampaignThresholdReached,
    CampaignUseEvent,
    CampaignUseReturned,
    CampaignUseTaken,
)
from domain.events.reservation import InviteComplained, InviteDelayed
from domain.events.waiting_list import WaitingListJoined
from domain.model.campaign import Campaign
from domain.model.counted_uses import EXISTING_USES_MAX, ExistingUse
from domain.values.timestamps import utc_day
from projections.database.store_queries import Database, ReadableStore
from projections.definitions.tables.campaigns import PROJECTION as CAMPAIGNS
from projections.event_store.codec import decode, topics_of
from projections.event_store.stored_state import search_field
from projections.read_models.pagination import ListCursor, ListOrder
from projections.sql.event_store import EventStoreSql
from projections.sql.read_models import ReadModelsSql

USES_PAGE: Final = 1_000
"""Events of uses that are read at once."""
ADDRESSES_MAX: Final = 200
"""Most addresses with one mailbox whose past uses are looked for: a limit per person is nearly always smaller."""
USE_TOPICS: Final = (*topics_of(CampaignUseTaken), *topics_of(CampaignUseReturned))
JOIN_TOPICS: Final = topics_of(WaitingListJoined)
CROSSING_TOPICS: Final = topics_of(CampaignThresholdReached)


class CampaignBalance(NamedTuple):
    """A campaign, how many codes it has, and how many of their uses are counted and reserved."""

    campaign: Campaign
    codes: int
    used: int
    reserved: int


class FunnelStep(NamedTuple):
    """How many codes, and how many of their redemptions, got as far as one step."""

    name: Literal["redeemed", "sent", "delayed", "bounced", "complained", "accepted"]
    codes: int
    redemptions: int


class TakenUse(NamedTuple):
    """An event by which a use was taken, and whether the use still counted in the state that was asked about."""

    position: int
    version: int
    event: CampaignUseTaken
    counts: bool


class PlaceUse(NamedTuple):
    """A use that a person took after they had joined a waiting list."""

    reservation_id: UUID
    reserved_at: datetime


class CampaignReader:
    """Reads campaigns."""

    def __init__(self, storage: ReadableStore) -> None:
        self._db = Database(storage)

    def find_campaign(self, campaign_id: UUID) -> CampaignBalance | None:
        """Return one campaign; None if there is none with this id."""
        return self.find_balances([campaign_id]).get(campaign_id)

    def find_balances(self, campaign_ids: Sequence[UUID]) -> dict[UUID, CampaignBalance]:
        """Return campaigns by id; unknown ones are missing."""
        rows = self._db.fetch_all(ReadModelsSql.balances_of_campaigns, list(campaign_ids)) if campaign_ids else []
        return {balance.campaign.campaign_id: balance for balance in map(_balance, rows)}

    def find_terms_of_code(self, code_id: UUID) -> CampaignTerms | None:
        """Return the terms of the campaign that a code belongs to; None if it belongs to none."""
        rows = self._db.fetch_all(ReadModelsSql.campaign_of_code, code_id)
        return CAMPAIGNS.read_back(rows[0]).terms if rows else None

    def list_campaigns(self, place: ListCursor, limit: int) -> list[CampaignBalance]:
        """Return one page behind a place, oldest first."""
        ids = [campaign.campaign_id for campaign in self.list_states(place, limit, "oldest")]
        balances = self.find_balances(ids)
        return [balances[campaign_id] for campaign_id in ids]

    def list_states(self, place: ListCursor, limit: int, order: ListOrder) -> list[Campaign]:
        """Return campaigns behind a place without the sums of their codes, by the time of creation."""
        statements = {"newest": ReadModelsSql.newest_campaigns, "oldest": ReadModelsSql.oldest_campaigns}
        return [CAMPAIGNS.read_back(row) for row in self._db.fetch_all(statements[order], *place, limit)]

    def list_open_campaigns(self, now: datetime, limit: int) -> list[tuple[UUID, str]]:
        """Return ids and names of the newest campaigns that have not ended, neither by staff nor at their end."""
        return [(row[0], row[1]) for row in self._db.fetch_all(ReadModelsSql.newest_open_campaigns, now, limit)]

    def list_newest_names(self, limit: int, chosen: UUID | None) -> list[tuple[UUID, str]]:
        """Return ids and names of the newest campaigns, ended or not, and of the chosen one.

        The chosen one may be older, or may not exist: then its id is its name.
        """
        names = [(row[0], row[1]) for row in self._db.fetch_all(ReadModelsSql.names_of_newest_campaigns, limit)]
        if chosen is None or chosen in {campaign_id for campaign_id, _ in names}:
            return names
        campaign = self.find_campaign_state(chosen)
        return [*names, (chosen, str(chosen) if campaign is None else campaign.terms.name)]

    def find_campaign_state(self, campaign_id: UUID) -> Campaign | None:
        """Return one campaign without the sums of its codes; None if there is none with this id."""
        rows = self._db.fetch_all(ReadModelsSql.state_of_campaign, campaign_id)
        return CAMPAIGNS.read_back(rows[0]) if rows else None

    def find_use_of_place(self, place_id: UUID) -> PlaceUse | None:
        """Return the first use that the person of a place on a waiting list reserved since they joined."""
        rows = self._db.fetch_all(ReadModelsSql.use_of_waiting_place, place_id)
        return PlaceUse(*rows[0]) if rows else None

    def list_open_places(self, recipient_id: UUID, limit: int) -> list[tuple[Campaign, UUID]]:
        """Return the campaigns on whose waiting lists a recipient is, each with the place, in the order of joining."""
        rows = self._db.fetch_all(ReadModelsSql.open_waiting_places_of_recipient, recipient_id, limit)
        return [(CAMPAIGNS.read_back(row), row[-1]) for row in rows]

    def count_uses_of_person(self, campaign: Campaign, recipient_id: UUID) -> int:
        """Return how many uses of a campaign a recipient has reserved or counted, as the campaign counts persons.

        At most one more than the limit per person is counted, which decides everything; none is without that limit.
        """
        if campaign.terms.max_per_person is None:
            return 0
        ((uses,),) = self._db.fetch_named(
            ReadModelsSql.uses_of_person,
            campaign_id=campaign.campaign_id,
            recipient_id=recipient_id,
            by_mailbox=campaign.counts_by_mailbox,
            counts_from=campaign.counts_from,
            most=campaign.terms.max_per_person + 1,
        )
        return int(uses)

    def find_person(self, campaign: Campaign, recipient_id: UUID, digests: Sequence[bytes] = ()) -> list[UUID]:
        """Return the recipients with uses of a campaign whom it counts as one person with a recipient, and that one.

        Args:
            campaign: The campaign.
            recipient_id: The recipient.
            digests: Of their mailbox, if they may be new; else those that are stored count.
        """
        if not campaign.counts_by_mailbox:
            return [recipient_id]
        rows = self._db.fetch_named(
            ReadModelsSql.recipients_of_mailbox,
            campaign_id=campaign.campaign_id,
            recipient_id=recipient_id,
            digests=list(digests),
            limit=ADDRESSES_MAX,
        )
        return [recipient_id, *(row[0] for row in rows)]

    def find_mailboxes(self, recipient_ids: Collection[UUID]) -> dict[UUID, bytes]:
        """Return digests of the mailboxes of recipients, as far as they are stored."""
        rows = self._db.fetch_named(ReadModelsSql.mailboxes_of_recipients, ids=list(recipient_ids))
        return {recipient_id: bytes(digest) for recipient_id, digest in rows}

    def count_handed_out_codes(self, campaign_id: UUID) -> tuple[int, int]:
        """Return how many codes were issued for recipients of hand-outs, and the form of how many was opened."""
        ((handed_out, opened_forms),) = self._db.fetch_all(ReadModelsSql.handed_out_of_campaign, campaign_id)
        return handed_out, opened_forms

    def read_funnel(self, campaign_id: UUID, counted_max: int) -> list[FunnelStep]:
        """Return how many codes of a campaign were redeemed, sent and accepted, and how many redemptions.

        Sent is an invitation that the channel accepted, even if it bounced or its use was refunded later. Bounced is
        one whose use a bounce made uncertain, or refunded. Steps of reports of which there is none are left out.

        Args:
            campaign_id: The campaign.
            counted_max: How many redemptions are counted at most.
        """
        parameters = {"campaign_id": campaign_id, "counted_max": counted_max}
        (row,) = self._db.fetch_named(ReadModelsSql.funnel_of_campaign, **parameters)
        delayed, complained = self._count_reports(campaign_id, counted_max)
        reported = [delayed, FunnelStep("bounced", row[6], row[7]), complained]
        return [
            FunnelStep("redeemed", row[0], row[3]),
            FunnelStep("sent", row[1], row[4]),
            *(step for step in reported if step.codes),
            FunnelStep("accepted", row[2], row[5]),
        ]

    def _count_reports(self, campaign_id: UUID, counted_max: int) -> tuple[FunnelStep, FunnelStep]:
        """Return of how many codes and redemptions an invitation was delayed, and complained of."""
        rows = self._db.fetch_named(ReadModelsSql.reports_of_campaign, campaign_id=campaign_id, counted_max=counted_max)
        delayed, complained = set[tuple[UUID, UUID]](), set[tuple[UUID, UUID]]()
        for code_id, topic, state in rows:
            event = decode(topic, bytes(state))
            if isinstance(event, InviteDelayed | InviteComplained) and event.mail == "invite":
                uses = delayed if isinstance(event, InviteDelayed) else complained
                uses.add((code_id, event.reservation_id))
        return (
            FunnelStep("delayed", len({code_id for code_id, _ in delayed}), len(delayed)),
            FunnelStep("complained", len({code_id for code_id, _ in complained}), len(complained)),
        )

    def list_newest_uses(
        self, campaign: Campaign, limit: int, *, recipient_ids: Collection[UUID] = (), day: date | None = None
    ) -> list[tuple[int, CampaignUseTaken]]:
        """Return uses that a campaign had in a state, each with the version of its event, the newest first.

        It reads backward, so what happened before them costs nothing, unless only those of a recipient are wanted.

        Args:
            campaign: The state.
            limit: Most uses to return.
            recipient_ids: Leave out those of other recipients; without any, of none.
            day: Leave out those that were taken before this UTC day; the state is one of the day.
        """
        uses: list[tuple[int, CampaignUseTaken]] = []
        for page in self.walk_uses_back(campaign, recipient_ids=recipient_ids, day=day):
            uses += [(use.version, use.event) for use in page if use.counts]
            if len(uses) >= limit:
                break
        return uses[:limit]

    def walk_uses_back(
        self, campaign: Campaign, *, recipient_ids: Collection[UUID] = (), day: date | None = None
    ) -> Iterator[list[TakenUse]]:
        """Yield pages of the uses that were taken until a state and that its limits count, the newest first.

        Args:
            campaign: The state.
            recipient_ids: Leave out those of other recipients; without any, of none.
            day: Leave out those that were taken before this UTC day; the state is one of the day.
        """
        recipients = [form for recipient_id in recipient_ids for form in search_field("recipient_id", recipient_id)]
        returned: set[UUID] = set()
        until = campaign.version
        while until > 0:
            rows = self._db.fetch_named(
                ReadModelsSql.campaign_uses_newest_first,
                campaign_id=campaign.campaign_id,
                until=until,
                after=campaign.recounted_by or 0,
                topics=list(USE_TOPICS),
                recipients=recipients or None,
                limit=USES_PAGE,
            )
            page: list[TakenUse] = []
            for position, version, topic, state in rows:
                event = cast("CampaignUseEvent", decode(topic, bytes(state)))
                if day is not None and utc_day(event.at) < day:
                    yield page
                    return
                if isinstance(event, CampaignUseTaken) and day is not None and not event.is_of_day(day):
                    continue
                if isinstance(event, CampaignUseTaken):
                    page.append(TakenUse(position, version, event, event.reservation_id not in returned))
                    returned.discard(event.reservation_id)
                elif isinstance(event, CampaignUseReturned) and (
                    day is None or campaign.frees_place_of_day(event.reserved_at, event.at)
                ):
                    returned.add(event.reservation_id)
            yield page
            until = rows[-1][1] - 1 if len(rows) == USES_PAGE else 0

    def list_newest_joins(
        self, campaign: Campaign, place_ids: Collection[UUID], limit: int
    ) -> list[tuple[int, WaitingListJoined]]:
        """Return how people joined who have these places in a state, with the versions, the newest first."""
        joins: list[tuple[int, WaitingListJoined]] = []
        most, until = min(limit, len(place_ids)), campaign.version
        while until > 0 and len(joins) < most:
            rows = self._db.fetch_named(
                ReadModelsSql.campaign_uses_newest_first,
                campaign_id=campaign.campaign_id,
                until=until,
                after=0,
                topics=list(JOIN_TOPICS),
                recipients=None,
                limit=USES_PAGE,
            )
            events = [(row[1], cast("WaitingListJoined", decode(row[2], bytes(row[3])))) for row in rows]
            joins += [(version, event) for version, event in events if event.place_id in place_ids]
            until = rows[-1][1] - 1 if len(rows) == USES_PAGE else 0
        return joins[:most]

    def list_crossings(self, campaign: Campaign) -> list[tuple[int, int, CampaignThresholdReached]]:
        """Return the newest reports of thresholds up to a state: position, version and event, the oldest first."""
        rows = self._db.fetch_named(
            ReadModelsSql.campaign_uses_newest_first,
            campaign_id=campaign.campaign_id,
            until=campaign.version,
            after=0,
            topics=list(CROSSING_TOPICS),
            recipients=None,
            limit=USES_PAGE,
        )
        crossings = [(row[0], row[1], cast("CampaignThresholdReached", decode(row[2], bytes(row[3])))) for row in rows]
        return crossings[::-1]

    def list_counted_uses(self, campaign: Campaign) -> list[ExistingUse]:
        """Return the uses that codes of a campaign have now and that its limits count in a state, the oldest first.

        Of more than can begin to count in one commit, these are the newest.
        """
        rows = self._db.fetch_all(
            EventStoreSql.existing_uses, campaign.campaign_id, campaign.counts_from, EXISTING_USES_MAX
        )
        return [ExistingUse(*row) for row in reversed(rows)]

    def find_sent(self, reservation_ids: Collection[UUID], at: datetime) -> set[UUID]:
        """Return those of these reservations whose invitation was sent until a time."""
        rows = self._db.fetch_named(ReadModelsSql.sent_until, ids=list(reservation_ids), at=at)
        return {row[0] for row in rows}


def _balance(row: tuple[Any, ...]) -> CampaignBalance:
    *columns, codes, used, reserved = row
    return CampaignBalance(CAMPAIGNS.read_back(columns), codes, used, reserved)
