-- The result of the list that a member of staff checked or added last for a hand-out, for the page to which its form
-- leads: counts, and numbers of lines with reasons. No value of a line, and no person.
-- depends: 0048_fewer_bytes

CREATE TABLE list_reports (
    hand_out_id uuid NOT NULL,
    staff_id uuid NOT NULL,
    report_id uuid NOT NULL,
    report bytea NOT NULL,
    reported_at timestamptz NOT NULL,
    PRIMARY KEY (hand_out_id, staff_id)
);
