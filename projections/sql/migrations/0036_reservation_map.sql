-- The map of reservations: it follows the Merkle log, and its root is signed with each checkpoint.
-- depends: 0035_opt_outs

-- Hashes in tiles of 256, as in merkle_tiles: at height 0 one place per event, which holds the chained hash of a
-- reservation at the place of its first event, and zeros elsewhere. A tile keeps how the newest checkpoint signed it.
CREATE TABLE reservation_map_tiles (
    height smallint NOT NULL,
    index bigint NOT NULL,
    hashes bytea NOT NULL,
    checkpoint bigint NOT NULL,
    signed_hashes bytea NOT NULL,
    PRIMARY KEY (height, index)
);

-- How far the map is, and the number of the newest checkpoint that signed it; one row.
CREATE TABLE reservation_map_progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    size bigint NOT NULL,
    position bigint NOT NULL,
    checkpoint bigint NOT NULL
);

INSERT INTO reservation_map_progress (size, position, checkpoint) VALUES (0, 0, 0);

ALTER TABLE checkpoints ADD COLUMN map_root bytea;
