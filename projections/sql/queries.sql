-- Named statements. Parameters are psycopg's; arrays are matched up by unnest.

-- name: database_now
SELECT clock_timestamp();

-- name: code_ids_of_digests
SELECT digest, code_id FROM code_texts WHERE digest = ANY(%s);

-- name: code_ids_of_reservations
SELECT reservation_id, code_id FROM reservations WHERE reservation_id = ANY(%s);

-- name: lock_streams
-- Held until the transaction ends. The keys come sorted, so that two batches never wait for one another in a ring.
SELECT count(pg_advisory_xact_lock(key)) FROM unnest(%s::bigint[]) AS key;

-- name: lock_order
-- The order lock: whoever inserts next gets higher positions, and is visible later.
SELECT pg_advisory_xact_lock(1818518631, 0);

-- name: newer_events
SELECT e.originator_id, e.originator_version, e.topic, e.state
FROM unnest(%s::uuid[], %s::bigint[]) AS known (code_id, version)
JOIN ledger_events e ON e.originator_id = known.code_id AND e.originator_version > known.version
ORDER BY e.originator_id, e.originator_version;

-- name: recipient_ids_of_digests
SELECT digest, recipient_id FROM recipients WHERE digest = ANY(%s);

-- name: events_of_persons
-- One person's newest reservations on a code, live ones first (a bound, not a page: older ones decide nothing).
SELECT r.reservation_id, e.originator_id, e.originator_version, e.topic, e.state
FROM unnest(%s::uuid[], %s::uuid[]) AS want (code_id, recipient_id)
CROSS JOIN LATERAL (
    SELECT * FROM reservations r
    WHERE r.code_id = want.code_id AND r.recipient_id = want.recipient_id
    ORDER BY (r.status = 'live') DESC, r.versions[1] DESC
    LIMIT 20
) r
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = ANY(r.versions)
ORDER BY r.reservation_id, e.originator_version;

-- name: events_of_reservations
SELECT r.reservation_id, e.originator_id, e.originator_version, e.topic, e.state
FROM reservations r
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = ANY(r.versions)
WHERE r.reservation_id = ANY(%s)
ORDER BY r.reservation_id, e.originator_version;

-- name: events_of_followers
SELECT r.reservation_id, e.originator_id, e.originator_version, e.topic, e.state
FROM reservations r
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = ANY(r.versions)
WHERE r.follows = ANY(%s) AND r.status <> 'refunded'
ORDER BY r.reservation_id, e.originator_version;

-- name: events_of_overdue
-- Reservations on full or held codes that a command may give back on its way.
SELECT r.reservation_id, e.originator_id, e.originator_version, e.topic, e.state
FROM unnest(%s::uuid[]) AS want (code_id)
CROSS JOIN LATERAL (
    SELECT * FROM reservations r
    WHERE r.code_id = want.code_id AND r.status = 'live' AND r.deadline <= %s
        AND r.lease_until IS NULL AND NOT r.ever_unknown AND r.case_id IS NULL
    ORDER BY r.deadline
    LIMIT %s
) r
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = ANY(r.versions)
ORDER BY r.reservation_id, e.originator_version;

-- name: earliest_deadlines
SELECT want.code_id, (
    SELECT min(r.deadline) FROM reservations r
    WHERE r.code_id = want.code_id AND r.status = 'live' AND r.deadline > %s
)
FROM unnest(%s::uuid[]) AS want (code_id);

-- name: remembered_keys
SELECT scope_digest, body_digest, reservation_id
FROM idempotency_keys WHERE scope_digest = ANY(%s) AND expires_at > %s;

-- name: insert_recipients
-- A row that does not come back was inserted by somebody else meanwhile: the batch is decided again.
INSERT INTO recipients (recipient_id, digest, pepper_id, sealed, key_id)
SELECT * FROM unnest(%s::uuid[], %s::bytea[], %s::smallint[], %s::bytea[], %s::smallint[])
ON CONFLICT DO NOTHING
RETURNING digest;

-- name: insert_code_texts
INSERT INTO code_texts (code_id, digest, pepper_id, sealed, key_id)
SELECT * FROM unnest(%s::uuid[], %s::bytea[], %s::smallint[], %s::bytea[], %s::smallint[]);

-- name: insert_private_texts
INSERT INTO private_texts (text_id, reservation_id, sealed, key_id)
SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::bytea[], %s::smallint[]);

-- name: insert_events
INSERT INTO ledger_events (originator_id, originator_version, topic, state)
SELECT originator_id, originator_version, topic, state
FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::bytea[])
    WITH ORDINALITY AS new (originator_id, originator_version, topic, state, nth)
ORDER BY nth
RETURNING notification_id;

