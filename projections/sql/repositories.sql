-- name: insert_batch
-- Asked for twice by one form, it is one batch.
WITH note AS (
    INSERT INTO private_texts (text_id, about, sealed, key_id)
    SELECT %(text_id)s, 'batch', %(sealed)s, %(key_id)s WHERE %(text_id)s::uuid IS NOT NULL
    ON CONFLICT (text_id) DO NOTHING
)
INSERT INTO batches ({batches.names}) VALUES ({batches.named})
ON CONFLICT (batch_id) DO NOTHING RETURNING batch_id;

-- name: batch_of_id
SELECT {batches.names} FROM batches WHERE batch_id = %s;

-- name: newest_batches, oldest_batches
SELECT {batches.names} FROM batches WHERE (requested_at, batch_id) {order.beyond} (%s, %s)
ORDER BY requested_at{order.turn}, batch_id{order.turn} LIMIT %s;

-- name: claim_batch
-- The oldest one that nobody works on; each goes to one runner.
UPDATE batches SET runner = %(runner)s, lease_until = %(lease_until)s
WHERE batch_id = (
    SELECT batch_id FROM batches
    WHERE state = 'working' AND kind <> 'import' AND (lease_until IS NULL OR lease_until <= %(now)s)
    ORDER BY requested_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING {batches.names};

-- name: break_left_imports
-- The process that had the file is gone, and the file with it.
UPDATE batches SET state = 'broken', ended_at = %(now)s
WHERE state = 'working' AND kind = 'import' AND lease_until <= %(now)s;

-- name: note_batch
-- How far its runner is; no row if it was stopped, or if somebody else has it by now.
UPDATE batches SET done = %(done)s, refused = %(refused)s, lease_until = %(lease_until)s
WHERE batch_id = %(batch_id)s AND runner = %(runner)s AND state = 'working' RETURNING batch_id;

-- name: end_batch
UPDATE batches SET state = %(state)s, ended_at = %(now)s
WHERE batch_id = %(batch_id)s AND state = 'working' AND (runner = %(runner)s OR %(runner)s::uuid IS NULL)
RETURNING batch_id;

-- name: insert_batch_codes
INSERT INTO batch_codes (batch_id, number, code_id)
SELECT %s, number, code_id FROM unnest(%s::uuid[]) WITH ORDINALITY AS chosen (code_id, number);

-- name: codes_of_batch
SELECT number, code_id FROM batch_codes WHERE batch_id = %s AND number > %s ORDER BY number LIMIT %s;

-- name: insert_batch_refusals
INSERT INTO batch_refusals (batch_id, line, reason)
SELECT %s, line, reason FROM unnest(%s::bigint[], %s::text[]) AS new (line, reason) ON CONFLICT DO NOTHING;

-- name: refusals_of_batch
SELECT line, reason FROM batch_refusals WHERE batch_id = %s AND line > %s ORDER BY line LIMIT %s;

-- name: insert_key_name
INSERT INTO private_texts (text_id, about, sealed, key_id) VALUES (%(text_id)s, 'api_key', %(sealed)s, %(seal_key)s)
ON CONFLICT (text_id) DO NOTHING;

-- name: insert_named_key
-- Sent twice by one form, it is one key.
INSERT INTO api_keys (
    key_id, digest, role, scopes, created_at, expires_at, text_id, staff_id, networks, replaces_id
)
VALUES (
    %(key_id)s, %(digest)s, %(role)s, %(scopes)s::text[], %(now)s, %(expires_at)s, %(text_id)s, %(staff_id)s,
    %(networks)s::cidr[], %(replaces_id)s
)
ON CONFLICT DO NOTHING RETURNING key_id;

-- name: revoke_key
UPDATE api_keys SET revoked_at = %s WHERE key_id = %s AND revoked_at IS NULL RETURNING key_id;

-- name: keys_beyond_rights
-- The valid keys that an account created and that open more than these roles and scopes.
SELECT key_id FROM api_keys
WHERE staff_id = %(staff_id)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > %(now)s)
    AND CASE WHEN scopes IS NULL THEN role <> ALL(%(roles)s::text[]) ELSE NOT scopes <@ %(scopes)s::text[] END
ORDER BY created_at, key_id;

-- name: end_key
-- An earlier end stays.
UPDATE api_keys SET expires_at = least(expires_at, %s) WHERE key_id = %s;

-- name: lock_key
SELECT key_id FROM api_keys WHERE key_id = %s FOR NO KEY UPDATE;

-- name: set_key_networks
UPDATE api_keys SET networks = %s::cidr[] WHERE key_id = %s;

-- name: record_key_use
-- At most every so often, whatever number of requests and processes records it; a time in the future is a former clock's.
INSERT INTO api_key_uses (key_id, used_at, network) VALUES (%(key_id)s, %(now)s, %(network)s::cidr)
ON CONFLICT (key_id) DO UPDATE SET used_at = excluded.used_at, network = excluded.network
WHERE (
    api_key_uses.used_at > excluded.used_at - %(every)s::interval AND api_key_uses.used_at <= excluded.used_at
) IS NOT TRUE;

