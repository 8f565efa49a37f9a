-- Keys with scopes of their own, and reservations listed in the order in which they were made.
-- depends: 0008_admin

-- Null: the key may do what its role may. With scopes the role is `scoped`, which opens nothing in earlier versions.
ALTER TABLE api_keys ADD COLUMN scopes text[];

ALTER TABLE api_keys DROP CONSTRAINT api_keys_role_check;

ALTER TABLE api_keys ADD CONSTRAINT api_keys_role_check CHECK (
    role IN ('viewer', 'support', 'admin') AND scopes IS NULL OR role = 'scoped' AND scopes IS NOT NULL
);

-- Lists of reservations go on from a place. Rows come in this order, so it costs a row little; sums over a stretch of
-- time use it too.
DROP INDEX reservations_reserved_idx;

CREATE INDEX reservations_reserved_idx ON reservations (reserved_at, reservation_id);
