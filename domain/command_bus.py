"""From one command to one result: run its handler and fold the new events in; a refusal becomes a result."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, overload

from domain.commands.access.end_on_refund import release_waiting_invitations
from domain.commands.access.rebind import (
    REBIND_READS,
    REQUEST_REBIND_READS,
    RebindReservation,
    RequestRebind,
    rebind_reservation,
    request_rebind,
)
from domain.commands.access.record_removal import RecordExternalRemoval, record_external_removal
from domain.commands.access.settle_access import (
    RecordRemovalOutcome,
    SettleAccess,
    end_replaced_access,
    record_removal_outcome,
    settle_access,
)
from domain.commands.add_note import (
    CODE_NOTE_READS,
    RESERVATION_NOTE_READS,
    NoteOnCode,
    NoteOnReservation,
    note_on_code,
    note_on_reservation,
)
from domain.commands.campaign.join_campaign import JOIN_READS, JoinCampaign, join_campaign
from domain.commands.campaign.manage_campaign import (
    CHANGE_TERMS_READS,
    CREATE_READS,
    CampaignCommand,
    ChangeCampaignTerms,
    CreateCampaign,
    EndCampaign,
    PauseCampaign,
    ReportCampaignEnd,
    ResumeCampaign,
    manage_campaign,
)
from domain.commands.campaign.waiting_list import (
    JOIN_WAITING_LIST_READS,
    LEAVE_WAITING_LIST_READS,
    JoinWaitingList,
    LeaveWaitingList,
    OfferUses,
    RecordOfferMail,
    WaitingListCommand,
    join_waiting_list,
    leave_waiting_list,
    offer_uses,
    record_offer_mail,
)
from domain.commands.code.change_terms import ChangeTerms, change_terms
from domain.commands.code.import_code import IMPORT_READS, ImportCode, import_code
from domain.commands.code.issue import IssueCode, issue_code
from domain.commands.code.pause import PauseCode, ResumeCode, pause_or_resume
from domain.commands.code.report_end import ReportCodeEnd, report_code_end
from domain.commands.code.revoke import (
    REVOKE_READS,
    ContinueRevocation,
    RevokeCode,
    continue_revocation,
    revoke_code,
)
from domain.commands.context import CampaignDecision, Decision
from domain.commands.delivery.accept_invite import AcceptInvite, accept_invite
from domain.commands.delivery.claim_attempt import ClaimAttempt, claim_attempt
from domain.commands.delivery.record_bounce import (
    MAIL_REPORT_READS,
    RecordMailReport,
    record_mail_report,
)
from domain.commands.delivery.record_outcome import RecordOutcome, record_outcome
from domain.commands.delivery.reveal_link import RevealLink, reveal_link
from domain.commands.hand_out.hand_out_code import HAND_OUT_CODE_READS, HandOutCode, hand_out_code
from domain.commands.hand_out.hand_out_mail import (
    HAND_OUT_MAIL_READS,
    HAND_OUT_REMINDER_READS,
    HAND_OUT_REPORT_READS,
    HandOutMailCommand,
    RecordHandOutMail,
    RecordHandOutReport,
    RemindOfHandOut,
    ResendHandOut,
    record_hand_out_mail,
    record_hand_out_report,
    remind_of_hand_out,
    resend_hand_out,
)
from domain.commands.hand_out.manage_hand_out import (
    CHANGE_HAND_OUT_READS,
    HAND_OUT_READS,
    ChangeHandOut,
    CreateHandOut,
    EndHandOut,
    HandOutCommand,
    PauseHandOut,
    ResumeHandOut,
    manage_hand_out,
)
from domain.commands.invitation_limits import find_invitation_limit, hide_recipient
from domain.commands.reads import OF_CAMPAIGN, OF_CODE, OF_MOVED_RESERVATION, OF_NEW_CODE, OF_RESERVATION, Reads
from domain.commands.refused_requests import leave_refused_request
from domain.commands.reservation.cancel import CancelReservation, cancel_reservation
from domain.commands.reservation.close_for_erasure import CloseForErasure, close_for_erasure
from domain.commands.reservation.correct_recipient import CORRECT_READS, CorrectRecipient, correct_recipient
from domain.commands.reservation.refund import RefundReservation, refund_reservation
from domain.commands.reservation.request_resend import RESEND_READS, RequestResend, request_resend
from domain.commands.reservation.reserve import RESERVE_READS, ReserveUse, reserve_use
from domain.commands.reservation.resolve_case import (
    RefundAfterOutage,
    ResolveReservation,
    refund_after_outage,
    resolve_reservation,
)
from domain.commands.reservation.settle_due import SettleDue, settle_due
from domain.errors import Refusal
from domain.events.reservation import UseReserved
from domain.model.waiting_list import find_place
from domain.policy import Policy
from domain.results import AnyResult, CampaignResult, CommandResult, HandOutResult, Result, WaitingResult
from domain.working_set import WorkingSet

CodeCommand = (
    ChangeTerms
    | PauseCode
    | ResumeCode
    | RevokeCode
    | ContinueRevocation
    | NoteOnCode
    | JoinCampaign
    | ReportCodeEnd
    | HandOutMailCommand
    | HandOutCode
)
"""A command about one existing code, by the code's id."""

