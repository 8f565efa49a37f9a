-- What a worker attempts is stored before it does: when, for what may wait as long as a channel asks, since the clock may
-- have been ahead then; and which attempt at a removal, since a worker that ends without an outcome has spent it.
-- depends: 0056_backups

ALTER TABLE outbox ADD COLUMN attempted_at timestamptz;
ALTER TABLE hand_out_recipients ADD COLUMN attempted_at timestamptz;
ALTER TABLE access_marks ADD COLUMN attempt integer;
