-- The event that changed the rate of a hand-out last; null while it has the rate with which it was created.
-- depends: 0050_room_in_indexes

ALTER TABLE hand_outs ADD COLUMN rate_version bigint;
