CREATE FUNCTION public.audit_is_for_ever() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'the audit is append-only: % on audit is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END;
$$;
CREATE FUNCTION public.event_fields(state bytea) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
BEGIN
    IF get_byte(state, 0) = 123 THEN
        RETURN convert_from(state, 'UTF8')::jsonb;
    END IF;
    RETURN (read_packed_value(state, 0)).value;
END;
$$;
CREATE FUNCTION public.ledger_events_are_for_ever() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'the log is append-only: % on ledger_events is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END;
$$;
CREATE FUNCTION public.read_packed_value(packed bytea, INOUT place integer, OUT value jsonb) RETURNS record
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
DECLARE
    mark integer := get_byte(packed, place);
    size integer := 0;
    number numeric := 0;
    name jsonb;
    item jsonb;
BEGIN
    place := place + 1;
    IF mark < 128 THEN value := to_jsonb(mark); RETURN; END IF;
    IF mark >= 224 THEN value := to_jsonb(mark - 256); RETURN; END IF;
    IF mark = 192 THEN value := 'null'; RETURN; END IF;
    IF mark IN (194, 195) THEN value := to_jsonb(mark = 195); RETURN; END IF;
    IF mark < 192 THEN
        size := mark & CASE WHEN mark < 160 THEN 15 ELSE 31 END;
    ELSE
        -- The bytes of a length, or of a number.
        FOR nth IN 1 .. CASE
            WHEN mark IN (196, 199, 204, 208, 217) THEN 1 WHEN mark IN (205, 209, 218, 220, 222) THEN 2
            WHEN mark IN (206, 210, 219, 221, 223) THEN 4 WHEN mark IN (207, 211) THEN 8 ELSE 0
        END LOOP
            number := number * 256 + get_byte(packed, place);
            place := place + 1;
        END LOOP;
        IF mark BETWEEN 208 AND 211 AND number >= 2 ^ (8 * (1 << (mark - 208)) - 1)::numeric THEN
            number := number - 2 ^ (8 * (1 << (mark - 208)))::numeric;
        END IF;
        IF mark BETWEEN 204 AND 211 THEN value := to_jsonb(number::bigint); RETURN; END IF;
        size := number;
    END IF;
    IF mark BETWEEN 160 AND 191 OR mark IN (217, 218, 219) THEN
        value := to_jsonb(convert_from(substring(packed FROM place + 1 FOR size), 'UTF8'));
        place := place + size;
    ELSIF mark = 196 THEN
        value := to_jsonb(encode(substring(packed FROM place + 1 FOR size), 'hex')::uuid);
        place := place + size;
    ELSIF mark IN (199, 214, 215) THEN
        -- A timestamp: seconds in 32 bits, nanoseconds in 30 and seconds in 34, or in 32 and 64.
        size := CASE mark WHEN 214 THEN 4 WHEN 215 THEN 8 ELSE size END;
        FOR nth IN 1 .. size LOOP
            number := CASE WHEN nth = 1 THEN 0 ELSE number * 256 END + get_byte(packed, place + nth);
        END LOOP;
        place := place + 1 + size;
        number := CASE size
            WHEN 4 THEN number
            WHEN 8 THEN mod(number, 17179869184) + div(number, 17179869184) / 1000000000
            ELSE mod(number, 18446744073709551616) + div(number, 18446744073709551616) / 1000000000
        END;
        value := to_jsonb(
            to_char(
                timestamp '1970-01-01' + div(number, 86400)::integer * interval '1 day'
                    + mod(number, 86400)::float8 * interval '1 second',
                CASE WHEN number = trunc(number) THEN 'YYYY-MM-DD"T"HH24:MI:SS"Z"' ELSE 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"' END
            )
        );
    ELSIF mark BETWEEN 144 AND 159 OR mark IN (220, 221) THEN
        value := '[]';
        FOR nth IN 1 .. size LOOP
            SELECT r.place, r.value INTO place, item FROM read_packed_value(packed, place) r;
            value := value || jsonb_build_array(item);
        END LOOP;
    ELSIF mark < 144 OR mark IN (222, 223) THEN
        value := '{}';
        FOR nth IN 1 .. size LOOP
            SELECT r.place, r.value INTO place, name FROM read_packed_value(packed, place) r;
            SELECT r.place, r.value INTO place, item FROM read_packed_value(packed, place) r;
            value := value || jsonb_build_object(name #>> '{}', item);
        END LOOP;
    ELSE
        RAISE EXCEPTION 'a value of an event begins with byte %, which is not a known type', mark;
    END IF;
END;
$$;
CREATE TABLE public.accepted_times (
    only_row boolean DEFAULT true NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT accepted_times_only_row_check CHECK (only_row)
);
CREATE TABLE public.access_marks (
    reservation_id uuid NOT NULL,
    next_at timestamp with time zone NOT NULL,
    attempt integer
);
CREATE TABLE public.address_retention_progress (
    only_row boolean DEFAULT true NOT NULL,
    after_id uuid NOT NULL,
    CONSTRAINT address_retention_progress_only_row_check CHECK (only_row)
);
CREATE TABLE public.api_key_uses (
    key_id uuid NOT NULL,
    used_at timestamp with time zone,
    network cidr,
    refused_at timestamp with time zone,
    refused_network cidr
);
CREATE TABLE public.api_keys (
    key_id uuid NOT NULL,
    digest bytea NOT NULL,
    role text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    text_id uuid,
    staff_id uuid,
    revoked_at timestamp with time zone,
    scopes text[],
    networks cidr[],
    replaces_id uuid,
    CONSTRAINT api_keys_role_check CHECK ((((role = ANY (ARRAY['viewer'::text, 'support'::text, 'admin'::text])) AND (scopes IS NULL)) OR ((role = 'scoped'::text) AND (scopes IS NOT NULL))))
);
CREATE TABLE public.approvals (
    approval_id uuid NOT NULL,
    kind text NOT NULL,
    subject_id uuid,
    asked text NOT NULL,
    fingerprint bytea,
    sealed bytea,
    key_id smallint,
    actor text NOT NULL,
    actor_id text,
    proposer_id uuid,
    proposed_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    state text NOT NULL,
    decided_by uuid,
    decided_at timestamp with time zone,
    outcome text,
    CONSTRAINT approvals_actor_check CHECK ((actor = ANY (ARRAY['staff'::text, 'key'::text, 'operator'::text]))),
    CONSTRAINT approvals_asked_check CHECK ((length(asked) <= 4000)),
    CONSTRAINT approvals_check CHECK (((sealed IS NULL) = (key_id IS NULL))),
    CONSTRAINT approvals_kind_check CHECK ((kind = ANY (ARRAY['refund'::text, 'revoke_batch'::text, 'end_campaign'::text, 'export_person'::text, 'erase_person'::text]))),
    CONSTRAINT approvals_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'approved'::text, 'rejected'::text, 'withdrawn'::text, 'expired'::text])))
);
CREATE TABLE public.audit (
    audit_id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    act text NOT NULL,
    staff_id uuid,
    subject_id uuid,
    text_id uuid,
    key_id uuid,
    proof text,
    approved_by uuid,
    CONSTRAINT audit_proof_check CHECK ((length(proof) <= 40))
);
CREATE SEQUENCE public.audit_audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.audit_audit_id_seq OWNED BY public.audit.audit_id;
CREATE TABLE public.batch_codes (
    batch_id uuid NOT NULL,
    number bigint NOT NULL,
    code_id uuid NOT NULL
);
CREATE TABLE public.batch_refusals (
    batch_id uuid NOT NULL,
    line bigint NOT NULL,
    reason text NOT NULL
);
CREATE TABLE public.batches (
    batch_id uuid NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    requested_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    staff_id uuid NOT NULL,
    text_id uuid,
    prefix text NOT NULL,
    max_uses bigint,
    bound boolean NOT NULL,
    expires_at timestamp with time zone,
    validity_days integer,
    group_name text,
    wanted bigint NOT NULL,
    done bigint NOT NULL,
    refused bigint NOT NULL,
    runner uuid,
    lease_until timestamp with time zone,
    rebinds_max integer,
    starts_at timestamp with time zone,
    allowed_domains text,
    denied_domains text,
    campaign_id uuid,
    approved_by uuid,
    notify_at text,
    CONSTRAINT batches_kind_check CHECK ((kind = ANY (ARRAY['issue'::text, 'import'::text, 'pause'::text, 'resume'::text, 'revoke'::text, 'extend'::text]))),
    CONSTRAINT batches_state_check CHECK ((state = ANY (ARRAY['working'::text, 'done'::text, 'stopped'::text, 'broken'::text])))
);
CREATE TABLE public.callback_refusals (
    channel_id uuid NOT NULL,
    minute timestamp with time zone NOT NULL,
    reason text NOT NULL,
    tries bigint NOT NULL,
    last_at timestamp with time zone NOT NULL,
    last_request_id text
);
CREATE TABLE public.callbacks (
    channel_id uuid NOT NULL,
    webhook_id text NOT NULL,
    signed_at timestamp with time zone NOT NULL,
    body_digest bytea NOT NULL
);
CREATE TABLE public.campaigns (
    campaign_id uuid NOT NULL,
    version bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL,
    counts_uses boolean NOT NULL,
    occupied bigint NOT NULL,
    is_paused boolean NOT NULL,
    ended_by bigint,
    name text NOT NULL,
    group_name text,
    starts_at timestamp with time zone,
    ends_at timestamp with time zone,
    max_uses bigint,
    max_per_person bigint,
    allowed_domains text,
    denied_domains text,
    remind_days bigint,
    quiet_hours text,
    occupied_on_day bigint NOT NULL,
    max_per_day bigint,
    code_max_uses bigint,
    code_validity_days bigint,
    notify_at text,
    person_rule text,
    throwaway text,
    counts_from timestamp with time zone,
    recounted_by bigint,
    waiting text,
    waiting_hours bigint,
    valid_for_days bigint
)
WITH (fillfactor='50');
CREATE TABLE public.cases (
    case_id uuid NOT NULL,
    code_id uuid NOT NULL,
    reservation_id uuid NOT NULL,
    delivery smallint NOT NULL,
    cause text NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    closed_how text
);
CREATE TABLE public.checkpoints (
    number bigint NOT NULL,
    size bigint NOT NULL,
    "position" bigint NOT NULL,
    root bytea NOT NULL,
    at timestamp with time zone NOT NULL,
    public_key bytea NOT NULL,
    signature bytea NOT NULL,
    map_root bytea
);
ALTER TABLE public.checkpoints ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.checkpoints_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.code_balances (
    code_id uuid NOT NULL,
    version bigint NOT NULL,
    issued_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL,
    max_uses bigint,
    used bigint NOT NULL,
    reserved bigint NOT NULL,
    bound boolean NOT NULL,
    owner_id uuid,
    sent_binding bigint NOT NULL,
    expires_at timestamp with time zone,
    validity_days integer,
    group_name text,
    is_paused boolean DEFAULT false NOT NULL,
    revoked_by bigint,
    rebinds_max integer,
    bound_to uuid,
    starts_at timestamp with time zone,
    allowed_domains text,
    denied_domains text,
    campaign_id uuid,
    campaign_since bigint,
    notify_at text,
    next_report_at timestamp with time zone
)
WITH (fillfactor='50');
CREATE TABLE public.code_snapshots (
    code_id uuid NOT NULL,
    shape text NOT NULL,
    version bigint NOT NULL,
    state bytea NOT NULL,
    written_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE public.code_texts (
    code_id uuid NOT NULL,
    digest bytea NOT NULL,
    pepper_id smallint NOT NULL,
    sealed bytea NOT NULL,
    key_id smallint NOT NULL,
    hint text NOT NULL
);
CREATE TABLE public.dispatches (
    reservation_id uuid NOT NULL,
    due_at timestamp with time zone NOT NULL,
    next_at timestamp with time zone NOT NULL,
    times smallint NOT NULL
);
CREATE TABLE public.drifting_codes (
    code_id uuid NOT NULL,
    found_at timestamp with time zone NOT NULL,
    rows bigint NOT NULL
);
CREATE TABLE public.hand_out_pace (
    hand_out_id uuid NOT NULL,
    next_at timestamp with time zone NOT NULL,
    claimed_at timestamp with time zone[] DEFAULT '{}'::timestamp with time zone[] NOT NULL,
    claimed_rows integer[] DEFAULT '{}'::integer[] NOT NULL
);
CREATE TABLE public.hand_out_recipients (
    code_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    hand_out_id uuid NOT NULL,
    upload_id uuid NOT NULL,
    number bigint NOT NULL,
    language text NOT NULL,
    sealed bytea,
    key_id smallint,
    due_at timestamp with time zone,
    attempts smallint DEFAULT 0 NOT NULL,
    is_asked boolean DEFAULT false NOT NULL,
    may_have_arrived boolean DEFAULT false NOT NULL,
    leased_until timestamp with time zone,
    attempted_at timestamp with time zone,
    codes smallint DEFAULT 1 NOT NULL
);
ALTER TABLE public.hand_out_recipients ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.hand_out_recipients_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.hand_out_texts (
    hand_out_id uuid NOT NULL,
    language text NOT NULL,
    subject text NOT NULL,
    body text NOT NULL
);
CREATE TABLE public.hand_out_uploads (
    upload_id uuid NOT NULL,
    hand_out_id uuid NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    is_taken_over boolean DEFAULT false NOT NULL
);
CREATE TABLE public.hand_outs (
    hand_out_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    created_version bigint NOT NULL,
    version bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    state text NOT NULL,
    rate_version bigint,
    starts_at timestamp with time zone
);
CREATE TABLE public.handed_out_codes (
    code_id uuid NOT NULL,
    hand_out_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    mail smallint NOT NULL,
    mail_state text NOT NULL,
    reminder smallint,
    version bigint NOT NULL,
    handed_out_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    codes smallint DEFAULT 1 NOT NULL,
    line_id uuid
)
WITH (fillfactor='80');
CREATE TABLE public.history_blocks (
    code_id uuid NOT NULL,
    shape text NOT NULL,
    version bigint NOT NULL,
    block bytea NOT NULL,
    trace bytea,
    written_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.idempotency_keys (
    scope_digest bytea NOT NULL,
    body_digest bytea NOT NULL,
    reservation_id uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL
);
CREATE TABLE public.invite_groups (
    name text NOT NULL,
    subject_zh text NOT NULL,
    text_zh text NOT NULL,
    subject_en text NOT NULL,
    text_en text NOT NULL,
    accept_target text,
    channel text NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    channel_id uuid,
    channel_url text,
    takes_rebinds boolean DEFAULT false NOT NULL,
    channel_settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    logo bytea,
    accent text,
    CONSTRAINT invite_groups_accent_check CHECK ((accent ~ '^#[0-9a-f]{6}$'::text)),
    CONSTRAINT invite_groups_channel_check CHECK (((channel = 'smtp'::text) OR (channel_id IS NOT NULL))),
    CONSTRAINT invite_groups_logo_check CHECK ((octet_length(logo) <= 65536))
);
CREATE TABLE public.issue_keys (
    scope_digest bytea NOT NULL,
    body_digest bytea NOT NULL,
    batch_id uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL
);
CREATE TABLE public.key_checks (
    ring text NOT NULL,
    key_id smallint NOT NULL,
    check_value bytea NOT NULL,
    exported_at timestamp with time zone,
    CONSTRAINT key_checks_ring_check CHECK ((ring = ANY (ARRAY['pepper'::text, 'master'::text])))
);
CREATE TABLE public.ledger_events (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    notification_id bigint NOT NULL
);
CREATE SEQUENCE public.ledger_events_notification_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.ledger_events_notification_id_seq OWNED BY public.ledger_events.notification_id;
CREATE UNLOGGED TABLE public.limit_reports (
    process_id uuid NOT NULL,
    number integer NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    unknown integer NOT NULL,
    redeemed integer NOT NULL,
    limits text[] NOT NULL,
    keys bytea[] NOT NULL,
    counts integer[] NOT NULL
);
CREATE TABLE public.list_reports (
    hand_out_id uuid NOT NULL,
    staff_id uuid NOT NULL,
    report_id uuid NOT NULL,
    report bytea NOT NULL,
    reported_at timestamp with time zone NOT NULL
);
CREATE TABLE public.merkle_progress (
    only_row boolean DEFAULT true NOT NULL,
    size bigint NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT merkle_progress_only_row_check CHECK (only_row)
);
CREATE TABLE public.merkle_tiles (
    height smallint NOT NULL,
    index bigint NOT NULL,
    first_position bigint,
    hashes bytea NOT NULL
);
CREATE TABLE public.opened_codes (
    code_id uuid NOT NULL
);
CREATE TABLE public.opt_outs (
    recipient_id uuid NOT NULL,
    group_name text NOT NULL,
    at timestamp with time zone NOT NULL
);
CREATE TABLE public.outbox (
    reservation_id uuid NOT NULL,
    template text NOT NULL,
    written_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone,
    attempts smallint DEFAULT 0 NOT NULL,
    outcome text,
    closed_at timestamp with time zone,
    leased_until timestamp with time zone,
    attempted_at timestamp with time zone
);
CREATE TABLE public.private_texts (
    text_id uuid NOT NULL,
    reservation_id uuid,
    sealed bytea NOT NULL,
    key_id smallint NOT NULL,
    about text DEFAULT 'unsaid'::text NOT NULL,
    CONSTRAINT private_texts_about_check CHECK ((about = ANY (ARRAY['person'::text, 'code'::text, 'batch'::text, 'api_key'::text, 'secret'::text, 'ledger'::text, 'unsaid'::text])))
);
CREATE TABLE public.rebuild_progress (
    only_row boolean DEFAULT true NOT NULL,
    step text NOT NULL,
    events bigint NOT NULL,
    total bigint NOT NULL,
    CONSTRAINT rebuild_progress_only_row_check CHECK (only_row)
);
CREATE TABLE public.recipients (
    recipient_id uuid NOT NULL,
    digest bytea NOT NULL,
    pepper_id smallint NOT NULL,
    sealed bytea NOT NULL,
    key_id smallint NOT NULL,
    mailbox_digest bytea
);
CREATE TABLE public.refusals (
    code_id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    recipient_digest bytea NOT NULL,
    pepper_id smallint NOT NULL,
    reason text NOT NULL
);
CREATE TABLE public.relays (
    name text NOT NULL,
    target text NOT NULL,
    target_id text NOT NULL,
    "position" bigint NOT NULL,
    relayed_at timestamp with time zone,
    failures integer DEFAULT 0 NOT NULL,
    last_error text,
    holder_id uuid NOT NULL,
    holder text NOT NULL,
    leased_until timestamp with time zone NOT NULL,
    CONSTRAINT relays_name_check CHECK ((length(name) <= 60)),
    CONSTRAINT relays_position_check CHECK (("position" >= 0))
);
CREATE TABLE public.reservation_map_progress (
    only_row boolean DEFAULT true NOT NULL,
    size bigint NOT NULL,
    "position" bigint NOT NULL,
    checkpoint bigint NOT NULL,
    CONSTRAINT reservation_map_progress_only_row_check CHECK (only_row)
);
CREATE TABLE public.reservation_map_tiles (
    height smallint NOT NULL,
    index bigint NOT NULL,
    hashes bytea NOT NULL,
    checkpoint bigint NOT NULL,
    signed_hashes bytea NOT NULL
);
CREATE TABLE public.reservations (
    reservation_id uuid NOT NULL,
    code_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    reserved_at timestamp with time zone NOT NULL,
    deadline timestamp with time zone NOT NULL,
    due_at timestamp with time zone,
    lease_until timestamp with time zone,
    sent_at timestamp with time zone,
    accepted_at timestamp with time zone,
    refunded_at timestamp with time zone,
    access_due_at timestamp with time zone,
    case_id uuid,
    follows uuid,
    delivery smallint NOT NULL,
    attempts smallint NOT NULL,
    ever_unknown boolean NOT NULL,
    is_deferred boolean DEFAULT false NOT NULL,
    versions bigint[] NOT NULL,
    status text NOT NULL,
    kind text NOT NULL,
    refund_cause text
);
CREATE TABLE public.revocations (
    code_id uuid NOT NULL,
    next_at timestamp with time zone NOT NULL
);
CREATE TABLE public.saved_views (
    staff_id uuid NOT NULL,
    name text NOT NULL,
    query text NOT NULL,
    saved_at timestamp with time zone NOT NULL
);
CREATE TABLE public.scheduled_runs (
    task text NOT NULL,
    fence bigint NOT NULL,
    number bigint NOT NULL,
    claimed_at timestamp with time zone NOT NULL
);
CREATE TABLE public.scheduler_lease (
    only_row boolean DEFAULT true NOT NULL,
    holder_id uuid NOT NULL,
    holder text NOT NULL,
    fence bigint NOT NULL,
    taken_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT scheduler_lease_only_row_check CHECK (only_row)
);
CREATE TABLE public.staff (
    staff_id uuid NOT NULL,
    digest bytea NOT NULL,
    pepper_id smallint NOT NULL,
    sealed bytea NOT NULL,
    key_id smallint NOT NULL,
    password_hash text NOT NULL,
    role text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    removed_at timestamp with time zone,
    is_break_glass boolean DEFAULT false NOT NULL,
    CONSTRAINT staff_role_check CHECK ((role = ANY (ARRAY['viewer'::text, 'support'::text, 'admin'::text])))
);
CREATE TABLE public.staff_factors (
    factor_id uuid NOT NULL,
    staff_id uuid NOT NULL,
    kind text NOT NULL,
    sealed bytea NOT NULL,
    key_id smallint NOT NULL,
    credential_id bytea,
    counter bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone,
    CONSTRAINT staff_factors_check CHECK (((credential_id IS NOT NULL) = (kind = 'passkey'::text))),
    CONSTRAINT staff_factors_kind_check CHECK ((kind = ANY (ARRAY['totp'::text, 'passkey'::text])))
);
CREATE TABLE public.staff_identities (
    identity_id uuid NOT NULL,
    digest bytea NOT NULL,
    pepper_id smallint NOT NULL,
    sealed bytea NOT NULL,
    key_id smallint NOT NULL,
    staff_id uuid NOT NULL,
    connected_at timestamp with time zone NOT NULL
);
CREATE TABLE public.staff_links (
    digest bytea NOT NULL,
    staff_id uuid NOT NULL,
    purpose text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    ended_how text,
    mail text NOT NULL,
    CONSTRAINT staff_links_ended_how_check CHECK ((ended_how = ANY (ARRAY['used'::text, 'replaced'::text, 'changed'::text, 'revoked'::text, 'closed'::text]))),
    CONSTRAINT staff_links_mail_check CHECK ((mail = ANY (ARRAY['sending'::text, 'sent'::text, 'failed'::text, 'printed'::text]))),
    CONSTRAINT staff_links_purpose_check CHECK ((purpose = ANY (ARRAY['invitation'::text, 'password'::text])))
);
CREATE TABLE public.staff_recovery_codes (
    digest bytea NOT NULL,
    staff_id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone
);
CREATE TABLE public.staff_sessions (
    digest bytea NOT NULL,
    staff_id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    browser text DEFAULT ''::text NOT NULL,
    system text DEFAULT ''::text NOT NULL,
    last_used_at timestamp with time zone,
    provider_session bytea,
    proved_at timestamp with time zone,
    proved_how text,
    network cidr,
    CONSTRAINT staff_sessions_browser_check CHECK ((length(browser) <= 40)),
    CONSTRAINT staff_sessions_proved_how_check CHECK ((length(proved_how) <= 40)),
    CONSTRAINT staff_sessions_system_check CHECK ((length(system) <= 40))
);
CREATE TABLE public.staff_spent_states (
    state_id uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL
);
CREATE TABLE public.suppressed_addresses (
    recipient_id uuid NOT NULL,
    cause text NOT NULL,
    group_name text NOT NULL,
    is_of_group boolean NOT NULL,
    since timestamp with time zone NOT NULL,
    until timestamp with time zone NOT NULL
);
CREATE TABLE public.tallies (
    name text NOT NULL,
    label text NOT NULL,
    count bigint NOT NULL
);
CREATE TABLE public.tally_progress (
    only_row boolean DEFAULT true NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT tally_progress_only_row_check CHECK (only_row)
);
CREATE TABLE public.test_emails (
    test_id uuid NOT NULL,
    digest bytea NOT NULL,
    leased_until timestamp with time zone NOT NULL
);
CREATE TABLE public.text_subjects (
    text_id uuid NOT NULL,
    recipient_id uuid NOT NULL
);
CREATE TABLE public.threshold_digest (
    is_only boolean DEFAULT true NOT NULL,
    "position" bigint NOT NULL,
    due_at timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    sending_until bigint,
    CONSTRAINT threshold_digest_is_only_check CHECK (is_only)
);
CREATE TABLE public.unknown_code_tries (
    minute timestamp with time zone NOT NULL,
    reason text NOT NULL,
    tries bigint NOT NULL
);
CREATE TABLE public.verifications (
    kind text NOT NULL,
    at timestamp with time zone NOT NULL,
    "position" bigint NOT NULL,
    events bigint NOT NULL,
    CONSTRAINT verifications_kind_check CHECK ((kind = ANY (ARRAY['sample'::text, 'full'::text])))
);
CREATE TABLE public.waiting_places (
    place_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    code_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    joined_at timestamp with time zone NOT NULL,
    offered_at timestamp with time zone,
    due_at timestamp with time zone,
    leased_until timestamp with time zone,
    attempts smallint DEFAULT 0 NOT NULL,
    outcome text
);
CREATE TABLE public.webhook_deliveries (
    delivery_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    "position" bigint,
    event_type text NOT NULL,
    state text NOT NULL,
    made_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    first_at timestamp with time zone,
    last_at timestamp with time zone,
    last_outcome text,
    last_status integer,
    last_ms integer,
    ended_at timestamp with time zone,
    CONSTRAINT webhook_deliveries_check CHECK (((state = 'pending'::text) = (due_at IS NOT NULL))),
    CONSTRAINT webhook_deliveries_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'delivered'::text, 'failed'::text])))
);
CREATE TABLE public.webhook_endpoints (
    endpoint_id uuid NOT NULL,
    url text NOT NULL,
    event_types text[] NOT NULL,
    concurrency smallint NOT NULL,
    state text NOT NULL,
    reason text,
    created_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    "position" bigint NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    resting_until timestamp with time zone,
    succeeded_at timestamp with time zone,
    worked_at timestamp with time zone,
    runner uuid,
    lease_until timestamp with time zone,
    format text DEFAULT 'standard'::text NOT NULL,
    CONSTRAINT webhook_endpoints_concurrency_check CHECK (((concurrency >= 1) AND (concurrency <= 8))),
    CONSTRAINT webhook_endpoints_format_check CHECK ((format = ANY (ARRAY['standard'::text, 'cloudevents'::text]))),
    CONSTRAINT webhook_endpoints_state_check CHECK ((state = ANY (ARRAY['enabled'::text, 'disabled'::text, 'removed'::text])))
);
CREATE TABLE public.webhook_secrets (
    text_id uuid NOT NULL,
    owner_id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone
);
ALTER TABLE ONLY public.audit ALTER COLUMN audit_id SET DEFAULT nextval('public.audit_audit_id_seq'::regclass);
ALTER TABLE ONLY public.ledger_events ALTER COLUMN notification_id SET DEFAULT nextval('public.ledger_events_notification_id_seq'::regclass);
ALTER TABLE ONLY public.accepted_times
    ADD CONSTRAINT accepted_times_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY public.access_marks
    ADD CONSTRAINT access_marks_pkey PRIMARY KEY (reservation_id);
