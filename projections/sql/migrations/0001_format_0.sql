-- Format 0: the log, the vault, the read models and the primary data beside the log.
-- depends:

-- The log. Columns are those of the eventsourcing library; notification_id is the global position.
CREATE TABLE ledger_events (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    notification_id bigserial NOT NULL,
    PRIMARY KEY (originator_id, originator_version)
);

CREATE UNIQUE INDEX ledger_events_notification_id_idx ON ledger_events (notification_id);

CREATE FUNCTION ledger_events_are_for_ever() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log is append-only: % on ledger_events is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END;
$$;

CREATE TRIGGER ledger_events_refuse_change BEFORE UPDATE OR DELETE ON ledger_events FOR EACH ROW EXECUTE FUNCTION ledger_events_are_for_ever();

CREATE TRIGGER ledger_events_refuse_truncate BEFORE TRUNCATE ON ledger_events FOR EACH STATEMENT EXECUTE FUNCTION ledger_events_are_for_ever();

REVOKE UPDATE, DELETE, TRUNCATE ON ledger_events FROM PUBLIC;

-- The vault: the only place of code texts, e-mail addresses and free text. Primary data.
CREATE TABLE code_texts (
    code_id uuid PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    pepper_id smallint NOT NULL,
    sealed bytea NOT NULL,
    key_id smallint NOT NULL,
    hint text NOT NULL
);

-- Support finds a code by its last letters, which are all that it shows of it.
CREATE INDEX code_texts_hint_idx ON code_texts (hint, code_id);

CREATE TABLE recipients (
    recipient_id uuid PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    pepper_id smallint NOT NULL,
    sealed bytea NOT NULL,
    key_id smallint NOT NULL
);

CREATE TABLE private_texts (
    text_id uuid PRIMARY KEY,
    reservation_id uuid,
    sealed bytea NOT NULL,
    key_id smallint NOT NULL
);

CREATE INDEX private_texts_reservation_idx ON private_texts (reservation_id);

-- One row per key of a ring, so that a process with the wrong ring refuses to start.
CREATE TABLE key_checks (
    ring text NOT NULL CHECK (ring IN ('pepper', 'master')),
    key_id smallint NOT NULL,
    check_value bytea NOT NULL,
    PRIMARY KEY (ring, key_id)
);

-- Read models: derived from the log, in the same transaction. Rebuildable.
CREATE TABLE code_balances (
    code_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    issued_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    max_uses bigint,
    used bigint NOT NULL,
    reserved bigint NOT NULL,
    bound boolean NOT NULL,
    owner_id uuid,
    sent_binding bigint NOT NULL,
    expires_at timestamptz,
    validity_days integer,
    group_name text
) WITH (fillfactor = 50);

CREATE INDEX code_balances_issued_idx ON code_balances (issued_at, code_id);

CREATE TABLE reservations (
    reservation_id uuid PRIMARY KEY,
    code_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    versions bigint[] NOT NULL,
    status text NOT NULL,
    kind text NOT NULL,
    reserved_at timestamptz NOT NULL,
    deadline timestamptz NOT NULL,
    due_at timestamptz,
    lease_until timestamptz,
    delivery smallint NOT NULL,
    attempts smallint NOT NULL,
    ever_unknown boolean NOT NULL,
    case_id uuid,
    follows uuid,
    sent_at timestamptz,
    accepted_at timestamptz,
    refunded_at timestamptz,
    refund_cause text
) WITH (fillfactor = 80);

CREATE INDEX reservations_person_idx ON reservations (code_id, recipient_id);

CREATE INDEX reservations_recipient_idx ON reservations (recipient_id);

CREATE INDEX reservations_live_idx ON reservations (code_id, deadline) WHERE status = 'live';

CREATE INDEX reservations_due_idx ON reservations (due_at) WHERE due_at IS NOT NULL;

