-- name: texts_of_codes
SELECT hint, code_id, digest, pepper_id, sealed, key_id FROM code_texts WHERE code_id = ANY(%s);

-- name: newest_codes, oldest_codes
-- A page of codes from at most so many rows that are looked through.
SELECT b.*, t.hint FROM (
    SELECT * FROM code_balances WHERE (issued_at, code_id) {order.beyond} (%(at)s, %(id)s)
    ORDER BY issued_at{order.turn}, code_id{order.turn} LIMIT %(limit)s
) b LEFT JOIN code_texts t USING (code_id) ORDER BY b.issued_at{order.turn}, b.code_id{order.turn};

-- name: newest_codes_of_group, oldest_codes_of_group
SELECT b.*, t.hint FROM (
    SELECT * FROM code_balances WHERE group_name = %(group)s AND (issued_at, code_id) {order.beyond} (%(at)s, %(id)s)
    ORDER BY issued_at{order.turn}, code_id{order.turn} LIMIT %(limit)s
) b LEFT JOIN code_texts t USING (code_id) ORDER BY b.issued_at{order.turn}, b.code_id{order.turn};

-- name: bound_question
-- A sum over too long a stretch is given up, so that nobody who redeems waits for it.
SELECT set_config('statement_timeout', %s, true);

-- name: redemptions_over_time
SELECT date_bin(%(step)s, reserved_at, %(since)s) AS bucket,
    count(*) FILTER (WHERE status = 'sent') AS sent,
    count(*) FILTER (WHERE status = 'refunded') AS refunded,
    count(*) FILTER (WHERE status = 'live') AS live,
    count(*) FILTER (WHERE refund_cause IS NOT DISTINCT FROM 'bounced' OR reservation_id IN (
        SELECT reservation_id FROM cases WHERE cause = 'bounced' AND opened_at >= %(since)s
    )) AS bounced
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

-- name: newest_sent
-- The recipients of the newest invitations that were sent, and whether each bounced.
SELECT r.is_bounced, p.recipient_id, p.digest, p.pepper_id, p.sealed, p.key_id FROM (
    SELECT recipient_id, reserved_at, refund_cause IS NOT DISTINCT FROM 'bounced' OR reservation_id IN (
        SELECT reservation_id FROM cases WHERE cause = 'bounced' AND opened_at >= %(since)s
    ) AS is_bounced
    FROM reservations
    WHERE reserved_at >= %(since)s AND reserved_at < %(until)s AND sent_at IS NOT NULL
    ORDER BY reserved_at DESC LIMIT %(sent_max)s
) r JOIN recipients p USING (recipient_id);

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

-- name: use_of_waiting_place
-- The first use of the campaign that the person of a place reserved since they joined, whether the place has ended or not.
SELECT r.reservation_id, r.reserved_at
FROM waiting_places p JOIN reservations r USING (recipient_id) JOIN code_balances b ON b.code_id = r.code_id
WHERE p.place_id = %s AND b.campaign_id = p.campaign_id AND r.kind = 'redeem' AND r.reserved_at >= p.joined_at
ORDER BY r.reserved_at LIMIT 1;

-- name: open_waiting_places_of_recipient
-- The places that are still on the list of their campaign, with the campaign.
SELECT c.*, p.place_id FROM waiting_places p JOIN campaigns c ON c.campaign_id = p.campaign_id
WHERE p.recipient_id = %s AND strpos(c.waiting, p.place_id::text) > 0 ORDER BY p.joined_at, p.place_id LIMIT %s;

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

-- name: held_of_code
-- Live reservations of a code by what a revoking would make of them: given back, a case, left alone, left alone.
SELECT count(*) FILTER (WHERE lease_until IS NULL AND case_id IS NULL AND NOT ever_unknown),
    count(*) FILTER (WHERE lease_until IS NULL AND case_id IS NULL AND ever_unknown),
    count(*) FILTER (WHERE lease_until IS NOT NULL),
    count(*) FILTER (WHERE case_id IS NOT NULL)
FROM reservations WHERE code_id = %s AND status = 'live';

-- name: private_texts_of_ids
SELECT text_id, sealed, key_id FROM private_texts WHERE text_id = ANY(%s);

-- name: refusals_of_person
SELECT r.code_id, r.at, r.reason, t.hint, c.campaign_id, c.name
FROM refusals r LEFT JOIN code_texts t USING (code_id)
LEFT JOIN code_balances b USING (code_id) LEFT JOIN campaigns c USING (campaign_id)
WHERE r.recipient_digest = ANY(%s) AND r.at <= %s ORDER BY r.at DESC, r.code_id OFFSET %s LIMIT %s;

-- name: count_reservations_of_recipient
-- No more than a list would say at a glance.
SELECT count(*) FROM (SELECT FROM reservations WHERE recipient_id = %s LIMIT %s) few;

