-- name: recipients_by_id
SELECT recipient_id, digest, pepper_id, sealed, key_id FROM recipients WHERE recipient_id = ANY(%s);

-- name: recipients_of_digests
SELECT recipient_id, digest, pepper_id, sealed, key_id FROM recipients
WHERE substr(digest, 1, 15) = ANY(ARRAY(SELECT substr(requested, 1, 15) FROM unnest(%s::bytea[]) AS requested));

-- name: share_addresses
-- Reads of addresses to which something is sent wait for one another's end only in an erasure.
SELECT pg_advisory_xact_lock_shared(1818518631, 6);

-- name: hold_addresses
SELECT pg_advisory_xact_lock(1818518631, 6);

-- name: in_flight
-- Messages to a person under a lease, of every kind (projections/privacy/in_flight.py). A lease that is longer than
-- leases are was taken while the clock was ahead.
SELECT count(*), max(leased_until) FROM (
    SELECT 'attempt' AS kind, lease_until AS leased_until FROM reservations WHERE recipient_id = ANY(%(recipient_ids)s)
    UNION ALL
    SELECT 'notice', o.leased_until FROM outbox o JOIN reservations r USING (reservation_id)
    WHERE r.recipient_id = ANY(%(recipient_ids)s)
    UNION ALL
    SELECT 'removal', m.next_at FROM access_marks m JOIN reservations r USING (reservation_id)
    WHERE r.recipient_id = ANY(%(recipient_ids)s)
    UNION ALL
    SELECT 'list_row', leased_until FROM hand_out_recipients WHERE recipient_id = ANY(%(recipient_ids)s)
    UNION ALL
    SELECT 'waiting_offer', leased_until FROM waiting_places WHERE recipient_id = ANY(%(recipient_ids)s)
    UNION ALL
    SELECT 'test', leased_until FROM test_emails WHERE digest = ANY(%(digests)s::bytea[])
) leases
WHERE leased_until > %(now)s AND leased_until <= %(longest_wait)s;

-- name: lease_test_email
INSERT INTO test_emails (test_id, digest, leased_until) VALUES (%s, %s, %s);

-- name: end_test_email
DELETE FROM test_emails WHERE test_id = %s;

-- name: delete_test_emails_of_digests
-- Of processes that ended while they sent one.
DELETE FROM test_emails WHERE digest = ANY(%s);

-- name: live_of_recipient
-- Bounded: a person holds few reservations at once; the rest is found by the next look.
SELECT reservation_id, lease_until FROM reservations
WHERE recipient_id = %s AND (status = 'live' OR lease_until IS NOT NULL) LIMIT 500;

-- name: outlook_of_recipient
-- What forgetting would do. A lease that has ended was an attempt of unknown outcome.
SELECT count(*),
    count(*) FILTER (WHERE status = 'live' AND lease_until IS NULL AND NOT ever_unknown AND case_id IS NULL),
    count(*) FILTER (WHERE status = 'live' AND (
        lease_until <= %(now)s OR lease_until IS NULL AND (ever_unknown OR case_id IS NOT NULL)
    )),
    (SELECT count(*) FROM refusals r JOIN recipients p ON p.digest = r.recipient_digest WHERE p.recipient_id = %(recipient_id)s)
FROM reservations WHERE recipient_id = %(recipient_id)s;

-- name: delete_refusals_of_digests
DELETE FROM refusals WHERE recipient_digest = ANY(%s);

-- name: delete_limit_reports_of_digests
-- A key is the digest of an email address, alone or after that of a code. The counts of a deleted report are lost, once.
DELETE FROM limit_reports r
WHERE EXISTS (SELECT FROM unnest(r.keys) k, unnest(%s::bytea[]) d WHERE position(d IN k) > 0);

-- name: delete_keys_of_recipient
-- Their scope is a digest of code and address.
DELETE FROM idempotency_keys WHERE reservation_id IN (SELECT reservation_id FROM reservations WHERE recipient_id = %s);

