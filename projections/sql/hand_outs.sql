-- name: hand_out_with_terms
-- With its first event, which has its terms, and the one that changed its rate last.
SELECT h.hand_out_id, h.campaign_id, h.state, h.starts_at, h.created_at, h.changed_at, e.topic, e.state, r.topic, r.state
FROM hand_outs h JOIN ledger_events e ON e.originator_id = h.campaign_id AND e.originator_version = h.created_version
LEFT JOIN ledger_events r ON r.originator_id = h.campaign_id AND r.originator_version = h.rate_version
WHERE h.hand_out_id = %s;

-- name: newest_hand_outs_of_campaign, hand_outs_of_campaign
SELECT h.hand_out_id, h.campaign_id, h.state, h.starts_at, h.created_at, h.changed_at, e.topic, e.state, r.topic, r.state
FROM hand_outs h JOIN ledger_events e ON e.originator_id = h.campaign_id AND e.originator_version = h.created_version
LEFT JOIN ledger_events r ON r.originator_id = h.campaign_id AND r.originator_version = h.rate_version
WHERE h.campaign_id = %s AND (h.created_at, h.hand_out_id) {order.beyond} (%s, %s)
ORDER BY h.created_at{order.turn}, h.hand_out_id{order.turn} LIMIT %s;

-- name: hand_outs_of_ids
SELECT h.hand_out_id, h.campaign_id, h.state, h.starts_at, h.created_at, h.changed_at, e.topic, e.state, r.topic, r.state
FROM hand_outs h JOIN ledger_events e ON e.originator_id = h.campaign_id AND e.originator_version = h.created_version
LEFT JOIN ledger_events r ON r.originator_id = h.campaign_id AND r.originator_version = h.rate_version
WHERE h.hand_out_id = ANY(%s);

-- name: insert_list_recipients
-- A person whom another transaction stored in the meantime keeps that row.
INSERT INTO recipients (recipient_id, digest, pepper_id, sealed, key_id, mailbox_digest)
SELECT * FROM unnest(%s::uuid[], %s::bytea[], %s::smallint[], %s::bytea[], %s::smallint[], %s::bytea[])
ON CONFLICT (substr(digest, 1, 15)) DO NOTHING;

-- name: lock_lists
-- Batches of lists take turns, so that two uploads of the same people in other orders never wait for one another in a
-- ring. Row locks would need the right to change recipients.
SELECT pg_advisory_xact_lock(1818518631, 5);

-- name: insert_upload
INSERT INTO hand_out_uploads (upload_id, hand_out_id, started_at) VALUES (%s, %s, %s);

-- name: may_upload_continue
-- Not after another upload took one of its rows over.
SELECT NOT is_taken_over FROM hand_out_uploads WHERE upload_id = %(upload_id)s;

-- name: take_uploads_over
-- Uploads whose rows the next statement takes over never end: their lists would lack those rows.
UPDATE hand_out_uploads u SET is_taken_over = true
WHERE u.ended_at IS NULL AND NOT u.is_taken_over AND u.upload_id <> %(upload_id)s AND u.upload_id IN (
    SELECT r.upload_id FROM hand_out_recipients r
    WHERE (r.campaign_id = %(campaign_id)s AND r.recipient_id = ANY(%(recipient_ids)s) OR r.code_id = ANY(%(code_ids)s))
        AND NOT EXISTS (SELECT FROM handed_out_codes h WHERE h.code_id = r.code_id)
);

-- name: end_upload
-- From now on its rows are due, all together.
UPDATE hand_out_uploads SET ended_at = %(now)s WHERE upload_id = %(upload_id)s AND NOT is_taken_over;

-- name: start_pace
INSERT INTO hand_out_pace (hand_out_id, next_at) VALUES (%s, %s) ON CONFLICT DO NOTHING;

-- name: release_codes
-- Rows of other recipients that lead to nothing leave their codes to this upload, for the ids of codes that do not exist.
UPDATE hand_out_recipients r SET code_id = new.fresh_id, sealed = NULL, key_id = NULL, attempts = 0, is_asked = false
FROM unnest(%(code_ids)s::uuid[], %(recipient_ids)s::uuid[], %(fresh_ids)s::uuid[])
    AS new (code_id, recipient_id, fresh_id)
