-- name: bound_question
-- A sum over too long a stretch is given up, so that nobody who redeems waits for it.
SELECT set_config('statement_timeout', %s, true);

-- name: redemptions_over_time
SELECT date_bin(%(step)s, reserved_at, %(since)s) AS bucket,
    count(*) FILTER (WHERE status = 'sent') AS sent,
    count(*) FILTER (WHERE status = 'refunded') AS refunded,
    count(*) FILTER (WHERE status = 'live') AS live
FROM reservations WHERE reserved_at >= %(since)s AND reserved_at < %(until)s AND kind = 'redeem' GROUP BY bucket;

-- name: refused_over_time
SELECT bucket, sum(tries)::bigint FROM (
    SELECT date_bin(%(step)s, at, %(since)s) AS bucket, count(*) AS tries FROM refusals
    WHERE at >= %(since)s AND at < %(until)s GROUP BY bucket
    UNION ALL
    SELECT date_bin(%(step)s, minute, %(since)s), tries FROM unknown_code_tries
    WHERE minute >= %(since)s AND minute < %(until)s
) both_kinds GROUP BY bucket;

-- name: refusals_by_reason
SELECT reason, sum(tries)::bigint AS tries FROM (
    SELECT reason, count(*) AS tries FROM refusals WHERE at >= %(since)s AND at < %(until)s GROUP BY reason
    UNION ALL
    SELECT reason, sum(tries) FROM unknown_code_tries WHERE minute >= %(since)s AND minute < %(until)s GROUP BY reason
) both_kinds GROUP BY reason ORDER BY tries DESC, reason LIMIT %(limit)s;

-- name: refunds_by_cause
SELECT refund_cause, count(*) FROM reservations
WHERE reserved_at >= %(since)s AND reserved_at < %(until)s AND status = 'refunded'
GROUP BY refund_cause ORDER BY count(*) DESC, refund_cause LIMIT %(limit)s;

-- name: waits
-- Seconds from the click to the letter being taken, by bounds.
SELECT width_bucket(extract(epoch FROM sent_at - reserved_at)::float8, %(bounds)s::float8[]) AS nth, count(*)
FROM reservations
WHERE reserved_at >= %(since)s AND reserved_at < %(until)s AND sent_at IS NOT NULL GROUP BY nth;

-- name: middle_waits
SELECT percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM sent_at - reserved_at)::float8)
FROM reservations WHERE reserved_at >= %(since)s AND reserved_at < %(until)s AND sent_at IS NOT NULL;

-- name: busiest_codes
SELECT busy.code_id, t.hint, busy.redeemed, busy.sent, busy.refunded FROM (
    SELECT code_id, count(*) AS redeemed, count(*) FILTER (WHERE status = 'sent') AS sent,
        count(*) FILTER (WHERE status = 'refunded') AS refunded
    FROM reservations WHERE reserved_at >= %(since)s AND reserved_at < %(until)s AND kind = 'redeem'
    GROUP BY code_id ORDER BY redeemed DESC, code_id LIMIT %(limit)s
) busy LEFT JOIN code_texts t USING (code_id) ORDER BY busy.redeemed DESC, busy.code_id;

-- name: waiting_now
SELECT
    (SELECT count(*) FROM reservations WHERE due_at <= %(now)s) AS due,
    (SELECT min(due_at) FROM reservations WHERE due_at IS NOT NULL) AS oldest_due,
    (SELECT count(*) FROM outbox WHERE due_at IS NOT NULL) AS notices,
    (SELECT count(*) FROM cases WHERE closed_at IS NULL) AS cases,
    (SELECT min(opened_at) FROM cases WHERE closed_at IS NULL) AS oldest_case,
    (SELECT max(at) FROM verifications) AS verified_at,
    (SELECT coalesce(sum(rows), 0)::bigint FROM drifting_codes) AS drift;

-- name: kept_access
-- Reservations that were refunded after acceptance and whose access no event has ended, the newest first. A correction
-- ends the access itself. Few rows match the index, and the events of each are found by their keys.
SELECT r.reservation_id, r.refunded_at, t.hint
FROM reservations r LEFT JOIN code_texts t USING (code_id)
WHERE r.status = 'refunded' AND r.accepted_at IS NOT NULL AND r.refund_cause <> 'corrected' AND NOT EXISTS (
    SELECT FROM ledger_events e
    WHERE e.originator_id = r.code_id AND e.originator_version = ANY(r.versions)
        AND e.topic IN ('AccessRevoked:1', 'AccessExpired:1', 'AccessReplaced:1')
)
ORDER BY r.refunded_at DESC, r.reservation_id LIMIT %(limit)s;
