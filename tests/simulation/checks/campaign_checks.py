"""What campaigns promise, told from the log and the reservations alone: limits, sums, and true refusals."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from uuid import UUID

from domain.command_bus import AnyCommand
from domain.commands.reservation.reserve import ReserveUse
from domain.errors import CampaignDayLimitReached, CampaignExhausted, CampaignHeld, PersonLimitReached
from domain.events.campaign import CampaignUseTaken
from domain.events.reservation import UseReserved
from domain.model.campaign import Campaign
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.results import AnyResult
from domain.values.timestamps import utc_day
from domain.working_set import WorkingSet
from tests.simulation.services.store import MemoryStore


def find_wrong_campaigns(store: MemoryStore) -> Iterator[str]:
    """Invariant 12: a campaign has the uses of its codes that its limits count."""
    uses = _count_uses(store.campaigns, store.codes, store.reservations, store.mailboxes_with(()))
    for campaign_id, campaign in store.campaigns.items():
        if campaign.counts_uses and campaign.occupied != uses[campaign_id, None]:
            yield f"campaign {campaign_id} says {campaign.occupied} uses, its codes have {uses[campaign_id, None]}"


def find_uses_beyond_limits(
    store: MemoryStore, working_set: WorkingSet, commands: Sequence[AnyCommand]
) -> Iterator[str]:
    """Invariant 12: no batch takes a use of a campaign, a person or a day beyond a limit; those over it may stay."""
    events = [recorded.event for recorded in working_set.new_events]
    counted = {event.reservation_id for event in events if isinstance(event, CampaignUseTaken)}
    for reservation_id in {event.reservation_id for event in events if isinstance(event, UseReserved)} - counted:
        campaign = working_set.campaign_of(working_set.codes[working_set.reservations[reservation_id].code_id])
        if campaign is not None and campaign.counts_uses:
            yield f"campaign {campaign.campaign_id} does not count the new use of {reservation_id}"
    if not counted:
        return
    campaigns, codes = {**store.campaigns, **working_set.campaigns}, {**store.codes, **working_set.codes}
    mailboxes = store.mailboxes_with(commands)
    before = _count_uses(campaigns, codes, store.reservations, mailboxes)
    after = _count_uses(campaigns, codes, {**store.reservations, **working_set.reservations}, mailboxes)
    for (campaign_id, about), count in after.items():
        terms = campaigns[campaign_id].terms
        is_person = isinstance(about, UUID | bytes)
        limit = terms.max_per_person if is_person else terms.max_per_day if about else terms.max_uses
        is_other_day = isinstance(about, date) and about != utc_day(campaigns[campaign_id].last_at)
        if limit is not None and not is_other_day and count > max(limit, before[campaign_id, about]):
            yield f"campaign {campaign_id} has {count} uses of {about or 'all codes'!r}, its limit is {limit}"


def _count_uses(
    campaigns: Mapping[UUID, Campaign],
    codes: Mapping[UUID, RedeemCode],
    reservations: Mapping[UUID, Reservation],
    mailboxes: Mapping[UUID, bytes],
) -> Counter[tuple[UUID, UUID | bytes | date | None]]:
    """Count the uses that the limits of campaigns count: of all codes, of each person, and of each UTC day."""
    uses = Counter[tuple[UUID, UUID | bytes | date | None]]()
    for reservation in reservations.values():
        code = codes[reservation.code_id]
        if code.campaign_id is None or not is_inside(campaigns[code.campaign_id], code, reservation):
            continue
        if reservation.is_use and reservation.occupies_use:
            by_mailbox = campaigns[code.campaign_id].terms.person_rule == "mailbox"
            person = (
                mailboxes.get(reservation.recipient_id, reservation.recipient_id)
                if by_mailbox
                else reservation.recipient_id
            )
            uses.update((code.campaign_id, about) for about in (None, person, utc_day(reservation.reserved_at)))
    return uses


def is_inside(campaign: Campaign, code: RedeemCode, reservation: Reservation) -> bool:
    """Whether a use was reserved after the code had joined its campaign, and since its limits count."""
    is_member = code.campaign_since is not None and reservation.versions[0] > code.campaign_since
    return is_member and (campaign.counts_from is None or campaign.counts_from <= reservation.reserved_at)


def find_untrue_refusals(
    store: MemoryStore, working_set: WorkingSet, commands: Sequence[AnyCommand], results: Sequence[AnyResult]
) -> Iterator[str]:
    """What is said to be used up, held or a person's limit is so. Of a batch of one only."""
    if len(commands) != 1 or not isinstance(commands[0], ReserveUse):
        return
    result, code_id = results[0], working_set.code_id(commands[0].code_digests)
    code = working_set.codes.get(code_id) if code_id else None
    if code is None or code.campaign_id is None:
        return
    campaign, recipient_id = store.campaigns[code.campaign_id], working_set.recipient_id(commands[0].recipient)
    in_campaign = [
        reservation
        for reservation in store.reservations.values()
        if (holder := store.codes[reservation.code_id]).campaign_id == code.campaign_id
        and is_inside(campaign, holder, reservation)
        and reservation.is_use
        and reservation.occupies_use
    ]
    pending = sum(reservation.is_live for reservation in in_campaign)
    limit, now = campaign.terms.max_uses or 0, commands[0].context.now
    offers = [(place, until) for place in campaign.waiting if (until := place.offered_until) is not None]
    expired = [place for place, until in offers[: max(0, limit - len(in_campaign))] if until <= now]
    waits_by = [place.code_id for place in campaign.waiting if place not in expired]
    waiting, by_code = len(waits_by), waits_by.count(code.code_id)
    is_left = len(in_campaign) + waiting < limit and not (by_code and (code.available or 0) <= by_code)
    if isinstance(result, CampaignExhausted) and ((pending and not waiting) or is_left):
        yield f"campaign {code.campaign_id} was said to be used up: {len(in_campaign)} uses, {pending} pending"
    if isinstance(result, CampaignHeld) and not pending:
        yield f"campaign {code.campaign_id} was said to be held, and nothing holds it"
    if isinstance(result, PersonLimitReached):
        mailboxes, mailbox = store.mailboxes_with(()), commands[0].recipient.mailbox.encode()
        if campaign.terms.person_rule == "mailbox":
            own = sum(
                mailboxes.get(reservation.recipient_id, reservation.recipient_id) == mailbox
                for reservation in in_campaign
            )
        else:
            own = sum(reservation.recipient_id == recipient_id for reservation in in_campaign)
        if own < (campaign.terms.max_per_person or 0):
            yield f"{recipient_id} was said to have every use of campaign {code.campaign_id}, and has {own}"
    if isinstance(result, CampaignDayLimitReached) and campaign.occupied_on_day + waiting < (
        campaign.terms.max_per_day or 0
    ):
        yield f"campaign {code.campaign_id} was said to have no use left today: {campaign.occupied_on_day} are taken"