WHERE r.code_id = new.code_id AND r.recipient_id <> new.recipient_id AND r.upload_id <> %(upload_id)s;

-- name: insert_list_rows
-- A recipient who is in a list of the campaign already keeps that row, and the id of the code with it. Rows that lead to
-- nothing are taken over, and sealed again later: those of an upload that did not end, and those of an ended hand-out that issued no code.
-- They keep the id of a code that is not issued, because a worker may be issuing it. So a list that names codes does not
-- take over a row that was leased for a new code. A line of which a worker issued a part gets a new id, because those
-- codes have the terms of the hand-out that ended; while that worker may go on, the line is not taken over.
INSERT INTO hand_out_recipients AS old
    (code_id, campaign_id, recipient_id, hand_out_id, upload_id, language, codes, due_at)
SELECT new.code_id, %(campaign_id)s, new.recipient_id, %(hand_out_id)s, %(upload_id)s, new.language, new.codes, %(now)s
FROM unnest(%(code_ids)s::uuid[], %(recipient_ids)s::uuid[], %(languages)s::text[], %(codes)s::smallint[])
    WITH ORDINALITY AS new (code_id, recipient_id, language, codes, nth)
ORDER BY new.nth
ON CONFLICT (campaign_id, recipient_id) DO UPDATE SET
    code_id = CASE WHEN %(names_codes)s OR EXISTS (SELECT FROM code_texts t WHERE t.code_id = old.code_id)
            OR EXISTS (SELECT FROM handed_out_codes m WHERE m.line_id = old.code_id)
        THEN excluded.code_id ELSE old.code_id END,
    hand_out_id = excluded.hand_out_id, upload_id = excluded.upload_id, number = DEFAULT, language = excluded.language,
    codes = excluded.codes, sealed = NULL, key_id = NULL, due_at = excluded.due_at, attempts = 0, is_asked = false
WHERE old.upload_id <> excluded.upload_id
    AND NOT EXISTS (SELECT FROM handed_out_codes h WHERE h.code_id = old.code_id)
    AND (
        NOT %(names_codes)s OR (old.attempts = 0 AND NOT old.is_asked)
        OR EXISTS (SELECT FROM code_texts t WHERE t.code_id = old.code_id)
    )
    AND (
        EXISTS (SELECT FROM hand_out_uploads u WHERE u.upload_id = old.upload_id AND u.ended_at IS NULL)
        OR (
            EXISTS (SELECT FROM hand_outs h WHERE h.hand_out_id = old.hand_out_id AND h.state = 'ended')
            AND (old.codes = 1 OR old.leased_until IS NULL OR old.leased_until <= %(now)s)
        )
    )
RETURNING old.recipient_id, old.code_id;

-- name: seal_list_rows
UPDATE hand_out_recipients AS r SET sealed = new.sealed, key_id = new.key_id
FROM unnest(%s::uuid[], %s::bytea[], %s::smallint[]) AS new (code_id, sealed, key_id)
WHERE r.code_id = new.code_id;

-- name: listed_recipients
-- Those of these recipients who have a row that leads to a code of the campaign. For a list that names codes, a row that
-- was leased may: its worker may be issuing a new code while the row is taken over. So may a leased line with several
-- codes for any list. So does a row of the upload itself.
SELECT r.recipient_id FROM hand_out_recipients r
WHERE r.campaign_id = %(campaign_id)s AND r.recipient_id = ANY(%(recipient_ids)s) AND (
    r.upload_id = %(upload_id)s::uuid
    OR EXISTS (SELECT FROM handed_out_codes h WHERE h.code_id = r.code_id)
    OR (
        %(names_codes)s AND (r.attempts > 0 OR r.is_asked)
        AND NOT EXISTS (SELECT FROM code_texts t WHERE t.code_id = r.code_id)
    )
    OR (
        EXISTS (SELECT FROM hand_out_uploads u WHERE u.upload_id = r.upload_id AND u.ended_at IS NOT NULL)
        AND (
            (r.codes > 1 AND r.leased_until > %(now)s)
            OR NOT EXISTS (SELECT FROM hand_outs h WHERE h.hand_out_id = r.hand_out_id AND h.state = 'ended')
        )
    )
);

