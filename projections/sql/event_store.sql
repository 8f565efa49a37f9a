-- Events of reservations are read in a subquery that OFFSET keeps apart: the planner must read each by its key, also in
-- a plan that it made when there were hardly any (projections.database.connection.BY_INDEX_OPTIONS).

-- name: hand_out_of_id
-- With the event that has its rate.
SELECT h.campaign_id, h.state, h.starts_at, e.topic, e.state
FROM hand_outs h JOIN ledger_events e
    ON e.originator_id = h.campaign_id AND e.originator_version = coalesce(h.rate_version, h.created_version)
WHERE h.hand_out_id = %s;

-- name: listed_places
SELECT code_id, hand_out_id, recipient_id FROM hand_out_recipients WHERE code_id = %s OR (campaign_id = %s AND recipient_id = %s);

-- name: insert_given_code
-- A list with one recipient and a code that exists, ended: the email is due.
WITH upload AS (
    INSERT INTO hand_out_uploads (upload_id, hand_out_id, started_at, ended_at)
    VALUES (%(upload_id)s, %(hand_out_id)s, %(now)s, %(now)s)
), pace AS (
    INSERT INTO hand_out_pace (hand_out_id, next_at) VALUES (%(hand_out_id)s, %(now)s) ON CONFLICT DO NOTHING
)
INSERT INTO hand_out_recipients
    (code_id, campaign_id, recipient_id, hand_out_id, upload_id, language, sealed, key_id, due_at)
VALUES (
    %(code_id)s, %(campaign_id)s, %(recipient_id)s, %(hand_out_id)s, %(upload_id)s, %(language)s, %(sealed)s::bytea,
    %(key_id)s::smallint, %(now)s
);

-- name: texts_of_hand_outs
SELECT hand_out_id, language, subject, body FROM hand_out_texts WHERE hand_out_id = ANY(%s);

-- name: save_hand_out_texts
INSERT INTO hand_out_texts (hand_out_id, language, subject, body)
SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::text[])
ON CONFLICT (hand_out_id, language) DO UPDATE SET subject = excluded.subject, body = excluded.body;

-- name: known_texts
SELECT text_id FROM private_texts WHERE text_id = ANY(%s);

-- name: suppressions_of_recipients
-- Why addresses are not written to, in the order of causes and groups.
SELECT recipient_id, cause, group_name, is_of_group FROM suppressed_addresses
WHERE recipient_id = ANY(%s::uuid[]) AND until > %s
ORDER BY recipient_id, cause, group_name;

-- name: events_of_held_reservations
-- Reservations of revoked codes that are held and not being sent: the first ones, for one command.
SELECT r.reservation_id, e.originator_id, e.originator_version, e.topic, e.state
FROM unnest(%s::uuid[]) AS want (code_id)
CROSS JOIN LATERAL (
    SELECT * FROM reservations r
    WHERE r.code_id = want.code_id AND r.status = 'live' AND r.lease_until IS NULL AND r.case_id IS NULL
    ORDER BY r.deadline
    LIMIT %s
) r
CROSS JOIN LATERAL (
    SELECT * FROM ledger_events WHERE originator_id = r.code_id AND originator_version = ANY(r.versions) OFFSET 0
) e
ORDER BY r.reservation_id, e.originator_version;

-- name: insert_revocations
{revocations.upsert};

-- name: events_of_request
-- A stretch of the log of bounded length, newest first: request ids have no index, for every event would pay for it.
SELECT originator_id, max(originator_version) FROM (
    SELECT originator_id, originator_version, state, notification_id FROM ledger_events
    WHERE notification_id < %(before)s ORDER BY notification_id DESC LIMIT %(stretch)s
) stretch
WHERE position(%(packed)s::bytea IN state) > 0 OR position(%(json)s::bytea IN state) > 0
GROUP BY originator_id ORDER BY max(notification_id) DESC LIMIT %(limit)s;

