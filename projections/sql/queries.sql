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

-- name: enter
-- Shared by all who write the read models, before they read or lock anything; whoever swaps their tables takes it alone.
-- A writer that stops in the middle (a frozen process) gives its locks up before those who wait for them give up.
SELECT pg_advisory_xact_lock_shared(1818518631, 2), set_config('idle_in_transaction_session_timeout', '5s', true);

-- name: newer_events
-- A bounded page of each stream; whose page is full is asked for again.
SELECT e.originator_id, e.originator_version, e.topic, e.state
FROM unnest(%s::uuid[], %s::bigint[]) AS known (code_id, version)
CROSS JOIN LATERAL (
    SELECT originator_id, originator_version, topic, state FROM ledger_events
    WHERE originator_id = known.code_id AND originator_version > known.version
    ORDER BY originator_version LIMIT %s
) e
ORDER BY e.originator_id, e.originator_version;

-- name: recipient_ids_of_digests
SELECT digest, recipient_id FROM recipients WHERE digest = ANY(%s);

-- name: events_of_persons
-- One person's newest reservations on a code, those of each status and kind in turn (a bound, not a page: older ones
-- decide nothing). So neither refunds nor rebinds, however many, hide a use that was sent.
SELECT r.reservation_id, e.originator_id, e.originator_version, e.topic, e.state
FROM unnest(%s::uuid[], %s::uuid[]) AS want (code_id, recipient_id)
CROSS JOIN LATERAL (
    SELECT * FROM reservations r
    WHERE r.code_id = want.code_id AND r.recipient_id = want.recipient_id
    ORDER BY row_number() OVER (PARTITION BY r.status, r.kind ORDER BY r.versions[1] DESC)
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

-- name: events_of_newer
-- Newer live or sent reservations of the same persons on the same codes, and such as follow the same one (a bound, not a
-- page: one is enough). Several of one person's may have the same newer one.
SELECT DISTINCT n.reservation_id, e.originator_id, e.originator_version, e.topic, e.state
FROM reservations r
CROSS JOIN LATERAL (
    SELECT * FROM reservations n
    WHERE n.code_id = r.code_id AND n.recipient_id = r.recipient_id AND n.status <> 'refunded'
        AND n.reservation_id <> r.reservation_id AND (n.versions[1] > r.versions[1] OR n.follows = r.follows)
    ORDER BY (n.follows = r.follows) IS TRUE DESC, n.versions[1] DESC
    LIMIT 20
) n
JOIN ledger_events e ON e.originator_id = n.code_id AND e.originator_version = ANY(n.versions)
WHERE r.reservation_id = ANY(%s)
ORDER BY n.reservation_id, e.originator_version;

-- name: events_of_overdue
-- Reservations on full or held codes that a command may give back on its way.
SELECT r.reservation_id, e.originator_id, e.originator_version, e.topic, e.state
FROM unnest(%s::uuid[]) AS want (code_id)
CROSS JOIN LATERAL (
    SELECT * FROM reservations r
    WHERE r.code_id = want.code_id AND r.status = 'live' AND r.deadline <= %s
        AND r.kind = 'redeem' AND r.lease_until IS NULL AND NOT r.ever_unknown AND r.case_id IS NULL
        AND r.due_at IS NOT NULL
    ORDER BY r.deadline
    LIMIT %s
) r
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = ANY(r.versions)
ORDER BY r.reservation_id, e.originator_version;

-- name: earliest_deadlines
SELECT want.code_id, (
    SELECT min(r.deadline) FROM reservations r
    WHERE r.code_id = want.code_id AND r.status = 'live' AND r.kind = 'redeem' AND r.deadline > %s
)
FROM unnest(%s::uuid[]) AS want (code_id);

-- name: remembered_keys
SELECT scope_digest, body_digest, reservation_id
FROM idempotency_keys WHERE scope_digest = ANY(%s) AND expires_at > %s;

-- name: insert_recipients
-- Fails if somebody else inserted one of them meanwhile: the batch is decided again, and then they are known.
INSERT INTO recipients (recipient_id, digest, pepper_id, sealed, key_id)
SELECT * FROM unnest(%s::uuid[], %s::bytea[], %s::smallint[], %s::bytea[], %s::smallint[]);

-- name: insert_code_texts
INSERT INTO code_texts (code_id, digest, pepper_id, sealed, key_id, hint)
SELECT * FROM unnest(%s::uuid[], %s::bytea[], %s::smallint[], %s::bytea[], %s::smallint[], %s::text[]);

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
    expires_at, validity_days, group_name, is_paused, revoked_by, rebinds_max, bound_to
)
SELECT * FROM unnest(
    %s::uuid[], %s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::bigint[], %s::bigint[], %s::bigint[],
    %s::boolean[], %s::uuid[], %s::bigint[], %s::timestamptz[], %s::integer[], %s::text[], %s::boolean[], %s::bigint[],
    %s::integer[], %s::uuid[]
)
ON CONFLICT (code_id) DO UPDATE SET
    version = excluded.version, last_at = excluded.last_at, max_uses = excluded.max_uses, used = excluded.used,
    reserved = excluded.reserved, bound = excluded.bound, owner_id = excluded.owner_id,
    sent_binding = excluded.sent_binding, expires_at = excluded.expires_at,
    validity_days = excluded.validity_days, group_name = excluded.group_name, is_paused = excluded.is_paused,
    revoked_by = excluded.revoked_by, rebinds_max = excluded.rebinds_max,
    bound_to = excluded.bound_to;

