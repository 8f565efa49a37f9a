-- When codes begin to take reservations, and the domains of email addresses that may redeem them; null: no bound.
-- Sets of domains are texts with a space between two names: such a text never holds an address.
-- depends: 0032_history_blocks

ALTER TABLE code_balances
    ADD COLUMN starts_at timestamptz,
    ADD COLUMN allowed_domains text,
    ADD COLUMN denied_domains text;
ALTER TABLE batches
    ADD COLUMN starts_at timestamptz,
    ADD COLUMN allowed_domains text,
    ADD COLUMN denied_domains text;
