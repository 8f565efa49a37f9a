-- Fewer bytes for each reservation: indexes without columns that other indexes hold, and full pages.
-- depends: 0029_scheduler_lease

-- One index finds a person's reservations, on a code and on all codes; that of codes holds each code once.
DROP INDEX reservations_person_idx;

DROP INDEX reservations_recipient_idx;

CREATE INDEX reservations_person_idx ON reservations (recipient_id, code_id);

CREATE INDEX reservations_code_idx ON reservations (code_id);

-- Few reservations are made in one microsecond, so a list sorts those of one by their id.
DROP INDEX reservations_reserved_idx;

CREATE INDEX reservations_reserved_idx ON reservations (reserved_at);

-- No update of a reservation fits into its page, because each changes a column of an index.
ALTER TABLE reservations RESET (fillfactor);
