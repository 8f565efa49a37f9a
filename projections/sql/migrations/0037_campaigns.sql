-- Campaigns: limits that many codes share. A campaign's row follows from its own stream; a code names its campaign.
-- depends: 0036_reservation_map

CREATE TABLE campaigns (
    campaign_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    counts_uses boolean NOT NULL,
    occupied bigint NOT NULL,
    is_paused boolean NOT NULL,
    ended_by bigint,
    name text NOT NULL,
    group_name text,
    starts_at timestamptz,
    ends_at timestamptz,
    max_uses bigint,
    max_per_person bigint,
    allowed_domains text,
    denied_domains text
) WITH (fillfactor = 50);

CREATE INDEX campaigns_created_idx ON campaigns (created_at, campaign_id);

ALTER TABLE code_balances ADD COLUMN campaign_id uuid;

CREATE INDEX code_balances_campaign_idx ON code_balances (campaign_id) WHERE campaign_id IS NOT NULL;
