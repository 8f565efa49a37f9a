"""Rows of the vault as `execute` writes them: only for accepted commands, never for a refusal."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast
from uuid import UUID

from psycopg import Cursor

from domain.events.campaign import CampaignEvent
from domain.events.hand_out import HandedOutCodeEvent
from domain.events.reservation import ReservationEvent, UseReserved
from domain.events.waiting_list import WaitingListEvent
from domain.ports import RecipientDraft
from domain.working_set import WorkingSet
from projections.database.table_arrays import encode_rows
from projections.sql.event_store import CODE_TEXTS, NEW_TEXTS, RECIPIENTS, EventStoreSql
from projections.vault.vault import PrivateText, SearchableDraft


def insert_recipients(cursor: Cursor[Any], drafts: Sequence[RecipientDraft]) -> None:
    """Insert new recipients in the given (sorted) order; the statement fails if one of them exists by now."""
    if drafts:
        rows = [
            (*_identity_row(draft), draft.mailbox_digests[0])
            for draft in (cast("SearchableDraft", draft) for draft in drafts)
        ]
        cursor.execute(EventStoreSql.insert_recipients, encode_rows(RECIPIENTS, rows))


def insert_texts(cursor: Cursor[Any], working_set: WorkingSet) -> None:
    """Insert the texts of new codes, and the texts that new events and suppressions name, with whom they are about."""
    writes = working_set.writes
    if writes.code_texts:
        codes = [_code_row(code_id, cast("SearchableDraft", draft)) for code_id, draft in writes.code_texts.items()]
        cursor.execute(EventStoreSql.insert_code_texts, encode_rows(CODE_TEXTS, codes))
    if not writes.texts:
        return
    subjects = find_subjects(working_set)
    texts = [cast("PrivateText", text) for text in writes.texts]
    rows = [_text_row(text, subjects[text.text_id]) for text in texts if text.text_id in subjects]
    if rows:
        cursor.execute(EventStoreSql.insert_private_texts, encode_rows(NEW_TEXTS, rows))


class TextSubject(NamedTuple):
    """About whom a text is: persons, by their ids in the log, and the one to whom a code was handed out."""

    recipient_ids: frozenset[UUID]
    code_id: UUID | None = None


def find_subjects(working_set: WorkingSet) -> dict[UUID, TextSubject]:
    """Return about whom the texts of new events and suppressions are, by the ids of the texts.

    A text about a reservation is about its recipient, and one about a correction about both recipients. A text about a
    code is about the person to whom it is bound or was handed out. One about a campaign is about no person, unless it
    is about a place on its waiting list.
    """
    suppressions = working_set.writes.suppressions
    subjects = {each.text_id: TextSubject(frozenset({each.recipient_id})) for each in suppressions if each.text_id}
    for recorded in working_set.new_events:
        event, code_id = recorded.event, recorded.originator_id
        text_id: UUID | None = getattr(event, "text_id", None)
        if text_id is None:
            continue
        if isinstance(event, ReservationEvent):
            ids = {event.reservation_id, *_replacements(event.reservation_id, working_set)}
            persons = frozenset(working_set.reservations[key].recipient_id for key in ids)
            subjects[text_id] = TextSubject(persons)
        elif isinstance(event, WaitingListEvent):
            subjects[text_id] = TextSubject(frozenset({event.recipient_id}))
        elif isinstance(event, CampaignEvent):
            subjects[text_id] = TextSubject(frozenset())
        elif isinstance(event, HandedOutCodeEvent):
            subjects[text_id] = TextSubject(frozenset({working_set.handed_out[code_id].recipient_id}))
        else:
            code = working_set.codes[code_id]
            owners = [owner for owner in (code.owner_id, code.bound_to) if owner is not None]
            subjects[text_id] = TextSubject(frozenset(owners), code_id)
    return subjects


def _replacements(reservation_id: UUID, working_set: WorkingSet) -> Iterator[UUID]:
    """Yield the new reservations that correct one."""
    for recorded in working_set.new_events:
        if isinstance(recorded.event, UseReserved) and recorded.event.corrects == reservation_id:
            yield recorded.event.reservation_id


def _identity_row(draft: SearchableDraft) -> tuple[Any, ...]:
    sealed = draft.seal()
    return (draft.new_id, draft.digests[0], draft.pepper_id, sealed.sealed, sealed.key_id)


def _code_row(code_id: UUID, draft: SearchableDraft) -> tuple[Any, ...]:
    if code_id != draft.new_id:
        message = "a code's text must be drafted for the code's own id"
        raise ValueError(message)
    return (*_identity_row(draft), draft.suffix)


def _text_row(text: PrivateText, subject: TextSubject) -> tuple[Any, ...]:
    content = text.content
    return (text.text_id, text.reservation_id, subject.code_id, subject.recipient_ids, content.sealed, content.key_id)
