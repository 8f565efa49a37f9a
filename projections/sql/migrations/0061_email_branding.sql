-- A group's emails may have its logo and its color. What is null is as in all emails.
-- depends: 0060_scheduled_hand_outs

ALTER TABLE invite_groups
    ADD COLUMN logo bytea CHECK (octet_length(logo) <= 65536),
    ADD COLUMN accent text CHECK (accent ~ '^#[0-9a-f]{6}$');