ReservationCommand = (
    ClaimAttempt
    | RecordOutcome
    | SettleDue
    | RefundReservation
    | CancelReservation
    | CorrectRecipient
    | RequestResend
    | AcceptInvite
    | RecordMailReport
    | RevealLink
    | RecordExternalRemoval
    | ResolveReservation
    | RefundAfterOutage
    | NoteOnReservation
    | CloseForErasure
    | RebindReservation
    | SettleAccess
    | RecordRemovalOutcome
)
"""A command about one existing reservation, by the reservation's id."""

NewCode = IssueCode | ImportCode
"""A command that creates a code."""

Command = NewCode | ReserveUse | RequestRebind | CodeCommand | ReservationCommand
"""A command about one code, or a reservation on it."""

AnyCommand = Command | CampaignCommand | WaitingListCommand | HandOutCommand


@overload
def handle(command: Command, working_set: WorkingSet, policy: Policy) -> Result: ...


@overload
def handle(command: CampaignCommand, working_set: WorkingSet, policy: Policy) -> CampaignResult | Refusal: ...


@overload
def handle(command: WaitingListCommand, working_set: WorkingSet, policy: Policy) -> WaitingResult | Refusal: ...


@overload
def handle(command: HandOutCommand, working_set: WorkingSet, policy: Policy) -> HandOutResult | Refusal: ...


def handle(command: AnyCommand, working_set: WorkingSet, policy: Policy) -> AnyResult:
    """Decide one command and fold its events into the working set; some refusals have events too.

    Raises:
        InvariantViolationError: An invariant would break; nothing of the batch may be committed.
    """
    rule = COMMANDS[type(command)]
    try:
        decision = rule.decide(command, working_set, policy)
    except Refusal as error:
        # Its frames hold the results, and so the refusal: a reference cycle.
        return _refuse(error.with_traceback(None), command, rule, working_set)
    if isinstance(decision, CampaignDecision):
        return _record_in_campaign(command, decision, working_set)
    if decision.events:
        if command.context.waits is not None and (limit := _find_limit(command, decision, working_set)) is not None:
            return _refuse(limit, command, rule, working_set)
        _record(decision, working_set, policy)
    if decision.refusal is not None:
        return _refuse(decision.refusal, command, rule, working_set)
    _leave_writes(decision, command.context.now, working_set)
    reservation_id = decision.reservation_id
    return CommandResult(
        code=working_set.codes[decision.code_id],
        reservation=None if reservation_id is None else working_set.reservations[reservation_id],
        changed=bool(decision.events),
        follow_up=decision.follow_up,
    )


def _refuse(refusal: Refusal, command: AnyCommand, rule: "CommandRule", working_set: WorkingSet) -> Refusal:
    """Return the refusal as its client receives it, and leave it to the store if it is kept."""
    refusal = hide_recipient(refusal, command.context)
    if rule.leave_refusal is not None:
        rule.leave_refusal(command, refusal, working_set)
    return refusal


def _leave_writes(decision: Decision, now: datetime, working_set: WorkingSet) -> None:
    """Leave what an accepted command writes next to its events to the store."""
    writes = working_set.writes
    for draft in decision.recipients:
        working_set.register_new_recipient(draft)
    if decision.code_text is not None:
        writes.code_texts[decision.code_id] = decision.code_text
    if decision.text is not None and decision.events:
        writes.texts.append(decision.text)
    if decision.given_code is not None:
        writes.given_codes.append(decision.given_code)
    if decision.key is not None and decision.reservation_id is not None:
        working_set.remember(decision.key, decision.reservation_id, now)


def _find_limit(command: AnyCommand, decision: Decision, working_set: WorkingSet) -> Refusal | None:
    return find_invitation_limit(decision.events, command.context, working_set.codes.get(decision.code_id))


