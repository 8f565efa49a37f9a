-- Addresses that are not written to for a time: no such mailbox, no such domain, or its owner complained.
-- The person is a random id: their address is in `recipients`, and erasing it there deletes these rows. A complaint is
-- about the emails of one group (the empty name: of codes without one), everything else about all emails.
-- depends: 0061_email_branding

CREATE TABLE suppressed_addresses (
    recipient_id uuid NOT NULL REFERENCES recipients ON DELETE CASCADE,
    cause text NOT NULL,
    group_name text NOT NULL,
    is_of_group boolean NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (recipient_id, cause, group_name)
);