-- name: rows_of_mailboxes
-- Recipients with a row of the campaign whose mailbox has one of these digests, some of each.
SELECT d.digest, p.recipient_id FROM unnest(%(digests)s::bytea[]) AS d (digest)
CROSS JOIN LATERAL (
    SELECT p.recipient_id FROM recipients p JOIN hand_out_recipients r USING (recipient_id)
    WHERE p.mailbox_digest = d.digest AND r.campaign_id = %(campaign_id)s LIMIT %(most)s
) p;

-- name: given_codes
-- Those of these codes that a hand-out has sent, or that a row of a list leads to.
SELECT code_id FROM handed_out_codes WHERE code_id = ANY(%(code_ids)s)
UNION
SELECT r.code_id FROM hand_out_recipients r
JOIN hand_out_uploads u ON u.upload_id = r.upload_id AND u.ended_at IS NOT NULL
WHERE r.code_id = ANY(%(code_ids)s)
    AND NOT EXISTS (SELECT FROM hand_outs h WHERE h.hand_out_id = r.hand_out_id AND h.state = 'ended');

-- name: list_people
-- A page of a hand-out's list in the order of the file, with what its states follow from. `facts`: what they may be, as
-- `PersonFacts.key` writes them; NULL is no condition. A suppressed address gets no code. A line with several
-- codes is redeemed, or over, when none of its codes waits any more.
SELECT r.number, r.code_id, r.recipient_id, r.language, r.attempts, h.mail, h.mail_state, h.reminder, h.handed_out_at,
    h.changed_at, CASE WHEN r.codes = 1 THEN coalesce(b.used + b.reserved, 0) WHEN line.waiting = 0 THEN line.redeemed
        ELSE 0 END::bigint,
    CASE WHEN r.codes = 1 THEN b.expires_at END,
    CASE WHEN r.codes = 1 THEN b.revoked_by IS NOT NULL ELSE h.code_id IS NOT NULL AND line.waiting = 0 END,
    r.codes, CASE WHEN r.codes = 1 THEN (coalesce(b.used + b.reserved, 0) > 0)::int ELSE line.redeemed END,
    o.recipient_id IS NOT NULL,
    h.code_id IS NULL AND EXISTS (
        SELECT FROM suppressed_addresses s
        WHERE s.recipient_id = r.recipient_id AND (NOT s.is_of_group OR s.group_name = %(group)s) AND s.until > now()
    )
FROM hand_out_recipients r
JOIN hand_out_uploads u ON u.upload_id = r.upload_id AND u.ended_at IS NOT NULL
LEFT JOIN handed_out_codes h ON h.code_id = r.code_id
LEFT JOIN code_balances b ON b.code_id = r.code_id
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE c.used + c.reserved > 0) AS redeemed, count(*) FILTER (
        WHERE c.used + c.reserved = 0 AND c.revoked_by IS NULL AND (c.expires_at IS NULL OR c.expires_at > %(now)s)
    ) AS waiting
    FROM handed_out_codes o JOIN code_balances c USING (code_id)
    WHERE r.codes > 1 AND (o.code_id = r.code_id OR o.line_id = r.code_id)
) line ON true
LEFT JOIN opt_outs o ON o.recipient_id = r.recipient_id AND o.group_name = %(group)s
WHERE r.hand_out_id = %(hand_out_id)s AND r.number > %(after)s AND (%(facts)s::text[] IS NULL OR concat_ws(
    ' ', coalesce(h.mail_state, 'none'),
    CASE WHEN h.reminder IS NULL THEN 'none' WHEN h.reminder = h.mail THEN 'newest' ELSE 'earlier' END,
    CASE WHEN r.codes = 1 THEN coalesce(b.used + b.reserved, 0) > 0 ELSE line.waiting = 0 AND line.redeemed > 0 END,
    CASE WHEN r.codes = 1 THEN coalesce(b.expires_at <= %(now)s, false) OR b.revoked_by IS NOT NULL
        ELSE h.code_id IS NOT NULL AND line.waiting = 0 END,
    o.recipient_id IS NOT NULL,
    h.code_id IS NULL AND EXISTS (
        SELECT FROM suppressed_addresses s
        WHERE s.recipient_id = r.recipient_id AND (NOT s.is_of_group OR s.group_name = %(group)s) AND s.until > now()
    )
) = ANY(%(facts)s::text[]))
ORDER BY r.number LIMIT %(limit)s;