def _record(decision: Decision, working_set: WorkingSet, policy: Policy) -> None:
    """Fold a decision's events in.

    Their consequences are folded in too: a former access ends, or a waiting invitation is released. Most decisions are
    one new use, which has none.
    """
    if len(decision.events) == 1 and isinstance(decision.events[0], UseReserved):
        working_set.record(decision.code_id, decision.events)
        return
    events = [*decision.events, *end_replaced_access(decision.events, working_set)]
    working_set.record(decision.code_id, events)
    working_set.record(decision.code_id, release_waiting_invitations(events, working_set, policy))


def _record_in_campaign(
    command: AnyCommand, decision: CampaignDecision, working_set: WorkingSet
) -> CampaignResult | WaitingResult | HandOutResult:
    changed = decision.event is not None
    if decision.event is not None:
        for event in (decision.event, *decision.more):
            working_set.record_campaign(decision.campaign_id, event)
        for draft in decision.recipients:
            working_set.register_new_recipient(draft)
    if decision.suppression is not None:
        working_set.suppress(decision.suppression)
    if decision.text is not None and (changed or decision.suppression is not None):
        working_set.writes.texts.append(decision.text)
    if isinstance(command, WaitingListCommand):
        campaign = working_set.campaigns[decision.campaign_id]
        place = None if decision.place_id is None else find_place(campaign.waiting, decision.place_id)
        return WaitingResult(campaign, place, changed)
    if decision.hand_out_id is not None:
        if decision.hand_out_texts:
            working_set.writes.hand_out_texts[decision.hand_out_id] = decision.hand_out_texts
        return HandOutResult(working_set.hand_outs[decision.hand_out_id], changed)
    return CampaignResult(working_set.campaigns[decision.campaign_id], changed)


class CommandRule(NamedTuple):
    """How a command is decided, and what that decision reads. What it leaves is in the decision.

    Attributes:
        is_alone: Whether no other command shares its transaction, because a batch does not maintain what it reads.
        leave_refusal: Leaves a refusal of it to the store; None if none is kept.
    """

    decide: Callable[[Any, WorkingSet, Policy], Decision | CampaignDecision]
    reads: Reads[Any]
    is_alone: bool = False
    leave_refusal: Callable[[Any, Refusal, WorkingSet], None] | None = None


def ignoring_policy(
    decide: Callable[[Any, WorkingSet], Decision | CampaignDecision],
) -> Callable[[Any, WorkingSet, Policy], Decision | CampaignDecision]:
    """Adapt a handler that needs no policy to the signature of `CommandRule.decide`."""
    return lambda command, working_set, _: decide(command, working_set)