ALTER TABLE ONLY public.address_retention_progress
    ADD CONSTRAINT address_retention_progress_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY public.api_key_uses
    ADD CONSTRAINT api_key_uses_pkey PRIMARY KEY (key_id);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_digest_key UNIQUE (digest);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (key_id);
ALTER TABLE ONLY public.approvals
    ADD CONSTRAINT approvals_pkey PRIMARY KEY (approval_id);
ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (audit_id);
ALTER TABLE ONLY public.batch_codes
    ADD CONSTRAINT batch_codes_pkey PRIMARY KEY (batch_id, number);
ALTER TABLE ONLY public.batch_refusals
    ADD CONSTRAINT batch_refusals_pkey PRIMARY KEY (batch_id, line);
ALTER TABLE ONLY public.batches
    ADD CONSTRAINT batches_pkey PRIMARY KEY (batch_id);
ALTER TABLE ONLY public.callback_refusals
    ADD CONSTRAINT callback_refusals_pkey PRIMARY KEY (channel_id, minute, reason);
ALTER TABLE ONLY public.callbacks
    ADD CONSTRAINT callbacks_pkey PRIMARY KEY (channel_id, webhook_id);
ALTER TABLE ONLY public.campaigns
    ADD CONSTRAINT campaigns_pkey PRIMARY KEY (campaign_id);