-- name: lock_recipient
-- No text, line of a list or opt-out of the person is stored from here on until the commit.
SELECT FROM recipients WHERE recipient_id = %s FOR UPDATE;

-- name: texts_of_recipient
-- Texts about a person; not why they were erased. Those of former releases are found by what they belong to.
WITH theirs AS (SELECT reservation_id FROM reservations WHERE recipient_id = %(recipient_id)s)
SELECT text_id FROM text_subjects WHERE recipient_id = %(recipient_id)s
UNION
SELECT text_id FROM private_texts JOIN theirs USING (reservation_id) WHERE about = 'unsaid'
UNION
SELECT p.text_id FROM audit a JOIN private_texts p USING (text_id)
WHERE a.act <> 'forgot_person' AND p.about = 'unsaid'
    AND a.subject_id IN (
        SELECT %(recipient_id)s::uuid UNION ALL SELECT reservation_id FROM theirs UNION ALL SELECT unnest(%(code_ids)s::uuid[])
    );

-- name: text_events_of_codes
SELECT topic, state FROM ledger_events WHERE originator_id = ANY(%s) AND position('text_id'::bytea IN state) > 0;

-- name: unsaid_texts
SELECT text_id FROM private_texts WHERE text_id = ANY(%s) AND about = 'unsaid';

-- name: delete_texts
DELETE FROM private_texts WHERE text_id = ANY(%s);

-- name: delete_ended_places
-- Where an erased person waited. Rows serve emails and reports about them, and the age of the address.
DELETE FROM waiting_places p WHERE p.recipient_id = %s AND NOT EXISTS (
    SELECT FROM campaigns c WHERE c.campaign_id = p.campaign_id AND strpos(c.waiting, p.place_id::text) > 0
);

-- name: delete_recipient
DELETE FROM recipients WHERE recipient_id = %s;

-- name: count_other_keys
SELECT (SELECT count(*) FROM code_texts WHERE key_id <> %(master)s OR pepper_id <> %(pepper)s)
    + (SELECT count(*) FROM recipients WHERE key_id <> %(master)s OR pepper_id <> %(pepper)s OR mailbox_digest IS NULL)
    + (SELECT count(*) FROM staff WHERE key_id <> %(master)s OR pepper_id <> %(pepper)s)
    + (SELECT count(*) FROM staff_identities WHERE key_id <> %(master)s OR pepper_id <> %(pepper)s)
    + (SELECT count(*) FROM staff_factors WHERE key_id <> %(master)s)
    + (SELECT count(*) FROM private_texts WHERE key_id <> %(master)s)
    + (SELECT count(*) FROM hand_out_recipients WHERE key_id <> %(master)s)
    + (SELECT count(*) FROM approvals WHERE key_id <> %(master)s);

-- name: codes_of_other_keys
SELECT code_id, digest, pepper_id, sealed, key_id FROM code_texts WHERE (key_id <> %(master)s OR pepper_id <> %(pepper)s) AND code_id > %(after)s
ORDER BY code_id LIMIT %(limit)s;

-- name: recipients_of_other_keys
SELECT recipient_id, digest, pepper_id, sealed, key_id FROM recipients
WHERE (key_id <> %(master)s OR pepper_id <> %(pepper)s OR mailbox_digest IS NULL) AND recipient_id > %(after)s ORDER BY recipient_id LIMIT %(limit)s;

-- name: staff_of_other_keys
SELECT staff_id, digest, pepper_id, sealed, key_id FROM staff WHERE (key_id <> %(master)s OR pepper_id <> %(pepper)s) AND staff_id > %(after)s
ORDER BY staff_id LIMIT %(limit)s;

-- name: identities_of_other_keys
SELECT identity_id, digest, pepper_id, sealed, key_id FROM staff_identities
WHERE (key_id <> %(master)s OR pepper_id <> %(pepper)s) AND identity_id > %(after)s ORDER BY identity_id LIMIT %(limit)s;

-- name: factors_of_other_keys
SELECT factor_id, sealed, key_id FROM staff_factors WHERE key_id <> %(master)s AND factor_id > %(after)s
ORDER BY factor_id LIMIT %(limit)s;

