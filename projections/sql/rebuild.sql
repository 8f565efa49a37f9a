-- name: set_rebuild_progress
INSERT INTO rebuild_progress (step, events, total) VALUES (%s, %s, %s)
ON CONFLICT (only_row) DO UPDATE SET step = excluded.step, events = excluded.events, total = excluded.total;

-- name: delete_rebuild_progress
DELETE FROM rebuild_progress;

-- name: copy_log_range
COPY (
    SELECT originator_id, originator_version, notification_id, topic, state FROM ledger_events
    WHERE notification_id >= %s AND notification_id < %s ORDER BY notification_id
) TO STDOUT (FORMAT BINARY);

-- name: merkle_leaves
-- Lowest tiles, each with the hash over it that the next height holds once it is full.
SELECT t.index, t.first_position, t.hashes,
    CASE WHEN octet_length(a.hashes) >= (mod(t.index, 256) + 1) * 32
        THEN substring(a.hashes FROM mod(t.index, 256)::int * 32 + 1 FOR 32) END
FROM merkle_tiles t LEFT JOIN merkle_tiles a ON a.height = 1 AND a.index = t.index / 256
WHERE t.height = 0 AND t.index BETWEEN %s AND %s ORDER BY t.index;

-- name: disable_parallel_queries
-- For this session: several at once would leave none of a small machine's cores to others.
SELECT set_config('max_parallel_maintenance_workers', '0', false), set_config('max_parallel_workers_per_gather', '0', false);

-- name: longest_streams
-- By the read model, which may be wrong: only a hint where to begin.
SELECT code_id FROM code_balances WHERE version > %s ORDER BY version DESC LIMIT %s;

-- name: events_between
SELECT originator_id, originator_version, notification_id, topic, state FROM ledger_events
WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id LIMIT %s;

-- name: events_between_of_stream
SELECT originator_id, originator_version, notification_id, topic, state FROM ledger_events
WHERE notification_id > %s AND notification_id <= %s AND originator_id = %s ORDER BY notification_id LIMIT %s;

-- name: positions_of_events
SELECT originator_id, originator_version, notification_id, topic FROM ledger_events
WHERE (originator_id, originator_version) IN (SELECT * FROM unnest(%s::uuid[], %s::bigint[]));

-- name: last_versions_of_codes
SELECT originator_id, max(originator_version) FROM ledger_events WHERE originator_id = ANY(%s) GROUP BY originator_id;

-- name: table_of_name
SELECT c.oid, n.nspname, pg_get_userbyid(c.relowner), c.reloptions
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relname = %s AND n.nspname = current_schema();

-- name: columns_of_table
SELECT attname, atttypid FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum;

-- name: index_constraints_of_table
-- PostgreSQL's definition of a constraint leaves out the storage parameters of its index.
SELECT c.conname, pg_get_constraintdef(c.oid) || coalesce(' WITH (' || array_to_string(i.reloptions, ', ') || ')', '')
FROM pg_constraint c JOIN pg_class i ON i.oid = c.conindid
WHERE c.conrelid = %s AND c.contype IN ('p', 'u', 'x')
ORDER BY c.contype, c.conname;

-- name: plain_indexes_of_table
SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i
WHERE i.indrelid = %s AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
ORDER BY i.indexrelid;

-- name: grants_of_table
SELECT CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee) END, a.privilege_type, a.is_grantable
FROM pg_class c CROSS JOIN aclexplode(c.relacl) a WHERE c.oid = %s AND a.grantee <> c.relowner;

-- name: dependents_of_tables
-- What a swap would leave behind on the old table: views, triggers, foreign keys, policies, publications.
WITH live AS (
    SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relname = ANY(%s) AND n.nspname = current_schema()
)
SELECT DISTINCT 'view ' || v.relname FROM live JOIN pg_depend d ON d.refobjid = live.oid AND d.classid = 'pg_rewrite'::regclass
JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
UNION ALL SELECT 'trigger ' || t.tgname FROM live JOIN pg_trigger t ON t.tgrelid = live.oid AND NOT t.tgisinternal
UNION ALL SELECT 'foreign key ' || k.conname FROM live JOIN pg_constraint k ON k.contype = 'f' AND live.oid IN (k.conrelid, k.confrelid)
UNION ALL SELECT 'policy ' || p.polname FROM live JOIN pg_policy p ON p.polrelid = live.oid
UNION ALL SELECT 'publication ' || p.pubname FROM live JOIN pg_publication_rel m ON m.prrelid = live.oid
JOIN pg_publication p ON p.oid = m.prpubid;

-- name: lock_rebuild
-- Held by the session that rebuilds, so that there is one at a time.
SELECT pg_try_advisory_lock(1818518631, 1);

-- name: rebuild_lock_holder
SELECT a.pid, a.application_name, a.client_addr::text, a.backend_start
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.classid = 1818518631 AND l.objid = 1 AND l.granted
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- name: create_out_of_order_events
-- Events of reservations whose rows were written before them; of this session only.
CREATE TEMPORARY TABLE out_of_order_events (originator_id uuid NOT NULL, originator_version bigint NOT NULL);

-- name: copy_out_of_order_events
COPY out_of_order_events FROM STDIN;

-- name: out_of_order_events_page
SELECT originator_id, originator_version, e.notification_id, e.topic, e.state
FROM out_of_order_events JOIN ledger_events e USING (originator_id, originator_version)
WHERE (originator_id, originator_version) > (%s, %s) ORDER BY originator_id, originator_version LIMIT %s;

-- name: delete_snapshots
-- Those of one code, or all.
DELETE FROM code_snapshots WHERE %(code_id)s::uuid IS NULL OR code_id = %(code_id)s;

-- name: reset_reservation_map
WITH tiles AS (DELETE FROM reservation_map_tiles)
UPDATE reservation_map_progress SET size = 0, position = 0, checkpoint = 0;

-- name: delete_history_blocks
-- Those of one code, or all.
DELETE FROM history_blocks WHERE %(code_id)s::uuid IS NULL OR code_id = %(code_id)s;
