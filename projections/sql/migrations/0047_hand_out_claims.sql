-- When workers claimed emails of a hand-out in the last 60 s, and how many: no more than its rate. Oldest first.
-- depends: 0046_lost_hand_out_mails

ALTER TABLE hand_out_pace
    ADD COLUMN claimed_at timestamptz[] NOT NULL DEFAULT '{}',
    ADD COLUMN claimed_rows integer[] NOT NULL DEFAULT '{}';
