"""What a request or an action would have led to at a past time: the rules decide on the state of then.

Nothing is executed, and nothing is written. The policy is today's: the log has the facts, not the settings.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, get_args
from uuid import UUID

from msgspec import structs
from pydantic import BaseModel, Field

from api.errors import ApplicationError
from api.i18n.catalogs import translator
from api.i18n.messages import refusal_detail, say_event, state_message
from api.use_cases.past_states.campaign_evidence import (
    NO_EVIDENCE,
    CampaignEvidence,
    find_campaign_evidence,
)
from api.use_cases.past_states.past_source import load_past
from api.use_cases.past_states.what_if_evidence import find_evidence
from api.use_cases.reservation_actions import cancel, refund, resend, resolve
from api.use_cases.services import Caller, LedgerServices
from domain.command_bus import Command, ReservationCommand, handle
from domain.commands.context import CommandContext
from domain.commands.reservation.reserve import ReserveUse
from domain.errors import Refusal
from domain.events.event import Event
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.ports import Language
from domain.results import CommandResult
from domain.values.identifiers import EmailAddress
from domain.working_set import WorkingSet
from projections.read_models.campaign_list import CampaignReader
from projections.read_models.past_states import PastState, PastStateReader
from projections.vault.vault import CodeInput

WhatIfAction = Literal["refund", "cancel", "resend", "resolve-sent", "resolve-refunded", "resolve-retry"]
"""Actions of staff that need no further input; a refund leaves the access grant as it is."""
ACTIONS: Final[tuple[WhatIfAction, ...]] = get_args(WhatIfAction)
ACCEPTED: Final = "accepted"
CODE: Final = CodeInput(digests=(b"what-if",), shape="native")
"""Stands for the code's text, which the question does not need."""


class CrossedView(BaseModel):
    """A threshold that would have been crossed."""

    threshold: str = Field(description="Such as `80%`, `10 left` or `7 days`.")
    campaign_id: UUID | None = Field(description="The campaign whose threshold it is; null: it is one of the code.")


