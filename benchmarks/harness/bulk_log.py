"""A long log, generated in the database: many codes and a hot one, about four events per redemption, in order of time.

The stored states are those that the ledger writes, so everything that reads a log can be measured on it.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import Connection, sql

from domain.events.code import CodeIssued
from domain.events.reservation import (
    InviteAccepted,
    InviteAttempted,
    InviteFailed,
    InviteSent,
    UseRefunded,
    UseReserved,
)
from projections.event_store.codec import encode

HOT_SHARE = 0.4
"""Share of the redemptions that are on one code."""
REDEMPTIONS_PER_CODE = 15
EVENTS_PER_REDEMPTION = 4.05

_CODES = """
CREATE TEMPORARY TABLE bench_codes AS
SELECT number, gen_random_uuid() AS code_id FROM generate_series(0, {codes}) AS number
"""
_REDEMPTIONS = """
CREATE TEMPORARY TABLE bench_redemptions AS
SELECT c.code_id, gen_random_uuid() AS reservation_id, gen_random_uuid() AS recipient_id,
    drawn.kind, timestamptz '2026-01-01 00:00:00.25Z' + drawn.number * interval '0.31 s' AS at,
    drawn.accepted_after
FROM (
    SELECT number, random() AS kind, random() * interval '1 hour' AS accepted_after,
        CASE WHEN random() < {hot} THEN 0 ELSE 1 + floor(random() * {codes})::int END AS code
    FROM generate_series(1, {redemptions}) AS number
) drawn JOIN bench_codes c ON c.number = drawn.code
"""
_STEPS = """
CREATE TEMPORARY TABLE bench_steps AS
SELECT code_id, timestamptz '2026-01-01Z' AS at, 'issued' AS step,
    NULL::uuid AS reservation_id, NULL::uuid AS recipient_id
FROM bench_codes
UNION ALL
SELECT r.code_id, r.at + s.after + CASE s.step WHEN 'accepted' THEN r.accepted_after ELSE interval '0' END, s.step,
    r.reservation_id, CASE s.step WHEN 'reserved' THEN r.recipient_id END
FROM bench_redemptions r JOIN (VALUES
    ('reserved', interval '0', 0, 1), ('attempted', interval '50 ms', 0, 1),
    ('sent', interval '90 ms', 0, 0.85), ('failed', interval '90 ms', 0.85, 0.95),
    ('again', interval '61 s', 0.85, 0.95), ('sent_then', interval '62 s', 0.85, 0.95),
    ('refused', interval '90 ms', 0.95, 1), ('refunded', interval '91 ms', 0.95, 1),
    ('accepted', interval '63 s', 0, 0.7), ('accepted', interval '63 s', 0.85, 0.95)
) AS s (step, after, kind_from, kind_to) ON r.kind >= s.kind_from AND r.kind < s.kind_to
ORDER BY at
"""
_EVENTS = """
INSERT INTO ledger_events (originator_id, originator_version, topic, state)
SELECT code_id, row_number() OVER (PARTITION BY code_id ORDER BY at, reservation_id), topic, decode(
    replace(replace(replace(replace(replace(template,
        {request_id}, encode(convert_to(md5(at::text), 'UTF8'), 'hex')),
        {reservation_id}, coalesce(replace(reservation_id::text, '-', ''), '')),
        {recipient_id}, coalesce(replace(recipient_id::text, '-', ''), '')),
        {at}, {packed_at}), {later}, {packed_later}), 'hex')
FROM bench_steps JOIN unnest({steps}::text[], {topics}::text[], {templates}::text[]) AS kinds (step, topic, template)
    USING (step)
ORDER BY at, reservation_id
"""
_PACKED_TIME = """
encode(int8send(
    (((extract(epoch FROM {0}) % 1) * 1000000000)::bigint << 34) | floor(extract(epoch FROM {0}))::bigint), 'hex')
