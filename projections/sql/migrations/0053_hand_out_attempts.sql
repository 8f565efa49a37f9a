-- Whether an email of a hand-out may have arrived: the outcome of an attempt is unknown, or its worker stored none.
-- depends: 0052_hand_out_rates

ALTER TABLE hand_out_recipients ADD COLUMN may_have_arrived boolean NOT NULL DEFAULT false;
