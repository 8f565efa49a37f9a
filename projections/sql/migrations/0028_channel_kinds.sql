-- Kinds of channels and their settings, one row of the registry each: a new kind needs no further migration.
-- depends: 0027_kept_bindings

-- channel_settings: all settings of the channel but its URL, which stays in channel_url.
ALTER TABLE invite_groups
    ADD COLUMN channel_settings jsonb NOT NULL DEFAULT '{}',
    DROP CONSTRAINT invite_groups_channel_check,
    ADD CONSTRAINT invite_groups_channel_check CHECK (channel = 'smtp' OR channel_id IS NOT NULL);

DROP INDEX invite_groups_webhook_idx;

CREATE INDEX invite_groups_channel_idx ON invite_groups (name) WHERE channel <> 'smtp';
