-- A hand-out may be started at a time in the future. The start counts in the state `scheduled` only.
-- depends: 0059_batch_changes

ALTER TABLE hand_outs ADD COLUMN starts_at timestamptz;
