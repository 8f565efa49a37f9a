"""What commands leave next to their events, worked out from the commands: apart from the decisions that say it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from domain.command_bus import AnyCommand
from domain.commands.access.rebind import RequestRebind
from domain.commands.access.settle_access import RecordRemovalOutcome
from domain.commands.add_note import NoteOnCode, NoteOnReservation
from domain.commands.campaign.waiting_list import JoinWaitingList, LeaveWaitingList
from domain.commands.code.import_code import ImportCode
from domain.commands.delivery.record_bounce import RecordMailReport
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.commands.hand_out.hand_out_code import HandOutCode
from domain.commands.hand_out.hand_out_mail import RecordHandOutReport
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.reserve import ReserveUse
from domain.errors import CodeUnknown, IdempotencyKeyReused, Refusal
from domain.events.hand_out import HandOutBounced, HandOutComplained
from domain.events.reservation import InviteBounced, InviteComplained
from domain.model.suppression import Suppression
from domain.ports import RecipientDraft, TextDraft
from domain.results import AnyResult, CommandResult, WaitingResult
from domain.working_set import WorkingSet

OnTypedCode = ReserveUse | CorrectRecipient | RequestRebind | JoinWaitingList


@dataclass
class OutboxEntry:
    """An email in the outbox; done when `due_at` is None."""

    written_at: datetime
    due_at: datetime | None
    attempts: int = 0
    outcome: str | None = None
    leased_until: datetime | None = None
    attempted_at: datetime | None = None


class MemoryKey(NamedTuple):
    """What an Idempotency-Key led to, and when."""

    scope_digest: bytes
    body_digest: bytes
    reservation_id: UUID
    at: datetime


class MemoryRefusal(NamedTuple):
    """A refused request. `code_id`: None for an unknown code."""

    code_id: UUID | None
    at: datetime
    recipient_digest: bytes
    reason: str


class SuppressedBy(NamedTuple):
    """A report after which a recipient is not written to; None: staff allowed to write to them again."""

    recipient_id: UUID
    report_id: UUID | None


class MemoryListRow(NamedTuple):
    """A recipient in a list, the first code that they get, and how many."""

    code_id: UUID
    campaign_id: UUID
    recipient_id: UUID
    hand_out_id: UUID
    upload_id: UUID
    codes: int = 1


def changed_by(commands: Sequence[AnyCommand], results: Sequence[AnyResult]) -> Iterator[AnyCommand]:
    for command, result in zip(commands, results, strict=True):
        if isinstance(result, CommandResult | WaitingResult) and result.changed:
            yield command


def recipients_of(command: AnyCommand) -> Sequence[RecipientDraft]:
    if isinstance(command, OnTypedCode):
        return [command.recipient]
    if not isinstance(command, ImportCode):
        return []
    of_uses = [use.recipient for use in command.uses]
    return of_uses if command.bound_to is None else [*of_uses, command.bound_to]


def text_of(command: AnyCommand) -> TextDraft | None:
    if isinstance(command, RecordOutcome | RecordRemovalOutcome):
        return command.reply
    if isinstance(command, RecordMailReport | RecordHandOutReport):
        return command.text
    note: TextDraft | None = getattr(command, "note", None)
    return note


def is_known_by_text(command: AnyCommand) -> bool:
    """Return whether a command changes nothing if the store has its text."""
    if isinstance(command, RecordMailReport):
        return (command.kind, command.mail) != ("bounced", "invite")
    if isinstance(command, RecordHandOutReport):
        return command.mail is not None
    if isinstance(command, LeaveWaitingList):
        return command.report_id is not None
    return isinstance(command, NoteOnCode | NoteOnReservation)


def suppressions(working_set: WorkingSet) -> Iterator[tuple[UUID, Suppression, datetime, UUID | None]]:
    """Give the addresses that are not written to after new events, until when, and the report that says so."""
    for recorded in working_set.new_events:
        event, code = recorded.event, working_set.codes.get(recorded.originator_id)
        if code is None:
            continue
        if isinstance(event, InviteBounced | InviteComplained):
            reservation = working_set.reservations[event.reservation_id]
            recipient_id, group = reservation.recipient_id, reservation.group
        elif isinstance(event, HandOutBounced | HandOutComplained):
            recipient_id, group = working_set.handed_out[code.code_id].recipient_id, code.terms.group
        else:
            continue
        at, report_id = event.at, event.text_id
        if isinstance(event, InviteComplained | HandOutComplained):
            yield recipient_id, Suppression("complained", group, is_of_group=True), at + timedelta(days=365), report_id
        elif event.reason == "mailbox_unknown":
            yield recipient_id, Suppression("mailbox_unknown"), at + timedelta(days=90), report_id
        elif event.reason == "domain_unknown":
            yield recipient_id, Suppression("domain_unknown"), at + timedelta(days=30), report_id
    for of_place in working_set.writes.suppressions:
        if of_place.text_id is not None:
            yield of_place.recipient_id, of_place.suppression, of_place.until, of_place.text_id


def named_texts(working_set: WorkingSet) -> set[UUID]:
    named: set[UUID | None] = {getattr(recorded.event, "text_id", None) for recorded in working_set.new_events}
    named |= {each.text_id for each in working_set.writes.suppressions}
    return {text_id for text_id in named if text_id is not None}


def given_codes(commands: Sequence[AnyCommand], results: Sequence[AnyResult]) -> list[MemoryListRow]:
    """Return the rows of lists with codes that existed before."""
    return [
        MemoryListRow(command.code_id, command.campaign_id, recipient_id, hand_out_id, command.upload_id)
        for command in changed_by(commands, results)
        if isinstance(command, HandOutCode) and command.upload_id is not None
        for hand_out_id, recipient_id in [command.place[:2]]
    ]


def used_keys(commands: Sequence[AnyCommand], results: Sequence[AnyResult]) -> Iterator[MemoryKey]:
    for command, result in zip(commands, results, strict=True):
        if isinstance(command, ReserveUse) and command.key is not None and isinstance(result, CommandResult):
            reservation_id = result.require_reservation().reservation_id
            yield MemoryKey(command.key.scope_digest, command.key.body_digest, reservation_id, command.context.now)


def refused_requests(
    working_set: WorkingSet, commands: Sequence[AnyCommand], results: Sequence[AnyResult]
) -> Iterator[MemoryRefusal]:
    """Give the refused requests of persons with a code, but not those whose key was used for another request."""
    for command, result in zip(commands, results, strict=True):
        if not isinstance(result, Refusal) or not isinstance(command, OnTypedCode):
            continue
        if command.code_digests is None or command.context.actor != "person":
            continue
        code_id = None if isinstance(result, CodeUnknown) else working_set.code_id(command.code_digests)
        if code_id is None or not isinstance(result, IdempotencyKeyReused):
            yield MemoryRefusal(code_id, command.context.now, command.recipient.digests[0], result.code)