-- name: upsert_balances
INSERT INTO code_balances AS old (
    code_id, version, issued_at, last_at, max_uses, used, reserved, bound, owner_id, sent_binding,
    expires_at, validity_days, group_name
)
SELECT * FROM unnest(
    %s::uuid[], %s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::bigint[], %s::bigint[], %s::bigint[],
    %s::boolean[], %s::uuid[], %s::bigint[], %s::timestamptz[], %s::integer[], %s::text[]
)
ON CONFLICT (code_id) DO UPDATE SET
    version = excluded.version, last_at = excluded.last_at, max_uses = excluded.max_uses, used = excluded.used,
    reserved = excluded.reserved, bound = excluded.bound, owner_id = excluded.owner_id,
    sent_binding = excluded.sent_binding, expires_at = excluded.expires_at,
    validity_days = excluded.validity_days, group_name = excluded.group_name;

-- name: upsert_reservations
-- Arrays don't nest in unnest, so the versions come as text literals.
INSERT INTO reservations AS old (
    reservation_id, code_id, recipient_id, versions, status, kind, reserved_at, deadline, due_at, lease_until,
    delivery, attempts, ever_unknown, case_id, follows, sent_at, accepted_at,
    refunded_at, refund_cause
)
SELECT n.reservation_id, n.code_id, n.recipient_id, n.versions::bigint[], n.status, n.kind, n.reserved_at, n.deadline,
    n.due_at, n.lease_until, n.delivery, n.attempts, n.ever_unknown, n.case_id, n.follows, n.sent_at, n.accepted_at,
    n.refunded_at, n.refund_cause
FROM unnest(
    %s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[],
    %s::timestamptz[], %s::timestamptz[], %s::smallint[], %s::smallint[], %s::boolean[], %s::uuid[], %s::uuid[],
    %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::text[]
) AS n (
    reservation_id, code_id, recipient_id, versions, status, kind, reserved_at, deadline, due_at, lease_until,
    delivery, attempts, ever_unknown, case_id, follows, sent_at, accepted_at,
    refunded_at, refund_cause
)
ON CONFLICT (reservation_id) DO UPDATE SET
    versions = excluded.versions, status = excluded.status, deadline = excluded.deadline, due_at = excluded.due_at,
    lease_until = excluded.lease_until, delivery = excluded.delivery, attempts = excluded.attempts,
    ever_unknown = excluded.ever_unknown, case_id = excluded.case_id, sent_at = excluded.sent_at,
    accepted_at = excluded.accepted_at, refunded_at = excluded.refunded_at, refund_cause = excluded.refund_cause;

-- name: insert_outbox
INSERT INTO outbox (reservation_id, template, written_at, due_at)
SELECT reservation_id, 'refund_notice', at, at FROM unnest(%s::uuid[], %s::timestamptz[]) AS new (reservation_id, at)
ON CONFLICT DO NOTHING;

-- name: insert_idempotency_keys
INSERT INTO idempotency_keys AS old (scope_digest, body_digest, reservation_id, expires_at)
SELECT * FROM unnest(%s::bytea[], %s::bytea[], %s::uuid[], %s::timestamptz[])
ON CONFLICT (scope_digest) DO UPDATE SET
    body_digest = excluded.body_digest, reservation_id = excluded.reservation_id, expires_at = excluded.expires_at
WHERE old.expires_at <= now();

-- name: insert_refusals
-- At most so many per code and day (UTC); the count is taken before the rows of this statement.
INSERT INTO refusals (code_id, at, recipient_digest, pepper_id, reason)
SELECT new.code_id, new.at, new.recipient_digest, new.pepper_id, new.reason
FROM unnest(%s::uuid[], %s::timestamptz[], %s::bytea[], %s::smallint[], %s::text[])
    WITH ORDINALITY AS new (code_id, at, recipient_digest, pepper_id, reason, nth)
WHERE new.nth + (
    SELECT count(*) FROM (
        SELECT FROM refusals r
        WHERE r.code_id = new.code_id AND r.at >= date_trunc('day', new.at, 'UTC') LIMIT %s
    ) kept
) <= %s;

-- name: count_unknown_codes
INSERT INTO unknown_code_tries AS old (minute, reason, tries)
VALUES (date_trunc('minute', %s::timestamptz), %s, %s)
ON CONFLICT (minute, reason) DO UPDATE SET tries = old.tries + excluded.tries;

-- name: addresses_of_reservations
SELECT r.reservation_id, p.recipient_id, p.sealed, p.key_id
FROM reservations r JOIN recipients p USING (recipient_id) WHERE r.reservation_id = ANY(%s);

-- name: code_text
SELECT sealed, key_id FROM code_texts WHERE code_id = %s;

-- name: private_text
SELECT sealed, key_id FROM private_texts WHERE text_id = %s;

-- name: key_checks
SELECT key_id, check_value FROM key_checks WHERE ring = %s;