-- name: person_of_code
SELECT r.number, r.code_id, r.recipient_id, r.language, r.attempts, h.mail, h.mail_state, h.reminder, h.handed_out_at,
    h.changed_at, CASE WHEN r.codes = 1 THEN coalesce(b.used + b.reserved, 0) WHEN line.waiting = 0 THEN line.redeemed
        ELSE 0 END::bigint,
    CASE WHEN r.codes = 1 THEN b.expires_at END,
    CASE WHEN r.codes = 1 THEN b.revoked_by IS NOT NULL ELSE h.code_id IS NOT NULL AND line.waiting = 0 END,
    r.codes, CASE WHEN r.codes = 1 THEN (coalesce(b.used + b.reserved, 0) > 0)::int ELSE line.redeemed END,
    EXISTS (SELECT FROM opt_outs o WHERE o.recipient_id = r.recipient_id AND o.group_name = %(group)s),
    h.code_id IS NULL AND EXISTS (
        SELECT FROM suppressed_addresses s
        WHERE s.recipient_id = r.recipient_id AND (NOT s.is_of_group OR s.group_name = %(group)s) AND s.until > now()
    )
FROM hand_out_recipients r
JOIN hand_out_uploads u ON u.upload_id = r.upload_id AND u.ended_at IS NOT NULL
LEFT JOIN handed_out_codes h ON h.code_id = r.code_id
LEFT JOIN code_balances b ON b.code_id = r.code_id
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE c.used + c.reserved > 0) AS redeemed, count(*) FILTER (
        WHERE c.used + c.reserved = 0 AND c.revoked_by IS NULL AND (c.expires_at IS NULL OR c.expires_at > %(now)s)
    ) AS waiting
    FROM handed_out_codes o JOIN code_balances c USING (code_id)
    WHERE r.codes > 1 AND (o.code_id = r.code_id OR o.line_id = r.code_id)
) line ON true
WHERE r.hand_out_id = %(hand_out_id)s AND r.code_id = %(code_id)s;

-- name: code_of_recipient
SELECT code_id FROM hand_out_recipients WHERE recipient_id = ANY(%s) AND hand_out_id = %s LIMIT 1;

-- name: count_listed
-- How many of these hand-outs, in their order, have at most so many rows in their lists together. It reads no more rows.
WITH RECURSIVE page AS (
    SELECT * FROM unnest(%(hand_out_ids)s::uuid[]) WITH ORDINALITY AS p (hand_out_id, nth)
), sums AS (
    SELECT 0::bigint AS nth, 0::bigint AS listed
    UNION ALL
    SELECT p.nth, s.listed + (
        SELECT count(*) FROM (
            SELECT FROM hand_out_recipients r WHERE r.hand_out_id = p.hand_out_id LIMIT %(most)s + 1 - s.listed
        ) rows
    )
    FROM sums s JOIN page p ON p.nth = s.nth + 1
    WHERE s.listed <= %(most)s
)
SELECT max(nth) FROM sums WHERE listed <= %(most)s;

-- name: place_of_code
SELECT hand_out_id, recipient_id FROM handed_out_codes WHERE code_id = %s;

-- name: codes_of_line
-- None before its first code exists: that is the last one, and others may still be issued.
SELECT code_id FROM handed_out_codes
WHERE ((code_id = %s AND line_id IS NULL) OR line_id = %s) AND EXISTS (SELECT FROM handed_out_codes WHERE code_id = %s);

-- name: places_of_recipient
-- The rows of a recipient in the lists of all campaigns, newest first.
SELECT r.number, r.hand_out_id, r.code_id
FROM hand_out_recipients r
JOIN hand_out_uploads u ON u.upload_id = r.upload_id AND u.ended_at IS NOT NULL
WHERE r.recipient_id = %s AND r.number < %s
ORDER BY r.number DESC LIMIT %s;

-- name: count_places_of_recipient
SELECT count(*) FROM hand_out_recipients r
JOIN hand_out_uploads u ON u.upload_id = r.upload_id AND u.ended_at IS NOT NULL
WHERE r.recipient_id = %s;

