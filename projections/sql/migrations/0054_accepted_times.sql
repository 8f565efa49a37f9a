-- Up to which position of the log an operator has seen that events have times in the future.
-- depends: 0053_hand_out_attempts

CREATE TABLE accepted_times (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint NOT NULL
);
INSERT INTO accepted_times (position) VALUES (0);
