"""Export of the recipients of a hand-out with their states, record by record; the export of addresses is recorded."""

from collections.abc import Iterator
from typing import Final
from uuid import UUID

from api.use_cases.export_rows import SLICE, Row
from api.use_cases.hand_outs.hand_out_actions import list_people
from api.use_cases.services import Caller, LedgerServices
from projections.repositories.audit_log import describe_reason

PEOPLE_COLUMNS: Final = (
    *("email", "language", "state", "mail", "code_id", "recipient_id", "handed_out_at", "changed_at"),
    *("codes", "redeemed"),
)


def export_people(services: LedgerServices, caller: Caller, hand_out_id: UUID, reason: str) -> Iterator[Row]:
    """Record the export with its reason, and return the recipients in the order of the list.

    Raises:
        ApplicationError: HAND_OUT_NOT_FOUND.
    """
    first = list_people(services, hand_out_id, 0, SLICE)
    services.open_audit_log(caller).record("exported_emails", hand_out_id, describe_reason(reason))

    def rows() -> Iterator[Row]:
        page = first
        while page:
            for person in page:
                yield {**person._asdict(), "email": person.address or ""}
            page = list_people(services, hand_out_id, page[-1].number, SLICE)

    return rows()
