-- What was compared with the log, up to where, and which codes were found to differ. Written by checks, read by metrics.
-- depends: 0001_format_0

CREATE TABLE verifications (
    kind text PRIMARY KEY CHECK (kind IN ('sample', 'full')),
    at timestamptz NOT NULL,
    position bigint NOT NULL,
    events bigint NOT NULL
);

-- Looked at again in every round until they are right, so that an alert lasts as long as its cause.
CREATE TABLE drifting_codes (
    code_id uuid PRIMARY KEY,
    found_at timestamptz NOT NULL,
    rows bigint NOT NULL
);
