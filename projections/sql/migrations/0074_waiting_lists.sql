-- Campaigns: hours for which a free use is offered to the first person on the waiting list; null: no waiting list. And
-- the places on it, as JSON without an address.
-- depends: 0073_limits_that_start_later

ALTER TABLE campaigns ADD COLUMN waiting text, ADD COLUMN waiting_hours bigint;
CREATE INDEX campaigns_waiting_idx ON campaigns (campaign_id) WHERE waiting IS NOT NULL;

-- One row for each place that was ever on a list, and the email of its offer. `due_at` is when it is sent, and the end of
-- the lease while a worker does; null: none is due.
CREATE TABLE waiting_places (
    place_id uuid PRIMARY KEY,
    campaign_id uuid NOT NULL,
    code_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    joined_at timestamptz NOT NULL,
    offered_at timestamptz,
    due_at timestamptz,
    leased_until timestamptz,
    attempts smallint NOT NULL DEFAULT 0,
    outcome text
);
CREATE INDEX waiting_places_recipient_idx ON waiting_places (recipient_id);
CREATE INDEX waiting_places_due_idx ON waiting_places (due_at) WHERE due_at IS NOT NULL;
