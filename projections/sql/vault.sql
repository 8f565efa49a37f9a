-- Rows of the vault by the page, to see whether digest and encrypted text of each belong together.

-- name: page_of_recipients
SELECT recipient_id, digest, pepper_id, sealed, key_id FROM recipients
WHERE recipient_id > %s ORDER BY recipient_id LIMIT %s;

-- name: page_of_code_texts
SELECT code_id, digest, pepper_id, sealed, key_id, hint FROM code_texts WHERE code_id > %s ORDER BY code_id LIMIT %s;

-- name: page_of_staff
SELECT staff_id, digest, pepper_id, sealed, key_id FROM staff WHERE staff_id > %s ORDER BY staff_id LIMIT %s;

-- name: page_of_private_texts
SELECT text_id, sealed, key_id FROM private_texts WHERE text_id > %s ORDER BY text_id LIMIT %s;

-- name: size_of_vault
-- As the last ANALYZE estimated it: counting millions takes longer than a health check should.
SELECT greatest(coalesce(sum(reltuples), 0), 0)::bigint FROM pg_class
WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
    AND relname IN ('recipients', 'code_texts', 'staff', 'private_texts');
