-- Which beat schedules: a lease by the database's clock, in a row, because a pooler in transaction mode keeps no session
-- locks. The second table says when each task was last scheduled, so that no two processes schedule the same run.
-- depends: 0028_channel_kinds

CREATE TABLE scheduler_lease (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    holder_id uuid NOT NULL,
    holder text NOT NULL,
    fence bigint NOT NULL,
    taken_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE TABLE scheduled_runs (
    task text PRIMARY KEY,
    fence bigint NOT NULL,
    number bigint NOT NULL,
    claimed_at timestamptz NOT NULL
);
