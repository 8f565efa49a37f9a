-- Statements of webhook channels: where a group's invitations go, secrets, and callbacks.

-- name: channel_of_group
-- With its valid secrets, the newest first.
SELECT g.channel_id, g.channel_url, s.text_id, p.sealed, p.key_id
FROM invite_groups g JOIN webhook_secrets s ON s.owner_id = g.channel_id JOIN private_texts p USING (text_id)
WHERE g.name = %(group)s AND g.channel = 'webhook' AND (s.ends_at IS NULL OR s.ends_at > %(now)s)
ORDER BY s.ends_at DESC NULLS FIRST, s.created_at DESC;

-- name: groups_with_channels
SELECT name FROM invite_groups WHERE channel = 'webhook' ORDER BY name LIMIT 10000;

-- name: groups_of_reservations
-- As their codes name them now: for planning only, the event of the reservation is what counts.
SELECT r.reservation_id, b.group_name FROM reservations r JOIN code_balances b USING (code_id)
WHERE r.reservation_id = ANY(%s) AND b.group_name = ANY(%s);

-- name: set_channel_of_group
-- A group without settings gets them, all as usual; the id of a channel stays what it was.
INSERT INTO invite_groups AS old (
    name, subject_zh, text_zh, subject_en, text_en, channel, channel_id, channel_url, changed_at
)
VALUES (%(group)s, '', '', '', '', 'webhook', %(channel_id)s, %(url)s, %(now)s)
ON CONFLICT (name) DO UPDATE SET channel = 'webhook', channel_id = coalesce(old.channel_id, excluded.channel_id),
    channel_url = excluded.channel_url, changed_at = excluded.changed_at
RETURNING channel_id;

-- name: unset_channel_of_group
UPDATE invite_groups SET channel = 'smtp', changed_at = %s WHERE name = %s AND channel = 'webhook' RETURNING channel_id;

-- name: channel_of_id
-- Also of a group that went back to mail: what was sent before is still reported on.
SELECT name, channel, channel_url FROM invite_groups WHERE channel_id = %s;

-- name: list_channels
SELECT channel_id, name, channel, channel_url FROM invite_groups
WHERE channel_id IS NOT NULL AND name > %s ORDER BY name LIMIT %s;

-- name: valid_secrets
SELECT s.text_id, s.created_at, s.ends_at, p.sealed, p.key_id FROM webhook_secrets s JOIN private_texts p USING (text_id)
WHERE s.owner_id = %(owner_id)s AND (s.ends_at IS NULL OR s.ends_at > %(now)s) ORDER BY s.ends_at DESC NULLS FIRST, s.created_at DESC;

-- name: lock_secrets
-- Two rotations of one owner wait for one another.
SELECT pg_advisory_xact_lock(1818518633, hashtext(%s::text));

-- name: end_secrets
-- Those before it: they are valid for a while yet, and none of them for longer than it was.
UPDATE webhook_secrets SET ends_at = least(coalesce(ends_at, %(ends_at)s), %(ends_at)s) WHERE owner_id = %(owner_id)s;

-- name: insert_secret
WITH kept AS (
    INSERT INTO private_texts (text_id, sealed, key_id) VALUES (%(text_id)s, %(sealed)s, %(key_id)s)
)
INSERT INTO webhook_secrets (text_id, owner_id, created_at) VALUES (%(text_id)s, %(owner_id)s, %(now)s);

-- name: drop_ended_secrets
DELETE FROM webhook_secrets WHERE ends_at <= %s RETURNING text_id;

-- name: take_callback
-- No row if it was taken before: of a repeat only one that was signed anew, later and with the same words, is taken.
INSERT INTO callbacks AS old (channel_id, webhook_id, signed_at, body_digest)
VALUES (%s, %s, %s, %s)
ON CONFLICT (channel_id, webhook_id) DO UPDATE SET signed_at = excluded.signed_at
WHERE old.signed_at < excluded.signed_at AND old.body_digest = excluded.body_digest
RETURNING 1;

-- name: refuse_callback
INSERT INTO callback_refusals AS old (channel_id, minute, reason, tries, last_at, last_request_id)
VALUES (%(channel_id)s, date_trunc('minute', %(now)s::timestamptz), %(reason)s, 1, %(now)s, %(request_id)s)
ON CONFLICT (channel_id, minute, reason) DO UPDATE SET
    tries = old.tries + 1, last_at = excluded.last_at, last_request_id = excluded.last_request_id;

-- name: refused_callbacks
SELECT reason, sum(tries)::bigint AS tries, max(last_at) AS last_at FROM callback_refusals
WHERE channel_id = %s AND minute > %s GROUP BY reason ORDER BY last_at DESC;

-- name: prune_callbacks
DELETE FROM callbacks WHERE ctid = ANY(ARRAY(SELECT ctid FROM callbacks WHERE signed_at < %s LIMIT %s));

-- name: prune_callback_refusals
DELETE FROM callback_refusals
WHERE ctid = ANY(ARRAY(SELECT ctid FROM callback_refusals WHERE minute < %s LIMIT %s));