-- name: digests_of_recipient
SELECT digest FROM recipients WHERE recipient_id = %s;

-- name: versions_of_person_newest_first
SELECT e.originator_version FROM reservations r CROSS JOIN unnest(r.versions) AS v
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = v
WHERE r.code_id = %(code_id)s AND r.recipient_id = %(recipient_id)s AND v > %(after)s AND v <= %(until)s
    AND (%(topics)s::text[] IS NULL OR e.topic = ANY(%(topics)s))
    AND (%(actor)s::bytea[] IS NULL OR position((%(actor)s::bytea[])[1] IN e.state) > 0
        OR position((%(actor)s::bytea[])[2] IN e.state) > 0)
    AND (%(channel)s::bytea[] IS NULL OR position((%(channel)s::bytea[])[1] IN e.state) > 0
        OR position((%(channel)s::bytea[])[2] IN e.state) > 0)
ORDER BY v DESC LIMIT %(limit)s;

-- name: versions_of_person_oldest_first
SELECT e.originator_version FROM reservations r CROSS JOIN unnest(r.versions) AS v
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = v
WHERE r.code_id = %(code_id)s AND r.recipient_id = %(recipient_id)s AND v > %(after)s AND v <= %(until)s
    AND (%(topics)s::text[] IS NULL OR e.topic = ANY(%(topics)s))
    AND (%(actor)s::bytea[] IS NULL OR position((%(actor)s::bytea[])[1] IN e.state) > 0
        OR position((%(actor)s::bytea[])[2] IN e.state) > 0)
    AND (%(channel)s::bytea[] IS NULL OR position((%(channel)s::bytea[])[1] IN e.state) > 0
        OR position((%(channel)s::bytea[])[2] IN e.state) > 0)
ORDER BY v LIMIT %(limit)s;

-- name: events_of_person_newest_first
SELECT e.notification_id, e.originator_id, e.originator_version, e.topic, e.state, t.hint
FROM (
    SELECT code_id, versions FROM reservations WHERE recipient_id = %(recipient_id)s
    ORDER BY reserved_at DESC, reservation_id DESC LIMIT %(reservations_max)s
) r
CROSS JOIN unnest(r.versions) AS v
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = v
LEFT JOIN code_texts t ON t.code_id = e.originator_id
WHERE (%(place)s::bigint IS NULL OR e.notification_id < %(place)s)
    AND (%(topics)s::text[] IS NULL OR e.topic = ANY(%(topics)s))
    AND (%(actor)s::bytea[] IS NULL OR position((%(actor)s::bytea[])[1] IN e.state) > 0
        OR position((%(actor)s::bytea[])[2] IN e.state) > 0)
    AND (%(channel)s::bytea[] IS NULL OR position((%(channel)s::bytea[])[1] IN e.state) > 0
        OR position((%(channel)s::bytea[])[2] IN e.state) > 0)
    AND (%(since)s::timestamptz IS NULL OR (event_fields(e.state) ->> 'at')::timestamptz >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR (event_fields(e.state) ->> 'at')::timestamptz <= %(until)s)
ORDER BY e.notification_id DESC LIMIT %(limit)s;

-- name: events_of_person_oldest_first
SELECT e.notification_id, e.originator_id, e.originator_version, e.topic, e.state, t.hint
FROM (
    SELECT code_id, versions FROM reservations WHERE recipient_id = %(recipient_id)s
    ORDER BY reserved_at DESC, reservation_id DESC LIMIT %(reservations_max)s
) r
CROSS JOIN unnest(r.versions) AS v
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = v
LEFT JOIN code_texts t ON t.code_id = e.originator_id
WHERE (%(place)s::bigint IS NULL OR e.notification_id > %(place)s)
    AND (%(topics)s::text[] IS NULL OR e.topic = ANY(%(topics)s))
    AND (%(actor)s::bytea[] IS NULL OR position((%(actor)s::bytea[])[1] IN e.state) > 0
        OR position((%(actor)s::bytea[])[2] IN e.state) > 0)
    AND (%(channel)s::bytea[] IS NULL OR position((%(channel)s::bytea[])[1] IN e.state) > 0
        OR position((%(channel)s::bytea[])[2] IN e.state) > 0)
    AND (%(since)s::timestamptz IS NULL OR (event_fields(e.state) ->> 'at')::timestamptz >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR (event_fields(e.state) ->> 'at')::timestamptz <= %(until)s)
ORDER BY e.notification_id LIMIT %(limit)s;

