-- Webhooks: who is told of events, how far they are, and what became of each message.
-- depends: 0013_webhook_channel

-- event_types: names of events; empty for all. position: the log up to there has been turned into deliveries.
-- failures: how many messages in a row were not taken for the endpoint's sake; until resting_until nothing is sent.
-- Whoever works on it holds it until lease_until.
CREATE TABLE webhook_endpoints (
    endpoint_id uuid PRIMARY KEY,
    url text NOT NULL,
    event_types text[] NOT NULL,
    concurrency smallint NOT NULL CHECK (concurrency BETWEEN 1 AND 8),
    state text NOT NULL CHECK (state IN ('enabled', 'disabled', 'removed')),
    reason text,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    position bigint NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    resting_until timestamptz,
    succeeded_at timestamptz,
    worked_at timestamptz,
    runner uuid,
    lease_until timestamptz
);

CREATE INDEX webhook_endpoints_created_idx ON webhook_endpoints (created_at, endpoint_id);

-- One message to one endpoint, about the event at a position (of a test there is none). It holds nothing personal: what
-- is sent is made from the event, and of an answer only its status and a word of our own are kept.
CREATE TABLE webhook_deliveries (
    delivery_id uuid PRIMARY KEY,
    endpoint_id uuid NOT NULL REFERENCES webhook_endpoints,
    position bigint,
    event_type text NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    made_at timestamptz NOT NULL,
    due_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    first_at timestamptz,
    last_at timestamptz,
    last_outcome text,
    last_status integer,
    last_ms integer,
    ended_at timestamptz,
    CHECK ((state = 'pending') = (due_at IS NOT NULL))
);

CREATE INDEX webhook_deliveries_due_idx ON webhook_deliveries (endpoint_id, due_at) WHERE state = 'pending';

CREATE INDEX webhook_deliveries_made_idx ON webhook_deliveries (endpoint_id, made_at, delivery_id);

CREATE INDEX webhook_deliveries_ended_idx ON webhook_deliveries (ended_at) WHERE ended_at IS NOT NULL;
