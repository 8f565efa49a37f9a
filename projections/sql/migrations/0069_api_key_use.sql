-- API keys: the networks that a key may be used from, the key that it replaces, and what is recorded of its use at most
-- every few minutes. Uses have a table of their own, because the runtime role cannot write the keys themselves.
-- depends: 0068_approvals

ALTER TABLE api_keys ADD COLUMN networks cidr[], ADD COLUMN replaces_id uuid REFERENCES api_keys;
CREATE UNIQUE INDEX api_keys_replaces_idx ON api_keys (replaces_id);

CREATE TABLE api_key_uses (
    key_id uuid PRIMARY KEY REFERENCES api_keys ON DELETE CASCADE,
    used_at timestamptz,
    network cidr,
    refused_at timestamptz,
    refused_network cidr
);
