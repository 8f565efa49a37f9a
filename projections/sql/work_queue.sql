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
-- Each taken by one worker: the mark keeps others away until next_at. One that is longer than any mark is kept was made
-- before the clock went back, and is worth nothing. `attempt`: which removal a worker asked for that did not end its lease.
WITH due AS (
    SELECT r.reservation_id FROM reservations r LEFT JOIN access_marks m USING (reservation_id)
    WHERE r.access_due_at <= %(now)s AND (m.next_at IS NULL OR m.next_at <= %(now)s OR m.next_at > %(longest)s)
    ORDER BY r.access_due_at
    LIMIT %(limit)s
    FOR UPDATE OF r SKIP LOCKED
)
INSERT INTO access_marks AS old (reservation_id, next_at)
SELECT reservation_id, %(until)s FROM due ORDER BY reservation_id
ON CONFLICT (reservation_id) DO UPDATE SET next_at = excluded.next_at
WHERE old.next_at <= %(now)s OR old.next_at > %(longest)s
RETURNING reservation_id, attempt;

-- name: hold_access
-- Those of these access grants that no other worker has.
INSERT INTO access_marks AS old (reservation_id, next_at)
SELECT reservation_id, %(until)s FROM unnest(%(reservation_ids)s::uuid[]) AS asked (reservation_id) ORDER BY 1
ON CONFLICT (reservation_id) DO UPDATE SET next_at = excluded.next_at
WHERE old.next_at <= %(now)s OR old.next_at > %(longest)s
RETURNING reservation_id, attempt;

-- name: begin_removal
-- Not after the lease was lost: another worker has the access then.
UPDATE access_marks SET attempt = %s WHERE reservation_id = %s AND next_at = %s;

-- name: take_impossible_access
-- Access with a due time that may have been stored before the clock went back: the stream of its code is ahead. The
-- aggregate decides. Whether the clock went back is known from the checkpoints of the last days, one each minute.
-- Only access that ended: nothing is settled about any other, so those would be found each time, and fill the limit.
SELECT r.reservation_id FROM reservations r JOIN code_balances b USING (code_id)
WHERE r.access_due_at > %(now)s AND b.last_at > %(impossible)s AND EXISTS (
    SELECT FROM checkpoints WHERE number > (SELECT max(number) FROM checkpoints) - 5000 AND at > %(impossible)s
) AND EXISTS (
    SELECT FROM ledger_events e
    WHERE e.originator_id = r.code_id AND e.originator_version = ANY(r.versions) AND e.topic LIKE 'Access%%'
)
ORDER BY r.access_due_at DESC LIMIT %(limit)s;

-- name: give_back_access
-- A lease that another worker has by now stays. A removal without a recorded outcome keeps its number.
WITH given_back AS (
    UPDATE access_marks SET next_at = %(leased_at)s
    WHERE reservation_id = ANY(%(reservation_ids)s::uuid[]) AND next_at = %(until)s
        AND attempt IS NOT NULL AND NOT reservation_id = ANY(%(recorded_ids)s::uuid[])
    RETURNING reservation_id
)
DELETE FROM access_marks
WHERE reservation_id = ANY(%(reservation_ids)s::uuid[]) AND next_at = %(until)s
    AND reservation_id NOT IN (SELECT reservation_id FROM given_back);

-- name: prune_access_marks
-- Not those that say which removal a lost worker asked for, as long as it may be asked for again.
DELETE FROM access_marks m WHERE next_at < %s AND (attempt IS NULL OR NOT EXISTS (
    SELECT FROM reservations r WHERE r.reservation_id = m.reservation_id AND r.access_due_at IS NOT NULL
));

-- name: prune_test_emails
DELETE FROM test_emails WHERE leased_until < %s;

-- name: prune_issue_keys
DELETE FROM issue_keys WHERE scope_digest IN (
    SELECT scope_digest FROM issue_keys WHERE expires_at <= %s ORDER BY expires_at LIMIT %s
);

-- name: prune_limit_reports
DELETE FROM limit_reports
WHERE at NOT BETWEEN clock_timestamp() - make_interval(secs => %s) AND clock_timestamp() + interval '1 minute';

