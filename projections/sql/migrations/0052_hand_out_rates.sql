-- The event that changed the rate of a hand-out last; null while it has the rate with which it was created.
-- depends: 0051_audit_by_subject

ALTER TABLE hand_outs ADD COLUMN rate_version bigint;