-- name: count_events_of_person
SELECT e.topic, count(*)
FROM (
    SELECT code_id, versions FROM reservations WHERE recipient_id = %(recipient_id)s
    ORDER BY reserved_at DESC, reservation_id DESC LIMIT %(reservations_max)s
) r
CROSS JOIN unnest(r.versions) AS v
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = v
WHERE (%(topics)s::text[] IS NULL OR e.topic = ANY(%(topics)s))
    AND (%(actor)s::bytea[] IS NULL OR position((%(actor)s::bytea[])[1] IN e.state) > 0
        OR position((%(actor)s::bytea[])[2] IN e.state) > 0)
    AND (%(channel)s::bytea[] IS NULL OR position((%(channel)s::bytea[])[1] IN e.state) > 0
        OR position((%(channel)s::bytea[])[2] IN e.state) > 0)
    AND (%(since)s::timestamptz IS NULL OR (event_fields(e.state) ->> 'at')::timestamptz >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR (event_fields(e.state) ->> 'at')::timestamptz <= %(until)s)
GROUP BY e.topic;

-- name: followers_of_reservations
SELECT reservation_id FROM reservations WHERE follows = ANY(%s) ORDER BY reservation_id LIMIT 50;

-- name: companions
-- In a bounded range of the log: correlation ids have no index, for every event would pay for it.
SELECT originator_id, originator_version FROM ledger_events
WHERE notification_id > %(after)s AND notification_id <= %(until)s AND originator_id <> %(code_id)s
    AND (position(%(packed)s::bytea IN state) > 0 OR position(%(json)s::bytea IN state) > 0)
ORDER BY notification_id LIMIT %(limit)s;

-- name: events_caused_by
-- In a bounded stretch of one stream; the last two forms are those in which a number ends in JSON.
SELECT originator_version FROM ledger_events
WHERE originator_id = %(code_id)s AND originator_version > %(version)s AND originator_version <= %(until)s
    AND (position(%(packed)s::bytea IN state) > 0
        OR position(%(inside)s::bytea IN state) > 0 OR position(%(at_end)s::bytea IN state) > 0)
ORDER BY originator_version LIMIT %(limit)s;

-- name: drifting
-- A row of the campaign itself may be among those that are wrong or missing, so its first event says what it is.
SELECT d.code_id, d.found_at, d.rows, t.hint, e.topic = ANY(%s), c.name
FROM drifting_codes d LEFT JOIN code_texts t USING (code_id) LEFT JOIN campaigns c ON c.campaign_id = d.code_id
LEFT JOIN ledger_events e ON e.originator_id = d.code_id AND e.originator_version = 1
ORDER BY d.found_at, d.code_id LIMIT %s;

-- name: reservations_from
-- A stretch of reservations in the order in which they were made; the caller picks and goes on from the last one.
SELECT reservation_id, code_id, status, reserved_at FROM reservations
WHERE (reserved_at, reservation_id) > (%s, %s) ORDER BY reserved_at, reservation_id LIMIT %s;

-- name: reservations_of_code_from
SELECT reservation_id, code_id, status, reserved_at FROM reservations
WHERE code_id = %s AND (reserved_at, reservation_id) > (%s, %s) ORDER BY reserved_at, reservation_id LIMIT %s;

-- name: newest_uses_of_code
SELECT code_id, reservation_id, recipient_id, reserved_at FROM reservations
WHERE code_id = %s AND kind = 'redeem' AND status <> 'refunded' ORDER BY reserved_at DESC, reservation_id DESC LIMIT %s;

-- name: codes_of_group_from
SELECT * FROM code_balances
WHERE group_name = %s AND (issued_at, code_id) > (%s, %s) ORDER BY issued_at, code_id LIMIT %s;

-- name: codes_of_campaign_from
SELECT * FROM code_balances
WHERE campaign_id = %s AND (issued_at, code_id) > (%s, %s) ORDER BY issued_at, code_id LIMIT %s;

-- name: events_after
-- Positions appear in order (the order lock is held until a commit shows), so nothing will ever appear below what is seen.
SELECT originator_id, originator_version, notification_id, topic, state FROM ledger_events
WHERE notification_id > %s ORDER BY notification_id LIMIT %s;

-- name: events_after_of_stream
-- From a version on, which the caller knows from `version_at`.
SELECT originator_id, originator_version, notification_id, topic, state FROM ledger_events
WHERE originator_id = %s AND originator_version > %s ORDER BY originator_version LIMIT %s;

-- name: position_of_version
SELECT notification_id FROM ledger_events WHERE originator_id = %s AND originator_version = %s;

-- name: newest_version_of_stream
SELECT coalesce(max(originator_version), 0) FROM ledger_events WHERE originator_id = %s;

-- name: newest_position
SELECT coalesce(max(notification_id), 0) FROM ledger_events;

-- name: first_events_of_texts
-- How codes of these texts came into being: their first events, in order; and the campaign that each belongs to now.
SELECT t.digest, b.campaign_id, e.topic, e.state FROM code_texts t
JOIN ledger_events e ON e.originator_id = t.code_id AND e.originator_version <= 2
LEFT JOIN code_balances b ON b.code_id = t.code_id
WHERE t.digest = ANY(%s) ORDER BY t.code_id, e.originator_version;