-- name: record_key_refusal
-- Likewise, for requests from a network that is not allowed.
INSERT INTO api_key_uses (key_id, refused_at, refused_network) VALUES (%(key_id)s, %(now)s, %(network)s::cidr)
ON CONFLICT (key_id) DO UPDATE SET refused_at = excluded.refused_at, refused_network = excluded.refused_network
WHERE (
    api_key_uses.refused_at > excluded.refused_at - %(every)s::interval
    AND api_key_uses.refused_at <= excluded.refused_at
) IS NOT TRUE
RETURNING key_id;

-- name: newest_keys, oldest_keys
-- With the last use, and the key that replaced it.
SELECT k.key_id, k.role, k.scopes, k.created_at, k.expires_at, k.revoked_at, k.networks::text[], k.replaces_id,
    r.key_id, u.used_at, u.network::text, u.refused_at, u.refused_network::text, k.staff_id, k.text_id, p.sealed, p.key_id
FROM api_keys k LEFT JOIN private_texts p USING (text_id) LEFT JOIN api_key_uses u ON u.key_id = k.key_id
LEFT JOIN api_keys r ON r.replaces_id = k.key_id
WHERE (k.created_at, k.key_id) {order.beyond} (%s, %s)
ORDER BY k.created_at{order.turn}, k.key_id{order.turn} LIMIT %s;

-- name: keys_of_ids
SELECT k.key_id, k.role, k.scopes, k.created_at, k.expires_at, k.revoked_at, k.networks::text[], k.replaces_id,
    r.key_id, u.used_at, u.network::text, u.refused_at, u.refused_network::text, k.staff_id, k.text_id, p.sealed, p.key_id
FROM api_keys k LEFT JOIN private_texts p USING (text_id) LEFT JOIN api_key_uses u ON u.key_id = k.key_id
LEFT JOIN api_keys r ON r.replaces_id = k.key_id
WHERE k.key_id = ANY(%s);

-- name: newest_staff, list_staff
-- With the invitation, where it is neither accepted nor revoked; at most one of an account is not ended.
SELECT s.role, s.created_at, l.expires_at, l.mail, s.staff_id, s.digest, s.pepper_id, s.sealed, s.key_id
FROM staff s LEFT JOIN staff_links l ON l.staff_id = s.staff_id AND l.purpose = 'invitation' AND l.ended_at IS NULL
WHERE s.removed_at IS NULL AND (s.created_at, s.staff_id) {order.beyond} (%s, %s)
ORDER BY s.created_at{order.turn}, s.staff_id{order.turn} LIMIT %s;

-- name: staff_of_id
SELECT s.role, s.created_at, l.expires_at, l.mail, s.staff_id, s.digest, s.pepper_id, s.sealed, s.key_id
FROM staff s LEFT JOIN staff_links l ON l.staff_id = s.staff_id AND l.purpose = 'invitation' AND l.ended_at IS NULL
WHERE s.staff_id = %s AND s.removed_at IS NULL;

-- name: admins_who_can_sign_in
SELECT count(*) FROM staff WHERE role = 'admin' AND removed_at IS NULL AND password_hash <> '';

-- name: drop_old_links
-- Those of invitations that are neither accepted nor revoked stay: an admin sees them.
DELETE FROM staff_links WHERE expires_at <= %s AND (ended_at IS NOT NULL OR purpose = 'password');

-- name: end_links
UPDATE staff_links SET ended_at = %(now)s, ended_how = %(how)s
WHERE staff_id = %(staff_id)s AND ended_at IS NULL AND (%(purpose)s::text IS NULL OR purpose = %(purpose)s)
RETURNING purpose;

-- name: insert_link
INSERT INTO staff_links (digest, staff_id, purpose, created_at, expires_at, mail)
VALUES (%(digest)s, %(staff_id)s, %(purpose)s, %(now)s, %(expires_at)s, %(mail)s);

-- name: link_of_digest
SELECT l.purpose, l.expires_at, l.ended_how, s.staff_id, s.digest, s.pepper_id, s.sealed, s.key_id
FROM staff_links l JOIN staff s USING (staff_id) WHERE l.digest = %s;

-- name: use_link
-- Of two requests with one link, the second finds it ended.
UPDATE staff_links SET ended_at = %(now)s, ended_how = 'used'
WHERE digest = %(digest)s AND ended_at IS NULL AND expires_at > %(now)s RETURNING digest;

-- name: pending_links
SELECT purpose, max(created_at) FROM staff_links WHERE staff_id = %s AND ended_at IS NULL GROUP BY purpose;

-- name: record_link_mail
UPDATE staff_links SET mail = %s WHERE digest = %s;

-- name: lock_staff
-- Changes of staff wait for one another, so that two of them can't take the last admin together.
SELECT pg_advisory_xact_lock(1818518631, 4);

-- name: admins_besides
SELECT count(*) FROM staff WHERE role = 'admin' AND removed_at IS NULL AND staff_id <> %s;

-- name: role_of_staff
SELECT role FROM staff WHERE staff_id = %s AND removed_at IS NULL;

-- name: set_staff_role
UPDATE staff SET role = %s WHERE staff_id = %s AND removed_at IS NULL RETURNING staff_id;

-- name: set_staff_password
-- Ends all sessions, and the connection with an identity provider: only the account of last resort has both.
WITH ended AS (
    DELETE FROM staff_sessions WHERE staff_id = %(staff_id)s
), disconnected AS (
    DELETE FROM staff_identities USING staff s
    WHERE staff_identities.staff_id = %(staff_id)s AND s.staff_id = %(staff_id)s AND NOT s.is_break_glass
)
UPDATE staff SET password_hash = %(password_hash)s WHERE staff_id = %(staff_id)s AND removed_at IS NULL
RETURNING staff_id;