-- name: take_due
-- What is due, each taken by one sweep only: the mark keeps others and the next rounds away until next_at, a little
-- longer each time. A mark is for one due moment: a retry is due anew. One from further in the future than any mark
-- is kept was made before the clock went back (another server took over), and is worth nothing. So may be a due time
-- that is further ahead than waits are, unless its channel asked for it: the aggregate decides if its stream is ahead.
WITH on_time AS (
    SELECT r.reservation_id, r.due_at, r.lease_until, r.deadline, r.ever_unknown
    FROM reservations r
    LEFT JOIN dispatches d USING (reservation_id)
    WHERE r.due_at <= %(due_before)s AND (
        d.next_at IS NULL OR d.next_at <= %(now)s OR d.next_at > %(now)s + %(longest)s OR d.due_at <> r.due_at
    )
    ORDER BY r.due_at
    LIMIT %(limit)s
    FOR UPDATE OF r SKIP LOCKED
), ahead AS (
    SELECT r.reservation_id, r.due_at, r.lease_until, r.deadline, r.ever_unknown
    FROM reservations r
    JOIN code_balances b USING (code_id)
    LEFT JOIN dispatches d USING (reservation_id)
    WHERE r.due_at > %(longest_wait)s AND b.last_at > %(impossible)s
        AND (d.next_at IS NULL OR d.next_at <= %(now)s OR d.next_at > %(now)s + %(longest)s)
    ORDER BY r.due_at DESC
    LIMIT %(limit)s
    FOR UPDATE OF r SKIP LOCKED
), due AS (
    SELECT * FROM on_time UNION ALL SELECT * FROM ahead
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
UPDATE outbox o SET due_at = %(leased_until)s, leased_until = %(leased_until)s, attempts = o.attempts + 1,
    attempted_at = %(now)s, outcome = NULL
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
        AND sent.closed_at BETWEEN clock_timestamp() - interval '1 hour' AND clock_timestamp() + interval '1 minute'
)::int AS recent;

-- name: near_ends
-- Codes that have reached a threshold before their end, longest ago first. Two sweeps may find the same ones: the command
-- decides under the lock of the stream. A process of an earlier version leaves a time that is over.
SELECT code_id, next_report_at FROM code_balances
WHERE next_report_at <= %(now)s AND next_report_at > last_at AND (next_report_at, code_id) > (%(after_at)s, %(after_id)s)
ORDER BY next_report_at, code_id LIMIT %(limit)s;

-- name: campaigns_with_ends
-- Campaigns with thresholds whose end no event has reached, each in its turn.
SELECT c.* FROM campaigns c
WHERE c.notify_at IS NOT NULL AND c.ended_by IS NULL AND c.ends_at > c.last_at AND c.campaign_id > %s
ORDER BY c.campaign_id LIMIT %s;

-- name: campaigns_that_wait
-- Campaigns with a waiting list on which someone waits, each in its turn.
SELECT campaign_id FROM campaigns WHERE waiting IS NOT NULL AND campaign_id > %s ORDER BY campaign_id LIMIT %s;

-- name: take_waiting_offer
-- The email of the offer that is due longest, leased.
UPDATE waiting_places p SET due_at = %(leased_until)s, leased_until = %(leased_until)s, attempts = p.attempts + 1,
    outcome = NULL
FROM (
    SELECT place_id, outcome FROM waiting_places WHERE due_at <= %(now)s ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
) due
WHERE p.place_id = due.place_id
RETURNING p.place_id, p.campaign_id, p.code_id, p.recipient_id, p.offered_at, p.attempts, p.leased_until,
    due.outcome AS last_outcome, (SELECT t.hint FROM code_texts t WHERE t.code_id = p.code_id) AS code_suffix;