-- name: texts_of_other_keys
SELECT text_id, sealed, key_id FROM private_texts WHERE key_id <> %(master)s AND text_id > %(after)s
ORDER BY text_id LIMIT %(limit)s;

-- name: hand_out_rows_of_other_keys
SELECT code_id, sealed, key_id FROM hand_out_recipients WHERE key_id <> %(master)s AND code_id > %(after)s
ORDER BY code_id LIMIT %(limit)s;

-- name: rekey_hand_out_rows
UPDATE hand_out_recipients AS t SET sealed = n.sealed, key_id = n.key_id
FROM unnest(%s::uuid[], %s::bytea[], %s::smallint[]) AS n (id, sealed, key_id)
WHERE t.code_id = n.id AND t.sealed IS NOT NULL;

-- name: approvals_of_other_keys
SELECT approval_id, sealed, key_id FROM approvals WHERE key_id <> %(master)s AND approval_id > %(after)s
ORDER BY approval_id LIMIT %(limit)s;

-- name: rekey_approvals
UPDATE approvals AS t SET sealed = n.sealed, key_id = n.key_id
FROM unnest(%s::uuid[], %s::bytea[], %s::smallint[]) AS n (id, sealed, key_id)
WHERE t.approval_id = n.id AND t.sealed IS NOT NULL;

-- name: expire_approvals_of_recipient
-- Nothing can be proposed any more about a person who is erased; what is being performed goes on.
UPDATE approvals SET state = 'expired', decided_at = coalesce(%(now)s::timestamptz, expires_at),
    fingerprint = NULL, sealed = NULL, key_id = NULL
WHERE state = 'waiting' AND subject_id IN (
    SELECT %(recipient_id)s::uuid UNION ALL SELECT reservation_id FROM reservations WHERE recipient_id = %(recipient_id)s
);

-- name: hand_out_rows_of_recipient
SELECT hand_out_id, code_id, language, sealed, key_id,
    EXISTS (SELECT FROM opened_codes o WHERE o.code_id = r.code_id), codes
FROM hand_out_recipients r WHERE recipient_id = %s ORDER BY number LIMIT %s;

-- name: suffixes_of_codes
-- Of those of these codes that exist, in the same order.
SELECT t.hint FROM unnest(%s::uuid[]) WITH ORDINALITY AS c (code_id, nth) JOIN code_texts t USING (code_id) ORDER BY c.nth;

-- name: rekey_codes
-- Only what is still as it was read: a person who was forgotten meanwhile stays forgotten.
UPDATE code_texts AS t SET digest = n.digest, pepper_id = n.pepper_id, sealed = n.sealed, key_id = n.key_id
FROM unnest(%s::uuid[], %s::bytea[], %s::smallint[], %s::bytea[], %s::smallint[]) AS n (id, digest, pepper_id, sealed, key_id)
WHERE t.code_id = n.id;

-- name: rekey_recipients
UPDATE recipients AS t SET digest = n.digest, pepper_id = n.pepper_id, mailbox_digest = n.mailbox_digest, sealed = n.sealed, key_id = n.key_id
FROM unnest(%s::uuid[], %s::bytea[], %s::smallint[], %s::bytea[], %s::bytea[], %s::smallint[]) AS n (id, digest, pepper_id, mailbox_digest, sealed, key_id)
WHERE t.recipient_id = n.id;

-- name: rekey_staff
UPDATE staff AS t SET digest = n.digest, pepper_id = n.pepper_id, sealed = n.sealed, key_id = n.key_id
FROM unnest(%s::uuid[], %s::bytea[], %s::smallint[], %s::bytea[], %s::smallint[]) AS n (id, digest, pepper_id, sealed, key_id)
WHERE t.staff_id = n.id;

-- name: rekey_identities
UPDATE staff_identities AS t SET digest = n.digest, pepper_id = n.pepper_id, sealed = n.sealed, key_id = n.key_id
FROM unnest(%s::uuid[], %s::bytea[], %s::smallint[], %s::bytea[], %s::smallint[]) AS n (id, digest, pepper_id, sealed, key_id)
WHERE t.identity_id = n.id;

