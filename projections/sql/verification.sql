-- name: random_codes
-- From a random id on, in order of ids and around the end: cheap at any size, as ids are random themselves. Very long
-- streams are left to `ledger verify`: folding one would take a worker's time limit.
WITH start AS MATERIALIZED (SELECT gen_random_uuid() AS id)
(
    SELECT code_id FROM code_balances WHERE code_id >= (SELECT id FROM start) AND version <= 20000
    ORDER BY code_id LIMIT %(most)s
)
UNION ALL
(
    SELECT code_id FROM code_balances WHERE code_id < (SELECT id FROM start) AND version <= 20000
    ORDER BY code_id LIMIT %(most)s
)
LIMIT %(most)s;

-- name: random_campaigns
WITH start AS MATERIALIZED (SELECT gen_random_uuid() AS id)
(
    SELECT campaign_id FROM campaigns WHERE campaign_id >= (SELECT id FROM start) AND version <= 20000
    ORDER BY campaign_id LIMIT %(most)s
)
UNION ALL
(
    SELECT campaign_id FROM campaigns WHERE campaign_id < (SELECT id FROM start) AND version <= 20000
    ORDER BY campaign_id LIMIT %(most)s
)
LIMIT %(most)s;

-- name: drifted_codes
SELECT code_id FROM drifting_codes LEFT JOIN code_balances b USING (code_id)
WHERE b.version IS NULL OR b.version <= 20000 ORDER BY found_at, code_id LIMIT %s;

-- name: upsert_drifted_codes
{drifting_codes.upsert};

-- name: delete_drifted_codes
DELETE FROM drifting_codes WHERE code_id = ANY(%s);

-- name: delete_all_drifted_codes
DELETE FROM drifting_codes;

-- name: count_drifted_rows
SELECT coalesce(sum(rows), 0)::bigint FROM drifting_codes;

-- name: upsert_verification
INSERT INTO verifications (kind, at, position, events) VALUES (%s, %s, %s, %s)
ON CONFLICT (kind) DO UPDATE SET at = excluded.at, position = excluded.position, events = excluded.events;

-- name: last_verifications
SELECT kind, at, position FROM verifications ORDER BY kind;

-- name: overdue_reservations
-- Neither settled nor parked, although the deadline and any lease are over for longer than a sweep takes. What waits
-- for the removal of a corrected access is due at no time; that access is due, or is a case.
SELECT r.code_id, r.versions[cardinality(r.versions)], e.notification_id, e.topic, r.reservation_id, r.deadline
FROM reservations r
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = r.versions[cardinality(r.versions)]
WHERE r.status = 'live' AND r.case_id IS NULL AND r.due_at IS NOT NULL AND r.deadline < %(before)s
    AND (r.lease_until IS NULL OR r.lease_until < %(before)s)
LIMIT %(most)s;

-- name: wrong_campaigns
-- Campaigns whose uses are not the sum of those of their codes.
SELECT c.campaign_id, c.version, e.notification_id, e.topic, c.occupied, coalesce(b.occupied, 0)
FROM campaigns c
JOIN ledger_events e ON e.originator_id = c.campaign_id AND e.originator_version = c.version
LEFT JOIN (
    SELECT campaign_id, sum(CASE WHEN coalesce(campaign_since, 1) = 1 AND counts_from IS NULL THEN used + reserved ELSE (
        -- Uses from before the code joined the campaign, or from before its limits count, do not count in it.
        SELECT count(*) FROM reservations r WHERE r.code_id = b.code_id AND r.kind = 'redeem'
            AND r.status <> 'refunded' AND r.versions[1] > coalesce(b.campaign_since, 1)
            AND r.reserved_at >= coalesce(counts_from, '-infinity')
    ) END)::bigint AS occupied
    FROM code_balances b JOIN (SELECT campaign_id, counts_from FROM campaigns) counting USING (campaign_id)
    GROUP BY campaign_id
) b USING (campaign_id)
WHERE c.occupied <> CASE WHEN c.counts_uses THEN coalesce(b.occupied, 0) ELSE 0 END
LIMIT %s;

