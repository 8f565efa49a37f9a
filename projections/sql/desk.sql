-- What the support desk asks besides.

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
SELECT r.code_id, r.at, r.reason, t.hint FROM refusals r LEFT JOIN code_texts t USING (code_id)
WHERE r.recipient_digest = ANY(%s) AND r.at <= %s ORDER BY r.at DESC LIMIT %s;

-- name: count_reservations_of_recipient
-- No more than a list would say at a glance.
SELECT count(*) FROM (SELECT FROM reservations WHERE recipient_id = %s LIMIT %s) few;

-- name: digests_of_recipient
SELECT digest FROM recipients WHERE recipient_id = %s;

-- name: versions_of_person_newest_first
SELECT e.originator_version FROM reservations r CROSS JOIN unnest(r.versions) AS v
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = v
WHERE r.code_id = %s AND r.recipient_id = %s AND v > %s AND v <= %s AND (%s::text[] IS NULL OR e.topic = ANY(%s))
ORDER BY v DESC LIMIT %s;

-- name: versions_of_person_oldest_first
SELECT e.originator_version FROM reservations r CROSS JOIN unnest(r.versions) AS v
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = v
WHERE r.code_id = %s AND r.recipient_id = %s AND v > %s AND v <= %s AND (%s::text[] IS NULL OR e.topic = ANY(%s))
ORDER BY v LIMIT %s;

-- name: events_caused_by
-- In a bounded stretch of one stream; the two forms are those in which a number ends in JSON.
SELECT originator_version FROM ledger_events
WHERE originator_id = %(code_id)s AND originator_version > %(version)s AND originator_version <= %(until)s
    AND (position(%(inside)s::bytea IN state) > 0 OR position(%(at_end)s::bytea IN state) > 0)
ORDER BY originator_version LIMIT %(limit)s;

-- name: events_of_request
-- A stretch of the log of bounded length, newest first: request ids have no index, for every event would pay for it.
SELECT originator_id, originator_version FROM (
    SELECT originator_id, originator_version, state, notification_id FROM ledger_events
    WHERE notification_id < %(before)s ORDER BY notification_id DESC LIMIT %(stretch)s
) stretch
WHERE position(%(needle)s::bytea IN state) > 0 ORDER BY notification_id DESC LIMIT %(limit)s;

-- name: drifting
SELECT d.code_id, d.found_at, d.rows, t.hint FROM drifting_codes d LEFT JOIN code_texts t USING (code_id)
ORDER BY d.found_at, d.code_id LIMIT %s;
