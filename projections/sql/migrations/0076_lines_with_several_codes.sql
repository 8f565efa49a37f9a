-- Lines of a hand-out's list that bring several codes in one email. The id of the line is that of its first code: the
-- other codes name it. The default keeps processes of the version before working during the upgrade, while no line has
-- several codes: a worker of that version issues one code for such a line, and ends it.
-- depends: 0074_waiting_lists

ALTER TABLE hand_out_recipients ADD COLUMN codes smallint NOT NULL DEFAULT 1;

ALTER TABLE handed_out_codes
    ADD COLUMN codes smallint NOT NULL DEFAULT 1,
    ADD COLUMN line_id uuid;

CREATE INDEX handed_out_codes_line_idx ON handed_out_codes (line_id) WHERE line_id IS NOT NULL;