-- name: count_people
-- The ids are given twice: as a list of constants they tell the planner how few of the rows are counted.
SELECT r.hand_out_id, h.mail, h.mail_state, h.reminder,
    CASE WHEN r.codes = 1 THEN coalesce(b.used + b.reserved, 0) > 0 ELSE line.waiting = 0 AND line.redeemed > 0 END,
    r.codes = 1 AND b.expires_at <= %(now)s,
    CASE WHEN r.codes = 1 THEN b.revoked_by IS NOT NULL ELSE h.code_id IS NOT NULL AND line.waiting = 0 END,
    o.recipient_id IS NOT NULL,
    h.code_id IS NULL AND EXISTS (
        SELECT FROM suppressed_addresses s
        WHERE s.recipient_id = r.recipient_id AND (NOT s.is_of_group OR s.group_name = page.group_name) AND s.until > now()
    ),
    count(*), sum(r.codes)::bigint
FROM unnest(%(hand_out_ids)s::uuid[], %(groups)s::text[]) AS page (hand_out_id, group_name)
JOIN hand_out_recipients r ON r.hand_out_id = page.hand_out_id
JOIN hand_out_uploads u ON u.upload_id = r.upload_id AND u.ended_at IS NOT NULL
LEFT JOIN handed_out_codes h ON h.code_id = r.code_id
LEFT JOIN code_balances b ON b.code_id = r.code_id
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE c.used + c.reserved > 0) AS redeemed, count(*) FILTER (
        WHERE c.used + c.reserved = 0 AND c.revoked_by IS NULL AND (c.expires_at IS NULL OR c.expires_at > %(now)s)
    ) AS waiting
    FROM handed_out_codes o JOIN code_balances c USING (code_id)
    WHERE r.codes > 1 AND (o.code_id = r.code_id OR o.line_id = r.code_id)
) line ON true
LEFT JOIN opt_outs o ON o.recipient_id = r.recipient_id AND o.group_name = page.group_name
WHERE r.hand_out_id = ANY(%(hand_out_ids)s::uuid[])
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;

-- name: values_of_queued
-- The values of variables of recipients who wait for an email, in the order of the list.
SELECT number, code_id, language, sealed, key_id FROM hand_out_recipients
WHERE hand_out_id = %s AND due_at IS NOT NULL AND number > %s ORDER BY number LIMIT %s;

-- name: code_texts_of_ids
SELECT code_id, digest, pepper_id, sealed, key_id FROM code_texts WHERE code_id = ANY(%s);

-- name: handed_out_of_ids
SELECT code_id, mail, mail_state, reminder, changed_at FROM handed_out_codes WHERE code_id = ANY(%s);

-- name: reminding_campaigns
-- Campaigns that remind and whose codes can be redeemed now: more uses are left than people wait for.
SELECT campaign_id, quiet_hours FROM campaigns c
WHERE remind_days IS NOT NULL AND ended_by IS NULL AND NOT is_paused
    AND (c.starts_at IS NULL OR c.starts_at <= %(now)s) AND (c.ends_at IS NULL OR c.ends_at > %(now)s)
    AND (c.max_uses IS NULL OR c.max_uses - occupied > json_array_length(coalesce(waiting, '[]')::json));

