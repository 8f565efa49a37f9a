"""Everything about one recipient as one document (GDPR, articles 15 and 20); the export is recorded."""

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import orjson
from msgspec import structs

from api.errors import ApplicationError
from api.i18n.messages import event_sentence
from api.use_cases.approvals.approval_guard import require_approval
from api.use_cases.approvals.requests import PersonExport
from api.use_cases.services import Caller, LedgerServices
from domain.ports import Language
from domain.values.identifiers import EmailAddress
from projections.privacy.data_export import PersonReader, ReservationData
from projections.repositories.approvals import DONE, ApprovalRepository
from projections.repositories.audit_log import AuditRecorder

FORMAT: Final = "redemption-ledger person 1"
DOCUMENT_FORM: Final = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z
"""How the document is written as JSON."""
OTHERS: Final = frozenset({"actor_id", "approved_by", "text_id"})
"""Fields of events that are about another person, or that appear as the text that they name."""


def export_person(
    services: LedgerServices, caller: Caller, address: EmailAddress, language: Language, reason: str
) -> dict[str, Any]:
    """Export all data about the recipient with this email address, and record the export and its reason.

    Codes are named by their suffix, as on every page. An address without a reservation may have rejected requests.

    Args:
        services: The ledger.
        caller: Who asks for it. If an export needs an approval, the approved one is sent once, to its proposer.
        address: The person's.
        language: Of the sentences.
        reason: Why it is given out; kept encrypted.

    Raises:
        ApplicationError: APPROVAL_REQUIRED, it waits for a second person now.
        StorageUnavailableError: The database is unavailable.
    """
    reader = PersonReader(services.storage)
    recipient_ids = reader.find_recipient_ids(address)
    approved = require_approval(
        services, caller, PersonExport(), reason, address=address, person_id=next(iter(recipient_ids), None)
    )
    if approved is not None:
        caller = structs.replace(caller, approved_by=str(approved.decided_by))
    audit_log = services.open_audit_log(caller)
    people = [_person(reader, recipient_id, language) for recipient_id in recipient_ids]
    ids = [person["recipient_id"] for person in people] or [None]

    def write(record: AuditRecorder) -> None:
        if approved is not None and not ApprovalRepository(services.storage).finish(approved.approval_id, DONE):
            raise ApplicationError("APPROVAL_NOT_POSSIBLE", why="decided")
        for recipient_id in ids:
            record("exported_person", recipient_id, reason)

    audit_log.perform(write)
    return {
        "format": FORMAT,
        "exported_at": audit_log.now,
        "email": address.normal,
        "people": people,
        "refused_tries": [
            {"at": one.at, "code_id": one.code_id, "code_ends": one.suffix, "reason": one.reason}
            for one in reader.read_rejected_requests(address)
        ],
    }


def _person(reader: PersonReader, recipient_id: UUID, language: Language) -> dict[str, Any]:
    texts = reader.read_texts(recipient_id)
    unshown_ids = set(texts)

    def take_text(text_id: UUID | None) -> str | None:
        unshown_ids.discard(text_id or UUID(int=0))
        return texts.get(text_id or UUID(int=0))

    reservations = list(reader.read_reservations(recipient_id))
    ids = [reservation.reservation_id for reservation in reservations]
    side_rows = reader.read_side_rows(ids)
    return {
        "recipient_id": recipient_id,
        "email_as_typed": reader.find_email_address(recipient_id),
        "reservations": [_reservation(reservation, take_text, language) for reservation in reservations],
        "notices": [
            {"reservation_id": row[0], "template": row[1], "written_at": row[2], "outcome": row[3]}
            for row in side_rows["outbox"]
        ],
        "opt_outs": [{"group": group or None, "at": at} for group, at in reader.read_opt_outs(recipient_id)],
        "suppressed": [
            {"cause": cause, "group": group, "since": since, "until": until}
            for cause, group, since, until in reader.read_suppressions(recipient_id)
        ],
        "hand_outs": [
            {
                "hand_out_id": row.hand_out_id,
                "code_id": row.code_id,
                "code_ends": row.suffix,
                "language": row.language,
                "variables": row.variables,
                "form_opened": row.is_form_opened,
                "codes": row.codes,
                "more_codes_end": row.more_suffixes,
            }
            for row in reader.read_hand_outs(recipient_id)
        ],
        "waiting_lists": [
            {
                "place_id": place_id,
                "campaign_id": campaign_id,
                "code_id": code_id,
                "joined_at": joined_at,
                "offered_at": offered_at,
                "email": outcome,
                "is_waiting": is_waiting,
            }
            for place_id, campaign_id, code_id, joined_at, offered_at, outcome, is_waiting in (
                reader.read_waiting_places(recipient_id)
            )
        ],
        "idempotency_keys": [{"reservation_id": row[0], "expires_at": row[1]} for row in side_rows["idempotency_keys"]],
        "done_by_staff": [
            {"at": entry.at, "act": entry.act, "subject_id": entry.subject_id, "reason": take_text(entry.text_id)}
            for entry in reader.read_audit_entries([recipient_id, *ids, *reader.list_codes(recipient_id)])
        ],
        "other_texts": [texts[text_id] for text_id in sorted(unshown_ids)],
    }


TakeText = Callable[[UUID | None], str | None]
"""Returns the text of an id; it is then shown where it was taken for."""


def _reservation(reservation: ReservationData, take_text: TakeText, language: Language) -> dict[str, Any]:
    return {
        "reservation_id": reservation.reservation_id,
        "code_id": reservation.history.code_id,
        "code_ends": reservation.suffix,
        "events": [_event(version, event, take_text, language) for version, event in reservation.history.events],
    }


def _event(version: int, event: Any, take_text: TakeText, language: Language) -> dict[str, Any]:  # noqa: ANN401 - any event
    fields, kind = structs.asdict(event), type(event).__name__
    shown_fields = {name: value for name, value in fields.items() if value is not None and name not in OTHERS}
    text = take_text(fields.get("text_id"))
    words = {"text": text} if text is not None else {}
    return {
        "version": version,
        "type": kind,
        "sentence": event_sentence(kind, fields, language),
        **shown_fields,
        **words,
    }
