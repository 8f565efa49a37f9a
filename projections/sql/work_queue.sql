-- name: claim_revocations
-- Revoked codes that may still hold something, each taken by one sweep at a time.
UPDATE revocations SET next_at = %(again_at)s
WHERE code_id IN (
    SELECT code_id FROM revocations WHERE next_at <= %(now)s ORDER BY next_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
RETURNING code_id;

-- name: finish_revocation
DELETE FROM revocations WHERE code_id = %s;

-- name: prune_callbacks
DELETE FROM callbacks WHERE ctid = ANY(ARRAY(SELECT ctid FROM callbacks WHERE signed_at < %s LIMIT %s));

-- name: prune_callback_refusals
DELETE FROM callback_refusals
WHERE ctid = ANY(ARRAY(SELECT ctid FROM callback_refusals WHERE minute < %s LIMIT %s));

-- name: take_due_access
-- Each taken by one worker: the mark keeps others away until next_at.
WITH due AS (
    SELECT r.reservation_id FROM reservations r LEFT JOIN access_marks m USING (reservation_id)
    WHERE r.access_due_at <= %(now)s AND (m.next_at IS NULL OR m.next_at <= %(now)s)
    ORDER BY r.access_due_at
    LIMIT %(limit)s
    FOR UPDATE OF r SKIP LOCKED
)
INSERT INTO access_marks AS old (reservation_id, next_at)
SELECT reservation_id, %(until)s FROM due ORDER BY reservation_id
ON CONFLICT (reservation_id) DO UPDATE SET next_at = excluded.next_at WHERE old.next_at <= %(now)s
RETURNING reservation_id;

-- name: hold_access
-- Those of these access grants that no other worker has.
INSERT INTO access_marks AS old (reservation_id, next_at)
SELECT reservation_id, %(until)s FROM unnest(%(reservation_ids)s::uuid[]) AS asked (reservation_id) ORDER BY 1
ON CONFLICT (reservation_id) DO UPDATE SET next_at = excluded.next_at WHERE old.next_at <= %(now)s
RETURNING reservation_id;

-- name: forget_access_marks
-- Not those that another worker has by now.
DELETE FROM access_marks WHERE reservation_id = ANY(%s) AND next_at = %s;

-- name: prune_access_marks
DELETE FROM access_marks WHERE next_at < %s;

-- name: prune_test_emails
DELETE FROM test_emails WHERE leased_until < %s;

-- name: prune_issue_keys
DELETE FROM issue_keys WHERE scope_digest IN (
    SELECT scope_digest FROM issue_keys WHERE expires_at <= %s ORDER BY expires_at LIMIT %s
);

-- name: prune_limit_reports
DELETE FROM limit_reports WHERE at < clock_timestamp() - make_interval(secs => %s);

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

-- name: prune_unknown_code_requests
DELETE FROM unknown_code_tries WHERE minute < %s;

-- name: take_outbox
-- Letters due, each taken by one worker: due_at moves past the lease before anything is sent. `recent`: how many
-- notices the same recipient was sent within the last hour. The outcome of the attempt before is returned and cleared,
-- so that none is left of an attempt whose worker ended without storing one.
UPDATE outbox o SET due_at = %(leased_until)s, leased_until = %(leased_until)s, attempts = o.attempts + 1, outcome = NULL
FROM (
    SELECT reservation_id, template, outcome FROM outbox WHERE due_at <= %(now)s ORDER BY due_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
) due
WHERE o.reservation_id = due.reservation_id AND o.template = due.template
RETURNING o.reservation_id, o.template, o.written_at, o.attempts, o.leased_until, due.outcome AS last_outcome, (
    SELECT count(*) FROM reservations own
    JOIN reservations other USING (recipient_id)
    JOIN outbox sent ON sent.reservation_id = other.reservation_id
    WHERE own.reservation_id = o.reservation_id AND sent.outcome = 'sent'
        AND sent.closed_at > clock_timestamp() - interval '1 hour'
)::int AS recent;

-- name: close_outbox
-- Not after the lease was lost: another worker has the notice then.
UPDATE outbox SET due_at = %s, leased_until = NULL, outcome = %s, closed_at = clock_timestamp()
WHERE reservation_id = %s AND template = %s AND leased_until = %s;

-- name: put_off_outbox
-- Take it back: what was no try counts as none.
UPDATE outbox SET due_at = %s, leased_until = NULL, outcome = %s, attempts = attempts - 1
WHERE reservation_id = %s AND template = %s AND leased_until = %s;

-- name: oldest_due
SELECT min(due_at) AS oldest_due FROM reservations WHERE due_at IS NOT NULL;

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

-- name: hold_scheduler_lease
-- Takes or renews the lease; no row while another process holds it. The fence grows with each change of the holder.
INSERT INTO scheduler_lease AS lease (holder_id, holder, fence, taken_at, expires_at)
VALUES (
    %(holder_id)s, %(holder)s, 1, clock_timestamp(), clock_timestamp() + make_interval(secs => %(lease_s)s)
)
ON CONFLICT (only_row) DO UPDATE SET
    holder_id = excluded.holder_id, holder = excluded.holder, expires_at = excluded.expires_at,
    fence = lease.fence + (lease.holder_id <> excluded.holder_id)::int,
    taken_at = CASE WHEN lease.holder_id = excluded.holder_id THEN lease.taken_at ELSE excluded.taken_at END
WHERE lease.holder_id = excluded.holder_id OR lease.expires_at <= clock_timestamp()
RETURNING fence;

-- name: claim_scheduled_run
-- A row for the one process that may send this run: the holder of the lease, and once within the pause.
INSERT INTO scheduled_runs AS last (task, fence, number, claimed_at)
SELECT %(task)s, fence, 1, clock_timestamp() FROM scheduler_lease
WHERE holder_id = %(holder_id)s AND expires_at > clock_timestamp()
ON CONFLICT (task) DO UPDATE SET
    fence = excluded.fence, number = last.number + 1, claimed_at = excluded.claimed_at
WHERE last.fence <= excluded.fence
    AND last.claimed_at <= excluded.claimed_at - make_interval(secs => %(pause_s)s)
RETURNING number;

-- name: release_scheduler_lease
UPDATE scheduler_lease SET expires_at = clock_timestamp() WHERE holder_id = %s;
