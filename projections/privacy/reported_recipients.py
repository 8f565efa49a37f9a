"""Whether the person is known to whom an email was sent that a report is about."""

from uuid import UUID

from domain.report_intake import ReportedOffer
from domain.values.mail.mail_token import MailRef
from projections.database.store_queries import Database, ReadableStore
from projections.sql.privacy import PrivacySql


def has_recipient(storage: ReadableStore, ref: MailRef) -> bool:
    """Return whether the ledger knows the recipient of an email: not if it never did, or if their data was erased."""
    is_of_code = ref.kind == "hand_out"
    query = PrivacySql.has_recipient_of_code if is_of_code else PrivacySql.has_recipient_of_reservation
    return bool(Database(storage).fetch_all(query, ref.subject_id)[0][0])


def find_offer(storage: ReadableStore, place_id: UUID) -> ReportedOffer | None:
    """Return the place that the email of an offer is about; None without one, or if its person's data was erased."""
    rows = Database(storage).fetch_all(PrivacySql.reported_offer, place_id)
    return ReportedOffer(*rows[0]) if rows else None
