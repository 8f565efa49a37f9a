"""What campaigns promise, told from the log and the reservations alone: limits, sums, and true refusals."""

from collections import Counter
from collections.abc import Iterator, Sequence
from uuid import UUID

from domain.command_bus import AnyCommand
from domain.commands.reservation.reserve import ReserveUse
from domain.errors import CampaignDayLimitReached, CampaignExhausted, CampaignHeld, PersonLimitReached
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.results import AnyResult
from domain.values.timestamps import utc_day
from domain.working_set import WorkingSet
from tests.simulation.services.store import MemoryStore


def find_wrong_campaigns(store: MemoryStore) -> Iterator[str]:
    """Invariant 12: a campaign has the uses of its codes; its limits hold for all, a person and a day."""
    uses: Counter[UUID] = Counter()
    mailboxes = store.mailboxes_with(())
    of_persons: Counter[tuple[UUID, UUID | bytes]] = Counter()
    of_day: Counter[UUID] = Counter()
    for reservation in store.reservations.values():
        code = store.codes[reservation.code_id]
        campaign_id = code.campaign_id if is_inside(code, reservation) else None
        if campaign_id is not None and reservation.is_use and reservation.occupies_use:
            uses[campaign_id] += 1
            by_mailbox = store.campaigns[campaign_id].terms.person_rule == "mailbox"
            person = mailboxes[reservation.recipient_id] if by_mailbox else reservation.recipient_id
            of_persons[campaign_id, person] += 1
            of_day[campaign_id] += utc_day(reservation.reserved_at) == utc_day(store.campaigns[campaign_id].last_at)
    for campaign_id, campaign in store.campaigns.items():
        if campaign.counts_uses and campaign.occupied != uses[campaign_id]:
            yield f"campaign {campaign_id} says {campaign.occupied} uses, its codes have {uses[campaign_id]}"
        if campaign.terms.max_uses is not None and uses[campaign_id] > campaign.terms.max_uses:
            yield f"campaign {campaign_id} is over its limit"
        if campaign.terms.max_per_day is not None and of_day[campaign_id] > campaign.terms.max_per_day:
            yield f"campaign {campaign_id} has {of_day[campaign_id]} uses of one day"
    for (campaign_id, counted_as), count in of_persons.items():
        limit = store.campaigns[campaign_id].terms.max_per_person
        if limit is not None and count > limit:
            yield f"campaign {campaign_id}: {counted_as!r} has {count} uses of {limit}"


def is_inside(code: RedeemCode, reservation: Reservation) -> bool:
    """Whether a use was reserved after the code had joined its campaign, read from the versions of the events."""
    return code.campaign_since is not None and reservation.versions[0] > code.campaign_since


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
        and is_inside(holder, reservation)
        and reservation.is_use
        and reservation.occupies_use
    ]
    pending = sum(reservation.is_live for reservation in in_campaign)
    if isinstance(result, CampaignExhausted) and (pending or len(in_campaign) != campaign.terms.max_uses):
        yield f"campaign {code.campaign_id} was said to be used up: {len(in_campaign)} uses, {pending} pending"
    if isinstance(result, CampaignHeld) and not pending:
        yield f"campaign {code.campaign_id} was said to be held, and nothing holds it"
    if isinstance(result, PersonLimitReached):
        mailboxes, mailbox = store.mailboxes_with(()), commands[0].recipient.mailbox.encode()
        if campaign.terms.person_rule == "mailbox":
            own = sum(mailboxes[reservation.recipient_id] == mailbox for reservation in in_campaign)
        else:
            own = sum(reservation.recipient_id == recipient_id for reservation in in_campaign)
        if own < (campaign.terms.max_per_person or 0):
            yield f"{recipient_id} was said to have every use of campaign {code.campaign_id}, and has {own}"
    if isinstance(result, CampaignDayLimitReached) and campaign.occupied_on_day != campaign.terms.max_per_day:
        yield f"campaign {code.campaign_id} was said to have no use left today: {campaign.occupied_on_day} are taken"