-- name: person_of_reservations
SELECT r.reservation_id, r.code_id, r.recipient_id, r.status, r.kind, r.reserved_at, r.deadline, r.delivery, r.attempts,
    r.ever_unknown, r.case_id, r.follows, r.sent_at, r.accepted_at, r.refunded_at, r.refund_cause,
    p.digest, p.pepper_id, p.sealed, p.key_id
FROM reservations r LEFT JOIN recipients p USING (recipient_id) WHERE r.reservation_id = ANY(%s);

-- name: newest_cases, list_cases
SELECT case_id, code_id, reservation_id, delivery, cause, opened_at, closed_at, closed_how FROM cases
WHERE (opened_at, case_id) {order.beyond} (%s, %s) AND (closed_at IS NULL OR %s)
ORDER BY opened_at{order.turn}, case_id{order.turn} LIMIT %s;

-- name: parked_unknowns
SELECT reservation_id FROM reservations
WHERE status = 'live' AND ever_unknown AND case_id IS NOT NULL AND reserved_at < %s;

-- name: sent_unaccepted
SELECT reservation_id FROM reservations
WHERE status = 'sent' AND accepted_at IS NULL AND reserved_at < %s AND sent_at >= %s;

-- name: addresses_of_reservations
SELECT r.reservation_id, p.recipient_id, p.digest, p.pepper_id, p.sealed, p.key_id
FROM reservations r JOIN recipients p USING (recipient_id) WHERE r.reservation_id = ANY(%s);

-- name: code_text
SELECT code_id, digest, pepper_id, sealed, key_id FROM code_texts WHERE code_id = %s;

-- name: private_text
SELECT sealed, key_id FROM private_texts WHERE text_id = %s;

-- name: live_reservations_of_code
SELECT reservation_id, lease_until, ever_unknown, case_id FROM reservations
WHERE code_id = %s AND status = 'live' AND kind = 'redeem' ORDER BY deadline LIMIT %s;

-- name: count_sent_of_code
SELECT count(*) FROM reservations WHERE code_id = %s AND status = 'sent' AND kind = 'redeem';

-- name: read_only
SELECT pg_is_in_recovery();

-- name: api_key_of_digest
SELECT k.key_id, k.role, k.scopes, k.expires_at, k.networks, u.used_at, u.refused_at
FROM api_keys k LEFT JOIN api_key_uses u USING (key_id)
WHERE k.digest = %s AND (k.expires_at IS NULL OR k.expires_at > %s) AND k.revoked_at IS NULL;

-- name: list_codes
SELECT * FROM code_balances
WHERE (issued_at, code_id) > (%s, %s) ORDER BY issued_at, code_id LIMIT %s;

-- name: balance_of_code
SELECT * FROM code_balances WHERE code_id = %s;

-- name: balances_of_codes
SELECT * FROM code_balances WHERE code_id = ANY(%s);

-- name: copy_log_page
COPY (
    SELECT originator_id, originator_version, notification_id, topic, state FROM ledger_events
    WHERE (originator_id, originator_version) > (%s, %s) AND originator_id <= %s AND notification_id <= %s
    ORDER BY originator_id, originator_version LIMIT %s
) TO STDOUT (FORMAT BINARY);

-- name: codes_of_suffix
SELECT t.code_id FROM code_texts t WHERE t.hint = %s AND t.code_id > %s ORDER BY t.code_id LIMIT %s;

-- name: code_texts_of_suffixes
SELECT code_id, digest, pepper_id, sealed, key_id FROM code_texts WHERE hint = ANY(%s) ORDER BY hint, code_id LIMIT %s;

-- name: recent_code_texts
-- Codes that a customer may have now: issued last, or in a request since a time. Each branch reads a bounded number of rows.
SELECT code_id, digest, pepper_id, sealed, key_id FROM code_texts WHERE code_id IN (
    (SELECT code_id FROM code_balances ORDER BY issued_at DESC, code_id DESC LIMIT %(limit)s)
    UNION (SELECT code_id FROM reservations WHERE reserved_at >= %(since)s ORDER BY reserved_at DESC LIMIT %(limit)s)
    UNION (SELECT code_id FROM refusals WHERE at >= %(since)s LIMIT %(limit)s)
);

-- name: recent_recipients
SELECT seen.at, p.recipient_id, p.digest, p.pepper_id, p.sealed, p.key_id FROM (
    SELECT recipient_id, max(at) AS at FROM (
        (SELECT recipient_id, reserved_at AS at FROM reservations
            WHERE reserved_at >= %(since)s ORDER BY reserved_at DESC LIMIT %(limit)s)
        UNION ALL
        (SELECT known.recipient_id, rejected.at
            FROM (SELECT recipient_digest, at FROM refusals WHERE at >= %(since)s LIMIT %(limit)s) rejected
            JOIN recipients known ON substr(known.digest, 1, 15) = substr(rejected.recipient_digest, 1, 15))
    ) requests GROUP BY recipient_id
) seen JOIN recipients p USING (recipient_id) ORDER BY seen.at DESC, p.recipient_id;

