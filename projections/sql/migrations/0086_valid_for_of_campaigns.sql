-- Campaigns: days from the issue or hand-out of a code that names no end to its end; null: it ends with the campaign.
-- depends: 0085_places_of_erased_people

ALTER TABLE campaigns ADD COLUMN valid_for_days bigint;