-- name: upsert_reservations
-- Arrays don't nest in unnest, so the versions come as text literals.
INSERT INTO reservations AS old (
    reservation_id, code_id, recipient_id, versions, status, kind, reserved_at, deadline, due_at, lease_until,
    delivery, attempts, ever_unknown, case_id, follows, sent_at, accepted_at,
    refunded_at, refund_cause, access_due_at, is_deferred
)
SELECT n.reservation_id, n.code_id, n.recipient_id, n.versions::bigint[], n.status, n.kind, n.reserved_at, n.deadline,
    n.due_at, n.lease_until, n.delivery, n.attempts, n.ever_unknown, n.case_id, n.follows, n.sent_at, n.accepted_at,
    n.refunded_at, n.refund_cause, n.access_due_at, n.is_deferred
FROM unnest(
    %s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[],
    %s::timestamptz[], %s::timestamptz[], %s::smallint[], %s::smallint[], %s::boolean[], %s::uuid[], %s::uuid[],
    %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::timestamptz[], %s::boolean[]
) AS n (
    reservation_id, code_id, recipient_id, versions, status, kind, reserved_at, deadline, due_at, lease_until,
    delivery, attempts, ever_unknown, case_id, follows, sent_at, accepted_at,
    refunded_at, refund_cause, access_due_at, is_deferred
)
ON CONFLICT (reservation_id) DO UPDATE SET
    versions = excluded.versions, status = excluded.status, deadline = excluded.deadline, due_at = excluded.due_at,
    lease_until = excluded.lease_until, delivery = excluded.delivery, attempts = excluded.attempts,
    ever_unknown = excluded.ever_unknown, case_id = excluded.case_id, sent_at = excluded.sent_at,
    accepted_at = excluded.accepted_at, refunded_at = excluded.refunded_at, refund_cause = excluded.refund_cause,
    access_due_at = excluded.access_due_at, is_deferred = excluded.is_deferred;

-- name: insert_cases
INSERT INTO cases (case_id, code_id, reservation_id, delivery, cause, opened_at, closed_at, closed_how)
SELECT * FROM unnest(
    %s::uuid[], %s::uuid[], %s::uuid[], %s::smallint[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[]
);

-- name: close_cases
UPDATE cases c SET closed_at = ended.at, closed_how = ended.how
FROM unnest(%s::uuid[], %s::timestamptz[], %s::text[]) AS ended (case_id, at, how)
WHERE c.case_id = ended.case_id;

-- name: cases_of_code
SELECT case_id, code_id, reservation_id, delivery, cause, opened_at, closed_at, closed_how
FROM cases WHERE code_id = %s;

-- name: list_cases
SELECT case_id, code_id, reservation_id, delivery, cause, opened_at, closed_at, closed_how FROM cases
WHERE (opened_at, case_id) > (%s, %s) AND (closed_at IS NULL OR %s) ORDER BY opened_at, case_id LIMIT %s;

-- name: parked_unknowns
SELECT reservation_id FROM reservations
WHERE status = 'live' AND ever_unknown AND case_id IS NOT NULL AND reserved_at < %s;

-- name: sent_unaccepted
SELECT reservation_id FROM reservations
WHERE status = 'sent' AND accepted_at IS NULL AND reserved_at < %s AND sent_at >= %s;

-- name: insert_outbox
INSERT INTO outbox (reservation_id, template, written_at, due_at)
SELECT reservation_id, template, at, at
FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) AS new (reservation_id, template, at)
ON CONFLICT DO NOTHING;