-- name: ids_with_part
(SELECT 'reservation' AS kind, reservation_id AS subject_id FROM reservations
    WHERE reservation_id BETWEEN %(first)s AND %(last)s ORDER BY reservation_id DESC LIMIT %(limit)s)
UNION (SELECT 'code', code_id FROM code_balances
    WHERE code_id BETWEEN %(first)s AND %(last)s ORDER BY code_id DESC LIMIT %(limit)s)
UNION (SELECT 'reservation', reservation_id FROM (
        SELECT reservation_id FROM reservations WHERE reserved_at >= %(since)s ORDER BY reserved_at DESC LIMIT %(recent)s
    ) newest WHERE position(%(digits)s IN replace(reservation_id::text, '-', '')) > 0 LIMIT %(limit)s)
ORDER BY kind DESC, subject_id DESC LIMIT %(limit)s;

-- name: suffix_of_code
SELECT hint FROM code_texts WHERE code_id = %s;

-- name: newest_reservations
SELECT reserved_at, reservation_id FROM reservations
WHERE (reserved_at, reservation_id) < (%s, %s) ORDER BY reserved_at DESC, reservation_id DESC LIMIT %s;

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

-- name: rows_of_list
-- How many rows a list has, of at most so many: each part ends there, and only the part of the named list is read.
SELECT count(*) FROM (
    (SELECT 1 FROM batches WHERE %(list)s = 'batch_list' LIMIT %(most)s)
    UNION ALL (SELECT 1 FROM campaigns WHERE %(list)s = 'campaign_list' LIMIT %(most)s)
    UNION ALL (SELECT 1 FROM code_balances WHERE %(list)s = 'code_list' LIMIT %(most)s)
    UNION ALL (SELECT 1 FROM reservations WHERE %(list)s = 'reservation_list' LIMIT %(most)s)
    UNION ALL (SELECT 1 FROM staff WHERE %(list)s = 'staff_list' AND removed_at IS NULL LIMIT %(most)s)
    UNION ALL (SELECT 1 FROM api_keys WHERE %(list)s = 'key_list' LIMIT %(most)s)
    UNION ALL (SELECT 1 FROM webhook_endpoints WHERE %(list)s = 'webhook_list' AND state <> 'removed' LIMIT %(most)s)
    UNION ALL (SELECT 1 FROM audit WHERE %(list)s = 'audit_list' LIMIT %(most)s)
) AS counted;

-- name: open_cases_count
SELECT count(*) FROM cases WHERE closed_at IS NULL;

-- name: stuck_reservations
SELECT reservation_id, due_at FROM reservations
WHERE due_at <= %s AND (due_at, reservation_id) > (%s, %s) ORDER BY due_at, reservation_id LIMIT %s;

-- name: refusals_of_code
SELECT r.at, r.reason, p.recipient_id, p.digest, p.pepper_id, p.sealed, p.key_id
FROM refusals r LEFT JOIN recipients p ON substr(p.digest, 1, 15) = substr(r.recipient_digest, 1, 15)
WHERE r.code_id = %s AND r.at <= %s ORDER BY r.at DESC, r.recipient_digest OFFSET %s LIMIT %s;

-- name: versions_newest_first
SELECT originator_version FROM ledger_events
WHERE originator_id = %(code_id)s AND originator_version > %(after)s AND originator_version <= %(until)s
    AND (%(topics)s::text[] IS NULL OR topic = ANY(%(topics)s))
    AND (%(actor)s::bytea[] IS NULL OR position((%(actor)s::bytea[])[1] IN state) > 0
        OR position((%(actor)s::bytea[])[2] IN state) > 0)
    AND (%(channel)s::bytea[] IS NULL OR position((%(channel)s::bytea[])[1] IN state) > 0
        OR position((%(channel)s::bytea[])[2] IN state) > 0)
ORDER BY originator_version DESC LIMIT %(limit)s;

-- name: versions_oldest_first
SELECT originator_version FROM ledger_events
WHERE originator_id = %(code_id)s AND originator_version > %(after)s AND originator_version <= %(until)s
    AND (%(topics)s::text[] IS NULL OR topic = ANY(%(topics)s))
    AND (%(actor)s::bytea[] IS NULL OR position((%(actor)s::bytea[])[1] IN state) > 0
        OR position((%(actor)s::bytea[])[2] IN state) > 0)
    AND (%(channel)s::bytea[] IS NULL OR position((%(channel)s::bytea[])[1] IN state) > 0
        OR position((%(channel)s::bytea[])[2] IN state) > 0)
