-- Until when a message may be on its way to a person, and about whom each text is: an erasure asks for both.
-- depends: 0053_hand_out_attempts

-- Notices and emails of hand-outs had no lease of their own: the time at which they are due is also that of the next attempt.
ALTER TABLE hand_out_recipients ADD COLUMN leased_until timestamptz;
ALTER TABLE outbox ADD COLUMN leased_until timestamptz;

-- Test emails that staff send to an address that they type. The digest leads to the person; the row ends with the test.
CREATE TABLE test_emails (
    test_id uuid PRIMARY KEY,
    digest bytea NOT NULL,
    leased_until timestamptz NOT NULL
);
CREATE INDEX test_emails_digest_idx ON test_emails (digest);
