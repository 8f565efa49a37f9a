-- The access that sent invitations give: what is due about it, and what a rebind looks up.

-- name: take_due_access
-- Each taken by one worker: the mark keeps others away until next_at.
WITH due AS (
    SELECT r.reservation_id FROM reservations r LEFT JOIN access_marks m USING (reservation_id)
    WHERE r.access_due_at <= %(now)s AND (m.next_at IS NULL OR m.next_at <= %(now)s)
    ORDER BY r.access_due_at
    LIMIT %(limit)s
    FOR UPDATE OF r SKIP LOCKED
)
INSERT INTO access_marks AS old (reservation_id, next_at)
SELECT reservation_id, %(until)s FROM due ORDER BY reservation_id
ON CONFLICT (reservation_id) DO UPDATE SET next_at = excluded.next_at WHERE old.next_at <= %(now)s
RETURNING reservation_id;

-- name: forget_access_marks
DELETE FROM access_marks WHERE reservation_id = ANY(%s);

-- name: prune_access_marks
DELETE FROM access_marks WHERE next_at < %s;

-- name: events_of_moves
-- Live and sent rebinds that move the access of these reservations.
SELECT r.reservation_id, e.originator_id, e.originator_version, e.topic, e.state
FROM reservations r
JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = ANY(r.versions)
WHERE r.follows = ANY(%s) AND r.kind = 'rebind' AND r.status <> 'refunded'
ORDER BY r.reservation_id, e.originator_version;

-- name: groups_that_take_rebinds
SELECT name FROM invite_groups WHERE takes_rebinds ORDER BY name LIMIT %s;

-- name: takes_rebinds
SELECT takes_rebinds FROM invite_groups WHERE name = %s;

-- name: let_group_take_rebinds
UPDATE invite_groups SET takes_rebinds = %s WHERE name = %s;