ORDER BY originator_version LIMIT %(limit)s;

-- name: version_of_code
SELECT version FROM code_balances WHERE code_id = %s;

-- name: version_of_campaign
SELECT version FROM campaigns WHERE campaign_id = %s;

-- name: versions_of_codes
SELECT code_id, version FROM code_balances WHERE code_id = ANY(%s);

-- name: versions_of_reservation
SELECT code_id, versions FROM reservations WHERE reservation_id = %s;

-- name: reservations_related_at
-- Events until a version: of reservations by id, of recipients on the code, and of those that follow the named ones. Each
-- branch has its own index, so a code's other reservations are not read.
SELECT r.reservation_id, e.originator_version, e.topic, e.state
FROM (
    SELECT reservation_id, code_id, versions FROM reservations
    WHERE (reservation_id = ANY(%(ids)s) OR (code_id = %(code_id)s AND recipient_id = ANY(%(recipients)s))
        OR follows = ANY(%(ids)s)) AND code_id = %(code_id)s AND versions[1] <= %(version)s
    ORDER BY reservation_id = ANY(%(ids)s) DESC, versions[1] DESC LIMIT %(limit)s
) r
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = ANY(r.versions)
    AND e.originator_version <= %(version)s
ORDER BY r.reservation_id, e.originator_version;

-- name: reservations_pending_at
-- Events until a version, of the oldest reservations that were pending then: reserved before, and settled later or not yet.
SELECT r.reservation_id, e.originator_version, e.topic, e.state
FROM (
    SELECT reservation_id, code_id, versions FROM reservations
    WHERE code_id = %(code_id)s AND versions[1] <= %(version)s
        AND (status = 'live' OR coalesce(sent_at, refunded_at) > %(at)s)
    ORDER BY versions[1] LIMIT %(limit)s
) r
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = ANY(r.versions)
    AND e.originator_version <= %(version)s
ORDER BY r.reservation_id, e.originator_version;

-- name: deadline_of_pending_at
-- Of the uses of a campaign that were pending then: the next deadline ahead, else the last one that had passed.
SELECT coalesce(min(r.deadline) FILTER (WHERE r.deadline > %(at)s), max(r.deadline))
FROM code_balances b JOIN reservations r USING (code_id)
WHERE b.campaign_id = %(campaign_id)s AND r.kind = 'redeem' AND r.versions[1] > coalesce(b.campaign_since, 1)
    AND r.reserved_at <= %(at)s AND (r.status = 'live' OR coalesce(r.sent_at, r.refunded_at) > %(at)s)
    AND r.reserved_at >= coalesce(%(since)s, '-infinity'::timestamptz);

-- name: campaign_uses_newest_first
-- Events of some types, such as uses, that a campaign has after and up to a version, of some recipients if any are named.
SELECT notification_id, originator_version, topic, state FROM ledger_events
WHERE originator_id = %(campaign_id)s AND originator_version <= %(until)s AND originator_version > %(after)s
    AND topic = ANY(%(topics)s)
    AND (%(recipients)s::bytea[] IS NULL
        OR EXISTS (SELECT FROM unnest(%(recipients)s::bytea[]) AS wanted WHERE position(wanted IN state) > 0))
ORDER BY originator_version DESC LIMIT %(limit)s;

-- name: recipients_of_mailbox
-- Other recipients who had uses of a campaign at any time, and whose mailbox is that of a recipient, or has a digest.
SELECT p.recipient_id FROM recipients p
WHERE p.recipient_id <> %(recipient_id)s AND (p.mailbox_digest = ANY(%(digests)s::bytea[])
    OR p.mailbox_digest = (SELECT mailbox_digest FROM recipients WHERE recipient_id = %(recipient_id)s))
    AND EXISTS (
        SELECT FROM reservations r JOIN code_balances b USING (code_id)
        WHERE r.recipient_id = p.recipient_id AND r.kind = 'redeem' AND b.campaign_id = %(campaign_id)s
    )
ORDER BY p.recipient_id LIMIT %(limit)s;

-- name: uses_of_person
-- Uses of a campaign that a recipient, or all with their mailbox, have reserved or counted; no more than needed.
SELECT count(*) FROM (
    SELECT FROM reservations r JOIN code_balances b USING (code_id)
    WHERE r.recipient_id IN (
            SELECT %(recipient_id)s::uuid UNION ALL SELECT recipient_id FROM recipients
            WHERE %(by_mailbox)s
                AND mailbox_digest = (SELECT mailbox_digest FROM recipients WHERE recipient_id = %(recipient_id)s)
        )
        AND r.kind = 'redeem' AND r.status <> 'refunded'
        AND b.campaign_id = %(campaign_id)s AND r.versions[1] > coalesce(b.campaign_since, 1)
        AND r.reserved_at >= coalesce(%(counts_from)s::timestamptz, '-infinity')
    LIMIT %(most)s
) uses;