ALTER TABLE ONLY public.cases
    ADD CONSTRAINT cases_pkey PRIMARY KEY (case_id);
ALTER TABLE ONLY public.checkpoints
    ADD CONSTRAINT checkpoints_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.code_balances
    ADD CONSTRAINT code_balances_pkey PRIMARY KEY (code_id);
ALTER TABLE ONLY public.code_snapshots
    ADD CONSTRAINT code_snapshots_pkey PRIMARY KEY (code_id, shape);
ALTER TABLE ONLY public.code_texts
    ADD CONSTRAINT code_texts_digest_key UNIQUE (digest);
ALTER TABLE ONLY public.code_texts
    ADD CONSTRAINT code_texts_pkey PRIMARY KEY (code_id);
ALTER TABLE ONLY public.dispatches
    ADD CONSTRAINT dispatches_pkey PRIMARY KEY (reservation_id);
ALTER TABLE ONLY public.drifting_codes
    ADD CONSTRAINT drifting_codes_pkey PRIMARY KEY (code_id);
ALTER TABLE ONLY public.hand_out_pace
    ADD CONSTRAINT hand_out_pace_pkey PRIMARY KEY (hand_out_id);
ALTER TABLE ONLY public.hand_out_recipients
    ADD CONSTRAINT hand_out_recipients_campaign_id_recipient_id_key UNIQUE (campaign_id, recipient_id);
