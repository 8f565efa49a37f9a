"""Find what a text means that a customer or a colleague sent: a code, a reservation or a recipient.

A program asks often and automatically. So a text that can be guessed is not looked up: no code of a legacy system,
and no end of a code. Email addresses are, within the limits on guessing codes.
"""

import re
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.rate_limits.code_attempts import error_of_limit
from api.rate_limits.guard import CodeAttempt
from api.schemas.parsing import find_pasted_email
from api.use_cases.services import Caller, Services
from domain.model.redeem_code import CodeState
from domain.model.reservation import PublicState
from domain.values.code_strength import classify_code
from domain.values.identifiers import EmailAddress, MalformedCodeError, normalize_code
from domain.values.pasted_codes import list_pasted_codes
from domain.values.persons.mailboxes import mask_email
from projections.definitions.tables.code_balances import code_from_named_row
from projections.read_models.pagination import NEWEST
from projections.read_models.support_queries import SupportReader

FOUND_MAX: Final = 20
"""Most reservations of a recipient that are listed."""
ID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class FoundSubject(BaseModel):
    """A code, a reservation or a recipient."""

    kind: Literal["code", "reservation", "recipient"]
    id: UUID
    state: CodeState | PublicState | None = Field(description="State of a code or reservation; null for a recipient.")
    code_id: UUID | None = Field(description="The code of a reservation; null for others.")
    masked: str | None = Field(description="The masked email address of a recipient; null for others.")
    reservations: list[UUID] = Field(description="The newest reservations of a recipient; empty for others.")


class FoundSubjects(BaseModel):
    """What a text may mean. `more`: there are further results that are not listed."""

    results: list[FoundSubject]
    more: bool


async def find_subjects(services: Services, caller: Caller, typed: str) -> FoundSubjects:
    """Return what a native code, an ID or an email address names. Call it in the event loop, because it counts.

    Raises:
        ApplicationError: RATE_LIMITED; UNAVAILABLE.
    """
    reader, address = SupportReader(services.storage), find_pasted_email(typed)
    # An operator can read the database.
    guard = None if caller.actor == "operator" else services.guard
    digest = services.storage.vault.digest_client(f"find:{typed if address is None else address.normal}")
    attempt = CodeAttempt(caller.client_ip, "native" if address is None else "long", digest, digest, caller.actor)
    if address is not None:
        if guard is not None:
            # That an address is one of a recipient is what a guesser wants to know, so each one counts.
            if exceeded := guard.acquire(attempt):
                raise error_of_limit(exceeded)
            guard.release(attempt)
            guard.record_failure(attempt)
        return await services.run_blocking(_find_recipient, reader, address)
    answer = await services.run_blocking(_find_by_name, reader, typed, services.now())
    if guard is not None and not answer.results and (exceeded := guard.record_failure(attempt)):
        raise error_of_limit(exceeded)
    return answer


def list_unguessable(typed: str) -> list[str]:
    """Return the IDs and native codes in a text."""
    return [text for text in list_pasted_codes(typed) if ID.fullmatch(text) or _is_native(text)]


def _is_native(text: str) -> bool:
    try:
        return classify_code(normalize_code(text)) == "native"
    except MalformedCodeError:
        return False


def _find_recipient(reader: SupportReader, address: EmailAddress) -> FoundSubjects:
    recipient_id = reader.find_recipient(address)
    if recipient_id is None:
        return FoundSubjects(results=[], more=False)
    places = reader.list_reservations_of_recipient(recipient_id, NEWEST, FOUND_MAX + 1)
    result = FoundSubject(
        kind="recipient",
        id=recipient_id,
        state=None,
        code_id=None,
        masked=mask_email(address.typed),
        reservations=[place[1] for place in places[:FOUND_MAX]],
    )
    return FoundSubjects(results=[result], more=len(places) > FOUND_MAX)


def _find_by_name(reader: SupportReader, typed: str, now: datetime) -> FoundSubjects:
    for subject_id in filter(None, reader.find_possible_codes(list_unguessable(typed))):
        if (result := _find_by_id(reader, subject_id, now)) is not None:
            return FoundSubjects(results=[result], more=False)
    return FoundSubjects(results=[], more=False)


def _find_by_id(reader: SupportReader, subject_id: UUID, now: datetime) -> FoundSubject | None:
    if (reservation := reader.find_reservation(subject_id)) is not None:
        return FoundSubject(
            kind="reservation",
            id=subject_id,
            state=reservation.public_state,
            code_id=reservation.code_id,
            masked=None,
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
        masked=None,
        reservations=[],
    )