-- name: close_waiting_offer
-- Not after the lease was lost: another worker has the email then.
UPDATE waiting_places SET due_at = %s, leased_until = NULL, outcome = %s, attempts = %s
WHERE place_id = %s AND leased_until = %s;

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
-- One that is longer than leases are was taken before the clock went back: it may be that of a process that ended.
INSERT INTO scheduler_lease AS lease (holder_id, holder, fence, taken_at, expires_at)
VALUES (
    %(holder_id)s, %(holder)s, 1, clock_timestamp(), clock_timestamp() + make_interval(secs => %(lease_s)s)
)
ON CONFLICT (only_row) DO UPDATE SET
    holder_id = excluded.holder_id, holder = excluded.holder, expires_at = excluded.expires_at,
    fence = lease.fence + (lease.holder_id <> excluded.holder_id)::int,
    taken_at = CASE WHEN lease.holder_id = excluded.holder_id THEN least(lease.taken_at, excluded.taken_at)
        ELSE excluded.taken_at END
WHERE lease.holder_id = excluded.holder_id OR lease.expires_at <= clock_timestamp()
    OR lease.expires_at > excluded.expires_at + interval '1 second'
RETURNING fence;

-- name: is_work_due
-- Whether a task of beat that runs every few seconds may have something to do. What an event leads to begins within the
-- minute until a checkpoint covers it. Of each hand-out that may send, the row that is due first is read by its index.
WITH log AS (
    SELECT coalesce(max(notification_id), 0) AS position FROM ledger_events
)
SELECT log.position > least(
        coalesce((SELECT position FROM checkpoints ORDER BY number DESC LIMIT 1), 0),
        (SELECT position FROM merkle_progress),
        (SELECT position FROM reservation_map_progress),
        (SELECT position FROM tally_progress)
    )
    OR EXISTS (SELECT FROM reservations WHERE due_at <= now())
    OR EXISTS (SELECT FROM revocations WHERE next_at <= now())
    OR EXISTS (SELECT FROM outbox WHERE due_at <= now())
    OR EXISTS (SELECT FROM waiting_places WHERE due_at <= now())
    OR EXISTS (SELECT FROM campaigns WHERE waiting IS NOT NULL)
    OR EXISTS (SELECT FROM code_balances WHERE next_report_at <= now() AND next_report_at > last_at)
    OR EXISTS (SELECT FROM threshold_digest WHERE due_at <= now())
    OR EXISTS (SELECT FROM hand_out_recipients WHERE is_asked AND due_at <= now())
    OR EXISTS (
        SELECT FROM hand_outs h JOIN hand_out_pace p USING (hand_out_id) JOIN campaigns c USING (campaign_id)
        WHERE (h.state = 'running' OR (h.state = 'scheduled' AND h.starts_at <= now())) AND p.next_at <= now()
            AND c.ended_by IS NULL AND NOT c.is_paused AND (c.ends_at IS NULL OR c.ends_at > now())
            AND (c.max_uses IS NULL OR c.occupied < c.max_uses)
            AND (SELECT min(r.due_at) FROM hand_out_recipients r WHERE r.hand_out_id = h.hand_out_id) <= now()
    )
    OR EXISTS (
        SELECT FROM webhook_endpoints e
        WHERE e.state = 'enabled' AND (e.resting_until IS NULL OR e.resting_until <= now()) AND (
            e.position < log.position
            OR EXISTS (
                SELECT FROM webhook_deliveries d
                WHERE d.endpoint_id = e.endpoint_id AND d.state = 'pending' AND d.due_at <= now()
            )
        )
    )
FROM log;

-- name: claim_scheduled_runs
-- Renews the lease of its holder, and gives the tasks whose runs this one process may send: each once within its pause. No
-- row while another process holds the lease. A claim in the future was made before the clock went back.
WITH held AS (
    UPDATE scheduler_lease SET expires_at = clock_timestamp() + make_interval(secs => %(lease_s)s)
    WHERE holder_id = %(holder_id)s AND expires_at > clock_timestamp()
    RETURNING fence
), due AS (
    SELECT * FROM unnest(%(tasks)s::text[], %(pauses_s)s::float8[]) AS due (task, pause_s)
), claimed AS (
    INSERT INTO scheduled_runs AS last (task, fence, number, claimed_at)
    SELECT task, fence, 1, clock_timestamp() FROM held, due
    ON CONFLICT (task) DO UPDATE SET
        fence = excluded.fence, number = last.number + 1, claimed_at = excluded.claimed_at
    WHERE last.fence <= excluded.fence
        AND last.claimed_at NOT BETWEEN
            excluded.claimed_at - make_interval(secs => (SELECT pause_s FROM due WHERE due.task = excluded.task))
            AND excluded.claimed_at + interval '1 second'
    RETURNING task
)
SELECT fence, ARRAY(SELECT task FROM claimed) FROM held;