ALTER TABLE ONLY public.hand_out_recipients
    ADD CONSTRAINT hand_out_recipients_pkey PRIMARY KEY (code_id);
ALTER TABLE ONLY public.hand_out_texts
    ADD CONSTRAINT hand_out_texts_pkey PRIMARY KEY (hand_out_id, language);
ALTER TABLE ONLY public.hand_out_uploads
    ADD CONSTRAINT hand_out_uploads_pkey PRIMARY KEY (upload_id);
ALTER TABLE ONLY public.hand_outs
    ADD CONSTRAINT hand_outs_pkey PRIMARY KEY (hand_out_id);
ALTER TABLE ONLY public.handed_out_codes
    ADD CONSTRAINT handed_out_codes_pkey PRIMARY KEY (code_id);
ALTER TABLE ONLY public.history_blocks
    ADD CONSTRAINT history_blocks_pkey PRIMARY KEY (code_id, shape, version);
ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (scope_digest);
ALTER TABLE ONLY public.invite_groups
    ADD CONSTRAINT invite_groups_channel_id_key UNIQUE (channel_id);
ALTER TABLE ONLY public.invite_groups
    ADD CONSTRAINT invite_groups_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.issue_keys
    ADD CONSTRAINT issue_keys_pkey PRIMARY KEY (scope_digest);
