-- Idempotency keys of requests that issue codes.

-- name: keep_issue_key
-- Who comes at the same time waits for the first one here; a key past its time is free for another body.
INSERT INTO issue_keys AS old (scope_digest, body_digest, batch_id, expires_at)
VALUES (%(scope_digest)s, %(body_digest)s, %(batch_id)s, %(until)s)
ON CONFLICT (scope_digest) DO UPDATE SET
    body_digest = CASE WHEN old.expires_at <= %(now)s THEN excluded.body_digest ELSE old.body_digest END,
    batch_id = CASE WHEN old.expires_at <= %(now)s THEN excluded.batch_id ELSE old.batch_id END,
    expires_at = CASE WHEN old.expires_at <= %(now)s THEN excluded.expires_at ELSE old.expires_at END
RETURNING body_digest, batch_id;

-- name: prune_issue_keys
DELETE FROM issue_keys WHERE scope_digest IN (
    SELECT scope_digest FROM issue_keys WHERE expires_at <= %s ORDER BY expires_at LIMIT %s
);
