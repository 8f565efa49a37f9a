"""Offers of uses to people on waiting lists: made by the sweep, and sent as emails with few attempts."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, Protocol
from uuid import UUID

from domain.commands.campaign.waiting_list import LeaveWaitingList, OfferUses, RecordOfferMail, WaitingListCommand
from domain.commands.context import CommandContext
from domain.events.waiting_list import OfferMailOutcome
from domain.judgment import OFFER, Again, Attempts, Done, End, judge, refuses_address_for_good
from domain.model.campaign import Campaign
from domain.model.redeem_code import CodeState, RedeemCode
from domain.model.waiting_list import find_place
from domain.ports import Channel, OptOuts, OutboundMessage, Outcome, OutcomeUnknown, outcome_label
from domain.values.identifiers import EmailAddress
from projections.database.errors import StorageUnavailableError
from projections.work_queue.waiting_offers import FIRST, DueOffer
from workers.sending.delivery_steps import DeliverySteps
from workers.sending.loop import Ended, send_at_once, send_due
from workers.sending.message_factory import OfferMail

TAKEN_MAX: Final = 20
"""Most emails of one run; the next one follows in seconds."""


WAIT: Final = timedelta(minutes=1)
"""How often an email is due whose use cannot be taken now, until the offer ends."""
ENDED: Final[frozenset[CodeState]] = frozenset({"revoked", "expired", "exhausted"})
"""States of a code that no offer of a use waits for."""


class WaitingLists(Protocol):
    """Where people wait, and the emails of their offers."""

    def list_campaigns(self, after: UUID) -> list[UUID]:
        """Return the next campaigns on whose lists someone waits."""

    def take(self, now: datetime) -> DueOffer | None:
        """Lease the email that is due longest; None if none is due."""

    def close(self, offer: DueOffer, due_at: datetime | None, outcome: str, *, counts: bool = True) -> None:
        """Store the outcome. `due_at`: when it is sent again; None for never."""


class _PreparedOffer(NamedTuple):
    """A leased email, the time from which it waits, and the message."""

    offer: DueOffer
    message: OutboundMessage


@dataclass(slots=True)
class WaitingOfferSender:
    """`SendingKind`: offers what is left, and sends the emails of offers. One that may have been sent is not repeated.

    A place ends to whose address no email may be sent, or whose code they cannot redeem any more: the use goes to the
    next person. While the code or its campaign is paused, full or has not started, the email waits.

    Attributes:
        lists: Where people wait.
        find_campaign: Returns a campaign by its id.
        find_code: Returns a code by its id.
        opt_outs: Who wants no more emails of a group.
        steps: For time, addresses and messages.
        channel: Sends the emails.
        execute: Runs one command.
        context: Who and when.
        log_bug: Logs what a failure in the offers of one campaign raised; the others are offered.
        failed_at: Campaigns at which the database failed since it last answered for them.
    """

    lists: WaitingLists
    find_campaign: Callable[[UUID], Campaign | None]
    find_code: Callable[[UUID], RedeemCode | None]
    opt_outs: OptOuts
    steps: DeliverySteps
    channel: Channel
    execute: Callable[[WaitingListCommand], object]
    context: Callable[[], CommandContext]
    log_bug: Callable[[Exception], object]
    after: UUID = FIRST
    failed_at: set[UUID] = field(default_factory=set, init=False)
    leased_count: int = field(default=0, init=False)
    slots: int = field(default=1, init=False)

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Offer what is left in some campaigns, and send the emails that are due.

        Raises:
            StorageUnavailableError: The database is unavailable. The next run continues with the same campaign, and
                leaves it out if the database fails there again.
        """
        campaign_ids = self.lists.list_campaigns(self.after)
        if not campaign_ids:
            self.after = FIRST
        for campaign_id in campaign_ids:
            if should_stop():
                return
            try:
                self._offer(campaign_id)
                self.failed_at.discard(campaign_id)
            except StorageUnavailableError as error:
                if campaign_id not in self.failed_at:
                    self.failed_at.add(campaign_id)
                    raise
                self.log_bug(error)  # the cause may be this campaign, such as a lock that lasts
            except Exception as error:  # noqa: BLE001 - a bug about one campaign stops no other
                self.log_bug(error)
            self.after = campaign_id
        self.leased_count = 0
        send_due(self, should_stop)

    def _offer(self, campaign_id: UUID) -> None:
        """Offer what is left in one campaign."""
        context = self.context()
        campaign = self.find_campaign(campaign_id)
        if campaign is not None and campaign.needs_offers(context.now):
            self.execute(OfferUses(context=context, campaign_id=campaign_id))

    def turn(self, ended: Sequence[Ended[_PreparedOffer, Outcome]], free: int) -> Sequence[_PreparedOffer] | None:
        """Store outcomes, and lease the email that is due longest."""
        for (offer, _), outcome in ended:
            if outcome is not None:
                self._store(offer, outcome)
        now = self.steps.now()
        due = self.lists.take(now) if free and self.leased_count < TAKEN_MAX else None
        if due is None:
            return None
        self.leased_count += 1
        prepared = self._prepare(due, now)
        return [prepared] if prepared else []

    def start(self, leased: Sequence[_PreparedOffer]) -> Mapping[Future[Outcome], _PreparedOffer]:
        """Send in this thread."""
        return {send_at_once(self._send, each): each for each in leased}

    def _send(self, prepared: _PreparedOffer) -> Outcome:
        return self.steps.send_in_time(self.channel, prepared.message, prepared.offer.leased_until)

    def _prepare(self, offer: DueOffer, now: datetime) -> _PreparedOffer | None:
        """Return what is sent; None if the email was closed."""
        if offer.attempts > 1 and offer.last_outcome is None:  # a worker ended before it stored an outcome
            self._begin_hours(offer, "unknown")
            self.lists.close(offer, None, "unknown")
            return None
        campaign = self.find_campaign(offer.campaign_id)
        place = None if campaign is None else find_place(campaign.waiting, offer.place_id)
        is_over = campaign is None or campaign.has_ended(now)
        if campaign is None or is_over or place is None or place.offered_until is None or place.offered_until <= now:
            self.lists.close(offer, None, "not_needed")
            return None
        if not campaign.keeps_use_for(place, now):
            self.lists.close(offer, now + WAIT, "campaign_waits", counts=False)
            return None
        code = self.find_code(offer.code_id)
        if not self._is_redeemable(offer, code, now):
            return None
        group, code_ends_at = (None, None) if code is None else (code.terms.group, code.terms.expires_at)
        deadline = campaign.find_deadline(now)
        address = self.steps.addresses([offer.recipient_id]).get(offer.recipient_id)
        # Who joins asks for this email, so an earlier opt-out does not stop it.
        is_unwanted = self.opt_outs.has_opted_out(offer.recipient_id, group, since=place.joined_at)
        is_unwanted = is_unwanted or self.opt_outs.is_suppressed(offer.recipient_id, group)
        if is_unwanted or not isinstance(address, EmailAddress):
            self._give_up(offer, "undeliverable", "suppressed")
            return None
        mail = OfferMail(
            campaign_id=offer.campaign_id,
            place=place,
            group=group,
            code_suffix=offer.code_suffix or "",
            until=deadline if code_ends_at is None else min(deadline, code_ends_at),
            written_at=offer.offered_at,
        )
        return _PreparedOffer(offer, self.steps.message_factory.waiting_offer(mail, address))

    def _is_redeemable(self, offer: DueOffer, code: RedeemCode | None, now: datetime) -> bool:
        """Return whether the code by which the person joined takes their use now; else, postpone or end the offer."""
        if code is None:
            return True
        state, is_of_another = code.state(now), code.is_bound_to_another(offer.recipient_id)
        may_become_free = code.bound_to is None and not code.sent_binding
        if state in ENDED or (is_of_another and not may_become_free):
            self._give_up(offer, "code_ended", "code_ended")
        elif state != "active" or is_of_another:
            self.lists.close(offer, now + WAIT, "code_waits", counts=False)
        else:
            return True
        return False

    def _store(self, offer: DueOffer, outcome: Outcome) -> None:
        """Store what follows an attempt."""
        match judge(outcome, Attempts(now=self.steps.now(), number=offer.attempts), OFFER):
            case Again(at=at, counts=counts):
                self.lists.close(offer, at, outcome_label(outcome), counts=counts)
            case End() if refuses_address_for_good(outcome):
                self._give_up(offer, "undeliverable", "failed")
            case Done():
                self._begin_hours(offer, "sent")
                self.lists.close(offer, None, outcome_label(outcome))
            case End(outcome=ended):  # the offer stays until its deadline: its person may look at the page
                self._begin_hours(offer, "unknown" if isinstance(ended, OutcomeUnknown) else "failed")
                self.lists.close(offer, None, outcome_label(outcome))

    def _begin_hours(self, offer: DueOffer, outcome: OfferMailOutcome) -> None:
        """Set the deadline of the offer, before the email is closed: if a worker ends in between, it is set again."""
        mail = RecordOfferMail(
            context=self.context(), campaign_id=offer.campaign_id, place_id=offer.place_id, outcome=outcome
        )
        self.execute(mail)

    def _give_up(self, offer: DueOffer, cause: Literal["undeliverable", "code_ended"], outcome: str) -> None:
        """End a place to which no email goes."""
        leave = LeaveWaitingList(
            context=self.context(), campaign_id=offer.campaign_id, place_id=offer.place_id, cause=cause
        )
        self.execute(leave)
        self.lists.close(offer, None, outcome)
