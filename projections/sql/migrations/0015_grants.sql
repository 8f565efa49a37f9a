-- The access that a sent invitation gives: when something is due about it, and which groups it may be moved to.
-- depends: 0013_webhook_channel

-- When its person is to be told of its end, when it ends, and when it is to be taken away.
ALTER TABLE reservations ADD COLUMN access_due_at timestamptz;

-- What staff took away is to be carried out by the channel from now on.
UPDATE reservations r SET access_due_at = (convert_from(e.state, 'UTF8')::jsonb ->> 'at')::timestamptz
FROM ledger_events e
WHERE e.topic = 'AccessRevoked:1' AND convert_from(e.state, 'UTF8')::jsonb ->> 'actor' IN ('staff', 'key', 'operator')
    AND r.reservation_id = (convert_from(e.state, 'UTF8')::jsonb ->> 'reservation_id')::uuid;

CREATE INDEX reservations_access_idx ON reservations (access_due_at) WHERE access_due_at IS NOT NULL;

-- How often each access may be moved to another group, where the code's terms say so.
ALTER TABLE code_balances ADD COLUMN rebinds_max integer;

-- Accesses that somebody is busy with until next_at. Not a fact: what is due is in the read model.
CREATE TABLE access_marks (
    reservation_id uuid PRIMARY KEY,
    next_at timestamptz NOT NULL
);

-- Whether persons may move their access to this group by themselves; staff always may.
ALTER TABLE invite_groups ADD COLUMN takes_rebinds boolean NOT NULL DEFAULT false;
