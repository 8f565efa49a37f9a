"""From one command to one result: find its decision, fold its events into the book, turn a refusal into an answer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from domain.commands.access.end_on_refund import released
from domain.commands.access.rebind import RebindReservation, RequestRebind, rebind, request_rebind
from domain.commands.access.record_removal import RecordExternalRemoval, record_removal
from domain.commands.access.settle_access import (
    RecordRemovalOutcome,
    SettleAccess,
    record_revocation,
    replaced_by,
    settle_access,
)
from domain.commands.add_note import NoteOnCode, NoteOnReservation, note_on_code, note_on_reservation
from domain.commands.code.change_terms import ChangeTerms, change_terms
from domain.commands.code.import_code import ImportCode, import_code
from domain.commands.code.issue import IssueCode, issue
from domain.commands.code.pause import PauseCode, ResumeCode, pause_or_resume
from domain.commands.code.revoke import ContinueRevocation, RevokeCode, revoke, settle_revoked
from domain.commands.context import Decision
from domain.commands.delivery.accept_invite import AcceptInvite, accept
from domain.commands.delivery.claim_attempt import ClaimAttempt, claim
from domain.commands.delivery.record_bounce import RecordBounce, record_bounce
from domain.commands.delivery.record_outcome import RecordOutcome, record_outcome
from domain.commands.invitation_limits import limit_on
from domain.commands.reservation.cancel import CancelReservation, cancel
from domain.commands.reservation.close_for_erasure import CloseForErasure, close_for_forgetting
from domain.commands.reservation.correct_recipient import CorrectRecipient, correct_recipient
from domain.commands.reservation.refund import RefundReservation, refund
from domain.commands.reservation.request_resend import RequestResend, request_resend
from domain.commands.reservation.reserve import ReserveUse, reserve
from domain.commands.reservation.resolve_case import RefundAfterOutage, ResolveReservation, refund_after_outage, resolve
from domain.commands.reservation.settle_due import SettleDue, settle_due
from domain.errors import Refusal
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.ports import RecipientDraft
from domain.working_set import RememberedKey, WorkingSet

CodeCommand = ChangeTerms | PauseCode | ResumeCode | RevokeCode | ContinueRevocation | NoteOnCode
"""What is about one code that exists, by its id."""

ReservationCommand = (
    ClaimAttempt
    | RecordOutcome
    | SettleDue
    | RefundReservation
    | CancelReservation
    | CorrectRecipient
    | RequestResend
    | AcceptInvite
    | RecordBounce
    | RecordExternalRemoval
    | ResolveReservation
    | RefundAfterOutage
    | NoteOnReservation
    | CloseForErasure
    | RebindReservation
    | SettleAccess
    | RecordRemovalOutcome
)
"""What is about one reservation that exists, by its id."""

NewCode = IssueCode | ImportCode
"""What brings a code into being."""

Command = NewCode | ReserveUse | RequestRebind | CodeCommand | ReservationCommand


class Done(Struct, frozen=True, kw_only=True):
    """What a command led to: states as of the end of that command.

    Attributes:
        code: The code it was about.
        reservation: The reservation it was about; None for commands about the code alone.
        changed: Whether it added events.
    """

    code: RedeemCode
    reservation: Reservation | None
    changed: bool

    def about(self) -> Reservation:
        """The reservation of a command that is about one.

        Raises:
            AssertionError: The command was about a code alone.
        """
        if self.reservation is None:
            raise AssertionError("this command was about a code alone")
        return self.reservation


Result = Done | Refusal


def decide(command: Command, book: WorkingSet, policy: Policy) -> Result:
    """Decide one command; its events are in the book afterwards, those of some refusals too.

    Raises:
        AssertionError: An invariant would break; nothing of the batch may be committed.
    """
    try:
        decision = _decision(command, book, policy)
    except Refusal as refusal:
        return refusal
    if decision.events:
        if command.context.waits is not None and (limited := _limited(command, decision, book)) is not None:
            return limited
        _record(decision, book, policy)
        if decision.refusal is None:
            for draft in recipient_drafts_in(command):
                book.adopt(draft)
    if decision.refusal is not None:
        return decision.refusal
    reservation_id = decision.reservation_id
    if isinstance(command, ReserveUse) and command.key is not None and reservation_id is not None:
        book.remember(command.key.scope_digest, RememberedKey(command.key.body_digest, reservation_id))
    return Done(
        code=book.codes[decision.code_id],
        reservation=None if reservation_id is None else book.reservations[reservation_id],
        changed=bool(decision.events),
    )


def _limited(command: Command, decision: Decision, book: WorkingSet) -> Refusal | None:
    return limit_on(decision.events, command.context, book.codes.get(decision.code_id))


def _record(decision: Decision, book: WorkingSet, policy: Policy) -> None:
    """Fold a decision's events in, and what follows from them: a former access ends, or an invitation is released."""
    events = [*decision.events, *replaced_by(decision.events, book)]
    book.record(decision.code_id, events)
    book.record(decision.code_id, released(events, book, policy))


def recipient_drafts_in(command: Command) -> Sequence[RecipientDraft]:
    """The persons that a command is about and that the vault may not know yet."""
    match command:
        case ReserveUse() | CorrectRecipient() | RequestRebind():
            return (command.recipient,)
        case ImportCode():
            bound_to = () if command.bound_to is None else (command.bound_to,)
            return [*(use.recipient for use in command.uses), *bound_to]
        case _:
            return ()


def _decision(command: Command, book: WorkingSet, policy: Policy) -> Decision:
    return HANDLERS[type(command)](command, book, policy)


Decide = Callable[[Any, WorkingSet, Policy], Decision]


def ignoring_policy(decision: Callable[[Any, WorkingSet], Decision]) -> Decide:
    """A decision that no number of the operator's bears on."""
    return lambda command, book, _: decision(command, book)


HANDLERS: Mapping[type[Command], Decide] = {
    IssueCode: ignoring_policy(issue),
    ImportCode: ignoring_policy(import_code),
    ReserveUse: reserve,
    ClaimAttempt: claim,
    RecordOutcome: record_outcome,
    SettleDue: settle_due,
    RefundReservation: refund,
    AcceptInvite: ignoring_policy(accept),
    RecordBounce: ignoring_policy(record_bounce),
    RecordExternalRemoval: ignoring_policy(record_removal),
    ResolveReservation: resolve,
    RefundAfterOutage: ignoring_policy(refund_after_outage),
    CloseForErasure: close_for_forgetting,
    CancelReservation: cancel,
    CorrectRecipient: correct_recipient,
    RequestResend: request_resend,
    RequestRebind: request_rebind,
    RebindReservation: rebind,
    SettleAccess: ignoring_policy(settle_access),
    RecordRemovalOutcome: record_revocation,
    NoteOnReservation: ignoring_policy(note_on_reservation),
    NoteOnCode: ignoring_policy(note_on_code),
    PauseCode: ignoring_policy(pause_or_resume),
    ResumeCode: ignoring_policy(pause_or_resume),
    ChangeTerms: ignoring_policy(change_terms),
    RevokeCode: revoke,
    ContinueRevocation: settle_revoked,
}
"""Every kind of command has its decision; a test compares this with `Command`."""
