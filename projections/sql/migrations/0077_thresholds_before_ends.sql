-- When a code reaches the next threshold before its end, such as `7 days`, for the sweep that reports it; null: none is
-- left. No row has one before this version: thresholds were of uses. Campaigns are few: the sweep looks at each with
-- thresholds, and processes of earlier versions read rows of theirs by the number of columns.
-- depends: 0076_lines_with_several_codes

ALTER TABLE code_balances ADD COLUMN next_report_at timestamptz;
CREATE INDEX code_balances_report_idx ON code_balances (next_report_at, code_id) WHERE next_report_at IS NOT NULL;
CREATE INDEX campaigns_report_idx ON campaigns (campaign_id) WHERE notify_at IS NOT NULL AND ended_by IS NULL;
