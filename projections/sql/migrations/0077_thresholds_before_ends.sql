-- When a code or a campaign reaches the next threshold before its end, such as `7 days`, for the sweep that reports it;
-- null: none is left. No row has one before this version: thresholds were of uses.
-- depends: 0076_lines_with_several_codes

ALTER TABLE code_balances ADD COLUMN next_report_at timestamptz;
ALTER TABLE campaigns ADD COLUMN next_report_at timestamptz;
CREATE INDEX code_balances_report_idx ON code_balances (next_report_at) WHERE next_report_at IS NOT NULL;
CREATE INDEX campaigns_report_idx ON campaigns (next_report_at) WHERE next_report_at IS NOT NULL;
