-- Which API key did what the audit tells of, where it was no member of staff.
-- depends: 0008_admin

ALTER TABLE audit ADD COLUMN key_id uuid;
