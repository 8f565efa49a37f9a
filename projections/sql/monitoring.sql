-- name: recent_requests
-- What all backends have told each other.
SELECT coalesce(sum(unknown), 0)::int AS unknown, coalesce(sum(redeemed), 0)::int AS redeemed
FROM limit_reports
WHERE at BETWEEN clock_timestamp() - make_interval(secs => %s) AND clock_timestamp() + interval '1 minute';

-- name: lock_counter_progress
-- Whoever has the row takes the tallies further; nobody waits for it.
SELECT position FROM tally_progress FOR UPDATE SKIP LOCKED;

-- name: next_counter_position
-- The end of the next stretch of the log. Positions appear in order, so all up to it are there.
SELECT max(notification_id), count(*) FROM (
    SELECT notification_id FROM ledger_events WHERE notification_id > %s ORDER BY notification_id LIMIT %s
) stretch;

-- name: count_event_types
SELECT split_part(topic, ':', 1), count(*) FROM ledger_events
WHERE notification_id > %s AND notification_id <= %s GROUP BY 1;

-- name: events_with_counted_fields
SELECT topic, state FROM ledger_events
WHERE notification_id > %s AND notification_id <= %s
    AND topic LIKE ANY (ARRAY['InviteSent:%%', 'UseRefunded:%%', 'AccessE%%', 'AccessC%%', 'AccessRe%%']);

-- name: seconds_from_click
-- A first delivery's time to its mail runs from the click; resends have no click.
SELECT extract(epoch FROM sent.at - r.reserved_at)::float8
FROM unnest(%s::uuid[], %s::timestamptz[]) AS sent (reservation_id, at) JOIN reservations r USING (reservation_id);

-- name: increment_counters
INSERT INTO tallies AS old (name, label, count) SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[])
ON CONFLICT (name, label) DO UPDATE SET count = old.count + excluded.count;

-- name: set_counter_position
UPDATE tally_progress SET position = %s;

-- name: counters
SELECT name, label, count FROM tallies ORDER BY name, label;

-- name: ledger_gauges
-- The state of things in one row; the connection that asks bounds its time.
SELECT
    coalesce(extract(epoch FROM clock_timestamp() - due.oldest), 0) AS sweep_lag,
    pending.count AS pending,
    coalesce(extract(epoch FROM clock_timestamp() - pending.oldest), 0) AS oldest_pending,
    coalesce(extract(epoch FROM clock_timestamp() - pending.deadline), 0) AS overdue,
    cases.count AS open_cases,
    coalesce(extract(epoch FROM clock_timestamp() - cases.oldest), 0) AS oldest_case,
    (SELECT coalesce(max(notification_id), 0) FROM ledger_events) AS position,
    (SELECT position FROM tally_progress) AS tallied,
    (SELECT size FROM merkle_progress) AS merkle_size,
    (SELECT position FROM merkle_progress) AS merkle_position,
    (SELECT coalesce(sum(rows), 0) FROM drifting_codes) AS drift,
    (SELECT count(*) FROM outbox WHERE due_at IS NOT NULL) AS notices,
    hooks.pending AS hooks_pending,
    coalesce(extract(epoch FROM clock_timestamp() - hooks.oldest), 0) AS hooks_oldest,
    (SELECT coalesce(greatest((SELECT max(notification_id) FROM ledger_events) - min(position), 0), 0)
     FROM webhook_endpoints WHERE state = 'enabled') AS hooks_behind,
    (SELECT count(*) FROM webhook_endpoints WHERE state = 'disabled' AND reason <> 'by_staff') AS hooks_out,
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1818518631 AND objid = 1 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS rebuilds,
    (SELECT coalesce(max(events::float8 / nullif(total, 0)), 0) FROM rebuild_progress) AS rebuilt,
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
    current_setting('max_connections')::int AS connections_max,
    pg_database_size(current_database()) AS bytes,
    coalesce((
        -- One that is longer than leases are was taken before the clock went back.
        SELECT extract(epoch FROM expires_at - clock_timestamp()) FROM scheduler_lease
        WHERE expires_at <= clock_timestamp() + interval '1 minute'
    ), 0) AS scheduler_lease,
    coalesce((SELECT fence FROM scheduler_lease), 0) AS scheduler_fence,
    coalesce((
        SELECT extract(epoch FROM max(at)) FROM audit WHERE act = 'made_backup' AND at <= clock_timestamp()
    ), 0) AS backup_at,
    coalesce((
        SELECT pg_wal_lsn_diff(
            CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn
        ) FROM pg_replication_slots WHERE slot_name = 'ledger_backup'
    ), 0) AS backup_behind
