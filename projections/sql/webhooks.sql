-- Statements of webhooks: endpoints, and the deliveries to them.

-- name: insert_endpoint
-- From the end of the log on, if no other position is given. Asked for twice by one form, it is one endpoint.
INSERT INTO webhook_endpoints (
    endpoint_id, url, event_types, concurrency, state, created_at, changed_at, position
)
VALUES (
    %(endpoint_id)s, %(url)s, %(event_types)s, %(concurrency)s, 'enabled', %(now)s, %(now)s,
    (SELECT least(%(position)s::bigint, coalesce(max(notification_id), 0)) FROM ledger_events)
)
ON CONFLICT (endpoint_id) DO NOTHING RETURNING endpoint_id;

-- name: endpoint_of_id
SELECT e.endpoint_id, e.url, e.event_types, e.concurrency, e.state, e.reason, e.created_at, e.position, e.failures,
    e.resting_until, e.succeeded_at,
    (SELECT count(*) FROM webhook_deliveries d WHERE d.endpoint_id = e.endpoint_id AND d.state = 'pending') AS pending,
    (SELECT coalesce(max(notification_id), 0) FROM ledger_events) - e.position AS behind
FROM webhook_endpoints e WHERE e.endpoint_id = %s AND e.state <> 'removed';

-- name: list_endpoints
SELECT e.endpoint_id, e.url, e.event_types, e.concurrency, e.state, e.reason, e.created_at, e.position, e.failures,
    e.resting_until, e.succeeded_at,
    (SELECT count(*) FROM webhook_deliveries d WHERE d.endpoint_id = e.endpoint_id AND d.state = 'pending') AS pending,
    (SELECT coalesce(max(notification_id), 0) FROM ledger_events) - e.position AS behind
FROM webhook_endpoints e WHERE e.state <> 'removed' AND (e.created_at, e.endpoint_id) > (%s, %s)
ORDER BY e.created_at, e.endpoint_id LIMIT %s;

-- name: change_endpoint
-- What is null stays. Whoever is at work notices by the runner, which is nobody from now on.
UPDATE webhook_endpoints SET url = coalesce(%(url)s, url), event_types = coalesce(%(event_types)s, event_types),
    concurrency = coalesce(%(concurrency)s, concurrency), changed_at = %(now)s, runner = NULL, lease_until = NULL,
    resting_until = NULL, failures = 0
WHERE endpoint_id = %(endpoint_id)s AND state <> 'removed' RETURNING endpoint_id;

-- name: set_endpoint_state
UPDATE webhook_endpoints SET state = %(state)s, reason = %(reason)s, changed_at = %(now)s, runner = NULL,
    lease_until = NULL, resting_until = NULL, failures = 0
WHERE endpoint_id = %(endpoint_id)s AND state <> 'removed' AND state <> %(state)s RETURNING endpoint_id;

-- name: end_secrets_of_owner
UPDATE webhook_secrets SET ends_at = %s WHERE owner_id = %s;

-- name: take_endpoint
-- One that has something to do and that nobody works on, the one that waits longest first.
UPDATE webhook_endpoints SET runner = %(runner)s, lease_until = %(lease_until)s, worked_at = %(now)s
WHERE endpoint_id = (
    SELECT e.endpoint_id FROM webhook_endpoints e
    WHERE e.state = 'enabled' AND (e.resting_until IS NULL OR e.resting_until <= %(now)s)
        AND (e.lease_until IS NULL OR e.lease_until <= %(now)s)
        AND (
            e.position < (SELECT max(notification_id) FROM ledger_events)
            OR EXISTS (
                SELECT FROM webhook_deliveries d
                WHERE d.endpoint_id = e.endpoint_id AND d.state = 'pending' AND d.due_at <= %(now)s
            )
        )
    ORDER BY e.worked_at NULLS FIRST LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING endpoint_id, url, event_types, concurrency;

-- name: release_endpoint
UPDATE webhook_endpoints SET runner = NULL, lease_until = NULL WHERE endpoint_id = %s AND runner = %s;

-- name: own_endpoint
-- Locked for who has it; no row if it was changed, disabled or taken by somebody else meanwhile.
SELECT position, failures, succeeded_at FROM webhook_endpoints
WHERE endpoint_id = %s AND runner = %s AND state = 'enabled' FOR UPDATE;

-- name: count_pending
SELECT count(*) FROM webhook_deliveries WHERE endpoint_id = %s AND state = 'pending';

-- name: next_positions
-- Positions appear in order, so all up to the last one are there.
SELECT notification_id, split_part(topic, ':', 1) FROM ledger_events
WHERE notification_id > %s ORDER BY notification_id LIMIT %s;

-- name: insert_deliveries
-- Each is a microsecond younger than the one before it, so that lists are in the log's order.
INSERT INTO webhook_deliveries (delivery_id, endpoint_id, position, event_type, state, made_at, due_at)
SELECT id, %(endpoint_id)s, position, type, 'pending', %(now)s + nth * interval '1 microsecond', %(now)s
FROM unnest(%(ids)s::uuid[], %(positions)s::bigint[], %(types)s::text[]) WITH ORDINALITY AS new (id, position, type, nth)
ON CONFLICT (delivery_id) DO NOTHING;

-- name: advance_endpoint
UPDATE webhook_endpoints SET position = %s WHERE endpoint_id = %s;

-- name: due_deliveries
SELECT delivery_id, attempts, first_at, e.notification_id, e.originator_id, e.originator_version, e.topic, e.state
FROM (
    SELECT delivery_id, attempts, first_at, position FROM webhook_deliveries
    WHERE endpoint_id = %(endpoint_id)s AND state = 'pending' AND due_at <= %(now)s ORDER BY due_at, position LIMIT %(limit)s
) d JOIN ledger_events e ON e.notification_id = d.position ORDER BY d.position;

-- name: record_deliveries
-- Not of those that somebody asked for anew while they were under way: these are tried once more.
UPDATE webhook_deliveries d SET state = n.state, due_at = n.due_at, attempts = d.attempts + 1,
    first_at = coalesce(d.first_at, n.at), last_at = n.at, last_outcome = n.outcome, last_status = n.status, last_ms = n.ms,
    ended_at = CASE WHEN n.state = 'pending' THEN NULL ELSE n.at END
FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::integer[], %s::integer[])
    AS n (id, state, due_at, at, outcome, status, ms)