"""
_AT, _LATER = datetime(2222, 2, 22, 2, 22, 22, 222222, UTC), datetime(2333, 3, 3, 3, 33, 33, 333333, UTC)
_RESERVATION, _RECIPIENT = UUID("5ea7a9e1-5ea7-45ea-8a9e-15ea7a9e15ea"), UUID("c1bd0c2b-c1bd-4c1b-8d0c-2bc1bd0c2bc1")
_REQUEST = "q" * 32
"""Placeholders whose bytes occur nowhere else in a state."""
_TIME_BEGINS = 2
"""Bytes of a packed time before its value."""


def _templates() -> dict[str, tuple[str, bytes]]:
    """Return topic and state of the event of each step, with placeholders."""
    stamp: dict[str, Any] = {"at": _AT, "request_id": _REQUEST}
    about = {**stamp, "reservation_id": _RESERVATION}
    worker = {**about, "actor": "worker", "actor_id": "worker-1:4711"}
    server = "mx.example.com:25"
    attempted = {**worker, "lease_until": _LATER, "channel": "smtp"}
    failed = {**worker, "attempt": 1, "server": server}
    events = {
        "issued": CodeIssued(**stamp, actor="operator", max_uses=None, bound=False),
        "reserved": UseReserved(**about, actor="person", recipient_id=_RECIPIENT, deadline=_LATER, language="zh"),
        "attempted": InviteAttempted(**attempted, attempt=1),
        "sent": InviteSent(**worker, attempt=1, server=server, reply_code=250),
        "failed": InviteFailed(**failed, reason="temporary", retry_at=_LATER, reply_code=451),
        "again": InviteAttempted(**attempted, attempt=2),
        "sent_then": InviteSent(**worker, attempt=2, server=server, reply_code=250),
        "refused": InviteFailed(**failed, reason="address_refused", reply_code=550),
        "refunded": UseRefunded(**about, actor="worker", cause="failed", held="reserved"),
        "accepted": InviteAccepted(**about, actor="person", via="link"),
    }
    return {step: encode(event) for step, event in events.items()}


def create_log(conn: Connection[Any], events: int) -> int:
    """Fill an empty log; the read models stay empty.

    Args:
        conn: In autocommit mode, on a migrated database.
        events: Approximate number of events.

    Returns:
        The exact number.
    """
    redemptions = max(1, round(events / EVENTS_PER_REDEMPTION))
    parts = {
        "codes": sql.Literal(max(1, round(redemptions * (1 - HOT_SHARE) / REDEMPTIONS_PER_CODE))),
        "redemptions": sql.Literal(redemptions),
        "hot": sql.Literal(HOT_SHARE),
    }
    templates = _templates()
    states = {
        "steps": sql.Literal(list(templates)),
        "topics": sql.Literal([topic for topic, _ in templates.values()]),
        "templates": sql.Literal([state.hex() for _, state in templates.values()]),
        "request_id": sql.Literal(_REQUEST.encode().hex()),
        "reservation_id": sql.Literal(_RESERVATION.hex),
        "recipient_id": sql.Literal(_RECIPIENT.hex),
        "at": sql.Literal(_hex_of_time(_AT)),
        "later": sql.Literal(_hex_of_time(_LATER)),
        "packed_at": sql.SQL(_PACKED_TIME.format("at")),
        "packed_later": sql.SQL(_PACKED_TIME.format("(at + interval '30 minutes')")),
    }
    conn.execute("SET statement_timeout = 0")
    conn.execute("SET work_mem = '64MB'")
    for statement in (_CODES, _REDEMPTIONS, _STEPS):
        conn.execute(sql.SQL(statement).format(**parts))
    conn.execute("ANALYZE bench_steps")
    created = conn.execute(sql.SQL(_EVENTS).format(**states)).rowcount
    conn.execute("DROP TABLE bench_codes, bench_redemptions, bench_steps")
    conn.execute("VACUUM ANALYZE ledger_events")
    return created


def _hex_of_time(at: datetime) -> str:
    return msgspec.msgpack.encode(at)[_TIME_BEGINS:].hex()