-- name: rekey_factors
UPDATE staff_factors AS t SET sealed = n.sealed, key_id = n.key_id
FROM unnest(%s::uuid[], %s::bytea[], %s::smallint[]) AS n (id, sealed, key_id)
WHERE t.factor_id = n.id;

-- name: rekey_texts
UPDATE private_texts AS t SET sealed = n.sealed, key_id = n.key_id
FROM unnest(%s::uuid[], %s::bytea[], %s::smallint[]) AS n (id, sealed, key_id)
WHERE t.text_id = n.id;

-- name: refusals_of_other_peppers
SELECT max(at) FROM refusals WHERE pepper_id <> %s;

-- name: codes_of_recipient
-- Those that were handed out to a person or are bound to them.
SELECT code_id FROM handed_out_codes WHERE recipient_id = %(recipient_id)s
UNION
SELECT b.code_id FROM reservations r JOIN code_balances b USING (code_id)
WHERE r.recipient_id = %(recipient_id)s AND r.recipient_id IN (b.owner_id, b.bound_to);

-- name: redeemable_codes_of_recipient
-- Codes that hand-outs sent to a person and that no one else has redeemed. Those of a line with several codes are for the
-- customers of that person, and have no address.
SELECT h.code_id FROM handed_out_codes h JOIN code_balances b USING (code_id)
WHERE h.recipient_id = %s AND h.codes = 1 AND b.revoked_by IS NULL AND NOT EXISTS (
    SELECT FROM reservations r
    WHERE r.code_id = h.code_id AND r.recipient_id <> h.recipient_id AND r.status <> 'refunded'
);

-- name: audit_of_subjects
-- What staff did beside the ledger about a person, their reservations or their codes, and why; who it was is another person's.
SELECT a.at, a.act, a.subject_id, a.text_id FROM audit a
WHERE a.subject_id = ANY(%s) ORDER BY a.audit_id LIMIT %s;

-- name: idempotency_keys_of_reservations
SELECT reservation_id, expires_at FROM idempotency_keys WHERE reservation_id = ANY(%s) ORDER BY expires_at LIMIT %s;

-- name: outbox_of_reservations
SELECT reservation_id, template, written_at, outcome FROM outbox WHERE reservation_id = ANY(%s) ORDER BY written_at LIMIT %s;

-- name: waiting_places_of_person
SELECT p.place_id, p.campaign_id, p.code_id, p.joined_at, p.offered_at, p.outcome,
    coalesce(strpos(c.waiting, p.place_id::text) > 0, false) AS is_waiting
FROM waiting_places p JOIN campaigns c USING (campaign_id) WHERE p.recipient_id = %s ORDER BY is_waiting DESC, p.joined_at LIMIT %s;

-- name: mark_keys_exported
UPDATE key_checks SET exported_at = now() WHERE ring = %s AND key_id = ANY(%s);

-- name: exported_keys
SELECT ring, key_id FROM key_checks WHERE exported_at IS NOT NULL;

-- name: insert_opt_out
-- A person who was erased since has no row to refer to.
INSERT INTO opt_outs (recipient_id, group_name, at)
SELECT recipient_id, %(group)s, %(now)s FROM recipients WHERE recipient_id = %(recipient_id)s
ON CONFLICT (recipient_id, group_name) DO UPDATE SET at = greatest(opt_outs.at, excluded.at);

-- name: delete_opt_out
DELETE FROM opt_outs WHERE recipient_id = %(recipient_id)s AND group_name = %(group)s;

-- name: opt_outs_of_recipient
SELECT group_name, at FROM opt_outs WHERE recipient_id = %s ORDER BY group_name;

