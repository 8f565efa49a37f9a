-- Entries of the audit log are found by who acted, and by what was done.
-- depends: 0057_attempts

-- The page of the audit log reads the newest entries of one actor or one action. Without these indexes it reads the
-- whole log for an actor or an action with few entries.
CREATE INDEX audit_actor_idx ON audit (staff_id, audit_id) WHERE staff_id IS NOT NULL;
CREATE INDEX audit_key_idx ON audit (key_id, audit_id) WHERE key_id IS NOT NULL;
CREATE INDEX audit_operator_idx ON audit (audit_id) WHERE staff_id IS NULL AND key_id IS NULL;
CREATE INDEX audit_act_idx ON audit (act, audit_id);
