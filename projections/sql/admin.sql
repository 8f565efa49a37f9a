-- name: insert_batch
-- Asked for twice by one form, it is one batch.
WITH note AS (
    INSERT INTO private_texts (text_id, sealed, key_id)
    SELECT %(text_id)s, %(sealed)s, %(key_id)s WHERE %(text_id)s::uuid IS NOT NULL
    ON CONFLICT (text_id) DO NOTHING
)
INSERT INTO batches (
    batch_id, kind, state, requested_at, staff_id, text_id, prefix, max_uses, bound, expires_at, validity_days,
    rebinds_max, group_name, wanted, done, refused, runner, lease_until
)
VALUES (
    %(batch_id)s, %(kind)s, 'working', %(now)s, %(staff_id)s, %(text_id)s, %(prefix)s, %(max_uses)s, %(bound)s,
    %(expires_at)s, %(validity_days)s, %(rebinds_max)s, %(group)s, %(wanted)s, 0, 0, %(runner)s, %(lease_until)s
)
ON CONFLICT (batch_id) DO NOTHING RETURNING batch_id;

-- name: batch_of_id
SELECT batch_id, kind, state, requested_at, ended_at, staff_id, text_id, prefix, max_uses, bound, expires_at,
    validity_days, rebinds_max, group_name, wanted, done, refused
FROM batches WHERE batch_id = %s;

-- name: newest_batches
SELECT batch_id, kind, state, requested_at, ended_at, staff_id, text_id, prefix, max_uses, bound, expires_at,
    validity_days, rebinds_max, group_name, wanted, done, refused
FROM batches WHERE (requested_at, batch_id) < (%s, %s) ORDER BY requested_at DESC, batch_id DESC LIMIT %s;

