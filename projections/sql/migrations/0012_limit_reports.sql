-- Backends tell each other each second who tried codes that don't exist. Not logged: after a crash of the server
-- nobody misses it, and no redeem reads it. Keys are keyed digests of addresses, e-mails and codes.
-- depends: 0001_format_0

CREATE UNLOGGED TABLE limit_reports (
    process_id uuid NOT NULL,
    number int NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    unknown int NOT NULL,
    redeemed int NOT NULL,
    limits text[] NOT NULL,
    keys bytea[] NOT NULL,
    counts int[] NOT NULL,
    PRIMARY KEY (process_id, number)
);

CREATE INDEX limit_reports_at_idx ON limit_reports (at);
