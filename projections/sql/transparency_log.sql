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
SELECT number, size, position, root, at, public_key, signature, map_root FROM checkpoints ORDER BY number DESC LIMIT 1;

-- name: checkpoints_after
SELECT number, size, position, root, at, public_key, signature, map_root FROM checkpoints WHERE number > %s ORDER BY number LIMIT %s;

-- name: first_checkpoint_from
SELECT number, size, position, root, at, public_key, signature, map_root FROM checkpoints WHERE position >= %s ORDER BY number LIMIT 1;

-- name: places_of_reservation
SELECT e.notification_id, e.originator_id, e.originator_version, e.topic, e.state
FROM reservations r
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = ANY(r.versions)
WHERE r.reservation_id = %s ORDER BY e.notification_id;

-- name: checkpoint_of_number
SELECT number, size, position, root, at, public_key, signature, map_root FROM checkpoints WHERE number = %s;

-- name: events_of_versions
SELECT notification_id, originator_id, originator_version, topic, state FROM ledger_events
WHERE originator_id = %s AND originator_version = ANY(%s) AND notification_id <= %s ORDER BY notification_id;

-- name: count_events_after
SELECT count(*) FROM (SELECT FROM ledger_events WHERE notification_id > %s LIMIT %s) AS later;

-- name: copy_log_between
COPY (
    SELECT originator_id, originator_version, notification_id, topic, state FROM ledger_events
    WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id LIMIT %s
) TO STDOUT (FORMAT BINARY);

-- name: map_progress
SELECT size, position, checkpoint FROM reservation_map_progress;

-- name: set_map_progress
UPDATE reservation_map_progress SET size = %s, position = %s;

-- name: set_map_checkpoint
UPDATE reservation_map_progress SET checkpoint = %s;

-- name: map_tiles
SELECT index, hashes FROM reservation_map_tiles WHERE height = %s AND index = ANY(%s);

-- name: map_tile
-- As the checkpoint of this number signed it; as it is now for a number that no checkpoint has.
SELECT CASE WHEN checkpoint = %s THEN signed_hashes ELSE hashes END FROM reservation_map_tiles
WHERE height = %s AND index = %s;

-- name: upsert_map_tile
INSERT INTO reservation_map_tiles AS t (height, index, hashes, checkpoint, signed_hashes)
VALUES (%s, %s, %s, %s, '')
ON CONFLICT (height, index) DO UPDATE SET
    signed_hashes = CASE WHEN t.checkpoint = excluded.checkpoint THEN t.signed_hashes ELSE t.hashes END,
    hashes = excluded.hashes, checkpoint = excluded.checkpoint;

-- name: first_events_of_reservations
-- With the tile that each is in. The first event of a reservation never changes, so any snapshot is right.
SELECT r.reservation_id, e.notification_id, t.index, t.first_position
FROM unnest(%s::uuid[]) AS requested (reservation_id)
JOIN reservations r USING (reservation_id)
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = r.versions[1]
CROSS JOIN LATERAL (
    SELECT index, first_position FROM merkle_tiles
    WHERE height = 0 AND first_position <= e.notification_id ORDER BY first_position DESC LIMIT 1
) t;

-- name: positions_of_tile
SELECT notification_id FROM ledger_events WHERE notification_id >= %s ORDER BY notification_id LIMIT %s;

-- name: events_of_reservations
-- In order of reservation and position, so that each one's hashes can be chained.
SELECT r.reservation_id, e.originator_id, e.originator_version, e.topic, e.state
FROM reservations r JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = ANY(r.versions)
WHERE r.reservation_id = ANY(%s) AND e.notification_id <= %s
ORDER BY r.reservation_id, e.notification_id;