-- name: insert_idempotency_keys
INSERT INTO idempotency_keys AS old (scope_digest, body_digest, reservation_id, expires_at)
SELECT * FROM unnest(%s::bytea[], %s::bytea[], %s::uuid[], %s::timestamptz[])
ON CONFLICT (scope_digest) DO UPDATE SET
    body_digest = excluded.body_digest, reservation_id = excluded.reservation_id, expires_at = excluded.expires_at
WHERE old.expires_at <= %s;

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
) <= %s
RETURNING 1;

-- name: count_unknown_codes
INSERT INTO unknown_code_tries AS old (minute, reason, tries)
VALUES (date_trunc('minute', %s::timestamptz), %s, %s)
ON CONFLICT (minute, reason) DO UPDATE SET tries = old.tries + excluded.tries;

-- name: addresses_of_reservations
SELECT r.reservation_id, p.recipient_id, p.digest, p.pepper_id, p.sealed, p.key_id
FROM reservations r JOIN recipients p USING (recipient_id) WHERE r.reservation_id = ANY(%s);

-- name: code_text
SELECT code_id, digest, pepper_id, sealed, key_id FROM code_texts WHERE code_id = %s;

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
WHERE code_id = %s AND status = 'live' AND kind = 'redeem' ORDER BY deadline LIMIT %s;

-- name: count_sent_of_code
SELECT count(*) FROM reservations WHERE code_id = %s AND status = 'sent' AND kind = 'redeem';

-- name: take_due
-- What is due, each taken by one sweep only: the mark keeps others and the next rounds away until next_at, a little
-- longer each time. A mark is for one due moment: a retry is due anew. One from further in the future than any mark
-- is kept was made before the clock went back (another server took over), and is worth nothing.
WITH due AS (
    SELECT r.reservation_id, r.due_at, r.lease_until, r.deadline, r.ever_unknown
    FROM reservations r
    LEFT JOIN dispatches d USING (reservation_id)
    WHERE r.due_at <= %(due_before)s AND (
        d.next_at IS NULL OR d.next_at <= %(now)s OR d.next_at > %(now)s + %(longest)s OR d.due_at <> r.due_at
    )
    ORDER BY r.due_at
    LIMIT %(limit)s
    FOR UPDATE OF r SKIP LOCKED
), marked AS (
    INSERT INTO dispatches AS old (reservation_id, due_at, next_at, times)
    SELECT reservation_id, due_at, %(now)s + %(repeat)s, 1 FROM due
    ON CONFLICT (reservation_id) DO UPDATE SET
        due_at = excluded.due_at,
        next_at = %(now)s + %(repeat)s * CASE WHEN old.due_at = excluded.due_at THEN power(2, old.times) ELSE 1 END,
        times = CASE WHEN old.due_at = excluded.due_at THEN least(old.times + 1, %(doublings)s) ELSE 1 END
    WHERE old.next_at <= %(now)s OR old.next_at > %(now)s + %(longest)s OR old.due_at <> excluded.due_at
    RETURNING reservation_id
)
SELECT reservation_id, (lease_until IS NOT NULL OR deadline <= %(now)s) AS settle,
    ever_unknown OR lease_until IS NOT NULL AS alone
FROM due JOIN marked USING (reservation_id);

-- name: forget_dispatches
DELETE FROM dispatches WHERE reservation_id = ANY(%s);