-- name: due_reminders
-- Sent codes of these campaigns which end within so many days, they or their campaign, and are not redeemed. An email
-- that was sent within those days needs no reminder; one of the future was sent by a wrong clock. The second part has
-- lines with several codes by their first code, each with another of its codes that is not redeemed.
SELECT DISTINCT ON (code_id) code_id, waiting_id FROM (
    (SELECT h.code_id, h.code_id AS waiting_id
    FROM campaigns c
    JOIN hand_outs o ON o.campaign_id = c.campaign_id
        AND (o.state = 'running' OR (o.state = 'scheduled' AND o.starts_at <= %(now)s))
    JOIN handed_out_codes h ON h.hand_out_id = o.hand_out_id
    JOIN hand_out_recipients r ON r.code_id = h.code_id AND r.due_at IS NULL
    JOIN code_balances b ON b.code_id = h.code_id
    WHERE c.campaign_id = ANY(%(campaign_ids)s)
        AND h.mail_state = 'sent' AND h.reminder IS NULL
        AND least(b.expires_at, c.ends_at) > %(now)s
        AND least(b.expires_at, c.ends_at) <= %(now)s + make_interval(days => c.remind_days::int)
        AND (h.changed_at > %(now)s
            OR least(b.expires_at, c.ends_at) > h.changed_at + make_interval(days => c.remind_days::int))
        AND b.used + b.reserved = 0 AND b.revoked_by IS NULL AND NOT b.is_paused
        AND NOT EXISTS (
            SELECT FROM opt_outs p
            WHERE p.recipient_id = h.recipient_id AND p.group_name = coalesce(b.group_name, '')
        )
    LIMIT %(limit)s)
    UNION ALL
    (SELECT DISTINCT ON (h.code_id) h.code_id, m.code_id
    FROM campaigns c
    JOIN hand_outs o ON o.campaign_id = c.campaign_id
        AND (o.state = 'running' OR (o.state = 'scheduled' AND o.starts_at <= %(now)s))
    JOIN handed_out_codes m ON m.hand_out_id = o.hand_out_id AND m.line_id IS NOT NULL
    JOIN handed_out_codes h ON h.code_id = m.line_id
    JOIN hand_out_recipients r ON r.code_id = h.code_id AND r.due_at IS NULL
    JOIN code_balances b ON b.code_id = m.code_id
    WHERE c.campaign_id = ANY(%(campaign_ids)s)
        AND h.mail_state = 'sent' AND h.reminder IS NULL
        AND least(b.expires_at, c.ends_at) > %(now)s
        AND least(b.expires_at, c.ends_at) <= %(now)s + make_interval(days => c.remind_days::int)
        AND (h.changed_at > %(now)s
            OR least(b.expires_at, c.ends_at) > h.changed_at + make_interval(days => c.remind_days::int))
        AND b.used + b.reserved = 0 AND b.revoked_by IS NULL AND NOT b.is_paused
        AND NOT EXISTS (
            SELECT FROM opt_outs p
            WHERE p.recipient_id = h.recipient_id AND p.group_name = coalesce(b.group_name, '')
        )
    LIMIT %(limit)s)
) due
LIMIT %(limit)s;

-- name: redeem_windows
SELECT b.code_id, b.revoked_by IS NOT NULL, b.used + b.reserved > 0, b.starts_at, b.expires_at, c.starts_at, c.ends_at
FROM code_balances b LEFT JOIN campaigns c ON c.campaign_id = b.campaign_id WHERE b.code_id = ANY(%s);

-- name: take_due_hand_out
-- One hand-out with due rows whose campaign takes reservations of people who are not on its waiting list. Its row of the
-- pace is locked while rows are taken.
-- With the event that has its rate.
SELECT p.hand_out_id, c.quiet_hours, p.next_at, p.claimed_at, p.claimed_rows, e.topic, e.state FROM hand_out_pace p
JOIN hand_outs h USING (hand_out_id) JOIN campaigns c USING (campaign_id)
JOIN ledger_events e
    ON e.originator_id = h.campaign_id AND e.originator_version = coalesce(h.rate_version, h.created_version)
WHERE (h.state = 'running' OR (h.state = 'scheduled' AND h.starts_at <= %(now)s)) AND p.next_at <= %(now)s
    AND c.ended_by IS NULL AND NOT c.is_paused
    AND (c.ends_at IS NULL OR c.ends_at > %(now)s)
    AND (c.max_uses IS NULL OR c.max_uses - c.occupied > json_array_length(coalesce(c.waiting, '[]')::json))
    AND EXISTS (
        SELECT FROM hand_out_recipients r JOIN hand_out_uploads u USING (upload_id)
        WHERE r.hand_out_id = p.hand_out_id AND r.due_at <= %(now)s AND u.ended_at IS NOT NULL
    )
ORDER BY p.next_at LIMIT 1 FOR UPDATE OF p SKIP LOCKED;

-- name: take_due_rows
-- `may_have_arrived` stays true if the worker stores no outcome; what it was before is returned. Rows behind `codes_max`
-- codes wait for the next lease.
UPDATE hand_out_recipients r SET
    due_at = %(leased_until)s, leased_until = %(leased_until)s, attempts = attempts + 1, attempted_at = %(now)s,
    may_have_arrived = true
