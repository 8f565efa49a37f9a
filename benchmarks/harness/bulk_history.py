"""Long histories in seconds: events in the codec's own shapes, multiplied in the database, and their snapshots.

The rows are those that the ledger would have written, with two exceptions: many redemptions have the same time, and
the recipients' encrypted addresses are random bytes, which `ledger verify` ignores.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from domain.events.event import Event
from domain.events.reservation import InviteAttempted, InviteSent, UseReserved
from projections.event_store.codec import encode
from projections.event_store.snapshots import write_missing_snapshots
from projections.sql.event_store import EventStoreSql

CHUNK = 50_000
"""Redemptions loaded in one transaction."""
_RESERVATION, _RECIPIENT = UUID("5ea7a9e1-5ea7-45ea-8a9e-15ea7a9e15ea"), UUID("c1bd0c2b-c1bd-4c1b-8d0c-2bc1bd0c2bc1")
_CAUSE = 0x7B3D9F5C
"""Placeholders whose bytes occur nowhere else in a state."""
LIVE_DAYS = 1

_CHUNK = """
CREATE TEMPORARY TABLE loading ON COMMIT DROP AS
SELECT code_id, from_version + (nth - 1) * %(steps)s AS version, gen_random_uuid() AS reservation_id,
    gen_random_uuid() AS recipient_id
FROM unnest(%(codes)s::uuid[], %(versions)s::bigint[], %(counts)s::bigint[]) AS wanted (code_id, from_version, count),
    generate_series(1, count) AS nth
"""
_EVENTS = """
INSERT INTO ledger_events (originator_id, originator_version, topic, state)
SELECT code_id, version + step - 1, topic, decode(
    replace(replace(replace(template, %(reservation)s, replace(reservation_id::text, '-', '')),
        %(recipient)s, replace(recipient_id::text, '-', '')),
        %(cause)s, encode(int4send((version + step - 2)::int), 'hex')), 'hex')
FROM loading, unnest(%(topics)s::text[], %(templates)s::text[]) WITH ORDINALITY AS kind (topic, template, step)
ORDER BY code_id, version, step
"""
_RECIPIENTS = """
INSERT INTO recipients (recipient_id, digest, pepper_id, sealed, key_id)
SELECT recipient_id, sha256(uuid_send(recipient_id)), 1, sha256(uuid_send(reservation_id)) || uuid_send(recipient_id), 1
FROM loading
"""
_RESERVATIONS = """
INSERT INTO reservations (
    reservation_id, code_id, recipient_id, versions, status, kind, reserved_at, deadline, due_at, lease_until,
    delivery, attempts, ever_unknown, case_id, follows, sent_at, accepted_at, refunded_at, refund_cause
)
SELECT reservation_id, code_id, recipient_id,
    CASE WHEN %(steps)s = 1 THEN ARRAY[version] ELSE ARRAY[version, version + 1, version + 2] END,
    CASE WHEN %(steps)s = 1 THEN 'live' ELSE 'sent' END, 'redeem', %(at)s, %(deadline)s,
    CASE WHEN %(steps)s = 1 THEN %(at)s::timestamptz END, NULL,
    1, CASE WHEN %(steps)s = 1 THEN 0 ELSE 1 END, false, NULL, NULL,
    CASE WHEN %(steps)s > 1 THEN %(at)s::timestamptz END, NULL, NULL, NULL
FROM loading
"""
_BALANCES = """
UPDATE code_balances b SET version = b.version + c.count * %(steps)s, last_at = %(at)s,
    used = b.used + CASE WHEN %(steps)s = 1 THEN 0 ELSE c.count END,
    sent_binding = b.sent_binding + CASE WHEN %(steps)s = 1 THEN 0 ELSE c.count END,
    reserved = b.reserved + CASE WHEN %(steps)s = 1 THEN c.count ELSE 0 END
FROM unnest(%(codes)s::uuid[], %(counts)s::bigint[]) AS c (code_id, count) WHERE b.code_id = c.code_id
"""


def load_history(
    database_url: str,
    counts: Sequence[tuple[UUID, int]],
    *,
    live: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Insert redemptions of open codes. No process may redeem those codes at the same time.

    Args:
        database_url: A throw-away database.
        counts: Codes with their numbers of redemptions.
        live: Leave the reservations pending; else they are sent.
        progress: Is called with the number loaded so far.
    """
    loaded = 0
    with psycopg.connect(database_url, options="-c statement_timeout=0") as conn:
        for chunk in _chunks(counts):
            _load_chunk(conn, chunk, live=live)
            conn.commit()
            loaded += sum(count for _, count in chunk)
            progress(loaded)
        conn.commit()
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("VACUUM (ANALYZE) ledger_events, reservations, recipients, code_balances")
        while write_missing_snapshots(conn):
            pass


def _chunks(counts: Sequence[tuple[UUID, int]]) -> list[list[tuple[UUID, int]]]:
    chunks: list[list[tuple[UUID, int]]] = [[]]
    capacity = CHUNK
    for code_id, count in counts:
        remaining = count
        while remaining:
            part = min(remaining, capacity)
            chunks[-1].append((code_id, part))
            remaining, capacity = remaining - part, capacity - part
            if not capacity:
                chunks.append([])
                capacity = CHUNK
    return [chunk for chunk in chunks if chunk]


def _load_chunk(
    conn: "psycopg.Connection[tuple[object, ...]]", chunk: Sequence[tuple[UUID, int]], *, live: bool
) -> None:
    conn.execute(EventStoreSql.lock_append_order)
    codes = [code_id for code_id, _ in chunk]
    rows: list[Any] = conn.execute(
        "SELECT code_id, version + 1, greatest(last_at, now()) FROM code_balances WHERE code_id = ANY(%s)", (codes,)
    ).fetchall()
    versions = {row[0]: row[1] for row in rows}
    at = max(row[2] for row in rows)
    templates = [encode(event) for event in _events(at.astimezone(UTC), live=live)]
    parameters = {
        "codes": codes,
        "versions": [versions[code_id] for code_id in codes],
        "counts": [count for _, count in chunk],
        "steps": len(templates),
        "reservation": _RESERVATION.hex,
        "recipient": _RECIPIENT.hex,
        "cause": f"{_CAUSE:08x}",
        "topics": [topic for topic, _ in templates],
        "templates": [state.hex() for _, state in templates],
        "at": at,
        "deadline": at + timedelta(days=LIVE_DAYS),
    }
    for statement in (_CHUNK, _EVENTS, _RECIPIENTS, _RESERVATIONS, _BALANCES):
        conn.execute(statement.encode(), parameters)


def _events(at: datetime, *, live: bool) -> list[Event]:
    """Return the events of one redemption, with placeholders for its ids and causes."""
    deadline = at + timedelta(days=LIVE_DAYS)
    reserved = UseReserved(
        at=at, actor="person", reservation_id=_RESERVATION, recipient_id=_RECIPIENT, deadline=deadline, language="zh"
    )
    if live:
        return [reserved]
    worker = {"at": at, "actor": "worker", "actor_id": "bench:1", "reservation_id": _RESERVATION, "caused_by": _CAUSE}
    attempted = InviteAttempted(**worker, attempt=1, lease_until=deadline, channel="null")  # type: ignore[arg-type]  # fields shared by both
    return [reserved, attempted, InviteSent(**worker, attempt=1, server="null")]  # type: ignore[arg-type]  # as above
