"""Primary data that `execute` writes next to the log: idempotency keys, rejected requests, notices and follow-up work.

It holds no fact about a code, so it is not rebuilt.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

from msgspec import structs
from psycopg import Cursor

from domain.errors import CodeUnknown
from domain.events.access import AccessReplaced, ExpiryAnnounced, InviteReminded
from domain.events.code import CodeRevoked
from domain.events.event import STAFF, Event
from domain.events.hand_out import HandOutReminded, HandOutResendRequested
from domain.events.reservation import UseRefunded, UseReserved
from domain.events.waiting_list import WaitingListJoined, WaitingOfferMade
from domain.model.hand_out import HandOutText
from domain.ports import Language, PipelineSteps, Template
from domain.working_set import WorkingSet
from domain.writes import GivenCode, NewKey, NewSuppression, Writes
from projections.database.pipeline import fetch_pipelined
from projections.database.table_arrays import encode_rows
from projections.event_store.caches import StoreCaches
from projections.sql.event_store import (
    IDEMPOTENCY_KEYS,
    OUTBOX,
    REJECTED_ATTEMPTS,
    REVOCATIONS,
    SUPPRESSED,
    EventStoreSql,
)
from projections.vault.vault import SearchableDraft

IDEMPOTENCY_DAYS = 7
REFUSALS_PER_CODE_AND_DAY = 100
EXPIRY_NOTICE_PREFIX = "ends_in_"
"""Start of the name of a notice about an expiry date, before the number of days."""
REMINDER: Final[Template] = "invite_reminder"
"""Sent once to a recipient who has not accepted the invitation."""
CORRECTION_NOTICE: Final[Template] = "correction_notice"
"""Sent to the old address after a correction."""
MOVE_NOTICE: Final[Template] = "move_notice"
"""Sent after a rebind that the recipient asked for. After one by staff, they explain it themselves."""
REFUND_NOTICES: Final[frozenset[Template]] = frozenset({"refund_notice", "rebind_notice"})
"""Sent after a refund; the second one, if a rebind was refunded."""
NOTICE_CAUSES = frozenset({"deadline", "failed"})
"""Causes of refunds that the recipient is notified of: not those of an address that no email reaches."""


def insert_outbox(cursor: Cursor[Any], working_set: WorkingSet) -> None:
    """Write the notices that follow from the new events, in the transaction of those events.

    A notice is keyed by reservation and template, so each reservation causes at most one of each kind.
    """
    rows = [
        row
        for recorded in working_set.new_events
        if not isinstance(recorded.event, UseReserved)
        and (row := outbox_entry_for(recorded.event, working_set)) is not None
    ]
    if rows:
        cursor.execute(EventStoreSql.insert_outbox, encode_rows(OUTBOX, [(*row, row[-1]) for row in rows]))


def outbox_entry_for(event: Event, working_set: WorkingSet) -> tuple[UUID, str, datetime] | None:
    """Return reservation, template and time of the notice that an event causes; None if it causes none."""
    if isinstance(event, UseRefunded):
        template = _refund_notice_template(event, working_set)
        return None if template is None else (event.reservation_id, template, event.waits_from)
    if isinstance(event, AccessReplaced) and working_set.reservations[event.by].opened_by not in STAFF:
        return event.reservation_id, MOVE_NOTICE, event.waits_from
    if isinstance(event, ExpiryAnnounced):
        return event.reservation_id, f"{EXPIRY_NOTICE_PREFIX}{event.days}", event.waits_from
    if isinstance(event, InviteReminded):
        return event.reservation_id, REMINDER, event.waits_from
    return None


def _refund_notice_template(event: UseRefunded, working_set: WorkingSet) -> str | None:
    """Return the template of the notice; a correction needs one only if the old address may have an invitation."""
    if event.cause in NOTICE_CAUSES:
        return "refund_notice" if event.kind == "redeem" else "rebind_notice"
    if event.cause != "corrected":
        return None
    may_have_arrived = event.held == "used" or working_set.reservations[event.reservation_id].ever_unknown
    return CORRECTION_NOTICE if may_have_arrived else None


def enqueue_revocation_followups(cursor: Cursor[Any], working_set: WorkingSet) -> None:
    """Enqueue codes revoked now that have pending reservations: the sweep continues if the caller is gone."""
    revoked = [
        (recorded.originator_id, recorded.event.waits_from)
        for recorded in working_set.new_events
        if isinstance(recorded.event, CodeRevoked) and working_set.codes[recorded.originator_id].reserved
    ]
    if revoked:
        cursor.execute(EventStoreSql.insert_revocations, encode_rows(REVOCATIONS, revoked))


def make_hand_out_mails_due(cursor: Cursor[Any], working_set: WorkingSet) -> None:
    """Make the emails with handed-out codes that new events request due, in the transaction of those events."""
    rows = sorted(
        (recorded.originator_id, recorded.event.waits_from, isinstance(recorded.event, HandOutResendRequested))
        for recorded in working_set.new_events
        if isinstance(recorded.event, HandOutResendRequested | HandOutReminded)
    )
    if rows:
        cursor.execute(EventStoreSql.make_hand_out_mails_due, [list(column) for column in zip(*rows, strict=True)])


def keep_waiting_places(cursor: Cursor[Any], working_set: WorkingSet) -> None:
    """Keep where new people wait, and make the emails of new offers due, in the transaction of those events."""
    for recorded in working_set.new_events:
        event = recorded.event
        if isinstance(event, WaitingListJoined):
            parameters = {"campaign_id": recorded.originator_id, **{name: getattr(event, name) for name in _PLACE}}
            cursor.execute(EventStoreSql.insert_waiting_place, parameters)
        elif isinstance(event, WaitingOfferMade):
            cursor.execute(EventStoreSql.make_waiting_offer_due, {"at": event.waits_from, "place_id": event.place_id})


_PLACE: Final = ("place_id", "code_id", "recipient_id", "at")


def insert_given_codes(cursor: Cursor[Any], given_codes: Iterable[GivenCode]) -> None:
    """List the recipients of codes that were handed out although they existed before, so that their emails are due."""
    for row in given_codes:
        cursor.execute(EventStoreSql.insert_given_code, structs.asdict(row))


def save_hand_out_texts(cursor: Cursor[Any], changed: Mapping[UUID, Mapping[Language, HandOutText]]) -> None:
    """Store the texts of hand-outs that a new event says were changed, in the transaction of that event."""
    for hand_out_id, texts in changed.items():
        rows = [(language, *text) for language, text in texts.items()]
        cursor.execute(
            EventStoreSql.save_hand_out_texts, (hand_out_id, *(list(column) for column in zip(*rows, strict=True)))
        )


def save_idempotency_keys(cursor: Cursor[Any], keys: Mapping[bytes, NewKey]) -> None:
    """Store the reservation that each Idempotency-Key led to; refusals are not stored."""
    if keys:
        days = timedelta(days=IDEMPOTENCY_DAYS)
        rows = [(scope, key.body_digest, key.reservation_id, key.at + days) for scope, key in sorted(keys.items())]
        now = min(key.at for key in keys.values())
        cursor.execute(EventStoreSql.insert_idempotency_keys, (*encode_rows(IDEMPOTENCY_KEYS, rows), now))


def suppress_addresses(cursor: Cursor[Any], suppressions: Sequence[NewSuppression]) -> None:
    """Store whose addresses are not written to; who complained has also opted out of the emails of that group."""
    if not suppressions:
        return
    rows = {
        (new.recipient_id, new.suppression.cause, new.suppression.group or ""): (
            new.suppression.is_of_group,
            new.since,
            new.until,
        )
        for new in suppressions
    }
    cursor.execute(
        EventStoreSql.insert_suppressions, encode_rows(SUPPRESSED, [(*key, *rows[key]) for key in sorted(rows)])
    )
    if complained := [each.recipient_id for each in suppressions if each.suppression.is_of_group]:
        cursor.execute(EventStoreSql.insert_complaints, (complained,))


def record_rejections(cursor: Cursor[Any], caches: StoreCaches, writes: Writes) -> PipelineSteps[None]:
    """Store rejected requests on existing codes, bounded per code and day; count those of unknown codes."""
    by_day: dict[tuple[UUID, str], list[tuple[Any, ...]]] = {}
    for refused in writes.refused_requests:
        day = (refused.code_id, refused.at.date().isoformat())
        draft = cast("SearchableDraft", refused.recipient)
        row = (refused.code_id, refused.at, draft.digests[0], draft.pepper_id, refused.reason)
        if not _is_full(caches, day):
            by_day.setdefault(day, []).append(row)
    for day, rows in by_day.items():
        limits = (REFUSALS_PER_CODE_AND_DAY, REFUSALS_PER_CODE_AND_DAY)
        arrays = encode_rows(REJECTED_ATTEMPTS, rows)
        recorded = yield from fetch_pipelined(
            cursor.execute(EventStoreSql.insert_rejected_attempts, (*arrays, *limits))
        )
        if len(recorded) < len(rows):
            caches.full_refusals.put(day, value=True)
    if unknown := writes.unknown_code_requests:
        cursor.execute(EventStoreSql.count_unknown_codes, (unknown[-1], CodeUnknown.code, len(unknown)))


def _is_full(caches: StoreCaches, day: tuple[UUID, str]) -> bool:
    try:
        return caches.full_refusals.get(day)
    except KeyError:
        return False