-- name: replace_password_hash
UPDATE staff SET password_hash = %s WHERE staff_id = %s AND password_hash = %s AND removed_at IS NULL;

-- name: clear_break_glass
UPDATE staff SET is_break_glass = false WHERE is_break_glass RETURNING staff_id;

-- name: set_break_glass
UPDATE staff SET is_break_glass = true WHERE staff_id = %s AND removed_at IS NULL AND password_hash <> ''
RETURNING staff_id;

-- name: remove_staff
-- The row stays, so that the history knows who it was; no password fits it any more, and no second factor.
WITH closed AS (
    UPDATE staff SET removed_at = %(now)s, password_hash = '' WHERE staff_id = %(staff_id)s AND removed_at IS NULL
    RETURNING staff_id
), without_factors AS (
    DELETE FROM staff_factors WHERE staff_id IN (SELECT staff_id FROM closed)
), without_codes AS (
    DELETE FROM staff_recovery_codes WHERE staff_id IN (SELECT staff_id FROM closed)
)
SELECT staff_id FROM closed;

-- name: account_of_identity
SELECT s.staff_id, s.role, s.removed_at IS NOT NULL FROM staff_identities i JOIN staff s USING (staff_id)
WHERE i.digest = ANY(%s);

-- name: account_of_address
SELECT staff_id, role, removed_at IS NOT NULL FROM staff WHERE digest = ANY(%s);

-- name: connect_identity
-- No row if the person or the account is connected already.
INSERT INTO staff_identities (identity_id, digest, pepper_id, sealed, key_id, staff_id, connected_at)
VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING staff_id;

-- name: forget_password
-- The provider decides from now on who may come in; the account of last resort keeps its password.
UPDATE staff SET password_hash = '' WHERE staff_id = %s AND NOT is_break_glass;

-- name: sign_in_of_staff
SELECT EXISTS (SELECT FROM staff_identities i WHERE i.staff_id = s.staff_id), password_hash <> ''
FROM staff s WHERE staff_id = %s;

-- name: end_sessions_of_provider
-- A token that is sent again ends no session that was begun since.
DELETE FROM staff_sessions WHERE created_at <= %(until)s AND (
    provider_session = ANY(%(sessions)s)
    OR provider_session IS NOT NULL AND staff_id IN (
        SELECT staff_id FROM staff_identities WHERE digest = ANY(%(persons)s)
    )
) RETURNING staff_id;

-- name: end_provider_sessions_of_staff
DELETE FROM staff_sessions WHERE staff_id = %s AND provider_session IS NOT NULL;

