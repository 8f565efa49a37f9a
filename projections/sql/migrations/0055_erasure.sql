-- Until when a message may be on its way to a person, and about whom each text is: an erasure asks for both.
-- depends: 0054_accepted_times

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

-- About whom each text is, from when it is stored. Texts of former releases are `unsaid`: an erasure finds them by their
-- reservation, by their entry in the audit log, or by the events of codes that were handed out to the person.
ALTER TABLE private_texts
    ADD COLUMN about text NOT NULL DEFAULT 'unsaid'
    CONSTRAINT private_texts_about_check
    CHECK (about IN ('person', 'code', 'batch', 'api_key', 'secret', 'ledger', 'unsaid'));
CREATE TABLE text_subjects (
    text_id uuid NOT NULL REFERENCES private_texts ON DELETE CASCADE,
    recipient_id uuid NOT NULL REFERENCES recipients ON DELETE CASCADE,
    PRIMARY KEY (text_id, recipient_id)
);
CREATE INDEX text_subjects_person_idx ON text_subjects (recipient_id);

-- The erasure and the export of a person's data find the codes that were handed out to them.
CREATE INDEX handed_out_codes_person_idx ON handed_out_codes (recipient_id);
