-- Sessions know when their member of staff last proved who they are, and how; entries of the audit log name the proof.
-- A session from before has none, so its member of staff is asked once.
-- depends: 0065_staff_identities

ALTER TABLE staff_sessions
    ADD COLUMN proved_at timestamptz,
    ADD COLUMN proved_how text CHECK (length(proved_how) <= 40);

ALTER TABLE audit ADD COLUMN proof text CHECK (length(proof) <= 40);
