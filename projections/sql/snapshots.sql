-- Snapshots of codes. Each is used only where its event is in the log: after a restore from an older copy it may not be.

-- name: snapshots_of_codes
SELECT s.state FROM code_snapshots s
WHERE s.code_id = ANY(%s) AND s.shape = %s
    AND EXISTS (SELECT FROM ledger_events e WHERE e.originator_id = s.code_id AND e.originator_version = s.version);

-- name: upsert_snapshots
INSERT INTO code_snapshots AS old (code_id, shape, version, state)
SELECT code_id, %s, version, state FROM unnest(%s::uuid[], %s::bigint[], %s::bytea[]) AS new (code_id, version, state)
ON CONFLICT (code_id, shape) DO UPDATE SET version = excluded.version, state = excluded.state, written_at = now()
WHERE old.version < excluded.version;

-- name: codes_behind
-- Codes whose snapshot is missing or too old: after an upgrade that folds otherwise, or where nobody wrote one.
SELECT b.code_id FROM code_balances b
LEFT JOIN code_snapshots s ON s.code_id = b.code_id AND s.shape = %(shape)s
WHERE b.version >= coalesce(s.version, 0) + %(behind)s
ORDER BY b.code_id LIMIT %(limit)s;

-- name: snapshots_page
SELECT code_id, version, state FROM code_snapshots
WHERE shape = %s AND code_id > %s ORDER BY code_id LIMIT %s;

-- name: forget_snapshots
-- Those of one code, or all.
DELETE FROM code_snapshots WHERE %(code_id)s::uuid IS NULL OR code_id = %(code_id)s;

-- name: forget_other_shapes
-- Those of another version of the program, once it has written none for a while.
DELETE FROM code_snapshots WHERE shape <> %s AND written_at < now() - interval '1 day';