-- name: insert_key_check
INSERT INTO key_checks (ring, key_id, check_value) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING;

-- name: stream_events
SELECT notification_id, originator_version, topic, state FROM ledger_events
WHERE originator_id = %s AND originator_version > %s ORDER BY originator_version LIMIT %s;

-- name: live_reservations_of_code
SELECT reservation_id, lease_until, ever_unknown, case_id FROM reservations
WHERE code_id = %s AND status = 'live' ORDER BY deadline LIMIT %s;

-- name: count_sent_of_code
SELECT count(*) FROM reservations WHERE code_id = %s AND status = 'sent' AND kind = 'redeem';

-- name: take_due
-- What is due, each taken by one sweep only: the mark keeps others (and the next round) away until next_at.
WITH due AS (
    SELECT r.reservation_id, r.lease_until, r.deadline
    FROM reservations r
    LEFT JOIN dispatches d USING (reservation_id)
    WHERE r.due_at <= %(due_before)s AND (d.next_at IS NULL OR d.next_at <= %(now)s)
    ORDER BY r.due_at
    LIMIT %(limit)s
    FOR UPDATE OF r SKIP LOCKED
), marked AS (
    INSERT INTO dispatches AS old (reservation_id, next_at)
    SELECT reservation_id, %(next_at)s FROM due
    ON CONFLICT (reservation_id) DO UPDATE SET next_at = excluded.next_at WHERE old.next_at <= %(now)s
    RETURNING reservation_id
)
SELECT reservation_id, (lease_until IS NOT NULL OR deadline <= %(now)s) AS settle FROM due JOIN marked USING (reservation_id);

-- name: forget_dispatches
DELETE FROM dispatches WHERE reservation_id = ANY(%s);

-- name: prune_dispatches
DELETE FROM dispatches WHERE next_at < %s;

-- name: prune_idempotency_keys
DELETE FROM idempotency_keys WHERE scope_digest IN (
    SELECT scope_digest FROM idempotency_keys WHERE expires_at <= %s ORDER BY expires_at LIMIT %s
);

-- name: prune_refusals
DELETE FROM refusals WHERE ctid = ANY(ARRAY(SELECT ctid FROM refusals WHERE at < %s LIMIT %s));

-- name: prune_unknown_code_tries
DELETE FROM unknown_code_tries WHERE minute < %s;

-- name: take_outbox
-- Letters due, each taken by one worker: due_at moves past the lease before anything is sent.
UPDATE outbox o SET due_at = %(leased_until)s, attempts = o.attempts + 1
FROM (
    SELECT reservation_id, template FROM outbox WHERE due_at <= %(now)s ORDER BY due_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
) due
WHERE o.reservation_id = due.reservation_id AND o.template = due.template
RETURNING o.reservation_id, o.template, o.written_at, o.attempts;

-- name: close_outbox
UPDATE outbox SET due_at = %s, outcome = %s WHERE reservation_id = %s AND template = %s;

-- name: oldest_due
SELECT min(due_at) FROM reservations WHERE due_at IS NOT NULL;

-- name: read_only
SELECT pg_is_in_recovery();

-- name: applied_migrations
SELECT migration_id FROM _yoyo_migration ORDER BY applied_at_utc, migration_id;

-- name: insert_api_key
INSERT INTO api_keys (key_id, digest, role, created_at) VALUES (%s, %s, %s, %s) ON CONFLICT (digest) DO NOTHING;

-- name: api_key_of_digest
SELECT key_id, role FROM api_keys WHERE digest = %s AND (expires_at IS NULL OR expires_at > %s);

-- name: upsert_staff
INSERT INTO staff (staff_id, digest, pepper_id, sealed, key_id, password_hash, role, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (digest) DO UPDATE SET password_hash = excluded.password_hash, role = excluded.role;

-- name: list_codes
SELECT * FROM code_balances
WHERE (issued_at, code_id) > (%s, %s) ORDER BY issued_at, code_id LIMIT %s;

-- name: random_codes
-- From a random id on, in order of ids: cheap at any size. Ids are random themselves.
SELECT code_id FROM code_balances WHERE code_id >= gen_random_uuid() ORDER BY code_id LIMIT %s;

-- name: balance_of_code
SELECT code_id, version, issued_at, last_at, max_uses, used, reserved, bound, owner_id, sent_binding,
    expires_at, validity_days, group_name
FROM code_balances WHERE code_id = %s;

-- name: reservations_of_code
SELECT reservation_id, code_id, recipient_id, versions::text, status, kind, reserved_at, deadline, due_at, lease_until,
    delivery, attempts, ever_unknown, case_id, follows, sent_at, accepted_at,
    refunded_at, refund_cause
FROM reservations WHERE code_id = %s;
