"""What commands read: those of one class declare it together, and what a loaded state leads to is declared once.

A batch is loaded in rounds. Each asks for all that can be known by then, and the last for nothing new; so a command
says what it needs, and neither in which order it is read nor by which statement.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from msgspec import Struct

from domain.asks import Asks, Names
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.ports import RecipientDraft
from domain.working_set import WorkingSet, find_linked_reservations

C = TypeVar("C")


def _ask_nothing(_commands: Sequence[Any], _seen: WorkingSet, _asks: Asks) -> None:
    """Ask for nothing besides what is named."""


def _names_no_recipient(_commands: Sequence[Any]) -> Sequence[RecipientDraft]:
    return ()


class Reads(Struct, Generic[C], frozen=True, kw_only=True):
    """What the commands of one class read.

    Attributes:
        name: Names codes, reservations and campaigns by what the commands themselves hold.
        ask: Asks for more, in each round, with what was seen by then; in the first round that is nothing.
        drafts_in: The recipients whom commands are about and whom the vault may not have yet.
        code_text_of: The digests by which a command that names nothing else may join a batch that holds the lock of
            that code; None if commands of this class join none.
    """

    name: Callable[[Sequence[C], Names], None]
    ask: Callable[[Sequence[C], WorkingSet, Asks], None] = _ask_nothing
    drafts_in: Callable[[Sequence[C]], Sequence[RecipientDraft]] = _names_no_recipient
    code_text_of: Callable[[C], Sequence[bytes]] | None = None


class _AboutCode(Protocol):
    @property
    def code_id(self) -> UUID: ...


class _AboutNewCode(_AboutCode, Protocol):
    @property
    def campaign_id(self) -> UUID | None: ...


class _AboutCampaign(Protocol):
    @property
    def campaign_id(self) -> UUID: ...


class _AboutReservation(Protocol):
    @property
    def reservation_id(self) -> UUID: ...


class _AboutRecipient(Protocol):
    @property
    def recipient(self) -> RecipientDraft: ...


def name_codes(commands: Sequence[_AboutCode], names: Names) -> None:
    """Name the code that each command is about."""
    names.codes.update(command.code_id for command in commands)


def name_campaigns(commands: Sequence[_AboutCampaign], names: Names) -> None:
    """Name the campaign that each command changes or creates."""
    names.changed_campaigns.update(command.campaign_id for command in commands)


def name_new_codes(commands: Sequence[_AboutNewCode], names: Names) -> None:
    """Name the code that each command creates, and its campaign."""
    names.new_codes.update(command.code_id for command in commands)
    names.campaigns.update(command.campaign_id for command in commands if command.campaign_id is not None)


def name_reservations(commands: Sequence[_AboutReservation], names: Names) -> None:
    """Name the reservation that each command is about."""
    names.reservations.extend(command.reservation_id for command in commands)


def recipients_of(commands: Sequence[_AboutRecipient]) -> Sequence[RecipientDraft]:
    """Return the recipient whom each command is about."""
    return [command.recipient for command in commands]


def ask_for_rebinds(commands: Sequence[_AboutReservation], _seen: WorkingSet, asks: Asks) -> None:
    """Ask for the rebinds that move the access of each reservation."""
    asks.rebinds.update(command.reservation_id for command in commands)


def ask_for_drafts(
    commands: Sequence[_AboutRecipient], code_ids: Sequence[UUID | None], seen: WorkingSet, asks: Asks
) -> None:
    """Ask for what limits need of the recipients whom commands may add to codes, new recipients among them.

    Args:
        commands: The commands.
        code_ids: The code of each; None if it is not known yet.
        seen: What was read by now.
        asks: To which they are added.
    """
    for command, code_id in zip(commands, code_ids, strict=True):
        if code_id is not None:
            asks.drafts[code_id, seen.recipient_id(command.recipient)] = command.recipient


OF_CODE: Reads[_AboutCode] = Reads(name=name_codes)
OF_NEW_CODE: Reads[_AboutNewCode] = Reads(name=name_new_codes)
OF_CAMPAIGN: Reads[_AboutCampaign] = Reads(name=name_campaigns)
OF_RESERVATION: Reads[_AboutReservation] = Reads(name=name_reservations)
OF_MOVED_RESERVATION: Reads[_AboutReservation] = Reads(name=name_reservations, ask=ask_for_rebinds)


def ask_for_what_follows(
    asks: Asks, seen: WorkingSet, reservation_ids: Sequence[UUID], joins: Mapping[UUID, set[UUID]]
) -> None:
    """Ask for what the loaded states lead to, whichever commands are decided on them.

    Args:
        asks: Those of all commands of the batch, in this round; more are added.
        seen: What was read by now.
        reservation_ids: Reservations that commands name, each as often as it is named.
        joins: The campaigns that codes may join in this batch, by code.
    """
    if reservation_ids:
        counts = Counter(reservation_ids)
        loaded = [seen.reservations[key] for key in counts if key in seen.reservations]
        asks.reservations_by_id |= find_linked_reservations(loaded)
        asks.newer.update(
            reservation.reservation_id for reservation in loaded if _may_be_recounted(reservation, counts, asks)
        )
    asks.overdue.update(
        code_id
        for code_id, count in asks.redeems.items()
        if (code := seen.codes.get(code_id)) is not None and may_run_out(code, count)
    )
    if seen.campaigns:
        _ask_for_uses_in_campaigns(asks, seen, reservation_ids, joins)


def may_run_out(code: RedeemCode, redeems: int) -> bool:
    """Return whether redeems of this code may be refused because of unsettled reservations."""
    if not code.reserved:
        return code.available is not None and code.available < redeems
    return code.bound or (code.available is not None and code.available < redeems)


def _may_be_recounted(reservation: Reservation, counts: Mapping[UUID, int], asks: Asks) -> bool:
    """Return whether a use is refunded, or may be refunded by another command of this batch: it may count again."""
    return (
        reservation.status == "refunded" or counts[reservation.reservation_id] > 1 or reservation.code_id in asks.freed
    )


def _ask_for_uses_in_campaigns(
    asks: Asks, seen: WorkingSet, reservation_ids: Sequence[UUID], joins: Mapping[UUID, set[UUID]]
) -> None:
    """Ask for what the limits of campaigns are compared with."""
    campaigns = seen.campaigns
    campaigns_of = {
        code_id: joins.get(code_id, ()) if code.campaign_id is None else (code.campaign_id,)
        for code_id, code in seen.codes.items()
    }
    if any(campaign.terms.max_per_person is not None for campaign in campaigns.values()):
        persons = {*asks.persons, *((each.code_id, each.recipient_id) for each in seen.reservations.values())}
        asks.uses.update(
            (campaign_id, recipient_id)
            for code_id, recipient_id in persons
            for campaign_id in campaigns_of.get(code_id, ())
            if campaign_id in campaigns
            and campaigns[campaign_id].terms.max_per_person is not None
            and not campaigns[campaign_id].counts_by_mailbox
        )
        asks.mailbox_uses.update(
            (campaign_id, recipient_id)
            for code_id, recipient_id in persons | asks.drafts.keys()
            for campaign_id in campaigns_of.get(code_id, ())
            if campaign_id in campaigns and campaigns[campaign_id].counts_by_mailbox
        )
    if asks.awaited:
        takes: Counter[UUID] = Counter()
        for code_id, count in asks.redeems.items():
            takes.update(dict.fromkeys(campaigns_of.get(code_id, ()), count))
        for key in {*reservation_ids} & seen.reservations.keys():  # a late success may count the last use again
            takes.update(campaigns_of.get(seen.reservations[key].code_id, ()))
        awaited = {campaign_id for code_id in asks.awaited for campaign_id in campaigns_of.get(code_id, ())}
        asks.deadlines.update(
            campaign_id
            for campaign_id, campaign in campaigns.items()
            if campaign_id in awaited and campaign.available is not None and campaign.available < takes[campaign_id]
        )