-- name: opted_out
-- Who opted out of the emails of a group, or is not written to. Who is both is there twice, the opt-out last.
WITH asked (ids, group_name) AS (VALUES (%s::uuid[], %s))
SELECT o.recipient_id, 'opted_out' AS reason
FROM asked JOIN opt_outs o ON o.recipient_id = ANY(ids) AND o.group_name = asked.group_name
UNION
SELECT s.recipient_id, 'suppressed' FROM asked JOIN suppressed_addresses s ON s.recipient_id = ANY(ids)
WHERE (NOT s.is_of_group OR s.group_name = asked.group_name) AND s.until > now()
ORDER BY reason DESC;

-- name: suppressed
SELECT recipient_id FROM suppressed_addresses
WHERE recipient_id = %s AND (NOT is_of_group OR group_name = %s) AND until > now();

-- name: suppressions_of_recipient
SELECT cause, nullif(group_name, ''), is_of_group, since, until FROM suppressed_addresses
WHERE recipient_id = %s AND until > now()
ORDER BY cause, group_name;

-- name: has_recipient_of_reservation
SELECT EXISTS (
    SELECT FROM reservations JOIN recipients USING (recipient_id) WHERE reservation_id = %s
);

-- name: has_recipient_of_code
SELECT EXISTS (
    SELECT FROM handed_out_codes JOIN recipients USING (recipient_id) WHERE code_id = %s
);

-- name: reported_offer
-- The place on a waiting list that the email of an offer is about, whether it has ended or not.
SELECT p.campaign_id, p.recipient_id, b.group_name
FROM waiting_places p JOIN recipients r USING (recipient_id) LEFT JOIN code_balances b USING (code_id)
WHERE p.place_id = %s;

-- name: suppressions_at
-- Those that stand now and stood at a time: one that was lifted since is not known any more.
SELECT recipient_id, cause, nullif(group_name, ''), is_of_group FROM suppressed_addresses
WHERE recipient_id = ANY(%(ids)s) AND since <= %(at)s AND until > %(at)s
ORDER BY recipient_id, cause, group_name;

-- name: lift_suppressions
DELETE FROM suppressed_addresses WHERE recipient_id = %s;

-- name: has_erased
SELECT EXISTS (SELECT FROM audit WHERE act = 'forgot_person' AND subject_id = %s);

-- name: recipients_after
SELECT recipient_id FROM recipients WHERE recipient_id > %s ORDER BY recipient_id LIMIT %s;

