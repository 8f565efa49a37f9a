-- Thresholds of limits whose crossing is recorded and reported, as one text such as `80%, 10 left`; null: no threshold.
-- depends: 0070_address_retention

ALTER TABLE code_balances
    ADD COLUMN notify_at text;
ALTER TABLE batches
    ADD COLUMN notify_at text;
ALTER TABLE campaigns
    ADD COLUMN notify_at text;
