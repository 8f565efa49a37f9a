-- Hand-outs: codes of a campaign that a list of recipients gets, one each.
-- depends: 0040_campaign_days

CREATE TABLE hand_outs (
    hand_out_id uuid PRIMARY KEY,
    campaign_id uuid NOT NULL,
    created_version bigint NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    state text NOT NULL
);

CREATE INDEX hand_outs_campaign_idx ON hand_outs (campaign_id, created_at, hand_out_id);

CREATE TABLE handed_out_codes (
    code_id uuid PRIMARY KEY,
    hand_out_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    mail smallint NOT NULL,
    mail_state text NOT NULL,
    reminder smallint,
    version bigint NOT NULL,
    handed_out_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX handed_out_codes_hand_out_idx ON handed_out_codes (hand_out_id, mail_state);

-- The lists, primary data: who is to get a code. The id of the code is drawn with the row, so a row never leads to two
-- codes, and the constraint allows a recipient one row per campaign. `sealed`: their variables, if they have some.
CREATE TABLE hand_out_recipients (
    code_id uuid PRIMARY KEY,
    campaign_id uuid NOT NULL,
    recipient_id uuid NOT NULL REFERENCES recipients ON DELETE CASCADE,
    hand_out_id uuid NOT NULL,
    upload_id uuid NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    language text NOT NULL,
    sealed bytea,
    key_id smallint,
    due_at timestamptz,
    attempts smallint NOT NULL DEFAULT 0,
    is_asked boolean NOT NULL DEFAULT false,
    UNIQUE (campaign_id, recipient_id)
);

CREATE INDEX hand_out_recipients_number_idx ON hand_out_recipients (hand_out_id, number);

CREATE INDEX hand_out_recipients_due_idx ON hand_out_recipients (hand_out_id, due_at) WHERE due_at IS NOT NULL;

CREATE INDEX hand_out_recipients_asked_idx ON hand_out_recipients (due_at) WHERE is_asked;

CREATE INDEX hand_out_recipients_person_idx ON hand_out_recipients (recipient_id);

-- Uploads of lists. The rows of an upload that did not end get no code; a repeat of the upload takes them over.
CREATE TABLE hand_out_uploads (
    upload_id uuid PRIMARY KEY,
    hand_out_id uuid NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz
);

-- When the next email of a hand-out may be sent: its rate per minute.
CREATE TABLE hand_out_pace (
    hand_out_id uuid PRIMARY KEY,
    next_at timestamptz NOT NULL
);

CREATE TABLE hand_out_texts (
    hand_out_id uuid NOT NULL,
    language text NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (hand_out_id, language)
);