-- name: forget_all_dispatches
DELETE FROM dispatches;

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
-- Letters due, each taken by one worker: due_at moves past the lease before anything is sent. `recent`: how many
-- notices the same recipient was sent within the last hour.
UPDATE outbox o SET due_at = %(leased_until)s, attempts = o.attempts + 1
FROM (
    SELECT reservation_id, template FROM outbox WHERE due_at <= %(now)s ORDER BY due_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
) due
WHERE o.reservation_id = due.reservation_id AND o.template = due.template
RETURNING o.reservation_id, o.template, o.written_at, o.attempts, (
    SELECT count(*) FROM reservations own
    JOIN reservations other USING (recipient_id)
    JOIN outbox sent ON sent.reservation_id = other.reservation_id
    WHERE own.reservation_id = o.reservation_id AND sent.outcome = 'sent'
        AND sent.closed_at > clock_timestamp() - interval '1 hour'
)::int AS recent;

-- name: close_outbox
UPDATE outbox SET due_at = %s, outcome = %s, closed_at = clock_timestamp()
WHERE reservation_id = %s AND template = %s;

-- name: put_off_outbox
-- Take it back: what was no try counts as none.
UPDATE outbox SET due_at = %s, outcome = %s, attempts = attempts - 1 WHERE reservation_id = %s AND template = %s;

-- name: oldest_due
SELECT min(due_at) AS oldest_due FROM reservations WHERE due_at IS NOT NULL;

-- name: server_facts
-- What an operator should know of the server, in one row.
SELECT clock_timestamp() AS now, current_setting('server_version') AS version, pg_is_in_recovery() AS standby,
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
    current_setting('max_connections')::int AS connections_max,
    ARRAY(
        SELECT name FROM pg_settings
        WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' ORDER BY name
    ) AS switched_off;

-- name: backlog
-- What waits: due work, reservations that no case parks, and cases.
SELECT clock_timestamp() AS now,
    (SELECT min(due_at) FROM reservations WHERE due_at IS NOT NULL) AS oldest_due,
    pending.count AS pending, pending.oldest AS oldest_pending, pending.deadline AS earliest_deadline,
    cases.count AS open_cases, cases.oldest AS oldest_case
FROM
    (SELECT count(*), min(reserved_at) AS oldest, min(deadline) FILTER (WHERE due_at IS NOT NULL) AS deadline
     FROM reservations WHERE status = 'live' AND case_id IS NULL) AS pending,
    (SELECT count(*), min(opened_at) AS oldest FROM cases WHERE closed_at IS NULL) AS cases;

-- name: read_only
SELECT pg_is_in_recovery();

-- name: applied_migrations
SELECT migration_id FROM _yoyo_migration ORDER BY applied_at_utc, migration_id;

-- name: insert_api_key
INSERT INTO api_keys (key_id, digest, role, created_at) VALUES (%s, %s, %s, %s) ON CONFLICT (digest) DO NOTHING;

-- name: api_key_of_digest
SELECT key_id, role, scopes, expires_at FROM api_keys
WHERE digest = %s AND (expires_at IS NULL OR expires_at > %s) AND revoked_at IS NULL;

