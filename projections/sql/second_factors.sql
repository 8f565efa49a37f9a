-- name: factors_of_staff
SELECT factor_id, staff_id, kind, created_at, last_used_at, counter, credential_id, sealed, key_id FROM staff_factors
WHERE staff_id = %s ORDER BY created_at, factor_id;

-- name: factor_of_credential
-- None of a closed account: what signs in must be there.
SELECT factor_id, staff_id, kind, f.created_at, last_used_at, counter, credential_id, f.sealed, f.key_id
FROM staff_factors f JOIN staff s USING (staff_id) WHERE credential_id = %s AND s.removed_at IS NULL;

-- name: has_factor
SELECT EXISTS (SELECT FROM staff_factors WHERE staff_id = %s);

-- name: add_factor
-- No row if this one was added already, or the account has as many as it may have.
INSERT INTO staff_factors (factor_id, staff_id, kind, sealed, key_id, credential_id, counter, created_at)
SELECT %(factor_id)s, %(staff_id)s, %(kind)s, %(sealed)s, %(key_id)s, %(credential_id)s, %(counter)s, %(now)s
WHERE (SELECT count(*) FROM staff_factors WHERE staff_id = %(staff_id)s) < %(limit)s
ON CONFLICT DO NOTHING RETURNING factor_id;

-- name: advance_factor
-- Only forwards, so that no code and no signature is accepted twice. A passkey that does not count says zero each time.
UPDATE staff_factors SET counter = %(counter)s, last_used_at = %(now)s
WHERE factor_id = %(factor_id)s AND (counter < %(counter)s OR (counter = 0 AND %(counter)s = 0)) RETURNING factor_id;

-- name: rename_factor
UPDATE staff_factors SET sealed = %s, key_id = %s WHERE factor_id = %s;

-- name: remove_factors
-- One, or all; the recovery codes end with the last one.
WITH removed AS (
    DELETE FROM staff_factors WHERE staff_id = %(staff_id)s
        AND (%(only)s::uuid IS NULL OR factor_id = %(only)s) RETURNING factor_id, kind
), emptied AS (
    DELETE FROM staff_recovery_codes WHERE staff_id = %(staff_id)s AND NOT EXISTS (
        SELECT FROM staff_factors f WHERE f.staff_id = %(staff_id)s AND f.factor_id NOT IN (SELECT factor_id FROM removed)
    )
)
SELECT kind FROM removed;

-- name: clear_recovery_codes
DELETE FROM staff_recovery_codes WHERE staff_id = %s;

-- name: add_recovery_codes
INSERT INTO staff_recovery_codes (digest, staff_id, created_at)
SELECT digest, %(staff_id)s, %(now)s FROM unnest(%(digests)s::bytea[]) AS digest;

-- name: use_recovery_code
UPDATE staff_recovery_codes SET used_at = %s WHERE staff_id = %s AND digest = %s AND used_at IS NULL RETURNING digest;

-- name: has_recovery_code
SELECT EXISTS (SELECT FROM staff_recovery_codes WHERE staff_id = %s AND digest = %s);

-- name: unused_recovery_codes
SELECT count(*) FROM staff_recovery_codes WHERE staff_id = %s AND used_at IS NULL;

-- name: spend_state
-- No row if it was spent before; those that have expired are of no use to anyone.
WITH ended AS (
    DELETE FROM staff_spent_states WHERE expires_at <= %(now)s AND state_id <> %(state_id)s
)
INSERT INTO staff_spent_states (state_id, expires_at) VALUES (%(state_id)s, %(expires_at)s)
ON CONFLICT DO NOTHING RETURNING state_id;
