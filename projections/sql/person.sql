-- What is known of one person, for themselves.

-- name: audit_of_subjects
-- What staff did beside the ledger about a person or their reservations, and why; who it was is another person's.
SELECT a.at, a.act, a.subject_id, a.text_id, p.sealed, p.key_id FROM audit a LEFT JOIN private_texts p USING (text_id)
WHERE a.subject_id = ANY(%s) ORDER BY a.audit_id LIMIT %s;

-- name: idempotency_keys_of_reservations
SELECT reservation_id, expires_at FROM idempotency_keys WHERE reservation_id = ANY(%s) ORDER BY expires_at LIMIT %s;

-- name: outbox_of_reservations
SELECT reservation_id, template, written_at, outcome FROM outbox WHERE reservation_id = ANY(%s) ORDER BY written_at LIMIT %s;
