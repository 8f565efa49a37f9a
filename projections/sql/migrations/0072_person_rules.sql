-- Campaigns: whose uses are those of one person. A digest of the mailbox behind each address, so that spellings of one
-- inbox can be counted together. Addresses that exist have none yet: `ledger rotate-keys` computes theirs. And what
-- campaigns do about throw-away addresses.
-- depends: 0071_thresholds

ALTER TABLE campaigns ADD COLUMN person_rule text, ADD COLUMN throwaway text;
ALTER TABLE recipients ADD COLUMN mailbox_digest bytea;
CREATE INDEX recipients_mailbox_idx ON recipients (mailbox_digest);
