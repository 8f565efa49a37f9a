-- Campaigns whose limits were added later: from when they count uses, and by which event.
-- depends: 0072_person_rules

ALTER TABLE campaigns ADD COLUMN counts_from timestamptz, ADD COLUMN recounted_by bigint;
