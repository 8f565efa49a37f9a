-- Thresholds of limits whose crossing is recorded and reported, as one text such as `80%, 10 left`; null: no threshold.
-- depends: 0070_address_retention

ALTER TABLE code_balances
    ADD COLUMN notify_at text;
ALTER TABLE batches
    ADD COLUMN notify_at text;
ALTER TABLE campaigns
    ADD COLUMN notify_at text;

-- The email to operators about crossed thresholds: the events up to a position are mailed, or need no email. `due_at` is
-- when those since then are mailed, and the end of the lease while a worker does; null: there is none.
CREATE TABLE threshold_digest (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    position bigint NOT NULL,
    due_at timestamptz,
    attempts integer NOT NULL DEFAULT 0
);
CREATE INDEX ledger_events_crossings_idx ON ledger_events (notification_id) WITH (fillfactor = 100)
    WHERE topic IN ('CodeThresholdReached:1', 'CampaignThresholdReached:1');
