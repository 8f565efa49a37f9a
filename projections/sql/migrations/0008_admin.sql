-- What admins keep: groups and their letters, batches of codes, and more about keys and staff.
-- depends: 0003_merkle_log

-- Groups by the name that codes carry. What is empty is said in the ledger's own words.
CREATE TABLE invite_groups (
    name text PRIMARY KEY,
    subject_zh text NOT NULL,
    text_zh text NOT NULL,
    subject_en text NOT NULL,
    text_en text NOT NULL,
    accept_target text,
    channel text NOT NULL,
    changed_at timestamptz NOT NULL
);

-- Codes that were asked for in one go. The ids of a batch's codes follow from its own id, so its codes need no column.
-- Whoever works on it holds it until lease_until; what it notes down is what is done.
CREATE TABLE batches (
    batch_id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('issue', 'import')),
    state text NOT NULL CHECK (state IN ('working', 'done', 'stopped', 'broken')),
    requested_at timestamptz NOT NULL,
    ended_at timestamptz,
    staff_id uuid NOT NULL,
    text_id uuid,
    prefix text NOT NULL,
    max_uses bigint,
    bound boolean NOT NULL,
    expires_at timestamptz,
    validity_days integer,
    group_name text,
    wanted bigint NOT NULL,
    done bigint NOT NULL,
    refused bigint NOT NULL,
    runner uuid,
    lease_until timestamptz
);

CREATE INDEX batches_requested_idx ON batches (requested_at, batch_id);

CREATE INDEX batches_working_idx ON batches (requested_at) WHERE state = 'working';

-- Lines of an import that were not taken, and why; never what they say.
CREATE TABLE batch_refusals (
    batch_id uuid NOT NULL REFERENCES batches,
    line bigint NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (batch_id, line)
);

-- A key's name is in private_texts; staff_id: who made it. Who is removed stays known to the history.
ALTER TABLE api_keys ADD COLUMN text_id uuid, ADD COLUMN staff_id uuid, ADD COLUMN revoked_at timestamptz;

ALTER TABLE staff ADD COLUMN removed_at timestamptz;

CREATE INDEX code_balances_group_idx ON code_balances (group_name, issued_at, code_id) WHERE group_name IS NOT NULL;

-- For sums over a stretch of time. Rows come in the order of these times, so a few bytes per megabyte are enough.
CREATE INDEX reservations_reserved_idx ON reservations USING brin (reserved_at) WITH (autosummarize = on);

CREATE INDEX refusals_at_idx ON refusals USING brin (at) WITH (autosummarize = on);
