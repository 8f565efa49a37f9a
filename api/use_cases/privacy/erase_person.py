"""Erasure of a person: close their reservations, list their id outside the database, and erase their data."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from api.errors import RETRY_AFTER_S, ApplicationError
from api.mail_sink.maildir import delete_mails_to
from api.schemas.parsing import parse_email
from api.use_cases.approvals.approval_guard import require_approval
from api.use_cases.approvals.requests import PersonErasureRequest
from api.use_cases.services import Caller, LedgerServices, Services
from domain.commands.campaign.waiting_list import LeaveWaitingList
from domain.commands.code.revoke import RevokeCode
from domain.commands.context import CommandContext
from domain.commands.reservation.close_for_erasure import CloseForErasure
from domain.commands.reservation.settle_due import SettleDue
from domain.errors import ReservationNotResolvable
from domain.results import CommandResult
from domain.values.batched import batched
from domain.values.identifiers import EmailAddress
from projections.privacy.erasure import (
    ErasedIdsFile,
    ErasedIdsFileError,
    PersonEraser,
    StillInFlightError,
    StillRedeemableError,
)
from projections.repositories.audit_log import AuditLog, AuditRecorder
from projections.storage.bootstrap import LedgerStore
from projections.telemetry.metrics import ERRORS
from projections.vault.vault import SealBrokenError

log = logging.getLogger(__name__)

ERASE_S_MAX = 30.0
"""How long closing and erasing may take, in seconds; what is not done by then continues, and a repeat finds it done."""
REVOKED_MAX = 100
"""Codes that one commit revokes: a recipient of a hand-out may have hundreds."""
REVOCATIONS_MAX = 10
"""Times that a code may be sent between the revocation of the others and the erasure."""
ROUNDS_MAX = 1000
"""Times 500 reservations: more than one person can hold."""


@dataclass(frozen=True, slots=True)
class ErasureResult:
    """Result of an erasure.

    Attributes:
        recipient_ids: Ids that were erased; none if no recipient has the address (any more).
        closed: Reservations that were settled for it.
        leased_until: An email is being sent until then at the latest, so nothing is erased yet.
    """

    recipient_ids: Sequence[UUID] = ()
    closed: int = 0
    leased_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class PersonErasure:
    """Erases recipients of one ledger.

    Attributes:
        context: The context of a command, by who asks.
        audit_log: Who asks and why, for the audit log; None where the list of erased persons asks.
        new_id: Random ids.
        mailbox: Maildir of the demo, whose emails to the recipient are deleted too; None without one.
    """

    storage: LedgerStore
    forgotten: ErasedIdsFile
    context: Callable[[], CommandContext]
    new_id: Callable[[], UUID]
    mailbox: Path | None = None
    audit_log: AuditLog | None = None
    reason: str = ""

    def forget(self, address: EmailAddress) -> ErasureResult:
        """Erase the recipient with this email address.

        Raises:
            ErasedIdsFileError: Their id can't be written to the file; nothing was erased.
            ProofRequiredError: A member of staff asks for it without a fresh proof.
            StorageUnavailableError: The database is unavailable; another call continues.
        """
        if self.audit_log is not None:
            self.audit_log.require_proof()
        eraser, closed = PersonEraser(self.storage), 0
        ids: list[UUID] = []
        found_ids = eraser.find_recipient_ids(address)
        if (until := eraser.find_in_flight(found_ids, address, self.context().now).until) is not None:
            return ErasureResult(leased_until=until)
        for recipient_id in found_ids:
            number, leased_until = self._close(eraser, recipient_id)
            closed += number
            if leased_until is not None:
                return ErasureResult(closed=closed, leased_until=leased_until)
            try:
                if self._revoke_and_erase(eraser, recipient_id):
                    ids.append(recipient_id)
            except StillInFlightError as error:
                return ErasureResult(closed=closed, leased_until=error.until)
        self._erase_refusals(eraser, address, is_known=bool(ids))
        if self.mailbox is not None:
            delete_mails_to(self.mailbox, address.normal)
        return ErasureResult(ids, closed)

    def erase_again(self) -> int:
        """Erase recipients that the file lists and the database has, as after a restored backup; return how many.

        An email that a worker is sending then fails, because its address is gone.

        Raises:
            ErasedIdsFileError: The file can't be read.
            StorageUnavailableError: The database is unavailable.
        """
        eraser, number = PersonEraser(self.storage), 0
        for recipient_id in list(eraser.find_restored(self.forgotten)):
            self._close(eraser, recipient_id)
            self._revoke_codes(eraser, recipient_id)
            number += eraser.erase(recipient_id)
        return number

    def _revoke_and_erase(self, eraser: PersonEraser, recipient_id: UUID) -> bool:
        """Revoke the codes that hand-outs sent to a recipient, and erase; False if it was done before."""
        for _ in range(REVOCATIONS_MAX):
            self._revoke_codes(eraser, recipient_id)
            with suppress(StillRedeemableError):
                return self._erase(eraser, recipient_id)
        raise AssertionError("hand-outs send codes to one person faster than they can be revoked")

    def _revoke_codes(self, eraser: PersonEraser, recipient_id: UUID) -> None:
        """Revoke the codes that hand-outs sent to a recipient, except those that others have redeemed or may get."""
        for code_ids in batched(eraser.list_redeemable_codes(recipient_id), REVOKED_MAX):
            context = self.context()
            self.storage.ledger.execute(
                [RevokeCode(context=context, code_id=code_id, case_ids=()) for code_id in code_ids]
            )

    def _erase(self, eraser: PersonEraser, recipient_id: UUID) -> bool:
        """Erase one recipient, with the entry in the audit log; False if it was done before."""
        now = self.context().now

        def erase() -> bool:
            return eraser.erase(recipient_id, now, lambda: self.forgotten.append(recipient_id, now))

        if self.audit_log is None:
            return erase()

        def change(record: AuditRecorder) -> bool:
            is_new = erase()
            if is_new:
                record("forgot_person", recipient_id, self.reason)
            return is_new

        return self.audit_log.perform(change)

    def _erase_refusals(self, eraser: PersonEraser, address: EmailAddress, *, is_known: bool) -> None:
        """Erase the digests of rejected requests; recorded even if nothing else is stored about the recipient."""
        if self.audit_log is None or is_known:
            eraser.erase_refusals(address)
            return

        def change(record: AuditRecorder) -> None:
            eraser.erase_refusals(address)
            record("forgot_person", None, self.reason)

        self.audit_log.perform(change)

    def _leave_waiting_lists(self, eraser: PersonEraser, recipient_id: UUID) -> None:
        """End their places on waiting lists, so that the next person gets what was offered."""
        context = self.context()
        for campaign_id, place_id in eraser.list_waiting_places(recipient_id):
            leave = LeaveWaitingList(context=context, campaign_id=campaign_id, place_id=place_id, cause="erased")
            self.storage.ledger.execute_one(leave)

    def _close(self, eraser: PersonEraser, recipient_id: UUID) -> tuple[int, datetime | None]:
        """Settle all their reservations; return how many, and until when a worker still has one of them."""
        self._leave_waiting_lists(eraser, recipient_id)
        closed = 0
        for _ in range(ROUNDS_MAX):
            context = self.context()
            open_reservations = eraser.list_open_reservations(recipient_id)
            closable_ids = [
                reservation.reservation_id
                for reservation in open_reservations
                if reservation.lease_until is None or reservation.lease_until <= context.now
            ]
            if not closable_ids:
                return closed, max(
                    (reservation.lease_until for reservation in open_reservations if reservation.lease_until),
                    default=None,
                )
            self.storage.ledger.execute(
                [SettleDue(context=context, reservation_id=key, case_id=self.new_id()) for key in closable_ids]
            )
            results = self.storage.ledger.execute(
                [CloseForErasure(context=context, reservation_id=key, case_id=self.new_id()) for key in closable_ids]
            )
            closed += sum(isinstance(result, CommandResult) and result.changed for result in results)
        raise AssertionError("one person holds more reservations than can be closed")


def request_erasure(
    services: LedgerServices,
    caller: Caller,
    address: EmailAddress,
    reason: str,
    *,
    forgotten: ErasedIdsFile,
    mailbox: Path | None,
) -> PersonErasure:
    """Return the erasure of the person with this email address, which the caller may begin now.

    Raises:
        ApplicationError: APPROVAL_REQUIRED, it waits for a second person now.
        SealBrokenError: The row of the address may be another person's.
        StorageUnavailableError: The database is unavailable.
    """
    person_id = next(iter(PersonEraser(services.storage).find_recipient_ids(address)), None)
    require_approval(services, caller, PersonErasureRequest(), reason, address=address, person_id=person_id)
    return PersonErasure(
        storage=services.storage,
        forgotten=forgotten,
        context=lambda: services.context(caller),
        new_id=services.new_id,
        mailbox=mailbox,
        audit_log=services.open_audit_log(caller),
        reason=reason,
    )


def forget_person(services: Services, caller: Caller, email: str, reason: str) -> ErasureResult:
    """Erase the person with this email address, and record who asked for it and why.

    Raises:
        ApplicationError: EMAIL_INVALID; RESERVATION_NOT_RESOLVABLE while an email to the person is being sent;
            APPROVAL_REQUIRED; UNAVAILABLE, the list of erased persons cannot be written.
        StorageUnavailableError: The database is unavailable.
    """
    address = parse_email(email)
    try:
        settings = services.settings
        forgetting = request_erasure(
            services,
            caller,
            address,
            reason,
            forgotten=ErasedIdsFile(settings.erased_ids_path),
            mailbox=settings.mailbox,
        )
        done = forgetting.forget(address)
    except ErasedIdsFileError as error:
        log.exception("erasing a person failed")
        raise ApplicationError("UNAVAILABLE", retry_after_s=RETRY_AFTER_S) from error
    except SealBrokenError as error:
        raise row_refused(error) from error
    if done.leased_until is not None:
        raise ApplicationError.from_refusal(ReservationNotResolvable("leased"))
    return done


def row_refused(broken: SealBrokenError) -> ApplicationError:
    """Report a row of the vault that may be another person's: nothing is exported and nothing is erased."""
    ERRORS.labels("vault_error").inc()
    log.error("vault row refused", extra={"why": str(broken)})
    return ApplicationError("UNAVAILABLE", retry_after_s=RETRY_AFTER_S)