-- What only a person may decide; open while closed_at is null.
CREATE TABLE cases (
    case_id uuid PRIMARY KEY,
    code_id uuid NOT NULL,
    reservation_id uuid NOT NULL,
    delivery smallint NOT NULL,
    cause text NOT NULL,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    closed_how text
);

CREATE INDEX cases_code_idx ON cases (code_id);

CREATE INDEX cases_opened_idx ON cases (opened_at, case_id);

CREATE INDEX cases_open_idx ON cases (opened_at, case_id) WHERE closed_at IS NULL;

CREATE INDEX reservations_follows_idx ON reservations (follows) WHERE follows IS NOT NULL;

-- Primary data beside the log: what it holds is no fact about a code.
CREATE TABLE refusals (
    code_id uuid NOT NULL,
    at timestamptz NOT NULL,
    recipient_digest bytea NOT NULL,
    pepper_id smallint NOT NULL,
    reason text NOT NULL
);

CREATE INDEX refusals_code_idx ON refusals (code_id, at);

CREATE TABLE unknown_code_tries (
    minute timestamptz NOT NULL,
    reason text NOT NULL,
    tries bigint NOT NULL,
    PRIMARY KEY (minute, reason)
);

CREATE TABLE idempotency_keys (
    scope_digest bytea PRIMARY KEY,
    body_digest bytea NOT NULL,
    reservation_id uuid NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE INDEX idempotency_keys_expires_idx ON idempotency_keys (expires_at);

-- Wake-up calls that the sweep has given for a due moment, and does not repeat before next_at.
CREATE TABLE dispatches (
    reservation_id uuid PRIMARY KEY,
    due_at timestamptz NOT NULL,
    next_at timestamptz NOT NULL,
    times smallint NOT NULL
);

-- Letters that follow from a refund: one notice per refund, sent at most once.
CREATE TABLE outbox (
    reservation_id uuid NOT NULL,
    template text NOT NULL,
    written_at timestamptz NOT NULL,
    due_at timestamptz,
    attempts smallint NOT NULL DEFAULT 0,
    outcome text,
    PRIMARY KEY (reservation_id, template)
);

CREATE INDEX outbox_due_idx ON outbox (due_at) WHERE due_at IS NOT NULL;

-- Who may act: keys of integrators and operators, and staff. Secrets are stored hashed.
CREATE TABLE api_keys (
    key_id uuid PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    role text NOT NULL CHECK (role IN ('viewer', 'support', 'admin')),
    created_at timestamptz NOT NULL,
    expires_at timestamptz
);

CREATE TABLE staff (
    staff_id uuid PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    pepper_id smallint NOT NULL,
    sealed bytea NOT NULL,
    key_id smallint NOT NULL,
    password_hash text NOT NULL,
    role text NOT NULL CHECK (role IN ('viewer', 'support', 'admin')),
    created_at timestamptz NOT NULL
);

-- Sessions of staff, by the digest of their random token.
CREATE TABLE staff_sessions (
    digest bytea PRIMARY KEY,
    staff_id uuid NOT NULL REFERENCES staff ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE INDEX staff_sessions_staff_idx ON staff_sessions (staff_id);

CREATE INDEX staff_sessions_expires_idx ON staff_sessions (expires_at);

-- What staff do that concerns no code: append-only, like the log. Reasons are in private_texts.
CREATE TABLE audit (
    audit_id bigserial PRIMARY KEY,
    at timestamptz NOT NULL,
    act text NOT NULL,
    staff_id uuid,
    subject_id uuid,
    text_id uuid
);

CREATE INDEX audit_staff_idx ON audit (staff_id, at);

CREATE FUNCTION audit_is_for_ever() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit is append-only: % on audit is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END;
$$;

CREATE TRIGGER audit_refuse_change BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_is_for_ever();

CREATE TRIGGER audit_refuse_truncate BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_is_for_ever();

REVOKE UPDATE, DELETE, TRUNCATE ON audit FROM PUBLIC;
