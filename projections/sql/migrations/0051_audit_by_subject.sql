-- Entries of the audit log are found by what they are about.
-- depends: 0050_room_in_indexes

-- The page of an erased person, the page before an erasure, the erasure and the export of a person's data read the
-- whole audit log without it.
CREATE INDEX audit_subject_idx ON audit (subject_id) WHERE subject_id IS NOT NULL;
