-- Single sign-on: the account at the identity provider that an account here belongs to, looked up by the digest of
-- issuer and subject; the provider's session that began one of ours; and the one account that may always use its password.
-- depends: 0064_staff_access

CREATE TABLE staff_identities (
    identity_id uuid PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    pepper_id smallint NOT NULL,
    sealed bytea NOT NULL,
    key_id smallint NOT NULL,
    staff_id uuid NOT NULL UNIQUE REFERENCES staff ON DELETE CASCADE,
    connected_at timestamptz NOT NULL
);

ALTER TABLE staff ADD COLUMN is_break_glass boolean NOT NULL DEFAULT false;
CREATE UNIQUE INDEX staff_break_glass_idx ON staff (is_break_glass) WHERE is_break_glass;

ALTER TABLE staff_sessions ADD COLUMN provider_session bytea;
CREATE INDEX staff_sessions_provider_idx ON staff_sessions (provider_session) WHERE provider_session IS NOT NULL;
