-- Pausing and revoking: in the balances, and what a revoking leaves to do.
-- depends: 0003_merkle_log

ALTER TABLE code_balances ADD COLUMN is_paused boolean NOT NULL DEFAULT false;

ALTER TABLE code_balances ADD COLUMN revoked_by bigint;

-- Revoked codes that may still hold something. A list of work for the sweep, not a fact: what it names is in the log.
CREATE TABLE revocations (
    code_id uuid PRIMARY KEY,
    next_at timestamptz NOT NULL
);

CREATE INDEX revocations_next_idx ON revocations (next_at);
