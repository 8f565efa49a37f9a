-- Statements of the API for integrators: lists, the feed of events, and codes that come in from files.

-- name: reservations_from
-- A stretch of reservations in the order in which they were made; the caller picks and goes on from the last one.
SELECT reservation_id, code_id, status, reserved_at FROM reservations
WHERE (reserved_at, reservation_id) > (%s, %s) ORDER BY reserved_at, reservation_id LIMIT %s;

-- name: reservations_of_code_from
SELECT reservation_id, code_id, status, reserved_at FROM reservations
WHERE code_id = %s AND (reserved_at, reservation_id) > (%s, %s) ORDER BY reserved_at, reservation_id LIMIT %s;

-- name: codes_of_group_from
SELECT * FROM code_balances
WHERE group_name = %s AND (issued_at, code_id) > (%s, %s) ORDER BY issued_at, code_id LIMIT %s;

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

-- name: newest_position
SELECT coalesce(max(notification_id), 0) FROM ledger_events;

-- name: insert_note
INSERT INTO private_texts (text_id, sealed, key_id) VALUES (%s, %s, %s) ON CONFLICT (text_id) DO NOTHING;

-- name: first_events_of_texts
-- How codes of these texts came into being: their first events, in order.
SELECT t.digest, e.originator_version, e.topic, e.state FROM code_texts t
JOIN ledger_events e ON e.originator_id = t.code_id AND e.originator_version <= 2
WHERE t.digest = ANY(%s) ORDER BY t.code_id, e.originator_version;

-- name: person_of_reservations
SELECT r.reservation_id, r.code_id, r.recipient_id, r.status, r.kind, r.reserved_at, r.deadline, r.delivery, r.attempts,
    r.ever_unknown, r.case_id, r.follows, r.sent_at, r.accepted_at, r.refunded_at, r.refund_cause,
    p.digest, p.pepper_id, p.sealed, p.key_id
FROM reservations r LEFT JOIN recipients p USING (recipient_id) WHERE r.reservation_id = ANY(%s);
