-- Second factors of staff: authenticator apps and passkeys, recovery codes, and what was already used of a sign-in.
-- `sealed`: account, name, and the secret or the public key. `counter`: the last accepted time step of an app (RFC 6238),
-- or the last signature counter of a passkey.
-- depends: 0066_fresh_proofs

CREATE TABLE staff_factors (
    factor_id uuid PRIMARY KEY,
    staff_id uuid NOT NULL REFERENCES staff ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('totp', 'passkey')),
    sealed bytea NOT NULL,
    key_id smallint NOT NULL,
    credential_id bytea UNIQUE CHECK ((credential_id IS NOT NULL) = (kind = 'passkey')),
    counter bigint NOT NULL,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz
);

CREATE INDEX staff_factors_staff_idx ON staff_factors (staff_id);

CREATE TABLE staff_recovery_codes (
    digest bytea PRIMARY KEY,
    staff_id uuid NOT NULL REFERENCES staff ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    used_at timestamptz
);

CREATE INDEX staff_recovery_codes_staff_idx ON staff_recovery_codes (staff_id);

-- Challenges and half sign-ins are kept by the browser, encrypted; the ones that succeeded are here until they expire.
CREATE TABLE staff_spent_states (
    state_id uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