-- name: events_of_rebinds
-- Live and sent rebinds that move the access of these reservations.
SELECT r.reservation_id, e.originator_id, e.originator_version, e.topic, e.state
FROM reservations r
CROSS JOIN LATERAL (
    SELECT * FROM ledger_events WHERE originator_id = r.code_id AND originator_version = ANY(r.versions) OFFSET 0
) e
WHERE r.follows = ANY(%s) AND r.kind = 'rebind' AND r.status <> 'refunded'
ORDER BY r.reservation_id, e.originator_version;

-- name: code_ids_of_digests
SELECT digest, code_id FROM code_texts WHERE digest = ANY(%s);

-- name: code_ids_of_reservations
SELECT reservation_id, code_id FROM reservations WHERE reservation_id = ANY(%s);

-- name: codes_of_digests
-- With the campaign of each code, so that a code which this process has not seen yet costs no further query.
SELECT t.digest, t.code_id, b.campaign_id
FROM code_texts t LEFT JOIN code_balances b USING (code_id) WHERE t.digest = ANY(%s);

-- name: codes_of_reservations
SELECT r.reservation_id, r.code_id, b.campaign_id
FROM reservations r JOIN code_balances b USING (code_id) WHERE r.reservation_id = ANY(%s);

-- name: campaigns_of_codes
SELECT code_id, campaign_id FROM code_balances WHERE code_id = ANY(%s);

-- name: uses_of_persons
-- Uses of one campaign that a person has reserved or counted, over all its codes.
SELECT want.campaign_id, want.recipient_id, (
    SELECT count(*) FROM reservations r JOIN code_balances b USING (code_id)
    WHERE r.recipient_id = want.recipient_id AND r.kind = 'redeem' AND r.status <> 'refunded'
        AND b.campaign_id = want.campaign_id AND r.versions[1] > coalesce(b.campaign_since, 1)
        AND r.reserved_at >= coalesce(
            (SELECT c.counts_from FROM campaigns c WHERE c.campaign_id = want.campaign_id), '-infinity')
)
FROM unnest(%s::uuid[], %s::uuid[]) AS want (campaign_id, recipient_id);

-- name: uses_of_mailboxes
-- The same, of all addresses with a person's mailbox, by its digest or by one address. Of an erased person, their own.
-- If someone waits, with those addresses: the person may wait under another one.
SELECT want.campaign_id, want.recipient_id, own.digest, (
    SELECT count(*) FROM reservations r JOIN code_balances b USING (code_id)
    WHERE r.recipient_id = ANY(
        CASE WHEN own.digest IS NULL THEN ARRAY[want.recipient_id]
        ELSE ARRAY(SELECT recipient_id FROM recipients WHERE mailbox_digest = own.digest) END
    ) AND r.kind = 'redeem' AND r.status <> 'refunded'
        AND b.campaign_id = want.campaign_id AND r.versions[1] > coalesce(b.campaign_since, 1)
        AND r.reserved_at >= coalesce(
            (SELECT c.counts_from FROM campaigns c WHERE c.campaign_id = want.campaign_id), '-infinity')
), ARRAY(
    SELECT recipient_id FROM recipients WHERE mailbox_digest = own.digest
        AND EXISTS (SELECT FROM campaigns c WHERE c.campaign_id = want.campaign_id AND c.waiting IS NOT NULL)
)
FROM unnest(%s::uuid[], %s::uuid[], %s::bytea[]) WITH ORDINALITY AS want (campaign_id, recipient_id, digest, nth)
CROSS JOIN LATERAL (
    SELECT coalesce(want.digest, (SELECT mailbox_digest FROM recipients WHERE recipient_id = want.recipient_id)) AS digest
) own
ORDER BY want.nth;

