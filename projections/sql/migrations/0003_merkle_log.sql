-- The Merkle log over the events (RFC 6962), kept by a follower off the hot path, and its signed checkpoints.
-- depends: 0002_verification

-- Hashes in tiles of 256: at height 0 those of events, at each further height those of the full tiles below.
CREATE TABLE merkle_tiles (
    height smallint NOT NULL,
    index bigint NOT NULL,
    first_position bigint,
    hashes bytea NOT NULL,
    PRIMARY KEY (height, index)
);

CREATE INDEX merkle_tiles_position_idx ON merkle_tiles (first_position) WHERE height = 0;

-- How far the follower is; one row.
CREATE TABLE merkle_progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    size bigint NOT NULL,
    position bigint NOT NULL
);

INSERT INTO merkle_progress (size, position) VALUES (0, 0);

CREATE TABLE checkpoints (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    size bigint NOT NULL,
    position bigint NOT NULL,
    root bytea NOT NULL,
    at timestamptz NOT NULL,
    public_key bytea NOT NULL,
    signature bytea NOT NULL
);