-- name: mailboxes_of_recipients
SELECT recipient_id, mailbox_digest FROM recipients
WHERE recipient_id = ANY(%(ids)s) AND mailbox_digest IS NOT NULL;

-- name: sent_until
-- Those of some reservations whose invitation was sent until a time.
SELECT reservation_id FROM reservations WHERE reservation_id = ANY(%(ids)s) AND sent_at <= %(at)s;

-- name: history_blocks
-- Those of a code or campaign after a version, as far as the log has their events.
SELECT h.version, h.block, h.trace FROM history_blocks h
WHERE h.code_id = %s AND h.shape = %s AND h.version > %s
    AND h.version <= coalesce(
        (SELECT b.version FROM code_balances b WHERE b.code_id = h.code_id),
        (SELECT c.version FROM campaigns c WHERE c.campaign_id = h.code_id)
    )
ORDER BY h.version;

-- name: upsert_history_blocks
-- What a row holds follows from the log, so it changes only if it was wrong.
INSERT INTO history_blocks AS old (code_id, shape, version, block, trace)
SELECT %(code_id)s, %(shape)s, new.version, new.block, CASE WHEN new.version = %(last)s THEN %(trace)s::bytea END
FROM unnest(%(versions)s::bigint[], %(blocks)s::bytea[]) AS new (version, block)
ON CONFLICT (code_id, shape, version) DO UPDATE
SET block = excluded.block, trace = coalesce(excluded.trace, old.trace), written_at = now()
WHERE old.block <> excluded.block OR excluded.trace IS NOT NULL;

-- name: clear_former_traces
UPDATE history_blocks SET trace = NULL
WHERE code_id = %(code_id)s AND shape = %(shape)s AND version < %(last)s AND trace IS NOT NULL;

-- name: codes_with_missing_blocks
-- Long codes whose last block is missing or too old, and their versions.
SELECT b.code_id, b.version FROM code_balances b
LEFT JOIN LATERAL (
    SELECT h.version FROM history_blocks h WHERE h.code_id = b.code_id AND h.shape = %(shape)s
    ORDER BY h.version DESC LIMIT 1
) last ON true
WHERE b.version >= coalesce(last.version, 0) + %(behind)s AND b.version >= %(behind)s
ORDER BY b.code_id LIMIT %(limit)s;

-- name: campaigns_with_missing_blocks
-- Long campaigns whose last block is missing or too old, and their versions.
SELECT c.campaign_id, c.version FROM campaigns c
LEFT JOIN LATERAL (
    SELECT h.version FROM history_blocks h WHERE h.code_id = c.campaign_id AND h.shape = %(shape)s
    ORDER BY h.version DESC LIMIT 1
) last ON true
WHERE c.version >= coalesce(last.version, 0) + %(behind)s AND c.version >= %(behind)s
ORDER BY c.campaign_id LIMIT %(limit)s;

-- name: delete_outdated_blocks
-- Those of another version of the program, once it has written none for a while.
DELETE FROM history_blocks WHERE shape <> ALL(%s) AND written_at < now() - interval '1 day';

-- name: balances_of_campaigns
-- Columns are in the order of projections/definitions/tables/campaigns.py: migrations append them.
SELECT c.*, b.codes, b.used, b.reserved
FROM campaigns c
CROSS JOIN LATERAL (
    -- Uses from before a code joined the campaign do not count in it. A code that joins has no reserved use.
    SELECT count(*) AS codes, coalesce(sum(reserved), 0)::bigint AS reserved,
        coalesce(sum(CASE WHEN coalesce(campaign_since, 1) = 1 OR used = 0 THEN used ELSE (
            SELECT count(*) FROM reservations r WHERE r.code_id = b.code_id AND r.kind = 'redeem'
                AND r.status = 'sent' AND r.versions[1] > coalesce(b.campaign_since, 1)
        ) END), 0)::bigint AS used
    FROM code_balances b WHERE campaign_id = c.campaign_id
) b
WHERE c.campaign_id = ANY(%s);

-- name: campaign_of_code
SELECT c.* FROM campaigns c WHERE c.campaign_id = (SELECT campaign_id FROM code_balances WHERE code_id = %s);

-- name: campaign_name_of_code
SELECT name FROM campaigns WHERE campaign_id = (SELECT campaign_id FROM code_balances WHERE code_id = %s);

-- name: newest_campaigns, oldest_campaigns
SELECT * FROM campaigns WHERE (created_at, campaign_id) {order.beyond} (%s, %s)
ORDER BY created_at{order.turn}, campaign_id{order.turn} LIMIT %s;

-- name: state_of_campaign
SELECT * FROM campaigns WHERE campaign_id = %s;

