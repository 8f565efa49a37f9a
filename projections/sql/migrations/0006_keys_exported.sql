-- When each key was last written out for safe keeping, so that a check-up can ask for it until it was.
-- depends: 0003_merkle_log

ALTER TABLE key_checks ADD COLUMN exported_at timestamptz;