-- name: why_kept
-- Why the addresses of these recipients are kept, the first reason of several; null: they are past their retention.
-- A code waits for the person until it ends, is revoked or redeemed, or its campaign ends; a pause is not an end. The
-- retention begins at the end of the campaign, of the hand-out and of the code, so each end is compared with `before`.
WITH asked AS (
    SELECT recipient_id FROM recipients WHERE recipient_id = ANY(%(recipient_ids)s)
), ends AS NOT MATERIALIZED (
    -- When campaigns ended or will end. Late events of one that staff ended move its end, because the row has no other time.
    SELECT campaign_id, max_per_person, waiting,
        least(ends_at, CASE WHEN ended_by IS NOT NULL THEN last_at END, 'infinity') AS over_at
    FROM campaigns
), uses AS (
    SELECT recipient_id,
        bool_or(r.accepted_at IS NOT NULL) AS has_accepted,
        bool_or(r.case_id IS NOT NULL) AS has_case,
        bool_or(r.status = 'live' OR coalesce(r.lease_until, r.due_at, r.access_due_at) IS NOT NULL OR EXISTS (
            SELECT FROM outbox o WHERE o.reservation_id = r.reservation_id AND o.due_at IS NOT NULL
        )) AS is_open,
        bool_or(r.status <> 'refunded' AND c.max_per_person IS NOT NULL AND c.over_at > %(before)s) AS is_counted,
        max(greatest(r.reserved_at, r.sent_at, r.refunded_at)) AS last_at
    FROM asked JOIN reservations r USING (recipient_id)
    JOIN code_balances b USING (code_id) LEFT JOIN ends c USING (campaign_id)
    GROUP BY recipient_id
), codes AS (
    -- The first code of a line has the emails of all, and is issued last. If its only email did not arrive, the person
    -- has none of the codes; if there were more, an earlier one may have arrived.
    SELECT asked.recipient_id,
        bool_or(b.revoked_by IS NULL AND b.used + b.reserved = 0
            AND (m.mail > 1 OR m.mail_state NOT IN ('failed', 'bounced', 'skipped'))
            AND least(b.expires_at, c.over_at, 'infinity') > %(before)s) AS is_waiting,
        max(greatest(h.handed_out_at, h.changed_at, m.changed_at, b.last_at)) AS last_at
    FROM asked JOIN handed_out_codes h USING (recipient_id) JOIN code_balances b USING (code_id)
    LEFT JOIN handed_out_codes m ON m.code_id = coalesce(h.line_id, h.code_id) LEFT JOIN ends c USING (campaign_id)
    GROUP BY asked.recipient_id
), lines AS (
    -- Lines without a code. Those of an upload that did not end lead to none.
    SELECT recipient_id,
        bool_or(u.ended_at IS NOT NULL AND o.state <> 'ended' AND o.hand_out_id <> ALL(%(expired_hand_outs)s)
            AND c.over_at > %(before)s) AS is_waiting,
        max(CASE WHEN u.ended_at IS NULL THEN u.started_at ELSE greatest(u.ended_at, o.changed_at) END) AS last_at
    FROM asked JOIN hand_out_recipients l USING (recipient_id) JOIN hand_outs o USING (hand_out_id)
    JOIN hand_out_uploads u USING (upload_id) JOIN ends c ON c.campaign_id = o.campaign_id
    WHERE NOT EXISTS (SELECT FROM handed_out_codes h WHERE h.code_id = l.code_id)
    GROUP BY recipient_id
), places AS (
    -- A place on the list is in the state of its campaign; one that has ended is not there.
    SELECT recipient_id,
        bool_or(strpos(c.waiting, p.place_id::text) > 0 AND c.over_at > %(before)s) AS is_waiting,
        max(greatest(p.joined_at, p.offered_at, CASE WHEN c.over_at <= %(now)s THEN c.over_at END)) AS last_at
    FROM asked JOIN waiting_places p USING (recipient_id) JOIN ends c USING (campaign_id)
    GROUP BY recipient_id
)
SELECT recipient_id, CASE
    WHEN uses.has_accepted THEN 'accepted'
    WHEN uses.has_case THEN 'case'
    WHEN uses.is_open OR lines.is_waiting OR places.is_waiting THEN 'open'
    WHEN codes.is_waiting THEN 'code'
    WHEN uses.is_counted THEN 'limit'
    WHEN EXISTS (SELECT FROM opt_outs o WHERE o.recipient_id = asked.recipient_id)
        OR EXISTS (SELECT FROM suppressed_addresses s WHERE s.recipient_id = asked.recipient_id AND s.until > %(now)s)
        THEN 'opt_out'
    WHEN coalesce(greatest(uses.last_at, codes.last_at, lines.last_at, places.last_at), 'infinity') > %(before)s THEN 'recent'
END
FROM asked LEFT JOIN uses USING (recipient_id) LEFT JOIN codes USING (recipient_id) LEFT JOIN lines USING (recipient_id)
LEFT JOIN places USING (recipient_id);

-- name: created_hand_outs_of_lines
-- The first event, which has the terms, of each hand-out that has not ended and has a line of one of these recipients.
SELECT o.hand_out_id, e.topic, e.state FROM hand_outs o
JOIN ledger_events e ON e.originator_id = o.campaign_id AND e.originator_version = o.created_version
WHERE o.state <> 'ended' AND o.hand_out_id IN (SELECT hand_out_id FROM hand_out_recipients WHERE recipient_id = ANY(%s));

-- name: newest_events_of_recipients
-- The newest event of each of their reservations: a case that was closed, and an access that ended, is in no other row.
SELECT r.recipient_id, e.topic, e.state FROM reservations r
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = r.versions[cardinality(r.versions)]
WHERE r.recipient_id = ANY(%s);

-- name: address_retention_progress
SELECT after_id FROM address_retention_progress;

-- name: set_address_retention_progress
UPDATE address_retention_progress SET after_id = %s;