-- name: upsert_staff
-- A new password ends the sessions that the old one began.
WITH entered AS (
    INSERT INTO staff (staff_id, digest, pepper_id, sealed, key_id, password_hash, role, created_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (digest) DO UPDATE SET
        password_hash = excluded.password_hash, role = excluded.role, removed_at = NULL
    RETURNING staff_id
)
DELETE FROM staff_sessions WHERE staff_id IN (SELECT staff_id FROM entered);

-- name: list_codes
SELECT * FROM code_balances
WHERE (issued_at, code_id) > (%s, %s) ORDER BY issued_at, code_id LIMIT %s;

-- name: random_codes
-- From a random id on, in order of ids and around the end: cheap at any size, as ids are random themselves. Very long
-- streams are left to `ledger verify`: folding one would take a worker's time limit.
WITH start AS MATERIALIZED (SELECT gen_random_uuid() AS id)
(
    SELECT code_id FROM code_balances WHERE code_id >= (SELECT id FROM start) AND version <= 20000
    ORDER BY code_id LIMIT %(most)s
)
UNION ALL
(
    SELECT code_id FROM code_balances WHERE code_id < (SELECT id FROM start) AND version <= 20000
    ORDER BY code_id LIMIT %(most)s
)
LIMIT %(most)s;

-- name: balance_of_code
SELECT code_id, version, issued_at, last_at, max_uses, used, reserved, bound, owner_id, sent_binding,
    expires_at, validity_days, group_name, is_paused, revoked_by, rebinds_max, bound_to
FROM code_balances WHERE code_id = %s;

-- name: reservations_of_code
SELECT reservation_id, code_id, recipient_id, versions, status, kind, reserved_at, deadline, due_at, lease_until,
    delivery, attempts, ever_unknown, case_id, follows, sent_at, accepted_at,
    refunded_at, refund_cause, access_due_at, is_deferred
FROM reservations WHERE code_id = %s;

-- name: balances_of_codes
SELECT * FROM code_balances WHERE code_id = ANY(%s);

-- name: stable_position
-- Positions appear in order, so all up to the highest one seen are there.
SELECT coalesce(max(notification_id), 0) FROM ledger_events;

-- name: copy_log_page
COPY (
    SELECT originator_id, originator_version, notification_id, topic, state FROM ledger_events
    WHERE (originator_id, originator_version) > (%s, %s) AND originator_id <= %s AND notification_id <= %s
    ORDER BY originator_id, originator_version LIMIT %s
) TO STDOUT (FORMAT BINARY);

-- name: copy_log_stretch
COPY (
    SELECT originator_id, originator_version, notification_id, topic, state FROM ledger_events
    WHERE notification_id >= %s AND notification_id < %s ORDER BY notification_id
) TO STDOUT (FORMAT BINARY);

-- name: copy_log_after
-- Positions appear in order, so nothing will ever appear before what is seen here.
COPY (
    SELECT originator_id, originator_version, notification_id, topic, state FROM ledger_events
    WHERE notification_id > %s ORDER BY notification_id LIMIT %s
) TO STDOUT (FORMAT BINARY);

-- name: merkle_leaves
-- Lowest tiles, each with the hash over it that the next height holds once it is full.
SELECT t.index, t.first_position, t.hashes,
    CASE WHEN octet_length(a.hashes) >= (mod(t.index, 256) + 1) * 32
        THEN substring(a.hashes FROM mod(t.index, 256)::int * 32 + 1 FOR 32) END
FROM merkle_tiles t LEFT JOIN merkle_tiles a ON a.height = 1 AND a.index = t.index / 256
WHERE t.height = 0 AND t.index BETWEEN %s AND %s ORDER BY t.index;

-- name: one_process_only
-- For this session: several at once would leave none of a small machine's cores to others.
SELECT set_config('max_parallel_maintenance_workers', '0', false), set_config('max_parallel_workers_per_gather', '0', false);

-- name: longest_streams
-- By the read model, which may be wrong: only a hint where to begin.
SELECT code_id FROM code_balances WHERE version > %s ORDER BY version DESC LIMIT %s;

-- name: events_between
SELECT originator_id, originator_version, notification_id, topic, state FROM ledger_events
WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id LIMIT %s;

-- name: events_between_of_stream
SELECT originator_id, originator_version, notification_id, topic, state FROM ledger_events
WHERE notification_id > %s AND notification_id <= %s AND originator_id = %s ORDER BY notification_id LIMIT %s;

-- name: positions_of_events
SELECT originator_id, originator_version, notification_id, topic FROM ledger_events
WHERE (originator_id, originator_version) IN (SELECT * FROM unnest(%s::uuid[], %s::bigint[]));

-- name: last_versions_of_codes
SELECT originator_id, max(originator_version) FROM ledger_events WHERE originator_id = ANY(%s) GROUP BY originator_id;

-- name: table_of_name
SELECT c.oid, n.nspname, pg_get_userbyid(c.relowner), c.reloptions
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relname = %s AND n.nspname = current_schema();

-- name: columns_of_table
SELECT attname, atttypid FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum;

-- name: index_constraints_of_table
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s AND contype IN ('p', 'u', 'x')
ORDER BY contype, conname;

-- name: plain_indexes_of_table
SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i
WHERE i.indrelid = %s AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
ORDER BY i.indexrelid;

-- name: grants_of_table
SELECT CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee) END, a.privilege_type, a.is_grantable
FROM pg_class c CROSS JOIN aclexplode(c.relacl) a WHERE c.oid = %s AND a.grantee <> c.relowner;