COMMANDS: Mapping[type[AnyCommand], CommandRule] = {
    IssueCode: CommandRule(ignoring_policy(issue_code), OF_NEW_CODE),
    ImportCode: CommandRule(ignoring_policy(import_code), IMPORT_READS),
    ReserveUse: CommandRule(reserve_use, RESERVE_READS, leave_refusal=leave_refused_request),
    ClaimAttempt: CommandRule(claim_attempt, OF_RESERVATION),
    RecordOutcome: CommandRule(record_outcome, OF_RESERVATION),
    SettleDue: CommandRule(settle_due, OF_RESERVATION),
    RefundReservation: CommandRule(refund_reservation, OF_MOVED_RESERVATION),
    AcceptInvite: CommandRule(ignoring_policy(accept_invite), OF_RESERVATION),
    RecordMailReport: CommandRule(record_mail_report, MAIL_REPORT_READS),
    RevealLink: CommandRule(ignoring_policy(reveal_link), OF_RESERVATION),
    RecordExternalRemoval: CommandRule(ignoring_policy(record_external_removal), OF_RESERVATION),
    ResolveReservation: CommandRule(resolve_reservation, OF_MOVED_RESERVATION),
    RefundAfterOutage: CommandRule(ignoring_policy(refund_after_outage), OF_MOVED_RESERVATION),
    CloseForErasure: CommandRule(close_for_erasure, OF_RESERVATION),
    CancelReservation: CommandRule(cancel_reservation, OF_RESERVATION),
    CorrectRecipient: CommandRule(correct_recipient, CORRECT_READS, leave_refusal=leave_refused_request),
    RequestResend: CommandRule(request_resend, RESEND_READS),
    RequestRebind: CommandRule(request_rebind, REQUEST_REBIND_READS, leave_refusal=leave_refused_request),
    RebindReservation: CommandRule(rebind_reservation, REBIND_READS),
    SettleAccess: CommandRule(ignoring_policy(settle_access), OF_RESERVATION),
    RecordRemovalOutcome: CommandRule(record_removal_outcome, OF_RESERVATION),
    NoteOnReservation: CommandRule(ignoring_policy(note_on_reservation), RESERVATION_NOTE_READS),
    NoteOnCode: CommandRule(ignoring_policy(note_on_code), CODE_NOTE_READS),
    PauseCode: CommandRule(ignoring_policy(pause_or_resume), OF_CODE),
    ResumeCode: CommandRule(ignoring_policy(pause_or_resume), OF_CODE),
    ChangeTerms: CommandRule(ignoring_policy(change_terms), OF_CODE),
    JoinCampaign: CommandRule(ignoring_policy(join_campaign), JOIN_READS),
    RevokeCode: CommandRule(revoke_code, REVOKE_READS),
    ContinueRevocation: CommandRule(continue_revocation, REVOKE_READS),
    ReportCodeEnd: CommandRule(ignoring_policy(report_code_end), OF_CODE),
    HandOutCode: CommandRule(ignoring_policy(hand_out_code), HAND_OUT_CODE_READS),
    RecordHandOutMail: CommandRule(ignoring_policy(record_hand_out_mail), HAND_OUT_MAIL_READS),
    RecordHandOutReport: CommandRule(ignoring_policy(record_hand_out_report), HAND_OUT_REPORT_READS),
    ResendHandOut: CommandRule(ignoring_policy(resend_hand_out), HAND_OUT_MAIL_READS),
    RemindOfHandOut: CommandRule(ignoring_policy(remind_of_hand_out), HAND_OUT_REMINDER_READS),
    CreateCampaign: CommandRule(ignoring_policy(manage_campaign), CREATE_READS),
    ChangeCampaignTerms: CommandRule(ignoring_policy(manage_campaign), CHANGE_TERMS_READS, is_alone=True),
    PauseCampaign: CommandRule(ignoring_policy(manage_campaign), OF_CAMPAIGN),
    ResumeCampaign: CommandRule(ignoring_policy(manage_campaign), OF_CAMPAIGN),
    EndCampaign: CommandRule(ignoring_policy(manage_campaign), OF_CAMPAIGN),
    ReportCampaignEnd: CommandRule(ignoring_policy(manage_campaign), OF_CAMPAIGN),
    JoinWaitingList: CommandRule(join_waiting_list, JOIN_WAITING_LIST_READS, leave_refusal=leave_refused_request),
    LeaveWaitingList: CommandRule(ignoring_policy(leave_waiting_list), LEAVE_WAITING_LIST_READS),
    RecordOfferMail: CommandRule(ignoring_policy(record_offer_mail), OF_CAMPAIGN),
    OfferUses: CommandRule(ignoring_policy(offer_uses), OF_CAMPAIGN),
    CreateHandOut: CommandRule(ignoring_policy(manage_hand_out), HAND_OUT_READS, is_alone=True),
    ChangeHandOut: CommandRule(ignoring_policy(manage_hand_out), CHANGE_HAND_OUT_READS, is_alone=True),
    PauseHandOut: CommandRule(ignoring_policy(manage_hand_out), HAND_OUT_READS),
    ResumeHandOut: CommandRule(ignoring_policy(manage_hand_out), HAND_OUT_READS),
    EndHandOut: CommandRule(ignoring_policy(manage_hand_out), HAND_OUT_READS),
}
"""What there is to know about each command; a test compares the keys with `AnyCommand`."""


def split_batch(commands: Sequence[AnyCommand]) -> list[list[AnyCommand]]:
    """Return the commands in order, in batches that may each be decided in one transaction."""
    batches: list[list[AnyCommand]] = []
    for command in commands:
        is_alone = COMMANDS[type(command)].is_alone
        if is_alone or not batches or COMMANDS[type(batches[-1][0])].is_alone:
            batches.append([])
        batches[-1].append(command)
    return batches


def group_by_class(commands: Iterable[AnyCommand]) -> list[tuple[Reads[Any], list[AnyCommand]]]:
    """Return the commands of a batch by their class, with what that class reads."""
    groups: dict[type[AnyCommand], list[AnyCommand]] = {}
    for command in commands:
        groups.setdefault(type(command), []).append(command)
    return [(COMMANDS[kind].reads, commands_of_kind) for kind, commands_of_kind in groups.items()]
