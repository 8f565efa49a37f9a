-- Many codes are paused, resumed, revoked or extended together, as a batch.
-- depends: 0058_audit_filters

ALTER TABLE batches DROP CONSTRAINT batches_kind_check;
ALTER TABLE batches ADD CONSTRAINT batches_kind_check
    CHECK (kind IN ('issue', 'import', 'pause', 'resume', 'revoke', 'extend'));

-- The codes of a batch that changes codes, as they were when it was requested. The codes of other batches have ids that
-- are derived from the batch's id.
CREATE TABLE batch_codes (
    batch_id uuid NOT NULL REFERENCES batches,
    number bigint NOT NULL,
    code_id uuid NOT NULL,
    PRIMARY KEY (batch_id, number)
);
