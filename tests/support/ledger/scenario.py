"""given / when / then for decisions: real commands over one book, with a clock and ids that the test controls."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import EllipsisType
from typing import Any, Literal
from uuid import UUID

from msgspec.structs import replace

from domain.command_bus import Command, handle
from domain.commands.access.record_removal import RecordExternalRemoval
from domain.commands.access.settle_access import RecordRemovalOutcome
from domain.commands.campaign.join_campaign import JoinCampaign
from domain.commands.campaign.manage_campaign import (
    CampaignCommand,
    ChangeCampaignTerms,
    CreateCampaign,
    EndCampaign,
    PauseCampaign,
    ResumeCampaign,
)
from domain.commands.campaign.waiting_list import (
    JoinWaitingList,
    LeaveWaitingList,
    OfferUses,
    RecordOfferMail,
    WaitingListCommand,
)
from domain.commands.code.issue import IssueCode
from domain.commands.code.pause import PauseCode, ResumeCode
from domain.commands.code.revoke import ContinueRevocation, RevokeCode
from domain.commands.context import CommandContext, InvitationWaits
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.commands.delivery.claim_attempt import ClaimAttempt
from domain.commands.delivery.record_bounce import RecordMailReport, ReportEvidence
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.commands.hand_out.manage_hand_out import HandOutCommand
from domain.commands.reservation.cancel import CancelReservation
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.refund import RefundReservation
from domain.commands.reservation.request_resend import RequestResend
from domain.commands.reservation.reserve import ReserveUse
from domain.commands.reservation.resolve_case import RefundAfterOutage, Resolution, ResolveReservation
from domain.commands.reservation.settle_due import SettleDue
from domain.errors import Refusal
from domain.events.campaign import CampaignTerms, Counting
from domain.events.event import ActorKind, Event, ReportedMail
from domain.events.waiting_list import OfferMailOutcome
from domain.judgment import invitation_rules
from domain.model.campaign import Campaign
from domain.model.counted_uses import ExistingUse
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.ports import Accepted, Outcome, OutcomeUnknown, Rejected, RemovalOutcome, TextDraft
from domain.results import CampaignResult, CommandResult, HandOutResult, Result, WaitingResult
from domain.values.persons.mailboxes import find_mailbox
from domain.working_set import WorkingSet
from domain.writes import IdempotencyKey
from tests.support.ledger.code_terms import make_terms

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SENT = Accepted(server="mx:25", reply_code=250)
REFUSED = Rejected(server="mx:25", reason="address_refused", final=True, about_address=True, reply_code=550)
BUSY = Rejected(server="mx:25", reason="temporary", final=False, reply_code=451)
NO_CONNECTION = Rejected(server="mx:25", reason="temporary", final=False, about_connection=True, reply_code=421)
LOST = OutcomeUnknown(server="mx:25", cause="connection_lost")


@dataclass(frozen=True)
class ScenarioDraft:
    """A person or code as the domain sees a vault's draft."""

    digests: Sequence[bytes]
    new_id: UUID
    domain: str = "example.com"
    mailbox: str = ""

    @property
    def mailbox_digests(self) -> Sequence[bytes]:
        """The mailbox itself, so that a test can read it."""
        return [self.mailbox.encode()]


def draft_person(name: str, new_id: UUID) -> ScenarioDraft:
    """A person by name, whose address is at example.com unless the name is an address itself."""
    address = name if "@" in name else f"{name}@example.com"
    return ScenarioDraft([name.encode()], new_id, address.partition("@")[2], find_mailbox(address))


