-- name: copy_log_by_position
COPY (
    SELECT originator_id, originator_version, notification_id, topic, state FROM ledger_events
    WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id LIMIT %s
) TO STDOUT (FORMAT BINARY);

-- name: count_events_until
SELECT count(*) FROM ledger_events WHERE notification_id <= %s;

-- name: copy_imported_log
COPY ledger_events ({ledger_events.names}, notification_id) FROM STDIN (FORMAT BINARY);

-- name: lock_writers_exclusive
-- Who writes read models, who appends, and who follows: all wait until this transaction ends.
SELECT pg_advisory_xact_lock(1818518631, 2), pg_advisory_xact_lock(1818518631, 0), pg_advisory_xact_lock(1818518631, 3);

-- name: insert_numbered_checkpoint
INSERT INTO checkpoints (number, size, position, root, at, public_key, signature, map_root) OVERRIDING SYSTEM VALUE
VALUES (%s, %s, %s, %s, %s, %s, %s, %s);

-- name: columns_with_sequences
SELECT a.attname, pg_get_serial_sequence(c.oid::regclass::text, a.attname)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relname = %s AND c.relnamespace = current_schema()::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
    AND pg_get_serial_sequence(c.oid::regclass::text, a.attname) IS NOT NULL;

-- name: all_tables
SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace ORDER BY relname;

-- name: foreign_keys
SELECT k.conrelid::regclass::text, k.confrelid::regclass::text FROM pg_constraint k
WHERE k.contype = 'f' AND k.connamespace = current_schema()::regnamespace;

-- name: conflicting_vault_rows
SELECT EXISTS (SELECT FROM code_texts) OR EXISTS (SELECT FROM recipients) OR EXISTS (SELECT FROM private_texts);

-- name: restore_waiting_places
-- Where people wait, as the campaigns say it. Emails of offers were sent by the ledger that the log comes from, if at all.
INSERT INTO waiting_places (place_id, campaign_id, code_id, recipient_id, joined_at)
SELECT (place ->> 'place_id')::uuid, campaign_id, (place ->> 'code_id')::uuid, (place ->> 'recipient_id')::uuid,
    (place ->> 'joined_at')::timestamptz
FROM campaigns, json_array_elements(waiting::json) AS place WHERE waiting IS NOT NULL;

-- name: all_key_checks
SELECT ring, key_id, check_value FROM key_checks ORDER BY ring, key_id;