FROM (
    SELECT code_id, may_have_arrived, sum(codes) OVER (ORDER BY due_at, number) - codes AS codes_before FROM (
        SELECT r.code_id, r.may_have_arrived, r.codes, r.due_at, r.number
        FROM hand_out_recipients r JOIN hand_out_uploads u USING (upload_id)
        WHERE r.hand_out_id = %(hand_out_id)s AND r.due_at <= %(now)s AND u.ended_at IS NOT NULL
        ORDER BY r.due_at, r.number LIMIT %(limit)s FOR UPDATE OF r SKIP LOCKED
    ) locked
) due
WHERE r.code_id = due.code_id AND due.codes_before < %(codes_max)s
RETURNING
    r.code_id, r.hand_out_id, r.recipient_id, r.language, r.sealed, r.key_id, r.attempts, due.may_have_arrived, r.codes;

-- name: take_asked_rows
-- Emails that staff asked for: neither the rate nor the state of the hand-out delays them.
UPDATE hand_out_recipients r SET
    due_at = %(leased_until)s, leased_until = %(leased_until)s, attempts = attempts + 1, attempted_at = %(now)s,
    may_have_arrived = true
FROM (
    SELECT code_id, may_have_arrived, sum(codes) OVER (ORDER BY due_at, number) - codes AS codes_before FROM (
        SELECT code_id, may_have_arrived, codes, due_at, number FROM hand_out_recipients WHERE is_asked AND due_at <= %(now)s
        ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ) locked
) due
WHERE r.code_id = due.code_id AND due.codes_before < %(codes_max)s
RETURNING
    r.code_id, r.hand_out_id, r.recipient_id, r.language, r.sealed, r.key_id, r.attempts, due.may_have_arrived, r.codes;

-- name: set_pace
UPDATE hand_out_pace SET next_at = %s, claimed_at = %s::timestamptz[], claimed_rows = %s::integer[]
WHERE hand_out_id = %s;

-- name: finish_rows
-- `due_at`: when to try again; null for never. Whoever asked for the email has it then. A row whose lease was lost, or
-- that staff asked for since, stays due: what ended is not what is wanted now.
UPDATE hand_out_recipients r SET
    due_at = new.due_at, leased_until = NULL, attempts = new.attempts,
    is_asked = r.is_asked AND new.due_at IS NOT NULL,
    may_have_arrived = new.may_have_arrived AND new.due_at IS NOT NULL
FROM unnest(%s::uuid[], %s::timestamptz[], %s::smallint[], %s::timestamptz[], %s::boolean[])
    AS new (code_id, due_at, attempts, leased_until, may_have_arrived)
WHERE r.code_id = new.code_id AND r.due_at = new.leased_until;

-- name: ask_for_row
-- A row that may be leased is not due before its lease ends, or two workers would send the same email. The microsecond
-- keeps that worker from ending the row.
UPDATE hand_out_recipients SET attempts = 0, is_asked = true, due_at = CASE
    WHEN due_at > %(now)s AND due_at <= %(leased_until)s THEN due_at + interval '1 microsecond' ELSE %(now)s
END
WHERE code_id = %(code_id)s AND hand_out_id = %(hand_out_id)s;

-- name: insert_opened_code
-- The row of the list is locked, so that it is not deleted before the new row refers to it.
INSERT INTO opened_codes (code_id)
SELECT r.code_id FROM code_texts t JOIN handed_out_codes h USING (code_id) JOIN hand_out_recipients r USING (code_id)
WHERE t.digest = ANY(%s) AND NOT EXISTS (SELECT FROM opened_codes o WHERE o.code_id = r.code_id)
FOR KEY SHARE OF r
ON CONFLICT DO NOTHING;

-- name: save_list_report
INSERT INTO list_reports AS old (hand_out_id, staff_id, report_id, report, reported_at)
VALUES (%(hand_out_id)s, %(staff_id)s, %(report_id)s, %(report)s, %(now)s)
ON CONFLICT (hand_out_id, staff_id) DO UPDATE SET
    report_id = excluded.report_id, report = excluded.report, reported_at = excluded.reported_at;

-- name: list_report
SELECT report FROM list_reports WHERE hand_out_id = %s AND report_id = %s;