-- name: what_hangs_on_tables
-- What a swap would leave behind on the old table: views, triggers, foreign keys, policies, publications.
WITH live AS (
    SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relname = ANY(%s) AND n.nspname = current_schema()
)
SELECT DISTINCT 'view ' || v.relname FROM live JOIN pg_depend d ON d.refobjid = live.oid AND d.classid = 'pg_rewrite'::regclass
JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
UNION ALL SELECT 'trigger ' || t.tgname FROM live JOIN pg_trigger t ON t.tgrelid = live.oid AND NOT t.tgisinternal
UNION ALL SELECT 'foreign key ' || k.conname FROM live JOIN pg_constraint k ON k.contype = 'f' AND live.oid IN (k.conrelid, k.confrelid)
UNION ALL SELECT 'policy ' || p.polname FROM live JOIN pg_policy p ON p.polrelid = live.oid
UNION ALL SELECT 'publication ' || p.pubname FROM live JOIN pg_publication_rel m ON m.prrelid = live.oid
JOIN pg_publication p ON p.oid = m.prpubid;

-- name: lock_rebuild
-- Held by the session that rebuilds, so that there is one at a time.
SELECT pg_try_advisory_lock(1818518631, 1);

-- name: who_rebuilds
SELECT a.pid, a.application_name, a.client_addr::text, a.backend_start
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.classid = 1818518631 AND l.objid = 1 AND l.granted
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- name: enter_alone
-- Waits until all who write the read models have committed, and keeps others out.
SELECT pg_advisory_xact_lock(1818518631, 2);

-- name: staff_of_digests
SELECT password_hash, staff_id, digest, pepper_id, sealed, key_id FROM staff WHERE digest = ANY(%s) AND removed_at IS NULL;

-- name: staff_addresses
SELECT staff_id, digest, pepper_id, sealed, key_id FROM staff WHERE staff_id = ANY(%s);

-- name: open_session
-- Ends the session that the browser had before, and those whose time is over.
WITH ended AS (
    DELETE FROM staff_sessions WHERE digest = %(before)s OR expires_at <= %(now)s
)
INSERT INTO staff_sessions (digest, staff_id, created_at, expires_at)
VALUES (%(digest)s, %(staff_id)s, %(now)s, %(expires_at)s);

-- name: end_session
DELETE FROM staff_sessions WHERE digest = %s RETURNING staff_id;

-- name: staff_of_session
-- A session of a closed account may be there all the same, where a sign-in was under way while it was closed.
SELECT s.role, s.staff_id, s.digest, s.pepper_id, s.sealed, s.key_id
FROM staff_sessions o JOIN staff s USING (staff_id) WHERE o.digest = %s AND o.expires_at > %s
    AND s.removed_at IS NULL;

-- name: insert_audit
INSERT INTO audit (at, act, staff_id, subject_id, key_id)
VALUES (%(at)s, %(act)s, %(staff_id)s, %(subject_id)s, %(api_key_id)s);

-- name: insert_audit_with_reason
WITH reason AS (
    INSERT INTO private_texts (text_id, sealed, key_id) VALUES (%(text_id)s, %(sealed)s, %(key_id)s)
)
INSERT INTO audit (at, act, staff_id, subject_id, text_id, key_id)
VALUES (%(at)s, %(act)s, %(staff_id)s, %(subject_id)s, %(text_id)s, %(api_key_id)s);

-- name: audit_of_staff_since
SELECT act, subject_id, max(at) FROM audit
WHERE staff_id = %s AND at > %s AND subject_id = ANY(%s) GROUP BY act, subject_id;

