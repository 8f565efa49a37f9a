-- The only person who may redeem a code, where that was decided when it was imported; null: its first one.
-- depends: 0019_rebinds_of_batches

ALTER TABLE code_balances ADD COLUMN bound_to uuid;