WHERE d.delivery_id = n.id AND d.state = 'pending';

-- name: note_endpoint
UPDATE webhook_endpoints SET failures = %(failures)s, resting_until = %(resting_until)s,
    succeeded_at = coalesce(%(succeeded_at)s, succeeded_at)
WHERE endpoint_id = %(endpoint_id)s;

-- name: hurry_deliveries
-- The endpoint is back: what waited for it is due.
UPDATE webhook_deliveries SET due_at = %s WHERE endpoint_id = %s AND state = 'pending' AND due_at > %s;

-- name: insert_test_delivery
INSERT INTO webhook_deliveries (
    delivery_id, endpoint_id, event_type, state, made_at, attempts, first_at, last_at, last_outcome, last_status, last_ms,
    ended_at
)
VALUES (%(id)s, %(endpoint_id)s, %(type)s, %(state)s, %(at)s, 1, %(at)s, %(at)s, %(outcome)s, %(status)s, %(ms)s, %(at)s);

-- name: list_deliveries
SELECT delivery_id, position, event_type, state, made_at, due_at, attempts, last_at, last_outcome, last_status, last_ms
FROM webhook_deliveries
WHERE endpoint_id = %(endpoint_id)s AND (made_at, delivery_id) < (%(at)s, %(id)s)
    AND (%(state)s::text IS NULL OR state = %(state)s)
ORDER BY made_at DESC, delivery_id DESC LIMIT %(limit)s;

-- name: redeliver
UPDATE webhook_deliveries d SET state = 'pending', due_at = %(now)s, attempts = 0, first_at = NULL, ended_at = NULL
FROM webhook_endpoints e
WHERE d.delivery_id = %(delivery_id)s AND d.endpoint_id = %(endpoint_id)s AND d.position IS NOT NULL
    AND e.endpoint_id = d.endpoint_id AND e.state = 'enabled' RETURNING 1;

-- name: redeliver_failed
UPDATE webhook_deliveries d SET state = 'pending', due_at = %(now)s, attempts = 0, first_at = NULL, ended_at = NULL
FROM webhook_endpoints e
WHERE d.delivery_id = ANY(ARRAY(
        SELECT delivery_id FROM webhook_deliveries
        WHERE endpoint_id = %(endpoint_id)s AND state = 'failed' AND position IS NOT NULL AND ended_at >= %(since)s
        ORDER BY ended_at LIMIT %(limit)s
    ))
    AND e.endpoint_id = d.endpoint_id AND e.state = 'enabled' RETURNING 1;

-- name: endpoints_lately
-- How many there are, how many did not take their last message, and how many were given up.
SELECT count(*) FILTER (WHERE state = 'enabled'), count(*) FILTER (WHERE state = 'enabled' AND failures > 0),
    count(*) FILTER (WHERE state = 'disabled' AND reason <> 'by_staff')
FROM webhook_endpoints;

-- name: prune_deliveries
DELETE FROM webhook_deliveries WHERE delivery_id = ANY(ARRAY(
    SELECT d.delivery_id FROM webhook_deliveries d
    WHERE (d.ended_at < %(delivered_before)s AND d.state = 'delivered') OR d.ended_at < %(failed_before)s LIMIT %(limit)s
));

-- name: prune_deliveries_of_removed
DELETE FROM webhook_deliveries WHERE delivery_id = ANY(ARRAY(
    SELECT d.delivery_id FROM webhook_deliveries d JOIN webhook_endpoints e USING (endpoint_id)
    WHERE e.state = 'removed' LIMIT %s
));

-- name: prune_removed_endpoints
DELETE FROM webhook_endpoints e
WHERE e.state = 'removed' AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.endpoint_id = e.endpoint_id);
