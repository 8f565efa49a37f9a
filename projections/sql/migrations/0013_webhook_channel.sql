-- Groups whose invitations are posted to the operator's own system, and what that system reports back.
-- depends: 0008_admin

-- channel_id: in the address of the callbacks. It stays when the group goes back to mail: reports of what was sent before
-- are still taken.
ALTER TABLE invite_groups
    ADD COLUMN channel_id uuid UNIQUE,
    ADD COLUMN channel_url text,
    ADD CONSTRAINT invite_groups_channel_check
        CHECK (channel = 'smtp' OR (channel = 'webhook' AND channel_id IS NOT NULL AND channel_url IS NOT NULL));

CREATE INDEX invite_groups_webhook_idx ON invite_groups (name) WHERE channel = 'webhook';

-- Secrets of channels and endpoints; their texts are sealed in private_texts. ends_at: no longer valid from then on.
CREATE TABLE webhook_secrets (
    text_id uuid PRIMARY KEY,
    owner_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    ends_at timestamptz
);

CREATE INDEX webhook_secrets_owner_idx ON webhook_secrets (owner_id);

CREATE INDEX webhook_secrets_ends_idx ON webhook_secrets (ends_at) WHERE ends_at IS NOT NULL;

-- Callbacks that were taken, for as long as one could be sent again unnoticed.
CREATE TABLE callbacks (
    channel_id uuid NOT NULL,
    webhook_id text NOT NULL,
    signed_at timestamptz NOT NULL,
    body_digest bytea NOT NULL,
    PRIMARY KEY (channel_id, webhook_id)
);

CREATE INDEX callbacks_signed_idx ON callbacks (signed_at);

-- Callbacks that were refused, by the minute and why: however many there are, they are few rows.
CREATE TABLE callback_refusals (
    channel_id uuid NOT NULL,
    minute timestamptz NOT NULL,
    reason text NOT NULL,
    tries bigint NOT NULL,
    last_at timestamptz NOT NULL,
    last_request_id text,
    PRIMARY KEY (channel_id, minute, reason)
);

CREATE INDEX callback_refusals_minute_idx ON callback_refusals (minute);