-- name: most_uses_of_a_person
-- By address and by mailbox, and whether there are addresses of which no mailbox is known.
WITH uses AS (
    SELECT r.recipient_id, count(*) AS number FROM code_balances b JOIN reservations r USING (code_id)
    JOIN campaigns c ON c.campaign_id = b.campaign_id
    WHERE b.campaign_id = %s AND r.kind = 'redeem' AND r.status <> 'refunded' AND r.versions[1] > coalesce(b.campaign_since, 1)
        AND r.reserved_at >= coalesce(c.counts_from, '-infinity')
    GROUP BY r.recipient_id
)
SELECT coalesce((SELECT max(number) FROM uses), 0), coalesce((
    SELECT max(number) FROM (
        SELECT sum(number)::bigint AS number FROM uses LEFT JOIN recipients USING (recipient_id)
        GROUP BY coalesce(mailbox_digest, uuid_send(recipient_id))
    ) mailboxes
), 0), EXISTS (SELECT FROM recipients WHERE mailbox_digest IS NULL);

-- name: existing_uses
-- Uses that the codes of a campaign have, the newest first.
SELECT r.code_id, r.reservation_id, r.recipient_id, r.reserved_at FROM code_balances b JOIN reservations r USING (code_id)
WHERE b.campaign_id = %s AND r.kind = 'redeem' AND r.status <> 'refunded' AND r.versions[1] > coalesce(b.campaign_since, 1)
    AND r.reserved_at >= coalesce(%s, '-infinity'::timestamptz)
ORDER BY r.reserved_at DESC, r.reservation_id DESC LIMIT %s;

-- name: earliest_deadlines_of_campaigns
-- The next deadline ahead among some reserved uses that a campaign counts, else the last one that has passed. There are
-- no rows exactly if no such use is reserved. A request must not read thousands of them while it holds the campaign's lock.
SELECT want.campaign_id, coalesce(min(r.deadline) FILTER (WHERE r.deadline > %s), max(r.deadline))
FROM unnest(%s::uuid[]) AS want (campaign_id)
CROSS JOIN LATERAL (
    SELECT r.deadline FROM code_balances b
    JOIN campaigns c ON c.campaign_id = b.campaign_id
    JOIN reservations r ON r.code_id = b.code_id AND r.status = 'live' AND r.kind = 'redeem'
        AND r.reserved_at >= coalesce(c.counts_from, '-infinity')
    WHERE b.campaign_id = want.campaign_id AND b.reserved > 0 LIMIT 100
) r
GROUP BY want.campaign_id;

-- name: lock_streams
-- Held until the transaction ends. The keys come sorted, so that two batches never wait for one another in a ring.
SELECT count(pg_advisory_xact_lock(key)) FROM unnest(%s::bigint[]) AS key;

-- name: lock_append_order
-- The order lock: whoever inserts next gets higher positions, and is visible later.
SELECT pg_advisory_xact_lock(1818518631, 0);

-- name: lock_shared_writer
-- Shared by all who write the read models, before they read or lock anything; whoever swaps their tables takes it alone.
-- A writer that stops in the middle (a frozen process) gives its locks up before those who wait for them give up.
-- Behind a pooler a session may be another server's than it was, and only the transaction can tell.
SELECT pg_advisory_xact_lock_shared(1818518631, 2), set_config('idle_in_transaction_session_timeout', '5s', true),
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint;

-- name: newer_events
-- A bounded page of each stream; whose page is full is asked for again.
SELECT known.nth, e.originator_version, e.topic, e.state
FROM unnest(%s::uuid[], %s::bigint[]) WITH ORDINALITY AS known (code_id, version, nth)
CROSS JOIN LATERAL (
    SELECT originator_id, originator_version, topic, state FROM ledger_events
    WHERE originator_id = known.code_id AND originator_version > known.version
    ORDER BY originator_version LIMIT %s
) e
ORDER BY known.nth, e.originator_version;

-- name: recipient_ids_of_digests
-- The index holds the beginning of each digest; no two recipients have the same one.
SELECT digest, recipient_id FROM recipients
WHERE substr(digest, 1, 15) = ANY(ARRAY(SELECT substr(requested, 1, 15) FROM unnest(%s::bytea[]) AS requested));