-- name: shared_mailboxes
-- The recipients of each mailbox that had uses in a campaign under several addresses, refunded or not. What the campaign
-- counts now says nothing: its terms may have been others when a use was taken.
SELECT b.campaign_id, array_agg(DISTINCT r.recipient_id)
FROM campaigns c JOIN code_balances b USING (campaign_id) JOIN reservations r USING (code_id)
JOIN recipients p USING (recipient_id)
WHERE c.counts_uses AND r.kind = 'redeem' AND r.versions[1] > coalesce(b.campaign_since, 1)
    AND p.mailbox_digest IS NOT NULL
GROUP BY b.campaign_id, p.mailbox_digest
HAVING count(DISTINCT r.recipient_id) > 1;

-- name: terms_of_campaign
SELECT topic, state FROM ledger_events WHERE originator_id = %s AND topic = ANY(%s);

-- name: snapshots_page
SELECT code_id, version, state FROM code_snapshots
WHERE shape = %s AND code_id > %s ORDER BY code_id LIMIT %s;

-- name: codes_with_blocks
SELECT DISTINCT code_id FROM history_blocks WHERE shape = %s AND code_id > %s ORDER BY code_id LIMIT %s;

-- name: row_of_recipients
-- The first row at or behind a place in the table's file, from 0 to 1. Ids sort by time, so a random id is no fair place.
SELECT recipient_id FROM recipients
WHERE ctid >= format('(%%s,0)', floor(%s * pg_relation_size('recipients') / current_setting('block_size')::int))::tid LIMIT 1;

-- name: row_of_code_texts
SELECT code_id FROM code_texts
WHERE ctid >= format('(%%s,0)', floor(%s * pg_relation_size('code_texts') / current_setting('block_size')::int))::tid LIMIT 1;

-- name: row_of_staff
SELECT staff_id FROM staff
WHERE ctid >= format('(%%s,0)', floor(%s * pg_relation_size('staff') / current_setting('block_size')::int))::tid LIMIT 1;

-- name: row_of_staff_identities
SELECT identity_id FROM staff_identities
WHERE ctid >= format('(%%s,0)', floor(%s * pg_relation_size('staff_identities') / current_setting('block_size')::int))::tid LIMIT 1;

-- name: row_of_staff_factors
SELECT factor_id FROM staff_factors
WHERE ctid >= format('(%%s,0)', floor(%s * pg_relation_size('staff_factors') / current_setting('block_size')::int))::tid LIMIT 1;

-- name: row_of_private_texts
SELECT text_id FROM private_texts
WHERE ctid >= format('(%%s,0)', floor(%s * pg_relation_size('private_texts') / current_setting('block_size')::int))::tid LIMIT 1;

-- name: row_of_hand_out_recipients
SELECT code_id FROM hand_out_recipients
WHERE ctid >= format('(%%s,0)', floor(%s * pg_relation_size('hand_out_recipients') / current_setting('block_size')::int))::tid LIMIT 1;

-- name: page_of_hand_out_recipients
SELECT code_id, sealed, key_id FROM hand_out_recipients WHERE sealed IS NOT NULL AND code_id > %s ORDER BY code_id LIMIT %s;

-- name: row_of_approvals
SELECT approval_id FROM approvals
WHERE ctid >= format('(%%s,0)', floor(%s * pg_relation_size('approvals') / current_setting('block_size')::int))::tid LIMIT 1;

-- name: page_of_approvals
SELECT approval_id, sealed, key_id FROM approvals WHERE sealed IS NOT NULL AND approval_id > %s ORDER BY approval_id LIMIT %s;

-- name: page_of_recipients
SELECT {recipients.names} FROM recipients
WHERE recipient_id > %s ORDER BY recipient_id LIMIT %s;

-- name: page_of_code_texts
SELECT {code_texts.names} FROM code_texts WHERE code_id > %s ORDER BY code_id LIMIT %s;

-- name: page_of_staff
SELECT staff_id, digest, pepper_id, sealed, key_id FROM staff WHERE staff_id > %s ORDER BY staff_id LIMIT %s;

-- name: page_of_staff_identities
SELECT identity_id, digest, pepper_id, sealed, key_id FROM staff_identities WHERE identity_id > %s
ORDER BY identity_id LIMIT %s;

-- name: page_of_staff_factors
SELECT factor_id, sealed, key_id FROM staff_factors WHERE factor_id > %s ORDER BY factor_id LIMIT %s;

-- name: page_of_private_texts
SELECT text_id, sealed, key_id FROM private_texts WHERE text_id > %s ORDER BY text_id LIMIT %s;