-- name: claim_batch
-- The oldest one that nobody works on; each goes to one runner.
UPDATE batches SET runner = %(runner)s, lease_until = %(lease_until)s
WHERE batch_id = (
    SELECT batch_id FROM batches
    WHERE state = 'working' AND kind = 'issue' AND (lease_until IS NULL OR lease_until <= %(now)s)
    ORDER BY requested_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING batch_id, kind, state, requested_at, ended_at, staff_id, text_id, prefix, max_uses, bound, expires_at,
    validity_days, rebinds_max, group_name, wanted, done, refused;

-- name: break_left_imports
-- The process that had the file is gone, and the file with it.
UPDATE batches SET state = 'broken', ended_at = %(now)s
WHERE state = 'working' AND kind = 'import' AND lease_until <= %(now)s;

-- name: note_batch
-- How far its runner is; no row if it was stopped, or if somebody else has it by now.
UPDATE batches SET done = %(done)s, refused = %(refused)s, lease_until = %(lease_until)s
WHERE batch_id = %(batch_id)s AND runner = %(runner)s AND state = 'working' RETURNING batch_id;

-- name: end_batch
UPDATE batches SET state = %(state)s, ended_at = %(now)s
WHERE batch_id = %(batch_id)s AND state = 'working' AND (runner = %(runner)s OR %(runner)s::uuid IS NULL)
RETURNING batch_id;

-- name: insert_batch_refusals
INSERT INTO batch_refusals (batch_id, line, reason)
SELECT %s, line, reason FROM unnest(%s::bigint[], %s::text[]) AS new (line, reason) ON CONFLICT DO NOTHING;

-- name: refusals_of_batch
SELECT line, reason FROM batch_refusals WHERE batch_id = %s AND line > %s ORDER BY line LIMIT %s;

-- name: texts_of_codes
SELECT hint, code_id, digest, pepper_id, sealed, key_id FROM code_texts WHERE code_id = ANY(%s);

-- name: newest_codes
-- A page of codes, newest first, from at most so many rows that are looked through.
SELECT b.*, t.hint FROM (
    SELECT * FROM code_balances WHERE (issued_at, code_id) < (%(at)s, %(id)s)
    ORDER BY issued_at DESC, code_id DESC LIMIT %(limit)s
) b LEFT JOIN code_texts t USING (code_id) ORDER BY b.issued_at DESC, b.code_id DESC;

-- name: newest_codes_of_group
SELECT b.*, t.hint FROM (
    SELECT * FROM code_balances WHERE group_name = %(group)s AND (issued_at, code_id) < (%(at)s, %(id)s)
    ORDER BY issued_at DESC, code_id DESC LIMIT %(limit)s
) b LEFT JOIN code_texts t USING (code_id) ORDER BY b.issued_at DESC, b.code_id DESC;

-- name: insert_key_name
INSERT INTO private_texts (text_id, sealed, key_id) VALUES (%(text_id)s, %(sealed)s, %(seal_key)s)
ON CONFLICT (text_id) DO NOTHING;

-- name: insert_named_key
-- Sent twice by one form, it is one key.
INSERT INTO api_keys (key_id, digest, role, scopes, created_at, expires_at, text_id, staff_id)
VALUES (
    %(key_id)s, %(digest)s, %(role)s, %(scopes)s::text[], %(now)s, %(expires_at)s, %(text_id)s, %(staff_id)s
)
ON CONFLICT (key_id) DO NOTHING RETURNING key_id;

-- name: revoke_key
UPDATE api_keys SET revoked_at = %s WHERE key_id = %s AND revoked_at IS NULL RETURNING key_id;

-- name: list_keys
SELECT k.key_id, k.role, k.scopes, k.created_at, k.expires_at, k.revoked_at, k.text_id, p.sealed, p.key_id
FROM api_keys k LEFT JOIN private_texts p USING (text_id)
WHERE (k.created_at, k.key_id) < (%s, %s) ORDER BY k.created_at DESC, k.key_id DESC LIMIT %s;

-- name: list_staff
SELECT role, created_at, staff_id, digest, pepper_id, sealed, key_id FROM staff
WHERE removed_at IS NULL AND (created_at, staff_id) > (%s, %s) ORDER BY created_at, staff_id LIMIT %s;

-- name: lock_staff
-- Changes of staff wait for one another, so that two of them can't take the last admin together.
SELECT pg_advisory_xact_lock(1818518631, 4);

-- name: admins_besides
SELECT count(*) FROM staff WHERE role = 'admin' AND removed_at IS NULL AND staff_id <> %s;

-- name: role_of_staff
SELECT role FROM staff WHERE staff_id = %s AND removed_at IS NULL;

-- name: set_staff_role
UPDATE staff SET role = %s WHERE staff_id = %s AND removed_at IS NULL RETURNING staff_id;

-- name: set_staff_password
-- Ends all sessions that the old password began.
WITH ended AS (
    DELETE FROM staff_sessions WHERE staff_id = %(staff_id)s
)
UPDATE staff SET password_hash = %(password_hash)s WHERE staff_id = %(staff_id)s AND removed_at IS NULL
RETURNING staff_id;

-- name: replace_password_hash
UPDATE staff SET password_hash = %s WHERE staff_id = %s AND password_hash = %s AND removed_at IS NULL;

-- name: remove_staff
-- The row stays, so that the history knows who it was; no password fits it any more.
WITH ended AS (
    DELETE FROM staff_sessions WHERE staff_id = %(staff_id)s
)
UPDATE staff SET removed_at = %(now)s, password_hash = '' WHERE staff_id = %(staff_id)s AND removed_at IS NULL
RETURNING staff_id;

-- name: add_staff
-- Also takes somebody back who was removed; no row if they are on the staff already.
INSERT INTO staff AS old (staff_id, digest, pepper_id, sealed, key_id, password_hash, role, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (digest) DO UPDATE SET
    password_hash = excluded.password_hash, role = excluded.role, removed_at = NULL
WHERE old.removed_at IS NOT NULL
RETURNING staff_id;
