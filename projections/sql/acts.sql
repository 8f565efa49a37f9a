-- What the decisions of staff look up, and what a revoked code leaves to do.

-- name: known_texts
SELECT text_id FROM private_texts WHERE text_id = ANY(%s);

-- name: events_of_held
-- Reservations of revoked codes that are held and not being sent: the first ones, for one command.
SELECT r.reservation_id, e.originator_id, e.originator_version, e.topic, e.state
FROM unnest(%s::uuid[]) AS want (code_id)
CROSS JOIN LATERAL (
    SELECT * FROM reservations r
    WHERE r.code_id = want.code_id AND r.status = 'live' AND r.lease_until IS NULL AND r.case_id IS NULL
    ORDER BY r.deadline
    LIMIT %s
) r
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = ANY(r.versions)
ORDER BY r.reservation_id, e.originator_version;

-- name: insert_revocations
INSERT INTO revocations (code_id, next_at)
SELECT * FROM unnest(%s::uuid[], %s::timestamptz[]) ON CONFLICT (code_id) DO UPDATE SET next_at = excluded.next_at;

-- name: take_revocations
-- Revoked codes that may still hold something, each taken by one sweep at a time.
UPDATE revocations SET next_at = %(again_at)s
WHERE code_id IN (
    SELECT code_id FROM revocations WHERE next_at <= %(now)s ORDER BY next_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
RETURNING code_id;

-- name: close_revocation
DELETE FROM revocations WHERE code_id = %s;