-- name: newest_open_campaigns
SELECT campaign_id, name FROM campaigns WHERE ended_by IS NULL AND (ends_at IS NULL OR ends_at > %s)
ORDER BY created_at DESC, campaign_id DESC LIMIT %s;

-- name: names_of_newest_campaigns
SELECT campaign_id, name FROM campaigns ORDER BY created_at DESC, campaign_id DESC LIMIT %s;

-- name: newest_codes_of_campaign, oldest_codes_of_campaign
SELECT b.*, t.hint FROM (
    SELECT * FROM code_balances
    WHERE campaign_id = %(campaign_id)s AND (issued_at, code_id) {order.beyond} (%(at)s, %(id)s)
    ORDER BY issued_at{order.turn}, code_id{order.turn} LIMIT %(limit)s
) b LEFT JOIN code_texts t USING (code_id) ORDER BY b.issued_at{order.turn}, b.code_id{order.turn};

-- name: reports_of_campaign
-- Delays and complaints about the emails of its codes, at most so many. An index has events of these two topics alone.
SELECT e.originator_id, e.topic, e.state FROM code_balances b JOIN ledger_events e ON e.originator_id = b.code_id
WHERE b.campaign_id = %(campaign_id)s AND e.originator_version > coalesce(b.campaign_since, 1)
    AND e.topic IN ('InviteDelayed:1', 'InviteComplained:1')
LIMIT %(counted_max)s;

-- name: funnel_of_campaign
-- How far its codes and their redemptions got, from at most so many redemptions; a moved access is no redemption.
SELECT count(*), count(*) FILTER (WHERE sent > 0), count(*) FILTER (WHERE accepted > 0), coalesce(sum(redeemed), 0)::bigint,
    coalesce(sum(sent), 0)::bigint, coalesce(sum(accepted), 0)::bigint,
    count(*) FILTER (WHERE bounced > 0), coalesce(sum(bounced), 0)::bigint
FROM (
    SELECT count(*) AS redeemed, count(sent_at) AS sent, count(accepted_at) AS accepted,
        count(*) FILTER (WHERE is_bounced) AS bounced
    FROM (
        SELECT r.code_id, r.sent_at, r.accepted_at, r.refund_cause IS NOT DISTINCT FROM 'bounced' OR EXISTS (
            SELECT FROM cases c
            WHERE c.code_id = r.code_id AND c.reservation_id = r.reservation_id AND c.cause = 'bounced'
        ) AS is_bounced
        FROM code_balances b JOIN reservations r USING (code_id)
        WHERE b.campaign_id = %(campaign_id)s AND r.kind = 'redeem' AND r.versions[1] > coalesce(b.campaign_since, 1)
        LIMIT %(counted_max)s
    ) counted GROUP BY code_id
) of_code;

-- name: handed_out_of_campaign
-- How many of its codes were issued for recipients of hand-outs, and the form of how many of them was opened.
SELECT count(*), count(p.code_id) FROM hand_outs o JOIN handed_out_codes h USING (hand_out_id)
LEFT JOIN opened_codes p ON p.code_id = h.code_id WHERE o.campaign_id = %s;

-- name: count_refusals
-- Rejected requests by reason, the most frequent first, from at most so many of them; of all codes or of a campaign's.
SELECT reason, count(*) FROM (
    SELECT r.reason FROM refusals r LEFT JOIN code_balances b USING (code_id)
    WHERE r.at >= %(since)s AND (%(campaign_id)s::uuid IS NULL OR b.campaign_id = %(campaign_id)s) LIMIT %(counted_max)s
) counted GROUP BY reason ORDER BY count(*) DESC, reason;

-- name: newest_refusals, oldest_refusals
-- Those of codes that are in a campaign, or with one reason, or all. Requests of one batch have the same time.
SELECT r.at, r.reason, r.code_id, t.hint, c.campaign_id, c.name,
    p.recipient_id, p.digest, p.pepper_id, p.sealed, p.key_id
FROM (
    SELECT r.*, b.campaign_id FROM refusals r LEFT JOIN code_balances b USING (code_id)
    WHERE r.at >= %(since)s AND r.at <= %(until)s
        AND (%(reason)s::text IS NULL OR r.reason = %(reason)s)
        AND (%(campaign_id)s::uuid IS NULL OR b.campaign_id = %(campaign_id)s)
    ORDER BY r.at{order.turn}, r.code_id, r.recipient_digest OFFSET %(skip)s LIMIT %(limit)s
) r LEFT JOIN code_texts t USING (code_id) LEFT JOIN campaigns c USING (campaign_id)
LEFT JOIN recipients p ON substr(p.digest, 1, 15) = substr(r.recipient_digest, 1, 15)
ORDER BY r.at{order.turn}, r.code_id, r.recipient_digest;
