"""What staff and integrators do about one reservation. Each function is a use case: see `UseCase`."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from api.errors import ApplicationError
from api.use_cases.approvals.approval_guard import require_approval
from api.use_cases.approvals.requests import RefundPending
from api.use_cases.services import Caller, LedgerServices, Services
from api.use_cases.use_case import UseCase
from domain.commands.access.rebind import RebindReservation
from domain.commands.access.record_removal import RecordExternalRemoval
from domain.commands.add_note import NoteOnReservation
from domain.commands.delivery.accept_invite import AcceptInvite, Via
from domain.commands.delivery.record_bounce import RecordMailReport
from domain.commands.delivery.reveal_link import RevealLink, find_reveal_obstacle
from domain.commands.reservation.cancel import CancelReservation
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.refund import RefundReservation
from domain.commands.reservation.request_resend import RequestResend
from domain.commands.reservation.resolve_case import Resolution, ResolveReservation
from domain.errors import ReservationNotRefundable
from domain.events.reservation import LINK
from domain.model.reservation import Reservation
from domain.values.identifiers import EmailAddress
from domain.values.link_token import DeliveryRef, invitation_url
from domain.values.mail.bounce_reason import BounceReason

PENDING_MAX: Final = 100_000


@UseCase
def refund(
    services: LedgerServices,
    caller: Caller,
    reservation_id: UUID,
    *,
    revoke_access: bool | None = None,
    note: str = "",
    cause: Literal["staff", "reset"] = "staff",
) -> RefundReservation:
    """Refund one use; with the cause `reset` only that of a pending reservation, never of one that was sent.

    `revoke_access` says whether the person loses the access. It must be given if the invitation was accepted.
    """
    return RefundReservation(
        context=services.context(caller),
        reservation_id=reservation_id,
        cause=cause,
        held_only=cause == "reset",
        note=services.note(note, reservation_id),
        revoke_access=revoke_access,
    )


class PendingRefunds(NamedTuple):
    """Result of `refund_pending_of_code`.

    Attributes:
        refunded: Ids of the refunded reservations.
        not_refundable: Ids of the others, each with the reason.
    """

    refunded: list[UUID]
    not_refundable: list[tuple[UUID, Any]]


def refund_pending_of_code(services: LedgerServices, new_caller: Callable[[], Caller], code_id: UUID) -> PendingRefunds:
    """Refund each pending reservation of a code, except those being sent or with an unknown outcome.

    Args:
        services: The ledger.
        new_caller: Is called for each reservation: each refund is a request of its own.
        code_id: The code.

    Raises:
        ApplicationError: APPROVAL_REQUIRED, they wait for a second person now.
        StorageUnavailableError: The database is unavailable.
    """
    result = PendingRefunds([], [])
    pending = services.reader.list_pending_reservations(code_id, PENDING_MAX)
    if pending:
        require_approval(services, new_caller(), RefundPending(code_id), uses=len(pending))
    for reservation_id in pending:
        try:
            refund(services, new_caller(), reservation_id, cause="reset")
        except ApplicationError as error:
            if error.code == ReservationNotRefundable.code:
                result.not_refundable.append((reservation_id, error.facts["why"]))
        else:
            result.refunded.append(reservation_id)
    return result


@UseCase
def cancel(services: LedgerServices, caller: Caller, reservation_id: UUID, *, note: str = "") -> CancelReservation:
    """Refund a reservation before its invitation is sent; a use that counts is refused."""
    return CancelReservation(
        context=services.context(caller), reservation_id=reservation_id, note=services.note(note, reservation_id)
    )


@UseCase
def resend(services: LedgerServices, caller: Caller, reservation_id: UUID, *, note: str = "") -> RequestResend:
    """Send the invitation again, as a delivery of its own; it takes no further use."""
    return RequestResend(
        context=services.context(caller), reservation_id=reservation_id, note=services.note(note, reservation_id)
    )


@UseCase
def correct_recipient(
    services: LedgerServices, caller: Caller, reservation_id: UUID, email: EmailAddress, *, note: str = ""
) -> CorrectRecipient:
    """Move a use to another email address; the result is the new reservation."""
    return services.drafts.draft_correct_recipient(
        services.context(caller),
        email,
        reservation_id,
        note=services.note(note, reservation_id),
    )


@UseCase
def rebind(
    services: LedgerServices, caller: Caller, reservation_id: UUID, group: str, *, note: str = ""
) -> RebindReservation:
    """Move the access of a reservation to any group; the result is the new reservation."""
    return RebindReservation(
        context=services.context(caller),
        reservation_id=reservation_id,
        new_reservation_id=services.new_id(),
        group=group,
        note=services.note(note, reservation_id),
    )


@UseCase
def resolve(
    services: LedgerServices,
    caller: Caller,
    reservation_id: UUID,
    resolution: Resolution,
    *,
    revoke_access: bool | None = None,
    note: str = "",
) -> ResolveReservation:
    """Decide a case, or a reservation whose outcome is unknown: count it, refund it, or send again.

    `revoke_access` is what a refund needs.
    """
    return ResolveReservation(
        context=services.context(caller),
        reservation_id=reservation_id,
        resolution=resolution,
        case_id=services.new_id(),
        note=services.note(note, reservation_id),
        revoke_access=revoke_access,
    )


@UseCase
def record_reveal(services: LedgerServices, caller: Caller, reservation_id: UUID, *, note: str) -> RevealLink:
    """Record that staff see the link of an invitation, to hand it over by other means; `note` is the reason."""
    return RevealLink(
        context=services.context(caller), reservation_id=reservation_id, note=services.note(note, reservation_id)
    )


def reveal_link(services: Services, caller: Caller, reservation_id: UUID, *, note: str) -> str:
    """Return the link by which a recipient accepts their invitation, once history and audit log say who saw it.

    Raises:
        ApplicationError: There is no such reservation, or the link is of no use to its recipient.
        ProofRequiredError: A member of staff asks for it without a fresh proof.
        StorageUnavailableError: The database is unavailable.
    """
    audit_log = services.open_audit_log(caller)
    audit_log.require_proof()
    reservation = record_reveal(services, caller, reservation_id, note=note).require_reservation()
    audit_log.record("revealed_link", reservation_id, note)
    return _link_of(services, reservation)


def find_link(services: Services, reservation: Reservation) -> str | None:
    """Return the link of the newest delivery of a reservation; None if it is of no use to its recipient."""
    return None if find_reveal_obstacle(reservation) else _link_of(services, reservation)


def _link_of(services: Services, reservation: Reservation) -> str:
    settings, delivery = services.settings, DeliveryRef(reservation.reservation_id, reservation.delivery)
    return invitation_url(settings.public_url, settings.secret_key.get_secret_value().encode(), delivery)


@UseCase
def record_bounce(
    services: LedgerServices,
    caller: Caller,
    reservation_id: UUID,
    *,
    delivery: int,
    reason: BounceReason,
    reply_code: int | None = None,
    reply: str = "",
    occurred_at: datetime | None = None,
) -> RecordMailReport:
    """Record that an invitation bounced. What its channel reports is evidence; of all others it is a statement."""
    return RecordMailReport(
        context=services.context(caller),
        reservation_id=reservation_id,
        delivery=delivery,
        reason=reason,
        case_id=services.new_id(),
        reply_code=reply_code,
        evidence="channel" if caller.actor == "channel" else "statement",
        text=services.note(reply, reservation_id),
        occurred_at=occurred_at,
    )


@UseCase
def accept_invite(
    services: LedgerServices,
    caller: Caller,
    reservation_id: UUID,
    *,
    delivery: int,
    via: Via = LINK,
    occurred_at: datetime | None = None,
) -> AcceptInvite:
    """Record that a delivery was accepted, by its link or as its channel reports."""
    return AcceptInvite(
        context=services.context(caller),
        reservation_id=reservation_id,
        delivery=delivery,
        case_id=services.new_id(),
        via=via,
        occurred_at=occurred_at,
    )


@UseCase
def record_external_removal(
    services: LedgerServices, caller: Caller, reservation_id: UUID, *, occurred_at: datetime | None = None
) -> RecordExternalRemoval:
    """Record that the external system of a group removed a person's access."""
    return RecordExternalRemoval(
        context=services.context(caller), reservation_id=reservation_id, occurred_at=occurred_at
    )


@UseCase
def add_note(
    services: LedgerServices, caller: Caller, reservation_id: UUID, *, note: str, note_id: UUID | None = None
) -> NoteOnReservation:
    """Add a note to a reservation's history; with the same `note_id` again nothing is added."""
    text = services.storage.vault.seal_text(note, note_id or services.new_id(), reservation_id)
    return NoteOnReservation(context=services.context(caller), reservation_id=reservation_id, note=text)
