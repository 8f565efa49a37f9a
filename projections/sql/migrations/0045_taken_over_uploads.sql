-- Uploads of lists that lost rows to another upload, and can never end.
-- depends: 0044_opened_codes

ALTER TABLE hand_out_uploads ADD COLUMN is_taken_over boolean NOT NULL DEFAULT false;