-- name: events_of_persons
-- One person's newest reservations on a code, those of each status and kind in turn (a bound, not a page: older ones
-- decide nothing). So neither refunds nor rebinds, however many, hide a use that was sent.
SELECT r.reservation_id, e.originator_id, e.originator_version, e.topic, e.state
FROM unnest(%s::uuid[], %s::uuid[]) AS want (code_id, recipient_id)
CROSS JOIN LATERAL (
    SELECT * FROM reservations r
    WHERE r.code_id = want.code_id AND r.recipient_id = want.recipient_id
    ORDER BY row_number() OVER (PARTITION BY r.status, r.kind ORDER BY r.versions[1] DESC)
    LIMIT 20
) r
CROSS JOIN LATERAL (
    SELECT * FROM ledger_events WHERE originator_id = r.code_id AND originator_version = ANY(r.versions) OFFSET 0
) e
ORDER BY r.reservation_id, e.originator_version;

-- name: events_of_reservations
SELECT r.reservation_id, e.originator_id, e.originator_version, e.topic, e.state
FROM reservations r
CROSS JOIN LATERAL (
    SELECT * FROM ledger_events WHERE originator_id = r.code_id AND originator_version = ANY(r.versions) OFFSET 0
) e
WHERE r.reservation_id = ANY(%s)
ORDER BY r.reservation_id, e.originator_version;

-- name: newer_events_of_reservations
-- Those after a version of each; 0 stands for all.
SELECT r.reservation_id, e.originator_id, e.originator_version, e.topic, e.state
FROM unnest(%s::uuid[], %s::bigint[]) AS known (reservation_id, version)
CROSS JOIN LATERAL (
    SELECT * FROM reservations WHERE reservation_id = known.reservation_id OFFSET 0
) r
CROSS JOIN LATERAL (
    SELECT * FROM ledger_events
    WHERE originator_id = r.code_id AND originator_version = ANY(r.versions) AND originator_version > known.version
    OFFSET 0
) e
WHERE r.versions[cardinality(r.versions)] > known.version
ORDER BY r.reservation_id, e.originator_version;

-- name: events_of_followers
SELECT r.reservation_id, e.originator_id, e.originator_version, e.topic, e.state
FROM reservations r
CROSS JOIN LATERAL (
    SELECT * FROM ledger_events WHERE originator_id = r.code_id AND originator_version = ANY(r.versions) OFFSET 0
) e
WHERE r.follows = ANY(%s) AND r.status <> 'refunded'
ORDER BY r.reservation_id, e.originator_version;

-- name: events_of_newer_reservations
-- Newer live or sent reservations of the same persons on the same codes, and such as follow the same one (a bound, not a
-- page: one is enough). Several of one person's may have the same newer one.
SELECT DISTINCT n.reservation_id, e.originator_id, e.originator_version, e.topic, e.state
FROM reservations r
CROSS JOIN LATERAL (
    SELECT * FROM reservations n
    WHERE n.code_id = r.code_id AND n.recipient_id = r.recipient_id AND n.status <> 'refunded'
        AND n.reservation_id <> r.reservation_id AND (n.versions[1] > r.versions[1] OR n.follows = r.follows)
    ORDER BY (n.follows = r.follows) IS TRUE DESC, n.versions[1] DESC
    LIMIT 20
) n
CROSS JOIN LATERAL (
    SELECT * FROM ledger_events WHERE originator_id = n.code_id AND originator_version = ANY(n.versions) OFFSET 0
) e
WHERE r.reservation_id = ANY(%s)
ORDER BY n.reservation_id, e.originator_version;

-- name: events_of_overdue
-- Reservations on full or held codes that a command may give back on its way, by the time that decides on each code.
SELECT r.reservation_id, e.originator_id, e.originator_version, e.topic, e.state
FROM unnest(%s::uuid[], %s::timestamptz[]) AS want (code_id, now)
CROSS JOIN LATERAL (
    SELECT * FROM reservations r
    WHERE r.code_id = want.code_id AND r.status = 'live' AND r.deadline <= want.now
        AND r.kind = 'redeem' AND r.lease_until IS NULL AND NOT r.ever_unknown AND r.case_id IS NULL
        AND r.due_at IS NOT NULL
    ORDER BY r.deadline
    LIMIT %s
) r
CROSS JOIN LATERAL (
    SELECT * FROM ledger_events WHERE originator_id = r.code_id AND originator_version = ANY(r.versions) OFFSET 0
) e
ORDER BY r.reservation_id, e.originator_version;