-- name: audit_page
SELECT a.audit_id, a.at, a.act, a.staff_id, a.subject_id, a.text_id, p.sealed, p.key_id, r.code_id,
    a.key_id, k.text_id, n.sealed, n.key_id
FROM audit a
LEFT JOIN private_texts p USING (text_id)
LEFT JOIN reservations r ON r.reservation_id = a.subject_id
LEFT JOIN api_keys k ON k.key_id = a.key_id LEFT JOIN private_texts n ON n.text_id = k.text_id
WHERE a.audit_id < %s ORDER BY a.audit_id DESC LIMIT %s;

-- name: code_texts_of_hint
SELECT t.code_id FROM code_texts t WHERE t.hint = %s AND t.code_id > %s ORDER BY t.code_id LIMIT %s;

-- name: hint_of_code
SELECT hint FROM code_texts WHERE code_id = %s;

-- name: newest_log_rows
-- A stretch of the log of bounded length, newest first; the caller goes on from the lowest position it saw.
SELECT notification_id, topic, state FROM (
    SELECT notification_id, topic, state FROM ledger_events WHERE notification_id < %s
    ORDER BY notification_id DESC LIMIT %s
) stretch WHERE topic = ANY(%s) ORDER BY notification_id DESC;

-- name: lowest_of_newest_log_rows
SELECT min(notification_id) FROM (
    SELECT notification_id FROM ledger_events WHERE notification_id < %s ORDER BY notification_id DESC LIMIT %s
) stretch;

-- name: reservation_cards
SELECT r.reservation_id, r.code_id, r.recipient_id, r.status, r.reserved_at, r.deadline, r.due_at, r.lease_until,
    r.ever_unknown, r.case_id, r.sent_at, r.accepted_at, r.refunded_at, r.refund_cause, t.hint,
    p.recipient_id, p.digest, p.pepper_id, p.sealed, p.key_id
FROM reservations r
LEFT JOIN recipients p USING (recipient_id)
LEFT JOIN code_texts t USING (code_id)
WHERE r.reservation_id = ANY(%s);

-- name: reservations_of_recipient
SELECT reservation_id, reserved_at FROM reservations
WHERE recipient_id = %s AND (reserved_at, reservation_id) < (%s, %s)
ORDER BY reserved_at DESC, reservation_id DESC LIMIT %s;

-- name: recipient_text
SELECT recipient_id, digest, pepper_id, sealed, key_id FROM recipients WHERE recipient_id = %s;

-- name: open_cases_count
SELECT count(*) FROM cases WHERE closed_at IS NULL;

-- name: stuck_reservations
SELECT reservation_id, due_at FROM reservations
WHERE due_at <= %s AND (due_at, reservation_id) > (%s, %s) ORDER BY due_at, reservation_id LIMIT %s;

-- name: refusals_of_code
SELECT r.at, r.reason, p.recipient_id, p.digest, p.pepper_id, p.sealed, p.key_id
FROM refusals r LEFT JOIN recipients p ON p.digest = r.recipient_digest
WHERE r.code_id = %s AND r.at <= %s ORDER BY r.at DESC LIMIT %s;

-- name: versions_newest_first
SELECT originator_version FROM ledger_events
WHERE originator_id = %s AND originator_version > %s AND originator_version <= %s
    AND (%s::text[] IS NULL OR topic = ANY(%s))
ORDER BY originator_version DESC LIMIT %s;

-- name: versions_oldest_first
SELECT originator_version FROM ledger_events
WHERE originator_id = %s AND originator_version > %s AND originator_version <= %s
    AND (%s::text[] IS NULL OR topic = ANY(%s))
ORDER BY originator_version LIMIT %s;

-- name: version_of_code
SELECT version FROM code_balances WHERE code_id = %s;

-- name: versions_of_reservation
SELECT code_id, versions FROM reservations WHERE reservation_id = %s;

-- name: create_late_events
-- Events of reservations whose rows were given out before them; of this session only.
CREATE TEMPORARY TABLE late_events (originator_id uuid NOT NULL, originator_version bigint NOT NULL);

-- name: copy_late_events
COPY late_events FROM STDIN;

