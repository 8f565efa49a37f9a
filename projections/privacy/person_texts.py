"""Which texts are about a person: what an export shows, and an erasure deletes."""

from typing import Any
from uuid import UUID

from psycopg import Cursor

from domain.events.reservation import ReservationEvent
from projections.event_store.codec import decode
from projections.sql.privacy import PrivacySql


def find_codes(cursor: Cursor[Any], recipient_id: UUID) -> list[UUID]:
    """Return the ids of the codes that were handed out to a person or are bound to them."""
    rows = cursor.execute(PrivacySql.codes_of_recipient, {"recipient_id": recipient_id}).fetchall()
    return [row[0] for row in rows]


def find_text_ids(cursor: Cursor[Any], recipient_id: UUID) -> list[UUID]:
    """Return the ids of all texts about a person: notes, reasons, replies of servers.

    Each text names the persons whom it is about. Texts that former releases stored about codes name no one: the events
    of the person's codes lead to them.
    """
    code_ids = find_codes(cursor, recipient_id)
    parameters = {"recipient_id": recipient_id, "code_ids": code_ids}
    rows = cursor.execute(PrivacySql.texts_of_recipient, parameters).fetchall()
    events = cursor.execute(PrivacySql.text_events_of_codes, (code_ids,)).fetchall()
    decoded = (decode(topic, bytes(state)) for topic, state in events)
    of_codes = [getattr(event, "text_id", None) for event in decoded if not isinstance(event, ReservationEvent)]
    rows += cursor.execute(PrivacySql.unsaid_texts, ([text_id for text_id in of_codes if text_id],)).fetchall()
    return sorted({row[0] for row in rows})