-- name: release_scheduler_lease
UPDATE scheduler_lease SET expires_at = clock_timestamp() WHERE holder_id = %s;

-- name: begin_relay
-- Takes the lease for a process that starts; no row while another process holds it, or if the relay has another target
-- and no position is given. A new relay begins after `start`, or at the beginning of the log. A lease that is longer
-- than leases are was taken before the clock went back.
INSERT INTO relays AS relay (name, target, target_id, position, holder_id, holder, leased_until)
VALUES (
    %(name)s, %(target)s, %(target_id)s, coalesce(%(start)s, 0), %(holder_id)s, %(holder)s,
    clock_timestamp() + make_interval(secs => %(lease_s)s)
)
ON CONFLICT (name) DO UPDATE SET
    target = excluded.target, target_id = excluded.target_id, position = coalesce(%(start)s, relay.position),
    holder_id = excluded.holder_id, holder = excluded.holder, leased_until = excluded.leased_until
WHERE (relay.target_id = excluded.target_id OR %(start)s IS NOT NULL) AND (
    relay.holder_id = excluded.holder_id
    OR relay.leased_until NOT BETWEEN clock_timestamp() AND clock_timestamp() + %(lease_max)s::interval
)
RETURNING position;

-- name: hold_relay
-- Renews the lease, or takes one that is free. Gives the position, or null while another process holds the lease, and
-- whether the relay still has this target; no row if it was removed.
WITH held AS (
    UPDATE relays SET
        holder_id = %(holder_id)s, holder = %(holder)s,
        leased_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
    WHERE name = %(name)s AND target_id = %(target_id)s AND (
        holder_id = %(holder_id)s
        OR leased_until NOT BETWEEN clock_timestamp() AND clock_timestamp() + %(lease_max)s::interval
    )
    RETURNING position
)
SELECT (SELECT position FROM held), target_id = %(target_id)s FROM relays WHERE name = %(name)s;

-- name: find_relay
SELECT target, target_id, position FROM relays WHERE name = %(name)s;

-- name: advance_relay
-- The position moves only from where this process began, so that one that lost the lease changes nothing.
UPDATE relays SET position = %(position)s, relayed_at = clock_timestamp(), failures = 0, last_error = NULL
WHERE name = %(name)s AND holder_id = %(holder_id)s AND position = %(before)s;

-- name: record_relay_failure
UPDATE relays SET failures = failures + 1, last_error = %(why)s WHERE name = %(name)s AND holder_id = %(holder_id)s;

-- name: release_relay
UPDATE relays SET leased_until = clock_timestamp() WHERE name = %(name)s AND holder_id = %(holder_id)s;

-- name: list_relays
SELECT
    name, target, position, relayed_at, failures, last_error,
    CASE WHEN leased_until BETWEEN clock_timestamp() AND clock_timestamp() + %(lease_max)s::interval THEN holder END,
    (SELECT count(*) FROM (
        SELECT FROM ledger_events WHERE notification_id > relay.position LIMIT %(counted_max)s
    ) AS later),
    relay.position > (SELECT coalesce(max(notification_id), 0) FROM ledger_events)
FROM relays AS relay ORDER BY name;

-- name: delete_relay
DELETE FROM relays
WHERE name = %(name)s AND leased_until NOT BETWEEN clock_timestamp() AND clock_timestamp() + %(lease_max)s::interval;

