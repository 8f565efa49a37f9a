-- Since which event a code belongs to its campaign: uses from before do not count in it.
-- depends: 0041_hand_outs

ALTER TABLE code_balances ADD COLUMN campaign_since bigint;
UPDATE code_balances SET campaign_since = 1 WHERE campaign_id IS NOT NULL;
