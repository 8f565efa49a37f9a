-- Actions that wait for the approval of a second person, and what became of them.
-- depends: 0067_second_factors

-- `asked`: what is to be done, without personal data; `sealed`: the reason and the email address of a person, encrypted.
-- `fingerprint`: digest of all of it, so that the same request is one proposal. Both are null once it is closed.
-- `proposer_id`: the member of staff who proposed it, or who created the API key that did; null for an operator.
-- `outcome`: null until an approved action was performed; then `done`, or the code of the refusal.
CREATE TABLE approvals (
    approval_id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('refund', 'revoke_batch', 'end_campaign', 'export_person', 'erase_person')),
    subject_id uuid,
    asked text NOT NULL CHECK (length(asked) <= 4000),
    fingerprint bytea,
    sealed bytea,
    key_id smallint,
    actor text NOT NULL CHECK (actor IN ('staff', 'key', 'operator')),
    actor_id text,
    proposer_id uuid,
    proposed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'approved', 'rejected', 'withdrawn', 'expired')),
    decided_by uuid,
    decided_at timestamptz,
    outcome text,
    CHECK ((sealed IS NULL) = (key_id IS NULL))
);

CREATE UNIQUE INDEX approvals_open_idx ON approvals (fingerprint) WHERE fingerprint IS NOT NULL;
CREATE INDEX approvals_proposed_idx ON approvals (proposed_at, approval_id);
CREATE INDEX approvals_closed_idx ON approvals (decided_at) WHERE fingerprint IS NULL;

-- The second person, in the entry about what both of them did.
ALTER TABLE audit ADD COLUMN approved_by uuid;

-- The codes of a revoked batch have both names in their history, too.
ALTER TABLE batches ADD COLUMN approved_by uuid;