-- name: earliest_deadlines
-- Without those that the batch names: it loads them, and may end them before it asks.
SELECT want.code_id, (
    SELECT min(r.deadline) FROM reservations r
    WHERE r.code_id = want.code_id AND r.status = 'live' AND r.kind = 'redeem' AND r.deadline > want.now
        AND r.reservation_id <> ALL(%s::uuid[])
)
FROM unnest(%s::uuid[], %s::timestamptz[]) AS want (code_id, now);

-- name: idempotency_keys
SELECT scope_digest, body_digest, reservation_id
FROM idempotency_keys WHERE scope_digest = ANY(%s) AND expires_at > %s;

-- name: insert_recipients
-- Fails if somebody else inserted one of them meanwhile: the batch is decided again, and then they are known.
{recipients.insert};

-- name: insert_code_texts
{code_texts.insert};

-- name: insert_private_texts
-- With the persons whom they are about; none is stored about a person who was erased.
WITH texts AS MATERIALIZED (
    SELECT t.*, ARRAY(
        SELECT unnest(t.recipient_ids) UNION SELECT h.recipient_id FROM handed_out_codes h WHERE h.code_id = t.code_id
    ) AS persons
    FROM ({new_texts.rows}) AS t ({new_texts.names})
), storable AS (
    SELECT * FROM texts t WHERE NOT EXISTS (
        SELECT FROM unnest(t.persons) AS p (id) WHERE NOT EXISTS (SELECT FROM recipients r WHERE r.recipient_id = p.id)
    )
), stored AS (
    INSERT INTO private_texts (text_id, reservation_id, about, sealed, key_id)
    SELECT text_id, reservation_id, CASE WHEN persons = '{}' THEN 'code' ELSE 'person' END, sealed, key_id FROM storable
)
INSERT INTO text_subjects (text_id, recipient_id) SELECT text_id, unnest(persons) FROM storable;

-- name: insert_events
INSERT INTO ledger_events ({ledger_events.names})
SELECT {ledger_events.names} FROM unnest({ledger_events.arrays}) WITH ORDINALITY AS new ({ledger_events.names}, nth)
ORDER BY nth
RETURNING notification_id;

-- name: insert_outbox
{outbox.insert} ON CONFLICT DO NOTHING;

-- name: insert_waiting_place
INSERT INTO waiting_places (place_id, campaign_id, code_id, recipient_id, joined_at)
VALUES (%(place_id)s, %(campaign_id)s, %(code_id)s, %(recipient_id)s, %(at)s);

-- name: make_waiting_offer_due
-- A renewed offer has an email of its own. One that a worker has leased is due when the lease ends; the microsecond keeps
-- that worker from ending the renewed one.
UPDATE waiting_places SET
    offered_at = %(at)s, attempts = 0, outcome = NULL, due_at = greatest(%(at)s, leased_until),
    leased_until = leased_until + interval '1 microsecond'
WHERE place_id = %(place_id)s;

-- name: make_hand_out_mails_due
-- The emails with handed-out codes that events of this transaction request. A row that a worker has leased is due when
-- the lease ends; the microsecond keeps that worker from ending the row. Staff's requests are sent whatever the rate.
UPDATE hand_out_recipients r SET
    attempts = 0, is_asked = r.is_asked OR new.is_asked,
    may_have_arrived = r.may_have_arrived AND r.due_at IS NOT NULL AND r.due_at > new.due_at,
    due_at = CASE WHEN r.due_at > new.due_at THEN r.due_at + interval '1 microsecond' ELSE new.due_at END
FROM (
    SELECT old.code_id, new.due_at, new.is_asked
    FROM unnest(%s::uuid[], %s::timestamptz[], %s::boolean[]) AS new (code_id, due_at, is_asked)
    JOIN hand_out_recipients old ON old.code_id = new.code_id
    ORDER BY old.code_id FOR UPDATE OF old
) new
WHERE r.code_id = new.code_id;