FROM
    (SELECT min(due_at) AS oldest FROM reservations WHERE due_at IS NOT NULL) AS due,
    (SELECT count(*), min(deadline) FILTER (WHERE due_at IS NOT NULL) AS deadline,
        min(reserved_at) FILTER (WHERE due_at IS NOT NULL AND (NOT is_deferred OR due_at <= clock_timestamp())) AS oldest
     FROM reservations WHERE status = 'live' AND case_id IS NULL) AS pending,
    (SELECT count(*), min(opened_at) AS oldest FROM cases WHERE closed_at IS NULL) AS cases,
    (SELECT count(*) AS pending, min(d.made_at) AS oldest FROM webhook_deliveries d JOIN webhook_endpoints e USING (endpoint_id)
     WHERE d.state = 'pending' AND e.state = 'enabled') AS hooks;

-- name: oldest_unrelayed
-- The first event that the slowest relay has not passed on.
SELECT topic, state, clock_timestamp() FROM ledger_events
WHERE notification_id = (
    SELECT min(notification_id) FROM ledger_events WHERE notification_id > (SELECT min(position) FROM relays)
);

-- name: relays_lately
-- Each relay, with how far it is behind; negative if its position is after the end of the log.
SELECT name, (SELECT coalesce(max(notification_id), 0) FROM ledger_events) - position, failures, last_error,
    leased_until > clock_timestamp()
FROM relays ORDER BY name;

-- name: cloud_event_senders
-- How many enabled endpoints, and how many relays, send CloudEvents.
SELECT (SELECT count(*) FROM webhook_endpoints WHERE format = 'cloudevents' AND state = 'enabled'),
    (SELECT count(*) FROM relays);

-- name: ending_keys
-- How many keys end soon, and the first end. A replaced key counts while it is still used: what uses it stops working.
SELECT count(*), min(k.expires_at)
FROM api_keys k LEFT JOIN api_keys r ON r.replaces_id = k.key_id LEFT JOIN api_key_uses u ON u.key_id = k.key_id
WHERE k.revoked_at IS NULL AND k.expires_at BETWEEN clock_timestamp() AND clock_timestamp() + %(soon)s::interval
    AND (
        r.key_id IS NULL
        OR u.used_at BETWEEN clock_timestamp() - %(recently)s::interval AND clock_timestamp() + interval '1 minute'
    );

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

-- name: size_of_vault
-- As the last ANALYZE estimated it: counting millions takes longer than a health check should.
SELECT greatest(coalesce(sum(reltuples), 0), 0)::bigint FROM pg_class
WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
    AND relname IN ('recipients', 'code_texts', 'staff', 'private_texts');

-- name: endpoints_lately
-- How many there are, how many did not take their last message, and how many were given up.
SELECT count(*) FILTER (WHERE state = 'enabled'), count(*) FILTER (WHERE state = 'enabled' AND failures > 0),
    count(*) FILTER (WHERE state = 'disabled' AND reason <> 'by_staff')
FROM webhook_endpoints;

-- name: has_break_glass
SELECT EXISTS (SELECT FROM staff WHERE is_break_glass AND removed_at IS NULL);

-- name: scheduler
-- Who schedules; no row before the first beat.
SELECT holder, fence, extract(epoch FROM clock_timestamp() - taken_at)::float8 AS term_s,
    extract(epoch FROM CASE
        -- One that is longer than leases are was taken before the clock went back.
        WHEN expires_at > clock_timestamp() + interval '1 minute' THEN expires_at - clock_timestamp()
        ELSE clock_timestamp() - expires_at
    END)::float8 AS expired_s
FROM scheduler_lease;

-- name: database_facts
-- What a backup says about its database.
SELECT clock_timestamp(), (SELECT system_identifier::text FROM pg_control_system()),
    current_setting('server_version_num')::int / 10000, pg_size_bytes(current_setting('wal_segment_size'))::int,
    (SELECT coalesce(max(notification_id), 0) FROM ledger_events), pg_is_in_recovery(),
    -- Of the last checkpoint: the name of a WAL file has the present one, but a standby has no function for that.
    CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
        ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END;

-- name: backup_state
-- A complete backup adds an entry to the audit log. A slot exists where WAL is received.
SELECT (
        SELECT extract(epoch FROM clock_timestamp() - max(at))::float8 FROM audit
        WHERE act = 'made_backup' AND at <= clock_timestamp()
    ),
    slot.active, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), slot.restart_lsn), 0)::bigint
FROM (SELECT 1) AS one LEFT JOIN pg_replication_slots slot ON slot.slot_name = %s;

-- name: slot_status
SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s;