-- name: add_staff
-- Also takes somebody back who was removed; no row if they are on the staff already.
INSERT INTO staff AS old (staff_id, digest, pepper_id, sealed, key_id, password_hash, role, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (digest) DO UPDATE SET
    password_hash = excluded.password_hash, role = excluded.role, removed_at = NULL
WHERE old.removed_at IS NOT NULL
RETURNING staff_id;

-- name: channel_of_group
-- With its valid secrets, the newest first; a channel without one is a single row.
SELECT g.channel, g.channel_id, g.channel_url, g.channel_settings, s.text_id, s.sealed, s.key_id
FROM invite_groups g LEFT JOIN LATERAL (
    SELECT text_id, sealed, key_id, ends_at, created_at FROM webhook_secrets JOIN private_texts USING (text_id)
    WHERE owner_id = g.channel_id AND (ends_at IS NULL OR ends_at > %(now)s)
) s ON true
WHERE g.name = %(group)s AND g.channel <> 'smtp'
ORDER BY s.ends_at DESC NULLS FIRST, s.created_at DESC;

-- name: groups_with_channels
SELECT name, channel FROM invite_groups WHERE channel <> 'smtp' ORDER BY name LIMIT 10000;

-- name: groups_of_reservations
-- As their codes name them now: for planning only, the event of the reservation is what counts.
SELECT r.reservation_id, b.group_name FROM reservations r JOIN code_balances b USING (code_id)
WHERE r.reservation_id = ANY(%s) AND b.group_name = ANY(%s);

-- name: set_channel_of_group
-- A group without settings gets the default ones; the id of a channel stays what it was.
INSERT INTO invite_groups AS old (
    name, subject_zh, text_zh, subject_en, text_en, channel, channel_id, channel_url, channel_settings, changed_at
)
VALUES (%(group)s, '', '', '', '', %(kind)s, %(channel_id)s, %(url)s, %(settings)s, %(now)s)
ON CONFLICT (name) DO UPDATE SET channel = excluded.channel,
    channel_id = coalesce(old.channel_id, excluded.channel_id), channel_url = excluded.channel_url,
    channel_settings = excluded.channel_settings, changed_at = excluded.changed_at
RETURNING channel_id;

-- name: unset_channel_of_group
UPDATE invite_groups SET channel = 'smtp', changed_at = %s WHERE name = %s AND channel <> 'smtp' RETURNING channel_id;

-- name: channel_of_id
-- Also of a group that went back to mail: callbacks about what was sent before are still accepted.
SELECT channel_id, name, channel, channel_url, channel_settings FROM invite_groups WHERE channel_id = %s;

-- name: list_channels
SELECT channel_id, name, channel, channel_url, channel_settings FROM invite_groups
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
    INSERT INTO private_texts (text_id, about, sealed, key_id) VALUES (%(text_id)s, 'secret', %(sealed)s, %(key_id)s)
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

-- name: groups_that_take_rebinds
SELECT name FROM invite_groups WHERE takes_rebinds ORDER BY name LIMIT %s;

-- name: takes_rebinds
SELECT takes_rebinds FROM invite_groups WHERE name = %s;

-- name: reserved_in_group
SELECT count(*) FROM reservations r JOIN code_balances b USING (code_id) WHERE r.status = 'live' AND b.group_name = %s;

-- name: let_group_take_rebinds
UPDATE invite_groups SET takes_rebinds = %s WHERE name = %s;

-- name: group_of_name
SELECT name, subject_zh, text_zh, subject_en, text_en, accept_target, channel, changed_at, channel_id, channel_url,
    channel_settings
FROM invite_groups WHERE name = %s;

-- name: upsert_group
INSERT INTO invite_groups AS old (name, subject_zh, text_zh, subject_en, text_en, accept_target, channel, changed_at)
VALUES (%s, %s, %s, %s, %s, %s, 'smtp', %s)
ON CONFLICT (name) DO UPDATE SET
    subject_zh = excluded.subject_zh, text_zh = excluded.text_zh, subject_en = excluded.subject_en,
    text_en = excluded.text_en, accept_target = excluded.accept_target,
    changed_at = excluded.changed_at;

-- name: branding_of_group
SELECT logo, accent FROM invite_groups WHERE name = %s;

-- name: set_branding_of_group
-- A group without settings gets the default ones.
INSERT INTO invite_groups AS old (
    name, subject_zh, text_zh, subject_en, text_en, channel, logo, accent, changed_at
)
VALUES (%s, '', '', '', '', 'smtp', %s, %s, %s)
ON CONFLICT (name) DO UPDATE SET
    logo = excluded.logo, accent = excluded.accent, changed_at = excluded.changed_at;

-- name: names_of_groups
-- Names that codes carry, found by leaps over the index, and names that have settings; in order, from a name on.
WITH RECURSIVE leap (name, nth) AS (
    SELECT %(after)s::text, 0
    UNION ALL
    SELECT (
        SELECT b.group_name FROM code_balances b WHERE b.group_name > leap.name ORDER BY b.group_name LIMIT 1
    ), leap.nth + 1
    FROM leap WHERE leap.name IS NOT NULL AND leap.nth < %(limit)s
), named AS (
    SELECT name FROM leap WHERE nth > 0 AND name IS NOT NULL
    UNION
    (SELECT name FROM invite_groups WHERE name > %(after)s ORDER BY name LIMIT %(limit)s)
)
SELECT named.name, g.accept_target, g.channel, g.changed_at
FROM named LEFT JOIN invite_groups g USING (name) ORDER BY named.name LIMIT %(limit)s;

-- name: insert_note
INSERT INTO private_texts (text_id, about, sealed, key_id) VALUES (%s, 'batch', %s, %s) ON CONFLICT (text_id) DO NOTHING;

-- name: keep_issue_key
-- Who comes at the same time waits for the first one here; a key past its time is free for another body.
INSERT INTO issue_keys AS old (scope_digest, body_digest, batch_id, expires_at)
VALUES (%(scope_digest)s, %(body_digest)s, %(batch_id)s, %(until)s)
ON CONFLICT (scope_digest) DO UPDATE SET
    body_digest = CASE WHEN old.expires_at <= %(now)s THEN excluded.body_digest ELSE old.body_digest END,
    batch_id = CASE WHEN old.expires_at <= %(now)s THEN excluded.batch_id ELSE old.batch_id END,
    expires_at = CASE WHEN old.expires_at <= %(now)s THEN excluded.expires_at ELSE old.expires_at END
RETURNING body_digest, batch_id;

-- name: exchange_limit_reports
-- Writes one report, if there is something to tell, and gives what others wrote lately, oldest first. Of too many it
-- gives the newest: limits recover with time, so the oldest counts have expired the soonest.
WITH told AS (
    INSERT INTO limit_reports (process_id, number, unknown, redeemed, limits, keys, counts)
    SELECT %(process_id)s, %(number)s, %(unknown)s, %(redeemed)s, %(limits)s, %(keys)s, %(counts)s
    WHERE %(unknown)s + %(redeemed)s + cardinality(%(counts)s::int[]) > 0
)
SELECT process_id, number, unknown, redeemed, limits, keys, counts,
    extract(epoch FROM clock_timestamp() - at)::float8 AS age_s
FROM (
    SELECT * FROM limit_reports
    WHERE process_id <> %(process_id)s
        AND at BETWEEN clock_timestamp() - make_interval(secs => %(since_s)s) AND clock_timestamp() + interval '1 minute'
    ORDER BY at DESC, process_id, number DESC LIMIT %(most)s
) AS newest
ORDER BY at, process_id, number;

-- name: insert_api_key
INSERT INTO api_keys (key_id, digest, role, created_at) VALUES (%s, %s, %s, %s) ON CONFLICT (digest) DO NOTHING;

-- name: upsert_staff
-- A new password ends the sessions that the old one began.
WITH entered AS (
    INSERT INTO staff (staff_id, digest, pepper_id, sealed, key_id, password_hash, role, created_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (digest) DO UPDATE SET
        password_hash = excluded.password_hash, role = excluded.role, removed_at = NULL
    RETURNING staff_id
)
DELETE FROM staff_sessions WHERE staff_id IN (SELECT staff_id FROM entered);

-- name: staff_of_digests
SELECT password_hash, is_break_glass, staff_id, digest, pepper_id, sealed, key_id FROM staff WHERE digest = ANY(%s) AND removed_at IS NULL;

-- name: credentials_of_staff
SELECT password_hash, is_break_glass, staff_id, digest, pepper_id, sealed, key_id FROM staff
WHERE staff_id = %s AND removed_at IS NULL;

-- name: staff_addresses
SELECT staff_id, digest, pepper_id, sealed, key_id FROM staff WHERE staff_id = ANY(%s);

-- name: open_session
-- Ends the session that the browser had before, and those whose time is over.
WITH ended AS (
    DELETE FROM staff_sessions WHERE digest = %(before)s OR expires_at <= %(now)s
)
INSERT INTO staff_sessions (
    digest, staff_id, created_at, expires_at, browser, system, network, provider_session, proved_how, proved_at
)
VALUES (
    %(digest)s, %(staff_id)s, %(now)s, %(expires_at)s, %(browser)s, %(system)s, %(network)s::cidr,
    %(provider_session)s, %(proved_how)s, %(proved_at)s
);

-- name: end_session
DELETE FROM staff_sessions WHERE digest = %s RETURNING staff_id;

-- name: sessions_of_staff
SELECT digest, browser, system, network::text, created_at, coalesce(last_used_at, created_at) AS used_at
FROM staff_sessions WHERE staff_id = %s AND expires_at > %s ORDER BY used_at DESC, digest LIMIT %s;

-- name: end_sessions_of_staff
-- All of them, or only one, or all but one; how many of them had not expired.
WITH ended AS (
    DELETE FROM staff_sessions WHERE staff_id = %(staff_id)s
        AND (%(only)s::bytea IS NULL OR digest = %(only)s) AND (%(current)s::bytea IS NULL OR digest <> %(current)s)
    RETURNING expires_at
)
SELECT count(*) FROM ended WHERE expires_at > %(now)s;

-- name: record_session_use
UPDATE staff_sessions SET last_used_at = %s WHERE digest = %s;

-- name: renew_session_proof
UPDATE staff_sessions SET proved_how = %s, proved_at = %s WHERE digest = %s;

-- name: staff_of_session
-- A session of a closed account may be there all the same, where a sign-in was under way while it was closed.
SELECT s.role, o.provider_session IS NOT NULL OR EXISTS (SELECT FROM staff_factors f WHERE f.staff_id = s.staff_id),
    coalesce(o.last_used_at, o.created_at), o.proved_how, o.proved_at,
    s.staff_id, s.digest, s.pepper_id, s.sealed, s.key_id
FROM staff_sessions o JOIN staff s USING (staff_id) WHERE o.digest = %s AND o.expires_at > %s
    AND s.removed_at IS NULL;

-- name: roles_of_sessions
SELECT o.digest, s.role FROM staff_sessions o JOIN staff s USING (staff_id)
WHERE o.digest = ANY(%s) AND o.expires_at > %s AND s.removed_at IS NULL;

-- name: insert_audit
INSERT INTO audit (at, act, staff_id, subject_id, key_id, proof, approved_by)
VALUES (%(at)s, %(act)s, %(staff_id)s, %(subject_id)s, %(api_key_id)s, %(proof)s, %(approved_by)s);

-- name: insert_audit_with_reason
-- `about`: null if the entry is about a person, a reservation or a code, and the reason is about the persons whose it is.
-- No reason is stored about a person who was erased.
WITH persons AS (
    SELECT recipient_id FROM (
        SELECT %(subject_id)s::uuid AS recipient_id
        WHERE EXISTS (SELECT FROM recipients WHERE recipient_id = %(subject_id)s)
        UNION
        SELECT recipient_id FROM reservations WHERE reservation_id = %(subject_id)s
        UNION
        SELECT recipient_id FROM handed_out_codes WHERE code_id = %(subject_id)s
        UNION
        SELECT unnest(ARRAY[owner_id, bound_to]) FROM code_balances WHERE code_id = %(subject_id)s
    ) named
    WHERE recipient_id IS NOT NULL AND %(about)s::text IS NULL
), reason AS (
    INSERT INTO private_texts (text_id, about, sealed, key_id)
    SELECT %(text_id)s, coalesce(%(about)s, CASE WHEN EXISTS (SELECT FROM persons) THEN 'person' ELSE 'code' END),
        %(sealed)s, %(key_id)s
    WHERE NOT EXISTS (
        SELECT FROM persons p WHERE NOT EXISTS (SELECT FROM recipients r WHERE r.recipient_id = p.recipient_id)
    )
    RETURNING text_id
), subjects AS (
    INSERT INTO text_subjects (text_id, recipient_id) SELECT text_id, recipient_id FROM reason, persons
)
INSERT INTO audit (at, act, staff_id, subject_id, text_id, key_id, proof, approved_by)
VALUES (%(at)s, %(act)s, %(staff_id)s, %(subject_id)s, %(text_id)s, %(api_key_id)s, %(proof)s, %(approved_by)s);

-- name: audit_of_staff_since
SELECT act, subject_id, max(at) FROM audit
WHERE staff_id = %s AND at > %s AND subject_id = ANY(%s) GROUP BY act, subject_id;

-- name: plan_audit_filters
-- A filter that is not set must not decide the plan, so each query is planned for its own parameters.
SET LOCAL plan_cache_mode = force_custom_plan;

-- name: newest_audit_entries, oldest_audit_entries
SELECT a.audit_id, a.at, a.act, a.staff_id, a.subject_id, a.key_id, a.proof, a.approved_by, a.text_id, p.sealed, p.key_id
FROM audit a LEFT JOIN private_texts p USING (text_id)
WHERE a.audit_id {order.beyond} %(place)s
    AND (%(staff_id)s::uuid IS NULL OR a.staff_id = %(staff_id)s)
    AND (%(key_id)s::uuid IS NULL OR a.key_id = %(key_id)s)
    AND (%(by_operator)s IS FALSE OR (a.staff_id IS NULL AND a.key_id IS NULL AND a.act NOT IN ('sign_in_failed', 'let_expire')))
    AND (%(action)s::text IS NULL OR a.act = %(action)s)
    AND (%(subject_id)s::uuid IS NULL OR a.subject_id = %(subject_id)s)
    AND (%(since)s::timestamptz IS NULL OR a.at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR a.at < %(until)s)
ORDER BY a.audit_id{order.turn} LIMIT %(limit)s;

-- name: kinds_of_subjects
-- What the subjects of entries are, as far as they exist, with the names that are not encrypted.
SELECT staff_id, 'staff', NULL FROM staff WHERE staff_id = ANY(%(ids)s)
UNION ALL
SELECT key_id, 'key', NULL FROM api_keys WHERE key_id = ANY(%(ids)s)
UNION ALL
SELECT reservation_id, 'reservation', NULL FROM reservations WHERE reservation_id = ANY(%(ids)s)
UNION ALL
SELECT code_id, 'code', NULL FROM code_balances WHERE code_id = ANY(%(ids)s)
UNION ALL
SELECT recipient_id, 'person', NULL FROM recipients WHERE recipient_id = ANY(%(ids)s)
UNION ALL
SELECT batch_id, 'batch', NULL FROM batches WHERE batch_id = ANY(%(ids)s)
UNION ALL
SELECT campaign_id, 'campaign', name FROM campaigns WHERE campaign_id = ANY(%(ids)s)
UNION ALL
SELECT hand_out_id, 'hand_out', NULL FROM hand_outs WHERE hand_out_id = ANY(%(ids)s)
UNION ALL
SELECT endpoint_id, 'webhook', url FROM webhook_endpoints WHERE endpoint_id = ANY(%(ids)s) AND state <> 'removed'
UNION ALL
SELECT channel_id, 'group', name FROM invite_groups WHERE channel_id = ANY(%(ids)s);

-- name: insert_endpoint
-- From the end of the log on, if no other position is given. Asked for twice by one form, it is one endpoint.
INSERT INTO webhook_endpoints (
    endpoint_id, url, event_types, concurrency, format, state, created_at, changed_at, position
)
VALUES (
    %(endpoint_id)s, %(url)s, %(event_types)s, %(concurrency)s, %(format)s, 'enabled', %(now)s, %(now)s,
    (SELECT least(%(position)s::bigint, coalesce(max(notification_id), 0)) FROM ledger_events)
)
ON CONFLICT (endpoint_id) DO NOTHING RETURNING endpoint_id;

-- name: endpoint_of_id
SELECT e.endpoint_id, e.url, e.event_types, e.concurrency, e.format, e.state, e.reason, e.created_at, e.position, e.failures,
    e.resting_until, e.succeeded_at,
    (SELECT count(*) FROM webhook_deliveries d WHERE d.endpoint_id = e.endpoint_id AND d.state = 'pending') AS pending,
    (SELECT coalesce(max(notification_id), 0) FROM ledger_events) - e.position AS behind
FROM webhook_endpoints e WHERE e.endpoint_id = %s AND e.state <> 'removed';

-- name: newest_endpoints, list_endpoints
SELECT e.endpoint_id, e.url, e.event_types, e.concurrency, e.format, e.state, e.reason, e.created_at, e.position, e.failures,
    e.resting_until, e.succeeded_at,
    (SELECT count(*) FROM webhook_deliveries d WHERE d.endpoint_id = e.endpoint_id AND d.state = 'pending') AS pending,
    (SELECT coalesce(max(notification_id), 0) FROM ledger_events) - e.position AS behind
FROM webhook_endpoints e WHERE e.state <> 'removed' AND (e.created_at, e.endpoint_id) {order.beyond} (%s, %s)
ORDER BY e.created_at{order.turn}, e.endpoint_id{order.turn} LIMIT %s;

-- name: change_endpoint
-- What is null stays. Whoever is at work notices by the runner, which is nobody from now on.
UPDATE webhook_endpoints SET url = coalesce(%(url)s, url), event_types = coalesce(%(event_types)s, event_types),
    concurrency = coalesce(%(concurrency)s, concurrency), format = coalesce(%(format)s, format), changed_at = %(now)s, runner = NULL, lease_until = NULL,
    resting_until = NULL, failures = 0
WHERE endpoint_id = %(endpoint_id)s AND state <> 'removed' RETURNING endpoint_id;

-- name: set_endpoint_state
UPDATE webhook_endpoints SET state = %(state)s, reason = %(reason)s, changed_at = %(now)s, runner = NULL,
    lease_until = NULL, resting_until = NULL, failures = 0
WHERE endpoint_id = %(endpoint_id)s AND state <> 'removed' AND state <> %(state)s RETURNING endpoint_id;

-- name: end_secrets_of_owner
UPDATE webhook_secrets SET ends_at = %s WHERE owner_id = %s;

-- name: take_endpoint
-- One that has something to do and that nobody works on, the one that waits longest first.
UPDATE webhook_endpoints SET runner = %(runner)s, lease_until = %(lease_until)s, worked_at = %(now)s
WHERE endpoint_id = (
    SELECT e.endpoint_id FROM webhook_endpoints e
    WHERE e.state = 'enabled' AND (e.resting_until IS NULL OR e.resting_until <= %(now)s)
        AND (e.lease_until IS NULL OR e.lease_until <= %(now)s)
        AND (
            e.position < (SELECT max(notification_id) FROM ledger_events)
            OR EXISTS (
                SELECT FROM webhook_deliveries d
                WHERE d.endpoint_id = e.endpoint_id AND d.state = 'pending' AND d.due_at <= %(now)s
            )
        )
    ORDER BY e.worked_at NULLS FIRST LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING endpoint_id, url, event_types, concurrency, format;

-- name: release_endpoint
UPDATE webhook_endpoints SET runner = NULL, lease_until = NULL WHERE endpoint_id = %s AND runner = %s;

-- name: own_endpoint
-- Locked for who has it; no row if it was changed, disabled or taken by somebody else meanwhile.
SELECT position, failures, succeeded_at FROM webhook_endpoints
WHERE endpoint_id = %s AND runner = %s AND state = 'enabled' FOR UPDATE;

-- name: count_pending
SELECT count(*) FROM webhook_deliveries WHERE endpoint_id = %s AND state = 'pending';

-- name: next_positions
-- Positions appear in order, so all up to the last one are there.
SELECT notification_id, split_part(topic, ':', 1) FROM ledger_events
WHERE notification_id > %s ORDER BY notification_id LIMIT %s;

-- name: insert_deliveries
-- Each is a microsecond younger than the one before it, so that lists are in the log's order.
INSERT INTO webhook_deliveries (delivery_id, endpoint_id, position, event_type, state, made_at, due_at)
SELECT id, %(endpoint_id)s, position, type, 'pending', %(now)s + nth * interval '1 microsecond', %(now)s
FROM unnest(%(ids)s::uuid[], %(positions)s::bigint[], %(types)s::text[]) WITH ORDINALITY AS new (id, position, type, nth)
ON CONFLICT (delivery_id) DO NOTHING;

-- name: advance_endpoint
UPDATE webhook_endpoints SET position = %s WHERE endpoint_id = %s;

-- name: due_deliveries
SELECT delivery_id, attempts, first_at, e.notification_id, e.originator_id, e.originator_version, e.topic, e.state
FROM (
    SELECT delivery_id, attempts, first_at, position FROM webhook_deliveries
    WHERE endpoint_id = %(endpoint_id)s AND state = 'pending' AND due_at <= %(now)s ORDER BY due_at, position LIMIT %(limit)s
) d JOIN ledger_events e ON e.notification_id = d.position ORDER BY d.position;

-- name: record_deliveries
-- Not of those that somebody asked for anew while they were under way: these are tried once more.
UPDATE webhook_deliveries d SET state = n.state, due_at = n.due_at, attempts = d.attempts + 1,
    first_at = coalesce(d.first_at, n.at), last_at = n.at, last_outcome = n.outcome, last_status = n.status, last_ms = n.ms,
    ended_at = CASE WHEN n.state = 'pending' THEN NULL ELSE n.at END
FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::integer[], %s::integer[])
    AS n (id, state, due_at, at, outcome, status, ms)
WHERE d.delivery_id = n.id AND d.state = 'pending';

-- name: note_endpoint
UPDATE webhook_endpoints SET failures = %(failures)s, resting_until = %(resting_until)s,
    succeeded_at = coalesce(%(succeeded_at)s, succeeded_at)
WHERE endpoint_id = %(endpoint_id)s;

-- name: hurry_deliveries
-- The endpoint is back: what waited for it is due.
UPDATE webhook_deliveries SET due_at = %s WHERE endpoint_id = %s AND state = 'pending' AND due_at > %s;

-- name: insert_test_delivery
INSERT INTO webhook_deliveries (
    delivery_id, endpoint_id, event_type, state, made_at, attempts, first_at, last_at, last_outcome, last_status, last_ms,
    ended_at
)
VALUES (%(id)s, %(endpoint_id)s, %(type)s, %(state)s, %(at)s, 1, %(at)s, %(at)s, %(outcome)s, %(status)s, %(ms)s, %(at)s);

-- name: list_deliveries
SELECT delivery_id, position, event_type, state, made_at, due_at, attempts, last_at, last_outcome, last_status, last_ms
FROM webhook_deliveries
WHERE endpoint_id = %(endpoint_id)s AND (made_at, delivery_id) < (%(at)s, %(id)s)
    AND (%(state)s::text IS NULL OR state = %(state)s)
ORDER BY made_at DESC, delivery_id DESC LIMIT %(limit)s;

-- name: redeliver
UPDATE webhook_deliveries d SET state = 'pending', due_at = %(now)s, attempts = 0, first_at = NULL, ended_at = NULL
FROM webhook_endpoints e
WHERE d.delivery_id = %(delivery_id)s AND d.endpoint_id = %(endpoint_id)s AND d.position IS NOT NULL
    AND e.endpoint_id = d.endpoint_id AND e.state = 'enabled' RETURNING 1;

-- name: count_failed
-- How many messages `redeliver_failed` sends again, which is not more than its limit.
SELECT count(*) FROM (
    SELECT FROM webhook_deliveries d JOIN webhook_endpoints e USING (endpoint_id)
    WHERE endpoint_id = %s AND d.state = 'failed' AND d.position IS NOT NULL AND e.state = 'enabled' LIMIT %s
) failed;

-- name: redeliver_failed
UPDATE webhook_deliveries d SET state = 'pending', due_at = %(now)s, attempts = 0, first_at = NULL, ended_at = NULL
FROM webhook_endpoints e
WHERE d.delivery_id = ANY(ARRAY(
        SELECT delivery_id FROM webhook_deliveries
        WHERE endpoint_id = %(endpoint_id)s AND state = 'failed' AND position IS NOT NULL AND ended_at >= %(since)s
        ORDER BY ended_at LIMIT %(limit)s
    ))
    AND e.endpoint_id = d.endpoint_id AND e.state = 'enabled' RETURNING 1;

-- name: save_view
-- The oldest ones beyond the limit are removed.
WITH surplus AS (
    DELETE FROM saved_views WHERE staff_id = %(staff_id)s AND name IN (
        SELECT name FROM saved_views WHERE staff_id = %(staff_id)s AND name <> %(name)s
        ORDER BY saved_at DESC, name OFFSET %(limit)s - 1
    )
)
INSERT INTO saved_views AS old (staff_id, name, query, saved_at) VALUES (%(staff_id)s, %(name)s, %(query)s, %(now)s)
ON CONFLICT (staff_id, name) DO UPDATE SET query = excluded.query, saved_at = excluded.saved_at;

-- name: remove_view
DELETE FROM saved_views WHERE staff_id = %s AND name = %s;

-- name: saved_views
SELECT name, query FROM saved_views WHERE staff_id = %s ORDER BY name;

-- name: insert_approval
-- Not if as many are open as may wait, nor if the same one is open.
INSERT INTO approvals ({approvals.names})
SELECT {approvals.named} WHERE (SELECT count(*) FROM approvals WHERE fingerprint IS NOT NULL) < %(open_max)s
ON CONFLICT DO NOTHING RETURNING approval_id;

-- name: open_approval_of_fingerprint
SELECT {approvals.names} FROM approvals WHERE fingerprint = %s;

-- name: approval_of_id
SELECT {approvals.names} FROM approvals WHERE approval_id = %s;

-- name: newest_approvals, oldest_approvals
SELECT {approvals.names} FROM approvals
WHERE (proposed_at, approval_id) {order.beyond} (%(at)s, %(id)s) AND kind = ANY(%(kinds)s)
    AND (NOT %(is_open)s OR fingerprint IS NOT NULL)
ORDER BY proposed_at{order.turn}, approval_id{order.turn} LIMIT %(limit)s;

-- name: count_approvals_to_decide
SELECT count(*) FROM approvals
WHERE fingerprint IS NOT NULL AND outcome IS NULL AND expires_at > %(now)s AND kind = ANY(%(kinds)s)
    AND proposer_id IS DISTINCT FROM %(staff_id)s
    AND (state = 'waiting' OR kind <> 'export_person');

-- name: approve_proposal
UPDATE approvals SET state = 'approved', decided_by = %(decided_by)s, decided_at = %(now)s
WHERE approval_id = %(approval_id)s AND state = 'waiting' AND expires_at > %(now)s RETURNING approval_id;

-- name: close_proposal
-- Rejected or withdrawn: nothing of it remains to be done.
UPDATE approvals SET state = %(state)s, decided_by = %(decided_by)s, decided_at = %(now)s,
    fingerprint = NULL, sealed = NULL, key_id = NULL
WHERE approval_id = %(approval_id)s AND state = 'waiting' AND expires_at > %(now)s RETURNING approval_id;

-- name: finish_approved
UPDATE approvals SET outcome = %(outcome)s, fingerprint = NULL, sealed = NULL, key_id = NULL
WHERE approval_id = %(approval_id)s AND state = 'approved' AND outcome IS NULL RETURNING approval_id;

-- name: expire_approvals
-- An approved export that was not fetched in time expires, too. What was approved last may still be in progress.
UPDATE approvals SET state = 'expired', decided_at = coalesce(decided_at, %(now)s),
    fingerprint = NULL, sealed = NULL, key_id = NULL
WHERE approval_id IN (
    SELECT approval_id FROM approvals
    WHERE fingerprint IS NOT NULL AND expires_at <= %(now)s
        AND (state = 'waiting' OR kind = 'export_person' OR decided_at <= %(now)s - interval '1 hour')
    LIMIT %(limit)s
)
RETURNING approval_id, kind, subject_id;

-- name: prune_approvals
DELETE FROM approvals WHERE approval_id IN (
    SELECT approval_id FROM approvals WHERE fingerprint IS NULL AND decided_at <= %s LIMIT %s
);
