-- Sessions name the browser and the system that they were begun in, and when they were last used. Staff are invited by links.
-- depends: 0063_reports_by_code

ALTER TABLE staff_sessions
    ADD COLUMN browser text NOT NULL DEFAULT '' CHECK (length(browser) <= 40),
    ADD COLUMN system text NOT NULL DEFAULT '' CHECK (length(system) <= 40),
    ADD COLUMN last_used_at timestamptz;

-- Links by which staff choose a password: that of an invitation, and that of a forgotten password. Each works once.
-- `mail`: what became of its email; a link that was printed on the command line was not sent.
CREATE TABLE staff_links (
    digest bytea PRIMARY KEY,
    staff_id uuid NOT NULL REFERENCES staff ON DELETE CASCADE,
    purpose text NOT NULL CHECK (purpose IN ('invitation', 'password')),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_how text CHECK (ended_how IN ('used', 'replaced', 'changed', 'revoked', 'closed')),
    mail text NOT NULL CHECK (mail IN ('sending', 'sent', 'failed', 'printed'))
);

CREATE INDEX staff_links_staff_idx ON staff_links (staff_id);

CREATE UNIQUE INDEX staff_links_valid_idx ON staff_links (staff_id, purpose) WHERE ended_at IS NULL;