class Scenario:
    """One code and what happens to it. Times are seconds after START.

    Args:
        bound: Whether the code belongs to its first recipient.
        policy: The policy of the ledger.
        channel: Name of the channel of invitations.
        campaign: Terms of the campaign that the code belongs to; without them it belongs to none.
        is_member: Whether the code belongs to the campaign from the beginning.
        terms: Terms of the code by name; one use, and nothing else bounded.
    """

    def __init__(
        self,
        *,
        bound: bool = True,
        policy: Policy | None = None,
        channel: str = "smtp",
        campaign: CampaignTerms | None = None,
        is_member: bool = True,
        **terms: Any,
    ) -> None:
        self.policy, self.channel = policy or Policy(), channel
        self.working_set = WorkingSet()
        self.now = START
        self._ids = 0
        self.campaign_id = None if campaign is None else UUID(int=0xCA)
        if campaign is not None:
            self.create_campaign(campaign)
        self.code_id = self.issue(b"code", bound=bound, is_member=is_member, **terms)

    def issue(self, text: bytes, *, bound: bool = True, is_member: bool = True, **terms: Any) -> UUID:
        """Issue a code, in the campaign if there is one and if the code is a member; its id."""
        code_id = self.new_id()
        result = self.run(
            IssueCode(
                context=self.context("operator"),
                code_id=code_id,
                text=ScenarioDraft([text], code_id),
                terms=make_terms(**terms),
                bound=bound,
                campaign_id=self.campaign_id if is_member else None,
            )
        )
        self.working_set.code_ids[text] = code_id
        return done(result).code.code_id

    @property
    def code(self) -> RedeemCode:
        return self.working_set.codes[self.code_id]

    @property
    def events(self) -> list[Event]:
        return [recorded.event for recorded in self.working_set.new_events]

    @property
    def kinds(self) -> list[str]:
        """Names of everything that happened since the code was issued."""
        return [type(event).__name__ for event in self.events[1:]]

    @property
    def balance(self) -> tuple[int, int]:
        """(used, reserved)."""
        return self.code.used, self.code.reserved

    def new_id(self) -> UUID:
        """The next id, the same in every run."""
        self._ids += 1
        return UUID(bytes=sha256(str(self._ids).encode()).digest()[:16])

    def context(self, actor: ActorKind, request_id: str | None = None, actor_id: str | None = None) -> CommandContext:
        return CommandContext(now=self.now, actor=actor, actor_id=actor_id, request_id=request_id)

    def run(self, command: Command) -> Result:
        result = handle(command, self.working_set, self.policy)
        if isinstance(result, Refusal):
            declared = getattr(command, "refusals", (type(result),))
            assert type(result) in declared, (
                f"declare {type(result).__name__} in the refusals of {type(command).__name__}"
            )
        return result

    @property
    def campaign(self) -> Campaign:
        return self.working_set.campaigns[self._campaign_key]

    @property
    def _campaign_key(self) -> UUID:
        assert self.campaign_id is not None, "the scenario has no campaign"
        return self.campaign_id

    def manage(self, command: CampaignCommand) -> CampaignResult | Refusal:
        result = handle(command, self.working_set, self.policy)
        if isinstance(result, Refusal):
            assert type(result) in command.refusals, f"declare {type(result).__name__}"
        return result

    def create_campaign(self, terms: CampaignTerms) -> CampaignResult | Refusal:
        return self.manage(CreateCampaign(context=self.context("staff"), campaign_id=self._campaign_key, terms=terms))

    def change_campaign(self, counting: Counting | None = None, **changes: Any) -> CampaignResult | Refusal:
        key = self._campaign_key
        uses = [each for each in self.working_set.reservations.values() if each.is_use and each.occupies_use]
        self.working_set.existing_uses[key] = [
            ExistingUse(each.code_id, each.reservation_id, each.recipient_id, each.reserved_at) for each in uses
        ]
        result = self.manage(
            ChangeCampaignTerms(context=self.context("staff"), campaign_id=key, changes=changes, counting=counting)
        )
        # Another transaction reads them again.
        counted = [each for each in uses if self.campaign.counts(self.working_set.codes[each.code_id], each)]
        self.working_set.uses_of_persons = dict(Counter((key, each.recipient_id) for each in counted))
        return result

    def wait(
        self, person: str = "li", *, code: bytes = b"code", waits: InvitationWaits | None = None
    ) -> WaitingResult | Refusal:
        redeem = ReserveUse(
            context=replace(self.context("person"), waits=waits),
            code_digests=[code],
            recipient=self._draft(person),
            reservation_id=self.new_id(),
            language="zh",
        )
        return self.on_waiting_list(JoinWaitingList(redeem=redeem))

    def _place_of(self, person: str) -> UUID:
        recipient_id = self.working_set.recipient_id(self._draft(person))
        return next(each.place_id for each in self.campaign.waiting if each.recipient_id == recipient_id)

    def leave(self, person: str = "li") -> WaitingResult | Refusal:
        context, key, place_id = self.context("person"), self._campaign_key, self._place_of(person)
        return self.on_waiting_list(LeaveWaitingList(context=context, campaign_id=key, place_id=place_id, cause="left"))

    def mail_offer(self, person: str = "li", outcome: OfferMailOutcome = "sent") -> WaitingResult | Refusal:
        context, key, place_id = self.context("worker"), self._campaign_key, self._place_of(person)
        return self.on_waiting_list(
            RecordOfferMail(context=context, campaign_id=key, place_id=place_id, outcome=outcome)
        )

    def offer_uses(self) -> WaitingResult | Refusal:
        return self.on_waiting_list(OfferUses(context=self.context("sweep"), campaign_id=self._campaign_key))

    def on_waiting_list(self, command: WaitingListCommand) -> WaitingResult | Refusal:
        result = handle(command, self.working_set, self.policy)
        if isinstance(result, Refusal):
            assert type(result) in command.refusals, f"declare {type(result).__name__}"
        return result

    def pause_campaign(self) -> CampaignResult | Refusal:
        return self.manage(PauseCampaign(context=self.context("staff"), campaign_id=self._campaign_key))

    def resume_campaign(self) -> CampaignResult | Refusal:
        return self.manage(ResumeCampaign(context=self.context("staff"), campaign_id=self._campaign_key))

    def end_campaign(self) -> CampaignResult | Refusal:
        return self.manage(EndCampaign(context=self.context("staff"), campaign_id=self._campaign_key))

    def hand_out(self, command: HandOutCommand) -> HandOutResult | Refusal:
        result = handle(command, self.working_set, self.policy)
        if isinstance(result, Refusal):
            assert type(result) in command.refusals, f"declare {type(result).__name__}"
        return result

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def redeem(
        self,
        person: str = "li",
        *,
        again: UUID | None = None,
        key: str | None = None,
        code: bytes = b"code",
        group: str | None = None,
    ) -> Result:
        idempotency = None
        if key is not None:
            body = sha256(str(again).encode()).digest()
            idempotency = IdempotencyKey(scope_digest=f"{person}/{key}".encode(), body_digest=body)
        return self.run(
            ReserveUse(
                context=self.context("person"),
                code_digests=[code],
                recipient=self._draft(person),
                reservation_id=self.new_id(),
                language="zh",
                again=again,
                key=idempotency,
                group=group,
            )
        )

    def _draft(self, person: str) -> ScenarioDraft:
        draft = draft_person(person, self.new_id())
        self.working_set.mailboxes[self.working_set.recipient_id(draft)] = draft.mailbox_digests[0]
        return draft

    def reserved(self, person: str = "li", *, again: UUID | None = None) -> UUID:
        return done(self.redeem(person, again=again)).require_reservation().reservation_id

    def claim(self, reservation_id: UUID, worker: str = "w1", task: str = "t1") -> Result:
        context = self.context("worker", task, worker)
        return self.run(
            ClaimAttempt(context=context, reservation_id=reservation_id, channel=self.channel, case_id=self.new_id())
        )

    def outcome(
        self, reservation_id: UUID, outcome: Outcome, *, attempt: int | None = None, delivery: int | None = None
    ) -> Result:
        """A worker records what became of its attempt, of the newest delivery unless another is named."""
        reservation = self.reservation(reservation_id)
        return self.run(
            RecordOutcome(
                context=self.context("worker", "t1", "w1"),
                reservation_id=reservation_id,
                delivery=delivery or reservation.delivery,
                attempt=reservation.last_attempt if attempt is None else attempt,
                outcome=outcome,
                case_id=self.new_id(),
            )
        )

    def attempt(self, reservation_id: UUID, outcome: Outcome) -> Result:
        self.claim(reservation_id)
        return self.outcome(reservation_id, outcome)

    def sent(self, person: str = "li", *, again: UUID | None = None) -> UUID:
        """A person redeems and the invitation is sent; the reservation's id."""
        reservation_id = self.reserved(person, again=again)
        self.attempt(reservation_id, SENT)
        return reservation_id

    def settle(self, reservation_id: UUID) -> Result:
        context = self.context("sweep")
        return self.run(SettleDue(context=context, reservation_id=reservation_id, case_id=self.new_id()))

    def refund(
        self,
        reservation_id: UUID,
        *,
        request_id: str = "r1",
        held_only: bool = False,
        revoke_access: bool | None = None,
    ) -> Result:
        return self.run(
            RefundReservation(
                context=self.context("staff", request_id),
                reservation_id=reservation_id,
                cause="staff",
                held_only=held_only,
                revoke_access=revoke_access,
            )
        )

    def cancel(self, reservation_id: UUID, *, request_id: str = "c1") -> Result:
        return self.run(CancelReservation(context=self.context("staff", request_id), reservation_id=reservation_id))

    def correct(
        self,
        reservation_id: UUID,
        person: str,
        *,
        actor: ActorKind = "staff",
        code: bytes | None = None,
        token_of: UUID | EllipsisType | None = ...,
    ) -> Result:
        """Name the right address; the client has the reservation's own correction token unless it is said otherwise."""
        return self.run(
            CorrectRecipient(
                context=self.context(actor, "k1"),
                reservation_id=reservation_id,
                recipient=self._draft(person),
                new_reservation_id=self.new_id(),
                code_digests=[code] if code else None,
                token_of=reservation_id if token_of is ... else token_of,
            )
        )

    def resend(self, reservation_id: UUID, *, request_id: str = "s1") -> Result:
        return self.run(RequestResend(context=self.context("staff", request_id), reservation_id=reservation_id))

    def join(self, code_id: UUID | None = None, *, campaign_id: UUID | None = None) -> Result:
        return self.run(
            JoinCampaign(
                context=self.context("staff"),
                code_id=code_id or self.code_id,
                campaign_id=campaign_id or self._campaign_key,
            )
        )

    def pause(self) -> Result:
        return self.run(PauseCode(context=self.context("staff"), code_id=self.code_id))

    def resume(self) -> Result:
        return self.run(ResumeCode(context=self.context("staff"), code_id=self.code_id))

    def revoke(self, *, cases: int = 5) -> Result:
        ids = [self.new_id() for _ in range(cases)]
        return self.run(RevokeCode(context=self.context("staff"), code_id=self.code_id, case_ids=ids))

    def continue_revocation(self, *, cases: int = 5) -> Result:
        ids = [self.new_id() for _ in range(cases)]
        return self.run(ContinueRevocation(context=self.context("sweep"), code_id=self.code_id, case_ids=ids))

    def accept(self, reservation_id: UUID, *, delivery: int = 1) -> Result:
        context = self.context("person")
        return self.run(
            AcceptInvite(context=context, reservation_id=reservation_id, delivery=delivery, case_id=self.new_id())
        )

    def bounce(
        self,
        reservation_id: UUID,
        *,
        delivery: int = 1,
        request_id: str | None = None,
        reason: str = "mailbox_full",
        mail: ReportedMail = "invite",
        reply: TextDraft | None = None,
        evidence: ReportEvidence = "token",
    ) -> Result:
        return self.run(
            RecordMailReport(
                context=self.context("key", request_id),
                evidence=evidence,
                reservation_id=reservation_id,
                delivery=delivery,
                reason=reason,
                case_id=self.new_id(),
                mail=mail,
                text=reply,
            )
        )

    def report(self, reservation_id: UUID, kind: Literal["delayed", "complained"], report: TextDraft) -> Result:
        return self.run(
            RecordMailReport(
                context=self.context("worker"),
                evidence="token",
                reservation_id=reservation_id,
                delivery=1,
                case_id=UUID(int=0),  # opened by bounces alone
                kind=kind,
                text=report,
            )
        )

    def resolve(
        self,
        reservation_id: UUID,
        resolution: Resolution,
        *,
        request_id: str = "s1",
        revoke_access: bool | None = None,
    ) -> Result:
        return self.run(
            ResolveReservation(
                context=self.context("staff", request_id),
                reservation_id=reservation_id,
                resolution=resolution,
                case_id=self.new_id(),
                revoke_access=revoke_access,
            )
        )

    def outage(self, reservation_id: UUID, *, include_sent: bool = False) -> Result:
        context = self.context("operator", "o1")
        return self.run(RefundAfterOutage(context=context, reservation_id=reservation_id, include_sent=include_sent))

    def removal(self, reservation_id: UUID, outcome: RemovalOutcome) -> Result:
        access = self.reservation(reservation_id).access
        return self.run(
            RecordRemovalOutcome(
                context=self.context("sweep"),
                reservation_id=reservation_id,
                attempt=access.removal_attempts + 1 if access else 1,
                channel=self.channel,
                outcome=outcome,
                case_id=self.new_id(),
            )
        )

    def removed(self, reservation_id: UUID) -> Result:
        return self.run(RecordExternalRemoval(context=self.context("channel"), reservation_id=reservation_id))

    def parked(self, person: str = "li") -> UUID:
        """A reservation with an unknown outcome whose time is over; its id."""
        reservation_id = self.reserved(person)
        self.attempt(reservation_id, LOST)
        self.passes(2000)
        self.settle(reservation_id)
        return reservation_id

    def given_back(self, person: str = "li") -> UUID:
        """A reservation whose only attempt definitely failed and whose use was refunded; its id."""
        reservation_id = self.reserved(person)
        self.attempt(reservation_id, REFUSED)
        return reservation_id

    def newest_use(self, person: str = "li") -> UUID | None:
        """The newest reservation of a use that a person has; None if they have none."""
        person_id = self.working_set.recipient_ids.get(person.encode())
        mine = [] if person_id is None else self.working_set.reservations_of(self.code_id, person_id)
        return next((reservation.reservation_id for reservation in reversed(mine) if reservation.is_use), None)

    def set_deadline(self, reservation_id: UUID, deadline: datetime) -> None:
        """Set the deadline of a reservation, to the microsecond that a test is about."""
        reservations = self.working_set.reservations
        reservations[reservation_id] = replace(reservations[reservation_id], deadline=deadline)

    def reservation(self, reservation_id: UUID) -> Reservation:
        return self.working_set.reservations[reservation_id]


def back_off(policy: Policy, reservation_id: UUID, attempt: int) -> timedelta:
    """The wait after an attempt at an invitation (from 1), with the jitter of its reservation."""
    return invitation_rules(policy).wait.after(attempt, reservation_id.bytes[attempt % 16] / 256)


def done(result: Result) -> CommandResult:
    assert isinstance(result, CommandResult), result
    return result


def refusal(result: Result | WaitingResult) -> str:
    assert isinstance(result, Refusal), result
    return result.code