-- name: bring_back_times
-- Makes due what waits until a time that is further ahead than its longest wait, or that was stored at a time which the
-- clock has not reached: the clock was ahead, and went back. Rows that a worker has locked are left to it.
WITH notices AS (
    -- A reminder may wait for the end of quiet hours, and each notice as long as a channel asks.
    UPDATE outbox SET due_at = %(now)s WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM outbox
        WHERE due_at > %(longest_wait)s AND (
            greatest(written_at, attempted_at) > %(impossible)s
            OR (template <> %(reminder)s AND outcome IS DISTINCT FROM 'deferred')
            OR due_at > %(longest_postponement)s
        )
        FOR UPDATE SKIP LOCKED
    )) RETURNING 1
), revoked AS (
    UPDATE revocations SET next_at = %(now)s WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM revocations WHERE next_at > %(longest_wait)s FOR UPDATE SKIP LOCKED
    )) RETURNING 1
), paces AS (
    UPDATE hand_out_pace SET next_at = %(now)s, claimed_at = '{}', claimed_rows = '{}' WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM hand_out_pace WHERE next_at > %(longest_wait)s FOR UPDATE SKIP LOCKED
    )) RETURNING 1
), listed AS (
    -- A reminder may wait for the end of quiet hours, and a row that no worker left behind as long as a server asks.
    UPDATE hand_out_recipients SET due_at = %(now)s WHERE ctid = ANY(ARRAY(
        SELECT r.ctid FROM hand_outs h JOIN hand_out_recipients r USING (hand_out_id)
        WHERE (h.state IN ('running', 'scheduled') OR r.is_asked) AND r.due_at > %(longest_wait)s AND (
            r.due_at > %(longest_postponement)s OR r.attempted_at > %(impossible)s
            OR ((r.attempts = 0 OR r.may_have_arrived) AND NOT EXISTS (
                SELECT FROM handed_out_codes c
                WHERE c.code_id = r.code_id AND c.reminder = c.mail AND c.mail_state = 'queued'
            ))
        )
        FOR UPDATE OF r SKIP LOCKED
    )) RETURNING 1
), messages AS (
    UPDATE webhook_deliveries SET due_at = %(now)s WHERE ctid = ANY(ARRAY(
        SELECT d.ctid FROM webhook_endpoints e JOIN webhook_deliveries d USING (endpoint_id)
        WHERE d.state = 'pending' AND d.due_at > %(impossible)s
            AND coalesce(d.last_at, d.made_at) > %(impossible)s
        FOR UPDATE OF d SKIP LOCKED
    )) RETURNING 1
), endpoints AS (
    UPDATE webhook_endpoints SET worked_at = least(worked_at, %(now)s), runner = NULL, lease_until = NULL,
        resting_until = CASE WHEN worked_at > %(impossible)s THEN NULL ELSE resting_until END
    WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM webhook_endpoints
        WHERE worked_at > %(impossible)s OR lease_until > %(longest_wait)s FOR UPDATE SKIP LOCKED
    )) RETURNING 1
), runners AS (
    -- Its runner may be at work, and renews the lease.
    UPDATE batches SET lease_until = %(now)s + interval '1 minute' WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM batches
        WHERE state = 'working' AND lease_until > %(longest_wait)s FOR UPDATE SKIP LOCKED
    )) RETURNING 1
), wake_ups AS (
    DELETE FROM dispatches WHERE next_at > %(longest_wait)s RETURNING 1
), marks AS (
    UPDATE access_marks SET next_at = %(now)s WHERE next_at > %(longest_wait)s RETURNING 1
), offers AS (
    UPDATE waiting_places SET due_at = %(now)s WHERE due_at > %(longest_postponement)s RETURNING 1
), runs AS (
    UPDATE scheduled_runs SET claimed_at = %(now)s WHERE claimed_at > %(impossible)s RETURNING 1
), leases AS (
    UPDATE scheduler_lease SET taken_at = least(taken_at, %(now)s), expires_at = %(now)s
    WHERE expires_at > %(impossible)s RETURNING 1
), reports AS (
    DELETE FROM limit_reports WHERE at > %(impossible)s RETURNING 1
), digests AS (
    UPDATE threshold_digest SET due_at = %(now)s WHERE due_at > %(longest_postponement)s RETURNING 1
)
SELECT *
FROM (
    SELECT 'outbox' AS "table", count(*) AS rows FROM notices
    UNION ALL SELECT 'revocations', count(*) FROM revoked
    UNION ALL SELECT 'hand_out_pace', count(*) FROM paces
    UNION ALL SELECT 'hand_out_recipients', count(*) FROM listed
    UNION ALL SELECT 'webhook_deliveries', count(*) FROM messages
    UNION ALL SELECT 'webhook_endpoints', count(*) FROM endpoints
    UNION ALL SELECT 'batches', count(*) FROM runners
    UNION ALL SELECT 'dispatches', count(*) FROM wake_ups
    UNION ALL SELECT 'access_marks', count(*) FROM marks
    UNION ALL SELECT 'threshold_digest', count(*) FROM digests
    UNION ALL SELECT 'waiting_places', count(*) FROM offers
    UNION ALL SELECT 'scheduled_runs', count(*) FROM runs
    UNION ALL SELECT 'scheduler_lease', count(*) FROM leases
    UNION ALL SELECT 'limit_reports', count(*) FROM reports
) brought_back
WHERE rows > 0;

