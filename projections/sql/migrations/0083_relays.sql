-- Up to which position each `ledger relay` has passed the log on, and which process does so: a lease by the database's
-- clock, in a row, because a pooler in transaction mode keeps no session locks.
-- depends: 0082_networks_of_sessions

CREATE TABLE relays (
    name text PRIMARY KEY CHECK (length(name) <= 60),
    target text NOT NULL,
    target_id text NOT NULL,
    position bigint NOT NULL CHECK (position >= 0),
    relayed_at timestamptz,
    failures integer NOT NULL DEFAULT 0,
    last_error text,
    holder_id uuid NOT NULL,
    holder text NOT NULL,
    leased_until timestamptz NOT NULL
);
