-- name: server_process
SELECT pg_backend_pid();

-- name: engine_facts
-- What the engine says about itself, and whether it takes writes.
SELECT split_part(version(), ' on ', 1) AS version, pg_is_in_recovery() AS is_standby,
    current_setting('transaction_read_only') = 'on' AS is_read_only;

-- name: scratch_facts
-- Whether this role may create a schema, which ones a killed check left, and a name that no other check has.
SELECT has_database_privilege(current_database(), 'CREATE'),
    ARRAY(
        SELECT nspname::text FROM pg_namespace
        WHERE pg_has_role(current_user, nspowner, 'USAGE')
            AND substring(nspname FROM '^' || prefix || '([0-9]+)_')::bigint < extract(epoch FROM clock_timestamp()) - 3600
    ),
    prefix || extract(epoch FROM clock_timestamp())::bigint || '_' || replace(gen_random_uuid()::text, '-', '')
FROM CAST(%s AS text) AS prefix;

-- name: lock_pair
SELECT pg_advisory_xact_lock(%s, %s);

-- name: try_pair
SELECT pg_try_advisory_xact_lock(%s, %s);

-- name: lock_key
SELECT pg_advisory_xact_lock(%s::bigint);

-- name: try_key
SELECT pg_try_advisory_xact_lock(%s::bigint);

-- name: lock_shared
SELECT pg_advisory_xact_lock_shared(%s, %s);

-- name: lock_session
SELECT pg_advisory_lock(%s, %s);

-- name: try_session
SELECT pg_try_advisory_lock(%s, %s);

-- name: unlock_session
SELECT pg_advisory_unlock(%s, %s);

-- name: limit_lock_wait
SELECT set_config('lock_timeout', %s, true);

-- name: is_awaited
SELECT EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND objsubid = 2 AND NOT granted
);

-- name: own_transaction
SELECT pg_current_xact_id()::text;

-- name: sees_transaction
SELECT pg_visible_in_snapshot(CAST(CAST(%s AS text) AS xid8), pg_current_snapshot());

-- name: sequence_cache
-- How many positions a session would take ahead of the others; no row without the table or the right to see it.
SELECT s.cache_size FROM pg_sequences s
WHERE pg_get_serial_sequence(to_regclass('ledger_events')::text, 'notification_id') = format('%I.%I', s.schemaname, s.sequencename);

-- name: create_positions
CREATE TABLE {scratch}.positions (position bigserial PRIMARY KEY);

-- name: take_position
INSERT INTO {scratch}.positions DEFAULT VALUES RETURNING position;

-- name: highest_position
SELECT coalesce(max(position), 0) FROM {scratch}.positions;

-- name: create_log
CREATE TABLE {scratch}.log (id uuid NOT NULL, version bigint NOT NULL, topic text NOT NULL, position bigint PRIMARY KEY, state bytea);

-- name: create_refusal
CREATE FUNCTION {scratch}.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END;
$$;

-- name: refuse_row_changes
CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE ON {scratch}.log FOR EACH ROW EXECUTE FUNCTION {scratch}.refuse_change();

-- name: refuse_truncate
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON {scratch}.log FOR EACH STATEMENT EXECUTE FUNCTION {scratch}.refuse_change();

-- name: add_to_log
INSERT INTO {scratch}.log VALUES (gen_random_uuid(), 1, 'Checked:1', 1, '\x00');

-- name: update_log
UPDATE {scratch}.log SET topic = 'Changed:1';

-- name: delete_log
DELETE FROM {scratch}.log;

-- name: truncate_log
TRUNCATE {scratch}.log;

-- name: missing_refusals
-- Triggers of the ledger's tables that are absent or switched off; none where the tables are not.
SELECT t.name || ' of ' || t.owner FROM unnest(
    '{ledger_events_refuse_change,ledger_events_refuse_truncate,audit_refuse_change,audit_refuse_truncate}'::text[],
    '{ledger_events,ledger_events,audit,audit}'::text[]
) AS t (name, owner)
WHERE to_regclass(t.owner) IS NOT NULL AND NOT EXISTS (
    SELECT FROM pg_trigger WHERE tgrelid = to_regclass(t.owner) AND tgname = t.name AND tgenabled IN ('O', 'A')
);

-- name: create_rows
CREATE TABLE {scratch}.work (id integer PRIMARY KEY);

-- name: add_rows
INSERT INTO {scratch}.work VALUES (1), (2);

-- name: claim_row
SELECT id FROM {scratch}.work ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: claim_check_value
-- A row that every database of a ledger has from its first start.
SELECT ring, key_id FROM key_checks ORDER BY ring, key_id LIMIT 1 FOR UPDATE;

-- name: claim_same_check_value
SELECT 1 FROM key_checks WHERE ring = %s AND key_id = %s FOR UPDATE SKIP LOCKED;

-- name: in_order
-- Two arrays side by side, in the order in which they were given.
SELECT a, b, place FROM unnest(%s::integer[], %s::text[]) WITH ORDINALITY AS t (a, b, place);

-- name: copy_in
COPY {scratch}.log FROM STDIN (FORMAT BINARY);

-- name: copy_out
COPY (SELECT id, version, position, topic, state FROM {scratch}.log ORDER BY position) TO STDOUT (FORMAT BINARY);

-- name: current_role
SELECT current_user::text, session_user::text;

-- name: assumable_role
-- A role that this one can become, which who created it may not (PostgreSQL 16): the ledger's eraser role first.
SELECT rolname::text FROM pg_roles
WHERE rolname <> current_user AND rolname <> 'pg_database_owner' AND pg_has_role(current_user, oid, 'SET')
ORDER BY rolname <> current_user || '_forget', rolname LIMIT 1;

-- name: durability
SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),
    current_setting('synchronous_standby_names');

-- name: session_settings
SELECT name, setting FROM pg_settings
WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'TimeZone') ORDER BY name;