-- name: late_events_page
SELECT originator_id, originator_version, e.notification_id, e.topic, e.state
FROM late_events JOIN ledger_events e USING (originator_id, originator_version)
WHERE (originator_id, originator_version) > (%s, %s) ORDER BY originator_id, originator_version LIMIT %s;

-- name: lock_read_models_to_read
LOCK TABLE code_balances, reservations, cases IN ACCESS SHARE MODE;

-- name: drifting_codes
SELECT code_id FROM drifting_codes LEFT JOIN code_balances b USING (code_id)
WHERE b.version IS NULL OR b.version <= 20000 ORDER BY found_at, code_id LIMIT %s;

-- name: upsert_drifting
INSERT INTO drifting_codes AS old (code_id, found_at, rows)
SELECT code_id, %s, rows FROM unnest(%s::uuid[], %s::bigint[]) AS new (code_id, rows)
ON CONFLICT (code_id) DO UPDATE SET rows = excluded.rows;

-- name: forget_drifting
DELETE FROM drifting_codes WHERE code_id = ANY(%s);

-- name: forget_all_drifting
DELETE FROM drifting_codes;

-- name: count_drifting
SELECT coalesce(sum(rows), 0)::bigint FROM drifting_codes;

-- name: upsert_verification
INSERT INTO verifications (kind, at, position, events) VALUES (%s, %s, %s, %s)
ON CONFLICT (kind) DO UPDATE SET at = excluded.at, position = excluded.position, events = excluded.events;

-- name: last_verifications
SELECT kind, at, position FROM verifications ORDER BY kind;

-- name: overdue_reservations
-- Neither settled nor parked, although the deadline and any lease are over for longer than a sweep takes. What waits
-- for the removal of a corrected access is due at no time; that access is due, or is a case.
SELECT r.code_id, r.versions[cardinality(r.versions)], e.notification_id, e.topic, r.reservation_id, r.deadline
FROM reservations r
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = r.versions[cardinality(r.versions)]
WHERE r.status = 'live' AND r.case_id IS NULL AND r.due_at IS NOT NULL AND r.deadline < %(before)s
    AND (r.lease_until IS NULL OR r.lease_until < %(before)s)
LIMIT %(most)s;

-- name: lock_merkle
SELECT pg_try_advisory_xact_lock(1818518631, 3);

-- name: merkle_progress
SELECT size, position FROM merkle_progress;

-- name: set_merkle_progress
UPDATE merkle_progress SET size = %s, position = %s;

-- name: upsert_merkle_tile
INSERT INTO merkle_tiles (height, index, first_position, hashes) VALUES (%s, %s, %s, %s)
ON CONFLICT (height, index) DO UPDATE SET hashes = excluded.hashes;

-- name: merkle_tile
SELECT hashes, first_position FROM merkle_tiles WHERE height = %s AND index = %s;

-- name: merkle_tile_of_position
SELECT index, first_position FROM merkle_tiles WHERE height = 0 AND first_position <= %s
ORDER BY first_position DESC LIMIT 1;

-- name: count_events_between
SELECT count(*) FROM ledger_events WHERE notification_id >= %s AND notification_id < %s;

-- name: next_checkpoint_number
-- The number is part of what is signed, so it is drawn before the row is there.
SELECT nextval(pg_get_serial_sequence('checkpoints', 'number'));

-- name: last_checkpoint
SELECT number, size, position, root, at, public_key, signature FROM checkpoints ORDER BY number DESC LIMIT 1;

-- name: checkpoints_after
SELECT number, size, position, root, at, public_key, signature FROM checkpoints WHERE number > %s ORDER BY number LIMIT %s;

-- name: first_checkpoint_from
SELECT number, size, position, root, at, public_key, signature FROM checkpoints WHERE position >= %s ORDER BY number LIMIT 1;

-- name: places_of_reservation
SELECT e.notification_id, e.originator_id, e.originator_version, e.topic, e.state
FROM reservations r
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = ANY(r.versions)
WHERE r.reservation_id = %s ORDER BY e.notification_id;

-- name: checkpoint_of_number
SELECT number, size, position, root, at, public_key, signature FROM checkpoints WHERE number = %s;