-- name: impossible_times_of_the_log
-- Rows of the read models with a time that the clock has not reached: at most a thousand of each kind, without those that
-- an operator has seen (`accepted`: the log's position then), but for work that is due and for full days.
SELECT *
FROM (
    SELECT 'reservations' AS "table", count(*) AS rows FROM (
        SELECT FROM reservations r
        JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = r.versions[1]
        WHERE r.reserved_at > %(impossible)s AND e.notification_id > (SELECT position FROM accepted_times)
        UNION ALL
        SELECT FROM reservations r JOIN code_balances b USING (code_id)
        WHERE r.due_at > %(longest_wait)s AND NOT r.is_deferred AND b.last_at > %(impossible)s
        LIMIT 1000
    ) ahead
    UNION ALL
    SELECT 'code_balances', count(*) FROM (
        SELECT FROM code_balances b
        JOIN ledger_events e ON e.originator_id = b.code_id AND e.originator_version = 1
        WHERE b.issued_at > %(impossible)s AND e.notification_id > (SELECT position FROM accepted_times)
        LIMIT 1000
    ) ahead
    UNION ALL
    -- The limit of a day that has not come is used up. To raise the limit is to accept it.
    SELECT 'campaigns', count(*) FROM (
        SELECT FROM campaigns
        WHERE occupied_on_day >= max_per_day AND last_at > %(impossible)s
        AND (last_at AT TIME ZONE 'UTC')::date > (%(now)s AT TIME ZONE 'UTC')::date
        LIMIT 1000
    ) ahead
) found
WHERE rows > 0;

-- name: accept_times_of_the_log
UPDATE accepted_times SET position = (SELECT coalesce(max(notification_id), 0) FROM ledger_events);

-- name: lock_digest
SELECT position, due_at, attempts, sending_until FROM threshold_digest FOR UPDATE SKIP LOCKED;

-- name: begin_digest
-- Crossings from before the address was set are mailed to no one.
INSERT INTO threshold_digest (position) SELECT coalesce(max(notification_id), 0) FROM ledger_events
ON CONFLICT (is_only) DO NOTHING;

-- name: crossings_after
-- Positions appear in order. The topics are written out for the index of these few events.
SELECT e.notification_id, e.originator_id, e.state, c.name, coalesce(c.group_name, b.group_name),
    coalesce(c.ends_at, b.expires_at)
FROM ledger_events e
LEFT JOIN campaigns c ON c.campaign_id = e.originator_id
LEFT JOIN code_balances b ON b.code_id = e.originator_id
WHERE e.notification_id > %s AND e.topic IN ('CodeThresholdReached:1', 'CampaignThresholdReached:1')
ORDER BY e.notification_id LIMIT %s;

-- name: store_digest
UPDATE threshold_digest SET position = %s, due_at = %s, attempts = %s, sending_until = %s;

-- name: close_digest
-- Not after the lease was lost: another worker has the digest then.
UPDATE threshold_digest SET position = %s, due_at = %s, attempts = %s, sending_until = NULL WHERE due_at = %s;
