-- name: vault_role
-- The role that may alter the vault, where the running role can become it; null where the owner itself runs.
SELECT rolname FROM pg_roles WHERE rolname = current_user || '_forget' AND pg_has_role(current_user, oid, 'MEMBER');

-- name: database_now
SELECT clock_timestamp();

-- name: applied_migrations
SELECT migration_id FROM _yoyo_migration ORDER BY applied_at_utc, migration_id;

-- name: role_facts
-- Whether we may make roles, and whether these two are there.
SELECT (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user),
    EXISTS (SELECT FROM pg_roles WHERE rolname = %s), EXISTS (SELECT FROM pg_roles WHERE rolname = %s);

-- name: table_rights
-- What a role has been granted on the tables here.
SELECT c.relname, coalesce(array_agg(a.privilege_type ORDER BY a.privilege_type) FILTER (WHERE a.grantee = r.oid), '{}')
FROM pg_roles r CROSS JOIN pg_class c LEFT JOIN LATERAL aclexplode(c.relacl) a ON true
WHERE r.rolname = %s AND c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
GROUP BY c.relname ORDER BY c.relname;

-- name: sequences_without_usage
SELECT c.relname FROM pg_class c
WHERE c.relkind = 'S' AND c.relnamespace = current_schema()::regnamespace
    -- In any other order the server would ask for the rights of what is no sequence.
    AND CASE WHEN c.relkind = 'S' THEN NOT has_sequence_privilege(%s, c.oid, 'USAGE') END;

-- name: owns_schema
-- Whether the current role may create tables, as migrating and rebuilding do.
SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false);

-- name: schema_of_tables
-- The first schema of the search path, which is another than public where the URL or the role says so.
SELECT current_schema();

-- name: who_may_change_the_log
-- Roles of the ledger's processes that could alter what is written for ever.
SELECT DISTINCT a.usename::text FROM pg_stat_activity a, unnest('{ledger_events,audit}'::text[]) AS t (name)
WHERE a.application_name = 'redemption-ledger' AND a.datname = current_database() AND a.pid <> pg_backend_pid()
    AND (
        has_table_privilege(a.usename, t.name, 'UPDATE') OR has_table_privilege(a.usename, t.name, 'DELETE')
        OR has_table_privilege(a.usename, t.name, 'TRUNCATE')
    );

-- name: end_silent_writers
-- Whoever writes holds the entrance. One that says nothing in the middle of its statements is active for the server,
-- waits for its client, and falls under none of the server's time-outs for idle transactions.
SELECT count(*) FILTER (WHERE pg_terminate_backend(a.pid))
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.classid = 1818518631 AND l.objid = 2 AND l.objsubid = 2
    AND l.mode = 'ShareLock' AND l.granted
    AND a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid()
    AND a.state = 'active' AND a.wait_event = 'ClientRead'
    AND a.state_change < clock_timestamp() - make_interval(secs => %s);

-- name: server_identity
-- Which run of which server this is. The file that is written now tells the timeline at once; the control file only
-- after the next checkpoint.
SELECT system_identifier,
    CASE WHEN NOT pg_is_in_recovery() THEN ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer END,
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint
FROM pg_control_system();

-- name: least_memory
-- Until the end of the transaction, work that needs more than 64 kB is written to files of the database's own disk.
SELECT set_config('work_mem', '64kB', true), set_config('temp_tablespaces', '', true);

-- name: write_scratch_file
-- Writes and deletes some 70 kB, with the least memory set. Fails if the disk is full, although WAL may still fit.
SELECT count(*) FROM generate_series(1, 5000);

-- name: commit_message
-- A commit that writes to the write-ahead log and to no table, and so waits for the disk and for standbys. False on a
-- standby, and in a read-only session.
SELECT CASE current_setting('transaction_read_only') WHEN 'off' THEN pg_logical_emit_message(true, 'ledger', '') END IS NOT NULL;

-- name: primary_position
-- What is flushed is a bound of every acknowledged commit. Fails on a standby.
SELECT (pg_control_system()).system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8),
    (pg_current_wal_flush_lsn() - '0/0')::bigint;

-- name: standby_position
-- The timeline of the last restart point: after a failover it is the older one for some minutes, never a newer one.
SELECT pg_is_in_recovery(), (pg_control_system()).system_identifier,
    upper(lpad(to_hex((pg_control_checkpoint()).timeline_id), 8, '0')),
    coalesce(pg_last_wal_replay_lsn() - '0/0', 0)::bigint;
