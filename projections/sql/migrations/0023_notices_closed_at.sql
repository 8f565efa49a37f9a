-- When a notice was last tried, so that no recipient gets more than a bounded number of them within an hour.
-- depends: 0019_rebinds_of_batches

ALTER TABLE outbox ADD COLUMN closed_at timestamptz;
