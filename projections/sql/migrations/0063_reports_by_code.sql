-- The page of a campaign counts delays and complaints about the emails of its codes. They are few among all events.
-- depends: 0062_suppressed_addresses

CREATE INDEX ledger_events_reports_idx ON ledger_events (originator_id) WITH (fillfactor = 100)
    WHERE topic IN ('InviteDelayed:1', 'InviteComplained:1');
