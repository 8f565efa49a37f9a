-- Terms that codes of a campaign have if their issue does not name them.
-- depends: 0042_campaign_joins

ALTER TABLE campaigns
    ADD COLUMN code_max_uses bigint,
    ADD COLUMN code_validity_days bigint;
