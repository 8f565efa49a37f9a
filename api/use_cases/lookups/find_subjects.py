"""Find what a text means that a customer or a colleague sent: a code, a reservation or a recipient."""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.parsing import find_pasted_email
from domain.model.redeem_code import CodeState
from domain.model.reservation import PublicState
from domain.values.identifiers import MalformedCodeError, normalize_code
from domain.values.pasted_codes import list_pasted_codes
from domain.values.persons.mailboxes import mask_email
from projections.definitions.tables.code_balances import code_from_named_row
from projections.read_models.pagination import NEWEST
from projections.read_models.support_queries import SupportReader
from projections.vault.vault import SUFFIX_LENGTH

FOUND_MAX: Final = 20
"""Most codes with one suffix, and most reservations of a recipient, that are listed."""


class FoundSubject(BaseModel):
    """A code, a reservation or a recipient."""

    kind: Literal["code", "reservation", "recipient"]
    id: UUID
    state: CodeState | PublicState | None = Field(description="State of a code or reservation; null for a recipient.")
    code_id: UUID | None = Field(description="The code of a reservation; null for others.")
    masked: str = Field(description="The end of the code, or the masked email address.")
    reservations: list[UUID] = Field(description="The newest reservations of a recipient; empty for others.")


class FoundSubjects(BaseModel):
    """What a text may mean. `more`: there are further results that are not listed."""

    results: list[FoundSubject]
    more: bool


def find_subjects(reader: SupportReader, typed: str, now: datetime) -> FoundSubjects:
    """Return what a code, the end of a code, an ID or an email address names.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """
    if not typed.isprintable():
        return FoundSubjects(results=[], more=False)
    if (address := find_pasted_email(typed)) is not None:
        recipient_id = reader.find_recipient(address)
        if recipient_id is None:
            return FoundSubjects(results=[], more=False)
        return _found_recipient(reader, recipient_id, mask_email(address.typed))
    for subject_id in filter(None, reader.find_possible_codes(list_pasted_codes(typed))):
        if (result := _find_by_id(reader, subject_id, now)) is not None:
            return FoundSubjects(results=[result], more=False)
    return _find_by_suffix(reader, typed, now)


def _found_recipient(reader: SupportReader, recipient_id: UUID, masked: str) -> FoundSubjects:
    places = reader.list_reservations_of_recipient(recipient_id, NEWEST, FOUND_MAX + 1)
    result = FoundSubject(
        kind="recipient",
        id=recipient_id,
        state=None,
        code_id=None,
        masked=masked,
        reservations=[place[1] for place in places[:FOUND_MAX]],
    )
    return FoundSubjects(results=[result], more=len(places) > FOUND_MAX)


def _find_by_id(reader: SupportReader, subject_id: UUID, now: datetime) -> FoundSubject | None:
    if (reservation := reader.find_reservation(subject_id)) is not None:
        return FoundSubject(
            kind="reservation",
            id=subject_id,
            state=reservation.public_state,
            code_id=reservation.code_id,
            masked=reader.find_suffix(reservation.code_id),
            reservations=[],
        )
    row = reader.find_balance(subject_id)
    if row is None:
        return None
    return FoundSubject(
        kind="code",
        id=subject_id,
        state=code_from_named_row(row).state(now),
        code_id=None,
        masked=reader.find_suffix(subject_id),
        reservations=[],
    )


def _find_by_suffix(reader: SupportReader, typed: str, now: datetime) -> FoundSubjects:
    try:
        suffix = normalize_code(typed.lstrip("…."))
    except MalformedCodeError:
        return FoundSubjects(results=[], more=False)
    if len(suffix) > SUFFIX_LENGTH:
        return FoundSubjects(results=[], more=False)
    ids = reader.find_codes_by_suffix(suffix, UUID(int=0), FOUND_MAX + 1)
    results = [each for code_id in ids[:FOUND_MAX] if (each := _find_by_id(reader, code_id, now)) is not None]
    return FoundSubjects(results=results, more=len(ids) > FOUND_MAX)
