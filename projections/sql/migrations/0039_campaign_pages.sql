-- A batch names the campaign of its codes, and the newest codes of a campaign are found by an index.
-- depends: 0038_campaign_reminders

ALTER TABLE batches ADD COLUMN campaign_id uuid;

CREATE INDEX code_balances_campaign_codes_idx ON code_balances (campaign_id, issued_at, code_id) WHERE campaign_id IS NOT NULL;

DROP INDEX code_balances_campaign_idx;