-- name: insert_idempotency_keys
{idempotency_keys.upsert} WHERE old.expires_at <= %s;

-- name: insert_suppressions
-- None about a person who was erased; a later report of the same cause renews it.
INSERT INTO suppressed_addresses AS old ({suppressed_addresses.names})
SELECT {suppressed_addresses.names} FROM unnest({suppressed_addresses.arrays}) AS new ({suppressed_addresses.names})
WHERE EXISTS (SELECT FROM recipients r WHERE r.recipient_id = new.recipient_id)
ON CONFLICT (recipient_id, cause, group_name) DO UPDATE
SET since = least(old.since, excluded.since), until = greatest(old.until, excluded.until);

-- name: insert_complaints
-- Who complains about the emails of a group wants no more of them that they did not ask for.
INSERT INTO opt_outs (recipient_id, group_name, at)
SELECT recipient_id, group_name, since FROM suppressed_addresses
WHERE recipient_id = ANY(%s::uuid[]) AND is_of_group
ON CONFLICT DO NOTHING;

-- name: insert_rejected_attempts
-- At most so many per code and day (UTC); the count is taken before the rows of this statement.
INSERT INTO refusals ({refusals.names})
SELECT {refusals.names} FROM unnest({refusals.arrays}) WITH ORDINALITY AS new ({refusals.names}, nth)
WHERE new.nth + (
    SELECT count(*) FROM (
        SELECT FROM refusals r
        WHERE r.code_id = new.code_id
            AND r.at >= date_trunc('day', new.at, 'UTC') AND r.at < date_trunc('day', new.at, 'UTC') + interval '1 day'
        LIMIT %s
    ) kept
) <= %s
RETURNING 1;

-- name: count_unknown_codes
INSERT INTO unknown_code_tries AS old (minute, reason, tries)
VALUES (date_trunc('minute', %s::timestamptz), %s, %s)
ON CONFLICT (minute, reason) DO UPDATE SET tries = old.tries + excluded.tries;

-- name: key_checks
SELECT key_id, check_value FROM key_checks WHERE ring = %s;

-- name: insert_key_check
INSERT INTO key_checks (ring, key_id, check_value) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING;

-- name: stream_events
SELECT notification_id, originator_version, topic, state FROM ledger_events
WHERE originator_id = %s AND originator_version > %s ORDER BY originator_version LIMIT %s;

-- name: stable_position
-- Positions appear in order, so all up to the highest one seen are there.
SELECT coalesce(max(notification_id), 0) FROM ledger_events;

-- name: lock_exclusive_writer
-- Waits until all who write the read models have committed, and keeps others out.
SELECT pg_advisory_xact_lock(1818518631, 2);

-- name: snapshots_of_codes
SELECT s.state FROM code_snapshots s
WHERE s.code_id = ANY(%s) AND s.shape = %s
    AND EXISTS (SELECT FROM ledger_events e WHERE e.originator_id = s.code_id AND e.originator_version = s.version);

-- name: upsert_snapshots
{code_snapshots.upsert}, written_at = now() WHERE old.version < excluded.version;

-- name: codes_with_stale_snapshot
-- Codes whose snapshot is missing or too old: after an upgrade that folds otherwise, or where nobody wrote one.
SELECT b.code_id FROM code_balances b
LEFT JOIN code_snapshots s ON s.code_id = b.code_id AND s.shape = %(shape)s
WHERE b.version >= coalesce(s.version, 0) + %(behind)s
ORDER BY b.code_id LIMIT %(limit)s;

-- name: campaigns_with_stale_snapshot
SELECT b.campaign_id FROM campaigns b
LEFT JOIN code_snapshots s ON s.code_id = b.campaign_id AND s.shape = %(shape)s
WHERE b.version >= coalesce(s.version, 0) + %(behind)s
ORDER BY b.campaign_id LIMIT %(limit)s;

-- name: delete_outdated_snapshots
-- Those of another version of the program, once it has written none for a while.
DELETE FROM code_snapshots WHERE shape <> ALL(%s) AND written_at < now() - interval '1 day';
