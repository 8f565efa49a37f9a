-- Idempotency keys of requests that issue codes. The ids of the codes follow from batch_id, so that they need no rows.
-- depends: 0016_integrators

CREATE TABLE issue_keys (
    scope_digest bytea PRIMARY KEY,
    body_digest bytea NOT NULL,
    batch_id uuid NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE INDEX issue_keys_expires_idx ON issue_keys (expires_at);
