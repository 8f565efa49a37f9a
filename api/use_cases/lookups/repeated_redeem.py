"""Whether the code of a refunded use can be redeemed again: the preview of a redeem decides, as the redeem would."""

from api.errors import ApplicationError
from api.use_cases.services import Caller, Services
from domain.errors import EmailMismatch, Refusal
from domain.events.event import REPEATABLE_CAUSES
from domain.model.reservation import Reservation
from domain.values.identifiers import EmailAddress


def find_repeat_refusal(services: Services, reservation: Reservation) -> ApplicationError | None:
    """Return why a redeem of the same code for the same address would be refused now.

    It is None if the redeem would be accepted, and where the code is not offered again: for another state, after
    another cause, and without the address. It is also None if the reason shows something about the person besides
    this code, because anyone who has the ID of the reservation may ask.

    Raises:
        ApplicationError: The database is unavailable.
    """
    if not reservation.is_use or reservation.refund_cause not in REPEATABLE_CAUSES:
        return None
    address = services.reader.find_recipients([reservation.recipient_id]).get(reservation.recipient_id)
    code = services.reader.find_code_text(reservation.code_id)
    if not isinstance(address, EmailAddress) or code is None:
        return None
    command = services.drafts.draft_reserve_use(
        services.context(Caller("person")), address, services.storage.vault.typed_code(code), language="en"
    )
    result = services.storage.ledger.preview(command).result
    if not isinstance(result, Refusal):
        return None
    if result.depends_on_recipient and not isinstance(result, EmailMismatch):
        return None
    return ApplicationError.from_refusal(result)