class WhatIfAnswer(BaseModel):
    """What a request or an action would have led to. Nothing was executed."""

    would: str = Field(description="`accepted`, or the problem code of the refusal.")
    detail: str = Field(description="What the caller would have been told.")
    as_of: datetime = Field(description="The time that the answer is about.")
    version: int = Field(description="Version of the last event of the code at that time; 0 before it was issued.")
    because: list[int] = Field(description="Versions of the events that the answer rests on, oldest first.")
    campaign_id: UUID | None = Field(description="The campaign that refused; null if no campaign did.")
    because_of_campaign: list[int] = Field(
        description="Versions of the events of that campaign that its refusal rests on, oldest first."
    )
    crossed: list[CrossedView] = Field(
        description="Thresholds of the code and of its campaign that would have been crossed, and reported."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """The answer with what a page shows of it.

    Attributes:
        events: The events that would have been added.
        before: The code at that time; None before it was issued.
        after: The code after those events.
        evidence_left_out: How many further events the answer rests on.
        campaign_evidence: The campaign that refused, with the events that its refusal rests on.
    """

    answer: WhatIfAnswer
    events: list[Event]
    before: RedeemCode | None
    after: RedeemCode | None
    evidence_left_out: int
    campaign_evidence: CampaignEvidence

    @property
    def is_accepted(self) -> bool:
        """Whether no rule would have refused."""
        return self.answer.would == ACCEPTED


def find_past(states: PastStateReader, code_id: UUID, at: datetime) -> PastState:
    """Return a code at a time.

    Raises:
        ApplicationError: NOT_FOUND, there is no such code.
    """
    past = states.find_state_at(code_id, at)
    if past is None:
        raise ApplicationError("NOT_FOUND")
    return past


def ask_redeem(
    services: LedgerServices, states: PastStateReader, past: PastState, address: EmailAddress, language: Language
) -> WhatIf:
    """Decide what a redeem request of an email address would have led to; rate limits are left out.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """
    context = CommandContext(now=past.at, actor="person")
    command = services.drafts.draft_reserve_use(context, address, CODE, language=language)
    return _decide(services, states, past, command, language)


def ask_action(
    services: LedgerServices,
    states: PastStateReader,
    past: PastState,
    reservation_id: UUID,
    action: WhatIfAction,
    language: Language,
) -> WhatIf:
    """Decide what an action of staff on a reservation would have led to.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """
    command = _build_command(services, reservation_id, action)
    command = structs.replace(command, context=structs.replace(command.context, now=past.at))
    return _decide(services, states, past, command, language)


def _build_command(services: LedgerServices, reservation_id: UUID, action: WhatIfAction) -> ReservationCommand:
    caller = Caller("staff")
    match action:
        case "refund":
            return refund.command(services, caller, reservation_id, revoke_access=False)
        case "cancel":
            return cancel.command(services, caller, reservation_id)
        case "resend":
            return resend.command(services, caller, reservation_id)
        case "resolve-sent":
            return resolve.command(services, caller, reservation_id, "sent")
        case "resolve-refunded":
            return resolve.command(services, caller, reservation_id, "refunded", revoke_access=False)
        case "resolve-retry":
            return resolve.command(services, caller, reservation_id, "retry")


def _decide(
    services: LedgerServices,
    states: PastStateReader,
    past: PastState,
    command: ReserveUse | ReservationCommand,
    language: Language,
) -> WhatIf:
    """Run the command's rules on what they read, as of then."""
    working_set = load_past(states, past, command)
    before = {**_find_those_of_owners(states, past), **working_set.reservations}
    result = handle(command, working_set, services.storage.ledger.policy)
    events = [recorded.event for recorded in working_set.new_code_events()]
    evidence = find_evidence(states, past, result, command.reservation_id, before, events)
    campaign_evidence = _find_campaign_evidence(services, states, past, command, working_set, result)
    answer = WhatIfAnswer(
        would=result.code if isinstance(result, Refusal) else ACCEPTED,
        detail=_describe(result, command, events, language),
        as_of=past.at,
        version=past.version,
        because=evidence.versions,
        campaign_id=result.campaign_id if isinstance(result, Refusal) else None,
        because_of_campaign=list(campaign_evidence.events),
        crossed=[CrossedView(**crossed._asdict()) for crossed in working_set.list_crossed()],
    )
    return WhatIf(
        answer=answer,
        events=events,
        before=past.code,
        after=working_set.codes.get(past.code_id),
        evidence_left_out=evidence.left_out,
        campaign_evidence=campaign_evidence,
    )


def _find_those_of_owners(states: PastStateReader, past: PastState) -> dict[UUID, Reservation]:
    """Return the reservations of those whom the code was for: a refusal of anyone else rests on them."""
    owners = {past.code.owner_id, past.code.bound_to} - {None} if past.code else set()
    reservations = states.fold_related(past, (), [owner for owner in owners if owner]) if owners else []
    return {reservation.reservation_id: reservation for reservation in reservations}


def _find_campaign_evidence(
    services: LedgerServices,
    states: PastStateReader,
    past: PastState,
    command: ReserveUse | ReservationCommand,
    working_set: WorkingSet,
    result: CommandResult | Refusal,
) -> CampaignEvidence:
    """Return what a refusal by a campaign rests on; nothing for other results."""
    if not isinstance(result, Refusal) or result.campaign_id is None:
        return NO_EVIDENCE
    campaign = working_set.campaigns[result.campaign_id]
    if isinstance(command, ReserveUse):
        draft = command.recipient
        recipient_id, digests = working_set.recipient_id(draft), draft.mailbox_digests
    else:
        recipient_id, digests = working_set.reservation(command.reservation_id).recipient_id, ()
    reader = CampaignReader(services.storage)
    person = reader.find_person(campaign, recipient_id, digests)
    uses = states.count_uses_in(campaign, person)
    return find_campaign_evidence(states, reader, campaign, past.at, result, (person, uses))


def _describe(result: CommandResult | Refusal, command: Command, events: list[Event], language: Language) -> str:
    """Return what the caller would have been told."""
    if isinstance(result, Refusal):
        problem = ApplicationError.from_refusal(result)
        return refusal_detail(problem.code, language, **problem.facts)
    if isinstance(command, ReserveUse):
        reservation = result.require_reservation()
        return state_message(
            reservation.public_state,
            language,
            cause=reservation.refund_cause,
            sent_at=reservation.sent_at,
            created=reservation.reservation_id == command.reservation_id,
        )
    say = translator(language)
    if not events:
        return say("what_if.nothing")
    return say("what_if.separator").join(say_event(event, language) for event in events)
