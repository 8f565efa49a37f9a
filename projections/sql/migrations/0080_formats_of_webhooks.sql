-- How messages are sent to an endpoint: as they are, or as CloudEvents. A worker of the version before sends them as they
-- are to every endpoint.
-- depends: 0076_lines_with_several_codes

ALTER TABLE webhook_endpoints
    ADD COLUMN format text NOT NULL DEFAULT 'standard' CHECK (format IN ('standard', 'cloudevents'));
