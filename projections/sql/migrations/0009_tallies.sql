-- Sums over the log for metrics, so that no restart resets them, and how far a rebuild is.
-- depends: 0003_merkle_log

-- Counts of events by what they tell; derived from the log, up to the position of tally_progress.
CREATE TABLE tallies (
    name text NOT NULL,
    label text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (name, label)
);

-- How far they are; one row.
CREATE TABLE tally_progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint NOT NULL
);

INSERT INTO tally_progress (position) VALUES (0);

-- Written by a rebuild while it runs; whether one runs is told by its lock.
CREATE TABLE rebuild_progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    step text NOT NULL,
    events bigint NOT NULL,
    total bigint NOT NULL
);