ALTER TABLE ONLY public.key_checks
    ADD CONSTRAINT key_checks_pkey PRIMARY KEY (ring, key_id);
ALTER TABLE ONLY public.ledger_events
    ADD CONSTRAINT ledger_events_pkey PRIMARY KEY (originator_id, originator_version) WITH (fillfactor='100');
ALTER TABLE ONLY public.limit_reports
    ADD CONSTRAINT limit_reports_pkey PRIMARY KEY (process_id, number);
ALTER TABLE ONLY public.list_reports
    ADD CONSTRAINT list_reports_pkey PRIMARY KEY (hand_out_id, staff_id);
ALTER TABLE ONLY public.merkle_progress
    ADD CONSTRAINT merkle_progress_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY public.merkle_tiles
    ADD CONSTRAINT merkle_tiles_pkey PRIMARY KEY (height, index);
ALTER TABLE ONLY public.opened_codes
    ADD CONSTRAINT opened_codes_pkey PRIMARY KEY (code_id);
ALTER TABLE ONLY public.opt_outs
    ADD CONSTRAINT opt_outs_pkey PRIMARY KEY (recipient_id, group_name);
ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (reservation_id, template);
ALTER TABLE ONLY public.private_texts
    ADD CONSTRAINT private_texts_pkey PRIMARY KEY (text_id);
