"""A long log, generated in the database: many codes and a hot one, about four events per redemption, in order of time.

The stored states are those that the ledger writes, so everything that reads a log can be measured on it.
"""

from typing import Any

from psycopg import Connection, sql

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
SELECT code_id, row_number() OVER (PARTITION BY code_id ORDER BY at, reservation_id), topics.topic, convert_to(
    '{{"at":"' || to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '","actor":"' || topics.actor
    || coalesce('","request_id":"' || md5(at::text), '')
    || coalesce('","reservation_id":"' || reservation_id, '')
    || coalesce('","recipient_id":"' || recipient_id, '') || '"' || replace(topics.rest, '@',
        to_char(at + interval '30 minutes', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) || '}}', 'UTF8')
FROM bench_steps JOIN (VALUES
    ('issued', 'CodeIssued:1', 'operator', ',"max_uses":null,"bound":false'),
    ('reserved', 'UseReserved:1', 'person', ',"deadline":"@","language":"zh"'),
    ('attempted', 'InviteAttempted:1', 'worker', {worker} || '1,"lease_until":"@","channel":"smtp"'),
    ('sent', 'InviteSent:1', 'worker', {worker} || '1,"server":"mx.example.com:25","reply_code":250'),
    ('failed', 'InviteFailed:1', 'worker', {worker}
        || '1,"server":"mx.example.com:25","reason":"temporary","retry_at":"@","reply_code":451'),
    ('again', 'InviteAttempted:1', 'worker', {worker} || '2,"lease_until":"@","channel":"smtp"'),
    ('sent_then', 'InviteSent:1', 'worker', {worker} || '2,"server":"mx.example.com:25","reply_code":250'),
    ('refused', 'InviteFailed:1', 'worker', {worker}
        || '1,"server":"mx.example.com:25","reason":"address_refused","reply_code":550'),
    ('refunded', 'UseRefunded:1', 'worker', ',"cause":"failed","held":"reserved"'),
    ('accepted', 'InviteAccepted:1', 'person', ',"via":"link"')
) AS topics (step, topic, actor, rest) USING (step)
ORDER BY at, reservation_id
"""


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
        "worker": sql.Literal(',"actor_id":"worker-1:4711","attempt":'),
    }
    conn.execute("SET statement_timeout = 0")
    conn.execute("SET work_mem = '64MB'")
    for statement in (_CODES, _REDEMPTIONS, _STEPS):
        conn.execute(sql.SQL(statement).format(**parts))
    conn.execute("ANALYZE bench_steps")
    created = conn.execute(sql.SQL(_EVENTS).format(**parts)).rowcount
    conn.execute("DROP TABLE bench_codes, bench_redemptions, bench_steps")
    conn.execute("VACUUM ANALYZE ledger_events")
    return created
