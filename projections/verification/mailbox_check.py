"""Check the limits of campaigns that count by mailbox: the log names recipients, and only the vault says who is one."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast
from uuid import UUID

from msgspec.structs import replace
from psycopg import Connection

from domain.events.campaign import (
    CampaignCreated,
    CampaignEvent,
    CampaignTermsChanged,
    CampaignTermsEvent,
    CampaignUseEvent,
)
from domain.model.campaign import PERSON_LIMIT_RULE, OccupiedUses, evolve_campaign
from projections.event_store.codec import decode, topics_of
from projections.replay.findings import RuleViolation
from projections.replay.invariant_observer import InvariantObserver
from projections.sql.event_store import EventStoreSql
from projections.sql.verification import VerificationSql

PAGE: Final = 1_000
TERMS_TOPICS: Final = [*topics_of(CampaignCreated), *topics_of(CampaignTermsChanged)]


def check_mailbox_limits(conn: Connection[Any], observer: InvariantObserver) -> None:
    """Find the first use of each campaign that a mailbox took beyond the limit that applied then.

    Only campaigns are folded that counted by mailbox at some time, and in which a mailbox had uses under several
    addresses. The limit of a single recipient is checked with the events.
    """
    persons: dict[UUID, dict[UUID, UUID]] = {}
    for campaign_id, recipient_ids in conn.execute(VerificationSql.shared_mailboxes).fetchall():
        persons.setdefault(campaign_id, {}).update(dict.fromkeys(recipient_ids, recipient_ids[0]))
    for campaign_id, person_of in persons.items():
        if observer.is_stopped(campaign_id) or not _counted_by_mailbox(conn, campaign_id):
            continue
        violation = _find_first(conn, campaign_id, person_of)
        if violation is not None:
            observer.add_finding(violation)


def _counted_by_mailbox(conn: Connection[Any], campaign_id: UUID) -> bool:
    """Return whether any terms that a campaign had counted by mailbox."""
    rows = conn.execute(VerificationSql.terms_of_campaign, (campaign_id, TERMS_TOPICS)).fetchall()
    events = (cast("CampaignTermsEvent", decode(topic, bytes(state))) for topic, state in rows)
    return any(event.person_rule == "mailbox" for event in events)


def _find_first(conn: Connection[Any], campaign_id: UUID, person_of: Mapping[UUID, UUID]) -> RuleViolation | None:
    uses, campaign = OccupiedUses(), None
    for position, version, event in _read_events(conn, campaign_id):
        campaign = evolve_campaign(campaign, campaign_id, version, event)
        if not isinstance(event, CampaignUseEvent):
            uses.find_broken_rules(event, campaign)
        elif (person := person_of.get(event.recipient_id)) is not None:
            broken = uses.find_broken_rules(replace(event, recipient_id=person), campaign)
            if PERSON_LIMIT_RULE in broken and campaign.counts_by_mailbox:
                limit, kind = campaign.terms.max_per_person, type(event).__name__
                detail = f"one mailbox has {uses.count(person)} uses, the limit of a person is {limit}"
                return RuleViolation(
                    PERSON_LIMIT_RULE, campaign_id, version, position, kind, event.named_reservation, detail
                )
    return None


def _read_events(conn: Connection[Any], campaign_id: UUID) -> Iterator[tuple[int, int, CampaignEvent]]:
    after = 0
    while rows := conn.execute(EventStoreSql.stream_events, (campaign_id, after, PAGE)).fetchall():
        for position, version, topic, state in rows:
            yield position, version, cast("CampaignEvent", decode(topic, bytes(state)))
        after = rows[-1][1]
