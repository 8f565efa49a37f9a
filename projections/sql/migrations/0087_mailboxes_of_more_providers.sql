-- Recipients: more spellings are one mailbox, so its digests are computed again by `ledger rotate-keys`.
-- depends: 0086_valid_for_of_campaigns

UPDATE recipients SET mailbox_digest = NULL WHERE mailbox_digest IS NOT NULL;