ALTER TABLE ONLY public.rebuild_progress
    ADD CONSTRAINT rebuild_progress_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY public.recipients
    ADD CONSTRAINT recipients_pkey PRIMARY KEY (recipient_id);
ALTER TABLE ONLY public.relays
    ADD CONSTRAINT relays_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.reservation_map_progress
    ADD CONSTRAINT reservation_map_progress_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY public.reservation_map_tiles
    ADD CONSTRAINT reservation_map_tiles_pkey PRIMARY KEY (height, index);
ALTER TABLE ONLY public.reservations
    ADD CONSTRAINT reservations_pkey PRIMARY KEY (reservation_id) WITH (fillfactor='70');
ALTER TABLE ONLY public.revocations
    ADD CONSTRAINT revocations_pkey PRIMARY KEY (code_id);
ALTER TABLE ONLY public.saved_views
    ADD CONSTRAINT saved_views_pkey PRIMARY KEY (staff_id, name);
ALTER TABLE ONLY public.scheduled_runs
    ADD CONSTRAINT scheduled_runs_pkey PRIMARY KEY (task);
ALTER TABLE ONLY public.scheduler_lease
    ADD CONSTRAINT scheduler_lease_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY public.staff
    ADD CONSTRAINT staff_digest_key UNIQUE (digest);
ALTER TABLE ONLY public.staff_factors
    ADD CONSTRAINT staff_factors_credential_id_key UNIQUE (credential_id);
ALTER TABLE ONLY public.staff_factors
    ADD CONSTRAINT staff_factors_pkey PRIMARY KEY (factor_id);
ALTER TABLE ONLY public.staff_identities
    ADD CONSTRAINT staff_identities_digest_key UNIQUE (digest);
ALTER TABLE ONLY public.staff_identities
    ADD CONSTRAINT staff_identities_pkey PRIMARY KEY (identity_id);
ALTER TABLE ONLY public.staff_identities
    ADD CONSTRAINT staff_identities_staff_id_key UNIQUE (staff_id);
ALTER TABLE ONLY public.staff_links
    ADD CONSTRAINT staff_links_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.staff
    ADD CONSTRAINT staff_pkey PRIMARY KEY (staff_id);
ALTER TABLE ONLY public.staff_recovery_codes
    ADD CONSTRAINT staff_recovery_codes_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.staff_sessions
    ADD CONSTRAINT staff_sessions_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.staff_spent_states
    ADD CONSTRAINT staff_spent_states_pkey PRIMARY KEY (state_id);
ALTER TABLE ONLY public.suppressed_addresses
    ADD CONSTRAINT suppressed_addresses_pkey PRIMARY KEY (recipient_id, cause, group_name);
ALTER TABLE ONLY public.tallies
    ADD CONSTRAINT tallies_pkey PRIMARY KEY (name, label);
ALTER TABLE ONLY public.tally_progress
    ADD CONSTRAINT tally_progress_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY public.test_emails
    ADD CONSTRAINT test_emails_pkey PRIMARY KEY (test_id);
ALTER TABLE ONLY public.text_subjects
    ADD CONSTRAINT text_subjects_pkey PRIMARY KEY (text_id, recipient_id);
ALTER TABLE ONLY public.threshold_digest
    ADD CONSTRAINT threshold_digest_pkey PRIMARY KEY (is_only);
ALTER TABLE ONLY public.unknown_code_tries
    ADD CONSTRAINT unknown_code_tries_pkey PRIMARY KEY (minute, reason);
ALTER TABLE ONLY public.verifications
    ADD CONSTRAINT verifications_pkey PRIMARY KEY (kind);
ALTER TABLE ONLY public.waiting_places
    ADD CONSTRAINT waiting_places_pkey PRIMARY KEY (place_id);
ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (delivery_id);
ALTER TABLE ONLY public.webhook_endpoints
    ADD CONSTRAINT webhook_endpoints_pkey PRIMARY KEY (endpoint_id);
