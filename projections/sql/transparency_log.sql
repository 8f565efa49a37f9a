-- name: copy_log_after
-- Positions appear in order, so nothing will ever appear before what is seen here.
COPY (
    SELECT originator_id, originator_version, notification_id, topic, state FROM ledger_events
    WHERE notification_id > %s ORDER BY notification_id LIMIT %s
) TO STDOUT (FORMAT BINARY);

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

-- name: events_of_versions
SELECT notification_id, originator_id, originator_version, topic, state FROM ledger_events
WHERE originator_id = %s AND originator_version = ANY(%s) AND notification_id <= %s ORDER BY notification_id;

-- name: count_events_after
SELECT count(*) FROM (SELECT FROM ledger_events WHERE notification_id > %s LIMIT %s) AS later;
