-- Statements of least privilege: which roles there are, and what they may do now.

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
SELECT has_schema_privilege('public', 'CREATE');

-- name: who_may_change_the_log
-- Roles of the ledger's processes that could alter what is written for ever.
SELECT DISTINCT a.usename::text FROM pg_stat_activity a, unnest('{ledger_events,audit}'::text[]) AS t (name)
WHERE a.application_name = 'redemption-ledger' AND a.datname = current_database() AND a.pid <> pg_backend_pid()
    AND (
        has_table_privilege(a.usename, t.name, 'UPDATE') OR has_table_privilege(a.usename, t.name, 'DELETE')
        OR has_table_privilege(a.usename, t.name, 'TRUNCATE')
    );