ALTER TABLE ONLY public.webhook_secrets
    ADD CONSTRAINT webhook_secrets_pkey PRIMARY KEY (text_id);
CREATE UNIQUE INDEX api_keys_replaces_idx ON public.api_keys USING btree (replaces_id);
CREATE INDEX approvals_closed_idx ON public.approvals USING btree (decided_at) WHERE (fingerprint IS NULL);
CREATE UNIQUE INDEX approvals_open_idx ON public.approvals USING btree (fingerprint) WHERE (fingerprint IS NOT NULL);
CREATE INDEX approvals_proposed_idx ON public.approvals USING btree (proposed_at, approval_id);
CREATE INDEX audit_act_idx ON public.audit USING btree (act, audit_id);
CREATE INDEX audit_actor_idx ON public.audit USING btree (staff_id, audit_id) WHERE (staff_id IS NOT NULL);
CREATE INDEX audit_backups_idx ON public.audit USING btree (at) WHERE (act = 'made_backup'::text);
CREATE INDEX audit_key_idx ON public.audit USING btree (key_id, audit_id) WHERE (key_id IS NOT NULL);
CREATE INDEX audit_operator_idx ON public.audit USING btree (audit_id) WHERE ((staff_id IS NULL) AND (key_id IS NULL));
CREATE INDEX audit_staff_idx ON public.audit USING btree (staff_id, at);
CREATE INDEX audit_subject_idx ON public.audit USING btree (subject_id) WHERE (subject_id IS NOT NULL);
CREATE INDEX batches_requested_idx ON public.batches USING btree (requested_at, batch_id);
CREATE INDEX batches_working_idx ON public.batches USING btree (requested_at) WHERE (state = 'working'::text);
CREATE INDEX callback_refusals_minute_idx ON public.callback_refusals USING btree (minute);
CREATE INDEX callbacks_signed_idx ON public.callbacks USING btree (signed_at);
CREATE INDEX campaigns_created_idx ON public.campaigns USING btree (created_at, campaign_id);
CREATE INDEX campaigns_report_idx ON public.campaigns USING btree (campaign_id) WHERE ((notify_at IS NOT NULL) AND (ended_by IS NULL));
CREATE INDEX campaigns_waiting_idx ON public.campaigns USING btree (campaign_id) WHERE (waiting IS NOT NULL);
CREATE INDEX cases_code_idx ON public.cases USING btree (code_id);
CREATE INDEX cases_open_idx ON public.cases USING btree (opened_at, case_id) WHERE (closed_at IS NULL);
CREATE INDEX cases_opened_idx ON public.cases USING btree (opened_at, case_id);
CREATE INDEX code_balances_campaign_codes_idx ON public.code_balances USING btree (campaign_id, issued_at, code_id) WHERE (campaign_id IS NOT NULL);
CREATE INDEX code_balances_group_idx ON public.code_balances USING btree (group_name, issued_at, code_id) WHERE (group_name IS NOT NULL);
CREATE INDEX code_balances_issued_idx ON public.code_balances USING btree (issued_at, code_id);
CREATE INDEX code_balances_report_idx ON public.code_balances USING btree (next_report_at, code_id) WHERE (next_report_at IS NOT NULL);
CREATE INDEX code_texts_hint_idx ON public.code_texts USING btree (hint, code_id);
CREATE INDEX hand_out_recipients_asked_idx ON public.hand_out_recipients USING btree (due_at) WHERE is_asked;
CREATE INDEX hand_out_recipients_due_idx ON public.hand_out_recipients USING btree (hand_out_id, due_at) WHERE (due_at IS NOT NULL);
CREATE INDEX hand_out_recipients_number_idx ON public.hand_out_recipients USING btree (hand_out_id, number);
CREATE INDEX hand_out_recipients_person_idx ON public.hand_out_recipients USING btree (recipient_id);
CREATE INDEX hand_outs_campaign_idx ON public.hand_outs USING btree (campaign_id, created_at, hand_out_id);
CREATE INDEX handed_out_codes_hand_out_idx ON public.handed_out_codes USING btree (hand_out_id, mail_state);
CREATE INDEX handed_out_codes_line_idx ON public.handed_out_codes USING btree (line_id) WHERE (line_id IS NOT NULL);
CREATE INDEX handed_out_codes_person_idx ON public.handed_out_codes USING btree (recipient_id);
CREATE INDEX idempotency_keys_expires_idx ON public.idempotency_keys USING btree (expires_at);
CREATE INDEX invite_groups_channel_idx ON public.invite_groups USING btree (name) WHERE (channel <> 'smtp'::text);
CREATE INDEX issue_keys_expires_idx ON public.issue_keys USING btree (expires_at);
CREATE INDEX ledger_events_crossings_idx ON public.ledger_events USING btree (notification_id) WITH (fillfactor='100') WHERE (topic = ANY (ARRAY['CodeThresholdReached:1'::text, 'CampaignThresholdReached:1'::text]));
CREATE UNIQUE INDEX ledger_events_notification_id_idx ON public.ledger_events USING btree (notification_id) WITH (fillfactor='100');
CREATE INDEX ledger_events_reports_idx ON public.ledger_events USING btree (originator_id) WITH (fillfactor='100') WHERE (topic = ANY (ARRAY['InviteDelayed:1'::text, 'InviteComplained:1'::text]));
CREATE INDEX limit_reports_at_idx ON public.limit_reports USING btree (at);
CREATE INDEX merkle_tiles_position_idx ON public.merkle_tiles USING btree (first_position) WHERE (height = 0);
CREATE INDEX outbox_due_idx ON public.outbox USING btree (due_at) WHERE (due_at IS NOT NULL);
CREATE INDEX private_texts_reservation_idx ON public.private_texts USING btree (reservation_id);
CREATE UNIQUE INDEX recipients_digest_idx ON public.recipients USING btree (substr(digest, 1, 15));
CREATE INDEX recipients_mailbox_idx ON public.recipients USING btree (mailbox_digest);
CREATE INDEX refusals_at_idx ON public.refusals USING brin (at) WITH (autosummarize='on');
CREATE INDEX refusals_code_idx ON public.refusals USING btree (code_id, at);
CREATE INDEX refusals_person_idx ON public.refusals USING btree (recipient_digest, at);
CREATE INDEX reservations_access_idx ON public.reservations USING btree (access_due_at) WHERE (access_due_at IS NOT NULL);
CREATE INDEX reservations_code_idx ON public.reservations USING btree (code_id);
CREATE INDEX reservations_due_idx ON public.reservations USING btree (due_at) WHERE (due_at IS NOT NULL);
CREATE INDEX reservations_follows_idx ON public.reservations USING btree (follows) WHERE (follows IS NOT NULL);
CREATE INDEX reservations_kept_access_idx ON public.reservations USING btree (refunded_at) WHERE ((status = 'refunded'::text) AND (accepted_at IS NOT NULL));
CREATE INDEX reservations_live_idx ON public.reservations USING btree (code_id, deadline) WHERE (status = 'live'::text);
CREATE INDEX reservations_person_idx ON public.reservations USING btree (recipient_id, code_id) WITH (fillfactor='70');
CREATE INDEX reservations_reserved_idx ON public.reservations USING btree (reserved_at) WITH (fillfactor='70');
CREATE INDEX revocations_next_idx ON public.revocations USING btree (next_at);
CREATE UNIQUE INDEX staff_break_glass_idx ON public.staff USING btree (is_break_glass) WHERE is_break_glass;
CREATE INDEX staff_factors_staff_idx ON public.staff_factors USING btree (staff_id);
CREATE INDEX staff_links_staff_idx ON public.staff_links USING btree (staff_id);
CREATE UNIQUE INDEX staff_links_valid_idx ON public.staff_links USING btree (staff_id, purpose) WHERE (ended_at IS NULL);
CREATE INDEX staff_recovery_codes_staff_idx ON public.staff_recovery_codes USING btree (staff_id);
CREATE INDEX staff_sessions_expires_idx ON public.staff_sessions USING btree (expires_at);
CREATE INDEX staff_sessions_provider_idx ON public.staff_sessions USING btree (provider_session) WHERE (provider_session IS NOT NULL);
CREATE INDEX staff_sessions_staff_idx ON public.staff_sessions USING btree (staff_id);
CREATE INDEX test_emails_digest_idx ON public.test_emails USING btree (digest);
CREATE INDEX text_subjects_person_idx ON public.text_subjects USING btree (recipient_id);
CREATE INDEX waiting_places_due_idx ON public.waiting_places USING btree (due_at) WHERE (due_at IS NOT NULL);
CREATE INDEX waiting_places_recipient_idx ON public.waiting_places USING btree (recipient_id);
CREATE INDEX webhook_deliveries_due_idx ON public.webhook_deliveries USING btree (endpoint_id, due_at) WHERE (state = 'pending'::text);
CREATE INDEX webhook_deliveries_ended_idx ON public.webhook_deliveries USING btree (ended_at) WHERE (ended_at IS NOT NULL);
CREATE INDEX webhook_deliveries_made_idx ON public.webhook_deliveries USING btree (endpoint_id, made_at, delivery_id);
CREATE INDEX webhook_endpoints_created_idx ON public.webhook_endpoints USING btree (created_at, endpoint_id);
CREATE INDEX webhook_secrets_ends_idx ON public.webhook_secrets USING btree (ends_at) WHERE (ends_at IS NOT NULL);
CREATE INDEX webhook_secrets_owner_idx ON public.webhook_secrets USING btree (owner_id);
CREATE TRIGGER audit_refuse_change BEFORE DELETE OR UPDATE ON public.audit FOR EACH ROW EXECUTE FUNCTION public.audit_is_for_ever();
CREATE TRIGGER audit_refuse_truncate BEFORE TRUNCATE ON public.audit FOR EACH STATEMENT EXECUTE FUNCTION public.audit_is_for_ever();
CREATE TRIGGER ledger_events_refuse_change BEFORE DELETE OR UPDATE ON public.ledger_events FOR EACH ROW EXECUTE FUNCTION public.ledger_events_are_for_ever();
CREATE TRIGGER ledger_events_refuse_truncate BEFORE TRUNCATE ON public.ledger_events FOR EACH STATEMENT EXECUTE FUNCTION public.ledger_events_are_for_ever();
ALTER TABLE ONLY public.api_key_uses
    ADD CONSTRAINT api_key_uses_key_id_fkey FOREIGN KEY (key_id) REFERENCES public.api_keys(key_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_replaces_id_fkey FOREIGN KEY (replaces_id) REFERENCES public.api_keys(key_id);
ALTER TABLE ONLY public.batch_codes
    ADD CONSTRAINT batch_codes_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES public.batches(batch_id);
ALTER TABLE ONLY public.batch_refusals
    ADD CONSTRAINT batch_refusals_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES public.batches(batch_id);
ALTER TABLE ONLY public.hand_out_recipients
    ADD CONSTRAINT hand_out_recipients_recipient_id_fkey FOREIGN KEY (recipient_id) REFERENCES public.recipients(recipient_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.opened_codes
    ADD CONSTRAINT opened_codes_code_id_fkey FOREIGN KEY (code_id) REFERENCES public.hand_out_recipients(code_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.opt_outs
    ADD CONSTRAINT opt_outs_recipient_id_fkey FOREIGN KEY (recipient_id) REFERENCES public.recipients(recipient_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.staff_factors
    ADD CONSTRAINT staff_factors_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES public.staff(staff_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.staff_identities
    ADD CONSTRAINT staff_identities_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES public.staff(staff_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.staff_links
    ADD CONSTRAINT staff_links_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES public.staff(staff_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.staff_recovery_codes
    ADD CONSTRAINT staff_recovery_codes_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES public.staff(staff_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.staff_sessions
    ADD CONSTRAINT staff_sessions_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES public.staff(staff_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.suppressed_addresses
    ADD CONSTRAINT suppressed_addresses_recipient_id_fkey FOREIGN KEY (recipient_id) REFERENCES public.recipients(recipient_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.text_subjects
    ADD CONSTRAINT text_subjects_recipient_id_fkey FOREIGN KEY (recipient_id) REFERENCES public.recipients(recipient_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.text_subjects
    ADD CONSTRAINT text_subjects_text_id_fkey FOREIGN KEY (text_id) REFERENCES public.private_texts(text_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES public.webhook_endpoints(endpoint_id);
