-- How often each access of a batch's codes may be moved to another group; null: as usual.
-- depends: 0008_admin

ALTER TABLE batches ADD COLUMN rebinds_max integer;
