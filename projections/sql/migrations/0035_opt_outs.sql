-- Who wants no more emails that are sent without a request of theirs, by group; the empty name stands for no group.
-- The person is a random id: their address is in `recipients`, and erasing it there deletes their choices here.
-- depends: 0034_event_fields

CREATE TABLE opt_outs (
    recipient_id uuid NOT NULL REFERENCES recipients ON DELETE CASCADE,
    group_name text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (recipient_id, group_name)
);
