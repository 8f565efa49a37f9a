-- The limit of a campaign for one UTC day, and how many uses were taken on the day of its newest event.
-- depends: 0039_campaign_pages

ALTER TABLE campaigns
    ADD COLUMN occupied_on_day bigint NOT NULL DEFAULT 0,
    ADD COLUMN max_per_day bigint;
ALTER TABLE campaigns ALTER COLUMN occupied_on_day DROP DEFAULT;
